"""What was just put on hold and has passed the gate is shown to the operator, who can still find
it.

Enters: the desk's dispositions. Leaves: an alarm on the line's screens that names the parts and the
reason, until somebody has acknowledged it or the parts are disposed of. ``app.py`` runs it. A batch
on hold needs none: its line is paused, which nobody overlooks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from inspector.display import AlarmCode
from inspector.identity import Action, Principal, Role
from inspector.plant.desk import Desk
from inspector.plant.tasks import look
from inspector.store.holds import Run
from inspector.store.pages import newest

log = structlog.get_logger()

ME = Principal("plant", frozenset({Role.SYSTEM}))
LOOK_S = 1.0
RECENT_NS = 600_000_000_000
"""A part is looked for as long as it may still stand behind the gate; then it is with the goods."""
SHOWN = 3
DETAIL_MAX = 180


@dataclass(frozen=True, slots=True)
class Held:
    """What is to be shown."""

    position: int
    """Of the newest decision."""
    detail: str


class Holding:
    """Looks again and again. One process of a station has it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._seen = -1
        """Decisions up to this position at the desk have been acknowledged."""
        self._told = Held(-1, "")

    async def run(self) -> None:
        """Until cancelled."""
        await look(self.step, "what is on hold is not shown", LOOK_S)

    def step(self) -> None:
        """Show what is new, or take away what nobody looks for any more. Raises ``NoAnswer``."""
        if not self._desk.heartbeat.alive:
            return
        shown = [a for a in self._desk.heartbeat.body.get("alarms", ())
                 if a["code"] == AlarmCode.ON_HOLD]  # fmt: skip
        if any(alarm.get("acknowledged") for alarm in shown):
            self._seen = self._told.position
        held = self._held()
        if held.detail and (held != self._told or not shown):
            self._announce(held.detail, True)
        elif shown and not held.detail:
            self._announce("", False)
        self._told = held

    def _held(self) -> Held:
        holds, since_ns = self._desk.holds, time.time_ns() - RECENT_NS
        with self._desk.history() as history:
            last = newest(history)
        if last is None:
            return Held(-1, "")
        standing = []
        reason, newest_position = "", -1
        for one in holds.standing(limit=50):
            run = one.run
            if run is None or run.stream != last.stream or run.first > last.sequence:
                continue
            if one.position <= self._seen:
                break
            record = holds.record(one.position)
            if record.utc_ns < since_ns:
                break
            if has_passed(record.body, run):
                standing.append(run)
                if newest_position < 0:
                    newest_position, reason = one.position, str(record.body.get("reason", ""))
        return Held(newest_position, said(standing, reason) if standing else "")

    def _announce(self, detail: str, on: bool) -> None:
        args = {"code": AlarmCode.ON_HOLD, "on": on, "detail": detail}
        answer = self._desk.ask(Action.ANNOUNCE, args, ME)
        if not answer.ok:
            log.error("the line does not show what is on hold", why=answer.error)


def has_passed(body: Mapping[str, Any], held: Run) -> bool:
    """Whether parts on hold are beyond the gate, as far as the decision's record says: those that
    were refused in time lie in the bin."""
    answer = body.get("answer")
    runs = answer.get("runs") if isinstance(answer, Mapping) else None
    if not runs:
        return bool(body.get("gate") != "pending")
    return any(
        run["gate"] != "pending" and run["stream"] == held.stream
        and run["first"] <= held.last and run["last"] >= held.first
        for run in runs
    )  # fmt: skip


def said(held: Sequence[Run], reason: str) -> str:
    """``17, 20 to 24: overfilled``: the parts of the newest decisions, and why of the newest."""
    runs = sorted((run.first, run.last) for run in held[:SHOWN])
    parts = ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in runs)
    more = " …" if len(held) > SHOWN else ""
    return f"{parts}{more}: {reason}"[:DETAIL_MAX]
