"""Print read with the models that we ship with: known places, unknown places, and every rule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.part import Batch, Finding, Pixels
from inspector.tools.line_rules import Line, LineRules
from inspector.tools.onnx import Shelf
from inspector.tools.read import Read, ReadStep
from inspector.tools.recognise import TALLEST, Reading, narrowed, softened, spaced
from inspector.tools.step import Context, Unjudged

TODAY = date(2026, 11, 23)
BATCH = Batch("B1", texts={"lot": "L2417A", "date": "16 DEC 26"})
SHELF = Shelf(Path("none"), threads=2)


def pack(**lines: tuple[int, int]) -> Pixels:
    """A pale pack with text at places: ``pack(L2417A=(40, 100))``; ``_`` stands for a space."""
    picture = np.full((320, 640, 3), (200, 215, 210), np.uint8)
    for text, at in lines.items():
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(picture, text.replace("_", " "), at, font, 1.3, (30, 30, 40), 3, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (3, 3), 0)


def reader(roi: list[int] | None = None, **params: Any) -> Read:
    step = {"name": "print", "kind": "read", "roi": roi, "params": params}
    return Read(ReadStep.model_validate(step, context={"shelf": SHELF}), SHELF)


def look(pixels: Pixels, line: dict[str, Any], clock_synced: bool = True) -> Finding:
    (found,) = reader(lines=[line]).look(pixels, Context(BATCH, TODAY, clock_synced))
    return found


PRINTED = pack(L2417A=(40, 100), **{"16_DEC_26": (40, 220)})
LOT, DATE = [30, 55, 230, 115], [30, 175, 270, 235]


def test_two_lines_are_read_at_their_places_in_one_step() -> None:
    lines = [
        {"name": "lot", "roi": LOT, "expect": "{lot}"},
        {"name": "date", "roi": DATE, "date": {"not_before_days": 20}},
    ]

    lot, day = reader(lines=lines).look(PRINTED, Context(BATCH, TODAY))

    assert (lot.ok, lot.label, lot.text, lot.box) == (True, "lot", "L2417A", tuple(map(float, LOT)))
    assert (day.ok, day.text, day.value, day.unit) == (True, "16 DEC 26", 23.0, "d")


@pytest.mark.parametrize("printed", ["L2417B", "L2471A", "L241ZA", "L2417", "M2417A"])
def test_print_other_than_the_batchs_is_a_reject(printed: str) -> None:
    found = look(pack(**{printed: (40, 100)}), {"roi": LOT, "expect": "{lot}"})

    assert not found.ok
    assert "must be `L2417A`" in found.reason


def test_a_wrong_character_is_never_read_as_the_expected_one() -> None:
    found = look(pack(L2478A=(40, 100)), {"roi": LOT, "expect": "L247BA"})

    assert not found.ok, "8 is printed where B must be"


def test_print_without_the_form_is_a_reject() -> None:
    found = look(PRINTED, {"roi": LOT, "pattern": r"X\d{5}"})

    assert not found.ok
    assert "has not the form" in found.reason


def test_nothing_printed_is_a_reject() -> None:
    found = look(pack(), {"name": "lot", "roi": LOT})

    assert (found.ok, found.text, found.reason) == (False, None, "lot is not readable")


def test_a_smear_is_a_reject() -> None:
    smeared = cv2.blur(PRINTED, (41, 15))

    assert not look(smeared, {"roi": LOT, "expect": "{lot}"}).ok


@pytest.mark.parametrize(
    ("rule", "ok"),
    [
        ({"not_before_days": 23}, True),
        ({"not_before_days": 24}, False),
        ({"not_after_days": 23}, True),
        ({"not_after_days": 22}, False),
        ({"formats": ["DD/MM/YYYY"]}, False),
    ],
)
def test_the_dates_rule_holds_or_rejects(rule: dict[str, Any], ok: bool) -> None:
    assert look(PRINTED, {"roi": DATE, "date": rule}).ok == ok


@pytest.mark.parametrize(
    ("printed", "ok"), [("16 DEC 26", True), ("16 DEC", True), ("16 DEC 2926", False)]
)
def test_a_wrong_year_is_no_date_without_one(printed: str, ok: bool) -> None:
    rules = LineRules(Line.model_validate({"date": {"not_before_days": 20}}))

    judged = rules.judge(Reading(printed, 0.99, 0.99), Context(BATCH, TODAY))

    assert judged.ok == ok, judged.reason


def test_with_an_unsynchronised_clock_no_date_is_judged() -> None:
    with pytest.raises(Unjudged, match="clock is not synchronised"):
        look(PRINTED, {"roi": DATE, "date": {"not_before_days": 1}}, clock_synced=False)
    assert look(PRINTED, {"roi": DATE, "date": {}}, clock_synced=False).ok, "no rule, no clock"


def test_a_text_that_the_batch_lacks_is_no_judgement() -> None:
    with pytest.raises(Unjudged, match=r"no text `dat`.*did you mean `date`"):
        look(PRINTED, {"roi": DATE, "expect": "{dat}"})


def test_an_empty_text_does_not_leave_the_words_around_it_to_be_asked_for() -> None:
    rules = LineRules(Line.model_validate({"expect": "LOT {lot}"}))
    batch = Batch("B1", texts={"lot": " "})

    with pytest.raises(Unjudged, match=r"batch B1 has nothing for `LOT \{lot\}`"):
        rules.judge(Reading("LOT", 0.99, 0.99), Context(batch, TODAY))


@pytest.mark.parametrize(
    ("rules", "printed", "reason"),
    [
        ({"expect": "BEST BEFORE {date}"}, "BEST BEFORE 16 DEC 26", ""),
        ({"expect": "{date}"}, "BEST BEFORE 16 DEC 26", ""),
        ({"expect": "BEST BEFORE {date}"}, "USE BY 16 DEC 26",
         "text reads `USE BY 16 DEC 26`, must be `BEST BEFORE 16 DEC 26`"),
        ({"expect": "BEST BEFORE {date}"}, "BEST BEFORE 17 DEC 26",
         "text reads `BEST BEFORE 17 DEC 26`, must be `BEST BEFORE 16 DEC 26`"),
        ({"expect": "BEST BEFORE {date}"}, "BEST BEFORE 16 DEC 26 26",
         "text reads `BEST BEFORE 16 DEC 26 26`, must be `BEST BEFORE 16 DEC 26`"),
        ({"pattern": r"EXP \d{2} \a{3} \d{2} L\d"}, "EXP 16 DEC 26 L7", ""),
        ({"pattern": r"\d{2}\a{3}\d{2}"}, "EXP 16 DEC 26 L7", ""),
        ({"pattern": r"EXP \d{2} \a{3} \d{2} L\d"}, "EXP 16 DEC 26",
         r"text `EXP 16 DEC 26` has not the form EXP \d{2} \a{3} \d{2} L\d"),
    ],
)  # fmt: skip
def test_a_date_and_the_line_that_it_stands_in_are_both_held_against_their_rules(
    rules: dict[str, str], printed: str, reason: str
) -> None:
    line = Line.model_validate({"date": {"not_before_days": 20}, **rules})

    judged = LineRules(line).judge(Reading(printed, 0.99, 0.99), Context(BATCH, TODAY))

    assert (judged.ok, judged.reason) == (not reason, reason)
    assert not judged.ok or judged.days == 23


def test_a_date_is_found_among_other_text_wherever_it_stands() -> None:
    find = {"find": "pp-ocrv6/find", "lines": [{"name": "date", "date": {}}]}
    busy = pack(Keep_refrigerated=(60, 60), Energy_754kJ=(60, 130), **{"05_JAN_27": (330, 260)})

    (found,) = reader(**find).look(busy, Context(BATCH, TODAY))

    assert (found.ok, found.text) == (True, "05 JAN 27")
    assert found.box is not None
    assert found.box[0] == pytest.approx(330, abs=12)
    assert found.box[1] == pytest.approx(230, abs=12)


@pytest.mark.parametrize("turn", [cv2.ROTATE_180, cv2.ROTATE_90_CLOCKWISE])
def test_a_date_is_found_upside_down_and_on_end(turn: int) -> None:
    find = {"find": "pp-ocrv6/find", "lines": [{"name": "date", "date": {}}]}
    turned = cv2.rotate(pack(Keep_refrigerated=(60, 60), **{"05_JAN_27": (60, 200)}), turn)

    (found,) = reader(**find).look(turned, Context(BATCH, TODAY))

    assert (found.ok, found.text) == (True, "05 JAN 27")


def test_a_line_with_rules_and_all_others_are_looked_for_together() -> None:
    """Neither ends the search for the other: here the date is the tallest, there upside down."""
    lines = [{"name": "date", "date": {}}, {"name": "any"}]
    both = reader(find="pp-ocrv6/find", lines=lines)
    picture = pack(Keep_refrigerated=(60, 60), **{"05_JAN_27": (60, 260)})
    tall = picture.copy()
    tall[190:320, :] = cv2.resize(picture[215:280, :320], (640, 130))
    turned = picture.copy()
    turned[200:300] = picture[200:300][::-1, ::-1]

    for seen in (tall, turned):
        found = both.look(seen, Context(BATCH, TODAY))

        assert (found[0].label, found[0].ok, found[0].text) == ("date", True, "05 JAN 27")
        assert "Keep refrigerated" in [f.text for f in found if f.label == "any"]


def test_no_date_anywhere_is_a_reject() -> None:
    find = {"find": "pp-ocrv6/find", "lines": [{"name": "date", "date": {}}]}

    (found,) = reader(**find).look(pack(Keep_refrigerated=(60, 60)), Context(BATCH, TODAY))

    assert (found.ok, found.box, found.reason) == (False, None, "no date found")


def test_found_places_are_in_the_whole_frames_pixels() -> None:
    find = {"find": "pp-ocrv6/find", "lines": [{"name": "line"}]}

    found = reader(roi=[0, 150, 400, 320], **find).look(PRINTED, Context(BATCH, TODAY))

    assert [f.text for f in found] == ["16 DEC 26"]
    assert found[0].box is not None
    assert 180 <= found[0].box[1] <= 200


def test_a_space_that_the_recogniser_swallowed_is_seen_by_its_gap() -> None:
    assert spaced(Reading("16NOV", 1.0, 1.0, (4, 8, 15, 19, 23))) == "16 NOV"
    assert spaced(Reading("16NOV", 1.0, 1.0, (4, 8, 12, 16, 20))) == "16NOV"
    assert spaced(Reading("AWAY", 1.0, 1.0, (4, 8, 15, 19))) == "AWAY", "only beside a digit"


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"lines": []}, "at least one line"),
        ({"lines": [{"name": "a"}, {"name": "a"}]}, "same name"),
        ({"find": "pp-ocrv6/find", "lines": [{"roi": [0, 0, 9, 9]}]}, "no ROI"),
        ({"lines": [{"pattern": "[A-"}]}, "must follow"),
        ({"lines": [{"date": {"formats": ["DDD"]}}]}, "no date format"),
        ({"lines": [{"date": {"formats": []}}]}, "at least 1 item"),
        (
            {"lines": [{"date": {"not_before_days": 20, "not_after_days": 19}}]},
            "must not exceed",
        ),
        ({"lines": [{"date": {"formats": ["DD MMM YY"], "shifts": "AB"}}]}, "needs a shift"),
        ({"lines": [{"expect": "{lot"}]}, "a brace itself"),
        ({"lines": [{"expect": "{}"}]}, "named as in {lot}"),
        ({"lines": [{"expect": "{lot.upper}"}]}, "named as in {lot}"),
        ({"lines": [{"min_score": float("nan")}]}, "finite number"),
        ({"model": "pp-ocrv6/red"}, "did you mean `pp-ocrv6/read`"),
    ],
)
def test_a_step_that_cannot_work_is_refused(params: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        reader(**params)


@pytest.mark.parametrize("way", [narrowed, softened])
def test_a_line_of_many_megapixels_is_scaled_down_first(way: Callable[[Pixels], Pixels]) -> None:
    """What a recogniser never sees would be blurred for minutes."""
    assert way(np.zeros((3000, 4000, 3), np.uint8)).shape[0] == TALLEST
    assert way(np.zeros((160, 400), np.uint8)).shape[0] == 160
