"""A mask goes in; its outline, area, length and width come out, in mm where a camera is calibrated.

Imported by the tools that see forms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Box, Outline
from inspector.tools.place import Points, pitch_at

POINTS = 64
"""Corners that a ring may have: 4 bytes each in the record."""
HOLES = 8
"""The largest holes that an outline keeps; the area counts them all."""
ROUNDEST = 32.0
"""An outline is never off by more than this, in pixels; it then has more corners."""


@dataclass(frozen=True, slots=True)
class Form:
    """The form of one connected place."""

    area: float
    """Without its holes, in px² or mm²."""
    length: float
    """The longer side of the smallest rectangle around it, in px or mm."""
    width: float
    """Its greatest thickness: the diameter of the largest circle in it, in px or mm."""
    box: Box
    outline: Outline


def form_of(
    mask: NDArray[np.uint8],
    corner: tuple[int, int],
    to_mm: Callable[[Points], Points] | None = None,
) -> Form:
    """The form of a mask [h,w], 255 in one connected place, that begins at ``corner`` (x, y).

    ``to_mm`` turns the picture's pixels (n, 2) into millimetres. Raises ``ValueError`` for an empty
    mask.
    """
    rings, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not rings:
        raise ValueError("an empty mask has no form")
    parents = np.asarray(tree)[0][:, 3]
    outer = max((r for r, p in zip(rings, parents, strict=True) if p < 0), key=len)
    holes = [r for r, p in zip(rings, parents, strict=True) if p >= 0]
    x, y, w, h = cv2.boundingRect(outer)
    left, top = corner
    area = float(cv2.countNonZero(mask))
    # Distances run from centre to centre: only in a doubled mask has each middle a pixel.
    doubled = np.pad(mask.repeat(2, 0).repeat(2, 1), 1)
    width = float(cv2.distanceTransform(doubled, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())
    points = outer.reshape(-1, 2) + np.array(corner, np.float64)
    pitch = 1.0
    if to_mm is not None:
        pitch = pitch_at(points.mean(0), to_mm)
        flat = cv2.contourArea(points.astype(np.float32))
        points = to_mm(points)
        # A large place may lie aslant, so that its pixels are of unequal size.
        large = flat > area / 2
        area *= cv2.contourArea(points.astype(np.float32)) / flat if large else pitch**2
    sides = cv2.minAreaRect(points.astype(np.float32))[1]
    holes.sort(key=cv2.contourArea, reverse=True)
    return Form(
        area=area,
        length=max(sides) + pitch,
        width=width * pitch,
        box=(float(left + x), float(top + y), float(left + x + w), float(top + y + h)),
        outline=tuple(_ring(r, corner) for r in (outer, *holes[:HOLES])),
    )


def _ring(ring: NDArray[Any], corner: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    off = 0.5
    kept = cv2.approxPolyDP(ring, off, True)
    while len(kept) > POINTS and off < ROUNDEST:
        off *= 1.5
        kept = cv2.approxPolyDP(ring, off, True)
    moved = kept.reshape(-1, 2) + np.array(corner)
    return tuple((int(x), int(y)) for x, y in moved.clip(0, 65535))
