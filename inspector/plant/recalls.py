"""Recalls: criteria in; what is affected is held in one step, and found wherever it went.

Enters: material lots, batches, spans of time, serials, numbers, units, a defect. Leaves: one record
that holds all of it, the units around it with their destinations, a table to send on. ``app.py``
imports it.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from inspector.identity import Action, Principal, authorise
from inspector.part import Disposition
from inspector.plant.access import PROBLEMS, Someone, Viewer, Writer
from inspector.plant.desk import Desk
from inspector.plant.linkwords import RecallCriteria, RecallSaid, RecallState, RecallWords
from inspector.plant.problems import Problem
from inspector.plant.requests import Done
from inspector.plant.selection import run_said, runs_of
from inspector.plant.times import now, utc_ns
from inspector.plant.words import DisposeSaid, Selection, Why
from inspector.quality.recalling import NOTHING_STOPPED, recall
from inspector.quality.stopping import stop_all
from inspector.store import DeskRecord, History
from inspector.store.holds import Run
from inspector.store.recalls import (
    Affected,
    Criteria,
    MaterialLot,
    TooWide,
    UnknownCriterion,
    affected,
    as_csv,
    lifted,
    recall_record,
    units_affected,
)


def router(desk: Desk) -> APIRouter:
    """``/recalls``."""
    routes = APIRouter(tags=["recalls"], responses=PROBLEMS)

    @routes.post("/recalls", status_code=201)
    def post_recall(asked: RecallWords, by: Writer) -> RecallSaid:
        """Find all that is affected and hold it in one step; a batch that runs is stopped. With
        `drill` it is only found and recorded."""
        authorise(by.who, Action.DISPOSE)
        named = {"POST": "/recalls", "body": asked.model_dump(mode="json", by_alias=True)}
        return by.once(desk.requests, named, lambda: _recalled(desk, by.who, asked), RecallSaid)

    @routes.get("/recalls/{id}")
    def get_recall(id: UUID, who: Viewer) -> RecallState:
        """A recall, and whether anything of it is still on hold."""
        record = _record(desk, id)
        body = record.body
        return RecallState(
            recall=RecallSaid.model_validate(body["answer"]),
            reason=body["reason"],
            requester=body["requester"],
            principal=record.principal,
            criteria=body["criteria"],
            standing=_stands(desk, _found(record)),
        )

    @routes.get(
        "/recalls/{id}/export",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    def get_export(id: UUID, who: Someone) -> StreamingResponse:
        """All that is affected as CSV: batches, runs, and units with where they went."""
        authorise(who, Action.EXPORT)
        found = _found(_record(desk, id))

        def lines() -> Iterator[str]:
            units = units_affected(desk.genealogy, found)
            with desk.history() as history:
                yield from as_csv(found, units, history)

        headers = {"Content-Disposition": f'attachment; filename="recall-{id}.csv"'}
        return StreamingResponse(lines(), media_type="text/csv; charset=utf-8", headers=headers)

    @routes.post("/recalls/{id}/lift", status_code=201)
    def post_lift(id: UUID, asked: Why, by: Writer) -> DisposeSaid:
        """Release what a recall holds: its batches go back to where they were, closed or running;
        what is scrap stays scrap, and what somebody else wants held stays held."""
        authorise(by.who, Action.DISPOSE)

        def act() -> Done:
            found = _found(_record(desk, id))
            with desk.history() as history:
                free = lifted(history, desk.data, str(id), found)
            if free is None or not _stands(desk, found):
                raise Problem(409, "not-on-hold", "nothing of this recall is on hold")
            answer = DisposeSaid(
                id=str(uuid4()),
                at=now(),
                disposition=Disposition.RELEASE,
                runs=[run_said(run) for run in free.runs],
            )
            kind, record = recall_record(free, asked.reason, asked.requester, lifts=True)
            return Done(kind, 201, answer.model_dump(mode="json"), record | {"recall": str(id)})

        named = {"POST": f"/recalls/{id}/lift", "body": asked.model_dump()}
        return by.once(desk.requests, named, act, DisposeSaid)

    return routes


def criteria_of(history: History, asked: RecallCriteria) -> Criteria:
    """What the MES named, in the store's words. Raises ``Problem`` 404."""
    runs: tuple[Run, ...] = ()
    if asked.sequences is not None:
        runs = tuple(runs_of(history, Selection(sequences=asked.sequences)))
    return Criteria(
        lots=tuple([MaterialLot(lot.lot, lot.material) for lot in asked.lots]),
        batches=tuple(asked.batches),
        span=None if asked.time is None else (utc_ns(asked.time.from_), utc_ns(asked.time.to)),
        serials=tuple(asked.serials),
        runs=runs,
        units=tuple(asked.units),
        defect=asked.defect,
    )


def _recalled(desk: Desk, who: Principal, asked: RecallWords) -> Done:
    with desk.history() as history:
        try:
            found = affected(history, desk.genealogy, criteria_of(history, asked.criteria))
        except UnknownCriterion as error:
            raise Problem(404, "unknown-criterion", str(error)) from None
        except TooWide as error:
            raise Problem(422, "too-many-parts", str(error)) from None
    if not found.batches and not found.runs:
        raise Problem(404, "nothing-affected", "no part answers to these criteria")
    stopped = NOTHING_STOPPED
    if not asked.drill:
        stopped = stop_all(desk, desk.heartbeat, who, found, asked.reason)
    made = recall(
        found,
        units_affected(desk.genealogy, found),
        asked.criteria.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        asked.reason,
        asked.requester,
        stopped,
        drill=asked.drill,
    )
    answer = RecallSaid.model_validate(made.answer)
    return Done(made.kind, 201, answer.model_dump(mode="json"), made.record)


def _record(desk: Desk, id: UUID) -> DeskRecord:
    record = desk.requests.find(str(id))
    if record is None or record.body.get("cause") != "recall":
        raise Problem(404, "unknown-recall", f"no recall has the id {id}")
    return record


def _found(record: DeskRecord) -> Affected:
    runs = [Run(stream, first, last) for stream, first, last in record.body["runs"]]
    return Affected(tuple(record.body["batches"]), tuple(runs), int(record.body["parts"]), ())


def _stands(desk: Desk, found: Affected) -> bool:
    held = (desk.holds.of_batch(batch) for batch in found.batches)
    if any(s is not None and s.disposition is Disposition.HOLD for s in held):
        return True
    return any(desk.holds.held_in(run) for run in found.runs)
