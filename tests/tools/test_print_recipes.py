"""The shipped recipes about codes and print judge what they were written for."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest
import zxingcpp

from inspector.part import Batch, Outcome, Pixels
from inspector.recipe import Judgement, load
from inspector.tools.curve import Arc

RECIPES = Path(__file__).parents[2] / "station_configs" / "recipes"
TODAY = date(2026, 11, 23)


def judge(recipe: str, picture: Pixels) -> Judgement:
    ready = load(RECIPES / f"{recipe}.yaml")
    return ready.judge({"image": picture}, Batch("b"), TODAY)


def label(ink: int) -> Pixels:
    content = "(01)09506000134352(10)L2417A"
    barcode = zxingcpp.create_barcode(content, zxingcpp.BarcodeFormat.DataMatrix, gs1=True)
    drawn = np.array(zxingcpp.write_barcode_to_image(barcode, scale=6))
    drawn = np.pad(drawn.reshape(drawn.shape[:2]), 40, constant_values=255)
    return np.where(drawn < 128, np.uint8(ink), np.uint8(230))


def test_a_code_that_is_read_but_faint_is_rejected_by_its_quality() -> None:
    assert judge("code-quality", label(20)).outcome is Outcome.PASS

    faint = judge("code-quality", label(160))

    assert faint.outcome is Outcome.REJECT
    assert faint.reasons == ("DataMatrix: symbol contrast 0.27, at least 0.4 must be",)


@pytest.mark.parametrize(("made", "outcome"), [("26201", Outcome.PASS), ("25330", Outcome.REJECT)])
def test_a_day_of_the_year_around_a_lid_is_held_against_the_shelf_life(
    made: str, outcome: Outcome
) -> None:
    line = np.full((44, 300), 225, np.uint8)
    cv2.putText(line, made, (92, 34), cv2.FONT_HERSHEY_SIMPLEX, 1.1, 20, 3, cv2.LINE_AA)
    arc = Arc(centre=(240, 240), radius=140, height=44, start_deg=-60, end_deg=60)
    y, x = np.mgrid[:480, :480].astype(np.float64)
    along = (np.degrees(np.arctan2(x - 240, 240 - y)) + 60) * np.pi / 180 * arc.radius
    down = 22 - (np.hypot(x - 240, y - 240) - arc.radius)
    maps = along.astype(np.float32), down.astype(np.float32)
    lid = cv2.remap(line, *maps, cv2.INTER_LINEAR, borderValue=225)

    judged = judge("lid-print", lid)

    assert judged.findings[0].text == made
    assert judged.outcome is outcome, judged.reasons


def pack(text: str, size: int = 44) -> Pixels:
    """A pale pack with a line of print and a smaller one under it."""
    font = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
    if not font.exists():
        pytest.skip(f"no Chinese font: {font}")
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.new("RGB", (840, 640), (225, 230, 235))
    draw = ImageDraw.Draw(canvas)
    draw.text((120, 240), text, font=ImageFont.truetype(str(font), size), fill=(30, 30, 40))
    draw.text(
        (120, 420), "500 g  LOT 4711", font=ImageFont.truetype(str(font), 30), fill=(90, 60, 60)
    )
    return np.array(canvas)


@pytest.mark.parametrize(
    ("print_", "date_"),
    [
        ("BEST BEFORE 12/2026", "12/2026"),
        ("2026.11.05", "2026.11.05"),
        ("05NOV26", "05NOV26"),
        ("EXP 11 2026", "11 2026"),
        ("USE BY 05 NOVEMBER 2026", "05 NOVEMBER 2026"),
        ("生产日期 2026年11月05日", "2026年11月05日"),
        ("20261105 B2", "20261105"),
    ],
)
def test_a_date_is_found_on_a_pack_however_it_is_written(print_: str, date_: str) -> None:
    (found,) = judge("date-code", pack(print_)).findings

    assert (found.text or "").replace(" ", "") == date_.replace(" ", "")


def test_a_chinese_pack_is_read_line_by_line() -> None:
    font = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
    if not font.exists():
        pytest.skip(f"no Chinese font: {font}")
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.new("RGB", (640, 360), (235, 230, 225))
    draw, face = ImageDraw.Draw(canvas), ImageFont.truetype(str(font), 40)
    draw.text((40, 60), "生产日期 2026.11.23", font=face, fill=(20, 20, 30))
    draw.text((40, 180), "保质期 十二个月", font=face, fill=(20, 20, 30))

    texts = [f.text or "" for f in judge("pack-zh", np.array(canvas)).findings]

    assert sorted(t.replace(" ", "") for t in texts) == ["保质期十二个月", "生产日期2026.11.23"]
