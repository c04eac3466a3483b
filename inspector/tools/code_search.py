"""A picture goes in, the codes on it come out; where too few could be read, other views help.

What helps photographed codes: less noise, more pixels, even light; and, for bars, a strip across
them from where the picture is striped, turned upright and averaged along the bars, which takes
noise away and no sharpness. How much is tried depends on the picture alone, never on a clock: the
same picture always gives the same answer. Imported by ``tools/code.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from inspector.part import Pixels

Matrix = NDArray[np.float64]

LOCATE_SIDE = 640
"""Stripes are looked for in a picture whose longer side is reduced to this, in pixels."""
LARGEST = 1.3e6
"""Pixels above which a picture is not enlarged: there a code of some size has enough of them."""
STRIPED = 0.55
"""Coherence of the gradient from which a place is striped: 1 is one direction only."""
STRIPS = 4
"""Striped places that are tried."""
MATRIX = {
    "Aztec", "AztecCode", "AztecRune", "DataMatrix", "MaxiCode", "MicroQRCode", "PDF417",
    "CompactPDF417", "MicroPDF417", "QRCode", "QRCodeModel1", "QRCodeModel2", "RMQRCode",
}  # fmt: skip
"""Symbologies with Reed-Solomon error correction."""
ACROSS = 48
"""Rows of a strip, in pixels of its own."""


@dataclass(frozen=True, slots=True)
class View:
    """The picture seen otherwise."""

    pixels: Pixels
    """Grey."""
    to_picture: Matrix
    """(2, 3): from pixels of this view to those of the picture."""
    bars: bool = False
    """Holds 1D codes only."""
    coarse: bool = False
    """Better split into black and white by one level for all than by each place's own."""


@dataclass(frozen=True, slots=True)
class ReadCode:
    """A code that was read."""

    symbology: str
    """zxing-cpp's name."""
    text: str
    corners: NDArray[np.float64]
    """[4,2] x, y in the picture's pixels."""


def read_codes(
    picture: Pixels,
    formats: Any,
    *,
    coarse: bool = False,
    rotate: bool = True,
    downscale: bool = True,
    invert: bool = True,
) -> list[ReadCode]:
    """The codes in a picture; what they say has passed its checksums, where a code has one."""
    codes = zxingcpp.read_barcodes(
        np.ascontiguousarray(picture),
        formats=formats,
        try_rotate=rotate,
        try_downscale=downscale,
        try_invert=invert,
        text_mode=zxingcpp.TextMode.Plain,
        binarizer=(
            zxingcpp.Binarizer.GlobalHistogram if coarse else zxingcpp.Binarizer.LocalAverage
        ),
    )
    return [ReadCode(code.format.name, code.text, _corners(code.position)) for code in codes]


def search_codes(
    picture: Pixels, formats: Any, known: Sequence[ReadCode], wanted: int
) -> list[ReadCode]:
    """``known`` and what other views show, until there are ``wanted``.

    A 1D code counts when two views say the same: it has one check digit at most, and part of an
    ITF code is a shorter one. Matrix codes correct their errors and say so.
    """
    found = list(known)
    seen = {(code.symbology, code.text) for code in known}
    once: set[tuple[str, str]] = set()
    for view in views(picture):
        whole = not view.bars
        for code in read_codes(
            view.pixels, formats, coarse=view.coarse, rotate=whole, downscale=whole, invert=whole
        ):
            key = code.symbology, code.text
            if key in seen:
                continue
            if code.symbology in MATRIX or key in once:
                seen.add(key)
                corners = code.corners @ view.to_picture[:, :2].T + view.to_picture[:, 2]
                height, width = picture.shape[:2]
                np.clip(corners, 0, (width, height), out=corners)
                found.append(ReadCode(*key, corners))
            once.add(key)
        if len(found) >= wanted:
            break
    return found


def views(picture: Pixels) -> Iterator[View]:
    """Views of a picture, (h, w) or (h, w, 3) BGR, in which a code may be readable."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.ndim == 3 else picture
    same = np.eye(2, 3)
    calm = cv2.normalize(cv2.medianBlur(grey, 3), np.empty_like(grey), 0, 255, cv2.NORM_MINMAX)
    yield View(_bytes(cv2.GaussianBlur(calm, (0, 0), 0.8)), same)
    for strip in strips(_bytes(grey)):
        yield from strip
    if grey.size <= LARGEST:
        # The middle of a pixel is at whole coordinates in both.
        half = np.array([(0.5, 0, -0.25), (0, 0.5, -0.25)])
        large = cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        yield View(_bytes(large), half, coarse=True)
        yield View(_bytes(large), half)
        soft = cv2.GaussianBlur(large, (0, 0), 3)
        yield View(_bytes(cv2.addWeighted(large, 3, soft, -2, 0)), half)
    yield View(_bytes(cv2.createCLAHE(4, (8, 8)).apply(grey)), same)


def strips(grey: Pixels) -> Iterator[Iterator[View]]:
    """For each striped place, the largest first, its upright strips."""
    height, width = grey.shape
    scale = min(1.0, LOCATE_SIDE / max(height, width))
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.8).astype(np.float32)
    dx, dy = cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)
    around = (19, 19)
    xx, yy, xy = (cv2.blur(p, around) for p in (dx * dx, dy * dy, dx * dy))
    energy = xx + yy
    coherence = np.sqrt((xx - yy) ** 2 + 4 * xy**2) / (energy + 1e-3)
    strong = energy > max(0.04 * float(np.percentile(energy, 99)), 60.0)
    mask = np.asarray(strong & (coherence > STRIPED), np.uint8)
    mask = _bytes(cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)))
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask)
    order = sorted(range(1, count), key=lambda i: -int(stats[i, cv2.CC_STAT_AREA]))
    for number in order[:STRIPS]:
        ys, xs = np.nonzero(numbers == number)
        if len(xs) < 300:
            return
        weight = numbers == number
        a, b, c = (float(p[weight].sum()) for p in (xx, yy, xy))
        turn = 0.5 * math.atan2(2 * c, a - b)
        points = np.stack([xs, ys], 1) / scale
        yield _strips_of(grey, points, np.array([math.cos(turn), math.sin(turn)]))


def _strips_of(grey: Pixels, points: NDArray[Any], along: NDArray[Any]) -> Iterator[View]:
    """Upright strips of the place that ``points`` (n, 2) cover; ``along`` leads across its bars."""
    aside = np.array([-along[1], along[0]])
    across, beside = points @ along, points @ aside
    low, high = np.percentile(across, (0.5, 99.5))
    near, far = np.percentile(beside, (5, 95))
    quiet = 0.12 * (high - low) + 12  # a code is not read without the bare margin beside it
    low, high = low - quiet, high + quiet
    scale = 3.0 if high - low < 700 else 2.0
    width = max(16, round((high - low) * scale))
    for middle, reach in ((0.5, 0.6), (0.5, 0.2), (0.2, 0.2), (0.8, 0.2)):
        centre = near + middle * (far - near)
        half = max(2.0, reach * (far - near) / 2)
        step = 2 * half / ACROSS
        start = low * along + (centre - half) * aside
        matrix = np.stack([along / scale, aside * step, start], 1)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        strip = cv2.warpAffine(
            grey, matrix, (width, ACROSS), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        profile = strip.astype(np.float32).mean(0)
        soft = cv2.GaussianBlur(profile[None], (0, 0), 2.2 * scale / 2)[0]
        wide = cv2.blur(profile[None], (int(40 * scale) | 1, 1))[0]
        for sharpened in (profile, profile + 1.5 * (profile - soft)):
            even = sharpened - wide
            spread = float(np.percentile(np.abs(even), 90)) or 1.0
            level = np.clip(128 + even * (100 / spread), 0, 255).astype(np.uint8)
            yield View(np.ascontiguousarray(np.tile(level, (ACROSS, 1))), matrix, bars=True)
        if middle == reach - 0.1:
            yield View(_bytes(strip), matrix, bars=True)


def _corners(position: Any) -> NDArray[np.float64]:
    corners = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    return np.array([(float(c.x), float(c.y)) for c in corners])


def _bytes(pixels: Any) -> Pixels:
    return np.ascontiguousarray(np.asarray(pixels, np.uint8))
