"""``measure`` finds edges to a fraction of a pixel and gives lengths in the calibrated unit."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.config import ConfigError
from inspector.part import Batch, Outcome, Pixels
from inspector.recipe import Judgement, Recipe
from inspector.tools.calibration import Board, Calibration, save_calibration
from inspector.tools.calipers import agreeing, fit_circle, fit_line
from inspector.virtual.bottle import BOTTLE_LINE, PartSpec, draw_setup, render_part

RecipeOf = Callable[..., Recipe]
FINE = 16


def judge(recipe: Recipe, pixels: Pixels) -> Judgement:
    return recipe.judge({"image": pixels}, Batch("b"), date(2026, 1, 1))


def washer(
    x: float, y: float, *, turn: float = 0, noise: float = 2, seed: int = 0, scale: float = 1
) -> Pixels:
    """A bright plate, 120 x 80 px, with a dark hole of 40.6 px across in its middle, and the middle
    at x, y; exact to a sixteenth of a pixel."""
    height, width = 180, 240
    row, column = np.mgrid[: height * FINE : 4, : width * FINE : 4].astype(np.float32)
    u, v = (column + 2) / FINE - 0.5 - x, (row + 2) / FINE - 0.5 - y
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    u, v = (c * u + s * v) / scale, (-s * u + c * v) / scale
    plate = (np.abs(u) <= 60) & (np.abs(v) <= 40) & (u * u + v * v > 20.3**2)
    fine = np.where(plate, 190.0, 50.0).astype(np.float32)
    sharp = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(sharp, (0, 0), 0.8)
    grain = np.random.default_rng(seed).normal(0, noise, soft.shape)
    return np.clip(soft + grain, 0, 255).round().astype(np.uint8)


WASHER = """
tools:
  - name: size
    kind: measure
    params:
      features:
        - {name: left, kind: line, start: [60, 120], end: [60, 60]}
        - {name: right, kind: line, start: [180, 120], end: [180, 60]}
        - {name: top, kind: line, start: [70, 50], end: [170, 50]}
        - {name: hole, kind: circle, centre: [120, 90], radius: 20, polarity: rising}
        - {name: bottom, kind: edge, start: [90, 115], end: [90, 145], polarity: falling}
      measures:
        - {name: width, distance: [left, right], at_least: 119.5, at_most: 120.5}
        - {name: hole, diameter: hole}
        - {name: corner, angle: [top, right]}
        - {name: height, level: [top, bottom]}
        - {name: middle, distance: [hole, left]}
        - {name: tilt, tilt: top}
"""


def values(judged: Judgement) -> dict[str, float]:
    return {f.label: f.value for f in judged.findings if f.value is not None}


def test_sizes_are_right_to_less_than_a_tenth_of_a_pixel(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(WASHER), washer(120.3, 89.6))
    assert judged.outcome is Outcome.PASS
    want = {"width": 120, "hole": 40.6, "corner": 90, "height": 80, "middle": 60, "tilt": 0}
    # a blurred hole seems smaller by its blur's variance over its radius: 0.04 px here
    assert values(judged) == pytest.approx(want, abs=0.07)
    assert {f.unit for f in judged.findings} == {"{px}", "deg"}


def test_repeatability_is_better_than_a_tenth_of_a_pixel(recipe_of: RecipeOf) -> None:
    recipe, rng = recipe_of(WASHER), np.random.default_rng(7)
    many = []
    for seed in range(12):
        x, y = 120 + rng.uniform(-2, 2), 90 + rng.uniform(-2, 2)
        many.append(list(values(judge(recipe, washer(x, y, seed=seed, noise=4))).values()))
    spread = np.std(np.array(many), 0, ddof=1)
    assert len(spread) == 6 and spread[[0, 1, 3, 4]].max() < 0.1


def test_what_is_too_large_is_rejected_in_words(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(WASHER), washer(120, 90, scale=1.02))
    assert judged.outcome is Outcome.REJECT
    assert judged.reasons[0].startswith("width is 122.")
    assert judged.reasons[0].endswith("px, at most 120.5 is allowed")


def test_a_feature_that_is_not_there_rejects(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(WASHER), np.full((180, 240), 90, np.uint8))
    assert judged.outcome is Outcome.REJECT and "left and right not found" in judged.reasons[0]


def test_calipers_outside_the_picture_are_an_error(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(WASHER), np.zeros((100, 100), np.uint8))
    assert judged.outcome is Outcome.ERROR and "reaches outside" in judged.reasons[0]


def test_a_part_that_is_followed_is_measured_in_its_true_size(recipe_of: RecipeOf) -> None:
    tools = WASHER.replace(
        "  - name: size\n    kind: measure",
        '  - name: part\n    kind: align\n    params: {golden: "{good}"}\n'
        "  - name: size\n    kind: measure\n    follow: part",
    ).replace(", at_least: 119.5, at_most: 120.5", "")
    recipe = recipe_of(tools, good=washer(120, 90))
    for scale in (0.95, 1.05):
        judged = judge(recipe, washer(124.4, 87.2, turn=9, scale=scale))
        got = values(judged)
        assert got["width"] == pytest.approx(120 * scale, abs=0.1)
        assert got["hole"] == pytest.approx(40.6 * scale, abs=0.1)
        assert got["height"] == pytest.approx(80 * scale, abs=0.15)


def calibration(px_per_mm: float, u: float = 0.0) -> Calibration:
    return Calibration(
        width=240,
        height=180,
        plane=((1 / px_per_mm, 0, 0), (0, 1 / px_per_mm, 0), (0, 0, 1)),
        px_per_mm=px_per_mm,
        px_per_mm_u=u,
        rms_px=0.05,
        pictures=1,
        board=Board(columns=9, rows=7, square_mm=10),
    )


def test_a_calibrated_step_measures_in_mm(recipe_of: RecipeOf, tmp_path: Path) -> None:
    digest = save_calibration(calibration(8.0), tmp_path / "recipes" / "cam.json")
    tools = WASHER.replace("    params:\n", "    params:\n      calibration: cam.json\n").replace(
        "at_least: 119.5, at_most: 120.5", "at_most: 15.05"
    )
    recipe = recipe_of(tools)
    judged = judge(recipe, washer(120, 90))
    assert judged.outcome is Outcome.PASS and recipe.model_digests == (digest,)
    assert values(judged)["width"] == pytest.approx(15, abs=0.01)
    assert judged.findings[0].unit == "mm"
    guarded = tools.replace("calibration:", "guarded: true\n      calibration:")
    save_calibration(calibration(8.0, u=0.04), tmp_path / "recipes" / "cam.json")
    judged = judge(recipe_of(guarded), washer(120, 90))
    assert judged.outcome is Outcome.REJECT and "uncertainty" in judged.reasons[0]
    assert judge(recipe_of(guarded), washer(60, 90)[:90]).outcome is Outcome.ERROR


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("name: right", "name: left", "two features are named `left`"),
        ("distance: [left, right]", "distance: [left, rigth]", "did you mean `right`"),
        ("diameter: hole", "diameter: left", "of a circle only"),
        ("angle: [top, right]", "angle: [top, hole]", "of a line only"),
        ("diameter: hole", "diameter: hole, angle: [top, left]", "exactly one of"),
        ("at_least: 119.5", "at_least: 130", "must not exceed"),
        ("radius: 20", "radius: 9", "smaller than `radius`"),
        ("end: [90, 145]", "end: [90, 115]", "at least 2 px apart"),
        ("    params:", "    roi: [0, 0, 9, 9]\n    params:", "takes no `roi`"),
        ("      features:", "      calibration: none.json\n      features:", "cannot be read"),
    ],
)
def test_mistakes_are_named(recipe_of: RecipeOf, old: str, new: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        recipe_of(WASHER.replace(old, new))


def test_fits_hold_against_a_quarter_of_outliers() -> None:
    rng = np.random.default_rng(2)
    t = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    ring = np.stack([50 + 20 * np.cos(t), 60 + 20 * np.sin(t)], 1) + rng.normal(0, 0.05, (40, 2))
    ring[::4] += rng.uniform(3, 6, (10, 2))
    circle = fit_circle(ring)
    assert circle and abs(circle.radius - 20) < 0.1 and np.hypot(*(circle.centre - (50, 60))) < 0.1
    line = np.stack([np.arange(40.0), 2 + 0.5 * np.arange(40)], 1) + rng.normal(0, 0.05, (40, 2))
    line[::4, 1] += 5
    along = fit_line(line, np.array([1.0, 0])).along
    assert math.degrees(math.atan2(along[1], along[0])) == pytest.approx(26.565, abs=0.2)
    assert fit_circle(np.stack([np.arange(9.0), np.arange(9.0)], 1)) is None


def test_a_line_lies_on_the_edge_that_most_calipers_see() -> None:
    """Two fifths of the calipers see a second edge: the line is not pulled between the two."""
    rng = np.random.default_rng(4)
    points = np.stack([np.arange(20.0) * 3, rng.normal(0, 0.05, 20)], 1)
    points[12:, 1] += 6
    line = fit_line(points, np.array([1.0, 0]), agreeing(points))
    at_the_second = (57 - line.point[0]) * line.along[1] / line.along[0] + line.point[1]
    assert abs(line.point[1]) < 0.1 and abs(at_the_second) < 0.3


def test_caps_on_the_virtual_line_repeat_to_a_tenth_of_a_pixel(recipe_of: RecipeOf) -> None:
    spec = PartSpec(setup=draw_setup(np.random.default_rng(1), BOTTLE_LINE, "train"))
    tools = """
    tools:
      - name: part
        kind: align
        params: {golden: "{good}", part: [210, 15, 430, 430]}
      - name: cap
        kind: measure
        follow: part
        params:
          features:
            - {name: left, kind: line, start: [271, 64], end: [271, 36]}
            - {name: right, kind: line, start: [369, 64], end: [369, 36]}
          measures: [{name: width, distance: [left, right]}]
    """
    recipe = recipe_of(tools, good=render_part(0, spec).side)
    widths = [values(judge(recipe, render_part(s, spec).side))["width"] for s in range(1, 4)]
    assert np.std(widths, ddof=1) < 0.1 and abs(np.mean(widths) - 98) < 0.5
