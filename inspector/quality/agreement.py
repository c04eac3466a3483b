"""The same parts judged again and again: how far the judgements agree, beyond chance.

Enters: ``ratings[part][run]``. Leaves: agreement within each run against the truth, between runs,
Cohen's and Fleiss' kappa with their intervals; after AIAG, "Measurement Systems Analysis", 4th
edition, chapter III C, Cohen (1960), Fleiss (1971) and Fleiss, Levin, Paik, "Statistical Methods
for Rates and Proportions". Pure arithmetic: imports nothing of ours; anyone may import it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

from inspector.quality.capability import Interval


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of one study."""

    parts: int
    runs: int
    between: Interval
    """Share of parts that were judged alike in every run (Wilson's interval)."""
    fleiss: Interval
    """κ of all runs among each other; 1 where they agree wholly."""
    against: tuple[Interval, ...]
    """Share of each run's judgements that are the truth's; empty where the truth is not known."""
    cohen: tuple[Interval, ...]
    """κ of each run with the truth."""
    always_right: Interval | None
    """Share of parts judged like the truth in every run."""
    flipping: tuple[int, ...]
    """Parts that were judged differently, by their place in the study."""

    @property
    def verdict(self) -> str:
        """AIAG: κ above 0.75 is good agreement, below 0.40 poor; between, look at it."""
        low = min([self.fleiss.value, *(k.value for k in self.cohen)])
        return "acceptable" if low > 0.75 else "unacceptable" if low < 0.4 else "conditional"


def agreement(
    ratings: Sequence[Sequence[str]],
    truth: Sequence[str] | None = None,
    confidence: float = 0.95,
) -> Agreement:
    """The study of ``ratings[part][run]``.

    Raises:
        ValueError: fewer than two parts or runs, or a rating is missing.
    """
    runs = len(ratings[0]) if ratings else 0
    if len(ratings) < 2 or runs < 2 or any(len(row) != runs for row in ratings):
        raise ValueError(
            "a study has ratings[part][run]: at least 2 parts and 2 runs, none missing"
        )
    if truth is not None and len(truth) != len(ratings):
        raise ValueError(f"the truth of {len(truth)} parts for {len(ratings)}")
    alike = sum(len(set(row)) == 1 for row in ratings)
    by_run = [[row[run] for row in ratings] for run in range(runs)]
    against: list[Interval] = []
    cohens: list[Interval] = []
    always = None
    if truth is not None:
        for judged in by_run:
            right = sum(a == b for a, b in zip(judged, truth, strict=True))
            against.append(wilson(right, len(truth), confidence))
            cohens.append(cohen(judged, truth, confidence))
        right = sum(set(row) == {was} for row, was in zip(ratings, truth, strict=True))
        always = wilson(right, len(truth), confidence)
    return Agreement(
        len(ratings), runs, wilson(alike, len(ratings), confidence), fleiss(ratings, confidence),
        tuple(against), tuple(cohens), always,
        tuple(i for i, row in enumerate(ratings) if len(set(row)) > 1),
    )  # fmt: skip


def cohen(one: Sequence[str], other: Sequence[str], confidence: float = 0.95) -> Interval:
    """Cohen's κ of two judges over the same parts, with the large-sample interval of Fleiss, Cohen
    and Everitt (1969)."""
    if len(one) != len(other) or not one:
        raise ValueError("both judge the same parts")
    n = len(one)
    names = sorted({*one, *other})
    p = {
        (a, b): sum(x == a and y == b for x, y in zip(one, other, strict=True)) / n
        for a in names for b in names
    }  # fmt: skip
    row = {a: sum(p[a, b] for b in names) for a in names}
    column = {b: sum(p[a, b] for a in names) for b in names}
    seen, chance = sum(p[a, a] for a in names), sum(row[a] * column[a] for a in names)
    if chance >= 1:
        return Interval(1.0, 1.0, 1.0)  # both always said one and the same
    kappa = (seen - chance) / (1 - chance)
    own = sum(p[a, a] * (1 - (row[a] + column[a]) * (1 - kappa)) ** 2 for a in names)
    cross = sum(
        p[a, b] * (column[a] + row[b]) ** 2 for a in names for b in names if a != b
    ) * (1 - kappa) ** 2  # fmt: skip
    variance = (own + cross - (kappa - chance * (1 - kappa)) ** 2) / (n * (1 - chance) ** 2)
    if seen >= 1:
        return _whole(n, chance, confidence)
    return _interval(kappa, max(0.0, variance), confidence)


def fleiss(ratings: Sequence[Sequence[str]], confidence: float = 0.95) -> Interval:
    """Fleiss' κ of ``ratings[part][run]``. The interval is the jackknife's over parts: the textbook
    variance holds only where there is no agreement at all."""
    kappa = _fleiss(ratings)
    if kappa is None:
        return Interval(1.0, 1.0, 1.0)
    if kappa >= 1 - 1e-12:
        names = {name for row in ratings for name in row}
        flat = [name for row in ratings for name in row]
        chance = sum((flat.count(name) / len(flat)) ** 2 for name in names)
        return _whole(len(ratings), chance, confidence)
    left_out = [_fleiss([*ratings[:i], *ratings[i + 1 :]]) for i in range(len(ratings))]
    each = [1.0 if k is None else k for k in left_out]
    n, mean = len(each), fmean(each)
    return _interval(kappa, (n - 1) / n * sum((k - mean) ** 2 for k in each), confidence)


def wilson(hits: int, n: int, confidence: float = 0.95) -> Interval:
    """A share with Wilson's score interval; of nothing all that is known is that it is one."""
    if not n:
        return Interval(0.0, 0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = hits / n
    centre, scale = (p + z * z / (2 * n)), 1 + z * z / n
    off = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # at the ends rounding would leave the estimate outside of its interval
    return Interval(p, min(p, max(0.0, (centre - off) / scale)), max(p, (centre + off) / scale))


def _fleiss(ratings: Sequence[Sequence[str]]) -> float | None:
    parts, runs = len(ratings), len(ratings[0])
    names = sorted({name for row in ratings for name in row})
    counts = [[sum(x == name for x in row) for name in names] for row in ratings]
    share = [sum(row[j] for row in counts) / (parts * runs) for j in range(len(names))]
    chance = sum(s * s for s in share)
    if chance >= 1:
        return None
    seen = fmean((sum(c * c for c in row) - runs) / (runs * (runs - 1)) for row in counts)
    return (seen - chance) / (1 - chance)


def _whole(n: int, chance: float, confidence: float) -> Interval:
    """κ of ``n`` parts that were all judged alike. The textbook variance is then 0, which would be
    certainty; the lower end is Wilson's for the share that agrees."""
    return Interval(1.0, (wilson(n, n, confidence).low - chance) / (1 - chance), 1.0)


def _interval(value: float, variance: float, confidence: float) -> Interval:
    off = NormalDist().inv_cdf(0.5 + confidence / 2) * math.sqrt(variance)
    return Interval(value, max(-1.0, value - off), min(1.0, value + off))
