"""The shipped classifier and segmenter of rendered bottles: what they learn from is true, and what
they were taught holds on parts with textures that they never saw."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from inspector.part import Batch, Outcome
from inspector.recipe import load
from inspector.virtual.bottle import render_part
from inspector.virtual.product import PartSpec, draw_date, draw_lot
from training.bottle_shapes import CAPS, MARKS, PLANS, cap, marks

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "station_configs" / "recipes"


def test_a_mask_is_where_the_defect_alone_made_the_picture_differ() -> None:
    seen = [marks(seed, "held_out") for seed in range(24)]

    marked = [t for t in seen if t.mask.any()]
    assert 6 <= len(marked) < len(seen)
    for one in marked:
        # A mark is small beside its tile, and in one place: noise would be all over.
        assert one.mask.any(0).mean() < 0.25
        y, x = np.nonzero(one.mask[one.kind])
        assert max(np.ptp(y), np.ptp(x)) < one.mask.shape[1]
    assert all(t.kind == len(MARKS) for t in seen if not t.mask.any())


def test_the_same_seed_is_the_same_part_and_the_splits_share_none() -> None:
    again, one = cap(3, "train"), cap(3, "train")
    assert np.array_equal(one.picture.pixels, again.picture.pixels) and one.kind == again.kind
    assert one.picture.pixels.shape == (96, 128, 3)
    assert {cap(seed, "train").kind for seed in range(40)} == set(range(len(CAPS)))
    assert all(plan.parts < 500_000 for plan in PLANS.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "defects"),
    [
        ("bottle-line-cap", ("cap_missing", "cap_tilted", "cap_wrong")),
        ("bottle-line-marks", ("label_scratched", "print_smeared")),
    ],
)
def test_the_recipe_tells_good_parts_from_marred_ones(
    recipe: str, defects: tuple[str, ...]
) -> None:
    ready = load(RECIPES / f"{recipe}.yaml", ROOT / "models")
    rng = np.random.default_rng(99)
    right = dict.fromkeys(("", *defects), 0)
    for name in right:
        wanted = Outcome.REJECT if name else Outcome.PASS
        for _ in range(30):
            spec = PartSpec(
                lot=draw_lot(rng), date=draw_date(rng), defects=(name,) if name else (),
                split="held_out",
            )  # fmt: skip
            part = render_part(rng, spec)
            judged = ready.judge({"side": part.side}, Batch("b"), date(2026, 11, 23))
            right[name] += judged.outcome is wanted

    assert right[""] >= 27, right
    assert sum(right[name] for name in defects) >= 0.9 * 30 * len(defects), right
