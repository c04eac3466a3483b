"""``count``: pixels go in, how many pieces lie there comes out, also where they touch.

Pieces are told apart by their thickest places, or found by a golden picture of one. Imported by
``tools`` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from pydantic import Field, model_validator

from inspector.config import Settings
from inspector.part import Box, Finding, Pixels
from inspector.tools.bounds import broken_bound, check_count
from inspector.tools.card import ModelError
from inspector.tools.golden import GoldenPicture
from inspector.tools.onnx import Shelf
from inspector.tools.step import (
    Context,
    Step,
    Unjudged,
    box_of,
    corner_of,
    crop,
    grey_of,
    is_left_out,
)
from inspector.tools.threshold import Threshold, stands_out

MOST = 500
"""Findings of one part; more pieces than this are an error, not a number."""
PLAIN = 2.0
"""Standard deviation of a golden piece's grey levels below which it shows nothing: OpenCV then
finds a plain one everywhere, with full likeness, as one piece."""


class Params(Settings):
    """What a piece is, and how many there must be."""

    size_px: float = Field(ge=3)
    """A piece's diameter, or its shorter side."""
    threshold: Threshold = Threshold()
    """What stands out is pieces."""
    golden: GoldenPicture | None = Field(None, exclude_if=is_left_out)
    """One piece as it looks: pieces are then found by likeness, whatever their tone."""
    score: float = Field(0.7, gt=0, le=1)
    """With ``golden``: normalised correlation from which it is a piece."""
    at_least: int | None = Field(None, ge=0)
    at_most: int | None = Field(None, ge=0)
    exactly: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _bounds_something(self) -> Params:
        check_count(self.at_least, self.at_most, self.exactly)
        return self


class CountStep(Step):
    """A ``count`` step of a recipe."""

    kind: Literal["count"]
    params: Params

    def labels(self, classes: Sequence[str]) -> Sequence[str]:
        """Its pieces."""
        return ("piece",)


class Count:
    """Counts pieces."""

    Step: ClassVar[type[CountStep]] = CountStep

    def __init__(self, step: CountStep, shelf: Shelf) -> None:
        """Raises ``ModelError`` when the golden piece has nothing to be told by."""
        self._step = step
        self.model_digests: tuple[str, ...] = ()
        golden = step.params.golden
        self._piece = grey_of(golden.pixels) if golden else None
        if golden and self._piece is not None and self._piece.std() < PLAIN:
            raise ModelError(
                f"golden/{golden.digest[:12]}",
                "shows no piece but one plain level; take another, with what is around it",
            )

    def warm_up(self) -> None:
        """Nothing to warm."""

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """One finding per piece, and one with their number that says whether it is right. Only
        where it is not has that a box: who follows the pieces must not be led to all that was
        searched."""
        step, params = self._step, self._step.params
        area = crop(pixels, step.roi)
        pieces = self._apart(area) if self._piece is None else self._alike(area, self._piece)
        if len(pieces) > MOST:
            raise Unjudged(f"more than {MOST} pieces: `size_px` or `threshold` does not fit")
        x, y = corner_of(step.roi)
        found = [
            step.finding("piece", score=s, box=(x + a, y + b, x + c, y + d))
            for (a, b, c, d), s in pieces
        ]
        count = len(pieces)
        wanted = broken_bound(count, params.at_least, params.at_most, params.exactly)
        reason = f"{count} pieces where {wanted} must be" if wanted else ""
        box = box_of(pixels, step.roi) if reason else None
        return [*found, step.finding("count", reason, box=box, value=float(count), unit="1")]

    def _apart(self, area: Pixels) -> list[tuple[Box, float]]:
        """A piece is a place that is thicker than all around it."""
        size = self._step.params.size_px
        mask = stands_out(area, self._step.params.threshold)
        depth: Any = cv2.distanceTransform(cv2.copyMakeBorder(mask, 1, 1, 1, 1, 0), cv2.DIST_L2, 5)
        depth = cv2.GaussianBlur(depth[1:-1, 1:-1], (0, 0), max(0.5, size / 12))
        reach = max(3, int(0.7 * size) | 1)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        # A piece half hidden by another is still half as thick.
        tops = (depth >= cv2.dilate(depth, kernel) - 1e-4) & (depth >= size / 4)
        _, _, stats, centres = cv2.connectedComponentsWithStats(tops.astype(np.uint8))
        height, width = area.shape[:2]
        half = size / 2
        pieces = []
        for cx, cy in np.asarray(centres)[1 : len(stats)].tolist():
            x1, y1 = max(0.0, cx - half), max(0.0, cy - half)
            x2, y2 = min(float(width), cx + half), min(float(height), cy + half)
            pieces.append(((x1, y1, x2, y2), 1.0))
        return pieces

    def _alike(self, area: Pixels, piece: Any) -> list[tuple[Box, float]]:
        """A piece is a place that correlates with the golden one more than all around it."""
        h, w = piece.shape
        if area.shape[0] < h or area.shape[1] < w:
            height, width = area.shape[:2]
            raise Unjudged(f"{width}x{height} pixels are too few to look for a piece of {w}x{h} in")
        likeness = cv2.matchTemplate(grey_of(area), piece, cv2.TM_CCOEFF_NORMED)
        likeness = np.nan_to_num(likeness, nan=0.0, posinf=0.0, neginf=0.0)  # plain places
        reach = max(3, int(0.7 * self._step.params.size_px) | 1)
        around = cv2.dilate(likeness, np.ones((reach, reach), np.uint8))
        tops = (likeness >= around) & (likeness >= self._step.params.score) & (likeness <= 1.001)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(tops.astype(np.uint8))
        pieces = []
        for x, y, *_ in np.asarray(stats)[1:].tolist():
            row = np.asarray(labels)[y]
            x = int(np.flatnonzero(row[x:])[0]) + x
            box = (float(x), float(y), float(x + w), float(y + h))
            pieces.append((box, min(1.0, float(likeness[y, x]))))
        return pieces
