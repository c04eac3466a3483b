"""Repeated measurements of parts go in, how far the measuring itself can be trusted comes out.

A crossed gauge R&R study by analysis of variance, after AIAG, "Measurement Systems Analysis", 4th
edition (2010), chapter III. Pure arithmetic: imports nothing of ours; anyone may import it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

POOL_FROM = 0.25
"""An interaction less significant than this is noise and joins the repeatability (AIAG)."""


@dataclass(frozen=True, slots=True)
class AnovaRow:
    """One source of variation."""

    source: str
    """``appraiser``, ``part``, ``interaction``, ``repeatability``, ``total``."""
    df: int
    ss: float
    """Sum of squares."""
    ms: float
    """Mean square."""
    f: float | None
    p: float | None


@dataclass(frozen=True, slots=True)
class GaugeStudy:
    """What varies, as standard deviations in the unit measured, and what that means."""

    ev: float
    """Equipment variation: repeatability."""
    av: float
    """Appraiser variation: reproducibility without the interaction."""
    interaction: float
    """Of appraiser and part; 0 when pooled."""
    grr: float
    """Repeatability and reproducibility together."""
    pv: float
    """Part variation."""
    tv: float
    """Total variation."""
    ndc: int
    """Number of distinct categories, 1.41 PV / GRR cut down; at least 5 is wanted."""
    pooled: bool
    """Whether the interaction was taken as repeatability."""
    table: tuple[AnovaRow, ...]
    tolerance: float | None
    """Width of the tolerance, if one was given."""

    def percent(self, sigma: float) -> float:
        """A standard deviation as a share of the total variation, in percent."""
        return 100 * sigma / self.tv if self.tv else 0.0

    @property
    def percent_grr(self) -> float:
        """%GRR of the total variation."""
        return self.percent(self.grr)

    @property
    def percent_tolerance(self) -> float | None:
        """%GRR of the tolerance: 6 GRR over its width (P/T)."""
        return None if self.tolerance is None else 100 * 6 * self.grr / self.tolerance

    @property
    def verdict(self) -> str:
        """``acceptable`` under 10 %, ``conditional`` to 30 %, ``unacceptable`` (AIAG); by the
        tolerance when there is one. A gauge that gives every part the same value is stuck, or too
        coarse to tell any from another: nothing says that it measures."""
        if not self.tv:
            return "unacceptable"
        share = self.percent_grr if self.percent_tolerance is None else self.percent_tolerance
        if share > 30:
            return "unacceptable"
        return "acceptable" if share < 10 else "conditional"


def gauge_study(
    values: NDArray[Any] | Sequence[Sequence[Sequence[float]]], tolerance: float | None = None
) -> GaugeStudy:
    """The study of ``values[part][appraiser][trial]``, each part measured equally often by each.

    One appraiser (a station that measures by itself) is a study of repeatability alone. Raises
    ``ValueError`` when there are fewer than two parts or trials, or a value is missing.
    """
    try:
        x = np.asarray(values, np.float64)
    except ValueError:
        x = np.zeros(0)
    if x.ndim != 3 or x.shape[0] < 2 or x.shape[1] < 1 or x.shape[2] < 2:
        raise ValueError("a study has values[part][appraiser][trial]: 2 parts, 2 trials at least")
    if not np.isfinite(x).all():
        raise ValueError("a value is missing or not a number; measure that part again")
    if tolerance is not None and not 0 < tolerance < math.inf:
        raise ValueError("the tolerance is the width between its limits, above 0")
    x = x - x[0, 0, 0]  # so that values that are all the same spread by exactly nothing
    parts, appraisers, trials = x.shape
    grand = x.mean()
    cells, by_part, by_appraiser = x.mean(2), x.mean((1, 2)), x.mean((0, 2))
    ss_part = appraisers * trials * float(((by_part - grand) ** 2).sum())
    ss_appraiser = parts * trials * float(((by_appraiser - grand) ** 2).sum())
    ss_total = float(((x - grand) ** 2).sum())
    ss_error = _spread(float(((x - cells[:, :, None]) ** 2).sum()), ss_total)
    off = cells - by_part[:, None] - by_appraiser + grand
    ss_inter = _spread(trials * float((off**2).sum()), ss_total)
    df_error, df_inter = parts * appraisers * (trials - 1), (parts - 1) * (appraisers - 1)
    error = _row("repeatability", df_error, ss_error, None)
    inter = _row("interaction", df_inter, ss_inter, error)
    pooled = inter.p is None or inter.p > POOL_FROM
    within = error.ms
    if pooled:
        within = (ss_error + ss_inter) / (df_error + df_inter)
    against = within if pooled else inter.ms
    part = _row("part", parts - 1, ss_part, inter if appraisers > 1 else error)
    person = _row("appraiser", appraisers - 1, ss_appraiser, inter)
    total = _row("total", x.size - 1, ss_total, None)
    var_inter = 0.0 if pooled else max(0.0, (inter.ms - error.ms) / trials)
    var_person = max(0.0, (person.ms - against) / (parts * trials)) if appraisers > 1 else 0.0
    var_part = max(0.0, (part.ms - against) / (appraisers * trials))
    var_grr = within + var_person + var_inter
    grr, pv = math.sqrt(var_grr), math.sqrt(var_part)
    return GaugeStudy(
        ev=math.sqrt(within),
        av=math.sqrt(var_person),
        interaction=math.sqrt(var_inter),
        grr=grr,
        pv=pv,
        tv=math.sqrt(var_grr + var_part),
        # A gauge without any spread tells more categories than anyone counts.
        ndc=int(min(1.41 * pv / grr, 9999)) if grr else 9999 if pv else 0,
        pooled=pooled,
        table=(person, part, inter, error, total),
        tolerance=tolerance,
    )


def _row(source: str, df: int, ss: float, against: AnovaRow | None) -> AnovaRow:
    ms = ss / df if df else 0.0
    if against is None or not df or not against.df:
        return AnovaRow(source, df, ss, ms, None, None)
    if not against.ms:  # beyond any F: what varies beside something that never does is no chance
        return AnovaRow(source, df, ss, ms, None, 0.0 if ms else None)
    f = ms / against.ms
    return AnovaRow(source, df, ss, ms, f, _exceeds(f, df, against.df))


def _spread(ss: float, total: float) -> float:
    """A sum of squares without what rounding leaves of none."""
    return ss if ss > 1e-24 * total else 0.0


def _exceeds(f: float, above: int, below: int) -> float:
    """The probability of an F at least this large, by chance (regularised incomplete beta)."""
    return _beta(below / (below + above * f), below / 2, above / 2)


def _beta(x: float, a: float, b: float) -> float:
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(front + a * math.log(x) + b * math.log1p(-x)) / a
    # Lentz's continued fraction (Numerical Recipes, 6.4)
    tiny = 1e-300
    c, d = 1.0, 1 / max(1 - (a + b) * x / (a + 1), tiny)
    h = d
    for m in range(1, 300):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 + term * d
            d = 1 / (d if abs(d) > tiny else tiny)
            c = 1 + term / c
            c = c if abs(c) > tiny else tiny
            h *= d * c
        if abs(d * c - 1) < 1e-14:
            break
    return front * h
