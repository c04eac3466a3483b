"""Which points of a control chart are signals, and how often they are none.

Enters: points in standard deviations from the centre. Leaves: signals, each with the points that
make it; and the average run length of a set of rules, which is the reciprocal of its false-alarm
rate, computed exactly by Champ and Woodall's Markov chain (Technometrics 29, 1987) rather than
quoted. Pure arithmetic: imports nothing of ours; anyone may import it.

More rules find more and cry wolf more often. Rules 1 to 4 of Western Electric together alarm
falsely once in 92 points, rule 1 alone once in 370; `SELECTED`, with nine on a side for eight, once
in 109.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist

import numpy as np

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Rule:
    """``count`` of ``of`` consecutive points lie beyond ``sigma`` on one side."""

    name: str
    count: int
    of: int
    sigma: float


BEYOND = Rule("1 beyond 3σ", 1, 1, 3.0)
TWO_OF_THREE = Rule("2 of 3 beyond 2σ", 2, 3, 2.0)
FOUR_OF_FIVE = Rule("4 of 5 beyond 1σ", 4, 5, 1.0)
NINE_ON_A_SIDE = Rule("9 on a side", 9, 9, 0.0)
SELECTED = (BEYOND, NINE_ON_A_SIDE, TWO_OF_THREE, FOUR_OF_FIVE)
"""Tests 1, 2, 5 and 6 of Nelson, Journal of Quality Technology 16 (1984)."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A rule that has spoken."""

    rule: str
    at: int
    """The point that completed it."""
    points: tuple[int, ...]
    """Those that lie beyond, ``at`` the last."""
    above: bool


def signals(z: Sequence[float], rules: Iterable[Rule] = SELECTED, since: int = 0) -> list[Signal]:
    """What the rules say of points ``z``, those completed at ``since`` or later. A point on the
    centre is on neither side."""
    values = [float(value) for value in z]
    sides = [(rule, side, (1 << rule.of) - 1) for rule in rules for side in (1.0, -1.0)]
    # Of each rule on each side a bit for each of its last points, set where it lies beyond: which
    # points they are is looked up where it speaks, a sixth of the time.
    held = [0] * len(sides)
    found = []
    for at in range(max(0, since + 1 - max((r.of for r, _, _ in sides), default=1)), len(values)):
        for i, (rule, side, mask) in enumerate(sides):
            beyond = side * values[at] > rule.sigma
            held[i] = bits = (held[i] << 1 | beyond) & mask
            if beyond and at >= since and bits.bit_count() >= rule.count:
                first = max(0, at - rule.of + 1)
                points = tuple(i for i in range(first, at + 1) if bits >> at - i & 1)
                found.append(Signal(rule.name, at, points, side > 0))
    return found


@lru_cache(64)
def run_length(
    rules: tuple[Rule, ...] = SELECTED,
    shift: float = 0.0,
    cdf: Callable[[float], float] | None = None,
) -> float:
    """Mean number of points until one of the rules speaks, for normal points whose mean has moved
    by ``shift`` standard deviations; at 0 its reciprocal is the false-alarm rate. ``cdf``: of the
    points, where they are not normal (`charts.range_cdf`)."""
    cdf = cdf or _cdf
    cuts = sorted({s * r.sigma for r in rules for s in (-1.0, 1.0)})
    edges = [-math.inf, *cuts, math.inf]
    zones = []
    for low, high in pairwise(edges):
        inside = high - 1 if math.isinf(low) else low + 1 if math.isinf(high) else (low + high) / 2
        zones.append((inside, cdf(high - shift) - cdf(low - shift)))
    start = tuple(0 for _ in rules for _ in (0, 1))
    number = {start: 0}
    waiting, steps = [start], []
    while waiting:
        state = waiting.pop()
        for middle, chance in zones:
            following = _after(state, rules, middle)
            if following is None:
                continue
            if following not in number:
                number[following] = len(number)
                waiting.append(following)
            steps.append((number[state], number[following], chance))
    q = np.zeros((len(number), len(number)))
    for one, other, chance in steps:
        q[one, other] += chance
    return float(np.linalg.solve(np.eye(len(number)) - q, np.ones(len(number)))[0])


def ewma_run_length(weight: float, width: float, shift: float = 0.0, cells: int = 201) -> float:
    """The same for an EWMA chart with steady limits, by Brook and Evans' Markov chain."""
    half = width * math.sqrt(weight / (2 - weight))
    step = 2 * half / cells
    centres = -half + step * (np.arange(cells) + 0.5)
    q = np.empty((cells, cells))
    for i, at in enumerate(centres):
        edges = [(-half + step * j - (1 - weight) * at) / weight - shift for j in range(cells + 1)]
        cdf = np.array([_cdf(edge) for edge in edges])
        q[i] = np.diff(cdf)
    lengths = np.linalg.solve(np.eye(cells) - q, np.ones(cells))
    return float(lengths[cells // 2])


def cusum_run_length(allowance: float = 0.5, limit: float = 5.0, shift: float = 0.0) -> float:
    """The same for a two-sided CUSUM, by Siegmund's approximation (Montgomery, 9.1.4)."""

    def one_sided(delta: float) -> float:
        b = limit + 1.166
        if abs(delta) < 1e-9:
            return b * b
        return (math.exp(-2 * delta * b) + 2 * delta * b - 1) / (2 * delta * delta)

    return 1 / (1 / one_sided(shift - allowance) + 1 / one_sided(-shift - allowance))


@lru_cache(256)
def poisson_cusum(mean: float, least: float = 500.0) -> tuple[float, float, float]:
    """``(k, h, run length)`` of a CUSUM of counts that looks for a doubling of a rare event (Lucas,
    Technometrics 27, 1985): ``k`` is the reference value between ``mean`` and twice of it, ``h``
    the lowest limit whose run length in control, exact by a Markov chain, is at least ``least``.
    """
    reference = max(1, round(GRID * mean / math.log(2)))
    chances = [math.exp(-mean)]
    while sum(chances) < 1 - 1e-12 and len(chances) < 200:
        chances.append(chances[-1] * mean / len(chances))
    limit = GRID
    while (length := _count_run_length(reference, limit, chances)) < least:
        limit += GRID
    return reference / GRID, limit / GRID, length


GRID = 8
"""Steps of a count CUSUM to one event."""


def _count_run_length(reference: int, limit: int, chances: list[float]) -> float:
    q = np.zeros((limit + 1, limit + 1))
    for at in range(limit + 1):
        for count, chance in enumerate(chances):
            following = max(0, at + GRID * count - reference)
            if following <= limit:
                q[at, following] += chance
    return float(np.linalg.solve(np.eye(limit + 1) - q, np.ones(limit + 1))[0])


def _after(state: tuple[int, ...], rules: tuple[Rule, ...], z: float) -> tuple[int, ...] | None:
    """The next state; None when a rule speaks. A rule's state on a side is a bit for each of its
    last points that lay beyond, as far as they can still matter."""
    following = []
    for i, rule in enumerate(rules):
        for j, side in enumerate((1.0, -1.0)):
            beyond = side * z > rule.sigma
            bits = (state[2 * i + j] << 1 | beyond) & (1 << rule.of) - 1
            if beyond and bits.bit_count() >= rule.count:
                return None
            # the oldest leaves with the next point
            kept = bits & (1 << rule.of - 1) - 1
            if rule.count == rule.of:  # one point that is not beyond makes a run begin anew
                zero = 0
                while kept >> zero & 1:
                    zero += 1
                kept = (1 << zero) - 1
            following.append(kept)
    return tuple(following)


def _cdf(x: float) -> float:
    return float(x > 0) if math.isinf(x) else _NORMAL.cdf(x)
