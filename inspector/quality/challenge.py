"""Seeded defects are fed to the running line: when one is due, and what came of it.

Enters: the ledger's records in their order, the time. Leaves: whether a challenge is due, the
result of each, and which parts must be held when one fails: everything since the last good one. No
I/O: ``process.py`` feeds it and acts.

A challenge is a window of as many parts as there are seeded defects, in their order, asked for by
the line's command ``challenge``. Each must be judged a reject, for the defect it carries, and the
gate must have acknowledged the reject. A part that could not be judged makes it inconclusive: it
counts as none, and is repeated.

Between a failure and the line's stop some parts go by, judged by what has just failed: they are
held as soon as the line says where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from inspector.config import Challenge
from inspector.display import AlarmCode
from inspector.part import GateAction, GateDecision, Mode, Outcome, Verdict
from inspector.store import BatchChange, Event
from inspector.store.judged import Judged, judged
from inspector.store.records import Record

KIND = "challenge"
"""Of the desk's records."""
GOOD, FAILED, INCONCLUSIVE, MISSED = "good", "failed", "inconclusive", "missed"
STOPPED = "stopped"
"""No result of its own: the line has stopped for one, and what went by meanwhile is held too."""
WAIT_NS = 60_000_000_000
"""A window that is not complete after this long is inconclusive."""
MINUTE_NS = 60_000_000_000
LET_THROUGH = frozenset({Mode.AUTO, Mode.BYPASS, Mode.REINSPECT})
"""Modes in which a part may reach the good side: a challenge answers for it, also where it came
back and production counts it no second time."""


Runs = dict[str, tuple[int, int]]
"""First and last part by stream."""


@dataclass(slots=True)
class Window:
    """The parts of one challenge."""

    stream: str
    first: int
    last: int
    asked_by: str
    opened_ns: int
    """UTC."""
    batch: str
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    gates: dict[int, GateDecision] = field(default_factory=dict)
    behind: Runs = field(default_factory=dict)
    """What was made behind it, of each stream, before its result: the next one answers for it."""
    parts_behind: int = 0

    @property
    def complete(self) -> bool:
        """Whether each part has its verdict, and its word to the gate."""
        wanted = range(self.first, self.last + 1)
        return all(n in self.verdicts and n in self.gates for n in wanted)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one."""

    result: str
    """``good``, ``failed``, ``inconclusive``, ``missed``: not done although it was due, or
    ``stopped``."""
    why: str
    batch: str
    body: dict[str, Any]
    """For the desk's record."""
    hold: list[tuple[str, int, int]]
    """Stream, first and last number of what must be held."""

    @property
    def window(self) -> tuple[str, int] | None:
        """Stream and first part of the window that was inconclusive."""
        return window_of(self.body) if self.result == INCONCLUSIVE else None


class Challenges:
    """One station's."""

    def __init__(self, plan: Challenge, gated: bool = True) -> None:
        """``gated``: whether the station has a gate whose word counts."""
        self._plan, self._gated = plan, gated
        self.window: Window | None = None
        self.batch = ""
        self.parts = 0
        """Parts that might go through since the last good challenge."""
        self.since_ns = 0
        """When the first of these was made: before it there was nothing to answer for."""
        self.due_ns = 0
        """Since when one is due; 0: none is."""
        self.why = ""
        """Why it is due."""
        self._after: Runs = {}
        self._over: Window | None = None
        """The window that ran out, whose parts may still come."""
        self._failed = ""
        """Why the last one failed, until the line has stopped for it."""
        self._held: dict[str, int] = {}
        """The last number that was held for it, by stream."""

    def resume(self, body: Mapping[str, Any]) -> None:
        """Go on behind the newest result that is on record (`Result.body`), or behind the sheet of
        a first article that counts as one."""
        self.good(int(body.get("at_utc_ns") or 0))
        if body.get("result") == GOOD:
            for stream, first, last in body.get("behind", ()):
                _widen(self._after, stream, first, last)
            self.parts = int(body.get("parts_behind", 0))
        elif hold := body.get("hold"):
            self._failed = str(body.get("why", ""))
            self._hold(hold)

    @property
    def unstopped(self) -> str:
        """Why the line must stop; empty where nothing failed, or it has stopped for it."""
        return self._failed

    def good(self, utc_ns: int) -> None:
        """One went well, as part of a first article or by itself."""
        self._after.clear()
        self.parts, self.since_ns, self.due_ns, self.why = 0, utc_ns, 0, ""

    def clock_set(self, by_ns: int) -> None:
        """UTC was set, by so much: no more time has gone by than before."""
        self.since_ns += by_ns
        if self.due_ns:
            self.due_ns += by_ns
        if self.window is not None:
            self.window.opened_ns += by_ns

    def record(self, record: Record | Judged) -> Result | None:
        """The next record of the line's ledger; the challenge that it ends."""
        if isinstance(record, Judged):
            self._production(record)
        elif isinstance(record, Event) and record.kind == "command":
            if ended := self._stop(record) or self._command(record):
                return ended
        elif isinstance(record, Event) and record.kind == "challenge_due":
            # The line asks for one: another release judges from now on, or the one before it.
            self._due(record.utc_ns, str(record.body.get("why", "")))
        elif isinstance(record, BatchChange):
            self._batch(record)
        elif isinstance(record, Verdict):
            if record.mode in LET_THROUGH:
                self._production(judged(record))
            elif self._inside(record.stream, record.sequence) or self._late(record):
                assert self.window is not None
                self.window.verdicts[record.sequence] = record
                if not self._gated:
                    self._heard(record)
        elif isinstance(record, GateDecision) and self._inside(record.stream, record.sequence):
            assert self.window is not None
            self.window.gates[record.sequence] = record
        if self.window is not None and self.window.complete:
            return self._conclude(self.window)
        return None

    def at(self, utc_ns: int) -> Result | None:
        """It is ``utc_ns`` now: one may be due, or overdue, or its window may have run out."""
        # Of a clock that was set back the past lies ahead: nothing would be due until it is over.
        self.since_ns, self.due_ns = min(self.since_ns, utc_ns), min(self.due_ns, utc_ns)
        if self.window is not None:
            self.window.opened_ns = min(self.window.opened_ns, utc_ns)
            if utc_ns - self.window.opened_ns > WAIT_NS:
                window = self.window
                ended = self._conclude(window)
                self._over = window if ended.result == INCONCLUSIVE else None
                return ended
            return None
        every_ns = self._plan.every_minutes * MINUTE_NS
        if not self.due_ns and every_ns and self.parts and utc_ns - self.since_ns >= every_ns:
            why = f"{self._plan.every_minutes:g} minutes are over"
            self._due(self.since_ns + round(every_ns), why)
        if self.due_ns and utc_ns - self.due_ns >= self._plan.grace_minutes * MINUTE_NS:
            why = f"a challenge was due ({self.why}) and was not done in time"
            return self._result(MISSED, why, [], utc_ns)
        return None

    def state(self) -> dict[str, Any]:
        """For pages."""
        return {
            "due": self.why if self.due_ns else "",
            "due_utc_ns": self.due_ns,
            "parts_since": self.parts,
            "since_utc_ns": self.since_ns,
            "window": [self.window.first, self.window.last] if self.window else [],
            "seeded": [{"name": s.name, "label": s.label} for s in self._plan.seeded],
        }

    def _command(self, event: Event) -> Result | None:
        """One is asked for; what came of the one before it, if that was not over."""
        body: Mapping[str, Any] = event.body
        result = body.get("result") or {}
        if body.get("command") != "challenge" or "from" not in result:
            return None
        ended = self._conclude(self.window, replaced=True) if self.window is not None else None
        self._over = None
        self.window = Window(
            str(result["stream"]), int(result["from"]), int(result["to"]), event.principal,
            event.utc_ns, self.batch,
        )  # fmt: skip
        return ended

    def _late(self, verdict: Verdict) -> bool:
        """Whether this is a part of the window that ran out: the line stood, and its parts come
        now. What becomes of them is no less a result."""
        over = self._over
        if self.window is not None or over is None or verdict.mode is not Mode.CHALLENGE:
            return False
        self.window = over
        if not self._inside(verdict.stream, verdict.sequence):
            self.window = None
            return False
        self._over, over.opened_ns = None, verdict.times.utc_ns
        return True

    def _stop(self, event: Event) -> Result | None:
        """The line has stopped for a failure: what went by between the two."""
        result = event.body.get("result") or {}
        if result.get("code") != AlarmCode.CHALLENGE_FAILED or "upto" not in result:
            return None
        stream, upto = str(result["stream"]), int(result["upto"])
        held = self._held.get(stream, upto)
        if upto > held:
            _widen(self._after, stream, held + 1, upto)
        hold = [(s, first, last) for s, (first, last) in sorted(self._after.items())]
        why = f"{self._failed or 'failed'}, until the line stopped"
        self._failed, self._held = "", {}
        self.good(event.utc_ns)
        return Result(STOPPED, why, self.batch, {}, hold) if hold else None

    def _batch(self, change: BatchChange) -> None:
        if change.action == "begin":
            self.batch = change.id
        elif self._plan.at_batch_end and self.parts:
            self._due(change.utc_ns, f"batch {change.id} ended")

    def _production(self, part: Judged) -> None:
        stream, number, window = part.job.stream, part.sequence, self.window
        self.batch = part.job.batch
        if window is not None and (stream != window.stream or number > window.last):
            _widen(window.behind, stream, number, number)
            window.parts_behind += 1
        else:
            _widen(self._after, stream, number, number)
        if not self.parts:
            self.since_ns = part.utc_ns
        self.parts += 1
        if self._plan.every_parts and self.parts >= self._plan.every_parts and not self.due_ns:
            self._due(part.utc_ns, f"{self._plan.every_parts} parts are made")

    def _due(self, utc_ns: int, why: str) -> None:
        if not self.due_ns:
            self.due_ns, self.why = utc_ns, why

    def _inside(self, stream: str, number: int) -> bool:
        window = self.window
        return window is not None and window.stream == stream and (
            window.first <= number <= window.last
        )  # fmt: skip

    def _heard(self, verdict: Verdict) -> None:
        assert self.window is not None
        self.window.gates[verdict.sequence] = GateDecision(
            verdict.part_id, verdict.stream, verdict.sequence, GateAction.REJECT, "", 1, 1
        )

    def _conclude(self, window: Window, replaced: bool = False) -> Result:
        self.window = None
        seeded, tried, result, why = self._plan.seeded, [], GOOD, ""
        numbers = range(window.first, window.last + 1)
        if len(numbers) != len(seeded):
            result, why = INCONCLUSIVE, f"{len(numbers)} parts for {len(seeded)} seeded defects"
        for number, wanted in zip(numbers, seeded, strict=False):
            verdict, gate = window.verdicts.get(number), window.gates.get(number)
            found, said = _judged(verdict, gate, wanted.label, replaced)
            tried.append({
                "name": wanted.name, "label": wanted.label, "number": number, "result": found,
                "why": said, "part": str(verdict.part_id) if verdict else "",
            })  # fmt: skip
            if found == FAILED and result != FAILED:
                result, why = FAILED, f"{wanted.name}: {said}"
            elif found == INCONCLUSIVE and result == GOOD:
                result, why = INCONCLUSIVE, f"{wanted.name}: {said}"
        newest = max((v.times.utc_ns for v in window.verdicts.values()), default=window.opened_ns)
        if result != GOOD:
            for stream, (first, last) in window.behind.items():
                _widen(self._after, stream, first, last)
        concluded = self._result(result, why, tried, newest, window)
        if result == GOOD:
            self._after, self.parts = window.behind, window.parts_behind
        return concluded

    def _hold(self, runs: Iterable[tuple[str, int, int]]) -> None:
        for stream, _, last in runs:
            self._held[stream] = max(last, self._held.get(stream, last))

    def _result(
        self, result: str, why: str, tried: list[dict[str, Any]], utc_ns: int,
        window: Window | None = None,
    ) -> Result:  # fmt: skip
        bad = result in (FAILED, MISSED)
        hold = [(s, first, last) for s, (first, last) in sorted(self._after.items())] if bad else []
        if bad and window is not None:  # the seeded parts themselves may lie on the good side
            hold.append((window.stream, window.first, window.last))
        if hold:
            self._failed = why
            self._hold(hold)
        body = {
            "result": result, "why": why, "batch": self.batch, "parts": tried,
            "since_good": self.parts, "asked_by": window.asked_by if window else "",
            "stream": window.stream if window else "", "due": self.why, "at_utc_ns": utc_ns,
            "behind": [[s, *run] for s, run in sorted(window.behind.items())] if window else [],
            "parts_behind": window.parts_behind if window else 0,
            "hold": [list(run) for run in hold],
        }  # fmt: skip
        if result == GOOD or bad:
            # What a failure covers is on hold; the next parts are answered for by the next test.
            self.good(utc_ns)
        elif self.parts:  # asked for or due: what was made goes on waiting for it
            self._due(utc_ns, f"repeat it: {why}")
        return Result(result, why, self.batch, body, hold)


def window_of(body: Mapping[str, Any]) -> tuple[str, int] | None:
    """Stream and first part of a result's window, as it was recorded."""
    parts = body.get("parts") or ()
    return (str(body.get("stream")), int(parts[0]["number"])) if parts else None


def _widen(runs: Runs, stream: str, first: int, last: int) -> None:
    low, high = runs.get(stream, (first, last))
    runs[stream] = min(low, first), max(high, last)


def _judged(
    verdict: Verdict | None, gate: GateDecision | None, label: str, replaced: bool
) -> tuple[str, str]:
    """What came of a seeded part, and why. ``replaced``: nobody waits for it any more."""
    if replaced and (verdict is None or (gate is None and verdict.outcome is Outcome.REJECT)):
        return INCONCLUSIVE, "another one began before it was over"
    if verdict is None or verdict.outcome is Outcome.ERROR:
        return INCONCLUSIVE, verdict.reasons[0] if verdict and verdict.reasons else "no part came"
    if verdict.outcome is not Outcome.REJECT:
        return FAILED, "it was not rejected"
    if label and not any(f.label == label and not f.ok for f in verdict.findings):
        return FAILED, f"rejected, but not for {label!r}: {verdict.reasons[0]}"
    if gate is None or gate.action is GateAction.PERMIT:
        return FAILED, "the gate was not told to reject it"
    if not gate.acknowledged_ns:
        return FAILED, "the gate never acknowledged the reject"
    return GOOD, verdict.reasons[0] if verdict.reasons else ""
