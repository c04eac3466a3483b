"""What belongs to a span: its parts, found by halving, and what the machine did beside them.

Enters: a `History`, a span in UTC ns, or a part. Leaves: runs of part numbers; events. The same few
reads whatever the ledger's size. Within a stream the numbers
grow with time, as PLC and encoder count; the time is the one in the part's id (UUIDv7). Every room
may import this.
"""

from __future__ import annotations

from dataclasses import dataclass

from inspector.part import Verdict
from inspector.store import layout
from inspector.store.holds import Run
from inspector.store.query import History
from inspector.store.records import Event

MARGIN_NS = 1_000_000_000
"""A span is widened by so much at both ends: parts that were late to be recorded have a late id,
and one part too many is looked at, one too few is eaten."""
EDGE = 500
"""Parts at each end of a run that are asked for their batch, at most: more than `MARGIN_NS` holds
at 400 parts/s."""


def runs_spanning(
    history: History, from_ns: int, to_ns: int, batch: str | None = None
) -> list[Run]:
    """The parts that triggered from ``from_ns`` to ``to_ns`` and within `MARGIN_NS` of it.

    Args:
        batch: parts of other batches at the ends are left out.
    """
    low, high = (from_ns - MARGIN_NS) // 1_000_000, (to_ns + MARGIN_NS) // 1_000_000
    found = []
    for stream, name, first, last in _streams(history):
        begin = _first_at(history, stream, first, last, low)
        end = _first_at(history, stream, begin, last, high)
        if begin < end:
            run: Run | None = Run(name, begin, end - 1)
            if batch is not None and run is not None:
                run = _of_batch(history, run, batch)
            if run is not None:
                found.append(run)
    return found


@dataclass(frozen=True, slots=True)
class Told:
    """What the ledger holds of the numbers of a run."""

    verdicts: int
    gated: int
    """Parts of which the gate was told."""
    unheard: int
    """Those of them that it never acknowledged."""


def told_in(history: History, run: Run) -> Told:
    """How many numbers of ``run`` have a verdict, and of how many the gate was told."""
    verdicts = gated = unheard = 0
    with history._bounded(history._line) as line:
        for at in history._streams(line).get(run.stream, ()):
            within = (at, run.first, run.last)
            counted = [
                line.execute(
                    f"SELECT count(DISTINCT sequence) FROM {table}"
                    " WHERE stream = ? AND sequence BETWEEN ? AND ?",
                    within,
                ).fetchone()[0]
                for table in ("verdict", "gate", "unacknowledged")
            ]
            verdicts, gated = verdicts + counted[0], gated + counted[1]
            unheard += counted[2]
    return Told(verdicts, gated, unheard)


def parts_in(history: History, batch: str) -> int:
    """How many parts a batch has, of all modes and outcomes."""
    summary = history.batch(batch)
    return sum(summary.counts.values()) + summary.others


def events_near(history: History, position: int, count: int = 10) -> tuple[Event, ...]:
    """What was recorded of the machine before and after a part: ``count`` events each, oldest
    first."""
    with history._bounded(history._line) as line:
        before = line.execute(
            "SELECT position FROM event WHERE position < ? ORDER BY position DESC LIMIT ?",
            (position, count),
        ).fetchall()
        after = line.execute(
            "SELECT position FROM event WHERE position > ? ORDER BY position LIMIT ?",
            (position, count),
        ).fetchall()
        found = [history._record(line, at) for (at,) in [*before[::-1], *after]]
    return tuple([record for record in found if isinstance(record, Event)])


def _streams(history: History) -> list[tuple[int, str, int, int]]:
    """Each stream's position, name, and lowest and highest number that has a verdict."""
    with history._bounded(history._line) as line:
        found = []
        for name, positions in history._streams(line).items():
            for position in positions:
                ends = line.execute(
                    "SELECT (SELECT min(sequence) FROM verdict WHERE stream = ?1),"
                    " (SELECT max(sequence) FROM verdict WHERE stream = ?1)",
                    (position,),
                ).fetchone()
                if ends[0] is not None:
                    found.append((position, name, *ends))
        return found


def _first_at(history: History, stream: int, first: int, last: int, ms: int) -> int:
    """The lowest number whose part triggered at or after ``ms``; ``last + 1`` if none did."""
    low, high = first, last + 1
    while low < high:
        middle = (low + high) // 2
        known = _triggered(history, stream, middle, last)
        if known is None:
            high = middle
        elif known[1] < ms:
            low = known[0] + 1
        else:
            high = middle
    return low


def _triggered(history: History, stream: int, number: int, last: int) -> tuple[int, int] | None:
    """The first part from ``number`` on that has a verdict: its number, and its time in ms."""
    with history._bounded(history._line) as line:
        row = line.execute(
            "SELECT sequence, position FROM verdict WHERE stream = ? AND sequence BETWEEN ? AND ?"
            " ORDER BY sequence LIMIT 1",
            (stream, number, last),
        ).fetchone()
        if row is None:
            return None
        part_id = layout.fields_of(history._body(line, row[1]))[5]
    return int(row[0]), int.from_bytes(part_id[:6], "big")


def _of_batch(history: History, run: Run, batch: str) -> Run | None:
    first, last = run.first, run.last
    for number in range(run.first, min(run.last, run.first + EDGE) + 1):
        if _batch_at(history, run.stream, number) in (batch, None):
            break
        first = number + 1
    for number in range(run.last, max(first, run.last - EDGE) - 1, -1):
        if _batch_at(history, run.stream, number) in (batch, None):
            break
        last = number - 1
    return Run(run.stream, first, last) if first <= last else None


def _batch_at(history: History, stream: str, number: int) -> str | None:
    with history._bounded(history._line) as line:
        for at in history._streams(line).get(stream, ()):
            row = line.execute(
                "SELECT position FROM verdict WHERE stream = ? AND sequence = ?", (at, number)
            ).fetchone()
            if row is not None:
                record = history._record(line, row[0])
                return record.batch if isinstance(record, Verdict) else None
    return None
