"""What belongs to a span: its parts, found by halving, and what the machine did beside them.

Enters: a `History`, a span in UTC ns, or a part. Leaves: runs of part numbers; events. The same few
reads whatever the ledger's size; a span's parts are counted too, 50 ms a million. Within a stream
the numbers grow with time, as PLC and encoder count; the time is the one in the part's id (UUIDv7).
Where that is not so, because a clock was set back, the count tells. Every room may import this.
"""

from __future__ import annotations

from dataclasses import dataclass

from inspector.part import Verdict
from inspector.store.cursor import batch_span
from inspector.store.genealogy import joined
from inspector.store.holds import Run
from inspector.store.query import History
from inspector.store.records import Event
from inspector.store.rows import part_prefix
from inspector.store.skim import verdict_keys, verdict_ms
from inspector.store.stretch import onwards

MARGIN_NS = 1_000_000_000
"""A span is widened by so much at both ends: parts that were late to be recorded have a late id,
and one part too many is looked at, one too few is eaten."""
SPAN_MAX = 200_000
"""Parts of one span that is asked for to the millisecond: more than two hours at 25 parts/s."""
PORTION, LOOKED = 200_000, 5_000
"""Parts that are counted, or looked at, in one question."""
_OF_RUN = (
    "SELECT count(*), sum(position), max(sequence) FROM (SELECT sequence, position FROM verdict"
    " WHERE stream = ? AND sequence BETWEEN ? AND ? ORDER BY sequence LIMIT ?)"
)
_OF_SPAN = (
    "SELECT count(*), sum(position), max(prefix) FROM (SELECT prefix, position FROM part"
    " WHERE prefix BETWEEN ? AND ? ORDER BY prefix LIMIT ?)"
)
EDGE = 500
"""Parts at each end of a run that are asked for their batch, at most: more than `MARGIN_NS` holds
at 400 parts/s."""


class TooMany(ValueError):
    """The span holds more parts than one question may have."""


def runs_spanning(
    history: History, from_ns: int, to_ns: int, batch: str | None = None
) -> list[Run]:
    """The parts that triggered from ``from_ns`` to ``to_ns`` and within `MARGIN_NS` of it.

    Args:
        batch: parts of other batches at the ends are left out.
    """
    return _runs(history, *_ms(from_ns - MARGIN_NS, to_ns + MARGIN_NS), batch)


def runs_of_batch(history: History, batch: str, from_ns: int, to_ns: int) -> list[Run]:
    """The parts of ``batch`` alone in such a span: where others were made before it went on, each
    part is looked at."""
    with history.line() as line:
        mixed = line.execute(
            "SELECT 1 FROM batch WHERE id <> ?1 AND position BETWEEN"
            " (SELECT min(position) FROM batch WHERE id = ?1)"
            " AND (SELECT max(position) FROM batch WHERE id = ?1) LIMIT 1",
            (batch,),
        ).fetchone()
    if mixed is None:
        return runs_spanning(history, from_ns, to_ns, batch)
    low, high = _ms(from_ns - MARGIN_NS, to_ns + MARGIN_NS)
    return _one_by_one(history, _prefix(low), _prefix(high) - 1, batch)


def runs_between(history: History, from_ns: int, to_ns: int) -> list[Run]:
    """The parts that triggered from ``from_ns`` (included) to ``to_ns`` (not), in UTC ns by the
    station's clock to the millisecond.

    Raises:
        TooMany: more than ``SPAN_MAX`` parts.
    """
    low, high = _ms(from_ns, to_ns)
    with history.line() as line:
        (count,) = line.execute(
            "SELECT count(*) FROM (SELECT 1 FROM part WHERE prefix >= ? AND prefix < ? LIMIT ?)",
            (_prefix(low), _prefix(high), SPAN_MAX + 1),
        ).fetchone()
    if count > SPAN_MAX:
        raise TooMany(f"more than {SPAN_MAX} parts in this time; ask for less")
    return _runs(history, low, high, None)


def _ms(from_ns: int, to_ns: int) -> tuple[int, int]:
    return max(0, from_ns) // 1_000_000, max(0, to_ns) // 1_000_000


def _prefix(ms: int) -> int:
    return part_prefix(ms.to_bytes(6, "big") + b"\0\0")


def _runs(history: History, low: int, high: int, batch: str | None) -> list[Run]:
    """The parts whose ids' time, in ms, is from ``low`` (included) to ``high`` (not)."""
    found = []
    of_runs = (0, 0)
    for stream, name, first, last in _streams(history):
        if not _reaches(history, stream, first, last, low, high):
            continue
        begin = _first_at(history, stream, first, last, low)
        end = _first_at(history, stream, begin, last, high)
        if begin < end:
            found.append(Run(name, begin, end - 1))
            of_runs = _plus(of_runs, _sums(history, _OF_RUN, (stream,), begin, end - 1))
    lowest, highest = _prefix(low), _prefix(high)
    if of_runs != _sums(history, _OF_SPAN, (), lowest, highest - 1):
        return _one_by_one(history, lowest, highest - 1, batch)
    if batch is None:
        return found
    return [run for one in found if (run := _of_batch(history, one, batch)) is not None]


def _sums(
    history: History, query: str, of: tuple[int, ...], first: int, last: int
) -> tuple[int, int]:
    """How many parts an index has from ``first`` to ``last``, and the sum of their positions: two
    that agree in both have the same parts."""
    sums = (0, 0)
    while first <= last:
        with history.line() as line:
            count, positions, newest = line.execute(query, (*of, first, last, PORTION)).fetchone()
        sums = _plus(sums, (count, positions or 0))
        if count < PORTION:
            break
        first = onwards(first, newest + 1)
    return sums


def _plus(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


def _one_by_one(history: History, first: int, last: int, batch: str | None) -> list[Run]:
    """The parts (of one batch) whose ids begin from ``first`` to ``last``, each looked at: where a
    clock was set back in a stream its numbers do not grow with time."""
    found: list[Run] = []
    ends = (0, 1 << 62) if batch is None else batch_span(history, batch) or (0, -1)
    with history.line() as line:
        names = {at: name for name, ats in history.streams().items() for at in ats}
    after = (first, -1)
    while True:
        with history.line() as line:
            rows = line.execute(
                "SELECT prefix, position FROM part WHERE (prefix, position) > (?, ?)"
                " AND prefix <= ? AND position BETWEEN ? AND ? ORDER BY prefix, position LIMIT ?",
                (*after, last, *ends, LOOKED),
            ).fetchall()
            for _, position in rows:
                context, number, *_ = verdict_keys(history.body(position))
                stream, *_, made = history.definition(context).value[:4]
                if batch is None or made == batch:
                    found.append(Run(names[stream], number, number))
        if not rows:
            return list(joined(found))
        after = onwards(after, rows[-1])
        found = list(joined(found))


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
    with history.line() as line:
        for at in history.streams().get(run.stream, ()):
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
    before = "SELECT position FROM event WHERE position < ? ORDER BY position DESC LIMIT ?"
    after = "SELECT position FROM event WHERE position > ? ORDER BY position LIMIT ?"
    found = history.found(Event, before, position, count)[::-1]
    found += history.found(Event, after, position, count)
    return tuple([event for _, event in found])


def _streams(history: History) -> list[tuple[int, str, int, int]]:
    """Each stream's position, name, and lowest and highest number that has a verdict."""
    with history.line() as line:
        found = []
        for name, positions in history.streams().items():
            for position in positions:
                ends = line.execute(
                    "SELECT (SELECT min(sequence) FROM verdict WHERE stream = ?1),"
                    " (SELECT max(sequence) FROM verdict WHERE stream = ?1)",
                    (position,),
                ).fetchone()
                if ends[0] is not None:
                    found.append((position, name, *ends))
        return found


def _reaches(history: History, stream: int, first: int, last: int, low: int, high: int) -> bool:
    """Whether a stream's ends, in ms, leave room for such a part: without a PLC each start has a
    stream of its own, and there are thousands."""
    ended = _triggered(history, stream, last, last)
    if ended is None or ended[1] < low:
        return False
    begun = _triggered(history, stream, first, last)
    return begun is not None and begun[1] < high


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
    with history.line() as line:
        row = line.execute(
            "SELECT sequence, position FROM verdict WHERE stream = ? AND sequence BETWEEN ? AND ?"
            " ORDER BY sequence LIMIT 1",
            (stream, number, last),
        ).fetchone()
        if row is None:
            return None
        return int(row[0]), verdict_ms(history.body(row[1]))


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
    with history.line() as line:
        for at in history.streams().get(stream, ()):
            row = line.execute(
                "SELECT position FROM verdict WHERE stream = ? AND sequence = ?", (at, number)
            ).fetchone()
            if row is not None:
                record = history.record(row[0])
                return record.batch if isinstance(record, Verdict) else None
    return None
