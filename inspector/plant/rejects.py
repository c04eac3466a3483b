"""The reject API: the MES names parts, and they do not reach the customer.

Enters: parts by id, serial, number, time, or a batch. Leaves: the line told to refuse what stands
before its gate, everything else on hold at the desk, and an answer that says which is which.
Every part that was named is on hold, also one that is before the gate: were its permit not taken
back in time, it would be at large with nobody looking for it. ``app.py`` imports it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID, uuid4

from fastapi import APIRouter, Response

from inspector.bus import NoAnswer
from inspector.identity import Action, Principal, authorise
from inspector.part import Disposition, GateAction
from inspector.plant.access import PROBLEMS, REPLAYED, Key, Someone, Viewer
from inspector.plant.desk import Desk
from inspector.plant.problems import Problem
from inspector.plant.requests import Done, Once
from inspector.plant.selection import runs_of
from inspector.plant.words import (
    GateCounts,
    GateState,
    Reject,
    RejectSaid,
    RejectState,
    RunSaid,
)
from inspector.store import History
from inspector.store.holds import KIND, Run
from inspector.store.pages import gates_of, newest

AHEAD = 500
"""Part numbers beyond the newest verdict that may be rejected: those on their way."""
ASKED_MAX = 1000
"""Parts that the line takes in one command."""
MARGIN = 50
"""Parts further behind than fit between eye and gate, and these, have passed for certain."""
SETTLED_S = 60.0
"""A part of which the gate has said nothing for this long never was refused."""
A = TypeVar("A")
WORST: tuple[GateState, ...] = ("unknown", "pending", "passed", "none")


def router(desk: Desk) -> APIRouter:
    """``/rejects``."""
    routes = APIRouter(tags=["rejects"], responses=PROBLEMS)

    @routes.post("/rejects", responses={202: {"model": RejectSaid}})
    def post_reject(asked: Reject, who: Someone, response: Response, key: Key = None) -> RejectSaid:
        """Reject parts. 202: the gate has yet to confirm; follow `/events` or
        `/rejects/{id}`. 200: all of them have passed, and are on hold."""
        authorise(who, Action.REJECT)
        once = Once(who, key, {"POST": "/rejects", "body": asked.model_dump(mode="json")})
        status, answer, again = desk.requests.once(once, lambda: reject(desk, who, asked))
        return replied(response, status, RejectSaid.model_validate(answer), again)

    @routes.get("/rejects/{id}")
    def get_reject(id: UUID, who: Viewer) -> RejectState:
        """A reject request, and what the gate has said since."""
        record = desk.requests.find(str(id))
        if record is None or record.body.get("cause") != "reject":
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
        said, detail = refuse(desk, history, who, runs, asked.reason)
    gate = worst(said)
    answer = RejectSaid(id=str(uuid4()), at=now(), gate=gate, runs=said, detail=detail).model_dump(
        mode="json"
    )
    record = {
        "cause": "reject",
        "disposition": Disposition.HOLD,
        "reason": asked.reason,
        "requester": asked.requester,
        "runs": [[run.stream, run.first, run.last] for run in said],
    }
    return Done(KIND, _status(gate), answer, record)


def isolate(
    desk: Desk, who: Principal, batch: str, reason: str, requester: str, cause: str
) -> Done:
    """Put a batch on hold; if it runs, pause the line and refuse what stands before the gate."""
    stopped = stop(desk, who, batch, reason)
    if not stopped.known:
        raise Problem(404, "unknown-batch", f"there was never a batch {batch!r}")
    said, paused = stopped.runs, stopped.paused
    gate = "unknown" if stopped.running and not paused else worst(said)
    answer = RejectSaid(
        id=str(uuid4()),
        at=now(),
        gate=gate,
        runs=said,
        batch=batch,
        paused=paused,
        detail=stopped.detail,
    ).model_dump(mode="json")
    record = {
        "cause": cause,
        "disposition": Disposition.HOLD,
        "reason": reason,
        "requester": requester,
        "batch": batch,
        "paused": paused,
    }
    return Done(KIND, _status(gate), answer, record)


@dataclass(frozen=True, slots=True)
class Stopped:
    """What became of a batch that must not go on."""

    known: bool
    running: bool
    paused: bool
    runs: list[RunSaid]
    """Parts before the gate."""
    detail: str


def stop(desk: Desk, who: Principal, batch: str, reason: str) -> Stopped:
    """If ``batch`` runs, pause the line and refuse what stands before the gate."""
    beat = desk.heartbeat
    with desk.history() as history:
        # The heartbeat is up to 200 ms old; the ledger knows a batch that has just begun.
        change = next(iter(history.batch_changes(1)), None)
        begun = change is not None and (change.id, change.action) == (batch, "begin")
        running = begun or (beat.alive and beat.body.get("batch") == batch)
        known = running or desk.batches.life(history, desk.holds, batch).state is not None
    paused, details = False, list[str]()
    said: list[RunSaid] = []
    if running:
        try:
            answered = desk.ask(Action.PAUSE, {"reason": reason}, who)
            paused = answered.ok
            details += [] if answered.ok else [f"the line was not paused: {answered.error}"]
        except NoAnswer as error:
            details.append(f"the line was not paused: {error}")
    elif not beat.alive:
        details.append("the line is lost: whether the batch runs is not known")
    with desk.history() as history:
        near = _before_gate(desk, history, batch, running)
        if near is not None:
            said, detail = refuse(desk, history, who, [near], reason)
            details += [detail] if detail else []
    return Stopped(known, running, paused, said, "; ".join(details))


def refuse(
    desk: Desk, history: History, who: Principal, runs: Iterable[Run], reason: str
) -> tuple[list[RunSaid], str]:
    """Have the line refuse those of ``runs`` that may stand before its gate; where all were."""
    runs = list(runs)
    if desk.station.plc is None:
        return [_said(run, "none") for run in runs], ""
    latest = newest(history)
    travel = desk.station.travel
    zone = int(travel.gate_mm / travel.pitch_min_mm) + MARGIN
    said: list[RunSaid] = []
    details: list[str] = []
    lost = False
    for run in runs:
        if latest is None or latest.stream != run.stream:
            said.append(_said(run, "passed"))
            continue
        certain = min(run.last, latest.sequence - zone)
        if run.first <= certain:
            said.append(_said(Run(run.stream, run.first, certain), "passed"))
        for first in range(max(run.first, certain + 1), run.last + 1, ASKED_MAX):
            part = Run(run.stream, first, min(run.last, first + ASKED_MAX - 1))
            if lost:
                said.append(_said(part, "unknown"))
                continue
            try:
                args = {"stream": run.stream, "first": part.first, "last": part.last}
                answer = desk.ask(Action.REJECT, args | {"reason": reason}, who)
            except NoAnswer as error:
                lost = True
                details.append(f"{error}; while it is away the gate rejects")
                said.append(_said(part, "unknown"))
                continue
            if answer.ok:
                said += _split(part, answer.body)
            else:
                state = _why_not(answer.error)
                said.append(_said(part, state))
                details += [answer.error] if state == "unknown" else []
    return said, "; ".join(details)


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


def worst(runs: Iterable[RunSaid]) -> GateState:
    """The gate state of all of them together."""
    states = {run.gate for run in runs}
    return next((state for state in WORST if state in states), "none")


def now() -> datetime:
    """UTC, for answers."""
    return datetime.now(UTC)


def replied(response: Response, status: int, answer: A, again: bool) -> A:
    """``answer`` with its status, and a mark where it was given before."""
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    if again:
        response.headers[REPLAYED] = "true"
    return answer


def _before_gate(desk: Desk, history: History, batch: str, running: bool) -> Run | None:
    """The parts of ``batch`` that may stand between eye and gate."""
    latest = newest(history)
    if latest is None or desk.station.plc is None:
        return None
    travel = desk.station.travel
    zone = min(ASKED_MAX // 2, int(travel.gate_mm / travel.pitch_min_mm) + MARGIN)
    mine = [
        part.verdict.sequence
        for part in history.last(zone)
        if part.verdict.batch == batch and part.verdict.stream == latest.stream
    ]
    first, last = min(mine, default=0), max(mine, default=0)
    if running:
        figures = desk.heartbeat.body.get("figures", {})
        last = latest.sequence + int(figures.get("parts_in_progress", 0)) + 2
        first = first or latest.sequence + 1
    return Run(latest.stream, first, last) if last else None


def _split(run: Run, answer: Mapping[str, object]) -> list[RunSaid]:
    """The line's answer: the parts that it refuses, and those that had gone by."""
    first, last = int(str(answer["first"])), int(str(answer["last"]))
    said = [_said(Run(run.stream, first, last), "pending")]
    if run.first < first:
        said.insert(0, _said(Run(run.stream, run.first, first - 1), "passed"))
    return said


def _why_not(error: str) -> GateState:
    if "has passed the gate" in error or "is over; parts of it have left" in error:
        return "passed"
    return "none" if "has no gate" in error else "unknown"


def _said(run: Run, gate: GateState) -> RunSaid:
    return RunSaid(stream=run.stream, first=run.first, last=run.last, gate=gate)


def _status(gate: GateState) -> int:
    return 202 if gate in ("unknown", "pending") else 200
