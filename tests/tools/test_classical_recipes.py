"""The shipped recipes that need no learning judge what they were written for."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.part import Batch, Outcome, Pixels
from inspector.recipe import Judgement, Recipe, load
from inspector.virtual.bottle import PartSpec, render_part

RECIPES = Path(__file__).parents[2] / "station_configs" / "recipes"


def judge(recipe: Recipe, pixels: Pixels) -> Judgement:
    return recipe.judge({"side": pixels}, Batch("b"), date(2026, 1, 1))


@pytest.fixture(scope="module")
def bottles() -> Recipe:
    return load(RECIPES / "bottle-sizes.yaml")


@pytest.mark.parametrize("seed", [501, 502])
@pytest.mark.parametrize("split", ["train", "held_out"])
def test_good_bottles_of_any_batch_pass(bottles: Recipe, seed: int, split: str) -> None:
    spec = PartSpec(split=split)  # type: ignore[arg-type]
    judged = judge(bottles, render_part(seed, spec).side)
    assert judged.outcome is Outcome.PASS, judged.reasons


@pytest.mark.parametrize("defect", ["cap_missing", "cap_wrong", "cap_tilted", "low_fill"])
def test_bad_caps_and_levels_are_rejected(bottles: Recipe, defect: str) -> None:
    judged = judge(bottles, render_part(503, PartSpec(split="held_out", defects=(defect,))).side)
    assert judged.outcome is Outcome.REJECT


def test_no_bottle_is_a_reject(bottles: Recipe) -> None:
    judged = judge(bottles, np.full((480, 640, 3), 128, np.uint8))
    assert judged.outcome is Outcome.REJECT and "part not found" in judged.reasons[0]


@pytest.mark.slow
def test_all_of_many_bottles_are_judged_right(bottles: Recipe) -> None:
    defects = ((), (), (), ("cap_missing",), ("cap_wrong",), ("cap_tilted",), ("low_fill",))
    wrong = []
    for seed in range(700, 770):
        bad = defects[seed % len(defects)]
        spec = PartSpec(split="held_out", defects=bad)
        judged = judge(bottles, render_part(seed, spec).side)
        if (judged.outcome is Outcome.PASS) != (not bad):
            wrong.append((seed, bad, judged.reasons))
    assert not wrong


def blister(
    tablets: int = 10, broken: bool = False, crumb: bool = False, turn: float = 0, seed: int = 0
) -> Pixels:
    """A blister of 2 x 5 white tablets on foil, as `blister.yaml`'s golden picture shows it."""
    picture = np.full((240, 400), 60, np.uint8)
    cv2.rectangle(picture, (30, 40), (370, 200), 120, -1)
    for mark in (45, 355):
        cv2.line(picture, (mark, 52), (mark, 188), 90, 2)
    for n in range(10):
        x, y = 80 + 60 * (n % 5), 85 + 70 * (n // 5)
        cv2.circle(picture, (x, y), 22, 105, 2, cv2.LINE_AA)
        if n < tablets:
            cv2.circle(picture, (x, y), 16, 215, -1, cv2.LINE_AA)
        if broken and n == 3:
            cv2.rectangle(picture, (x - 20, y - 20), (x, y + 20), 120, -1)
    if crumb:
        cv2.circle(picture, (110, 120), 4, 225, -1)
    matrix = cv2.getRotationMatrix2D((200, 120), turn, 1.0)
    turned = cv2.warpAffine(
        cv2.GaussianBlur(picture, (3, 3), 0), matrix, (400, 240), borderValue=60
    )
    grain = np.random.default_rng(seed).normal(0, 2, turned.shape)
    return np.clip(turned + grain * (seed > 0), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("part", "outcome", "what"),
    [
        (blister(seed=1), Outcome.PASS, ""),
        (blister(turn=6, seed=2), Outcome.PASS, ""),
        (blister(turn=-11, seed=3), Outcome.PASS, ""),
        (blister(tablets=9, turn=3, seed=4), Outcome.REJECT, "9 pieces where exactly 10 must be"),
        (blister(broken=True, turn=-4, seed=5), Outcome.REJECT, "a broken tablet"),
        (blister(crumb=True, turn=2, seed=6), Outcome.REJECT, "the largest of"),
        (np.full((240, 400), 60, np.uint8), Outcome.REJECT, "part not found"),
    ],
)
def test_blisters(part: Pixels, outcome: Outcome, what: str) -> None:
    judged = judge(load(RECIPES / "blister.yaml"), part)
    assert judged.outcome is outcome, judged.reasons
    assert what in " ".join(judged.reasons)
