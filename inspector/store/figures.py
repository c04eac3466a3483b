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
from inspector.store.aside import DEFECT_AMONG, PRODUCTION, Aside, Span, among
from inspector.store.cursor import first_part, stretches_of
from inspector.store.query import History
from inspector.store.records import OUTCOMES, Kind, Lookup
from inspector.store.rows import part_prefix
from inspector.store.skim import verdict_ms

SAMPLE = 400
"""Parts whose findings are looked at; each costs some 30 µs."""
FAULTY_MAX = 2000
NEAR = 1000
"""Positions by which ids may be out of order."""
LOOKED, STRAY_NS = 16, 60_000_000_000
"""So many faulty parts of a slice are asked whether they triggered in it, and how far they may be
beside it: further ones are of another time, in which the clock was wrong."""
_REJECT, _ERROR, _UNSEEN = (
    OUTCOMES.index(outcome) for outcome in (Outcome.REJECT, Outcome.ERROR, Outcome.NOT_INSPECTED)
)


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice of a period."""

    from_ns: int
    to_ns: int
    parts: int = 0
    """That were produced; by-passed ones included, those of a set-up or a challenge not."""
    rejected: int = 0
    errors: int = 0
    unseen: int = 0
    """By-passed."""
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
    def unseen(self) -> int:
        """Parts that nobody judged, in by-pass."""
        return sum(s.unseen for s in self.slices)

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
        batches: only what was recorded while one of these was made.
        view: only those are rejected in which this camera saw what is wrong.

    Raises ``QueryTimeout``.
    """
    total = sum(end - begin for begin, end in stretches)
    with history.line() as line:
        within = None
        if batches is not None:
            within = [span for b in batches for span in _batch_spans(line, history.definition, b)]
        shapes = _shapes(history, line, view) if view else None
        aside = Aside(line, history.definition, _since(line, stretches))
        made = []
        for begin, end in stretches:
            count = max(1, round(slices * (end - begin) / total)) if total else 1
            edges = [begin + (end - begin) * i // count for i in range(count + 1)]
            made += [_slice(line, aside, a, b, within, shapes) for a, b in pairwise(edges)]
        return Period(tuple(made))


def _slice(
    line: Connection, aside: Aside, begin: int, end: int, within: Sequence[Span] | None,
    shapes: Sequence[int] | None,
) -> Slice:  # fmt: skip
    times = (_prefix(begin), _prefix(end))
    first, last = line.execute(
        "SELECT min(position), max(position) FROM part WHERE prefix >= ? AND prefix < ?", times
    ).fetchone()
    if first is None:
        return Slice(begin, end)
    spans = _spans(line, begin, end, (first, last))
    if within is not None:
        cut = [(max(first, a), min(last, b)) for first, last in spans for a, b in within]
        spans = _joined(span for span in cut if span[0] <= span[1])
    parts = rejected = errors = unseen = 0
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
        others = aside.faulty(span)
        # ids may be a little out of order: a part of the next slice may lie among these
        parts += max(0, count - len(others) - aside.passed(span))
        bad = dict(
            line.execute(
                "SELECT outcome, count(*) FROM faulty WHERE position BETWEEN ? AND ?"
                " GROUP BY outcome",
                span,
            ).fetchall()
        )
        unseen += bad.get(_UNSEEN, 0)
        errors += bad.get(_ERROR, 0) - sum(outcome == _ERROR for _, outcome in others)
        apart = [position for position, outcome in others if outcome == _REJECT]
        if shapes is None:
            rejected += bad.get(_REJECT, 0) - len(apart)
        else:
            rejected += _seen(line, shapes, span, apart)
    return Slice(begin, end, parts, rejected, errors, unseen, tuple(held))


def _spans(line: Connection, begin: int, end: int, whole: Span) -> list[Span]:
    """Where the parts of a slice lie: side by side, or wherever the clock was when it was set."""
    first, last = whole
    for at in range(first, last + 1, max(1, (last - first) // LOOKED)):
        row = line.execute(
            "SELECT position FROM faulty WHERE position BETWEEN ? AND ? ORDER BY position LIMIT 1",
            (at, last),
        ).fetchone()
        if row is None:
            break
        # by itself: joined to the view of what is archived, every faulty part would be read
        head = line.execute(
            "SELECT substr(body, 1, 48) FROM record WHERE position = ?", row
        ).fetchone()
        if head and not begin - STRAY_NS <= verdict_ms(head[0]) * 1_000_000 < end + STRAY_NS:
            return _clusters(line, begin, end)
    return [whole]


def _clusters(line: Connection, begin: int, end: int) -> list[Span]:
    rows = line.execute(
        "SELECT position FROM part WHERE prefix >= ? AND prefix < ?", (_prefix(begin), _prefix(end))
    )
    spans: list[Span] = []
    for (at,) in sorted(rows):
        if spans and at - spans[-1][1] <= NEAR:
            spans[-1] = (spans[-1][0], at)
        else:
            spans.append((at, at))
    return spans


def _since(line: Connection, stretches: Sequence[tuple[int, int]]) -> int:
    """About the first position of what triggered in ``stretches``."""
    begin = min((_prefix(begin) for begin, _ in stretches), default=0)
    row = line.execute(
        "SELECT position FROM part WHERE prefix >= ? ORDER BY prefix LIMIT 1", (begin,)
    ).fetchone()
    return 0 if row is None else max(0, int(row[0]) - NEAR)


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


def _batch_spans(line: Connection, definition: Lookup, batch: str) -> list[Span]:
    first, last = line.execute(
        "SELECT min(first), max(last) FROM tally WHERE batch = ?", (batch,)
    ).fetchone()
    if first is None:
        return []
    begun, *on = stretches_of(line, definition, batch, (first, last))
    # It went on while others were under way, or for a part far ahead.
    return [
        begun,
        *((first_part(line, definition, batch, *span) or span[0], span[1]) for span in on),
    ]


def _shapes(history: History, line: Connection, view: str) -> list[int]:
    """The kinds of defect that a camera has seen."""
    found = line.execute("SELECT DISTINCT shape FROM defect").fetchall()
    return [s for (s,) in found if not view or str(history.definition(s).value[4]) == view]


def _seen(line: Connection, shapes: Sequence[int], span: Span, apart: Sequence[int]) -> int:
    """Rejected parts with a defect of one of these shapes, but for those ``apart``."""
    if not shapes:
        return 0
    places = ",".join("?" * len(shapes))
    (count,) = line.execute(
        "SELECT count(DISTINCT d.position) FROM defect d JOIN faulty f ON f.position = d.position"
        f" WHERE d.shape IN ({places}) AND d.position BETWEEN ? AND ? AND f.outcome = ?",
        (*shapes, *span, _REJECT),
    ).fetchone()
    without = f"SELECT count(DISTINCT position) FROM defect WHERE shape IN ({places})"
    return int(count) - among(line, f"{without} AND position IN", shapes, apart)


def pareto(
    history: History, spans: Sequence[Span], view: str = "", limit: int = 12
) -> tuple[tuple[str, int], ...]:
    """How many faulty parts that were produced had each label among what was wrong, most frequent
    first.

    Args:
        spans: positions, as `Period.spans`.
        view: only what was seen by this camera.
    """
    counts: Counter[str] = Counter()
    with history.line() as line:
        aside = Aside(line, history.definition, min((first for first, _ in spans), default=0))
        apart = [at for span in spans for at, _ in aside.faulty(span)]
        for shape in _shapes(history, line, view):
            label = str(history.definition(shape).value[2])
            for span in spans:
                (count,) = line.execute(
                    "SELECT count(*) FROM defect WHERE shape = ? AND position BETWEEN ? AND ?",
                    (shape, *span),
                ).fetchone()
                counts[label] += count
            counts[label] -= among(line, DEFECT_AMONG, (shape,), apart)
    return tuple((label, count) for label, count in counts.most_common(limit) if count)


def faulty(history: History, spans: Sequence[Span], limit: int = FAULTY_MAX) -> tuple[Verdict, ...]:
    """The newest parts in ``spans`` of positions that were produced and are no good, newest
    first."""
    positions: list[int] = []
    with history.line() as line:
        for span in reversed(spans):
            rows = line.execute(
                "SELECT position FROM faulty WHERE position BETWEEN ? AND ? AND outcome IN (?, ?)"
                " ORDER BY position DESC LIMIT ?",
                (*span, _REJECT, _ERROR, limit - len(positions)),
            ).fetchall()
            positions += [position for (position,) in rows]
        return tuple([v for v in _verdicts(history, positions) if v.mode in PRODUCTION])


def sample(history: History, found: Period, count: int = SAMPLE) -> tuple[Verdict, ...]:
    """Production parts of the period, evenly spread over them, at most ``count``, oldest first."""
    spans = found.spans
    total = sum(last - first + 1 for first, last in spans)
    with history.line() as line:
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
    records = [history.record(position) for position in positions]
    return tuple([record for record in records if isinstance(record, Verdict)])


def _prefix(ns: int) -> int:
    ms = max(0, ns) // 1_000_000 & (1 << 48) - 1
    return part_prefix(ms.to_bytes(6, "big") + b"\0\0")
