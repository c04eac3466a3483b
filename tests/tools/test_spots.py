"""``blob``, ``count`` and ``colour``: the small tools that every plant uses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import cv2
import numpy as np
import pytest

from inspector.config import ConfigError
from inspector.part import Batch, Outcome, Pixels
from inspector.recipe import Judgement, Recipe
from inspector.tools.card import ModelError
from inspector.tools.deltae import delta_e_2000, lab_of, linear_of

RecipeOf = Callable[..., Recipe]


def judge(recipe: Recipe, pixels: Pixels) -> Judgement:
    return recipe.judge({"image": pixels}, Batch("b"), date(2026, 1, 1))


def discs(*places: tuple[int, int], radius: int = 12, tone: int = 40, ground: int = 200) -> Pixels:
    picture = np.full((200, 300), ground, np.uint8)
    for place in places:
        cv2.circle(picture, place, radius, tone, -1, cv2.LINE_AA)
    grain = np.random.default_rng(0).normal(0, 3, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def values(judged: Judgement, label: str) -> list[float]:
    return [f.value for f in judged.findings if f.label == label and f.value is not None]


BLOB = "tools: [{name: spots, kind: blob, params: {%s}}]"


def test_a_clean_surface_passes_and_a_spot_rejects_it(recipe_of: RecipeOf) -> None:
    recipe = recipe_of(BLOB % "")
    assert judge(recipe, discs()).outcome is Outcome.PASS
    judged = judge(recipe, discs((90, 60)))
    assert (
        judged.outcome is Outcome.REJECT and "1 spots where at most 0 may be" in judged.reasons[0]
    )
    assert values(judged, "spot")[0] == pytest.approx(494.7, rel=0.02)  # its ink
    assert judged.findings[0].box == pytest.approx((78, 48, 103, 73), abs=1.5)


def test_spots_are_chosen_by_size_and_form(recipe_of: RecipeOf) -> None:
    picture = discs((60, 60), (150, 60))
    cv2.rectangle(picture, (40, 140), (160, 146), 40, -1)
    cv2.circle(picture, (250, 100), 3, 40, -1)
    for chosen, count in (
        ("area: [300, 600]", 2),
        ("area: [10, 100]", 1),
        ("round: [0.8, 1]", 3),
        ("long: [5, 1000]", 1),
        ("area: [20, 9999]", 4),
    ):
        judged = judge(recipe_of(BLOB % f"at_most: 0, {chosen}"), picture)
        assert len(values(judged, "spot")) == count, chosen


@pytest.mark.parametrize("tone", ["dark", "bright"])
@pytest.mark.parametrize("method", ["otsu", "fixed", "local"])
def test_every_threshold_finds_either_tone(recipe_of: RecipeOf, tone: str, method: str) -> None:
    inks = (40, 200) if tone == "dark" else (200, 40)
    picture = discs((90, 60), (200, 120), tone=inks[0], ground=inks[1])
    recipe = recipe_of(BLOB % f"threshold: {{tone: {tone}, method: {method}}}, at_most: 2")
    judged = judge(recipe, picture)
    assert len(values(judged, "spot")) == 2 and judged.outcome is Outcome.PASS


def test_too_few_spots_reject_too(recipe_of: RecipeOf) -> None:
    recipe = recipe_of(BLOB % "at_least: 3, at_most: null")
    assert "2 spots where at least 3" in judge(recipe, discs((60, 60), (150, 60))).reasons[0]


COUNT = "tools: [{name: pieces, kind: count, params: {size_px: 24, %s}}]"


@pytest.mark.parametrize("count", [0, 1, 5, 12])
def test_pieces_are_counted(recipe_of: RecipeOf, count: int) -> None:
    places = [(40 + 45 * (n % 6), 60 + 60 * (n // 6)) for n in range(count)]
    judged = judge(recipe_of(COUNT % f"exactly: {count}"), discs(*places))
    assert judged.outcome is Outcome.PASS and values(judged, "count") == [count]


def test_touching_pieces_are_told_apart(recipe_of: RecipeOf) -> None:
    places = [(60, 60), (84, 60), (108, 60), (72, 81), (200, 100)]
    judged = judge(recipe_of(COUNT % "exactly: 5"), discs(*places))
    assert judged.outcome is Outcome.PASS, judged.reasons


def test_a_missing_piece_rejects_in_words(recipe_of: RecipeOf) -> None:
    judged = judge(recipe_of(COUNT % "at_least: 3"), discs((60, 60), (150, 60)))
    assert judged.reasons == ("2 pieces where at least 3 must be",)


def test_pieces_are_counted_by_their_likeness(recipe_of: RecipeOf) -> None:
    ring = np.full((40, 40), 200, np.uint8)
    cv2.circle(ring, (20, 20), 12, 60, 4)
    picture = discs((40, 160), (250, 40))
    for x, y in ((60, 40), (110, 44), (160, 120), (220, 150)):
        picture[y - 20 : y + 20, x - 20 : x + 20] = ring
    recipe = recipe_of(COUNT % 'exactly: 4, golden: "{ring}"', ring=ring)
    judged = judge(recipe, picture)
    assert judged.outcome is Outcome.PASS, judged.reasons
    assert sorted(f.box[0] for f in judged.findings if f.label == "piece" and f.box) == [
        40,
        90,
        140,
        200,
    ]


def test_a_plain_piece_is_refused_since_it_is_found_everywhere(recipe_of: RecipeOf) -> None:
    """It was one piece in whatever picture."""
    with pytest.raises(ModelError, match="one plain level"):
        recipe_of(COUNT % 'exactly: 1, golden: "{plain}"', plain=np.full((40, 40), 90, np.uint8))


def test_where_no_piece_has_room_nothing_is_counted(recipe_of: RecipeOf) -> None:
    """None is as many as there may be at most, and nobody has looked."""
    ring = discs((20, 20))[:40, :40]
    recipe = recipe_of(COUNT % 'at_most: 0, golden: "{ring}"', ring=ring)

    judged = judge(recipe, discs((20, 20))[:39, :200])

    assert judged.outcome is Outcome.ERROR
    assert judged.reasons == ("pieces: 200x39 pixels are too few to look for a piece of 40x40 in",)


# Sharma, Wu and Dalal (2005), table 1
SHARMA = """
50 2.6772 -79.7751 50 0 -82.7485 2.0425
50 3.1571 -77.2803 50 0 -82.7485 2.8615
50 2.8361 -74.0200 50 0 -82.7485 3.4412
50 -1.3802 -84.2814 50 0 -82.7485 1.0000
50 -1.1848 -84.8006 50 0 -82.7485 1.0000
50 -0.9009 -85.5211 50 0 -82.7485 1.0000
50 0 0 50 -1 2 2.3669
50 -1 2 50 0 0 2.3669
50 2.49 -0.001 50 -2.49 0.0009 7.1792
50 2.49 -0.001 50 -2.49 0.0010 7.1792
50 2.49 -0.001 50 -2.49 0.0011 7.2195
50 2.49 -0.001 50 -2.49 0.0012 7.2195
50 -0.001 2.49 50 0.0009 -2.49 4.8045
50 -0.001 2.49 50 0.0010 -2.49 4.8045
50 -0.001 2.49 50 0.0011 -2.49 4.7461
50 2.5 0 50 0 -2.5 4.3065
50 2.5 0 73 25 -18 27.1492
50 2.5 0 61 -5 29 22.8977
50 2.5 0 56 -27 -3 31.9030
50 2.5 0 58 24 15 19.4535
50 2.5 0 50 3.1736 0.5854 1.0000
50 2.5 0 50 3.2972 0 1.0000
50 2.5 0 50 1.8634 0.5757 1.0000
50 2.5 0 50 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


def test_delta_e_2000_is_that_of_all_published_pairs() -> None:
    for row in SHARMA.strip().splitlines():
        l1, a1, b1, l2, a2, b2, want = (float(v) for v in row.split())
        assert delta_e_2000((l1, a1, b1), (l2, a2, b2)) == pytest.approx(want, abs=6e-5), row
        assert delta_e_2000((l2, a2, b2), (l1, a1, b1)) == pytest.approx(want, abs=6e-5), row


def test_lab_of_srgbs_corners() -> None:
    # red, green, blue, white, mid grey
    rgb = np.array([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0.5, 0.5, 0.5)], float)
    lab = [(53.24, 80.09, 67.20), (87.73, -86.18, 83.18), (32.30, 79.19, -107.86), (100, 0, 0)]
    assert lab_of(linear_of(rgb)) == pytest.approx(np.array([*lab, (53.39, 0, 0)]), abs=0.03)


COLOUR = """
tools:
  - name: cap
    kind: colour
    params:
      white: [0, 0, 40, 40]
      white_l: 90
      targets: [{name: cap, lab: [53.4, 0, 0], roi: [60, 60, 100, 100], at_most: 2}]
"""


def patches(light: tuple[float, float, float], shade: float = 0.2140) -> Pixels:
    """A white patch of L* 90 and a part of reflectance ``shade``, under a light (B, G, R)."""
    white = ((90 + 16) / 116) ** 3
    linear = np.full((120, 160, 3), 0.05)
    linear[:40, :40], linear[60:100, 60:100] = white, shade
    lit = np.clip(linear * light, 0, 1)
    encoded = np.where(lit <= 0.0031308, lit * 12.92, 1.055 * lit ** (1 / 2.4) - 0.055)
    return (encoded * 255).round().astype(np.uint8)


def test_colours_are_told_in_any_light_that_the_white_patch_shares(recipe_of: RecipeOf) -> None:
    recipe = recipe_of(COLOUR)
    for light in ((1, 1, 1), (0.6, 0.8, 1.0), (1.1, 0.9, 0.7), (0.4, 0.4, 0.4)):
        judged = judge(recipe, patches(light))
        assert judged.outcome is Outcome.PASS, judged.reasons
        assert values(judged, "cap")[0] < 1
    judged = judge(recipe, patches((1, 1, 1), shade=0.26))
    assert judged.outcome is Outcome.REJECT and judged.reasons[0].startswith("cap is ΔE")


def test_colour_without_light_colour_or_exposure_is_not_judged(recipe_of: RecipeOf) -> None:
    recipe = recipe_of(COLOUR)
    for picture, what in (
        (patches((0, 0, 0)), "patch is dark"),
        (patches((1.6, 1.6, 1.6)), "over-exposed"),
        (patches((1, 1, 1))[..., 0].copy(), "no colour"),
        (patches((1, 1, 1))[:80], "outside"),
    ):
        judged = judge(recipe, picture)
        assert judged.outcome is Outcome.ERROR and what in judged.reasons[0]


@pytest.mark.parametrize(
    ("tools", "what"),
    [
        (BLOB % "at_least: 3", "must not exceed"),
        (COUNT % "at_least: 3, at_most: 2", "must not exceed"),
        (COUNT % "at_least: 3, exactly: 2", "cannot hold together"),
        (BLOB % "area: [9, 3]", "smallest, largest"),
        (BLOB % "area: [.nan, 3]", "finite number"),
        (BLOB % "threshold: {tone: drak}", "did you mean `dark`"),
        (COUNT % "score: 0.5", "at least one of"),
        (COLOUR.replace("53.4", ".nan"), "finite"),
        (COLOUR.replace("white_l: 90", "white_l: 0"), "greater than 10"),
    ],
)
def test_mistakes_are_named(recipe_of: RecipeOf, tools: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        recipe_of(tools)
