"""Figures of a stretch of time: how many parts, what was wrong, where, and how sure.

Enters: a reader of the ledger, stretches of time, batches or none. Leaves: counts per slice of the
period from the indexes alone, and findings of an even sample of its parts. Web and quality may
import it.

A part's id begins with its time (UUIDv7), so a period is a range of the index of ids, and its
faulty parts are ranges of positions: a week of parts costs as much as an hour of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from sqlite3 import Connection

from inspector.part import Mode, Outcome, Verdict
from inspector.store.query import History
from inspector.store.records import OUTCOMES, Kind
from inspector.store.rows import part_prefix

SAMPLE = 400
"""Parts whose findings are looked at; each costs some 30 µs."""
FAULTY_MAX = 2000
Span = tuple[int, int]
"""First and last position."""
_REJECT, _ERROR = OUTCOMES.index(Outcome.REJECT), OUTCOMES.index(Outcome.ERROR)


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice of a period."""

    from_ns: int
    to_ns: int
    parts: int = 0
    rejected: int = 0
    errors: int = 0
    spans: tuple[Span, ...] = ()
    """Positions of its verdicts, oldest first."""

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
    def spans(self) -> tuple[Span, ...]:
        """Positions of its verdicts, oldest first; what lies side by side is one span."""
        return tuple(_joined(span for s in self.slices for span in s.spans))


def period(
    history: History,
    stretches: Sequence[tuple[int, int]],
    slices: int,
    batches: Collection[str] | None = None,
    view: str = "",
) -> Period:
    """The parts that triggered within ``stretches``, cut into about as many ``slices``.

    Args:
        stretches: from (included) to (not), UTC ns, oldest first.
        batches: only what was recorded while one of these had parts.
        view: only those are rejected in which this camera saw what is wrong.

    Raises ``QueryTimeout``.
    """
    total = sum(end - begin for begin, end in stretches)
    with history._bounded(history._line) as line:
        within = None if batches is None else [s for b in batches for s in _batch_span(line, b)]
        shapes = _shapes(history, line, view) if view else None
        made = []
        for begin, end in stretches:
            count = max(1, round(slices * (end - begin) / total)) if total else 1
            edges = [begin + (end - begin) * i // count for i in range(count + 1)]
            made += [_slice(line, a, b, within, shapes) for a, b in pairwise(edges)]
        return Period(tuple(made))


def _slice(
    line: Connection, begin: int, end: int, within: Sequence[Span] | None,
    shapes: Sequence[int] | None,
) -> Slice:  # fmt: skip
    times = (_prefix(begin), _prefix(end))
    first, last = line.execute(
        "SELECT min(position), max(position) FROM part WHERE prefix >= ? AND prefix < ?", times
    ).fetchone()
    if first is None:
        return Slice(begin, end)
    spans = [(first, last)]
    if within is not None:
        cut = [(max(first, a), min(last, b)) for a, b in within]
        spans = _joined(span for span in cut if span[0] <= span[1])
    parts = rejected = errors = 0
    held = []
    for span in spans:
        (count,) = line.execute(
            "SELECT count(*) FROM part WHERE prefix >= ? AND prefix < ?"
            " AND position BETWEEN ? AND ?",
            (*times, *span),
        ).fetchone()
        if not count:
            continue
        held.append(span)
        parts += count
        bad = dict(
            line.execute(
                "SELECT outcome, count(*) FROM faulty WHERE position BETWEEN ? AND ?"
                " GROUP BY outcome",
                span,
            ).fetchall()
        )
        errors += bad.get(_ERROR, 0)
        rejected += bad.get(_REJECT, 0) if shapes is None else _seen(line, shapes, span)
    return Slice(begin, end, parts, rejected, errors, tuple(held))


def _joined(spans: Iterable[Span]) -> list[Span]:
    """The same positions, each once, in as few spans as there can be: a batch that went on after
    another one lies around it."""
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _batch_span(line: Connection, batch: str) -> list[Span]:
    first, last = line.execute(
        "SELECT min(first), max(last) FROM tally WHERE batch = ?", (batch,)
    ).fetchone()
    return [] if first is None else [(first, last)]


def _shapes(history: History, line: Connection, view: str) -> list[int]:
    """The kinds of defect that a camera has seen."""
    found = line.execute("SELECT DISTINCT shape FROM defect").fetchall()
    return [s for (s,) in found if not view or str(history._definition(s).value[4]) == view]


def _seen(line: Connection, shapes: Sequence[int], span: Span) -> int:
    """Rejected parts with a defect of one of these shapes."""
    if not shapes:
        return 0
    places = ",".join("?" * len(shapes))
    (count,) = line.execute(
        "SELECT count(DISTINCT d.position) FROM defect d JOIN faulty f ON f.position = d.position"
        f" WHERE d.shape IN ({places}) AND d.position BETWEEN ? AND ? AND f.outcome = ?",
        (*shapes, *span, _REJECT),
    ).fetchone()
    return int(count)


def pareto(
    history: History, spans: Sequence[Span], view: str = "", limit: int = 12
) -> tuple[tuple[str, int], ...]:
    """How many faulty parts had each label among what was wrong, most frequent first.

    Args:
        spans: positions, as `Period.spans`.
        view: only what was seen by this camera.
    """
    counts: Counter[str] = Counter()
    with history._bounded(history._line) as line:
        for shape in _shapes(history, line, view):
            label = str(history._definition(shape).value[2])
            for span in spans:
                (count,) = line.execute(
                    "SELECT count(*) FROM defect WHERE shape = ? AND position BETWEEN ? AND ?",
                    (shape, *span),
                ).fetchone()
                counts[label] += count
    return tuple((label, count) for label, count in counts.most_common(limit) if count)


def faulty(history: History, spans: Sequence[Span], limit: int = FAULTY_MAX) -> tuple[Verdict, ...]:
    """The newest faulty parts in ``spans`` of positions, newest first."""
    positions: list[int] = []
    with history._bounded(history._line) as line:
        for span in reversed(spans):
            rows = line.execute(
                "SELECT position FROM faulty WHERE position BETWEEN ? AND ?"
                " ORDER BY position DESC LIMIT ?",
                (*span, limit - len(positions)),
            ).fetchall()
            positions += [position for (position,) in rows]
        return _verdicts(history, positions)


def sample(history: History, found: Period, count: int = SAMPLE) -> tuple[Verdict, ...]:
    """Production parts of the period, evenly spread over them, at most ``count``, oldest first."""
    spans = found.spans
    total = sum(last - first + 1 for first, last in spans)
    with history._bounded(history._line) as line:
        positions = set()
        for first, last in spans:
            size = last - first + 1
            share = max(1, count * size // total)
            for i in range(share):
                row = line.execute(
                    "SELECT position FROM record WHERE position BETWEEN ? AND ?"
                    f" AND substr(body, 2, 1) = x'{Kind.VERDICT:02x}' ORDER BY position LIMIT 1",
                    (first + size * i // share, last),
                ).fetchone()
                if row is None:
                    break
                positions.add(row[0])
        verdicts = _verdicts(history, sorted(positions)[:count])
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
    return part_prefix(ms.to_bytes(6, "big") + b"\0\0")
