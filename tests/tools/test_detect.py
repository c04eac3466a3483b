"""Every head, the letterbox's way there and back, and the rules, through real ONNX graphs."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from tools.model_shelf import answering

from inspector.part import Batch, Finding, Pixels, Severity
from inspector.tools.card import Card
from inspector.tools.detect import Detect, DetectStep
from inspector.tools.letterbox import Letterbox
from inspector.tools.onnx import Shelf, recorded
from inspector.tools.step import Context, Unjudged

CONTEXT = Context(Batch("B"), date(2026, 11, 23))
GREY = np.full((480, 640, 3), 90, np.uint8)


def shelve(models: Path, answer: np.ndarray, form: str, floats: bool = False) -> Shelf:
    """A detector for 320×320 that answers ``answer``, whatever it sees."""
    classes, side = ("Bottle", "Cap"), (320, 320)
    if not floats:
        return answering(models, "detect", form, [answer], classes, side)
    entry = helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, *side))
    eats = {"dtype": "float32", "layout": "NCHW", "colour": "RGB"}
    return answering(models, "detect", form, [answer], classes, side, entry, input=eats)


def detector(shelf: Shelf, roi: list[int] | None = None, **params: Any) -> Detect:
    step = {"name": "d", "kind": "detect", "roi": roi, "params": {"model": "m/1"} | params}
    return Detect(DetectStep.model_validate(step, context={"shelf": shelf}), shelf)


def end_to_end(*rows: tuple[float, ...]) -> np.ndarray:
    answer = np.zeros((1, 8, 6), np.float32)
    for i, row in enumerate(rows):
        answer[0, i] = row
    return answer


# 640×480 into 320×320: scale 1/2, 40 px of grey above and below.
BOTTLE = (50.0, 90.0, 100.0, 240.0, 0.9, 0.0)
CAP = (60.0, 92.0, 90.0, 120.0, 0.8, 1.0)
LONE = (200.0, 90.0, 250.0, 240.0, 0.7, 0.0)


def test_boxes_come_back_in_the_frames_pixels(tmp_path: Path) -> None:
    bottle, cap = detector(shelve(tmp_path, end_to_end(BOTTLE, CAP), "end-to-end")).look(
        GREY, CONTEXT
    )

    assert (bottle.label, bottle.box) == ("Bottle", (100.0, 100.0, 200.0, 400.0))
    assert (cap.label, cap.ok) == ("Cap", True)
    assert cap.score == pytest.approx(0.8)


def test_boxes_of_a_roi_are_in_the_whole_frames_pixels(tmp_path: Path) -> None:
    shelf = shelve(tmp_path, end_to_end((0, 0, 320, 320, 0.9, 0)), "end-to-end")

    (found,) = detector(shelf, roi=[100, 50, 420, 370]).look(GREY, CONTEXT)

    assert found.box == (100.0, 50.0, 420.0, 370.0)


@pytest.mark.parametrize("anchors", [50, 2100])
def test_a_raw_yolov8_head_is_suppressed_per_class(tmp_path: Path, anchors: int) -> None:
    answer = np.zeros((1, 6, anchors), np.float32)
    answer[0, :, 3] = (75, 165, 50, 150, 0.9, 0.1)
    answer[0, :, 4] = (77, 166, 50, 150, 0.7, 0.1)  # the same bottle again
    answer[0, :, 5] = (75, 165, 50, 150, 0.1, 0.6)  # a cap in the very same place is another thing

    found = detector(shelve(tmp_path, answer, "yolov8", floats=True)).look(GREY, CONTEXT)

    assert [f.label for f in found] == ["Bottle", "Cap"]
    assert found[0].box == pytest.approx((100.0, 100.0, 200.0, 400.0))


def test_a_yolov5_head_multiplies_objectness(tmp_path: Path) -> None:
    answer = np.zeros((1, 60, 7), np.float32)
    answer[0, 3] = (75, 165, 50, 150, 0.9, 0.8, 0.1)
    answer[0, 9] = (75, 165, 50, 150, 0.9, 0.3, 0.1)

    (found,) = detector(shelve(tmp_path, answer, "yolov5", floats=True)).look(GREY, CONTEXT)

    assert found.score == pytest.approx(0.72)
    assert found.box == pytest.approx((100.0, 100.0, 200.0, 400.0))


@pytest.mark.parametrize("form", ["end-to-end", "yolov8", "yolov5"])
def test_scores_that_are_not_numbers_are_no_judgement(tmp_path: Path, form: str) -> None:
    shapes = {"end-to-end": (1, 300, 6), "yolov8": (1, 6, 99), "yolov5": (1, 99, 7)}
    answer = np.zeros(shapes[form], np.float32)
    answer[0, 4, 4] = np.nan

    with pytest.raises(Unjudged, match="not numbers"):
        detector(shelve(tmp_path, answer, form, floats=True)).look(GREY, CONTEXT)


@pytest.mark.parametrize("form", ["end-to-end", "yolov8", "yolov5"])
def test_what_a_graph_gives_before_its_sigmoid_is_no_judgement(tmp_path: Path, form: str) -> None:
    """What is likely was found too rarely, and passed; of nothing nobody could tell."""
    shapes = {"end-to-end": (1, 300, 6), "yolov8": (1, 6, 99), "yolov5": (1, 99, 7)}
    answer = np.zeros(shapes[form], np.float32)
    rows = answer[:, 4:] if form == "yolov8" else answer[..., 4:]
    rows[...] = -6
    if form == "end-to-end":
        answer[0, 0, 4:] = 3, 0
    else:
        rows[0].flat[0] = 0.7

    with pytest.raises(Unjudged, match="do not lie between 0 and 1"):
        detector(shelve(tmp_path, answer, form, floats=True)).look(GREY, CONTEXT)


def test_a_class_that_the_card_does_not_name_is_no_judgement(tmp_path: Path) -> None:
    """A head with its own suppression does not show how many classes it has: the card of another
    model would make a defect one that nobody looks for."""
    shelf = shelve(
        tmp_path, end_to_end(BOTTLE, (200.0, 90.0, 250.0, 240.0, 0.7, 2.0)), "end-to-end"
    )

    with pytest.raises(Unjudged, match="found class 2, its card names 2 from 0"):
        detector(shelf, labels=["Bottle"]).look(GREY, CONTEXT)
    (found,) = detector(shelf, threshold=0.8).look(GREY, CONTEXT)
    assert found.label == "Bottle", "what scores too little is not asked for its name"


def test_each_class_has_its_own_threshold(tmp_path: Path) -> None:
    shelf = shelve(tmp_path, end_to_end(BOTTLE, CAP, LONE), "end-to-end")

    strict = detector(shelf, threshold=0.5, thresholds={"Bottle": 0.8}).look(GREY, CONTEXT)

    assert [(f.label, round(f.score, 1)) for f in strict] == [("Bottle", 0.9), ("Cap", 0.8)]


def broken(found: list[Finding]) -> list[str]:
    return [f.reason for f in found if not f.ok]


@pytest.mark.parametrize(
    ("rule", "ok"),
    [
        ({"at_least": 2}, True),
        ({"at_least": 3}, False),
        ({"at_most": 2}, True),
        ({"at_most": 1}, False),
        ({"exactly": 2}, True),
        ({"exactly": 1}, False),
        ({"exactly": 1, "roi": [0, 0, 300, 480]}, True),
        ({"at_least": 1, "roi": [300, 0, 380, 480]}, False),
        ({"at_least": 1, "at_most": 1}, False),
    ],
)
def test_counts_hold_or_reject(tmp_path: Path, rule: dict[str, Any], ok: bool) -> None:
    shelf = shelve(tmp_path, end_to_end(BOTTLE, CAP, LONE), "end-to-end")

    found = detector(shelf, counts=[{"label": "Bottle"} | rule]).look(GREY, CONTEXT)

    assert (not broken(found)) == ok


def test_a_broken_count_says_what_was_found_and_where(tmp_path: Path) -> None:
    shelf = shelve(tmp_path, end_to_end(BOTTLE), "end-to-end")
    rule = {"label": "Cap", "exactly": 1, "roi": [80, 80, 220, 200], "severity": "critical"}

    finding = detector(shelf, counts=[rule]).look(GREY, CONTEXT)[-1]

    assert finding.reason == "0 × Cap where exactly 1 must be"
    assert (finding.value, finding.severity) == (0.0, Severity.CRITICAL)
    assert finding.box == (80.0, 80.0, 220.0, 200.0)


def test_a_bottle_without_its_cap_rejects_and_is_pointed_at(tmp_path: Path) -> None:
    shelf = shelve(tmp_path, end_to_end(BOTTLE, CAP, LONE), "end-to-end")
    pairs = [{"of": "Bottle", "has": "Cap", "where": "on_top"}]

    found = detector(shelf, each=pairs).look(GREY, CONTEXT)

    assert broken(found) == ["Bottle without Cap"]
    assert found[-1].box == (400.0, 100.0, 500.0, 400.0)


def test_one_cap_does_not_serve_two_bottles(tmp_path: Path) -> None:
    twin = (*BOTTLE[:4], 0.85, 0.0)
    shelf = shelve(tmp_path, end_to_end(BOTTLE, twin, CAP), "end-to-end")

    found = detector(shelf, each=[{"of": "Bottle", "has": "Cap"}]).look(GREY, CONTEXT)

    assert broken(found) == ["Bottle without Cap"]


def test_two_bottles_that_overlap_each_have_the_cap_that_leaves_the_other_one_its_own(
    tmp_path: Path,
) -> None:
    """The one between them was taken first, by the bottle that had its own: a good part fell."""
    beside = (80.0, 90.0, 130.0, 240.0, 0.85, 0.0)
    between = (82.0, 92.0, 98.0, 120.0, 0.8, 1.0)
    own = (52.0, 92.0, 68.0, 120.0, 0.7, 1.0)
    shelf = shelve(tmp_path, end_to_end(BOTTLE, beside, between, own), "end-to-end")

    found = detector(shelf, each=[{"of": "Bottle", "has": "Cap"}]).look(GREY, CONTEXT)

    assert not broken(found)


def test_a_defect_rejects_with_its_severity(tmp_path: Path) -> None:
    shelf = shelve(tmp_path, end_to_end(CAP), "end-to-end")

    (found,) = detector(shelf, defects={"Cap": "minor"}).look(GREY, CONTEXT)

    assert (found.ok, found.severity, found.reason) == (False, Severity.MINOR, "Cap (0.80)")


@pytest.mark.parametrize(
    "params",
    [
        {"defects": {"Cup": "minor"}},
        {"labels": ["Cup"]},
        {"thresholds": {"Cup": 0.4}},
        {"counts": [{"label": "Cup", "exactly": 1}]},
        {"each": [{"of": "Bottle", "has": "Cup"}]},
    ],
)
def test_a_label_that_the_model_does_not_know_is_named(
    tmp_path: Path, params: dict[str, Any]
) -> None:
    shelf = shelve(tmp_path, end_to_end(), "end-to-end")

    with pytest.raises(ValueError, match="no class `Cup`; did you mean `Cap`"):
        detector(shelf, **params)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"thresholds": {"Cap": 60}}, "less than or equal to 1"),
        ({"thresholds": {"Cap": 0}}, "greater than 0"),
        ({"thresholds": {"Cap": float("nan")}}, "finite number"),
        ({"threshold": float("nan")}, "finite number"),
        ({"labels": ["Bottle"], "defects": {"Cap": "major"}}, "`Cap`, which `labels` leaves out"),
        ({"labels": ["Bottle"], "counts": [{"label": "Cap", "at_most": 0}]}, "`labels` leaves out"),
        ({"labels": ["Bottle"], "each": [{"of": "Bottle", "has": "Cap"}]}, "`labels` leaves out"),
        ({"counts": [{"label": "Cap", "at_least": 3, "at_most": 2}]}, "must not exceed"),
        ({"counts": [{"label": "Cap", "exactly": 1, "at_most": 0}]}, "cannot hold together"),
        ({"counts": [{"label": "Cap", "exactly": 1, "at_least": 2}]}, "cannot hold together"),
        ({"counts": [{"label": "Cap", "exactly": 1.5}]}, "valid integer"),
        ({"counts": [{"label": "Cap", "at_most": 0, "roi": [0, 0, 9, 9]}]}, "does not look"),
        ({"counts": [{"label": "Cap", "at_most": 0, "roi": [0, 0, 99, 99]}]}, r"sees \[9, 0, 640"),
    ],
)
def test_a_rule_that_could_never_hold_or_never_break_is_refused(
    tmp_path: Path, params: dict[str, Any], why: str
) -> None:
    shelf = shelve(tmp_path, end_to_end(), "end-to-end")

    with pytest.raises(ValueError, match=why):
        detector(shelf, roi=[9, 0, 640, 480], **params)


def test_a_roi_outside_the_picture_is_no_judgement(tmp_path: Path) -> None:
    """Also where a rule counts: it was drawn for another picture."""
    shelf = shelve(tmp_path, end_to_end(BOTTLE), "end-to-end")
    elsewhere = {"label": "Cap", "at_most": 0, "roi": [600, 0, 700, 480]}

    with pytest.raises(Unjudged, match="reaches outside the 640x480 picture"):
        detector(shelf, roi=[0, 0, 641, 480]).look(GREY, CONTEXT)
    with pytest.raises(Unjudged, match="reaches outside the 640x480 picture"):
        detector(shelf, counts=[elsewhere]).look(GREY, CONTEXT)


def test_a_detector_of_grey_pictures_sees_grey_though_its_graph_leaves_its_channels_free(
    tmp_path: Path,
) -> None:
    """It was given three channels, the picture in the first and the letterbox's rim in two."""
    entry = helper.make_tensor_value_info("images", TensorProto.UINT8, (1, 320, 320, "c"))
    answer, eats = [end_to_end(BOTTLE)], {"colour": "grey"}
    classes = ("Bottle", "Cap")
    shelf = answering(tmp_path, "detect", "end-to-end", answer, classes, entry=entry, input=eats)

    with recorded() as runs:
        detector(shelf).look(GREY, CONTEXT)

    assert [seen.shape for _, seen in runs] == [(1, 320, 320, 1)]


def filled(pixels: Pixels, **entry: Any) -> tuple[np.ndarray, Letterbox]:
    spec = {"dtype": "uint8", "layout": "NHWC", "colour": "BGR"} | entry
    card = Card.model_validate(
        {"name": "m", "version": "1", "task": "detect", "sha256": "0" * 64, "input": spec}
    )
    depth = 1 if spec["colour"] == "grey" else 3
    shape = (1, 64, 64, depth) if spec["layout"] == "NHWC" else (1, depth, 64, 64)
    buffer = np.zeros(shape, spec["dtype"])
    box = Letterbox(card, buffer)
    box.fill(pixels)
    return buffer, box


def test_the_picture_is_centred_on_grey() -> None:
    buffer, box = filled(np.full((64, 128, 3), 200, np.uint8))

    assert (box.scale, box.left, box.top) == (0.5, 0, 16)
    assert (buffer[0, 16:48] == 200).all()
    assert (buffer[0, :16] == 114).all()
    assert (buffer[0, 48:] == 114).all()


def test_a_picture_of_another_size_leaves_no_mark_of_the_one_before() -> None:
    buffer, box = filled(np.full((128, 64, 3), 7, np.uint8))
    box.fill(np.full((64, 128, 3), 200, np.uint8))

    assert (buffer[0, :16] == 114).all()
    assert (buffer[0, 16:48] == 200).all()


def test_float_models_get_scaled_rgb_planes() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[...] = (255, 51, 0)

    buffer, _ = filled(pixels, dtype="float32", layout="NCHW", colour="RGB")

    assert buffer[0, :, 5, 5] == pytest.approx([0.0, 0.2, 1.0])


def test_grey_and_colour_pictures_fit_models_of_either_kind() -> None:
    grey, colour = np.full((64, 64), 90, np.uint8), np.full((64, 64, 3), 90, np.uint8)

    assert (filled(grey)[0] == 90).all()
    assert (filled(colour, colour="grey")[0] == 90).all()
    assert (filled(grey, colour="grey")[0] == 90).all()


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    grey=st.booleans(),
    colour=st.sampled_from(["BGR", "RGB", "grey"]),
    layout=st.sampled_from(["NHWC", "NCHW"]),
    dtype=st.sampled_from(["uint8", "float32"]),
)
def test_any_picture_fills_any_input_and_boxes_come_back(
    height: int, width: int, grey: bool, colour: str, layout: str, dtype: str
) -> None:
    pixels = np.full((height, width) if grey else (height, width, 3), 255, np.uint8)

    buffer, box = filled(pixels, colour=colour, layout=layout, dtype=dtype)

    assert buffer.max() == (255 if dtype == "uint8" else 1)
    x1, y1, x2, y2 = box.back((0, 0, 64, 64))
    assert (x1, y1) == (0, 0)
    assert x2 == pytest.approx(width, abs=width * 0.02 + 1 / box.scale)
    assert y2 == pytest.approx(height, abs=height * 0.02 + 1 / box.scale)
