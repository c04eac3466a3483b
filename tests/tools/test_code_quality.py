"""Indicators of print quality fall as the print gets worse, and never claim to be grades (S4)."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from inspector.part import Batch, Finding, Pixels
from inspector.tools.code import Code, CodeStep
from inspector.tools.code_quality import INDICATORS, Quality, quality_of
from inspector.tools.code_search import ReadCode, read_codes
from inspector.tools.onnx import Shelf
from inspector.tools.step import Context

CONTEXT = Context(Batch("b"), date(2026, 11, 23))
BARS = ("symbol_contrast", "edge_contrast", "modulation", "defects", "decodability")
MATRIX = ("symbol_contrast", "modulation", "unused_correction")


def code(symbology: str, content: str, scale: int = 5, **options: Any) -> Pixels:
    form = getattr(zxingcpp.BarcodeFormat, symbology)
    barcode = zxingcpp.create_barcode(content, form, **options)
    drawn = np.array(zxingcpp.write_barcode_to_image(barcode, scale=scale))
    return np.pad(drawn.reshape(drawn.shape[:2]), 30, constant_values=255)


EAN, MATRIX_CODE = code("EAN13", "9506000134352"), code("DataMatrix", "HELLO-123")


def look(picture: Pixels, **quality: Any) -> dict[str, Finding]:
    step = {"name": "c", "kind": "code", "params": {"quality": quality}}
    tool = Code(CodeStep.model_validate(step), Shelf(Path("none")))
    return {f.label: f for f in tool.look(picture, CONTEXT)}


@pytest.mark.parametrize(("picture", "names"), [(EAN, BARS), (MATRIX_CODE, MATRIX)])
def test_a_perfect_print_has_perfect_indicators(picture: Pixels, names: tuple[str, ...]) -> None:
    found = look(picture)

    assert set(found) & set(INDICATORS) == set(names)
    for name in names:
        wanted = 0 if name == "defects" else 1
        assert found[name].value == pytest.approx(wanted, abs=0.02)
        assert found[name].unit == "1"


@pytest.mark.parametrize(
    ("formats", "limit", "refused"),
    [
        (["DataMatrix"], "decodability", True),
        (["DataMatrix", "QRCode"], "defects", True),
        (["EAN13"], "unused_correction", True),
        (["EAN13", "DataMatrix"], "decodability", False),
        (["EAN13", "DataMatrix"], "unused_correction", False),
        ([], "unused_correction", False),
        (["DataMatrix"], "modulation", False),
    ],
)
def test_a_limit_that_no_code_asked_for_has_is_refused(
    formats: list[str], limit: str, refused: bool
) -> None:
    """It was never broken: the worst print of a DataMatrix passed a limit of decodability."""
    params = {"formats": formats, "quality": {limit: 0.9}}
    step = {"name": "c", "kind": "code", "params": params}

    with pytest.raises(ValidationError, match="alone, never of") if refused else nullcontext():
        CodeStep.model_validate(step)


@pytest.mark.parametrize("symbology", ["DataMatrix", "QRCode", "Code128", "DataBarExp"])
def test_a_perfect_gs1_code_is_perfect_too(symbology: str) -> None:
    """It is drawn with FNC1, or it would be held against another code."""
    printed = code(symbology, "(01)09506000134352(10)L2417A(21)SN42", gs1=True)

    found = look(printed, modulation=0.9)

    assert all(finding.ok for finding in found.values()), found
    assert found["modulation"].value == pytest.approx(1, abs=0.02)


def test_bars_that_a_printer_drew_otherwise_cannot_be_compared() -> None:
    """Digits by twos, as here, or one by one as another encoder may: the same text, other bars."""
    printed = code("Code128", "ABCD1234")
    (seen,) = read_codes(printed, zxingcpp.barcode_formats_from_str("Code128"))

    assert quality_of(printed, seen) is not None
    assert quality_of(printed, replace(seen, text="12345678")) is None


@pytest.mark.parametrize("symbology", ["DataBarOmni", "DataBarLtd"])
def test_so_is_a_databar_that_holds_a_number_alone(symbology: str) -> None:
    found = look(code(symbology, "0950600013435"), modulation=0.9)

    assert found["modulation"].value == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("symbology", "content"), [("DataBarStk", "0950600013435"), ("MaxiCode", "HELLO")]
)
def test_what_is_neither_bars_nor_squares_has_no_indicators(symbology: str, content: str) -> None:
    assert set(look(code(symbology, content))) == {symbology}


@pytest.mark.parametrize("picture", [EAN, MATRIX_CODE], ids=["bars", "matrix"])
def test_grey_ink_lowers_the_contrast_and_blur_the_modulation(picture: Pixels) -> None:
    grey = look((picture * 0.4 + 100).astype(np.uint8))
    blurred = look(cv2.GaussianBlur(picture, (0, 0), 2))

    assert grey["symbol_contrast"].value == pytest.approx(0.4, abs=0.01)
    assert grey["modulation"].value == pytest.approx(1, abs=0.02)
    assert blurred["modulation"].value is not None and blurred["modulation"].value < 0.7


def test_a_speck_in_a_bar_is_a_defect_and_a_ragged_edge_costs_decodability() -> None:
    specked, ragged = EAN.copy(), EAN.copy()
    dark = np.flatnonzero(EAN[150] < 128)
    # The widest bar: a run of three modules.
    runs = np.split(dark, np.flatnonzero(np.diff(dark) > 1) + 1)
    wide = max(runs, key=len)
    specked[:, wide[len(wide) // 2] : wide[len(wide) // 2] + 2] = 80
    ragged[:, wide[-1] + 1 : wide[-1] + 3] = 0

    assert look(specked)["defects"].value == pytest.approx(0.31, abs=0.06)
    value = look(ragged)["decodability"].value
    assert value is not None and value < 0.7


def test_a_spoilt_module_uses_up_error_correction() -> None:
    spoilt = MATRIX_CODE.copy()
    spoilt[60:65, 60:65] = 255 - spoilt[60:65, 60:65]

    value = look(spoilt)["unused_correction"].value

    assert value is not None and 0 < value < 1


def test_limits_reject_with_the_figure() -> None:
    found = look((EAN * 0.4 + 100).astype(np.uint8), symbol_contrast=0.55, defects=0.1)

    assert found["symbol_contrast"].reason == "EAN13: symbol contrast 0.40, at least 0.55 must be"
    assert found["defects"].ok and found["EAN13"].ok


def test_a_turned_code_is_measured_as_well() -> None:
    middle = (EAN.shape[1] / 2, EAN.shape[0] / 2)
    turn = cv2.getRotationMatrix2D(middle, 8, 0.8)
    turned = cv2.warpAffine(EAN, turn, EAN.shape[::-1], borderValue=255, flags=cv2.INTER_AREA)

    decodability = look(turned)["decodability"].value

    assert decodability is not None and decodability > 0.8


@settings(max_examples=60, deadline=None)
@given(
    symbology=st.sampled_from(["EAN13", "Code128", "DataMatrix", "QRCode", "Nonsense"]),
    text=st.sampled_from(["9506000134352", "ABC", "", "\x00", "9" * 400]),
    corners=st.lists(st.floats(-50, 200, allow_nan=False), min_size=8, max_size=8),
    seed=st.integers(0, 9),
)
def test_any_code_has_indicators_or_none(
    symbology: str, text: str, corners: list[float], seed: int
) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (90, 120), np.uint8)
    picture = noise if seed else np.full_like(noise, 7)

    quality = quality_of(picture, ReadCode(symbology, text, np.array(corners).reshape(4, 2)))

    assert quality is None or isinstance(quality, Quality)
    for name in INDICATORS if quality else ():
        value = getattr(quality, name)
        assert value is None or 0 <= value <= 1
