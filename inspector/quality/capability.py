"""Whether a measure keeps its tolerance: values and limits go in, Cp and Cpk with their intervals.

After Montgomery, "Introduction to Statistical Quality Control", 6th edition, chapter 8: Cp's
interval is exact for normal values (chi-square), Cpk's is Bissell's approximation. Pure arithmetic:
imports nothing of ours; anyone may import it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the interval that covers the truth at the confidence asked for."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Capability:
    """Of one measure."""

    n: int
    mean: float
    sigma: float
    cp: Interval | None
    """None where only one limit is given."""
    cpk: Interval


def capability(
    values: Sequence[float],
    low: float | None,
    high: float | None,
    sigma: float | None = None,
    confidence: float = 0.95,
    df: float | None = None,
) -> Capability:
    """Of values from a process that is in control; ``sigma``: from the ranges of the values'
    subgroups (R̄/d₂) with its degrees of freedom ``df``, else the values' own, which makes it Pp
    and Ppk.

    Raises:
        ValueError: fewer than 10 values, no limit, or values without any spread.
    """
    if len(values) < 10:
        raise ValueError(f"{len(values)} values say nothing about capability; at least 10")
    if low is None and high is None:
        raise ValueError("a tolerance has a lower or an upper limit")
    mean, n = fmean(values), len(values)
    spread = stdev(values) if sigma is None else sigma
    if not spread > 0:
        raise ValueError("the values do not differ; is the resolution too coarse?")
    sides = [(high - mean) / (3 * spread)] if high is not None else []
    sides += [(mean - low) / (3 * spread)] if low is not None else []
    cp = None
    if low is not None and high is not None:
        if not low < high:
            raise ValueError("the lower limit must be below the upper one")
        cp = cp_interval((high - low) / (6 * spread), n, confidence, df)
    return Capability(n, mean, spread, cp, cpk_interval(min(sides), n, confidence, df))


def cp_interval(cp: float, n: int, confidence: float = 0.95, df: float | None = None) -> Interval:
    """Montgomery, equation 8.19; ``df``: of σ, if that is not the values' own with n - 1."""
    tail, df = (1 - confidence) / 2, df or n - 1
    low = cp * math.sqrt(chi_square(tail, df) / df)
    return Interval(cp, low, cp * math.sqrt(chi_square(1 - tail, df) / df))


def cpk_interval(cpk: float, n: int, confidence: float = 0.95, df: float | None = None) -> Interval:
    """Montgomery, equation 8.21 (Bissell); ``df`` as for Cp."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    off = z * math.sqrt(1 / (9 * n) + cpk * cpk / (2 * (df or n - 1)))
    return Interval(cpk, cpk - off, cpk + off)


def chi_square(probability: float, df: float) -> float:
    """The value that a chi-square of ``df`` degrees stays below with ``probability``."""
    low, high = 0.0, df + 20 * math.sqrt(2 * df) + 50
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if gamma_below(df / 2, middle / 2) < probability else (low, middle)
        )
        if high - low < 1e-12 * high:
            break
    return (low + high) / 2


def gamma_below(a: float, x: float) -> float:
    """The regularised lower incomplete gamma function P(a, x) (Numerical Recipes, 6.2)."""
    if x <= 0:
        return 0.0
    front = math.exp(-x + a * math.log(x) - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        n = a
        while abs(term) > 1e-16 * abs(total):
            n += 1
            term *= x / n
            total += term
        return front * total
    b = x + 1 - a
    c, d = 1e300, 1 / b
    h = d
    for i in range(1, 500):
        an = -i * (i - a)
        b += 2
        d = 1 / (an * d + b or 1e-300)
        c = b + an / c or 1e-300
        h *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return 1 - front * h
