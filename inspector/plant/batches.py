"""Batches: begun, changed over, closed by the line; held and released at the desk.

Enters: what the MES orders. Leaves: the line's answer, which it gives once its own record is
durable, and the desk's record of the request. ``app.py`` imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

from fastapi import APIRouter, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel

from inspector.identity import Action, Principal, authorise
from inspector.part import Disposition, Outcome
from inspector.plant.access import (
    ETAGGED,
    PROBLEMS,
    Before,
    Key,
    Limit,
    Someone,
    Viewer,
    cursor,
)
from inspector.plant.desk import Desk
from inspector.plant.parts import held, moment
from inspector.plant.problems import Problem
from inspector.plant.rejects import isolate, now, replied
from inspector.plant.requests import Done, Once
from inspector.plant.words import (
    BatchDetail,
    BatchPage,
    BatchSaid,
    BatchStart,
    Changeover,
    Counts,
    DisposeSaid,
    LineSaid,
    RejectSaid,
    Why,
)
from inspector.store import History
from inspector.store.holds import KIND
from inspector.store.pages import batch_ids, batch_known, changes_of

S = TypeVar("S", bound=BaseModel)
REQUEST = "request"
"""Kind of the desk's record of what the line was asked for."""
BatchId = Annotated[str, PathParameter(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]


def router(desk: Desk) -> APIRouter:
    """``/batches`` and ``/changeover``."""
    routes = APIRouter(tags=["batches"], responses=PROBLEMS)

    @routes.get("/batches", responses=ETAGGED)
    def get_batches(who: Viewer, before: Before, limit: Limit = 50) -> BatchPage:
        """Batches, the one that began last first."""
        with desk.history() as history:
            found = batch_ids(history, before=before, limit=limit + 1)
            page = [BatchSaid(**_batch(desk, history, id)) for id, _ in found[:limit]]
        more = found[limit - 1][1] if len(found) > limit else None
        return BatchPage(items=page, next=cursor(more))

    @routes.get("/batches/{id}", responses=ETAGGED)
    def get_batch(id: BatchId, who: Viewer) -> BatchDetail:
        """One batch in figures."""
        with desk.history() as history:
            _must_be_known(desk, history, id)
            return BatchDetail(**_batch(desk, history, id), defects=history.defects(id))

    @routes.post("/batches", status_code=201)
    def post_batch(
        asked: BatchStart, who: Someone, response: Response, key: Key = None
    ) -> LineSaid:
        """Begin a batch; the one that runs ends. The line answers from which part on."""
        authorise(who, Action.START_BATCH)
        args = asked.model_dump(by_alias=True, exclude_none=True)

        def act() -> Done:
            _must_not_be_held(desk, asked.id)
            return _obeyed(desk, who, Action.START_BATCH, args, 201)

        response.headers["Location"] = f"/api/v1/batches/{quote(asked.id)}"
        return _once(desk, who, key, "/batches", args, act, response, LineSaid)

    @routes.post("/batches/{id}/close")
    def post_close(id: BatchId, who: Someone, response: Response, key: Key = None) -> LineSaid:
        """End the running batch; the line is paused until the next one."""
        authorise(who, Action.END_BATCH)

        def act() -> Done:
            with desk.history() as history:
                _must_be_known(desk, history, id)
            return _obeyed(desk, who, Action.END_BATCH, {"id": id}, 200)

        return _once(desk, who, key, f"/batches/{id}/close", {}, act, response, LineSaid)

    @routes.post("/batches/{id}/hold", responses={202: {"model": RejectSaid}})
    def post_hold(
        id: BatchId, asked: Why, who: Someone, response: Response, key: Key = None
    ) -> RejectSaid:
        """Hold a batch; if it runs, the line is paused. 202: the gate has yet to confirm."""
        authorise(who, Action.DISPOSE)

        def act() -> Done:
            return isolate(desk, who, id, asked.reason, asked.requester, "hold")

        body = asked.model_dump()
        return _once(desk, who, key, f"/batches/{id}/hold", body, act, response, RejectSaid)

    @routes.post("/batches/{id}/release", status_code=201)
    def post_release(
        id: BatchId, asked: Why, who: Someone, response: Response, key: Key = None
    ) -> DisposeSaid:
        """Release a batch that was on hold. Parts held for themselves stay held, and a paused
        line stays paused: a person looks and resumes it."""
        authorise(who, Action.DISPOSE)
        body = asked.model_dump()

        def act() -> Done:
            return _released(desk, id, asked)

        return _once(desk, who, key, f"/batches/{id}/release", body, act, response, DisposeSaid)

    @routes.post("/changeover")
    def post_changeover(
        asked: Changeover, who: Someone, response: Response, key: Key = None
    ) -> LineSaid:
        """Run another recipe, with another batch if one is given."""
        authorise(who, Action.CHANGE_OVER)
        args = asked.model_dump(by_alias=True, exclude_none=True)

        def act() -> Done:
            if asked.batch is not None:
                _must_not_be_held(desk, asked.batch.id)
            return _obeyed(desk, who, Action.CHANGE_OVER, args, 200)

        return _once(desk, who, key, "/changeover", args, act, response, LineSaid)

    return routes


def _once(
    desk: Desk, who: Principal, key: str | None, path: str, body: Any, act: Callable[[], Done],
    response: Response, said: type[S],
) -> S:  # fmt: skip
    status, answer, again = desk.requests.once(Once(who, key, {"POST": path, "body": body}), act)
    return replied(response, status, said.model_validate(answer), again)


def _obeyed(desk: Desk, who: Principal, action: Action, args: Any, status: int) -> Done:
    result = desk.command(action, args, who)
    answer = LineSaid(id=str(uuid4()), at=now(), result=dict(result)).model_dump(mode="json")
    return Done(REQUEST, status, answer, {"action": str(action), "args": args})


def _released(desk: Desk, id: str, asked: Why) -> Done:
    standing = desk.holds.of_batch(id)
    if standing is None or standing.disposition is not Disposition.HOLD:
        with desk.history() as history:
            _must_be_known(desk, history, id)
        raise Problem(409, "not-on-hold", f"batch {id!r} is not on hold")
    answer = DisposeSaid(
        id=str(uuid4()), at=now(), disposition=Disposition.RELEASE, batch=id
    ).model_dump(mode="json")
    record = {
        "cause": "release",
        "disposition": Disposition.RELEASE,
        "reason": asked.reason,
        "requester": asked.requester,
        "batch": id,
    }
    return Done(KIND, 201, answer, record)


def _must_be_known(desk: Desk, history: History, id: str) -> None:
    if not batch_known(history, id):
        raise Problem(404, "unknown-batch", f"there was never a batch {id!r}")


def _must_not_be_held(desk: Desk, id: str) -> None:
    standing = desk.holds.of_batch(id)
    if standing is not None and standing.disposition is Disposition.HOLD:
        raise Problem(409, "on-hold", f"batch {id!r} is on hold; release it first")


def _batch(desk: Desk, history: History, id: str) -> dict[str, Any]:
    summary = history.batch(id)
    changes = changes_of(history, id)
    begun = [change for change in changes if change.action == "begin"]
    ended = [change for change in changes if change.action == "end"]
    beat = desk.heartbeat
    running = beat.alive and beat.body.get("batch") == id
    counts, parts = summary.counts, any(summary.counts.values()) or summary.others
    newest = begun[-1] if begun else None
    return {
        "id": id,
        "running": running,
        "product": newest.product if newest else "",
        "recipe": newest.recipe if newest else "",
        "texts": dict(newest.texts) if newest else {},
        "began_at": moment(begun[0].utc_ns) if begun else None,
        "ended_at": moment(ended[-1].utc_ns) if ended and not running else None,
        "counts": Counts(
            passed=counts[Outcome.PASS],
            rejected=counts[Outcome.REJECT],
            errors=counts[Outcome.ERROR],
            not_inspected=counts[Outcome.NOT_INSPECTED],
            others=summary.others,
        ),
        "first_part_at": moment(summary.first_utc_ns) if parts else None,
        "last_part_at": moment(summary.last_utc_ns) if parts else None,
        "disposition": held(desk, desk.holds.of_batch(id)),
    }
