"""Matrix codes too small for their reader: found as places, read enlarged (S13)."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp

from inspector.part import Batch, Pixels
from inspector.tools.code import Code, CodeStep
from inspector.tools.code_search import read_codes, search_codes, views
from inspector.tools.code_squares import PLACES, places, squares
from inspector.tools.onnx import Shelf
from inspector.tools.step import Context

CONTENT = "20462493"
CONTEXT = Context(Batch("b"), date(2026, 11, 23))
AT = (380, 210)
ANY = zxingcpp.barcode_formats_from_str("")


def pack(module: float = 2.4, turn: float = 4.0) -> Pixels:
    """A pack with print, stripes and a code of small modules on its label, out of focus."""
    rng = np.random.default_rng(5)
    printed = np.full((480, 640), 150, np.uint8)
    for row in range(6):
        cv2.putText(printed, "KEEP REFRIGERATED", (40, 60 + 60 * row), 0, 0.6, 60, 2)
    for left in range(60, 260, 9):
        cv2.rectangle(printed, (left, 390), (left + 3, 450), 60, -1)
    barcode = zxingcpp.create_barcode(CONTENT, zxingcpp.BarcodeFormat.DataMatrix)
    drawn = np.array(zxingcpp.write_barcode_to_image(barcode, scale=8, add_quiet_zones=False))
    drawn = np.pad(drawn.reshape(drawn.shape[:2]), 24, constant_values=255).astype(np.float32)
    height, width = drawn.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, module / 8)
    matrix[:, 2] += np.array(AT) - (width / 2, height / 2)
    where = cv2.warpAffine(np.ones_like(drawn), matrix, (640, 480), flags=cv2.INTER_AREA)
    code = cv2.warpAffine(drawn, matrix, (640, 480), flags=cv2.INTER_AREA)
    picture = printed * (1 - where) + where * (70 + 0.4 * code)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.8) + rng.normal(0, 2.5, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def test_a_small_code_is_one_of_the_places_and_its_cut_out_leads_back_to_it() -> None:
    found = places(pack())
    assert 1 <= len(found) <= PLACES
    left, top, right, bottom = next(
        p for p in found if p[0] <= AT[0] <= p[2] and p[1] <= AT[1] <= p[3]
    )
    assert max(right - left, bottom - top) < 80

    for square in squares(pack()):
        for code in read_codes(square.pixels, ANY, coarse=square.coarse):
            middle = square.to_picture[:, :2] @ code.corners.mean(0) + square.to_picture[:, 2]
            assert np.abs(middle - AT).max() < 3
            return
    pytest.fail("no cut-out was read")


@pytest.mark.parametrize("module", [1.9, 2.0])
def test_a_code_that_is_too_small_for_its_reader_is_read_enlarged(module: float) -> None:
    picture = pack(module)
    assert not read_codes(picture, ANY)
    step = {"name": "c", "kind": "code", "params": {"persistent": True}}
    found = Code(CodeStep.model_validate(step), Shelf(Path("none"))).look(picture, CONTEXT)
    assert [(f.label, f.text, f.ok) for f in found] == [("DataMatrix", CONTENT, True)]


def test_who_asks_for_bars_is_shown_no_squares_and_who_asks_for_squares_no_bars() -> None:
    picture = pack()
    both, bars, matrix = (
        list(views(picture, *asked)) for asked in ((True, True), (False, True), (True, False))
    )
    assert len(bars) < len(both) > len(matrix)
    assert not any(view.bars for view in matrix)
    ean = zxingcpp.barcode_formats_from_str("EAN13")
    assert search_codes(picture, ean, [], 1) == []


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (15, 15), (16, 16), (2000, 40)])
def test_any_shape_has_places_or_none(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    for left, top, right, bottom in places(noise):
        assert 0 <= left < right <= shape[1] and 0 <= top < bottom <= shape[0]
    assert list(squares(np.zeros(shape, np.uint8))) == []
