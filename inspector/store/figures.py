"""Figures of a stretch of time: how many parts, what was wrong, where, and how sure.

Enters: a reader of the ledger, a period, a batch or none. Leaves: counts per slice of the period
from the indexes alone, and findings of an even sample of its parts. Web and quality may import it.

A part's id begins with its time (UUIDv7), so a period is a range of the index of ids, and its
faulty parts are a range of positions: a week of parts costs as much as an hour of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from inspector.part import Mode, Outcome, Verdict
from inspector.store import schema
from inspector.store.query import History
from inspector.store.records import OUTCOMES, Kind

SAMPLE = 400
"""Parts whose findings are looked at; each costs some 30 µs."""
FAULTY_MAX = 2000
_ALL = (0, 1 << 62)


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice of a period."""

    from_ns: int
    to_ns: int
    parts: int = 0
    rejected: int = 0
    errors: int = 0
    first: int = -1
    """Positions of the first and the last verdict; -1 where there was none."""
    last: int = -1

    @property
    def passed(self) -> int:
        """Parts that were let through, by-passed ones included."""
        return self.parts - self.rejected - self.errors


@dataclass(frozen=True, slots=True)
class Period:
    """A period, cut into slices, oldest first."""

    slices: tuple[Slice, ...]

    @property
    def parts(self) -> int:
        """All of them."""
        return sum(s.parts for s in self.slices)

    @property
    def rejected(self) -> int:
        """Parts that were judged bad."""
        return sum(s.rejected for s in self.slices)

    @property
    def errors(self) -> int:
        """Parts that could not be judged."""
        return sum(s.errors for s in self.slices)

    @property
    def span(self) -> tuple[int, int]:
        """Positions of its first and last verdict; (0, -1), an empty range, if it has none."""
        held = [s for s in self.slices if s.parts]
        return (held[0].first, held[-1].last) if held else (0, -1)


def period(history: History, from_ns: int, to_ns: int, slices: int, batch: str = "") -> Period:
    """The parts that triggered from ``from_ns`` (included) to ``to_ns`` (not), UTC ns.

    With ``batch`` only what was recorded while that batch had parts. Raises ``QueryTimeout``.
    """
    edges = [from_ns + (to_ns - from_ns) * i // slices for i in range(slices + 1)]
    with history._bounded(history._line) as line:
        low, high = _ALL
        if batch:
            row = line.execute(
                "SELECT min(first), max(last) FROM tally WHERE batch = ?", (batch,)
            ).fetchone()
            low, high = row if row[0] is not None else (0, -1)
        made = []
        for begin, end in pairwise(edges):
            parts, first, last = line.execute(
                "SELECT count(*), min(position), max(position) FROM part"
                " WHERE prefix >= ? AND prefix < ? AND position BETWEEN ? AND ?",
                (_prefix(begin), _prefix(end), low, high),
            ).fetchone()
            counts: Counter[Outcome] = Counter()
            if parts:
                for outcome, count in line.execute(
                    "SELECT outcome, count(*) FROM faulty WHERE position BETWEEN ? AND ?"
                    " GROUP BY outcome",
                    (first, last),
                ):
                    counts[OUTCOMES[outcome]] = count
            made.append(
                Slice(
                    begin, end, parts, counts[Outcome.REJECT], counts[Outcome.ERROR],
                    -1 if first is None else first, -1 if last is None else last,
                )
            )  # fmt: skip
        return Period(tuple(made))


def pareto(
    history: History, span: tuple[int, int], view: str = "", limit: int = 12
) -> tuple[tuple[str, int], ...]:
    """How many faulty parts had each label among what was wrong, most frequent first.

    Args:
        span: positions, as `Period.span`.
        view: only what was seen by this camera.
    """
    counts: Counter[str] = Counter()
    with history._bounded(history._line) as line:
        shapes = line.execute("SELECT DISTINCT shape FROM defect").fetchall()
        for (shape,) in shapes:
            value = history._definition(shape).value
            label, seen_by = str(value[2]), str(value[4])
            if view and seen_by != view:
                continue
            (count,) = line.execute(
                "SELECT count(*) FROM defect WHERE shape = ? AND position BETWEEN ? AND ?",
                (shape, *span),
            ).fetchone()
            if count:
                counts[label] += count
    return tuple(counts.most_common(limit))


def faulty(history: History, span: tuple[int, int], limit: int = FAULTY_MAX) -> tuple[Verdict, ...]:
    """The newest faulty parts between two positions, newest first."""
    with history._bounded(history._line) as line:
        rows = line.execute(
            "SELECT position FROM faulty WHERE position BETWEEN ? AND ?"
            " ORDER BY position DESC LIMIT ?",
            (*span, limit),
        ).fetchall()
        return _verdicts(history, [position for (position,) in rows])


def sample(history: History, found: Period, count: int = SAMPLE) -> tuple[Verdict, ...]:
    """Production parts of the period, evenly spread over them, at most ``count``, oldest first."""
    low, high = found.span
    with history._bounded(history._line) as line:
        positions = set()
        for i in range(count):
            row = line.execute(
                "SELECT position FROM record WHERE position BETWEEN ? AND ?"
                f" AND substr(body, 2, 1) = x'{Kind.VERDICT:02x}' ORDER BY position LIMIT 1",
                (low + (high - low) * i // count, high),
            ).fetchone()
            if row is None:
                break
            positions.add(row[0])
        verdicts = _verdicts(history, sorted(positions))
    return tuple([verdict for verdict in verdicts if verdict.mode is Mode.AUTO])


def scores(
    verdicts: Sequence[Verdict], view: str = ""
) -> dict[str, tuple[list[float], list[float]]]:
    """Scores of findings by label: of those that are in order, and of those that are not."""
    found: dict[str, tuple[list[float], list[float]]] = {}
    for verdict in verdicts:
        for finding in verdict.findings:
            if view in ("", finding.view) and finding.score == finding.score:
                good, bad = found.setdefault(finding.label, ([], []))
                (good if finding.ok else bad).append(finding.score)
    return found


def latencies_ms(verdicts: Sequence[Verdict]) -> list[float]:
    """From trigger to verdict of each, in ms; parts without a verdict's time are left out."""
    return [
        (v.times.verdict_ns - v.times.trigger_ns) / 1e6
        for v in verdicts
        if v.times.verdict_ns > v.times.trigger_ns > 0
    ]


def _verdicts(history: History, positions: Sequence[int]) -> tuple[Verdict, ...]:
    records = [history._record(history._line, position) for position in positions]
    return tuple([record for record in records if isinstance(record, Verdict)])


def _prefix(ns: int) -> int:
    ms = max(0, ns) // 1_000_000 & (1 << 48) - 1
    return schema.part_prefix(ms.to_bytes(6, "big") + b"\0\0")
