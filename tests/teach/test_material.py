"""Which pictures teach together, and what a large one is looked at in (S3)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from surfaces import surface

from inspector.part import Pixels
from inspector.recipe import load
from inspector.teach import teach, teach_anomaly
from inspector.teach.material import SMALL_PX, damaged, of_one_shape, spoilt_small
from inspector.tools import texture
from inspector.tools.anomaly import Look, fused, places_of, worst
from inspector.tools.bank import Bank, packed, unpacked
from inspector.tools.likeness import fit_member
from inspector.tools.onnx import Shelf
from inspector.tools.texture import SPECKS, Source, Texture, finer_of, specks

MODELS = Path(__file__).parents[2] / "models"


def shapes(*sizes: tuple[int, int]) -> list[Pixels]:
    return [np.zeros((height, width), np.uint8) for width, height in sizes]


def test_one_good_picture_of_another_shape_is_left_out_with_a_sentence() -> None:
    kept, said = of_one_shape(shapes(*[(640, 480)] * 19, (640, 300)))
    assert kept == list(range(19))
    assert said.startswith("1 of 20 good pictures (640x300) are left out: the others are 640x480")


def test_a_larger_or_smaller_picture_of_the_same_shape_is_brought_to_their_size() -> None:
    assert of_one_shape(shapes(*[(640, 480)] * 19, (1200, 900))) == (list(range(20)), "")


@pytest.mark.parametrize(
    "sizes",
    [
        [(640, 480)] * 17 + [(300, 480)] * 3,  # they have no one shape
        [(640, 480)] * 8 + [(300, 480)] * 2,
        [(640, 480)] * 7 + [(300, 480)],  # too few would be left
        [],
    ],
)
def test_where_more_have_another_shape_all_teach(sizes: list[tuple[int, int]]) -> None:
    assert of_one_shape(shapes(*sizes)) == (list(range(len(sizes))), "")


def test_the_others_stay_known_place_by_place_and_the_recipe_says_who_is_left_out(
    tmp_path: Path,
) -> None:
    good = [surface(n, (96, 64)) for n in range(9)]
    good.insert(4, surface(20, (64, 96)))
    out = tmp_path / "plate.yaml"
    report = teach(good, [], out, models=MODELS)
    assert report["good"] == 9 and "(64x96) are left out" in report["left_out"]
    assert any(name.endswith("placed") for name in report["compared"])
    assert "left out" in out.read_text() and load(out, MODELS)


@pytest.mark.parametrize(
    ("size", "finer"),
    [
        ((256, 256), 1),
        ((1024, 1024), 1),
        ((1500, 1000), 2),
        ((2200, 1650), 2),
        ((2448, 2048), 3),
        ((9000, 6000), 3),  # no more than can be looked at in time
        ((4000, 300), 1),
    ],
)
def test_only_large_pictures_are_also_looked_at_in_their_own_size(
    size: tuple[int, int], finer: int
) -> None:
    assert finer_of(*size) == finer
    columns, rows = texture.working_size(*size)
    assert columns * rows * finer**2 <= texture.FINEST_PX


@pytest.mark.parametrize("colour", [False, True])
def test_specks_are_described_on_a_grid_as_much_finer(colour: bool) -> None:
    described = specks(surface(1, (160, 128), colour))
    assert described.shape == (SPECKS + 2 * colour, 16, 20) and np.isfinite(described).all()
    source = Source("", finer=3)
    look = Texture((source,), Shelf(MODELS), colour)
    assert look.channels(source) == SPECKS + 2 * colour
    assert look.describe(surface(1, (300, 200)), (96, 64))["filters*3"].shape[1:] == (24, 36)


def test_a_speck_is_seen_that_the_others_overlook_and_they_are_heard_where_it_sees_less() -> None:
    rng = np.random.default_rng(2)
    wide, fine = Source(""), Source("", finer=2)
    pictures = [
        {
            wide.name: rng.normal(0, 1, (3, 6, 8)).astype(np.float32),
            fine.name: rng.normal(0, 1, (3, 12, 16)).astype(np.float32),
        }
        for _ in range(20)
    ]
    members = [fit_member(s, "placed", [p[s.name] for p in pictures]) for s in (wide, fine)]
    shown = pictures[0]
    shown[fine.name][:, 3:5, 9:11] += 9
    both, alone = fused(members, shown, (6, 8)), fused(members[:1], shown, (6, 8))
    assert both.shape == (6, 8) and (both >= alone).all()
    assert both.max() == both[1:3, 4:6].max() > alone[1:3, 4:6].max() + 1
    kept = unpacked(packed(Bank((64, 48), True, False, tuple(members))))
    assert [m.source for m in kept.members] == [wide, fine]
    with pytest.raises(ValueError, match="sees a whole picture"):
        unpacked(packed(Bank((64, 48), True, False, (members[1],))))


def test_small_self_made_defects_are_small_whatever_the_pictures_size() -> None:
    rng = np.random.default_rng(4)
    large = surface(1, (900, 700))
    for _ in range(20):
        made, mask = spoilt_small(large, surface(2), rng)
        rows, columns = np.nonzero(mask)
        assert np.ptp(rows) < SMALL_PX and np.ptp(columns) < SMALL_PX
        assert (made[mask == 0] == large[mask == 0]).mean() > 0.999
    assert len(damaged([surface(n) for n in range(8)], 0, small=True)[0]) == 32


def test_a_speck_on_a_large_picture_is_found_and_boxed_in_its_pixels() -> None:
    """What is large is set lower, so that the pictures are quickly taught."""
    size, shelf = (320, 240), Shelf(MODELS)
    assert finer_of(*size, 20_000) == 2
    taught = teach_anomaly([surface(n, size) for n in range(8)], shelf, most_px=20_000)
    assert unpacked(packed(taught.bank)).most_px == 20_000
    assert taught.report["own_size"]["with"] > taught.report["own_size"]["without"]
    assert [m.source.finer for m in taught.bank.members].count(2) == 1
    look = Look(taught.bank, shelf)
    spotted = surface(40, size)
    spotted[140:145, 200:205] = 255
    seen = look.map_of(spotted)
    assert worst(seen) > taught.bank.limit > worst(look.map_of(surface(41, size)))
    (x1, y1, x2, y2), _ = places_of(seen, None, spotted.shape[:2])[0]
    assert x1 <= 202 <= x2 <= x1 + 120 and y1 <= 142 <= y2 <= y1 + 120
