"""``align`` finds a part turned, scaled, shifted, dimmed and partly hidden; others follow it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.config import ConfigError
from inspector.part import Batch, Outcome, Pixels
from inspector.recipe import Judgement, Recipe
from inspector.tools.place import Place
from inspector.tools.shape import Shape
from inspector.virtual.bottle import PartSpec, render_part

PART = (210, 20, 430, 440)
CORNERS = np.array([(210, 20), (430, 20), (430, 440), (210, 440)], float)
RecipeOf = Callable[..., Recipe]

ALIGN = """
tools:
  - name: part
    kind: align
    params: {golden: "{good}", part: [210, 20, 430, 440]}
"""


@pytest.fixture(scope="module")
def good() -> Pixels:
    return render_part(1).side


def judge(recipe: Recipe, pixels: Pixels) -> Judgement:
    return recipe.judge({"image": pixels}, Batch("b"), date(2026, 1, 1))


def moved(pixels: Pixels, degrees: float, scale: float, x: float, y: float) -> tuple[Pixels, Place]:
    matrix = cv2.getRotationMatrix2D((320, 230), -degrees, scale)
    matrix[:, 2] += (x, y)
    border = cv2.BORDER_REPLICATE
    return cv2.warpAffine(pixels, matrix, (640, 480), borderMode=border), Place(np.array(matrix))


def test_turned_scaled_shifted_dimmed_and_noisy_parts_are_found_to_a_tenth_of_a_pixel(
    good: Pixels,
) -> None:
    shape, rng = Shape(good, PART), np.random.default_rng(3)
    off = []
    for _ in range(20):
        turn, scale = rng.uniform(-15, 15), rng.uniform(0.9, 1.1)
        picture, place = moved(good, turn, scale, *rng.uniform(-20, 20, 2))
        dim = picture * rng.uniform(0.6, 1.2) + rng.normal(0, 3, picture.shape)
        match = shape.find(np.clip(dim, 0, 255).astype(np.uint8))
        assert match and match.score > 0.6
        off.append(np.abs(match.place.points(CORNERS) - place.points(CORNERS)).max())
    assert np.median(off) < 0.06 and max(off) < 0.2


def test_a_part_is_taught_and_found_alike_wherever_its_picture_lies_in_memory(good: Pixels) -> None:
    small = cv2.resize(good, (320, 240)).astype(np.uint8)
    answers, held = set(), []
    for number in range(24):
        # Nothing but the addresses of what follows changes.
        held.append(bytearray(16 * (number + 1)))
        shape = Shape(small)
        match = shape.settle(small, Place(np.eye(2, 3)))
        assert match
        answers.add((shape.edges.tobytes(), match.place.matrix.tobytes(), match.score))
        held.append(bytearray(160 * 120 * 4 + 16 * number))

    assert len(answers) == 1


def test_a_part_hidden_by_a_third_is_found(good: Pixels) -> None:
    shape, rng = Shape(good, PART), np.random.default_rng(4)
    for _ in range(12):
        picture, place = moved(good, rng.uniform(-15, 15), rng.uniform(0.9, 1.1), 4, -6)
        x, y = rng.integers(210, 300), rng.integers(20, 260)
        picture[y : y + 180, x : x + 160] = rng.integers(0, 255, 3)
        match = shape.find(picture)
        assert match and match.score > 0.5
        assert np.abs(match.place.points(CORNERS) - place.points(CORNERS)).max() < 0.5


def test_other_parts_of_the_same_batch_are_found(good: Pixels) -> None:
    shape = Shape(good, PART)
    scores = [m.score for s in range(2, 5) if (m := shape.find(render_part(s).side))]
    assert len(scores) == 3 and min(scores) > 0.6


def test_a_part_not_found_is_a_reject_and_says_so(recipe_of: RecipeOf, good: Pixels) -> None:
    recipe = recipe_of(ALIGN, good=good)
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    for picture in (np.full((480, 640, 3), 120, np.uint8), noise):
        judged = judge(recipe, picture)
        assert judged.outcome is Outcome.REJECT
        assert judged.reasons[0].startswith("part not found")


def test_real_pictures_of_other_things_are_rejected(
    recipe_of: RecipeOf, good: Pixels, real_data: Path
) -> None:
    recipe = recipe_of(ALIGN, good=good)
    pictures = sorted((real_data / "date_codes").rglob("*.jp*g"))[:8]
    assert pictures
    for path in pictures:
        assert judge(recipe, cv2.imread(str(path))).outcome is Outcome.REJECT


def test_a_real_board_is_found_where_it_was_put(real_data: Path) -> None:
    board = cv2.imread(str(sorted((real_data / "pcb").glob("*_template.jpg"))[0]))
    place = Place(np.array(cv2.getRotationMatrix2D((320, 320), 9.0, 0.94)))
    picture = cv2.warpAffine(board, place.matrix, (640, 640))
    match = Shape(board, (140, 140, 500, 500)).find(picture)
    assert match and match.score > 0.7
    middle = np.array([(140, 140), (500, 500)], float)
    assert np.abs(match.place.points(middle) - place.points(middle)).max() < 0.2


def test_a_part_that_stands_too_far_off_is_rejected(recipe_of: RecipeOf, good: Pixels) -> None:
    recipe = recipe_of(ALIGN.replace("{golden", "{off_px: 10, off_deg: 4, golden"), good=good)
    assert judge(recipe, moved(good, 2, 1, 5, 3)[0]).outcome is Outcome.PASS
    assert "px off" in judge(recipe, moved(good, 0, 1, 14, 3)[0]).reasons[0]
    assert "turned by" in judge(recipe, moved(good, 6, 1, 0, 0)[0]).reasons[0]


def test_steps_that_follow_see_the_part_as_taught(recipe_of: RecipeOf, good: Pixels) -> None:
    follower = """
  - name: bottles-cap
    kind: illumination
    follow: part
    roi: [300, 30, 340, 60]
    params: {low: %d, high: %d}
"""
    level = float(good[30:60, 300:340].mean())
    recipe = recipe_of(ALIGN + follower % (level - 3, level + 3), good=good)
    for turn, x in ((0, 0), (12, 15), (-15, -10)):
        assert judge(recipe, moved(good, turn, 1.05, x, 5)[0]).outcome is Outcome.PASS
    dark = render_part(1, PartSpec(defects=("cap_missing",))).side
    assert judge(recipe, moved(dark, 12, 1.05, 15, 5)[0]).outcome is not Outcome.PASS


def test_steps_that_follow_a_part_not_found_leave_the_verdict_to_align(
    recipe_of: RecipeOf, good: Pixels
) -> None:
    follower = (
        "  - {name: light, kind: illumination, follow: part, roi: [0, 0, 9, 9], params: {}}\n"
    )
    judged = judge(recipe_of(ALIGN + follower, good=good), np.zeros((480, 640, 3), np.uint8))
    assert judged.outcome is Outcome.REJECT and len(judged.reasons) == 1


def test_following_what_is_not_there_names_file_line_and_mend(recipe_of: RecipeOf) -> None:
    tools = """
    tools:
      - {name: light, kind: illumination, roi: [0, 0, 9, 9], params: {}}
      - {name: again, kind: illumination, follow: ligth, roi: [0, 0, 9, 9], params: {}}
    """
    with pytest.raises(ConfigError, match=r"did you mean `light`"):
        recipe_of(tools)


def test_a_golden_picture_that_is_missing_or_changed_is_refused(
    recipe_of: RecipeOf, good: Pixels, tmp_path: Path
) -> None:
    recipe_of(ALIGN, good=good)
    (picture,) = (tmp_path / "recipes" / "golden").iterdir()
    whole = picture.read_bytes()
    picture.write_bytes(whole[:-20] + b"12345678901234567890")
    with pytest.raises(ConfigError, match=r"trial\.yaml:6: .*golden: .*digest is another"):
        recipe_of(ALIGN.replace("{good}", picture.stem))
    picture.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        recipe_of(ALIGN.replace("{good}", picture.stem))


def test_a_picture_without_edges_cannot_be_taught(recipe_of: RecipeOf) -> None:
    with pytest.raises(Exception, match="too few edges"):
        recipe_of(ALIGN, good=np.full((480, 640, 3), 99, np.uint8))


def test_the_golden_picture_is_part_of_the_recipes_digest(
    recipe_of: RecipeOf, good: Pixels
) -> None:
    other: Any = render_part(2).side
    assert recipe_of(ALIGN, good=good).digest != recipe_of(ALIGN, good=other).digest
