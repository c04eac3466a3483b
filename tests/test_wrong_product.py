"""Under every shipped recipe every other product is rejected, and so is a picture of nothing (I2).

A recipe that passes whatever shows none of the defects that it looks for would pass an empty belt.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pytest

from inspector.part import Batch, Outcome, Pixels
from inspector.pictures import read_image
from inspector.recipe import Recipe, load
from inspector.tools.onnx import Shelf
from inspector.virtual.filmset import FilmSet, render_set

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "station_configs" / "recipes"
NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml"))
SHELF = Shelf(ROOT / "models", threads=1)
TODAY = date(2026, 11, 26)
SEED = 5

OWN = {
    "any-code": {"date_codes"},
    "bench-detect": {"bottle-line"},
    "bench-print": {"bottle-line"},
    "bottle-cap": {"bottles"},
    "bottle-line": {"bottle-line"},
    "bottle-line-cap": {"bottle-line"},
    "bottle-line-marks": {"bottle-line"},
    "bottle-neck": {"bottle-line"},
    "bottle-pack": {"bottles"},
    "bottle-sizes": {"bottle-line"},
    "code-quality": {"date_codes"},
    "date-code": {"bottle-line", "date_codes", "juice-line"},
    "juice-line": {"juice-line"},
    # these two read whatever print there is: on labels and boards some is, and and a solar cell's
    # grid is now and then still taken for a character
    "pack-zh": {"bottle-line", "bottles", "date_codes", "juice-line", "pcb", "solar"},
    "print-line": {"bottle-line", "bottles", "date_codes", "juice-line", "pcb", "solar"},
}
"""What a recipe is for, of the pictures below; nothing where it is not named."""
REAL = {
    "bottles": ("bottles/images/*.jpg", 40),
    "date_codes": ("date_codes/images/*", 10),
    "pcb": ("pcb/*_test.jpg", 24),
    "solar": ("solar_cells/**/*.png", 24),
}
"""Real pictures: where, and every how many."""


@cache
def nothing() -> dict[str, Pixels]:
    """Pictures of nothing at all."""
    noise = np.random.default_rng(SEED).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    ramp = np.tile(np.linspace(0, 255, 640).astype(np.uint8), (480, 1))
    plain = {f"grey {v}": np.full((480, 640, 3), v, np.uint8) for v in (0, 127, 255)}
    return plain | {"noise": noise, "ramp": np.dstack([ramp] * 3)}


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FilmSet]:
    """A good part of each virtual product."""
    folder = tmp_path_factory.mktemp("parts")
    return {
        name: render_set(name, SEED, 1, folder / name, defect_rate=0.0)
        for name in ("bottle-line", "juice-line")
    }


@lru_cache(maxsize=1)
def loaded(name: str) -> Recipe:
    return load(RECIPES / f"{name}.yaml", SHELF)


def passes(name: str, pixels: Pixels, film: FilmSet | None = None) -> bool:
    """Whether the recipe passes a part that looks like this in every view that it has."""
    recipe = loaded(name)
    texts = {"lot": "L2417A", "date": "16 NOV 26"}
    if film is not None:
        texts = {"lot": film.lot, "date": film.date}
    judged = recipe.judge(dict.fromkeys(recipe.views, pixels), Batch("b", texts=texts), TODAY)
    return judged.outcome is Outcome.PASS


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_of_nothing_is_never_passed(name: str) -> None:
    passed = [what for what, pixels in nothing().items() if passes(name, pixels)]
    assert not passed


@pytest.mark.parametrize("name", NAMES)
def test_a_part_of_another_virtual_product_is_rejected(
    name: str, parts: dict[str, FilmSet]
) -> None:
    """With the very print that the batch asks for, so that nothing but the product is wrong."""
    others = {what: film for what, film in parts.items() if what not in OWN.get(name, ())}
    passed = [
        what for what, film in others.items() if passes(name, film.film("side").picture(0), film)
    ]
    assert not passed


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_real_pictures_of_other_products_are_rejected(name: str, real_data: Path) -> None:
    passed = [
        f"{kind}: {path.name}"
        for kind in REAL.keys() - OWN.get(name, set())
        for path, pixels in real(real_data, kind)
        if passes(name, pixels)
    ]
    assert not passed


def real(data: Path, kind: str) -> Iterator[tuple[Path, Pixels]]:
    where, every = REAL[kind]
    found = sorted(data.glob(where))[::every]
    assert found, f"no pictures of {kind} in {data}"
    for path in found:
        pixels, flaw = read_image(path)
        assert pixels is not None, flaw
        yield path, pixels
