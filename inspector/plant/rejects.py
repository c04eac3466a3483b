"""The reject API: the MES names parts, and they do not reach the customer.

Enters: parts by id, serial, number, time, or a batch. Leaves: the line told to refuse what stands
before its gate, everything else on hold at the desk, and an answer that says which is which.
Every part that was named is on hold, also one that is before the gate: were its permit not taken
back in time, it would be at large with nobody looking for it. ``app.py`` imports it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter

from inspector.identity import Action, Principal, authorise
from inspector.part import Disposition, GateAction
from inspector.plant.access import PROBLEMS, Viewer, Writer
from inspector.plant.desk import Desk
from inspector.plant.problems import Problem
from inspector.plant.requests import Done
from inspector.plant.selection import runs_of
from inspector.plant.times import now
from inspector.plant.words import (
    GateCounts,
    Reject,
    RejectSaid,
    RejectState,
    RunSaid,
)
from inspector.quality.stopping import AtGate, GateState, refuse, stop, worst
from inspector.store import History
from inspector.store.batches import Step
from inspector.store.holds import KIND, Run
from inspector.store.pages import gates_of

AHEAD = 500
"""Part numbers beyond the newest verdict that may be rejected: those on their way."""
SETTLED_S = 60.0
"""A part of which the gate has said nothing for this long never was refused."""


def router(desk: Desk) -> APIRouter:
    """``/rejects``."""
    routes = APIRouter(tags=["rejects"], responses=PROBLEMS)

    @routes.post("/rejects", responses={202: {"model": RejectSaid}})
    def post_reject(asked: Reject, by: Writer) -> RejectSaid:
        """Reject parts. 202: the gate has yet to confirm; follow `/events` or
        `/rejects/{id}`. 200: all of them have passed, and are on hold."""
        authorise(by.who, Action.REJECT)
        named = {"POST": "/rejects", "body": asked.model_dump(mode="json")}
        return by.once(desk.requests, named, lambda: reject(desk, by.who, asked), RejectSaid)

    @routes.get("/rejects/{id}")
    def get_reject(id: UUID, who: Viewer) -> RejectState:
        """A reject request, or the hold of a batch, and what the gate has said since."""
        record = desk.requests.find(str(id))
        if record is None or record.body.get("cause") not in ("reject", Step.HOLD):
            raise Problem(404, "unknown-reject", f"no reject request has the id {id}")
        said = RejectSaid.model_validate(record.body["answer"])
        old = time.time_ns() - record.utc_ns > SETTLED_S * 1e9
        with desk.history() as history:
            confirmation = confirmed(history, said.runs, old)
        return RejectState(
            request=said,
            reason=record.body["reason"],
            requester=record.body["requester"],
            principal=record.principal,
            confirmation=confirmation,
        )

    return routes


def reject(desk: Desk, who: Principal, asked: Reject) -> Done:
    """Refuse at the gate what has not passed it, and hold all of it."""
    if asked.batch is not None:
        return isolate(desk, who, asked.batch, asked.reason, asked.requester, "reject")
    with desk.history() as history:
        runs = runs_of(history, asked, AHEAD)
        found, detail = refuse(desk, history, who, runs, asked.reason)
    said = _said(worst(found), found, detail)
    on_hold = {"runs": [[run.stream, run.first, run.last] for run in said.runs]}
    return _held("reject", said, asked.reason, asked.requester, on_hold)


def isolate(
    desk: Desk, who: Principal, batch: str, reason: str, requester: str, cause: str
) -> Done:
    """Put a batch on hold; if it runs, pause the line and refuse what stands before the gate."""
    with desk.history() as history:
        known = desk.batches.life(history, desk.holds, batch).state is not None
    stopped = stop(desk, desk.heartbeat, who, batch, reason)
    if not known and not stopped.running:
        raise Problem(404, "unknown-batch", f"there was never a batch {batch!r}")
    said = _said(stopped.gate, stopped.runs, stopped.detail, batch=batch, paused=stopped.paused)
    on_hold = {"batch": batch, "paused": stopped.paused}
    return _held(cause, said, reason, requester, on_hold)


def confirmed(history: History, runs: Iterable[RunSaid], old: bool) -> GateCounts:
    """What the gate said about parts that were pending; ``old`` when it had time enough."""
    acknowledged = failed = parts = 0
    for run in runs:
        if run.gate not in ("pending", "unknown"):
            continue
        parts += run.last - run.first + 1
        for decision in gates_of(history, Run(run.stream, run.first, run.last)):
            if decision.action is not GateAction.PERMIT:
                acknowledged += bool(decision.acknowledged_ns)
                failed += not decision.acknowledged_ns
    pending = parts - acknowledged - failed
    if old:
        failed, pending = failed + pending, 0
    return GateCounts(acknowledged=acknowledged, failed=failed, pending=pending)


def _said(gate: GateState, runs: Iterable[AtGate], detail: str, **more: Any) -> RejectSaid:
    said = [
        RunSaid(stream=one.run.stream, first=one.run.first, last=one.run.last, gate=one.gate)
        for one in runs
    ]
    return RejectSaid(id=str(uuid4()), at=now(), gate=gate, runs=said, detail=detail, **more)


def _held(
    cause: str, said: RejectSaid, reason: str, requester: str, on_hold: Mapping[str, Any]
) -> Done:
    record = {
        "cause": cause,
        "disposition": Disposition.HOLD,
        "reason": reason,
        "requester": requester,
        **on_hold,
    }
    status = 202 if said.gate in ("unknown", "pending") else 200
    return Done(KIND, status, said.model_dump(mode="json"), record)
