"""Control charts: subgroups go in, points with their centre and limits come out.

Shewhart charts for attributes (p, u) and measures (X̄-R), after Montgomery, "Introduction to
Statistical Quality Control", 6th edition. ``rules.py`` says which points are signals. Pure
arithmetic: imports nothing of ours; anyone may import it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

D2 = (0, 0, 1.128, 1.693, 2.059, 2.326, 2.534, 2.704, 2.847, 2.970, 3.078)
"""Mean of the range of n normal values, in standard deviations, by n (Montgomery, appendix VI)."""
D3_SIGMA = (0, 0, 0.853, 0.888, 0.880, 0.864, 0.848, 0.833, 0.820, 0.808, 0.797)
"""Standard deviation of that range (d₃), by n."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. ``z`` is where each point lies in standard deviations of its own distribution, so
    that the rules hold for subgroups of any size."""

    kind: str
    """``p``, ``u``, ``xbar``, ``range``."""
    points: Floats
    centre: float
    lower: Floats
    """By point; 0 where a proportion, count or range can go no lower."""
    upper: Floats
    z: Floats
    rare: bool = False
    """Of counts too small for the normal: limits are the distribution's own, and only a point
    beyond them is a signal; runs of zeros are none."""

    @property
    def outside(self) -> list[int]:
        """Which points are beyond the limits."""
        beyond = (self.points > self.upper) | (self.points < self.lower)
        return [int(i) for i in np.flatnonzero(beyond)]


def p_chart(faulty: Sequence[int], sizes: Sequence[int], centre: float | None = None) -> Chart:
    """Of faulty parts out of ``sizes``; ``centre`` is the p̄ of phase one (None: of these)."""
    d, n = _counts(faulty, sizes)
    p = float(d.sum() / n.sum()) if centre is None else centre
    sigma = np.sqrt(p * (1 - p) / n)
    return _exact(_shewhart("p", d / n, p, sigma, 1.0), d, n, binomial=True)


def u_chart(defects: Sequence[int], sizes: Sequence[int], centre: float | None = None) -> Chart:
    """Of defects per part, where a part may have several."""
    c, n = _counts(defects, sizes)
    u = float(c.sum() / n.sum()) if centre is None else centre
    return _exact(_shewhart("u", c / n, u, np.sqrt(u / n), math.inf), c, n, binomial=False)


Limits = tuple[float, float, float]
"""``(lower, centre, upper)``."""


def xbar_r_limits(mean: float, mean_range: float, size: int) -> tuple[Limits, Limits]:
    """Of the X̄ chart and of the R chart, from phase one's x̄̄ and R̄."""
    if not 2 <= size < len(D2):
        raise ValueError(f"subgroups of 2 to {len(D2) - 1}, not {size}")
    sigma = mean_range / D2[size]
    half, spread = 3 * sigma / math.sqrt(size), 3 * D3_SIGMA[size] * sigma
    return (mean - half, mean, mean + half), (
        max(0.0, mean_range - spread), mean_range, mean_range + spread,
    )  # fmt: skip


def xbar_r(
    groups: Sequence[Sequence[float]], centre: tuple[float, float] | None = None
) -> tuple[Chart, Chart]:
    """X̄ and R of subgroups of equal size; ``centre`` is phase one's ``(x̄̄, R̄)``."""
    x = np.asarray(groups, np.float64)
    if x.ndim != 2 or not len(x):
        raise ValueError("subgroups of one size, at least one")
    means, ranges = x.mean(1), np.ptp(x, axis=1)
    grand, mean_range = (float(means.mean()), float(ranges.mean())) if centre is None else centre
    (_, _, _), (low, _, high) = xbar_r_limits(grand, mean_range, x.shape[1])
    size = x.shape[1]
    sigma = mean_range / D2[size]
    xbar = _shewhart("xbar", means, grand, np.full(len(x), sigma / math.sqrt(size)), math.inf,
                     floor=-math.inf)  # fmt: skip
    spread = D3_SIGMA[size] * sigma
    z = (ranges - mean_range) / spread if spread else np.zeros(len(x))
    return xbar, Chart("range", ranges, mean_range, np.full(len(x), low), np.full(len(x), high), z)


@lru_cache(16)
def range_cdf(size: int) -> Callable[[float], float]:
    """The chance that the range of ``size`` normal values lies below so many of its standard
    deviations from its mean: it is skewed, and what holds for normal points does not for it."""
    step, normal = 0.02, NormalDist()
    x = np.arange(-8.0, 8.0 + step, step)
    density, below = (np.array([f(v) for v in x]) for f in (normal.pdf, normal.cdf))

    def cdf(z: float) -> float:
        width = D2[size] + D3_SIGMA[size] * z
        if math.isinf(width) or width <= 0:
            return float(width > 0)
        within = np.array([normal.cdf(v + width) for v in x]) - below
        return float(size * (density * within ** (size - 1)).sum() * step)

    return cdf


def range_sigma(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    """σ from the ranges of subgroups of equal size, R̄/d₂, and the degrees of freedom that it is
    worth: those of a chi that varies as R̄ does (Patnaik, Biometrika 37, 1950), 3.6 for each
    subgroup of five and not the 4 of a standard deviation."""
    x = np.asarray(groups, np.float64)
    count, size = x.shape
    sigma = float(np.ptp(x, axis=1).mean()) / D2[size]
    return sigma, count * (D2[size] / D3_SIGMA[size]) ** 2 / 2


RARE = 5.0
"""Events expected in a subgroup, below which the normal is no fit (Montgomery, 7.2.1)."""
TAIL = NormalDist().cdf(-3.0)


def _exact(chart: Chart, counts: Floats, sizes: Floats, binomial: bool) -> Chart:
    """The chart, or where events are rare one with the limits of their own distribution: a point is
    beyond if so many events or more have a chance below that of 3 σ, 0.00135."""
    if not 0 < chart.centre * float(sizes.min()) < RARE:
        return chart
    p, highest = chart.centre, {n: _highest(chart.centre, int(n), binomial) for n in set(sizes)}
    upper = np.array([highest[n] / n for n in sizes])
    z = np.zeros(len(counts))
    for i in np.flatnonzero(counts > p * sizes):
        tail = _at_least(int(counts[i]), p, int(sizes[i]), binomial)
        z[i] = -NormalDist().inv_cdf(min(max(tail, 1e-300), 0.5))
    return replace(chart, lower=np.zeros(len(counts)), upper=upper, z=z, rare=True)


def _highest(centre: float, size: int, binomial: bool) -> int:
    """The most events that are within the limits: one more has a chance below that of 3 σ."""
    limit = 0
    while _at_least(limit + 1, centre, size, binomial) > TAIL:
        limit += 1
    return limit


@lru_cache(4096)
def _at_least(count: int, centre: float, size: int, binomial: bool) -> float:
    """The chance of so many events or more. Remembered: a chart of a thousand subgroups of one size
    asks for the same few of them at every new point (3 ms of processor time each, before)."""
    mean, below = centre * size, 0.0
    for c in range(count):
        if binomial:
            log = math.lgamma(size + 1) - math.lgamma(c + 1) - math.lgamma(size - c + 1)
            log += c * math.log(centre) + (size - c) * math.log1p(-centre)
        else:
            log = c * math.log(mean) - mean - math.lgamma(c + 1)
        below += math.exp(log)
    return max(0.0, 1 - below)


@lru_cache(1024)
def false_alarms(kind: str, centre: float, size: int) -> float:
    """The exact chance that a subgroup from a process that is in control lies beyond the limits of
    its ``p`` or ``u`` chart: these distributions are skewed, and 0.0027 is only the normal's."""
    binomial = kind == "p"
    if centre <= 0 or (binomial and centre >= 1):
        return 0.0
    if centre * size < RARE:
        return _at_least(_highest(centre, size, binomial) + 1, centre, size, binomial)
    spread = 3 * math.sqrt(centre * ((1 - centre) if binomial else 1) / size)
    low, high = (
        math.ceil((centre - spread) * size - 1e-9),
        math.floor((centre + spread) * size + 1e-9),
    )
    above = _at_least(high + 1, centre, size, binomial)
    return above + (1 - _at_least(low, centre, size, binomial) if low > 0 else 0.0)


def _shewhart(
    kind: str, points: Floats, centre: float, sigma: Floats, ceiling: float, floor: float = 0.0
) -> Chart:
    z = np.where(sigma > 0, (points - centre) / np.where(sigma > 0, sigma, 1.0), 0.0)
    lower = np.maximum(centre - 3 * sigma, floor)
    return Chart(kind, points, centre, lower, np.minimum(centre + 3 * sigma, ceiling), z)


def _counts(counts: Sequence[int], sizes: Sequence[int]) -> tuple[Floats, Floats]:
    d, n = np.asarray(counts, np.float64), np.asarray(sizes, np.float64)
    if d.shape != n.shape or d.ndim != 1 or not len(d) or (n <= 0).any() or (d < 0).any():
        raise ValueError("one count and one size above 0 for each subgroup")
    return d, n
