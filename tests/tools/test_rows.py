"""A place that holds more than its line: margins are cut off, two lines are two (S3, S4)."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from inspector.part import Batch, Finding, Pixels
from inspector.recipe import load
from inspector.tools.findtext import Line
from inspector.tools.onnx import Shelf
from inspector.tools.read import Read, ReadStep
from inspector.tools.rows import Rows, stacked
from inspector.tools.step import Context
from inspector.virtual import glyphs

ROOT = Path(__file__).parents[2]
SHELF = Shelf(ROOT / "models", threads=1)
CONTEXT = Context(Batch("b", texts={"lot": "L0713B"}), date(2026, 11, 26))


def dots(text: str, pitch: int = 6) -> Pixels:
    """A line in 5×7 dots, dark on pale, cut close."""
    picture = np.full((7 * pitch + 8, 6 * pitch * len(text) + 8), 210, np.uint8)
    for place, char in enumerate(text):
        for column, row in glyphs.matrix_dots(char, False):
            x, y = 4 + (6 * place + column + 0.5) * pitch, 4 + (row + 0.5) * pitch
            cv2.circle(picture, (round(x), round(y)), round(0.4 * pitch), 40, -1, cv2.LINE_AA)
    return picture


def over(*lines: Pixels, gap: int = 20, around: int = 10) -> Pixels:
    """Lines one above another, their left ends flush."""
    widest = max(line.shape[1] for line in lines)
    parts: list[Pixels] = []
    for line in lines:
        wide = np.pad(line, ((0, 0), (0, widest - line.shape[1])), constant_values=210)
        parts += [np.full((gap, widest), 210, np.uint8), wide]
    return np.pad(np.concatenate(parts[1:]), around, constant_values=210)


def read(picture: Pixels, **line: Any) -> Finding:
    params = {"script": "ascii", "dot_matrix": True, "also": "dot-read/1", "lines": [line]}
    step = {"name": "s", "kind": "read", "params": params | {"rows": "pp-ocrv6/find"}}
    tool = Read(ReadStep.model_validate(step, context={"shelf": SHELF}), SHELF)
    (found,) = tool.look(picture, CONTEXT)
    return found


TWO = over(dots("EXP 05/11/26"), dots("L0713B"))


def test_two_lines_in_one_picture_are_two_in_the_text_of_the_shipped_recipe() -> None:
    recipe = load(ROOT / "station_configs" / "recipes" / "print-line.yaml", SHELF)
    (found,) = recipe.judge({"image": TWO}, CONTEXT.batch, CONTEXT.today).findings
    assert found.text == "EXP 05/11/26\nL0713B"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"pattern": r"L\d{4}\a"}, "L0713B"),
        ({"expect": "{lot}"}, "L0713B"),
        ({"date": {"formats": ["DD/MM/YY"]}}, "05/11/26"),
    ],
)
def test_of_two_lines_the_one_counts_that_holds_by_the_rules(
    rule: dict[str, Any], text: str
) -> None:
    found = read(TWO, **rule)
    assert (found.ok, found.text) == (True, text), found.reason


def test_two_lines_of_which_none_holds_are_a_reject() -> None:
    found = read(TWO, pattern=r"K\d{6}")
    assert not found.ok and "has not the form" in found.reason


def test_a_small_line_in_a_wide_margin_is_read() -> None:
    line = cv2.resize(dots("LOT 6NK42E"), None, fx=0.45, fy=0.45, interpolation=cv2.INTER_AREA)
    picture = np.pad(np.asarray(line, np.uint8), ((70, 50), (60, 90)), constant_values=210)
    assert read(picture, name="line", min_score=0.3).text == "LOT 6NK42E"


def line(x1: float, y1: float, x2: float, y2: float) -> Line:
    return Line(np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float32), 0.9)


def test_words_side_by_side_and_the_halves_of_an_aslant_line_are_one_line() -> None:
    words = [line(0, 0, 90, 20), line(110, 4, 200, 24)]
    aslant = [line(0, 0, 90, 20), line(95, 18, 200, 40)]
    assert [len(row) for row in stacked(words)] == [2]
    assert [len(row) for row in stacked(aslant)] == [2]
    assert [len(row) for row in stacked([*words, line(0, 30, 150, 50)])] == [2, 1]


def test_a_speck_under_a_line_is_no_line() -> None:
    assert [len(row) for row in stacked([line(0, 0, 90, 20), line(10, 30, 40, 36)])] == [1]


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({"find": "pp-ocrv6/find"}, "known places"),
        ({"rows": "pp-ocrv6/fnid"}, "pp-ocrv6"),
    ],
)
def test_mistakes_are_named(params: dict[str, Any], what: str) -> None:
    step = {"name": "s", "kind": "read", "params": {"rows": "pp-ocrv6/find"} | params}
    with pytest.raises(ValidationError, match=what):
        ReadStep.model_validate(step, context={"shelf": SHELF})


@pytest.mark.parametrize("name", ["also", "rows"])
def test_a_second_reader_or_rows_go_with_known_places_only(name: str) -> None:
    with pytest.raises(ValidationError, match=r"with `find` or `verify`"):
        ReadStep.model_validate(
            {"name": "s", "kind": "read", "params": {name: "m/1", "find": "m/1"}}
        )


def solid(text: str) -> Pixels:
    """A line of solid print, cut close."""
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.8, 3)
    picture = np.full((height + below + 6, width + 6), 255, np.uint8)
    at = (3, height + 2)
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 1.8, 20, 3, cv2.LINE_AA)
    return picture


def somewhere(line: Pixels, height: int, size: tuple[int, int] = (480, 640)) -> Pixels:
    """A line, brought to a height, on a clean white picture."""
    scale = height / line.shape[0]
    small = cv2.resize(line, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture = np.full(size, 255, np.uint8)
    y, x = (size[0] - small.shape[0]) // 2, (size[1] - small.shape[1]) // 2
    picture[y : y + small.shape[0], x : x + small.shape[1]] = small
    return picture


@pytest.mark.parametrize("height", [16, 20, 32])
@pytest.mark.parametrize("text", ["BEST BEFORE 12 2027", "LOT 6NK42E", "16 NOV 26"])
def test_a_small_line_on_a_clean_picture_is_read_or_rejected_and_never_a_dash(
    text: str, height: int
) -> None:
    """A recogniser takes all it is shown for one line, sees a dash in it, and is sure of that."""
    found = read(somewhere(solid(text), height), name="line", min_score=0.3)
    as_read = (found.text or "").replace(" ", "")
    assert as_read == text.replace(" ", "") or not found.ok, found


@pytest.mark.parametrize("roomy", [False, True])
def test_of_a_line_that_lies_across_others_no_empty_crop_is_read(roomy: bool) -> None:
    """A photo of a bottle, where print runs aslant and two lines run through its box."""
    boxes = [(140, 394, 498, 556), (142, 447, 541, 475), (155, 463, 524, 484), (390, 525, 445, 549)]

    class Found:
        def find(self, pixels: Pixels, side: int) -> list[Line]:
            corners = [[(x, y), (u, y), (u, v), (x, v)] for x, y, u, v in boxes]
            return [Line(np.array(c, np.float32), 0.9) for c in corners]

    crops = Rows(Found()).apart(np.full((640, 640), 200, np.uint8), roomy)  # type: ignore[arg-type]

    assert crops and all(min(crop.shape) >= 8 for crop in crops)


def test_what_is_no_character_is_no_line() -> None:
    picture = np.full((480, 640), 255, np.uint8)
    cv2.rectangle(picture, (300, 230), (340, 236), 20, -1)
    assert not read(picture, name="line", min_score=0.3).ok


@pytest.mark.parametrize("text", ["A", "B2", "123", "L0713B"])
def test_a_short_line_that_fills_its_picture_is_read(text: str) -> None:
    found = read(solid(text), name="line", min_score=0.3)
    assert (found.ok, found.text) == (True, text), found.reason
