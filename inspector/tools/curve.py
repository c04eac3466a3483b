"""Print that does not run straight from left to right goes in; a straight line of it comes out.

Imported by ``tools/line_rules.py`` (what a recipe says) and ``tools/read.py``.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from inspector.config import Settings
from inspector.part import Box, Pixels
from inspector.tools.step import Roi, Unjudged, grey_of

Runs = Literal["across", "down", "up", "stacked"]
"""``across``: as one writes. ``down``, ``up``: the whole line turned, read from top to bottom or
from bottom to top. ``stacked``: upright characters, one below the other."""


class Arc(Settings):
    """Print along a circle, such as on a lid or around a crown cork."""

    centre: tuple[float, float]
    """x, y in pixels; behind a followed step in those it was taught in."""
    radius: float = Field(gt=4, le=20_000)
    """Of the circle through the middle of the characters, in pixels."""
    height: float = Field(gt=4, le=2000)
    """Of the band that is unrolled, in pixels: the characters and some margin."""
    start_deg: float
    """Where the line begins, in degrees clockwise from the top …"""
    end_deg: float
    """… and where it ends: beyond the start in the direction of reading."""
    feet: Literal["in", "out"] = "in"
    """``in``: characters stand on the circle, read clockwise. ``out``: their heads point to the
    middle, read anticlockwise, so ``end_deg`` is below ``start_deg``."""

    @model_validator(mode="after")
    def _has_a_length(self) -> Arc:
        span = self.end_deg - self.start_deg
        if self.feet == "out":
            span = -span
        if not 1 <= span <= 360:
            way = "below" if self.feet == "out" else "above"
            raise ValueError(
                f"`end_deg` is 1 to 360 degrees {way} `start_deg` with feet {self.feet}"
            )
        if self.height >= 2 * self.radius:
            raise ValueError("`height` is less than the circle's diameter")
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the straight line, in pixels."""
        span = math.radians(abs(self.end_deg - self.start_deg))
        return max(4, round(self.height)), max(8, round(span * self.radius))

    @property
    def box(self) -> Box:
        """The upright box around the band."""
        x, y = self._points()
        return float(x.min()), float(y.min()), float(x.max()) + 1, float(y.max()) + 1

    @property
    def roi(self) -> Roi:
        """The pixels that it is unrolled from, those between which is interpolated too."""
        x1, y1, x2, y2 = self.box
        left, top = max(0, math.floor(x1) - 2), max(0, math.floor(y1) - 2)
        return left, top, max(left + 1, math.ceil(x2) + 2), max(top + 1, math.ceil(y2) + 2)

    def unrolled(self, pixels: Pixels) -> Pixels:
        """The band as a straight line of print. Raises ``Unjudged`` if it leaves the picture."""
        x, y = self._points()
        height, width = pixels.shape[:2]
        if x.min() < -0.5 or y.min() < -0.5 or x.max() > width - 0.5 or y.max() > height - 0.5:
            raise Unjudged(f"the arc of print reaches outside the {width}x{height} picture")
        line = cv2.remap(pixels, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(line, np.uint8)

    def _points(self) -> tuple[NDArray[Any], NDArray[Any]]:
        turn = math.radians(self.end_deg - self.start_deg)
        rows, columns = self.size
        angles = math.radians(self.start_deg) + turn * (np.arange(columns) + 0.5) / columns
        out = self.height / 2 - (np.arange(rows) + 0.5) * self.height / rows
        radii = self.radius + (out if self.feet == "in" else -out)
        x = self.centre[0] + radii[:, None] * np.sin(angles)
        y = self.centre[1] - radii[:, None] * np.cos(angles)
        return x.astype(np.float32), y.astype(np.float32)


def straight(line: Pixels, runs: Runs) -> Pixels:
    """A line of print that runs so, as one that runs across."""
    match runs:
        case "down":
            return np.ascontiguousarray(np.rot90(line))
        case "up":
            return np.ascontiguousarray(np.rot90(line, -1))
        case "stacked":
            return _side_by_side(line)
        case _:
            return line


def _side_by_side(column: Pixels) -> Pixels:
    """Characters that stand one below the other, put beside each other."""
    grey = grey_of(column)
    calm = cv2.GaussianBlur(grey, (0, 0), max(0.5, grey.shape[1] / 60)).astype(np.float32)
    off = np.abs(calm - np.median(calm))
    inked = (off > 0.4 * max(float(np.percentile(off, 98)), 8.0)).mean(axis=1) > 0.02
    edges = np.flatnonzero(np.diff(np.concatenate(([0], inked.astype(np.int8), [0]))))
    spans = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    if not spans:
        return column
    tall = max(b - a for a, b in spans)
    spans = [(a, b) for a, b in spans if b - a >= tall / 5]  # a speck is no character
    pad = max(2, tall // 6)
    paper = np.median(column.reshape(-1, *column.shape[2:]), axis=0)
    cells = []
    for a, b in spans:
        cell = np.empty((tall + 2 * pad, *column.shape[1:]), np.uint8)
        cell[...] = paper
        top = pad + (tall - (b - a)) // 2
        cell[top : top + b - a] = column[a:b]
        cells.append(cell)
    return np.ascontiguousarray(np.concatenate(cells, axis=1))
