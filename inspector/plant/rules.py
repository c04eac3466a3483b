"""Rules: a defect that comes too often acts on the process by itself (S10).

Enters: the verdicts as they are recorded, and the station file's rules. Leaves, for each rule that
fires: one desk record of kind ``rule``, which the webhooks carry out, and commands to the line: a
process output of the PLC, a pause, a hold. ``app.py`` runs it; the line obeys and records on its
own, and nothing here makes it wait.

A rule fires once for a set of parts: what it counted is forgotten then. After a restart it goes on
where it was; what happened long before is counted and recorded, but acts no more.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from uuid import uuid4

import structlog

from inspector.bus import NoAnswer
from inspector.config import Rule
from inspector.identity import Action, Principal, Role
from inspector.part import Mode, Outcome, Verdict
from inspector.plant.desk import Desk
from inspector.plant.events import RULE
from inspector.plant.outbox import Outbox
from inspector.plant.rejects import isolate
from inspector.plant.requests import Done, Once
from inspector.plant.tasks import look
from inspector.store import StoreError
from inspector.store.pages import tail

log = structlog.get_logger()

LOOK_S = 0.1
KEEP_S = 5.0
"""How often the place is kept; each time costs an fsync."""
PORTION = 200
BEHIND = 20_000
"""Records before the place of a restart that are read again, to know what was counted."""
FRESH_NS = 30_000_000_000
"""What is older acts on nothing: the process is another by now."""
READER = "rules"
"""Its name among those who remember how far they have read."""
TRIES_S = (0.1, 0.5, 2.0)
"""Waits between the attempts to record that a rule fired, while the disk does not answer."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule, and the parts that made it fire, oldest first."""

    rule: Rule
    parts: tuple[Verdict, ...]
    position: int
    """Of the last part's verdict in the line's ledger."""

    @property
    def why(self) -> str:
        """In words."""
        rule = self.rule
        span = f"{rule.within_parts} parts" if rule.within_parts else f"{rule.within_s:g} s"
        label = "faulty" if rule.label == "*" else rule.label
        return f"{len(self.parts)} {label} in {span}"


class Watch:
    """Counts the faulty parts of one rule. No I/O."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._met: deque[Verdict] = deque()

    def take(self, position: int, verdict: Verdict) -> Fired | None:
        """Whether this part makes the rule fire."""
        if verdict.mode is not Mode.AUTO or not self._matches(verdict):
            return None
        self._met.append(verdict)
        while not self._near(self._met[0], verdict):
            self._met.popleft()
        if len(self._met) < self.rule.count:
            return None
        fired = Fired(self.rule, tuple(self._met), position)
        self._met.clear()
        return fired

    def _matches(self, verdict: Verdict) -> bool:
        rule = self.rule
        if verdict.outcome not in (Outcome.REJECT, Outcome.ERROR):
            return False
        if (rule.label, rule.tool, rule.severity) == ("*", "*", None):
            return True  # also one that could not be judged
        return any(
            not finding.ok
            and fnmatchcase(finding.label, rule.label)
            and fnmatchcase(finding.tool, rule.tool)
            and rule.severity in (None, finding.severity)
            for finding in verdict.findings
        )

    def _near(self, first: Verdict, last: Verdict) -> bool:
        if self.rule.within_parts is not None:
            apart = last.sequence - first.sequence
            return first.stream == last.stream and 0 <= apart < self.rule.within_parts
        # Of a clock that was set back the parts before lie ahead: they are as far away.
        seconds = abs(last.times.utc_ns - first.times.utc_ns) / 1e9
        return self.rule.within_s is not None and seconds <= self.rule.within_s


class Rules:
    """All rules of a station at work, in the plant process."""

    def __init__(
        self,
        desk: Desk,
        rules: Sequence[Rule],
        outbox: Outbox,
        utc_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._desk, self._outbox, self._utc_ns = desk, outbox, utc_ns
        self._watches = [Watch(rule) for rule in rules]
        self._line: int | None = None
        self._place: int | None = None
        """How far it is kept that it has come."""
        self._owed: list[Fired] = []
        """Rules that fired and are not on record yet."""
        self._kept = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        await look(self.step, "rules wait", LOOK_S)

    def step(self) -> int:
        """Look once at what has been recorded; how many rules fired."""
        if self._line is None:
            self._line = self._resume()
        count = self._fire_owed()
        with self._desk.history() as history:
            records, end = tail(history, self._line, PORTION)
        # All of it is counted, once, before anything is done: what fails is done later.
        self._owed += [f for position, record in records for f in self._met(position, record)]
        self._line = end
        count += self._fire_owed()
        # What is read again after a restart fires nothing twice: its key is known at the desk.
        if end != self._place and (count or time.monotonic() - self._kept > KEEP_S):
            self._outbox.read(READER, end, -1)
            self._place, self._kept = end, time.monotonic()
        return count

    def _fire_owed(self) -> int:
        count = 0
        while self._owed:
            self._fire(self._owed[0])
            del self._owed[0]
            count += 1
        return count

    def _resume(self) -> int:
        """Where it was; what it had counted then is counted again."""
        with self._desk.history() as history:
            size = history.size()
            known = self._outbox.place(READER)
            if known is None:
                self._outbox.read(READER, size - 1, -1)
                return size - 1
            place = min(known[0], size - 1)
            at = max(-1, place - BEHIND)
            while at < place:
                records, at = tail(history, at, PORTION)
                for position, record in records:
                    if position <= place:
                        self._met(position, record)
        return place

    def _met(self, position: int, record: Any) -> list[Fired]:
        if not isinstance(record, Verdict):
            return []
        found = (watch.take(position, record) for watch in self._watches)
        return [fired for fired in found if fired is not None]

    def _fire(self, fired: Fired) -> None:
        rule = fired.rule
        principal = Principal(f"rule-{rule.name}", frozenset({Role.SYSTEM}))
        # The same parts fire the same rule once, also when the process ended in between.
        key = f"{rule.name}-{fired.position}"
        asked = {"rule": rule.name, "position": fired.position}
        for wait_s in (*TRIES_S, None):
            try:
                self._desk.requests.once(
                    Once(principal, key, asked), lambda: self._act(principal, fired)
                )
            except StoreError as error:
                if wait_s is None:
                    raise
                log.error("a rule's record waits for the disk", rule=rule.name, why=str(error))
                time.sleep(wait_s)
            else:
                log.warning("a rule fired", rule=rule.name, why=fired.why)
                return

    def _act(self, principal: Principal, fired: Fired) -> Done:
        rule, last = fired.rule, fired.parts[-1]
        did: dict[str, str] = {}
        if self._utc_ns() - last.times.utc_ns <= FRESH_NS:
            did = self._switched(principal, fired)
        elif rule.output or rule.act != "none":
            did["late"] = "these parts are long gone: nothing was switched or stopped"
        record: dict[str, Any] = {
            "rule": rule.name,
            "why": fired.why,
            "label": rule.label,
            "batch": last.batch,
            "parts": [_part(verdict) for verdict in fired.parts],
            "did": did,
        }
        if rule.maintenance:
            record["maintenance"] = {
                "order": str(uuid4()),
                "text": rule.maintenance,
                "station": self._desk.station.station,
                "line": self._desk.station.line,
            }
        return Done(RULE, 201, {"id": str(uuid4())}, record)

    def _switched(self, principal: Principal, fired: Fired) -> dict[str, str]:
        """What was switched and stopped, and how it went."""
        rule, batch, did = fired.rule, fired.parts[-1].batch, {}
        if rule.output is not None:
            args = {"output": rule.output, "seconds": rule.output_s, "reason": fired.why}
            did["output"] = self._ask(Action.SET_OUTPUT, args, principal, str(rule.output))
        if rule.act == "pause":
            did["pause"] = self._ask(Action.PAUSE, {"reason": fired.why}, principal, "paused")
        if rule.act == "hold":
            held = isolate(self._desk, principal, batch, fired.why, rule.name, RULE)
            did["hold"] = held.answer.get("detail") or "the batch is on hold, the line is paused"
            asked = Once(principal, None, {"rule": rule.name, "hold": batch})
            self._desk.requests.once(asked, lambda: held)
        return did

    def _ask(self, action: Action, args: Any, principal: Principal, done: str) -> str:
        try:
            answer = self._desk.ask(action, args, principal)
        except NoAnswer as error:
            return f"not done: {error}"
        return done if answer.ok else f"refused: {answer.error}"


def _part(verdict: Verdict) -> dict[str, Any]:
    return {
        "id": str(verdict.part_id),
        "stream": verdict.stream,
        "sequence": verdict.sequence,
        "serial": verdict.serial,
        "reasons": list(verdict.reasons),
    }
