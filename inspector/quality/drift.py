"""What still passes but is no longer what it was: features of good parts that wander (S5).

Enters: features of passed parts (scores, measures, quality of print, focus and light of pictures).
Leaves: warnings, each with how far the feature has gone, since when, and what it heads for. No I/O:
``process.py`` feeds it.

A feature's values are averaged by the portion, which makes them near normal and near independent;
the first portions are the reference. A warning needs two witnesses: an EWMA of the portions'
means beyond limits that alarm falsely once in 6,000 portions (λ 0.2, L 3.7; a shift of one
standard deviation of a portion is found after 19, of two after 5), and a population stability
index of the newest values against the reference of at least 0.2, which is a shift that one sees.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

import numpy as np

from inspector.part import Mode, Outcome, Verdict
from inspector.quality.charts import ewma
from inspector.quality.rules import ewma_run_length

KIND = "drift"
"""Of the desk's records."""
PORTION = 25
"""Values averaged to one point."""
REFERENCE = 20
"""Portions that are the reference."""
NEWEST = 8
"""Portions that are compared with it by the index."""
WEIGHT, WIDTH = 0.2, 3.7
PSI = 0.2
"""The usual reading: below 0.1 nothing has moved, above 0.2 something has."""
BINS = 10
FEATURES_MAX = 100
AHEAD = 200
"""Portions ahead for which a limit is looked for: 5,000 parts."""


@dataclass(slots=True)
class Feature:
    """One feature's history."""

    reference: list[float] = field(default_factory=list)
    """All values of the reference."""
    means: list[float] = field(default_factory=list)
    """Of portions, since the beginning (the newest 500)."""
    open: list[float] = field(default_factory=list)
    newest: deque[float] = field(default_factory=lambda: deque(maxlen=NEWEST * PORTION))
    baseline: tuple[float, float] | None = None
    """Mean and standard deviation of the reference's portions."""
    at: float = 0.0
    """The EWMA now."""
    count: int = 0
    """Portions since the reference."""
    warned: bool = False


@dataclass(frozen=True, slots=True)
class Warning:
    """A feature that wanders."""

    feature: str
    body: dict[str, Any]
    """For the desk's record."""


class Drift:
    """The features of one recipe."""

    def __init__(
        self, recipe: str, limits: Mapping[str, tuple[float | None, float | None]]
    ) -> None:
        self.recipe = recipe
        self._limits = limits
        self.features: dict[str, Feature] = {}

    def part(self, verdict: Verdict) -> list[Warning]:
        """The next part; only production that passed is looked at."""
        if verdict.mode is not Mode.AUTO or verdict.outcome is not Outcome.PASS:
            return []
        found: list[Warning] = []
        where = {"stream": verdict.stream, "number": verdict.sequence, "batch": verdict.batch}
        for f in verdict.findings:
            name = f"{f.tool}/{f.label}"
            if f.value is not None and math.isfinite(f.value):
                found += self.value(name, f.value, where)
            if 0.0 < f.score < 1.0:
                found += self.value(f"score of {name}", f.score, where)
        return found

    def value(self, name: str, value: float, where: Mapping[str, Any]) -> list[Warning]:
        """The next value of feature ``name``; ``where`` it was seen."""
        known = self.features.get(name)
        if known is None:
            if len(self.features) >= FEATURES_MAX:
                return []
            known = self.features[name] = Feature()
        known.open.append(value)
        if len(known.open) < PORTION:
            return []
        portion, known.open = known.open, []
        known.means.append(fmean(portion))
        del known.means[:-500]
        if known.baseline is None:
            known.reference += portion
            if len(known.means) == REFERENCE:
                spread = stdev(known.means)
                known.baseline = (fmean(known.means), spread)
                known.at = known.baseline[0]
            return []
        known.newest.extend(portion)
        known.count += 1
        return self._look(name, known, where)

    def state(self) -> dict[str, Any]:
        """For pages: each feature's baseline and newest portions."""
        return {
            name: {
                "baseline": list(f.baseline) if f.baseline else None,
                "newest": f.means[-60:],
                "drifts": f.warned,
            }
            for name, f in sorted(self.features.items())
        }

    def _look(self, name: str, known: Feature, where: Mapping[str, Any]) -> list[Warning]:
        assert known.baseline is not None
        mean, spread = known.baseline
        # A feature that never varied drifts when it does at all: one part in a million of its size.
        spread = max(spread, abs(mean) * 1e-6, 1e-12)
        chart = ewma([known.means[-1]], mean, spread, WEIGHT, WIDTH, start=known.at, steady=True)
        known.at = float(chart.points[0])
        beyond = bool(chart.outside)
        index = stability_index(known.reference, list(known.newest))
        if known.warned:
            known.warned = beyond or index >= PSI / 2  # over when both have come back
            return []
        if not beyond or index < PSI:
            return []
        known.warned = True
        low, high = self._limits.get(name, (None, None))
        body = {
            "feature": name, "recipe": self.recipe, "baseline": mean, "spread": spread,
            "now": known.at, "sigmas": (known.at - mean) / spread, "psi": index,
            "newest": known.means[-NEWEST:], **where,
            "false_alarms": 1 / ewma_run_length(WEIGHT, WIDTH, cells=101),
            "limit_in_parts": _parts_to(known.means[-NEWEST:], low, high),
        }  # fmt: skip
        return [Warning(name, body)]


def stability_index(reference: list[float], newest: list[float]) -> float:
    """The population stability index over the reference's deciles."""
    if not reference or not newest:
        return 0.0
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    was = np.bincount(np.searchsorted(edges, reference, "right"), minlength=len(edges) + 1)
    now = np.bincount(np.searchsorted(edges, newest, "right"), minlength=len(edges) + 1)
    # half a value in each bin: an empty one is not impossible
    p = (was + 0.5) / (was.sum() + 0.5 * len(was))
    q = (now + 0.5) / (now.sum() + 0.5 * len(now))
    return float(((q - p) * np.log(q / p)).sum())


def _parts_to(means: list[float], low: float | None, high: float | None) -> int | None:
    """Parts until the trend of the newest portions meets a limit; None if it does not soon."""
    if len(means) < 3:
        return None
    slope, level = np.polyfit(np.arange(len(means)), means, 1)
    level += slope * (len(means) - 1)
    limit = high if slope > 0 else low
    if limit is None or not slope:
        return None
    portions = (limit - level) / slope
    return round(portions * PORTION) if 0 <= portions <= AHEAD else None
