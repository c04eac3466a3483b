"""Batches: begun, changed over, closed by the line; held and released at the desk.

Enters: what the MES orders. Leaves: the line's answer, which it gives once its own record is
durable, and the desk's record of the request. ``app.py`` imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote
from uuid import uuid4

from fastapi import APIRouter, Response
from fastapi import Path as PathParameter

from inspector.identity import Action, Principal, authorise
from inspector.part import Mode, Outcome
from inspector.plant.access import (
    ETAGGED,
    PROBLEMS,
    Before,
    Limit,
    Viewer,
    Writer,
    cursor,
)
from inspector.plant.batchwords import (
    BatchDetail,
    BatchOrder,
    BatchPage,
    BatchSaid,
    Changeover,
    Counts,
    LineSaid,
)
from inspector.plant.desk import Desk
from inspector.plant.orders import answer, obeyed, recorded, told, unheard
from inspector.plant.parts import Gs1Text, Gtin, held, sold_as
from inspector.plant.periods import reconciled
from inspector.plant.problems import Problem
from inspector.plant.rejects import isolate
from inspector.plant.requests import Done
from inspector.plant.times import moment, now
from inspector.plant.words import DisposeSaid, RejectSaid, Why
from inspector.store import History
from inspector.store.batches import DISPOSED, Plan, Refused, State, Step, after, decision
from inspector.store.batches import KIND as LIFE
from inspector.store.pages import batch_ids, beginnings_of, changes_of

LOTS = 1000
"""Batches that are asked for a lot of another name than theirs."""
BatchId = Annotated[str, PathParameter(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]


def router(desk: Desk) -> APIRouter:
    """``/batches`` and ``/changeover``."""
    routes = APIRouter(tags=["batches"], responses=PROBLEMS)

    @routes.get("/batches", responses=ETAGGED)
    def get_batches(
        who: Viewer, before: Before, planned: bool = False, limit: Limit = 50
    ) -> BatchPage:
        """Batches, the one that began last first; or those that are planned."""
        with desk.history() as history:
            if planned:
                found = desk.batches.planned(before=before, limit=limit + 1)
            else:
                found = batch_ids(history, before=before, limit=limit + 1)
            page = [BatchSaid(**_batch(desk, history, id)) for id, _ in found[:limit]]
        more = found[limit - 1][1] if len(found) > limit else None
        return BatchPage(items=page, next=cursor(more))

    @routes.get("/batches/{id}", responses=ETAGGED)
    def get_batch(id: BatchId, who: Viewer) -> BatchDetail:
        """One batch in figures, and whether its counts agree."""
        with desk.history() as history:
            if desk.batches.life(history, desk.holds, id).state is None:
                raise Problem(404, "unknown-batch", f"there was never a batch {id!r}")
            return BatchDetail(
                **_batch(desk, history, id),
                defects=history.defects(id),
                reconciliation=reconciled(desk, history, id),
            )

    @routes.post("/batches", status_code=201, responses={202: {"model": LineSaid}})
    def post_batch(asked: BatchOrder, by: Writer, response: Response) -> LineSaid:
        """Begin a batch; the one that runs ends. The line answers from which part on. With
        `begin: false` it is only planned (202)."""
        authorise(by.who, Action.START_BATCH)
        named = {"POST": "/batches", "body": asked.model_dump(by_alias=True, exclude_none=True)}

        def act() -> Done:
            return begun(desk, by.who, asked) if asked.begin else _planned(desk, asked)

        response.headers["Location"] = f"/api/v1/batches/{quote(asked.id)}"
        return by.once(desk.requests, named, act, LineSaid)

    @routes.post("/batches/{id}/start", status_code=201)
    def post_start(id: BatchId, by: Writer) -> LineSaid:
        """Begin a batch that was planned, or go on with one that was closed."""
        authorise(by.who, Action.START_BATCH)

        def act() -> Done:
            with desk.history() as history:
                life = desk.batches.life(history, desk.holds, id)
                if life.state is None:
                    raise Problem(404, "unknown-batch", f"batch {id!r} was never planned")
                return begun(desk, by.who, _as_last(desk, history, id))

        return by.once(desk.requests, {"POST": f"/batches/{id}/start", "body": {}}, act, LineSaid)

    @routes.post("/batches/{id}/close")
    def post_close(id: BatchId, by: Writer) -> LineSaid:
        """End the running batch; the line is paused until the next one. One that is only planned
        is closed without ever having run."""
        authorise(by.who, Action.END_BATCH)
        named = {"POST": f"/batches/{id}/close", "body": {}}
        return by.once(desk.requests, named, lambda: closed(desk, by.who, id), LineSaid)

    @routes.post("/batches/{id}/hold", responses={202: {"model": RejectSaid}})
    def post_hold(id: BatchId, asked: Why, by: Writer) -> RejectSaid:
        """Hold a batch; if it runs, the line is paused. 202: the gate has yet to confirm."""
        authorise(by.who, Action.DISPOSE)

        def act() -> Done:
            _step(desk, id, Step.HOLD)
            return isolate(desk, by.who, id, asked.reason, asked.requester, "hold")

        named = {"POST": f"/batches/{id}/hold", "body": asked.model_dump()}
        return by.once(desk.requests, named, act, RejectSaid)

    @routes.post("/batches/{id}/release", status_code=201)
    def post_release(id: BatchId, asked: Why, by: Writer) -> DisposeSaid:
        """Release a batch: one that is on hold and not closed goes on, one that is closed may be
        delivered. Parts held for themselves stay held, and a paused line stays paused: a person
        looks and resumes it."""
        authorise(by.who, Action.DISPOSE)
        named = {"POST": f"/batches/{id}/release", "body": asked.model_dump()}
        act = partial(_decided, desk, id, asked, Step.RELEASE)
        return by.once(desk.requests, named, act, DisposeSaid)

    @routes.post("/batches/{id}/reject", status_code=201)
    def post_reject_batch(id: BatchId, asked: Why, by: Writer) -> DisposeSaid:
        """Reject a closed batch for good: all of it is scrap. One that runs is stopped and held
        by `/rejects`, and closed before."""
        authorise(by.who, Action.DISPOSE)
        named = {"POST": f"/batches/{id}/reject", "body": asked.model_dump()}
        act = partial(_decided, desk, id, asked, Step.REJECT)
        return by.once(desk.requests, named, act, DisposeSaid)

    @routes.post("/changeover")
    def post_changeover(asked: Changeover, by: Writer) -> LineSaid:
        """Run another recipe, with another batch if one is given."""
        authorise(by.who, Action.CHANGE_OVER)
        named = {"POST": "/changeover", "body": asked.model_dump(by_alias=True, exclude_none=True)}
        return by.once(desk.requests, named, lambda: changed(desk, by.who, asked), LineSaid)

    return routes


def links(desk: Desk) -> APIRouter:
    """A lot's GS1 Digital Link, for those who may read."""
    routes = APIRouter(tags=["identity"], responses=PROBLEMS)

    @routes.get("/01/{gtin}/10/{lot}", responses=ETAGGED)
    def get_lot(gtin: Gtin, lot: Gs1Text, who: Viewer) -> BatchSaid:
        """The batch whose parts carry this GTIN and lot; the newest, where there are several."""
        with desk.history() as history:
            for id in dict.fromkeys([lot, *(b for b, _ in batch_ids(history, limit=LOTS))]):
                products, lots = sold_as(history, id)
                if gtin in products and lot in lots:
                    return BatchSaid(**_batch(desk, history, id))
        raise Problem(404, "unknown-batch", f"no batch of {gtin} has the lot {lot}")

    return routes


def closed(desk: Desk, who: Principal, id: str) -> Done:
    """The line ends a batch, or has by this very command; one that has not run is closed here."""
    args = {"id": id}
    try:
        state = _step(desk, id, Step.CLOSE, "not-running")
    except Problem as refused:
        if refused.name != "not-running":
            raise
        said = unheard(desk, who, Action.END_BATCH, args, recorded(desk, Action.END_BATCH, args))
        if said is None:
            raise
        return told(Action.END_BATCH, args, said, 200)
    with desk.history() as history:
        has_run = desk.batches.life(history, desk.holds, id).begun
    if has_run:
        return obeyed(desk, who, Action.END_BATCH, args, 200)
    # The newest record is the plan: closed without having run, it may yet begin.
    record = {"action": Step.CLOSE, "batch": id} | asdict(desk.batches.plan(id) or Plan())
    return Done(LIFE, 200, answer({"batch": id, "state": str(state)}), record)


def changed(desk: Desk, who: Principal, asked: Changeover) -> Done:
    """The line runs another recipe; a batch that begins with it begins as one that is started."""
    args = asked.model_dump(by_alias=True, exclude_none=True)
    if asked.batch is None:
        return obeyed(desk, who, Action.CHANGE_OVER, args, 200)
    given = BatchOrder(**asked.batch.model_dump(exclude={"from_"}) | {"recipe": asked.recipe})
    order = _filled(desk, given)
    batch = order.model_dump(include={"id", "product", "texts"})
    result = _told(desk, who, Action.CHANGE_OVER, args | {"batch": batch}, order.id)
    return Done(LIFE, 200, answer(result), _life(order, Step.START))


def _planned(desk: Desk, asked: BatchOrder) -> Done:
    _step(desk, asked.id, Step.PLAN)
    result = {"batch": asked.id, "state": str(State.PLANNED)}
    return Done(LIFE, 202, answer(result), _life(asked, Step.PLAN))


def begun(desk: Desk, who: Principal, asked: BatchOrder) -> Done:
    """The line begins a batch, as it is asked for and as it was planned."""
    order = _filled(desk, asked)
    args = order.model_dump(
        by_alias=True, exclude_none=True, include={"id", "product", "recipe", "texts", "from_"}
    )
    result = _told(desk, who, Action.START_BATCH, args, order.id)
    return Done(LIFE, 201, answer(result), _life(order, Step.START))


def _told(
    desk: Desk, who: Principal, action: Action, args: Mapping[str, Any], id: str
) -> Mapping[str, Any]:
    """What the line says when it is told to begin batch ``id``; or said, where it has begun by this
    very command and its answer came too late, or to nobody."""
    try:
        _step(desk, id, Step.START)
    except Problem as refused:
        if refused.name != State.RUNNING:
            raise
        record = desk.batches.newest(id)
        said = unheard(desk, who, action, args, record.line.newest if record else -1)
        if said is None:
            raise
        return said
    return desk.command(action, args, who)


def _filled(desk: Desk, asked: BatchOrder) -> BatchOrder:
    """``asked``, and what was planned where it says nothing."""
    plan = desk.batches.plan(asked.id) or Plan()
    return asked.model_copy(
        update={
            "product": asked.product or plan.product,
            "recipe": asked.recipe or plan.recipe or None,
            "texts": asked.texts or dict(plan.texts),
            "order": asked.order or plan.order,
            "target": asked.target or plan.target,
            "operator": asked.operator or plan.operator,
        }
    )


def _life(order: BatchOrder, step: Step) -> dict[str, Any]:
    return {
        "action": str(step),
        "batch": order.id,
        "product": order.product,
        "recipe": order.recipe or "",
        "texts": dict(order.texts),
        "order": order.order,
        "target": order.target,
        "operator": order.operator,
    }


def _as_last(desk: Desk, history: History, id: str) -> BatchOrder:
    """How the batch was made last, for one that goes on."""
    begun = beginnings_of(history, id)
    if desk.batches.plan(id) is not None or not begun:
        return BatchOrder(id=id)
    newest = begun[-1]
    return BatchOrder(
        id=id, product=newest.product, recipe=newest.recipe or None, texts=dict(newest.texts)
    )


def _decided(desk: Desk, id: str, asked: Why, step: Step) -> Done:
    _step(desk, id, step)
    with desk.history() as history:
        life = desk.batches.life(history, desk.holds, id)
    try:
        kind, record = decision(id, life, step, asked.reason, asked.requester)
    except Refused as error:  # it was changed between the two looks
        raise Problem(409, "changed", str(error)) from None
    answer = DisposeSaid(
        id=str(uuid4()), at=now(), disposition=DISPOSED[step], batch=id
    ).model_dump(mode="json")
    return Done(kind, 201, answer, record)


def _step(desk: Desk, id: str, step: Step, name: str = "") -> State:
    """The state that follows. Raises ``Problem`` 404 or 409: the batch's life has no such step."""
    try:
        with desk.history() as history:
            life = desk.batches.life(history, desk.holds, id)
    except Problem:
        if step not in (Step.PLAN, Step.START):
            raise
        return State.PLANNED  # the line has never run here: this is the first batch
    try:
        return after(id, life, step)
    except Refused as error:
        if life.state is None:
            raise Problem(404, "unknown-batch", str(error)) from None
        raise Problem(409, name or life.state.replace("_", "-"), str(error)) from None


def _batch(desk: Desk, history: History, id: str) -> dict[str, Any]:
    summary = history.batch(id)
    changes = changes_of(history, id)
    begun = [change for change in changes if change.action == "begin"]
    ended = changes[-1] if changes and changes[-1].action == "end" else None
    beat = desk.heartbeat
    running = beat.alive and beat.body.get("batch") == id
    counts, parts = summary.counts, any(summary.counts.values()) or summary.others
    newest = begun[-1] if begun else None
    again = history.counts(id, Mode.REINSPECT)
    plan = desk.batches.plan(id) or Plan()
    calendar = desk.station.calendar
    return {
        "id": id,
        "state": desk.batches.life(history, desk.holds, id).state or State.CLOSED,
        "running": running,
        "product": newest.product if newest else plan.product,
        "recipe": newest.recipe if newest else plan.recipe,
        "texts": dict(newest.texts if newest else plan.texts),
        "order": plan.order,
        "target": plan.target,
        "operator": plan.operator or (begun[0].principal if begun else ""),
        "production_day": calendar.day_of(begun[0].utc_ns) if begun else None,
        "shift": calendar.shift_of(begun[0].utc_ns) if begun else "",
        "began_at": moment(begun[0].utc_ns) if begun else None,
        "ended_at": moment(ended.utc_ns) if ended else None,
        "counts": Counts(
            passed=counts[Outcome.PASS],
            rejected=counts[Outcome.REJECT],
            errors=counts[Outcome.ERROR],
            not_inspected=counts[Outcome.NOT_INSPECTED],
            others=summary.others,
            reinspected=sum(again.values()),
            recovered=again[Outcome.PASS],
        ),
        "first_part_at": moment(summary.first_utc_ns) if parts else None,
        "last_part_at": moment(summary.last_utc_ns) if parts else None,
        "disposition": held(desk, desk.holds.of_batch(id)),
    }
