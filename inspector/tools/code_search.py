"""A picture goes in, the codes on it come out; where too few could be read, other views help.

What helps photographed codes: less noise, more pixels, even light; for matrix codes, what may be
one cut out and enlarged; for bars, a strip across them from where the picture is striped, turned
upright and averaged along the bars, which takes noise away and no sharpness. A number whose bars
run together is told by what it would look like. How much is tried depends on the picture alone,
never on a clock: the same picture always gives the same answer. Imported by ``tools/code.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.code_digits import read_number
from inspector.tools.code_squares import squares
from inspector.tools.code_strips import TALL, Matrix, strips
from inspector.tools.step import grey_of

LARGEST = 1.3e6
"""Pixels above which a picture is not enlarged: there a code of some size has enough of them."""
MATRIX = {
    "Aztec", "AztecCode", "AztecRune", "DataMatrix", "MaxiCode", "MicroQRCode", "PDF417",
    "CompactPDF417", "MicroPDF417", "QRCode", "QRCodeModel1", "QRCodeModel2", "RMQRCode",
}  # fmt: skip
"""Symbologies with Reed-Solomon error correction."""
STACKED = {"PDF417", "CompactPDF417", "MicroPDF417"}
"""Those that are corrected for what is missing too, until nothing is left to tell a wrong one by:
of 200 rendered photographs, one under a glare gave another text than it had."""
WEAK = {
    "ITF", "UPCE", "Codabar", "Code39", "Code39Std", "Code39Ext", "DataBarLtd", "DataBarLimited",
}  # fmt: skip
"""Bars without a check digit, or so few that parts of another code pass for them."""

NUMBERS = {"EAN13", "EAN8", "UPCA"}
GROUPS = {
    "All", "AllReadable", "AllLinear", "AllRetail", "AllGS1", "EANUPC", "LinearCodes",
}  # fmt: skip
"""zxing-cpp's names of several symbologies that these are among."""
MIXED = {"All", "AllReadable", "AllCreatable", "AllGS1", "AllIndustrial", "AllMatrix", "AllRetail"}
"""… and of several that matrix codes are or may be among."""
MISFIT, MARGIN = 0.014, 3.0
"""How badly a number may explain a band of a striped place at most, and by how much the least sure
digit must be likelier than any other. On rendered photographs, wrong numbers that had a right check
digit fitted by 0.016 and worse and had a margin of 0.4 and less; right ones, on eight that no other
view read, fitted by 0.009 and better and had one of 4.9 and more."""
CERTAIN = 12.0
"""The margin from which one band will do; else two must say the same."""
PLACES = 3
"""Striped places in which numbers are looked for so."""


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
    profile: NDArray[Any] | None = None
    """Of a strip whose blur was not undone: between ink (0) and paper (1)."""
    place: int = -1
    """Number of the striped place that a strip is of."""


@dataclass(frozen=True, slots=True)
class ReadCode:
    """A code that was read."""

    symbology: str
    """zxing-cpp's name."""
    text: str
    corners: NDArray[np.float64]
    """[4,2] x, y in the picture's pixels."""
    gs1: bool = False
    """Whether it says of itself that it holds element strings: FNC1 leads, or it holds nothing
    else."""


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
    return [
        ReadCode(
            code.format.name,
            code.text,
            _corners(code.position),
            code.content_type == zxingcpp.ContentType.GS1,
        )
        for code in codes
    ]


def search_codes(
    picture: Pixels, formats: Any, known: Sequence[ReadCode], wanted: int
) -> list[ReadCode]:
    """``known`` and what other views show, until there are ``wanted``.

    A 1D code counts when two views say the same: it has one check digit at most; so does a
    `STACKED` one. Of the `WEAK` ones, also of those in ``known``, four must, and more than say
    another thing of that place; part of an ITF code is a shorter one, so the longer counts. Other
    matrix codes correct their errors and say so. Where no view helps, numbers are told by their
    likeness.
    """
    found = [code for code in known if code.symbology not in WEAK]
    doubted = {_key(code): [code] for code in known if code.symbology in WEAK}
    seen = set(map(_key, found))
    bands: list[View] = []
    matrix, bars = kinds_of({name for name in map(_name, formats) if name})
    for view in views(picture, matrix, bars):
        if len(found) >= wanted:
            break
        if view.profile is not None and view.place < PLACES:
            bands.append(view)
        whole = not view.bars
        for code in read_codes(
            view.pixels, formats, coarse=view.coarse, rotate=whole, downscale=whole, invert=whole
        ):
            key = code.symbology, code.text
            if key in seen:
                continue
            told = doubted.setdefault(key, [])
            told.append(replace(code, corners=_in_picture(code.corners, view, picture)))
            sure = key[0] in MATRIX and key[0] not in STACKED
            needed = 1 if sure else 4 if key[0] in WEAK else 2
            if len(told) >= needed and not _outdone(told, doubted, found):
                seen.add(key)
                found.append(told[-1])
    if len(found) < wanted:
        found += [code for code in _alike(bands, formats, picture) if _key(code) not in seen]
    return found


def kinds_of(asked: Set[str]) -> tuple[bool, bool]:
    """Whether matrix codes, and whether bars, are among the symbologies asked for; none is all."""
    matrix = not asked or any(name in MATRIX or name in MIXED for name in asked)
    return matrix, not asked or any(name not in MATRIX and name != "AllMatrix" for name in asked)


def _alike(bands: Sequence[View], formats: Any, picture: Pixels) -> list[ReadCode]:
    """Numbers that explain bands of the strongest striped places, by their likeness."""
    asked = {name for name in map(_name, formats) if name}
    if asked and not asked & (NUMBERS | GROUPS):
        return []
    once: set[tuple[str, str]] = set()
    found: dict[tuple[str, str], ReadCode] = {}
    done: set[int] = set()
    for view in bands:
        if view.profile is None or view.place in done:
            continue
        number = read_number(view.profile)
        if number is None or number.misfit > MISFIT or number.margin < MARGIN:
            continue
        symbology, text = number.symbology, number.text
        if asked and not asked & ({symbology} | GROUPS):
            if "UPCA" not in asked or symbology != "EAN13" or text[0] != "0":
                continue
            symbology = "UPCA"
        key = symbology, text
        if number.margin >= CERTAIN or key in once:
            (left, right), tall = sorted(number.ends), TALL
            corners = np.array([(left, 0), (right, 0), (right, tall), (left, tall)], np.float64)
            found.setdefault(key, ReadCode(*key, _in_picture(corners, view, picture)))
            done.add(view.place)
        once.add(key)
    return list(found.values())


def _name(one: Any) -> str:
    return str(one.name)


def _key(code: ReadCode) -> tuple[str, str]:
    return code.symbology, code.text


def _in_picture(corners: NDArray[np.float64], view: View, picture: Pixels) -> NDArray[np.float64]:
    at = corners @ view.to_picture[:, :2].T + view.to_picture[:, 2]
    height, width = picture.shape[:2]
    return np.clip(at, 0, (width, height))


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


def views(picture: Pixels, matrix: bool = True, bars: bool = True) -> Iterator[View]:
    """Views of a picture, (h, w) or (h, w, 3) BGR, in which a code may be readable, among them
    places that only a ``matrix`` code, or only ``bars``, could be on."""
    grey = grey_of(picture)
    same = np.eye(2, 3)
    calm = cv2.normalize(cv2.medianBlur(grey, 3), np.empty_like(grey), 0, 255, cv2.NORM_MINMAX)
    yield View(_bytes(cv2.GaussianBlur(calm, (0, 0), 0.8)), same)
    for square in squares(_bytes(grey)) if matrix else ():
        yield View(square.pixels, square.to_picture, coarse=square.coarse)
    for number, place in enumerate(strips(_bytes(grey)) if bars else ()):
        for strip in place:
            yield View(
                strip.pixels, strip.to_picture, bars=True, profile=strip.profile, place=number
            )
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
