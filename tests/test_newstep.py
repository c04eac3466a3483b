"""A tool that is added to a recipe fits the good part that it was made from. (S8)"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from teach.test_teach_parts import anywhere, followed
from typer.testing import CliRunner

from inspector.cli import app
from inspector.newstep import Asked, NewStepError, kinds, new_step
from inspector.part import Batch, Outcome, Pixels
from inspector.recipe import RecipeFile, load
from inspector.tools import TOOLS
from inspector.tools.onnx import Shelf
from inspector.virtual.bottle import PartSpec, render_part

MODELS = Path(__file__).parents[1] / "models"
TWO_PIECES = (80, 50, 180, 100)
CORNER = (4, 4, 44, 34)


@pytest.fixture
def part() -> Pixels:
    """Two dark squares, 60 px apart, on a light plate."""
    pixels = np.full((160, 240, 3), 230, np.uint8)
    for left in (90, 150):
        pixels[60:80, left : left + 20] = 20
    return pixels


def made(kind: str, pixels: Pixels, folder: Path, roi: Any = TWO_PIECES, model: str = "") -> Any:
    return new_step(kind, Asked("new", "", roi, pixels, Shelf(MODELS, 1), folder, model))


@pytest.mark.parametrize(
    ("kind", "roi"),
    [
        ("illumination", CORNER), ("count", TWO_PIECES), ("colour", CORNER),
        ("blob", TWO_PIECES), ("measure", TWO_PIECES), ("align", TWO_PIECES),
        ("compare", TWO_PIECES),
    ],
)  # fmt: skip
def test_a_step_is_a_recipe_at_once_and_passes_its_own_part(
    kind: str, roi: Any, part: Pixels, tmp_path: Path
) -> None:
    step = made(kind, part, tmp_path, roi)

    file = tmp_path / "part.yaml"
    file.write_text(json.dumps({"name": "part", "tools": [step]}))
    judged = load(file, MODELS).judge({"image": part}, Batch("B"), date(2026, 11, 25))
    assert judged.outcome is Outcome.PASS, judged.reasons
    assert step["kind"] == kind and step["name"] == "new"


def test_what_a_step_expects_is_what_the_part_has(part: Pixels, tmp_path: Path) -> None:
    counted = made("count", part, tmp_path)["params"]
    measured = made("measure", part, tmp_path)["params"]["measures"][0]
    light = made("illumination", part, tmp_path, CORNER)["params"]
    (colour,) = made("colour", part, tmp_path, CORNER)["params"]["targets"]

    assert (counted["size_px"], counted["exactly"]) == (20, 2)
    assert measured["at_least"] < 80 < measured["at_most"] < 82
    assert light["low"] < 230 < light["high"]
    assert abs(colour["lab"][0] - 91.3) < 0.2 and abs(colour["lab"][1]) < 0.2
    assert counted["threshold"]["contrast"] == 25, "every number is written out, to be tuned"


def test_a_model_says_how_many_of_what_a_good_part_has(tmp_path: Path) -> None:
    side = render_part(52_000, PartSpec(split="held_out")).side
    height, width = side.shape[:2]

    step = made("detect", side, tmp_path, (0, 0, width, height), "bottle-line/1")
    expected = {rule["label"] for rule in step["params"]["counts"]}

    assert "bottle" in expected, "a detector without a rule would pass everything"
    assert "foreign_particle" in step["params"]["defects"], "so would one that counts bottles"
    assert not expected & step["params"]["defects"].keys()
    RecipeFile.model_validate({"name": "part", "tools": [step]})


@pytest.mark.parametrize(
    ("kind", "roi", "model", "why"),
    [
        ("count", CORNER, "", "nothing stands out"),
        ("measure", CORNER, "", "no edge is seen"),
        ("code", TWO_PIECES, "", "would reject this part"),
        ("detect", TWO_PIECES, "", "needs a model"),
        ("classify", TWO_PIECES, "bottle-line/1", "this step needs `classify`"),
        ("blob", (0, 0, 999, 10), "", "reaches outside"),
        ("blobs", TWO_PIECES, "", "did you mean `blob`?"),
    ],
)
def test_what_cannot_be_made_is_told_in_a_sentence(
    kind: str, roi: Any, model: str, why: str, part: Pixels, tmp_path: Path
) -> None:
    with pytest.raises(Exception, match=why) as told:
        made(kind, part, tmp_path, roi, model)
    assert type(told.value).__module__.startswith("inspector.")


def test_a_name_that_is_none_is_told_as_such(part: Pixels, tmp_path: Path) -> None:
    """It was answered with a regular expression, and not with what is wrong."""
    with pytest.raises(NewStepError, match="name: a name begins with a small letter"):
        new_step("blob", Asked("Spots", "", TWO_PIECES, part, Shelf(MODELS, 1), tmp_path))


def test_every_kind_is_made_or_taught() -> None:
    assert {row["kind"] for row in kinds(MODELS)} | {"anomaly"} == set(TOOLS)
    assert NewStepError.__module__ == "inspector.newstep", "the command line knows it as ours"


def test_the_command_makes_a_step_for_a_machine(part: Pixels, tmp_path: Path) -> None:
    picture, recipe = tmp_path / "good.png", tmp_path / "part.yaml"
    cv2.imwrite(str(picture), part)

    told = CliRunner().invoke(
        app,
        ["recipe", "step", "count", "--name", "pieces", "--picture", str(picture), "--roi",
         "80,50,180,100", "--beside", str(recipe), "--models", str(MODELS), "--json"],
    )  # fmt: skip
    known = CliRunner().invoke(app, ["recipe", "kinds", "--models", str(MODELS), "--json"])

    assert json.loads(told.stdout)["params"]["exactly"] == 2
    rows = {row["kind"]: row["models"] for row in json.loads(known.stdout)}
    assert "bottle-line/1" in rows["detect"] and rows["blob"] == []


@pytest.mark.parametrize("kind", ["blob", "count", "colour", "compare", "measure"])
def test_a_step_that_follows_passes_parts_that_lie_elsewhere(kind: str, tmp_path: Path) -> None:
    """Made from the fifth part, by a command, as the page does it; it judges all of them."""
    recipe = followed(tmp_path, tmp_path / "plate.yaml")
    cv2.imwrite(str(tmp_path / "part.png"), anywhere(5))
    told = CliRunner().invoke(
        app,
        ["recipe", "step", kind, "--name", "hole", "--picture", str(tmp_path / "part.png"),
         "--roi", "58,34,92,66", "--follow", "place", "--beside", str(recipe),
         "--models", str(MODELS), "--json"],
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    step = json.loads(told.stdout)
    assert step["follow"] == "place"

    recipe.write_text(changed_by(recipe.read_text(), step))
    taught = load(recipe, MODELS)
    for number in range(0, 10, 3):
        judged = taught.judge({"side": anywhere(number)}, Batch("B"), date(2026, 11, 25))
        assert judged.outcome is Outcome.PASS, (number, judged.reasons)


def changed_by(text: str, step: dict[str, Any]) -> str:
    from inspector.web.recipetext import with_step

    return with_step(text, step)


def test_what_leads_follows_nothing(tmp_path: Path) -> None:
    asked = Asked("new", "", CORNER, anywhere(0), Shelf(MODELS, 1), tmp_path, follow="place")
    with pytest.raises(NewStepError, match="no other step leads illumination"):
        new_step("illumination", asked)
