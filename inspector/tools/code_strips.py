"""A picture goes in, upright strips across what is striped on it come out, made sharp again.

A photographed bar code is mostly too blurred, too small or too uneven, not hidden. A strip is
turned upright, straightened, averaged along the bars (which takes noise away and no sharpness),
made even, and then the blur is undone: the profile between paper (1) and ink (0) that, blurred,
comes nearest to what was seen, by projected gradients (A. Beck, M. Teboulle, SIAM J. Imaging Sci.
2, 2009). The bounds make it sharp: only bars explain a profile that may not leave them. Imported by
``tools/code_search.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels

Matrix = NDArray[np.float64]
Floats = NDArray[Any]

LOCATE_SIDE = 1600
"""Places are looked for in a picture whose longer side is reduced to this, in pixels."""
CELL = 4
"""Pixels, both ways, whose gradients are taken together when places are looked for."""
AROUND = 5
"""Cells, both ways, that must run one way."""
STRIPED = 0.55
"""Coherence of the gradient from which a place is striped: 1 is one direction only."""
WAYS = 8
"""Directions that stripes are sorted by; neighbours overlap by a half."""
LEAST_CELLS = 20
"""A place of fewer holds no code that could be read."""
STRIPS = 6
"""Striped places that are tried."""
ROWS = 40
"""Rows of a place's strip before it is averaged."""
WIDEST = 2400
"""Pixels of a strip at most."""
LEANS = np.radians((-4.0, -2.0, 0.0, 2.0, 4.0))
"""Turns against the place's mean direction that are tried before averaging."""
BANDS = ((0.5, 0.6), (0.5, 0.2), (0.2, 0.2), (0.8, 0.2))
"""Middle and width of the bands that are averaged, as shares of the bars' length."""
BLURS = (0.0, 0.8, 1.2, 1.6, 2.0, 2.4)
"""Standard deviations of the blur that is undone, in pixels of the picture."""
BARE = 0.4
"""A place with less than this share of the strip's contrast holds no bars."""
ROUNDS = 40
"""Steps towards the sharp profile."""
TALL = 16
"""Rows of a strip as it is read."""


@dataclass(frozen=True, slots=True)
class Strip:
    """One profile across a striped place, as a picture."""

    pixels: Pixels
    """Grey."""
    to_picture: Matrix
    """(2, 3): from its pixels to those of the picture."""
    profile: Floats | None = None
    """(w,) between ink (0) and paper (1), where no blur was undone."""


def strips(grey: Pixels) -> Iterator[Iterator[Strip]]:
    """For each striped place, the strongest first, its upright strips."""
    slopes = slopes_of(grey, AROUND, soften=0.8)
    if slopes is None:
        return
    (xx, yy, xy), per_cell = slopes
    for there in _places(xx, yy, xy):
        ys, xs = np.nonzero(there)
        a, b, c = (float(p[there].sum()) for p in (xx, yy, xy))
        turn = 0.5 * math.atan2(2 * c, a - b)
        points = (np.stack([xs, ys], 1) + 0.5) * per_cell - 0.5
        reach = float(per_cell.max()) / 2
        yield _strips_of(grey, points, reach, np.array([math.cos(turn), math.sin(turn)]))


def slopes_of(
    grey: Pixels, around: int, soften: float = 0.0
) -> tuple[tuple[Floats, Floats, Floats], Floats] | None:
    """The structure tensor of a picture's cells, each taken together with ``around`` cells both
    ways: xx, yy, xy; and pixels per cell, (2,) x, y. None where there are too few pixels."""
    height, width = grey.shape
    scale = min(1.0, LOCATE_SIDE / max(height, width))
    if round(min(height, width) * scale) < 2 * CELL:
        return None
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if soften:
        small = cv2.GaussianBlur(small, (0, 0), soften)
    small = small.astype(np.float32)
    dx, dy = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
    cells = small.shape[1] // CELL, small.shape[0] // CELL
    xx, yy, xy = (
        cv2.blur(cv2.resize(p, cells, interpolation=cv2.INTER_AREA), (around, around))
        for p in (dx * dx, dy * dy, dx * dy)
    )
    return (xx, yy, xy), np.array([width, height]) / cells


def _places(xx: Floats, yy: Floats, xy: Floats) -> list[NDArray[np.bool_]]:
    """Which cells belong to each striped place, the most striped first: places touch, so cells are
    taken together only where their stripes run one way."""
    energy = xx + yy
    coherence = np.sqrt((xx - yy) ** 2 + 4 * xy**2) / (energy + 1e-3)
    striped = (energy > max(0.04 * float(np.percentile(energy, 99)), 60.0)) & (coherence > STRIPED)
    turn = np.arctan2(2 * xy, xx - yy)  # twice the angle
    found: list[tuple[float, NDArray[np.bool_]]] = []
    for way in range(WAYS):
        near = np.cos(turn - 2 * math.pi * way / WAYS) > math.cos(2 * math.pi * 0.75 / WAYS)
        mask = cv2.morphologyEx(
            np.asarray(striped & near, np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)
        )
        count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        large = np.argsort(-stats[1:count, cv2.CC_STAT_AREA], kind="stable")[:STRIPS] + 1
        for number in large.tolist():
            if stats[number, cv2.CC_STAT_AREA] >= LEAST_CELLS:
                there = numbers == number
                found.append((float(coherence[there].sum()), there))
    found.sort(key=lambda one: -one[0])
    kept: list[NDArray[np.bool_]] = []
    for _, there in found:  # stripes between two ways are found in both
        if all((there & other).sum() < 0.5 * there.sum() for other in kept):
            kept.append(there)
    return kept[:STRIPS]


def _strips_of(grey: Pixels, points: Floats, reach: float, along: Floats) -> Iterator[Strip]:
    """Upright strips of the place that ``points`` (n, 2) cover, each ``reach`` pixels around it;
    ``along`` leads across its bars."""
    aside = np.array([-along[1], along[0]])
    across, beside = points @ along, points @ aside
    low, high = np.percentile(across, (0.5, 99.5))
    low, high = low - reach, high + reach
    near, far = np.percentile(beside, (5, 95))
    quiet = 0.12 * (high - low) + 12  # a code is not read without the bare margin beside it
    low, high = low - quiet, high + quiet
    scale = min(3.0, WIDEST / (high - low))
    width = max(16, round((high - low) * scale))
    for middle, share in BANDS:
        centre = near + middle * (far - near)
        half = max(2.0, share * (far - near) / 2)
        step = 2 * half / ROWS
        start = low * along + (centre - half) * aside
        matrix = np.stack([along / scale, aside * step, start], 1)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        strip = cv2.warpAffine(
            grey, matrix, (width, ROWS), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        blurs = [blur * scale for blur in BLURS]
        sharpened = undone(_straightened(strip, step * scale), blurs)
        for blur, sharp in zip(blurs, sharpened, strict=True):
            level = np.clip(255 * sharp, 0, 255).astype(np.uint8)
            picture = np.ascontiguousarray(np.tile(level, (TALL, 1)))
            yield Strip(picture, matrix, None if blur else sharp)
        yield Strip(np.ascontiguousarray(np.asarray(strip, np.uint8)), matrix)


def _straightened(strip: Floats, per_row: float) -> Floats:
    """The mean of a strip's rows, leant so that its bars are upright; ``per_row`` is how many
    pixels of its width one row is high. (w,) float32."""
    rows, width = strip.shape
    best, most = strip, -1.0
    for lean in LEANS:
        shift = math.tan(lean) * per_row
        if abs(shift) * rows < 1 and lean:
            continue
        matrix = np.array([(1, shift, -shift * (rows - 1) / 2), (0, 1, 0)])
        leant = cv2.warpAffine(strip, matrix, (width, rows), borderMode=cv2.BORDER_REPLICATE)
        slopes = np.diff(leant.mean(0, dtype=np.float32))
        if (energy := float(slopes @ slopes)) > most:
            best, most = leant, energy
    return np.asarray(best.mean(0, dtype=np.float32))


def undone(profile: Floats, blurs: list[float]) -> Iterator[Floats]:
    """The profile, (w,), between ink (0) and paper (1), with each of the blurs undone: standard
    deviations in its own pixels, 0 leaves it as it is."""
    row = profile[None]
    around = max(3, len(profile) // 8) | 1
    flat = np.ones((1, around), np.uint8)
    paper = cv2.blur(cv2.dilate(row, flat), (around, 1))
    ink = cv2.blur(cv2.erode(row, flat), (around, 1))
    depth = paper - ink
    least = max(8.0, BARE * float(np.percentile(depth, 90)))  # the bare margin is paper
    even = np.clip(1 - (paper - row) / np.maximum(depth, least), 0, 1).astype(np.float32)
    for sigma in blurs:
        yield (_sharpened(even, sigma) if sigma else even)[0]


def _sharpened(seen: Floats, sigma: float) -> Floats:
    size = (2 * math.ceil(3 * sigma) + 1, 1)

    def blurred(row: Floats) -> Floats:
        return cv2.GaussianBlur(row, size, sigma, borderType=cv2.BORDER_REPLICATE)

    sharp = ahead = seen
    speed = 1.0
    for _ in range(ROUNDS):
        before = sharp
        sharp = np.clip(ahead + blurred(seen - blurred(ahead)), 0, 1)
        faster = (1 + math.sqrt(1 + 4 * speed * speed)) / 2
        ahead = sharp + (speed - 1) / faster * (sharp - before)
        speed = faster
    return sharp
