"""A step that looks at `every` box that another found sees each in the size that it was taught."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import cv2
import numpy as np
import pytest

from inspector.config import ConfigError
from inspector.part import Batch, Outcome, Pixels
from inspector.recipe import Judgement, Recipe
from inspector.tools.follow import boxes_of, places_of

RecipeOf = Callable[..., Recipe]

RED, BLUE = (40, 30, 160), (150, 40, 30)
DISCS = """
tools:
  - name: discs
    kind: blob
    params: {threshold: {tone: dark, method: fixed, level: 120}, at_least: 0, at_most: null}
  - name: ink
    kind: colour
    follow: discs/spot
    every: [40, 40]
    roi: [14, 14, 26, 26]
    params: {targets: [{name: red, lab: [34, 53, 34], at_most: 12}]}
"""


def tray(*discs: tuple[int, int, int, tuple[int, int, int]]) -> Pixels:
    """Discs of x, y, radius and colour on white."""
    picture = np.full((200, 300, 3), 235, np.uint8)
    for x, y, radius, colour in discs:
        cv2.circle(picture, (x, y), radius, colour, -1, cv2.LINE_AA)
    return picture


def judge(recipe: Recipe, pixels: Pixels) -> Judgement:
    return recipe.judge({"image": pixels}, Batch("b"), date(2026, 1, 1))


def test_each_box_is_judged_whatever_its_size(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(DISCS), tray((60, 60, 12, RED), (200, 100, 40, RED)))

    inks = [f for f in judged.findings if f.tool == "ink"]
    assert judged.outcome is Outcome.PASS and len(inks) == 2
    middles = sorted((f.box[0] + f.box[2]) / 2 for f in inks if f.box)
    assert middles == pytest.approx([60, 200], abs=1.5)
    widths = sorted(f.box[2] - f.box[0] for f in inks if f.box)
    assert widths == pytest.approx([24 * 12 / 40, 80 * 12 / 40], abs=1)


def test_one_that_is_wrong_among_many_rejects_the_part(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(DISCS), tray((60, 60, 12, RED), (200, 100, 40, BLUE)))

    assert judged.outcome is Outcome.REJECT
    (wrong,) = [f for f in judged.findings if not f.ok]
    assert wrong.box is not None and 180 < wrong.box[0] < 220


LABELS = """
tools:
  - name: labels
    kind: blob
    params: {threshold: {tone: dark, method: fixed, level: 120}, area: [5000, 20000], at_most: 1}
  - name: print
    kind: read
    follow: labels/spot
    every: [200, 60]
    roi: [0, 0, 12, 12]
    params: {lines: [{roi: [4, 4, 196, 56], expect: L2417A}]}
"""


def test_print_is_read_where_its_line_is_whatever_the_steps_roi(recipe_of: RecipeOf) -> None:
    """Only what a step looks at is brought to the size that it was taught in."""
    picture = np.full((200, 300, 3), 235, np.uint8)
    cv2.rectangle(picture, (40, 50), (239, 109), (30, 30, 30), -1)
    cv2.putText(picture, "L2417A", (52, 94), cv2.FONT_HERSHEY_SIMPLEX, 1.3, (240, 240, 240), 3)

    judged = judge(recipe_of(LABELS), picture)

    assert judged.outcome is Outcome.PASS, judged.reasons


def test_where_there_is_none_there_is_nothing_to_judge(recipe_of: RecipeOf) -> None:
    assert judge(recipe_of(DISCS), tray()).outcome is Outcome.PASS


def test_a_box_that_the_edge_cuts_is_left_out(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(DISCS), tray((2, 60, 30, BLUE), (200, 100, 40, RED)))

    assert judged.outcome is Outcome.PASS
    assert list(places_of([(0, 10, 20, 40), (5, 5, 5.5, 9)], (40, 40), (200, 300))) == []
    assert boxes_of([]) == ()


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("    follow: discs/spot\n", "", "`every` needs `follow`"),
        ("every: [40, 40]", "every: [2, 40]", "4 to 2000 px"),
    ],
)
def test_mistakes_are_named(recipe_of: RecipeOf, old: str, new: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        recipe_of(DISCS.replace(old, new))


def test_a_recipe_without_it_keeps_its_digest(recipe_of: RecipeOf) -> None:
    step = recipe_of(DISCS).file.tools[0]
    assert "every" not in step.model_dump(mode="json")
