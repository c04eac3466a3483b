"""``blob``: pixels go in, connected spots of one tone come out, each with its size and form.

Imported by ``tools`` alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import cv2
import numpy as np
from pydantic import Field, model_validator

from inspector.config import Settings
from inspector.part import Box, Finding, Pixels
from inspector.tools.bounds import check_bounds
from inspector.tools.onnx import Shelf
from inspector.tools.step import Context, Step, corner_of, crop
from inspector.tools.threshold import Threshold, stands_out

MOST = 200
"""Findings of one part; the count goes on."""


class Params(Settings):
    """Which spots count, and how many there may be."""

    threshold: Threshold = Threshold()
    area: tuple[float, float] = (20, 1e9)
    """Smallest and largest area that counts, in square pixels."""
    round: tuple[float, float] = (0, 1)
    """4π area / perimeter²: 1 is a circle, near 0 a thread."""
    long: tuple[float, float] = (1, 1e9)
    """Length over width."""
    edge: bool = True
    """Whether spots that touch the ROI's edge count."""
    at_least: int = Field(0, ge=0)
    at_most: int | None = Field(0, ge=0)
    """More than this many rejects the part; null is any number."""

    @model_validator(mode="after")
    def _are_ranges(self) -> Params:
        for name in ("area", "round", "long"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"`{name}` is [smallest, largest]")
        check_bounds(self.at_least, self.at_most)
        return self


class BlobStep(Step):
    """A ``blob`` step of a recipe."""

    kind: Literal["blob"]
    params: Params = Params()

    def labels(self, classes: Sequence[str]) -> Sequence[str]:
        """Its spots."""
        return ("spot",)


class Blob:
    """Finds spots."""

    Step: ClassVar[type[BlobStep]] = BlobStep

    def __init__(self, step: BlobStep, shelf: Shelf) -> None:
        self._step = step
        self.model_digests: tuple[str, ...] = ()

    def warm_up(self) -> None:
        """Nothing to warm."""

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """One finding per spot, largest first, its value its area; one more when their number is
        wrong."""
        step, params = self._step, self._step.params
        area = crop(pixels, step.roi)
        mask = stands_out(area, params.threshold)
        contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        left, top = corner_of(step.roi)
        spots: list[tuple[float, Box]] = []
        for index, contour in enumerate(contours):
            if np.asarray(tree)[0][index][3] >= 0:  # the rim of a hole
                continue
            size = self._size(contour, area.shape[1], area.shape[0])
            if size is not None:
                x, y, w, h = cv2.boundingRect(contour)
                box = (left + x, top + y, left + x + w, top + y + h)
                spots.append((size, (float(box[0]), float(box[1]), float(box[2]), float(box[3]))))
        spots.sort(key=lambda spot: -spot[0])
        found = [
            step.finding("spot", value=size, unit="{px}2", box=box) for size, box in spots[:MOST]
        ]
        count, most = len(spots), params.at_most
        if count < params.at_least or (most is not None and count > most):
            bound = f"at least {params.at_least}" if count < params.at_least else f"at most {most}"
            largest = f", the largest of {spots[0][0]:.0f} px" if spots else ""
            reason = f"{count} spots where {bound} may be{largest}"
            worst = spots[0][1] if spots else None
            found.append(step.finding("count", reason, value=float(count), unit="1", box=worst))
        return found

    def _size(self, contour: np.ndarray, width: int, height: int) -> float | None:
        """The spot's area in pixels, holes filled, if its form counts."""
        params = self._step.params
        length = cv2.arcLength(contour, True)
        # Pick's theorem: a contour runs through its pixels' centres, half of them is missing.
        area = cv2.contourArea(contour) + len(contour) / 2 + 1
        if not params.area[0] <= area <= params.area[1]:
            return None
        outline = length + math.pi
        if not params.round[0] <= min(1.0, 4 * math.pi * area / outline**2) <= params.round[1]:
            return None
        (_, sides, _) = cv2.minAreaRect(contour)
        if not params.long[0] <= (max(sides) + 1) / (min(sides) + 1) <= params.long[1]:
            return None
        x, y, w, h = cv2.boundingRect(contour)
        inside = x > 0 and y > 0 and x + w < width and y + h < height
        return float(area) if params.edge or inside else None
