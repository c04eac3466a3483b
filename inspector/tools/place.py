"""Where a part stands: a map from the pixels it was taught in to those of the frame.

Imported by the tools and by ``recipe``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.part import Box

Points = NDArray[Any]
"""``(n, 2)`` float: x, y in pixels; a pixel's centre has whole coordinates."""


def pitch_at(at: Points, to_mm: Callable[[Points], Points]) -> float:
    """Millimetres per pixel at a place, (2,): the square root of the area's ratio."""
    origin, right, down = to_mm(at + np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]))
    (a, b), (c, d) = right - origin, down - origin
    return math.sqrt(abs(a * d - b * c))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the part stands: a map from taught pixels to those of the frame."""

    matrix: NDArray[np.float64]
    """``(2, 3)``, a similarity: turn, scale, shift."""
    size: tuple[int, int] | None = None
    """Width and height of the taught picture; None is the frame's own."""
    box: Box | None = None
    """Set when the place is a box that another step found: the taught picture is that cut-out."""
    part: tuple[int, int, int, int] | None = None
    """Where the part lies in the taught picture, if that shows it whole."""

    @property
    def degrees(self) -> float:
        """How far the part is turned, clockwise as seen in the picture."""
        return math.degrees(math.atan2(self.matrix[1, 0], self.matrix[0, 0]))

    @property
    def scale(self) -> float:
        """Frame pixels per taught pixel."""
        return math.hypot(self.matrix[0, 0], self.matrix[1, 0])

    def points(self, taught: Points) -> Points:
        """Taught points in the frame."""
        moved: Points = np.asarray(taught, np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]
        return moved

    def around(self, box: Box) -> Box:
        """The upright box around a taught box, in the frame."""
        x1, y1, x2, y2 = box
        corners = self.points(np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)]))
        (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
        return (left, top, right, bottom)

    def after(self, inner: Place) -> Place:
        """``inner``, found in the picture that this place gives, as a place in the frame."""
        whole = np.vstack([inner.matrix, (0, 0, 1)])
        return replace(inner, matrix=self.matrix @ whole, box=None)
