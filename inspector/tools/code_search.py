"""A picture goes in, the codes on it come out; where too few could be read, other views help.

What helps photographed codes: less noise, more pixels, even light; and, for bars, a strip across
them from where the picture is striped, turned upright and averaged along the bars, which takes
noise away and no sharpness. How much is tried depends on the picture alone, never on a clock: the
same picture always gives the same answer. Imported by ``tools/code.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.code_strips import Matrix, strips

LARGEST = 1.3e6
"""Pixels above which a picture is not enlarged: there a code of some size has enough of them."""
MATRIX = {
    "Aztec", "AztecCode", "AztecRune", "DataMatrix", "MaxiCode", "MicroQRCode", "PDF417",
    "CompactPDF417", "MicroPDF417", "QRCode", "QRCodeModel1", "QRCodeModel2", "RMQRCode",
}  # fmt: skip
"""Symbologies with Reed-Solomon error correction."""
WEAK = {
    "ITF", "UPCE", "Codabar", "Code39", "Code39Std", "Code39Ext", "DataBarLtd", "DataBarLimited",
}  # fmt: skip
"""Bars without a check digit, or so few that parts of another code pass for them."""


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

    A 1D code counts when two views say the same: it has one check digit at most. Of the `WEAK`
    ones, also of those in ``known``, four must, and more than say another thing of that place; part
    of an ITF code is a shorter one, so the longer counts. Matrix codes correct their errors and say
    so.
    """
    found = [code for code in known if code.symbology not in WEAK]
    doubted = {(code.symbology, code.text): [code] for code in known if code.symbology in WEAK}
    seen = {(code.symbology, code.text) for code in found}
    for view in views(picture):
        if len(found) >= wanted:
            break
        whole = not view.bars
        for code in read_codes(
            view.pixels, formats, coarse=view.coarse, rotate=whole, downscale=whole, invert=whole
        ):
            key = code.symbology, code.text
            if key in seen:
                continue
            corners = code.corners @ view.to_picture[:, :2].T + view.to_picture[:, 2]
            height, width = picture.shape[:2]
            np.clip(corners, 0, (width, height), out=corners)
            told = doubted.setdefault(key, [])
            told.append(ReadCode(*key, corners))
            needed = 1 if key[0] in MATRIX else 4 if key[0] in WEAK else 2
            if len(told) >= needed and not _outdone(told, doubted, found):
                seen.add(key)
                found.append(told[-1])
    return found


def _outdone(
    told: Sequence[ReadCode],
    doubted: Mapping[tuple[str, str], Sequence[ReadCode]],
    found: Sequence[ReadCode],
) -> bool:
    """Whether a weak reading gives way to another one of the same place."""
    code = told[-1]
    if code.symbology not in WEAK:
        return False
    if any(_same_place(code, other) for other in found):
        return True
    rivals = (of for of in doubted.values() if of[-1].text != code.text)
    return any(
        _same_place(code, of[-1]) and (len(of) >= len(told) or code.text in of[-1].text)
        for of in rivals
    )


def _same_place(one: ReadCode, other: ReadCode) -> bool:
    """Whether the boxes around two codes overlap by a third of the smaller."""
    boxes = [(code.corners.min(0), code.corners.max(0) + 1) for code in (one, other)]
    low, high = np.maximum(boxes[0][0], boxes[1][0]), np.minimum(boxes[0][1], boxes[1][1])
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared > min(float(np.prod(b - a)) for a, b in boxes) / 3


def views(picture: Pixels) -> Iterator[View]:
    """Views of a picture, (h, w) or (h, w, 3) BGR, in which a code may be readable."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.ndim == 3 else picture
    same = np.eye(2, 3)
    calm = cv2.normalize(cv2.medianBlur(grey, 3), np.empty_like(grey), 0, 255, cv2.NORM_MINMAX)
    yield View(_bytes(cv2.GaussianBlur(calm, (0, 0), 0.8)), same)
    for place in strips(_bytes(grey)):
        for strip in place:
            yield View(strip.pixels, strip.to_picture, bars=True)
    if grey.size <= LARGEST:
        # The middle of a pixel is at whole coordinates in both.
        half = np.array([(0.5, 0, -0.25), (0, 0.5, -0.25)])
        large = cv2.resize(grey, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        yield View(_bytes(large), half, coarse=True)
        yield View(_bytes(large), half)
        soft = cv2.GaussianBlur(large, (0, 0), 3)
        yield View(_bytes(cv2.addWeighted(large, 3, soft, -2, 0)), half)
    yield View(_bytes(cv2.createCLAHE(4, (8, 8)).apply(grey)), same)


def _corners(position: Any) -> NDArray[np.float64]:
    corners = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    return np.array([(float(c.x), float(c.y)) for c in corners])


def _bytes(pixels: Any) -> Pixels:
    return np.ascontiguousarray(np.asarray(pixels, np.uint8))
