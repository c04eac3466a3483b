"""A picture goes in, enlarged cut-outs of what may be a matrix code on it come out.

A code whose modules are two or three pixels wide is too small for a reader that follows its frame
pixel by pixel; three or four times as large it is read. The whole picture would take nine times as
long, so only places are enlarged: a matrix code is a patch that changes strongly whichever way one
goes, and is about as wide as high. Imported by ``tools/code_search.py``.

On 35 photographs of packs with a small DataMatrix that was read by some means, it is among the
eight places on 34, and read from these alone on 32.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.code_strips import Matrix, slopes_of

Patch = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""

AROUND = 3
"""Cells, both ways, whose change is taken together."""
LEVELS = (0.03, 0.1, 0.25)
"""Shares of the strongest change from which a cell changes: a faint code is seen at the first, one
among other print stands apart at the last."""
LEAST_CHANGE = 60.0
"""Below this it is noise."""
CLOSINGS = (1, 3, 5)
"""Cells across which what changes is taken together: some codes have bare middles."""
SLENDER = 1.8
"""Longer side through the shorter one from which a patch is text, or a bar code."""
FILLED = 0.55
"""Share of its rectangle that a patch covers at least."""
LEAST, MOST = 16, 200
"""Pixels of a patch's shorter and longer side: a larger code is read without help."""
PLACES = 8
"""Places that are tried, the most changing first."""
APART = 0.6
"""Two patches that share more than this of the larger are one place."""
MARGIN = 0.15
"""Of the patch's side, added all around: a code needs some of its bare margin."""
SMALL = 110
"""Pixels of a patch's side up to which it is enlarged by the first pair, …"""
ENLARGED = ((3.0, 4.0), (2.0, 3.0))
"""… else by the second: a reader finds modules of six to twelve pixels best."""


@dataclass(frozen=True, slots=True)
class Square:
    """A place that may hold a matrix code, enlarged."""

    pixels: Pixels
    """Grey, stretched from black to white."""
    to_picture: Matrix
    """(2, 3): from its pixels to those of the picture."""
    coarse: bool = False
    """Better split into black and white by one level for all than by each place's own."""


def squares(grey: Pixels) -> Iterator[Square]:
    """The places of a picture, (h, w), each at two sizes, and once to be split by one level."""
    for left, top, right, bottom in places(grey):
        side = max(right - left, bottom - top)
        margin = round(MARGIN * side) + 4
        x, y = max(0, left - margin), max(0, top - margin)
        cut = grey[y : bottom + margin, x : right + margin]
        for number, scale in enumerate(ENLARGED[side > SMALL]):
            large = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            even = cv2.normalize(large, np.empty_like(large), 0, 255, cv2.NORM_MINMAX)
            pixels = np.ascontiguousarray(np.asarray(even, np.uint8))
            shift = 0.5 / scale - 0.5  # the middle of a pixel is at whole coordinates in both
            matrix = np.array([(1 / scale, 0, x + shift), (0, 1 / scale, y + shift)])
            yield Square(pixels, matrix)
            if number == 0:
                yield Square(pixels, matrix, coarse=True)


def places(grey: Pixels) -> list[Patch]:
    """Where a matrix code of some ten to two hundred pixels may be, the most changing place first;
    at most ``PLACES``."""
    slopes = slopes_of(grey, AROUND)
    if slopes is None:
        return []
    (xx, yy, xy), (px, py) = slopes
    # The smaller eigenvalue of the structure tensor: zero on edges and bars, large on squares.
    change = np.asarray((xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2))
    per_cell = float(px), float(py)
    found: dict[Patch, float] = {}
    for level in LEVELS:
        least = max(level * float(np.percentile(change, 99.5)), LEAST_CHANGE)
        busy = np.asarray(change > least, np.uint8)
        for closing in CLOSINGS:
            found |= _patches(change, busy, closing, per_cell)
    kept: list[Patch] = []
    for patch in sorted(found, key=lambda patch: -found[patch]):
        if all(_shared(patch, other) < APART for other in kept):
            kept.append(patch)
        if len(kept) == PLACES:
            break
    return kept


def _patches(
    change: NDArray[Any], busy: Pixels, closing: int, per_cell: tuple[float, float]
) -> dict[Patch, float]:
    """Patches about as wide as high of ``busy`` cells, and how strongly each changes."""
    kernel = np.ones((closing, closing), np.uint8)
    closed = cv2.morphologyEx(busy, cv2.MORPH_CLOSE, kernel)
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    px, py = per_cell
    found: dict[Patch, float] = {}
    for outline in outlines:
        x, y, w, h = cv2.boundingRect(outline)
        if max(w * px, h * py) > 1.5 * MOST:
            continue
        _, (across, along), _ = cv2.minAreaRect(outline)
        # Contours run through the middles of cells, half a cell inside what they enclose.
        across, along = across + 1, along + 1
        shorter, longer = sorted((across * px, along * py))
        if shorter < LEAST or longer > MOST or longer > SLENDER * shorter:
            continue
        if cv2.contourArea(outline) + len(outline) / 2 + 1 < FILLED * across * along:
            continue
        patch = (int(x * px), int(y * py), int((x + w) * px), int((y + h) * py))
        found[patch] = float(change[y : y + h, x : x + w].mean())
    return found


def _shared(one: Patch, other: Patch) -> float:
    """How much of the larger of two patches lies in both."""
    w = min(one[2], other[2]) - max(one[0], other[0])
    h = min(one[3], other[3]) - max(one[1], other[1])
    areas = [(p[2] - p[0]) * (p[3] - p[1]) for p in (one, other)]
    return max(0, w) * max(0, h) / max(1, *areas)
