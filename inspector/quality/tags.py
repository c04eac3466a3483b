"""Which process tag moves with the defects: a logistic regression, and how sure it is.

Enters: for each part whether it was faulty, and the values of the process tags then. Leaves: the
effect of each tag as an odds ratio per standard deviation, with its interval and p-value, the one
that stands out, if one does, and the share of defects to be expected at other values. Pure
arithmetic: imports nothing of ours; anyone may import it.

The model is fitted by iteratively reweighted least squares; a slight ridge keeps it finite where a
tag separates good from bad wholly. Standard errors come from the information matrix (Hosmer,
Lemeshow, "Applied Logistic Regression"); with several tags the p-values are Holm's, so that one of
twenty tags is not named by chance. It names what moves together, not what causes what.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS_MIN, FAULTY_MIN = 100, 10
"""Fewer say nothing: ten events for each tag is the usual rule, of which this is the least."""
RIDGE = 1e-4


@dataclass(frozen=True, slots=True)
class Effect:
    """Of one tag, the others held."""

    tag: str
    odds_ratio: float
    """By which factor the odds of a defect grow with one standard deviation of the tag."""
    low: float
    high: float
    p: float
    """Chance of an effect at least this large if the tag did not matter, after Holm."""
    coefficient: float
    """Per unit of the tag."""
    error: float
    """Its standard error."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of defective parts that is expected, with its interval."""

    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class TagModel:
    """The fit."""

    parts: int
    faulty: int
    intercept: float
    intercept_error: float
    effects: tuple[Effect, ...]
    """The surest first."""
    coefficients: tuple[tuple[str, float], ...]
    """Tag and coefficient per unit, in the order of …"""
    covariance: tuple[tuple[float, ...], ...]
    """… the covariance of the intercept and these."""

    def rate(self, tags: Mapping[str, float], confidence: float = 0.95) -> Rate | None:
        """The share of defects that these values let expect; None where one of them is not told.

        Wald's interval of the logit, taken back to shares (Hosmer, Lemeshow).
        """
        if any(name not in tags for name, _ in self.coefficients):
            return None
        at = np.array([1.0, *(tags[name] for name, _ in self.coefficients)])
        logit = self.intercept + sum(c * tags[name] for name, c in self.coefficients)
        z = NormalDist().inv_cdf(0.5 + confidence / 2)
        reach = z * math.sqrt(max(0.0, float(at @ np.array(self.covariance) @ at)))
        return Rate(*(1 / (1 + _exp(-x)) for x in (logit, logit - reach, logit + reach)))

    def named(self, level: float = 0.01) -> Effect | None:
        """The tag that moves with the defects; None where none stands out."""
        return self.effects[0] if self.effects and self.effects[0].p < level else None


def tag_model(
    faulty: Sequence[bool],
    tags: Mapping[str, Sequence[float]],
    confidence: float = 0.95,
    least: tuple[int, int] = (PARTS_MIN, FAULTY_MIN),
) -> TagModel | None:
    """The model of ``faulty[part]`` on ``tags[name][part]``; None where there is too little to
    learn from. Tags that never change, or that repeat another, are left out."""
    y = np.asarray(faulty, np.float64)
    if len(y) < least[0] or not least[1] <= y.sum() <= len(y) - least[1]:
        return None
    names: list[tuple[str, float, float]] = []
    columns: list[Floats] = []
    for name, values in sorted(tags.items()):
        x = np.asarray(values, np.float64)
        if len(x) != len(y):
            raise ValueError(f"tag {name}: {len(x)} values for {len(y)} parts")
        if not np.isfinite(x).all() or x.std() <= 1e-12 * max(1.0, float(np.abs(x).max())):
            continue
        z = (x - x.mean()) / x.std()
        if any(abs(float((z * seen).mean())) > 0.999 for seen in columns):
            continue
        names.append((name, float(x.mean()), float(x.std())))
        columns.append(z)
    if not columns:
        return None
    design = np.column_stack([np.ones(len(y)), *columns])
    beta, covariance = _fit(design, y)
    errors = np.sqrt(np.diag(covariance))
    two = [
        2 * (1 - NormalDist().cdf(abs(b / e))) for b, e in zip(beta[1:], errors[1:], strict=True)
    ]
    adjusted = _holm(two)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    effects = [
        Effect(
            name, _exp(b), _exp(b - z * e), _exp(b + z * e), p, b / spread, e / spread,
        )
        for (name, _, spread), b, e, p in zip(
            names, map(float, beta[1:]), map(float, errors[1:]), adjusted, strict=True
        )
    ]  # fmt: skip
    # back to the tags' own units: the intercept is at tags of 0
    back = np.diag([1.0, *(1 / spread for _, _, spread in names)])
    back[0, 1:] = [-mean / spread for _, mean, spread in names]
    own, covariance = back @ beta, back @ covariance @ back.T
    return TagModel(
        len(y), int(y.sum()), float(own[0]), math.sqrt(float(covariance[0, 0])),
        tuple(sorted(effects, key=lambda e: (e.p, -abs(math.log(max(e.odds_ratio, 1e-300)))))),
        tuple((name, float(c)) for (name, _, _), c in zip(names, own[1:], strict=True)),
        tuple(tuple(float(v) for v in row) for row in covariance),
    )  # fmt: skip


Floats = NDArray[np.floating[Any]]


def _fit(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Coefficients and their covariance."""
    beta = np.zeros(x.shape[1])
    ridge = RIDGE * np.eye(x.shape[1])
    ridge[0, 0] = 0.0
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        weight = np.maximum(p * (1 - p), 1e-10)
        information = x.T @ (x * weight[:, None]) + ridge
        step = np.linalg.solve(information, x.T @ (y - p) - ridge @ beta)
        beta = np.asarray(beta + step)
        if float(np.abs(step).max()) < 1e-10:
            break
    return beta, np.linalg.inv(information)


def _holm(p: Sequence[float]) -> list[float]:
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, worst = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        worst = max(worst, min(1.0, p[i] * (len(p) - rank)))
        adjusted[i] = worst
    return adjusted


def _exp(x: float) -> float:
    return math.exp(max(-700.0, min(700.0, x)))
