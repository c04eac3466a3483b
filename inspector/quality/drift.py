"""What still passes but is no longer what it was: features of good parts that wander (S5).

Enters: features of passed parts (scores, measures, quality of print, focus and light of pictures).
Leaves: warnings, each with how far the feature has gone, since when, and what it heads for. No I/O:
``process.py`` feeds it.

A feature's values are averaged by the portion, which makes them near normal and near independent;
the first portions are the reference. A warning needs two witnesses: an EWMA of the portions'
means beyond limits that alarm falsely once in 6,000 portions (λ 0.2, L 3.7; a shift of one
standard deviation of a portion is found after 19, of two after 5), and a population stability
index of the newest values against the reference of at least 0.2, which is a shift that one sees.

The reference is of the recipe's first parts, be they of last week: what `Drift.memory` gives is
kept, and a process that is started anew goes on from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, stdev
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from inspector.part import Mode, Outcome, Verdict
from inspector.quality.rules import ewma_run_length
from inspector.store.judged import Judged, judged

KIND = "drift"
"""Of the desk's records."""
PORTION = 25
"""Values averaged to one point."""
REFERENCE = 20
"""Portions that are the reference."""
NEWEST = 8
"""Portions that are compared with it by the index."""
WEIGHT, WIDTH = 0.2, 3.7
STEADY = math.sqrt(WEIGHT / (2 - WEIGHT))
"""Standard deviation of the EWMA after many values, in those of a value."""
PSI = 0.2
"""The usual reading: below 0.1 nothing has moved, above 0.2 something has."""
BINS = 10
LAYOUT = 1
"""Of `Drift.memory`; another one is forgotten."""
MEANS = 60
"""Portions kept, for pages."""
FEATURES_MAX = 100
AHEAD = 200
"""Portions ahead for which a limit is looked for: 5,000 parts."""


@dataclass(slots=True)
class Feature:
    """One feature's history."""

    means: list[float] = field(default_factory=list)
    """Of the newest portions."""
    open: list[float] = field(default_factory=list)
    newest: list[float] = field(default_factory=list)
    """Values of the newest portions; until there is a reference, all of them."""
    baseline: tuple[float, float] | None = None
    """Mean and standard deviation of the reference's portions. Of a feature that never varied this
    is one part in a million of its size: it drifts when it varies at all."""
    deciles: tuple[list[float], list[int]] = field(default_factory=lambda: ([], []))
    """The reference's values, as `deciles_of` gives them."""
    at: float = 0.0
    """The EWMA now."""
    count: int = 0
    """Portions since the reference."""
    warned: bool = False

    @property
    def sigmas(self) -> float:
        """How far it is from its reference now, in standard deviations of a portion."""
        mean, spread = self.baseline or (0.0, 1.0)
        return (self.at - mean) / spread


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
        self.drifting = 0
        """Features that are away from their reference now."""

    def farthest(self) -> str:
        """The feature that has gone farthest, of those that are away; empty if none is."""
        away = [(name, f.sigmas) for name, f in self.features.items() if f.warned]
        name, sigmas = max(away, key=lambda one: abs(one[1]), default=("", 0.0))
        return f"{name}: {sigmas:+.1f} σ" if name else ""

    def memory(self) -> dict[str, Any]:
        """All of it, for JSON."""
        features = {name: asdict(feature) for name, feature in self.features.items()}
        return {"layout": LAYOUT, "recipe": self.recipe, "features": features}

    @classmethod
    def recalled(
        cls, memory: Mapping[str, Any], limits: Mapping[str, tuple[float | None, float | None]]
    ) -> Self:
        """What went on until `memory` was asked for."""
        drift = cls(str(memory["recipe"]), limits)
        drift.features = {n: Feature(**fields) for n, fields in memory["features"].items()}
        drift.drifting = sum(f.warned for f in drift.features.values())
        return drift

    def part(self, part: Judged | Verdict) -> list[Warning]:
        """The next part; only production that passed is looked at."""
        seen = judged(part) if isinstance(part, Verdict) else part
        if seen.job.mode is not Mode.AUTO or seen.outcome is not Outcome.PASS:
            return []
        found: list[Warning] = []
        for sort, score, value in seen.findings:
            if value is not None and math.isfinite(value) and (full := self._add(sort.name, value)):
                found += self._portion(sort.name, full, _where(seen))
            if 0.0 < score < 1.0 and (full := self._add(sort.score_name, score)):
                found += self._portion(sort.score_name, full, _where(seen))
        return found

    def value(self, name: str, value: float, where: Mapping[str, Any]) -> list[Warning]:
        """The next value of feature ``name``; ``where`` it was seen."""
        full = self._add(name, value)
        return self._portion(name, full, where) if full else []

    def _add(self, name: str, value: float) -> Feature | None:
        """Take a value in; the feature if that fills its portion."""
        known = self.features.get(name)
        if known is None:
            if len(self.features) >= FEATURES_MAX:
                return None
            known = self.features[name] = Feature()
        known.open.append(value)
        return known if len(known.open) >= PORTION else None

    def _portion(self, name: str, known: Feature, where: Mapping[str, Any]) -> list[Warning]:
        portion, known.open = known.open, []
        known.means.append(fmean(portion))
        known.newest += portion
        if known.baseline is not None:
            known.count += 1
            del known.means[:-MEANS], known.newest[: -NEWEST * PORTION]
            return self._look(name, known, where)
        if len(known.means) == REFERENCE:
            known.at = fmean(known.means)
            spread = max(stdev(known.means), abs(known.at) * 1e-6, 1e-12)
            known.baseline = known.at, spread
            known.deciles, known.newest = deciles_of(known.newest), []
        return []

    def state(self) -> dict[str, Any]:
        """For pages: each feature's baseline and newest portions."""
        return {
            name: {
                "baseline": list(f.baseline) if f.baseline else None,
                "newest": f.means,
                "drifts": f.warned,
            }
            for name, f in sorted(self.features.items())
        }

    def _look(self, name: str, known: Feature, where: Mapping[str, Any]) -> list[Warning]:
        # The next point of an EWMA chart with steady limits.
        known.at = WEIGHT * known.means[-1] + (1 - WEIGHT) * known.at
        beyond = abs(known.sigmas) > WIDTH * STEADY
        if known.warned == beyond:
            return []  # the second witness, which costs 200 µs, would change nothing
        index = stability_index(known.deciles, known.newest)
        if known.warned:
            if index < PSI / 2:  # over when both have come back
                known.warned = False
                self.drifting -= 1
            return []
        if index < PSI:
            return []
        known.warned = True
        self.drifting += 1
        low, high = self._limits.get(name, (None, None))
        mean, spread = known.baseline or (0.0, 0.0)
        body = {
            "feature": name, "recipe": self.recipe, "baseline": mean, "spread": spread,
            "now": known.at, "sigmas": known.sigmas, "psi": index,
            "newest": known.means[-NEWEST:], **where,
            "false_alarms": 1 / ewma_run_length(WEIGHT, WIDTH, cells=101),
            "limit_in_parts": _parts_to(known.means[-NEWEST:], low, high),
        }  # fmt: skip
        return [Warning(name, body)]


def _where(seen: Judged) -> dict[str, Any]:
    return {"stream": seen.job.stream, "number": seen.sequence, "batch": seen.job.batch}


def deciles_of(values: Sequence[float]) -> tuple[list[float], list[int]]:
    """The edges between the tenths of some values, each once, and how many lie between them."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    return edges.tolist(), _between(edges, values).tolist()


def stability_index(reference: tuple[list[float], list[int]], newest: Sequence[float]) -> float:
    """The population stability index over the reference's deciles."""
    edges, counts = np.array(reference[0]), np.array(reference[1])
    now = _between(edges, newest)
    # half a value in each bin: an empty one is not impossible
    p = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    q = (now + 0.5) / (now.sum() + 0.5 * len(counts))
    return float(((q - p) * np.log(q / p)).sum())


def _between(edges: NDArray[Any], values: Sequence[float]) -> NDArray[Any]:
    return np.bincount(np.searchsorted(edges, values, "right"), minlength=len(edges) + 1)


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
