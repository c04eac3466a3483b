"""A picture of a code and what it says go in; indicators of its print quality come out.

After the parameters of ISO/IEC 15416:2016 (bars) and ISO/IEC 15415:2011 (matrices): named and
computed as there, yet indicators and no grades, since a grade needs a verifier's calibrated light,
aperture and angle. They tell that a printer gets worse, long before codes are no longer read.
Imported by ``tools/code.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.code_search import MATRIX, ReadCode
from inspector.tools.gs1 import elements_of
from inspector.tools.step import grey_of

Floats = NDArray[Any]

SCANS = 10
"""Scan lines across a 1D code (ISO/IEC 15416, 5.3)."""
QUIET = 4
"""Modules of the quiet zone that a scan takes in on either side."""
ANOTHER = 0.12
"""Share of wrong modules from which a matrix was not drawn as it would be here, by another mask or
size. More than this no error correction mends."""
CHARACTER = 6
"""Edges of a character of Code 128."""
PER_MODULE = 8
"""Samples of a module's width that a code is brought to."""
NUMBERS = {"DataBarOmni", "DataBarLtd", "DataBarStk", "DataBarStkOmni"}
"""Symbologies of GS1 that hold a GTIN alone, so that nothing marks it."""
UNLIKE = {"DataBarStk", "DataBarStkOmni", "DataBarExpStk", "MaxiCode"}
"""Neither one row of bars nor a grid of squares: held against either, a perfect print has none of
its edges where they must be."""
INDICATORS = (
    "symbol_contrast",
    "edge_contrast",
    "modulation",
    "defects",
    "decodability",
    "unused_correction",
)
"""Each from 0 to 1; all but ``defects`` are the better the higher."""

OF_BARS, OF_MATRICES = ("edge_contrast", "defects", "decodability"), ("unused_correction",)
"""Those that one kind of code alone has."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Indicators of one code; those that its kind does not have are None."""

    symbol_contrast: float
    """Reflectance of the lightest less that of the darkest place, as a share of full white."""
    modulation: float
    """Bars: smallest edge contrast over symbol contrast. Matrices: how far the worst module is on
    its side of the threshold, over half the symbol contrast."""
    edge_contrast: float | None = None
    """Bars: smallest step between a bar and a space beside it."""
    defects: float | None = None
    """Bars: the largest irregularity within a bar or a space, over the symbol contrast."""
    decodability: float | None = None
    """Bars: how much of the tolerance of its widths a code leaves; the worst edge counts."""
    unused_correction: float | None = None
    """Matrices: the share of modules' error correction that was not needed, at least."""


def quality_of(picture: Pixels, code: ReadCode) -> Quality | None:
    """The indicators of a code that was read in ``picture``; None where it cannot be drawn anew to
    be compared with, or lies partly out of the picture."""
    ideal = None if code.symbology in UNLIKE else _drawn(code)
    if ideal is None or ideal.size == 0:
        return None
    matrix = code.symbology in MATRIX
    seen = _upright(grey_of(picture), code.corners, ideal.shape, bars=not matrix)
    if seen is None:
        return None
    # Code 128 has three sets, and digits may stand in each.
    return _of_matrix(seen, ideal) if matrix else _of_bars(seen, ideal, "128" in code.symbology)


def _drawn(code: ReadCode) -> NDArray[np.bool_] | None:
    """The code's modules, true where dark: [rows, columns], one row for bars, no quiet zone."""
    content, marked = code.text, code.gs1 and code.symbology not in NUMBERS
    try:
        if marked:  # without FNC1 it would be another code
            content = "".join(f"[{ai}]{value}" for ai, value in elements_of(content))
        symbology = getattr(zxingcpp.BarcodeFormat, code.symbology)
        barcode = zxingcpp.create_barcode(content, symbology, gs1=marked)
        image = np.array(zxingcpp.write_barcode_to_image(barcode, scale=1, add_quiet_zones=False))
    except (ValueError, RuntimeError, AttributeError, TypeError):
        return None
    dark = np.asarray(image.reshape(image.shape[:2]) < 128)
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    if not len(rows):
        return None
    dark = dark[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return dark if code.symbology in MATRIX else dark[len(dark) // 2][None]


def _upright(
    grey: Pixels, corners: NDArray[np.float64], modules: tuple[int, ...], bars: bool
) -> Floats | None:
    """The code as a rectangle of PER_MODULE samples a module, reflectance from 0 to 1."""
    height, width = grey.shape
    low, high = corners.min(0), corners.max(0)
    if low.min() < 0 or high[0] > width or high[1] > height:
        return None
    rows, columns = (SCANS if bars else modules[0] * PER_MODULE), modules[1] * PER_MODULE
    if bars:
        # Scan lines cross the middle of the bars' height (5.3: the inspection band).
        top = (
            corners[0] + 0.25 * (corners[3] - corners[0]),
            corners[1] + 0.25 * (corners[2] - corners[1]),
        )
        foot = (
            corners[3] + 0.25 * (corners[0] - corners[3]),
            corners[2] + 0.25 * (corners[1] - corners[2]),
        )
        corners = np.array([top[0], top[1], foot[1], foot[0]])
    # The paper beside the bars is seen too: there the first and the last edge are.
    margin = QUIET * PER_MODULE if bars else 0
    target = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)], np.float32) - 0.5
    target[:, 0] += margin
    turn = cv2.getPerspectiveTransform(corners.astype(np.float32) - np.float32(0.5), target)
    if not np.isfinite(turn).all():
        return None
    seen = cv2.warpPerspective(
        grey,
        turn,
        (columns + 2 * margin, rows),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return seen.astype(np.float32) / 255


def _of_bars(seen: Floats, ideal: NDArray[np.bool_], free: bool) -> Quality | None:
    """The mean over the scan lines, as a grade is one over theirs. None where they all show a code
    of more characters, or fewer, and an encoder is ``free`` to draw such a one."""
    dark = ideal[0]
    inner = np.flatnonzero(dark[1:] != dark[:-1]) + 1
    edges = np.concatenate(([0], inner, [len(dark)])).astype(np.float64)
    counts = {len(_crossings(scan)) for scan in seen}
    if free and len(counts) == 1 and (more := counts.pop() - len(edges)) and more % CHARACTER == 0:
        return None
    scans = np.array([_scan(scan, edges) for scan in seen])
    contrast, edge, modulation, defects, decodability = scans.mean(0).tolist()
    return Quality(contrast, modulation, edge, defects, decodability)


def _crossings(scan: Floats) -> NDArray[np.intp]:
    """Before which samples a scan crosses the middle of its lightest and its darkest place."""
    above = scan >= (float(scan.min()) + float(scan.max())) / 2
    return np.flatnonzero(above[1:] != above[:-1])


def _scan(scan: Floats, edges: Floats) -> tuple[float, float, float, float, float]:
    """Symbol contrast, edge contrast, modulation, defects, decodability of one scan reflectance
    profile; a scan that does not show the code's edges has none of the last four."""
    low, high = float(scan.min()), float(scan.max())
    contrast = high - low
    threshold = (low + high) / 2
    above, at = scan >= threshold, _crossings(scan)
    if len(at) != len(edges) or contrast <= 0:
        return contrast, 0.0, 0.0, 1.0, 0.0
    crossed = at + (threshold - scan[at]) / (scan[at + 1] - scan[at])
    extremes, flaw = [], 0.0
    for a, b in pairwise(at.tolist()):
        element = scan[a + 1 : b + 1]
        bar = not above[a + 1]
        extremes.append(float(element.min() if bar else element.max()))
        flaw = max(flaw, _irregular(element, bar))
    edge = float(np.abs(np.diff(extremes)).min(initial=contrast))
    # Where edges lie by the code's own module width; bars that are all wider or all narrower by
    # the same growth are read as well (reference decode algorithms measure like edges).
    module, start = np.polyfit(edges, crossed, 1)
    off = crossed - (module * edges + start)
    growth = (off[::2].mean() - off[1::2].mean()) / 2
    off[::2] -= growth
    off[1::2] += growth
    decodability = max(0.0, 1 - 2 * float(np.abs(off).max()) / module) if module > 0 else 0.0
    return contrast, edge, edge / contrast, min(1.0, flaw / contrast), decodability


def _irregular(element: Floats, bar: bool) -> float:
    """The largest rise within a bar, or fall within a space, that is followed by its contrary."""
    values = element if bar else -element
    left = np.minimum.accumulate(values)
    right = np.minimum.accumulate(values[::-1])[::-1]
    return float((values - np.maximum(left, right)).max())


def _of_matrix(seen: Floats, ideal: NDArray[np.bool_]) -> Quality | None:
    rows, columns = ideal.shape
    cells = seen.reshape(rows, PER_MODULE, columns, PER_MODULE)
    quarter = PER_MODULE // 4
    # A synthetic aperture of half a module (ISO/IEC 15415, 7.3.3).
    values = cells[:, quarter:-quarter, :, quarter:-quarter].mean((1, 3))
    low, high = float(values.min()), float(values.max())
    contrast = max(high - low, 1e-6)
    middle = (low + high) / 2
    side = np.where(ideal, middle - values, values - middle) / (contrast / 2)
    wrong = float((side < 0).mean())
    if wrong > ANOTHER:
        return None
    return Quality(
        symbol_contrast=contrast,
        modulation=float(np.clip(side.min(), 0, 1)),
        # Each wrong module may cost a codeword of eight; a quarter of them can be mended at most.
        unused_correction=float(max(0.0, 1 - 8 * wrong / 0.25)) if wrong else 1.0,
    )
