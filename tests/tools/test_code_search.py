"""Codes as they are photographed: turned, dark, noisy, damaged (S13)."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp
from numpy.typing import NDArray

from inspector.part import Batch, Pixels
from inspector.pictures import read_image
from inspector.tools.code import Code, CodeStep
from inspector.tools.code_search import ReadCode, _outdone, search_codes, views
from inspector.tools.code_strips import strips
from inspector.tools.onnx import Shelf
from inspector.tools.step import Context

CONTEXT = Context(Batch("b"), date(2026, 11, 23))
SHELF = Shelf(Path("none"))
CONTENT = "4006381333931"


def code(persistent: bool, **params: object) -> Code:
    step = {"name": "c", "kind": "code", "params": {"persistent": persistent, **params}}
    return Code(CodeStep.model_validate(step), SHELF)


def photo(symbology: str, content: str, turn: float, scale: float, light: float) -> Pixels:
    """A code on a grey table, turned, in poor light, with a sensor's noise."""
    barcode = zxingcpp.create_barcode(content, getattr(zxingcpp.BarcodeFormat, symbology))
    drawn = np.array(zxingcpp.write_barcode_to_image(barcode, scale=3))
    drawn = np.pad(drawn.reshape(drawn.shape[:2]), 20, constant_values=255)
    height, width = drawn.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, scale)
    matrix[:, 2] += (320 - width / 2, 240 - height / 2)
    table = cv2.warpAffine(drawn, matrix, (640, 480), flags=cv2.INTER_AREA, borderValue=170)
    noise = np.random.default_rng(3).normal(0, 6, table.shape)
    return np.clip(table * light + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("turn", [0, 33, 57, 120])
def test_a_dark_and_noisy_code_is_read_whatever_its_direction(turn: float) -> None:
    dark = photo("EAN13", CONTENT, turn, 0.9, 0.12)

    (found,) = code(persistent=True).look(dark, CONTEXT)
    plain = code(persistent=False).look(dark, CONTEXT)

    assert (found.label, found.text, found.ok) == ("EAN13", CONTENT, True)
    assert found.box is not None and 100 < found.box[0] < found.box[2] < 540
    assert plain[0].text in (None, CONTENT)


def test_what_is_read_at_once_is_not_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inspector.tools.code_search.views", lambda *asked: pytest.fail("looked"))

    (found,) = code(persistent=True).look(photo("QRCode", "A-1", 10, 1, 1.0), CONTEXT)

    assert found.text == "A-1"


def test_two_codes_are_looked_for_until_both_are_read() -> None:
    pair = photo("EAN13", CONTENT, 0, 0.7, 1.0)
    pair[:200] = photo("EAN8", "96385074", 0, 0.7, 0.3)[140:340]

    found = code(persistent=True, at_least=2).look(pair, CONTEXT)

    assert {f.text for f in found} == {CONTENT, "96385074"}


@pytest.mark.parametrize(("symbology", "content"), [("EAN13", CONTENT), ("Code128", "AB12CD")])
def test_a_code_out_of_focus_is_made_sharp_and_read(symbology: str, content: str) -> None:
    """Blurred by a standard deviation of most of a bar's width: a plain reading sees grey."""
    soft = cv2.GaussianBlur(photo(symbology, content, 8, 0.75, 0.9), (0, 0), 1.6)

    assert code(persistent=False).look(soft, CONTEXT)[0].text is None
    assert [f.text for f in code(persistent=True).look(soft, CONTEXT)] == [content]


def test_part_of_a_code_is_not_taken_for_a_shorter_one() -> None:
    """ITF has no check digit: what a slanting scan line sees of it reads as a code of its own."""
    whole = ReadCode("ITF", "8520035890", np.array([(0, 0), (90, 0), (90, 40), (0, 40)], float))
    part = ReadCode("ITF", "5890", np.array([(50, 0), (90, 0), (90, 40), (50, 40)], float))
    picture = photo("ITF", "8520035890", 4, 0.8, 1.0)

    found = search_codes(picture, zxingcpp.barcode_formats_from_str(""), [part], 1)

    assert [code.text for code in found] == ["8520035890"]
    assert not _outdone([whole] * 4, {("ITF", "5890"): [part]}, [])
    assert _outdone([part] * 4, {("ITF", "8520035890"): [whole]}, [])


def test_stripes_that_are_no_code_are_no_code() -> None:
    x = np.arange(640)
    stripes = np.tile((127 + 100 * np.sign(np.sin(x / 3))).astype(np.uint8), (480, 1))

    (found,) = code(persistent=True).look(stripes, CONTEXT)

    assert (found.ok, found.text) == (False, None)
    assert "0 codes read" in found.reason


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (400, 1), (9, 7), (480, 640, 3)])
def test_any_picture_has_views(shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, shape, np.uint8)

    for view in views(noise):
        assert view.pixels.dtype == np.uint8 and view.pixels.ndim == 2

    assert list(strips(np.zeros((50, 60), np.uint8))) == []


@pytest.mark.slow
def test_codes_on_real_packs_that_a_plain_reading_misses_are_read(real_data: Path) -> None:
    photos = sorted((real_data / "date_codes" / "images").iterdir())[:30]
    plain, persistent = set(), {}
    for path in photos:
        pixels, _ = read_image(path)
        assert pixels is not None
        if code(persistent=False).look(pixels, CONTEXT)[0].text:
            plain.add(path)
        if text := code(persistent=True).look(pixels, CONTEXT)[0].text:
            persistent[path] = text

    assert len(persistent) >= len(plain) + 8
    assert set(persistent.values()) <= {"10058374", "10091760", "03243046", "03243008"}


def out_of_focus(radius: float) -> NDArray[np.float32]:
    y, x = np.mgrid[-4:5, -4:5]
    disk = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return np.asarray(disk / disk.sum())


@pytest.mark.parametrize(
    "blur", [out_of_focus(3.25), np.full((1, 6), 1 / 6, np.float32)], ids=["focus", "moved"]
)
def test_a_number_whose_bars_run_together_is_told_by_its_likeness(
    blur: NDArray[np.float32],
) -> None:
    """Of 2.7 pixels a bar, out of focus by 1.2 of them in radius, or moved by 2.2."""
    soft = cv2.filter2D(photo("EAN13", CONTENT, 8, 0.9, 0.9), -1, blur)

    (found,) = code(persistent=True).look(soft, CONTEXT)
    other = code(persistent=True, formats=["Code128"]).look(soft, CONTEXT)
    upc = code(persistent=True, formats=["UPCA"]).look(soft, CONTEXT)

    assert (found.label, found.text) == ("EAN13", CONTENT)
    assert found.box is not None and 150 < found.box[0] < found.box[2] < 490
    assert [(f.text, f.ok) for f in (*other, *upc)] == [(None, False)] * 2
