"""Masks become places with area, length and width, in mm where calibrated, each within its
tolerance (S3, S4)."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tools.model_shelf import answering, painting

from inspector.part import Batch, Finding, Outcome, Pixels
from inspector.recipe import load
from inspector.tools.calibration import Board, Calibration, CalibrationFile, save_calibration
from inspector.tools.card import ModelError
from inspector.tools.onnx import Shelf
from inspector.tools.outline import form_of
from inspector.tools.segment import Segment, SegmentStep
from inspector.tools.step import Context, Unjudged

CONTEXT = Context(Batch("B"), date(2026, 11, 23))
BLUE, GREEN, RED = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def sheet(*rects: tuple[int, int, int, int], colour: tuple[int, int, int] = RED) -> Pixels:
    """A black 64×64 sheet with filled rectangles x1, y1, x2, y2 (the last pixel outside)."""
    picture = np.zeros((64, 64, 3), np.uint8)
    for x1, y1, x2, y2 in rects:
        picture[y1:y2, x1:x2] = colour
    return picture


def segmenter(shelf: Shelf, roi: list[int] | None = None, **params: Any) -> Segment:
    step = {"name": "s", "kind": "segment", "roi": roi, "params": {"model": "m/1"} | params}
    return Segment(SegmentStep.model_validate(step, context={"shelf": shelf}), shelf)


def look(shelf: Shelf, picture: Pixels, **params: Any) -> list[Finding]:
    return segmenter(shelf, **params).look(picture, CONTEXT)


def test_each_connected_place_is_measured_and_outlined(tmp_path: Path) -> None:
    large, small = look(painting(tmp_path), sheet((10, 20, 40, 24), (5, 50, 9, 54)))

    assert (large.label, large.ok, large.value, large.unit) == ("red", True, 120.0, "{px}2")
    assert large.text == "30.00 × 4.00 px"
    assert large.box == (10.0, 20.0, 40.0, 24.0)
    assert set(large.outline[0]) == {(10, 20), (39, 20), (39, 23), (10, 23)}
    assert small.value == 16.0


def test_the_one_that_breaks_its_tolerance_is_told_among_more_than_are_shown(
    tmp_path: Path,
) -> None:
    dots = [(x, y, x + 3, y + 3) for y in range(0, 56, 5) for x in range(0, 60, 5)]
    scratch = (10, 62, 18, 63)
    rules = [{"label": "red", "length_at_most": 5, "at_most": 200}]

    found = look(painting(tmp_path), sheet(*dots, scratch), tolerances=rules)

    assert len(found) == 100 and len(dots) > 100
    assert [f.text for f in found if not f.ok] == ["8.00 × 1.00 px"]


def test_a_hole_is_no_part_of_the_area_and_a_ring_of_the_outline(tmp_path: Path) -> None:
    picture = sheet((10, 10, 30, 30))
    picture[15:25, 15:25] = 0

    (found,) = look(painting(tmp_path), picture)

    assert found.value == 300.0
    assert len(found.outline) == 2


@pytest.mark.parametrize(("stride", "off"), [(1, 0), (4, 1)])
def test_maps_coarser_than_the_picture_come_back_in_its_pixels(
    tmp_path: Path, stride: int, off: float
) -> None:
    picture = cv2.resize(sheet((8, 24, 40, 36)), (128, 128), interpolation=cv2.INTER_NEAREST)

    (found,) = look(painting(tmp_path, stride=stride), picture)

    assert found.box == pytest.approx((16, 48, 80, 72), abs=2 * off)
    assert found.value == pytest.approx(64 * 24, rel=0.02)


def test_a_picture_of_another_shape_is_letterboxed_there_and_back(tmp_path: Path) -> None:
    picture = np.zeros((96, 192, 3), np.uint8)
    picture[30:60, 90:150] = RED

    (found,) = look(painting(tmp_path), picture)

    assert found.box == pytest.approx((90, 30, 150, 60), abs=2)


def test_the_first_class_of_a_semantic_model_is_the_background(tmp_path: Path) -> None:
    picture = sheet((0, 0, 64, 64), colour=BLUE)
    picture[10:20, 10:20] = GREEN

    (found,) = look(painting(tmp_path, form="semantic"), picture)

    assert (found.label, found.value) == ("green", 100.0)


def test_logits_of_pixels_become_scores_in_the_tool(tmp_path: Path) -> None:
    maps = np.full((1, 2, 16, 16), -4.0)
    maps[0, 0] = -1
    maps[0, 1, 4:8, 4:8] = 4
    for form, classes in (("masks", ("a", "b")), ("semantic", ("background", "b"))):
        shelf = answering(tmp_path, "segment", form, [maps], classes, output={"logits": True})
        (found,) = look(shelf, sheet())
        assert (found.label, found.box) == ("b", (16.0, 16.0, 32.0, 32.0))


def test_logits_that_the_card_does_not_tell_of_are_no_judgement(tmp_path: Path) -> None:
    """A stain of 0.96, here 0.2 against -3, was below any threshold, and passed."""
    maps = np.full((1, 2, 16, 16), -3.0)
    maps[0, 1, 4:8, 4:8] = 0.2
    for form, classes in (("masks", ("a", "b")), ("semantic", ("background", "b"))):
        shelf = answering(tmp_path, "segment", form, [maps], classes)
        with pytest.raises(Unjudged, match="do not lie between 0 and 1"):
            look(shelf, sheet(), defects={"b": "major"})


def test_sizes_out_of_tolerance_reject_with_the_figure(tmp_path: Path) -> None:
    rules = [{"label": "red", "length_at_most": 20, "width_at_most": 5, "severity": "minor"}]

    long, thick, fine = look(
        painting(tmp_path), sheet((2, 2, 60, 4), (2, 10, 10, 20), (2, 30, 10, 33)), tolerances=rules
    )

    assert long.reason == "red: length 58.00 px, at most 20 is allowed"
    assert thick.reason == "red: width 8.00 px, at most 5 is allowed"
    assert (long.severity, fine.ok) == ("minor", True)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"at_most": 1}, "2 × red, at most 1 may be"),
        ({"at_least": 3}, "2 × red, at least 3 must be"),
        ({"total_at_most": 30}, "32.00 px² of red, at most 30 may be"),
        ({"total_at_least": 40}, "32.00 px² of red, at least 40 must be"),
    ],
)
def test_counts_and_totals_are_of_all_places(
    tmp_path: Path, rule: dict[str, Any], reason: str
) -> None:
    picture = sheet((4, 4, 8, 8), (20, 20, 24, 24))

    *_, last = look(painting(tmp_path), picture, tolerances=[{"label": "red", **rule}])

    assert (last.ok, last.reason) == (False, reason)


def test_what_must_be_there_and_is_not_is_rejected(tmp_path: Path) -> None:
    (found,) = look(
        painting(tmp_path), sheet(), tolerances=[{"label": "green", "total_at_least": 100}]
    )

    assert (found.label, found.ok, found.box) == ("green", False, None)


def test_tiles_see_small_things_and_a_seam_makes_no_two_of_one(tmp_path: Path) -> None:
    picture = np.zeros((64, 120, 3), np.uint8)
    picture[30:33, 20:100] = RED
    tiles = [[0, 0, 64, 64], [56, 0, 120, 64]]

    (found,) = look(painting(tmp_path), picture, rois=tiles)

    assert found.box == (20.0, 30.0, 100.0, 33.0)
    assert found.value == 240.0


def camera(px_per_mm: float) -> CalibrationFile:
    plane = ((1 / px_per_mm, 0, 0), (0, 1 / px_per_mm, 0), (0, 0, 1))
    board = Board(columns=8, rows=6, square_mm=5)
    made = Calibration(
        width=64, height=64, plane=plane, px_per_mm=px_per_mm, px_per_mm_u=0, rms_px=0,
        pictures=1, board=board,
    )  # fmt: skip
    return CalibrationFile("camera.json", made, "0" * 64)


def test_a_calibrated_camera_gives_millimetres(tmp_path: Path) -> None:
    shelf = painting(tmp_path)
    tool = segmenter(
        shelf, calibration=camera(4), tolerances=[{"label": "red", "length_at_most": 7}]
    )

    (found,) = tool.look(sheet((10, 20, 40, 24)), CONTEXT)

    assert (found.value, found.unit) == (pytest.approx(7.5, abs=0.01), "mm2")
    assert found.text == "7.50 × 1.00 mm"
    assert found.reason == "red: length 7.50 mm, at most 7 is allowed"
    assert "0" * 64 in tool.model_digests
    with pytest.raises(Unjudged, match="calibrated for 64x64"):
        tool.look(np.zeros((32, 64, 3), np.uint8), CONTEXT)


def test_a_step_that_follows_measures_on_pictures_of_its_calibration_alone(tmp_path: Path) -> None:
    """From a camera that was set to half its size a scratch of 15 mm was one of 7.5, and passed."""
    shelf = painting(tmp_path)
    calibration = camera(4).calibration
    assert calibration is not None
    save_calibration(calibration, tmp_path / "camera.json")
    (tmp_path / "r.yaml").write_text(
        "name: r\ntools:\n"
        "  - {name: parts, kind: segment, params: {model: m/1}}\n"
        "  - {name: scratch, kind: segment, follow: parts/red,\n"
        "     params: {model: m/1, calibration: camera.json, defects: {blue: major}}}\n"
    )
    recipe = load(tmp_path / "r.yaml", shelf)
    seen = sheet((10, 20, 40, 30))

    whole = recipe.judge({"image": seen}, Batch("b"), date(2026, 1, 1))
    half = recipe.judge({"image": seen[::2, ::2].copy()}, Batch("b"), date(2026, 1, 1))

    assert whole.outcome is Outcome.PASS, whole.reasons
    assert half.outcome is Outcome.ERROR
    assert half.reasons == ("scratch: calibrated for 64x64, the picture is 32x32",)


def test_area_in_mm_of_an_aslant_plane_is_that_of_the_plane(tmp_path: Path) -> None:
    # Seen aslant, pixels at the far end are larger: a square of 20 mm on the plane.
    plane = np.array([[0.05, 0, 0], [0, 0.05, 0], [0, 0.0004, 1]])
    corners = np.array([[[10.0, 10], [30, 10], [30, 30], [10, 30]]])
    inside = cv2.perspectiveTransform(corners, np.linalg.inv(plane))
    mask = np.zeros((1200, 1200), np.uint8)
    cv2.fillPoly(mask, np.rint(inside).astype(np.int32), 255)

    def to_mm(points: np.ndarray) -> np.ndarray:
        return cv2.perspectiveTransform(points[:, None], plane)[:, 0]

    form = form_of(mask, (0, 0), to_mm)

    assert form.area == pytest.approx(400, rel=0.01)
    assert form.length == pytest.approx(20, rel=0.01)


def instance_shelf(models: Path, form: str, classes: tuple[str, ...] = ("screw", "nut")) -> Shelf:
    """Two prototypes, the left and the right half; two instances of one box, one of each half."""
    protos = np.full((1, 2, 16, 16), -8.0)
    protos[0, 0, :, :8] = 8
    protos[0, 1, :, 8:] = 8
    if form == "instances":
        rows = np.zeros((1, 5, 8))
        rows[0, 0] = (8, 8, 56, 56, 0.9, 0, 1, 0)
        rows[0, 1] = (8, 8, 56, 56, 0.8, 1, 0, 1)
    else:
        rows = np.zeros((1, 8, 50))
        rows[0, :, 3] = (32, 32, 48, 48, 0.9, 0.1, 1, 0)
        rows[0, :, 4] = (32, 32, 48, 48, 0.1, 0.8, 0, 1)
        rows[0, :, 5] = (32, 33, 48, 48, 0.5, 0.1, 1, 0)  # the first again
    return answering(models, "segment", form, [rows, protos], classes)


@pytest.mark.parametrize("form", ["instances", "yolov8-seg"])
def test_an_instance_is_its_prototypes_within_its_box(tmp_path: Path, form: str) -> None:
    screw, nut = look(instance_shelf(tmp_path, form), sheet())

    assert (screw.label, screw.box) == ("screw", (8.0, 8.0, 32.0, 56.0))
    assert (nut.label, nut.box) == ("nut", (32.0, 8.0, 56.0, 56.0))
    assert screw.score == pytest.approx(0.9)


def test_an_instance_of_a_class_that_the_card_does_not_name_is_no_judgement(
    tmp_path: Path,
) -> None:
    with pytest.raises(Unjudged, match="found class 1, its card names 1 from 0"):
        look(instance_shelf(tmp_path, "instances", ("screw",)), sheet())


def test_an_instance_model_without_prototypes_is_refused(tmp_path: Path) -> None:
    shelf = answering(tmp_path, "segment", "instances", [np.zeros((1, 5, 8))], ("a",))
    with pytest.raises(ModelError, match="prototypes"):
        shelf.open("m/1", "segment")


def test_a_recipe_follows_the_part_and_its_outlines_follow_too(tmp_path: Path) -> None:
    painting(tmp_path)
    spot = np.zeros((1, 3, 64, 64))
    spot[0, 2, 20:30, 20:40] = 1
    shelf = answering(tmp_path, "segment", "masks", [spot], ("blue", "green", "red"))
    (tmp_path / "r.yaml").write_text(
        "name: r\ntools:\n"
        "  - {name: all, kind: segment, params: {model: m/1}}\n"
        "  - {name: cut, kind: segment, follow: all/red, params: {model: m/1}}\n"
    )
    recipe = load(tmp_path / "r.yaml", shelf)

    judged = recipe.judge({"image": sheet()}, Batch("b"), date(2026, 1, 1))

    first, second = judged.findings
    assert judged.outcome == Outcome.PASS
    assert first.box == (20.0, 20.0, 40.0, 30.0)
    assert all(20 <= x < 40 and 20 <= y < 30 for x, y in second.outline[0])


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"defects": {"rad": "minor"}}, "did you mean `red`"),
        ({"tolerances": [{"label": "red"}]}, "needs one of"),
        (
            {"tolerances": [{"label": "red", "at_most": 1}], "defects": {"red": "minor"}},
            "two rules",
        ),
        ({"tolerances": [{"label": "red", "at_least": 2, "at_most": 1}]}, "must not exceed"),
        (
            {"tolerances": [{"label": "red", "total_at_least": 2, "total_at_most": 1}]},
            "must not exceed",
        ),
        ({"tolerances": [{"label": "red", "area_at_most": float("nan")}]}, "finite number"),
        ({"thresholds": {"red": 2}}, "1 at most"),
        ({"roi": [0, 0, 9, 9], "rois": [[0, 0, 9, 9]]}, "not both"),
    ],
)
def test_rules_that_make_no_sense_are_refused(
    tmp_path: Path, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        look(painting(tmp_path), sheet(), **params)


def test_a_probe_that_answers_otherwise_refuses_the_model(tmp_path: Path) -> None:
    painting(tmp_path)
    path = tmp_path / "m" / "1" / "card.json"
    card = json.loads(path.read_text())
    card["parity"] = {"probes": [{"seed": 0, "answer": [0.9, 0.9, 0.9]}]}
    path.write_text(json.dumps(card))
    with pytest.raises(ModelError, match="answers otherwise"):
        Shelf(tmp_path, 1).open("m/1", "segment")


@settings(max_examples=40, deadline=None)
@given(
    form=st.sampled_from(["masks", "semantic", "instances", "yolov8-seg"]),
    fill=st.sampled_from([0.0, 1.0, 0.5, np.nan, np.inf, -np.inf, 1e30]),
    seed=st.integers(0, 99),
    size=st.sampled_from([(64, 64), (1, 1), (1, 300), (300, 2), (7, 5), (100, 180)]),
    roi=st.none() | st.tuples(*[st.integers(0, 100)] * 4),
)
def test_any_answer_ends_in_findings_or_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory,
    form: str,
    fill: float,
    seed: int,
    size: tuple[int, int],
    roi: tuple[int, ...] | None,
) -> None:
    rng = np.random.default_rng(seed)
    shapes: dict[str, list[tuple[int, ...]]] = {
        "masks": [(1, 2, 16, 16)],
        "semantic": [(1, 2, 16, 16)],
        "instances": [(1, 5, 8), (1, 2, 16, 16)],
        "yolov8-seg": [(1, 8, 20), (1, 2, 16, 16)],
    }
    answers = [rng.uniform(-1, 2, shape) for shape in shapes[form]]
    answers[seed % len(answers)].ravel()[seed % 64 : seed % 64 + 9] = fill
    models = tmp_path_factory.mktemp("models")
    try:
        shelf = answering(models, "segment", form, answers, ("a", "b"))
        tool = segmenter(shelf, roi=roi and list(roi), tolerances=[{"label": "b", "at_most": 2}])
        found = tool.look(np.zeros((*size, 3), np.uint8), CONTEXT)
    except (ValidationError, Unjudged) as error:
        assert str(error)
    else:
        for f in found:
            assert 0 <= f.score <= 1 and (f.ok or f.reason)
            assert f.value is not None and np.isfinite(f.value)
