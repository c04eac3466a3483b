"""Print that is curved, vertical, stacked or Chinese is read like any other line (S3)."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from inspector.part import Batch, Finding, Pixels
from inspector.tools.curve import Arc, straight
from inspector.tools.onnx import Shelf
from inspector.tools.read import Read, ReadStep
from inspector.tools.step import Context, Unjudged

SHELF = Shelf(Path("none"), threads=2)
CONTEXT = Context(Batch("B1", texts={"lot": "L2417A"}), date(2026, 11, 23))


def printed(text: str, height: int = 48, pitch: int = 0) -> Pixels:
    """One line of print; with a ``pitch`` one character each so many pixels."""
    face, thick = cv2.FONT_HERSHEY_SIMPLEX, 3
    wide = pitch * len(text) if pitch else cv2.getTextSize(text, face, 1.2, thick)[0][0]
    line = np.full((height, wide + 16), 225, np.uint8)
    if not pitch:
        cv2.putText(line, text, (8, height - 10), face, 1.2, 20, thick, cv2.LINE_AA)
    for i, char in enumerate(text if pitch else ""):
        cv2.putText(line, char, (8 + i * pitch, height - 10), face, 1.2, 20, thick, cv2.LINE_AA)
    return line


def on_arc(text: str, arc: Arc) -> Pixels:
    """The text around a circle on a 480×480 lid."""
    line = printed(text)
    lid = np.full((480, 480), 225, np.uint8)
    y, x = np.mgrid[:480, :480].astype(np.float64)
    dx, dy = x - arc.centre[0], y - arc.centre[1]
    out = np.hypot(dx, dy) - arc.radius
    turn = np.degrees(np.arctan2(dx, -dy)) - arc.start_deg
    turn = (turn + 180) % 360 - 180
    along = np.radians(turn if arc.feet == "in" else -turn) * arc.radius + 8
    down = line.shape[0] / 2 - (out if arc.feet == "in" else -out)
    maps = along.astype(np.float32), down.astype(np.float32)
    drawn = cv2.remap(line, *maps, cv2.INTER_LINEAR, borderValue=225)
    return np.minimum(lid, drawn)


def look(pixels: Pixels, line: dict[str, Any], **params: Any) -> Finding:
    step = {"name": "r", "kind": "read", "params": {"lines": [line], "script": "ascii"} | params}
    tool = Read(ReadStep.model_validate(step), SHELF)
    tool.warm_up()
    return tool.look(pixels, CONTEXT)[0]


@pytest.mark.parametrize(
    ("feet", "start", "end"), [("in", -45, 45), ("out", 230, 130), ("in", 100, 190)]
)
def test_print_along_a_circle_is_unrolled_and_read(feet: str, start: float, end: float) -> None:
    words = {"centre": (240, 240), "radius": 170, "height": 56, "feet": feet}
    arc = Arc.model_validate(words | {"start_deg": start, "end_deg": end})

    found = look(on_arc("L2417A", arc), {"arc": arc.model_dump(), "expect": "{lot}"})

    assert (found.ok, found.text) == (True, "L2417A")
    assert found.box == arc.box


def test_a_step_looks_at_its_arcs_wherever_its_roi_is() -> None:
    """A line converts no more of a frame than its steps look at: beyond that lies an older one."""
    arc = Arc(centre=(240, 240), radius=170, height=56, start_deg=-45, end_deg=45)
    lines = [{"name": "flat"}, {"name": "lid", "arc": arc.model_dump(), "expect": "{lot}"}]
    words = {"name": "r", "kind": "read", "roi": [10, 400, 200, 470], "params": {"lines": lines}}
    step = ReadStep.model_validate(words)
    lid, seen = on_arc("L2417A", arc), on_arc("L9999Z", arc)

    for place in step.looks_at():
        assert place is not None
        x1, y1, x2, y2 = place
        seen[y1:y2, x1:x2] = lid[y1:y2, x1:x2]

    np.testing.assert_array_equal(arc.unrolled(seen), arc.unrolled(lid))
    assert Read(step, SHELF).look(seen, CONTEXT)[1].text == "L2417A"


def test_an_arc_that_leaves_the_picture_is_no_judgement() -> None:
    arc = {"centre": (240, 40), "radius": 170, "height": 56, "start_deg": -45, "end_deg": 45}
    with pytest.raises(Unjudged, match="outside the 480x480"):
        look(np.zeros((480, 480), np.uint8), {"arc": arc})


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"start_deg": 45, "end_deg": -45}, "above `start_deg`"),
        ({"start_deg": -45, "end_deg": 45, "feet": "out"}, "below `start_deg`"),
        ({"start_deg": 0, "end_deg": 45, "height": 900}, "diameter"),
    ],
)
def test_an_arc_that_cannot_be_is_refused(words: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Arc.model_validate({"centre": (9, 9), "radius": 100, "height": 40} | words)


@pytest.mark.parametrize(("runs", "turns"), [("down", -1), ("up", 1)])
def test_a_line_that_was_turned_is_read(runs: str, turns: int) -> None:
    upright = np.ascontiguousarray(np.rot90(printed("L2417A"), turns))

    assert look(upright, {"runs": runs, "expect": "{lot}"}).ok


def test_characters_below_each_other_are_read_as_a_line() -> None:
    cells = [printed(c, pitch=34)[:, :42] for c in "L2417A"]

    found = look(np.vstack(cells), {"runs": "stacked", "expect": "{lot}"})

    assert (found.ok, found.text) == (True, "L2417A")


def test_what_has_no_ink_stays_as_it_is() -> None:
    blank = np.full((90, 30), 200, np.uint8)
    assert straight(blank, "stacked") is blank


def test_chinese_print_is_read_and_latin_recipes_see_no_chinese() -> None:
    font = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
    if not font.exists():
        pytest.skip(f"no Chinese font: {font}")
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.new("L", (420, 60), 230)
    face = ImageFont.truetype(str(font), 38)
    ImageDraw.Draw(canvas).text((10, 0), "生产日期20261123", font=face, fill=20)
    line = np.array(canvas)

    found = look(line, {"expect": "生产日期20261123"}, script="chinese")
    latin = look(line, {}, script="ascii")

    assert (found.ok, found.text) == (True, "生产日期20261123")
    assert latin.text is None or latin.text.isascii()


def test_a_searched_line_has_no_place_of_its_own() -> None:
    with pytest.raises(ValidationError, match="need a place"):
        look(printed("A"), {"runs": "up"}, find="pp-ocrv6/find")
