"""What a recipe leaves unsaid can be tuned as well: the defaults, with their meaning. (S8)"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from inspector.cli import app
from inspector.recipe import load
from inspector.unsaid import unsaid
from inspector.web.access import Refused
from inspector.web.recipetext import changed

RECIPE = """\
name: plate
tools:
  - name: spots
    kind: blob
    params:
      area: [40, 100000]      # a scratch
  - name: light
    kind: illumination
    roi: [0, 0, 20, 20]
    params: {low: 85, high: 190}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "plate.yaml"
    path.write_text(RECIPE)
    return path


def settings(recipe: Path) -> dict[tuple[str, str], dict[str, Any]]:
    return {(s["name"], one["name"]): one for s in unsaid(recipe) for one in s["settings"]}


def test_every_number_at_its_default_is_named_with_its_meaning(recipe: Path) -> None:
    found = settings(recipe)

    level = found["spots", "threshold level"]
    assert (level["place"], level["value"]) == (["params", "threshold", "level"], 128)
    assert "objects are below it" in level["help"] and "``" not in level["help"]
    assert found["spots", "long 1"]["whole"] == [1, 1e9]
    assert found["spots", "edge"]["value"] is True
    assert found["light", "spread"]["value"] is None, "no limit unless one is written"
    assert ("spots", "area 0") not in found and ("light", "low") not in found
    assert ("spots", "threshold tone") not in found, "a choice is no number"


def test_what_is_written_down_is_a_recipe_and_the_rest_stays(recipe: Path) -> None:
    found = settings(recipe)
    wished = {("spots", "threshold level"): 90, ("spots", "long 1"): 12.5, ("spots", "edge"): False,
              ("spots", "at_most"): 2, ("light", "spread"): 9}  # fmt: skip
    fresh = [
        (["tools", 0 if tool == "spots" else 1, *found[tool, name]["place"]], value,
         found[tool, name]["whole"])
        for (tool, name), value in wished.items()
    ]  # fmt: skip

    recipe.write_text(changed(recipe.read_text(), [], fresh))

    assert "area: [40, 100000]      # a scratch" in recipe.read_text()
    steps: Any = load(recipe).file.tools  # each kind has parameters of its own
    spots, light = (step.params for step in steps)
    assert (spots.threshold.level, spots.threshold.tone) == (90, "dark")
    assert (spots.long, spots.edge, spots.at_most) == ((1, 12.5), False, 2)
    assert light.spread == 9
    assert set(wished).isdisjoint(settings(recipe))


@pytest.mark.parametrize(
    "place",
    [["name", 0, "params", "x"], ["tools", 7, "params", "edge"], ["tools", 0, "roi", 1],
     ["tools", 0, "params", "area", "x"]],
)  # fmt: skip
def test_nothing_else_is_written(place: list[str | int]) -> None:
    with pytest.raises(Refused):
        changed(RECIPE, [], [(place, 1, [])])


def test_a_command_lists_them(recipe: Path) -> None:
    told = CliRunner().invoke(app, ["recipe", "unsaid", str(recipe), "--json"])

    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout) == unsaid(recipe)
