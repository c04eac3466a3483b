"""Codes of every common symbology, made by zxing-cpp, read and held against rules."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp

from inspector.part import INSIDE, Batch, Finding, Pixels
from inspector.tools.code import Code, CodeStep
from inspector.tools.onnx import Shelf
from inspector.tools.step import Context, Unjudged

TODAY = date(2026, 11, 23)
GS1 = "(01)09506000134352(17)270228(10)L2417A(21)SN42"


def picture(content: str, symbology: str, **options: Any) -> Pixels:
    """A code on white paper, a quiet zone around it."""
    form = zxingcpp.barcode_format_from_str(symbology)
    code = np.array(zxingcpp.create_barcode(content, form, **options).to_image(scale=4))
    return cv2.copyMakeBorder(code, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=255)


def look(pixels: Pixels, clock_synced: bool = True, **params: Any) -> list[Finding]:
    step = CodeStep.model_validate({"name": "code", "kind": "code", "params": params})
    batch = Batch("B1", texts={"lot": "L2417A", "date": "28 FEB 27"})
    return Code(step, Shelf(Path("none"))).look(pixels, Context(batch, TODAY, clock_synced))


@pytest.mark.parametrize(
    ("symbology", "content"),
    [
        ("QRCode", "https://example.com/p/1"),
        ("DataMatrix", "A1B2C3"),
        ("PDF417", "lot L2417A"),
        ("Aztec", "aztec"),
        ("Code128", "L2417A-7"),
        ("Code39", "L2417A"),
        ("EAN13", "4006381333931"),
        ("EAN8", "96385074"),
        ("ITF", "00123456789012"),
        ("Codabar", "A12345B"),
    ],
)
def test_every_symbology_is_read_with_its_place(symbology: str, content: str) -> None:
    (finding,) = look(picture(content, symbology))

    assert (finding.ok, finding.text) == (True, content)
    assert symbology.replace("Code", "") in finding.label.replace("Code", "")
    assert finding.box is not None
    assert finding.box[0] >= 20


def test_upc_a_is_read_as_the_ean_13_that_it_is() -> None:
    (finding,) = look(picture("036000291452", "UPCA"))

    assert (finding.label, finding.text) == ("EAN13", "0036000291452")


def test_several_codes_on_one_part_are_all_found_turned_or_not() -> None:
    one, other = picture("first", "QRCode"), picture("second", "DataMatrix")
    size = max(*one.shape, *other.shape)
    canvas = np.full((size, 2 * size), 255, np.uint8)
    canvas[: one.shape[0], : one.shape[1]] = one
    canvas[: other.shape[1], size : size + other.shape[0]] = np.rot90(other)

    texts = {f.text for f in look(canvas)}

    assert texts == {"first", "second"}


def test_a_roi_gives_places_in_the_whole_frame() -> None:
    code = picture("here", "QRCode")
    frame = np.full((600, 800), 255, np.uint8)
    frame[200 : 200 + code.shape[0], 300 : 300 + code.shape[1]] = code
    step = CodeStep.model_validate({"name": "c", "kind": "code", "roi": [280, 180, 780, 580]})

    (finding,) = Code(step, Shelf(Path("none"))).look(frame, Context(Batch("B"), TODAY))

    assert finding.box is not None
    assert finding.box[:2] == (356.0, 256.0), "the quiet zone is 40 px of ours and 16 of its own"


def test_no_code_is_a_reject() -> None:
    (finding,) = look(np.full((200, 200), 255, np.uint8))

    assert not finding.ok
    assert "at least 1" in finding.reason


def test_gs1_rules_hold_for_the_right_code_and_its_serial_comes_out() -> None:
    pixels = picture(GS1, "DataMatrix", gs1=True)
    rules = {"lot": "{lot}", "gtin": "9506000134352", "expiry": "{date}", "serial": True}

    findings = look(pixels, expect=rules)

    assert all(f.ok for f in findings), [f.reason for f in findings]
    assert [f.text for f in findings if f.label == "serial"] == ["SN42"]


def test_a_cases_sscc_is_its_serial_and_those_inside_are_not() -> None:
    codes = [
        picture(f"https://id.example.org/{path}", "QRCode")
        for path in ("01/09506000134352/21/SN1", "00/340123450000000017",
                     "01/09506000134352/21/SN2")
    ]  # fmt: skip
    height = max(code.shape[0] for code in codes)
    row = [
        cv2.copyMakeBorder(c, 0, height - c.shape[0], 0, 0, cv2.BORDER_CONSTANT, value=255)
        for c in codes
    ]
    found = look(np.hstack(row), gs1=True, at_least=3)

    assert all(finding.ok for finding in found)
    by = {label: [f.text for f in found if f.label == label] for label in ("serial", INSIDE)}
    assert by["serial"] == ["340123450000000017"]
    assert sorted(str(text) for text in by[INSIDE]) == ["SN1", "SN2"]


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"lot": "L2418A"}, "lot is L2417A"),
        ({"gtin": "9506000134369"}, "GTIN"),
        ({"not_before_days": 200}, "97 days ahead"),
        ({"expiry": "01 MAR 27"}, "expiry is"),
        ({"content": "other"}, "must be `other`"),
        ({"pattern": r"\d{4}"}, "form"),
    ],
)
def test_a_code_that_says_something_else_is_a_reject(rule: dict[str, Any], why: str) -> None:
    findings = look(picture(GS1, "DataMatrix", gs1=True), expect=rule)

    assert [f for f in findings if not f.ok and why in f.reason]


def test_an_ean_is_held_against_its_gtin_too() -> None:
    """Retail codes have no application identifiers: all of their content is the GTIN."""
    pixels = picture("4006381333931", "EAN13")

    assert all(f.ok for f in look(pixels, gs1=True, expect={"gtin": "4006381333931"}))
    wrong = look(pixels, gs1=True, expect={"gtin": "9506000134352"})
    assert [f.reason for f in wrong if not f.ok] == [
        "GTIN is 04006381333931, must be 09506000134352"
    ]


@pytest.mark.parametrize(
    ("printed", "ok"),
    [
        ("02/2027", True), ("FEB 2027", True), ("FEB 27", True), ("2027-02", True),
        ("28 FEBRUARY 2027", True), ("2027年2月28日", True), ("20270228", True),
        ("03/2027", False), ("27 FEB 27", False), ("2027/02/27", False),
    ],
)  # fmt: skip
def test_an_expiry_is_held_against_the_date_however_the_batch_writes_it(
    printed: str, ok: bool
) -> None:
    found = look(picture(GS1, "DataMatrix", gs1=True), expect={"expiry": printed})

    assert all(f.ok for f in found) == ok, [f.reason for f in found]


@pytest.mark.parametrize("turned", [False, True])
def test_of_several_codes_the_one_that_the_rule_is_about_says_what_is_wrong(turned: bool) -> None:
    matrix, link = picture(GS1, "DataMatrix", gs1=True), picture("example.org/recipes", "QRCode")
    high = max(matrix.shape[0], link.shape[0])
    pair = [np.pad(p, ((0, high - len(p)), (0, 0)), constant_values=255) for p in (matrix, link)]
    rule = {"gtin": "9506000134352", "lot": "L2418A"}

    found = look(np.hstack(pair[::-1] if turned else pair), expect=rule)

    assert [f.reason for f in found if not f.ok] == ["lot is L2417A, must be L2418A"]


def test_a_cartons_itf_is_its_gtin_and_begins_with_no_identifier() -> None:
    carton = picture("21234567890122", "ITF")

    found = look(carton, gs1=True, expect={"gtin": "21234567890122"})
    assert all(f.ok for f in found), [f.reason for f in found]
    assert [f.label for f in found] == ["ITF"], "its first digits are not those of a serial"
    wrong = look(carton, expect={"serial": True})
    assert [f.reason for f in wrong if not f.ok] == ["the serial number is missing"]


@pytest.mark.parametrize("symbology", ["DataMatrix", "QRCode", "Code128"])
def test_an_element_string_without_fnc1_is_no_gs1_code(symbology: str) -> None:
    printed = picture("0109506000134352", symbology)

    found = look(printed, gs1=True)
    assert [f.reason for f in found if not f.ok] == [
        f"{symbology} `0109506000134352` does not begin with FNC1, as GS1 codes do"
    ]
    assert all(f.ok for f in look(picture("(01)09506000134352", symbology, gs1=True), gs1=True))
    assert all(f.ok for f in look(printed, expect={"gtin": "9506000134352"})), "that is not asked"


@pytest.mark.parametrize("number", ["10012345678903", "1012345670", "96385074"])
def test_an_itf_without_a_gtin_14_is_no_gs1_code(number: str) -> None:
    found = look(picture(number, "ITF"), gs1=True)

    assert [f.reason for f in found if not f.ok] == [f"ITF `{number}` is no GTIN"]


@pytest.mark.parametrize(
    "gs1",
    ["(01)09506000134353", "(01)09506000134352(17)271331", "(01)0950600013435", "hello"],
)
def test_a_malformed_gs1_code_is_a_reject_that_says_why(gs1: str) -> None:
    encoded = gs1.replace("(", "").replace(")", "")
    found = look(picture(encoded, "DataMatrix"), gs1=True)

    (finding,) = [f for f in found if not f.ok]
    assert finding.text == encoded and finding.reason.startswith(
        "DataMatrix (" if "(" in gs1 else ""
    )


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"gtin": "9506000134353"}, "check digit"),
        ({"gtin": "123"}, "8, 12, 13 or 14"),
        ({"lot": "{lot"}, "a brace itself"),
        ({"lot": "{}"}, "named as in {lot}"),
        ({"lot": "{lot.upper}"}, "named as in {lot}"),
        ({"content": "{lot:>9}"}, "named as in {lot}"),
    ],
)
def test_an_expectation_that_no_code_could_meet_is_refused(rule: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        look(picture("x", "QRCode"), expect=rule)


def test_a_rule_does_not_vanish_with_an_empty_text() -> None:
    step = CodeStep.model_validate(
        {"name": "code", "kind": "code", "params": {"expect": {"lot": "{lot}"}}}
    )
    code = Code(step, Shelf(Path("none")))
    context = Context(Batch("B1", texts={"lot": " "}), TODAY)

    with pytest.raises(Unjudged, match=r"batch B1 has nothing for `\{lot\}`"):
        code.look(picture(GS1, "DataMatrix", gs1=True), context)


def test_a_text_that_the_batch_lacks_leaves_the_part_unjudged() -> None:
    with pytest.raises(Unjudged, match="no text `lto`; did you mean `lot`"):
        look(picture("x", "QRCode"), expect={"content": "{lto}"})


def test_without_a_synchronised_clock_no_expiry_is_judged() -> None:
    with pytest.raises(Unjudged, match="clock"):
        look(picture("x", "QRCode"), clock_synced=False, expect={"not_before_days": 1})
