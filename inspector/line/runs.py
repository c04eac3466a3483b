"""A part counter that begins anew: what the line does with what came before, and what it missed.

Enters: the line, and the PLC's first word of a run. Leaves: a stream of records, errors for parts
that nobody looked at, refusals for those that stand before the gate. Imports ``restart.py``, which
asks the ledger, and the line's nouns; ``line.py`` calls it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain
from typing import Any, Protocol

from inspector.display import AlarmCode
from inspector.line.alarms import Alarms
from inspector.line.changeover import Plan
from inspector.line.counters import Reconciler
from inspector.line.gate import Gate
from inspector.line.matching import Candidate, Matching
from inspector.line.owed import Span
from inspector.line.periods import Periods
from inspector.line.restart import (
    AWAY,
    BACKFILL,
    MOST,
    Count,
    Gap,
    challenged,
    count_of,
    gap_before,
    left_open,
    parts_of,
    rejected,
    run_before,
    split,
    undecided,
)
from inspector.line.tracking import Update
from inspector.line.verdicts import Verdicts, stream_of
from inspector.part import Outcome, Part
from inspector.registers import Action, GateReason, PlcStatus
from inspector.store import LineLedger

FORGOTTEN = "the PLC had forgotten its trigger before it was read"
FELL = "the PLC's part counter fell back, and its run did not change"


class Line(Protocol):
    """What this needs of the line."""

    run: int | None
    stream: str
    fell: tuple[int, int] | None
    ledger: LineLedger
    matching: Matching
    verdicts: Verdicts
    plan: Plan
    periods: Periods
    alarms: Alarms
    gate: Gate
    reconciler: Reconciler

    def new_part(self, number: int) -> Part: ...

    def conclude(
        self, candidate: Candidate, outcome: Outcome, reasons: tuple[str, ...]
    ) -> None: ...


def begin(line: Line, status: PlcStatus, update: Update, at_ns: int) -> None:
    """The part counter began anew, or this is the first word of the PLC.

    A counter that fell back in its run has a stream of its own, in which each part is an error and
    is rejected until the PLC draws a new run. Decisions name run and part, so a permit for a part
    of this count could be taken for one of the count before which the PLC still tracks; and a PLC
    that has forgotten what it acknowledged takes the old permits from the block once more.
    """
    for candidate in list(line.matching.parts.values()):
        if candidate.triggered:
            line.conclude(candidate, Outcome.ERROR, ("the PLC counts anew",))
    line.gate.refuse(status.run, update.stood, GateReason.TRACKING)
    if line.run == status.run:
        known = Count(line.stream, line.fell)
    else:
        known = count_of(line.ledger, stream_of(status.run))
    count = known.at(line.ledger, status.part_counter)
    first_word = line.run is None
    line.run, line.fell = status.run, count.fell
    line.verdicts.count(status.run, count.stream)
    open_stream(line, count.stream, status.part_counter)
    line.reconciler.begin(status)
    line.alarms.holds(AlarmCode.COUNTER_FELL, bool(count.fell), _what_fell(count))
    more: dict[str, Any] = {"fell": count.fell} if count.fell else {}
    gap = gap_before(line.ledger, line.stream, status.part_counter)
    if update.fell is not None and count != known:
        more["first"] = first = status.part_counter - update.fell + 1
        gap = Gap([range(first, status.part_counter + 1)], update.fell, 0)
    unseen = 0 if gap.recorded else sum(map(len, gap.spans))
    job = line.plan.at(status.part_counter + 1 - unseen)
    line.periods.open(line.stream, status, job.batch.id, unseen, at_ns)
    for first, planned in line.plan.jobs[1:]:
        if first > status.part_counter - unseen:
            line.periods.begin(planned.batch.id, first, "batch", "line")
    line.ledger.add_event(
        "stream_opened", "line", stream=line.stream, authority="plc",
        counter=status.part_counter, recorded_up_to=gap.recorded,
        unobserved=gap.unobserved, **more,
    )  # fmt: skip
    if silent := undecided(line.ledger, line.stream, gap.recorded):
        line.ledger.add_event("gate_unknown", "line", stream=line.stream, parts=silent)
    if gap.unobserved:
        line.alarms.happened(AlarmCode.COUNT_MISMATCH, f"{gap.unobserved} parts are not on record")
    backfill(line, gap.spans, FELL if count.fell else AWAY)
    if first_word and (before := run_before(line.ledger, line.stream)):
        owe(line, before, left_open(line.ledger, before), AWAY)
    # What passed its inspection before stands somewhere now; nobody watched it.
    far_ns = time.monotonic_ns() + 1_000_000_000
    standing = [n for n in update.refused if not any(n in span for span in gap.spans)]
    for number, part_id in parts_of(line.ledger, line.stream, standing).items():
        line.verdicts.remember(line.stream, number, part_id)
    for number in standing:
        line.gate.decide(status.run, number, Action.REVOKE, GateReason.TRACKING, far_ns)
    line.gate.refuse(status.run, update.refused, GateReason.TRACKING)
    if ahead := rejected(line.ledger, line.stream, status.part_counter):
        line.gate.refuse(status.run, ahead, GateReason.COMMAND)
    line.plan.challenged = challenged(line.ledger, line.stream, status.part_counter)


def _what_fell(count: Count) -> str:
    if count.fell is None:
        return ""
    before, after = count.fell
    return (
        f"the part counter fell back from {before} to {after} in the same run; restart the PLC, or"
        " have its program draw a new run"
    )


def open_stream(line: Line, stream: str, counter: int) -> None:
    """Parts are counted from ``counter`` on, in ``stream``; nothing before it counts any more."""
    line.stream = stream
    line.matching.open(counter, time.monotonic_ns())
    line.plan.renumber(stream)
    line.verdicts.forget_run()


def backfill(line: Line, spans: Sequence[range], why: str) -> None:
    """An ``error`` for each number of ``spans``, whose parts nobody looked at, or nobody could
    record: for the newest at once, for the others as ``watch.py`` comes to them."""
    older, newest = split(spans, BACKFILL)
    owe(line, line.stream, older, why)
    now_ns = time.monotonic_ns()
    for number in chain.from_iterable(newest):
        part = line.new_part(number)
        part.deadline_ns = now_ns + 1_000_000_000
        line.conclude(Candidate(part, triggered=True), Outcome.ERROR, (why,))


def owe(line: Line, stream: str, spans: Sequence[range], why: str) -> None:
    """An ``error`` for each number of ``spans`` as ``watch.py`` comes to them: none of them stands
    before the gate any more."""
    oldest, later = split(spans, MOST)
    if oldest:
        body = {"first": oldest[0].start, "last": oldest[-1].stop - 1}
        parts = sum(map(len, oldest))
        line.ledger.add_event("unobserved", "line", stream=stream, parts=parts, **body)
    for span in later:
        here = stream == line.stream
        for numbers, planned in line.plan.over(span) if here else [(span, line.plan.newest)]:
            mode = line.new_part(numbers.start).mode
            line.verdicts.owed.add(Span(stream, numbers, planned, mode, why))
