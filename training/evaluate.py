"""How good a model is: detections or texts and the truth enter, figures with intervals leave.

Imported by ``fit``, ``export`` and the command line. Nothing here knows torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from training.pictures import Picture

Detections = NDArray[np.float32]
"""``[n, 6]``: x1, y1, x2, y2, score, class; rows with score 0 are padding."""
Look = Callable[[Picture], Detections]
"""Finds what is on one letterboxed picture."""


@dataclass(frozen=True, slots=True)
class Share:
    """A counted share and the interval it may truly lie in."""

    hits: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.hits / self.n if self.n else float("nan")

    def as_dict(self) -> dict[str, float | int | list[float] | None]:
        """As a card holds it: JSON knows no NaN, a share of nothing is null."""
        interval = [round(self.low, 5), round(self.high, 5)]
        value = round(self.value, 5) if self.n else None
        return {"value": value, "n": self.n, "interval95": interval}


def wilson(hits: int, n: int, z: float = 1.96) -> Share:
    """``hits`` of ``n`` with Wilson's 95 % interval (Wilson 1927), honest near 0 and 1."""
    if n == 0:
        return Share(0, 0, 0.0, 1.0)
    share = hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Share(hits, n, max(0.0, centre - reach), min(1.0, centre + reach))


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of boxes ``[n, 4]`` and ``[m, 4]``: ``[n, m]``."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(-1), (b[:, 2:] - b[:, :2]).prod(-1)
    return shared / np.maximum(area_a[:, None] + area_b[None] - shared, 1e-9)


def match(
    found: Detections, picture: Picture, label: int, overlap: float
) -> list[tuple[float, bool]]:
    """(score, right?) of each detection of a class on a picture; best first, each object once."""
    mine = found[(found[:, 5] == label) & (found[:, 4] > 0)]
    mine = mine[np.argsort(-mine[:, 4], kind="stable")]
    truth = picture.boxes[picture.labels == label]
    overlaps = iou(mine[:, :4], truth)
    free = np.ones(len(truth), bool)
    results = []
    for row, score in zip(overlaps, mine[:, 4], strict=True):
        row = np.where(free, row, -1.0)
        best = int(row.argmax()) if len(row) else -1
        right = best >= 0 and row[best] >= overlap
        if right:
            free[best] = False
        results.append((float(score), right))
    return results


def average_precision(scored: Sequence[tuple[float, bool]], objects: int) -> float:
    """Area under precision over recall at COCO's 101 points; NaN without objects."""
    if objects == 0:
        return float("nan")
    ranked = sorted(scored, key=lambda s: -s[0])
    right = np.cumsum([r for _, r in ranked], dtype=np.float64)
    precision = right / np.arange(1, len(ranked) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(right / objects, np.linspace(0, 1, 101) - 1e-12, side="left")
    return float(np.append(precision, 0.0)[np.minimum(at, len(ranked))].mean())


def mean_average_precision(
    found: Sequence[Detections], pictures: Sequence[Picture], classes: int, overlap: float = 0.5
) -> tuple[float, list[float]]:
    """mAP over the classes that occur, and each class's AP (NaN where it does not)."""
    each = []
    for label in range(classes):
        scored = [
            s for f, p in zip(found, pictures, strict=True) for s in match(f, p, label, overlap)
        ]
        objects = sum(int((p.labels == label).sum()) for p in pictures)
        each.append(average_precision(scored, objects))
    known = [a for a in each if not np.isnan(a)]
    return (float(np.mean(known)) if known else float("nan")), each


def bootstrap(
    measure: Callable[[NDArray[np.int64]], float], n: int, rounds: int = 200, seed: int = 0
) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of ``measure`` over redrawn sets of ``n`` indices."""
    rng = np.random.default_rng(seed)
    values = [measure(rng.integers(0, n, n)) for _ in range(rounds)]
    low, high = np.nanquantile(values, (0.025, 0.975))
    return float(low), float(high)
