"""Keep parts from going on: the line paused, what stands before its gate refused.

Enters: a batch or runs of part numbers that must not reach the customer, and the line's ear.
Leaves: where each of them was. Whoever asks records the hold at the desk besides: every part that
was named is on hold, also one before the gate; were its permit not taken back in time, it would be
at large with nobody looking for it. The MES's requests and the pages import this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from inspector.bus import Answer, NoAnswer
from inspector.config import Station
from inspector.identity import Action, Principal
from inspector.store import History
from inspector.store.holds import Run
from inspector.store.pages import newest
from inspector.store.recalls import Affected

ASKED_MAX = 1000
"""Parts that the line takes in one command."""
MARGIN = 50
"""Parts further behind than fit between eye and gate, and these, have passed for certain."""
GateState = Literal["pending", "passed", "unknown", "none"]
WORST: tuple[GateState, ...] = ("unknown", "pending", "passed", "none")


class Heard(Protocol):
    """The line's heartbeat, the newest at each look."""

    @property
    def alive(self) -> bool: ...
    @property
    def body(self) -> Mapping[str, Any]: ...


class Desk(Protocol):
    """Who can ask the line and read its ledger."""

    @property
    def station(self) -> Station: ...
    def history(self) -> AbstractContextManager[History]: ...
    def ask(self, action: Action, args: Mapping[str, Any], principal: Principal) -> Answer: ...


@dataclass(frozen=True, slots=True)
class AtGate:
    """Parts that stand in one row, and where they were."""

    run: Run
    gate: GateState
    """``pending``: before the gate, refused there. ``passed``: gone by. ``unknown``: the line did
    not answer. ``none``: this station has no gate."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """What became of what must not go on."""

    running: bool
    paused: bool
    runs: tuple[AtGate, ...]
    """Parts before the gate."""
    detail: str
    """What did not go well; empty where all did."""

    @property
    def gate(self) -> GateState:
        """The gate's state of all of it together."""
        return "unknown" if self.running and not self.paused else worst(self.runs)


def stop(desk: Desk, beat: Heard, who: Principal, batch: str, reason: str) -> Stopped:
    """If ``batch`` runs, pause the line and refuse what stands before the gate."""
    with desk.history() as history:
        # The heartbeat is up to 200 ms old; the ledger knows a batch that has just begun.
        change = next(iter(history.batch_changes(1)), None)
        begun = change is not None and (change.id, change.action) == (batch, "begin")
        running = begun or (beat.alive and beat.body.get("batch") == batch)
    paused, details = False, list[str]()
    runs: list[AtGate] = []
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
        near = _before_gate(desk, beat, history, batch, running)
        if near is not None:
            runs, detail = refuse(desk, history, who, [near], reason)
            details += [detail] if detail else []
    return Stopped(running, paused, tuple(runs), "; ".join(details))


def stop_all(desk: Desk, beat: Heard, who: Principal, found: Affected, reason: str) -> Stopped:
    """The line is paused if an affected batch runs; what stands before the gate is refused."""
    travel = desk.station.travel
    zone = int(travel.gate_mm / travel.pitch_min_mm) + MARGIN
    with desk.history() as history:
        near = {part.verdict.batch for part in history.last(zone)}
        near |= {change.id for change in history.batch_changes(1)}
    runs: list[AtGate] = []
    running, paused, details = False, False, list[str]()
    for batch in found.batches:
        if batch in near or batch == beat.body.get("batch"):
            stopped = stop(desk, beat, who, batch, reason)
            runs += stopped.runs
            running, paused = running or stopped.running, paused or stopped.paused
            details += [stopped.detail] if stopped.detail else []
    with desk.history() as history:
        said, detail = refuse(desk, history, who, found.runs, reason)
    runs += [one for one in said if one.gate not in ("passed", "none")]
    details += [detail] if detail else []
    return Stopped(running, paused, tuple(runs), "; ".join(dict.fromkeys(details)))


def refuse(
    desk: Desk, history: History, who: Principal, runs: Iterable[Run], reason: str
) -> tuple[list[AtGate], str]:
    """Have the line refuse those of ``runs`` that may stand before its gate; where all were."""
    runs = list(runs)
    if not desk.station.gated:
        return [AtGate(run, "none") for run in runs], ""
    latest = newest(history)
    travel = desk.station.travel
    zone = int(travel.gate_mm / travel.pitch_min_mm) + MARGIN
    said: list[AtGate] = []
    details: list[str] = []
    lost = False
    for run in runs:
        if latest is None or latest.stream != run.stream:
            said.append(AtGate(run, "passed"))
            continue
        certain = min(run.last, latest.sequence - zone)
        if run.first <= certain:
            said.append(AtGate(Run(run.stream, run.first, certain), "passed"))
        for first in range(max(run.first, certain + 1), run.last + 1, ASKED_MAX):
            part = Run(run.stream, first, min(run.last, first + ASKED_MAX - 1))
            if lost:
                said.append(AtGate(part, "unknown"))
                continue
            try:
                args = {"stream": run.stream, "first": part.first, "last": part.last}
                answer = desk.ask(Action.REJECT, args | {"reason": reason}, who)
            except NoAnswer as error:
                lost = True
                details.append(f"{error}; while it is away the gate rejects")
                said.append(AtGate(part, "unknown"))
                continue
            if answer.ok:
                said += _split(part, answer.body)
            else:
                state = _why_not(answer.error)
                said.append(AtGate(part, state))
                details += [answer.error] if state == "unknown" else []
    return said, "; ".join(details)


def worst(runs: Iterable[AtGate]) -> GateState:
    """The gate state of all of them together."""
    states = {one.gate for one in runs}
    return next((state for state in WORST if state in states), "none")


def _before_gate(
    desk: Desk, beat: Heard, history: History, batch: str, running: bool
) -> Run | None:
    """The parts of ``batch`` that may stand between eye and gate."""
    latest = newest(history)
    if latest is None or not desk.station.gated:
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
        figures = beat.body.get("figures", {})
        last = latest.sequence + int(figures.get("parts_in_progress", 0)) + 2
        first = first or latest.sequence + 1
    return Run(latest.stream, first, last) if last else None


def _split(run: Run, answer: Mapping[str, object]) -> list[AtGate]:
    """The line's answer: the parts that it refuses, and those that had gone by."""
    first, last = int(str(answer["first"])), int(str(answer["last"]))
    said = [AtGate(Run(run.stream, first, last), "pending")]
    if run.first < first:
        said.insert(0, AtGate(Run(run.stream, run.first, first - 1), "passed"))
    return said


def _why_not(error: str) -> GateState:
    if "has passed the gate" in error or "is over; parts of it have left" in error:
        return "passed"
    return "none" if "has no gate" in error else "unknown"
