"""A tool is taught from the last good parts that a station has made. (S8, S9)"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import cv2
import numpy as np
import pytest
from kept_parts import keep_parts
from surfaces import scratched, surface
from teach.test_thorough import brightness, silent
from typer.testing import CliRunner

from inspector.cli import app
from inspector.part import Batch, Outcome, PartId, Pixels
from inspector.recipe import load
from inspector.store import DeskLedger, History, LineLedger, NoLedger
from inspector.store.reviews import Decision, Opinion, add_review
from inspector.teach import TeachError, thorough
from inspector.teach import parts as parts_room
from inspector.teach.follow import leader_named
from inspector.teach.parts import Asked, good_parts, teach_parts
from inspector.tools.golden import keep_golden
from inspector.tools.onnx import Shelf

MODELS = Path(__file__).parents[2] / "models"
RECIPE = """\
name: plate
views: [side]
tools:
  - name: bright
    kind: blob
    params: {threshold: {tone: bright, method: fixed, level: 235}, area: [5, 100000]}
"""
GOOD, SCRATCHED = 14, 3


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a station that has made fourteen good plates, then three with a scratch."""
    folder = tmp_path_factory.mktemp("plates")
    (folder / "plate.yaml").write_text(RECIPE)
    plates = [np.dstack([surface(n, (96, 64))] * 3) for n in range(GOOD + SCRATCHED)]
    plates[GOOD:] = [scratched(p, (10, 30), (80, 34)) for p in plates[GOOD:]]
    made(folder / "data", folder / "plate.yaml", plates)
    return folder / "data"


def made(data: Path, recipe: Path, pictures: Sequence[Pixels]) -> None:
    """The line has judged a part of each picture, and kept them all."""
    keep_parts(data, load(recipe), pictures, Batch("P1", "plate", "plate"))


def asked(**more: Any) -> Asked:
    return Asked("plate", "side", **more)


def numbers(station: Path, **more: Any) -> list[int]:
    return [part.verdict.sequence for part in good_parts(station, asked(**more))]


def review(station: Path, number: int, outcome: Outcome) -> PartId:
    with History(station) as history, DeskLedger.open(station) as desk:
        part = next(p for p in history.last(50) if p.verdict.sequence == number)
        id = part.verdict.part_id
        opinion = Opinion(id, Decision.OVERRIDE, outcome, reason="looked at it")
        add_review(desk, history, opinion, "qin")
    return id


def test_good_is_what_passed_newest_first(station: Path) -> None:
    assert numbers(station)[:3] == [14, 13, 12]
    assert numbers(station, product="plate") == numbers(station)
    assert numbers(station, product="another") == []


def test_a_part_is_of_the_product_that_its_batch_made_by_then(tmp_path: Path) -> None:
    """Of a batch that was begun with the wrong product, and then anew, nothing taught."""
    (tmp_path / "plate.yaml").write_text(RECIPE)
    with LineLedger.open(tmp_path / "data", station="BOT-L3-01") as ledger:
        ledger.add_batch(Batch("P1", "wrong", "plate"), "begin", "otto")
    made(tmp_path / "data", tmp_path / "plate.yaml", [np.dstack([surface(0, (96, 64))] * 3)])
    assert numbers(tmp_path / "data", product="plate") == [1]


def test_of_a_picture_that_is_replayed_one_part_teaches(tmp_path: Path) -> None:
    """A recipe that was taught from three photos, again and again, rejected all of them."""
    (tmp_path / "plate.yaml").write_text(RECIPE)
    plates = [np.dstack([surface(n, (96, 64))] * 3) for n in (0, 1, 0, 1)]
    made(tmp_path / "data", tmp_path / "plate.yaml", plates)
    assert numbers(tmp_path / "data") == [4, 3]


def test_a_review_says_what_is_good(tmp_path: Path) -> None:
    (tmp_path / "plate.yaml").write_text(RECIPE)
    plates = [np.dstack([surface(n, (96, 64))] * 3) for n in range(4)]
    plates[3] = scratched(plates[3], (10, 30), (80, 34))
    data = tmp_path / "data"
    made(data, tmp_path / "plate.yaml", plates)
    assert numbers(data) == [3, 2, 1]

    review(data, 2, Outcome.REJECT)
    review(data, 4, Outcome.PASS)

    assert numbers(data) == [4, 3, 1], "an escape is no good part, a false reject is one"


def test_a_part_is_taught_by_the_camera_that_is_asked_for_and_by_no_other(tmp_path: Path) -> None:
    """Of one whose picture by that camera was lost, and which a reviewer called good, the only
    picture that was left was taught: it shows another side."""
    (tmp_path / "plate.yaml").write_text(RECIPE)
    seen = [np.dstack([surface(0, (96, 64))] * 3)]
    recipe, batch = load(tmp_path / "plate.yaml"), Batch("P1", "plate", "plate")
    keep_parts(tmp_path / "data", recipe, seen, batch, view="top")

    assert numbers(tmp_path / "data") == []
    assert [p.verdict.sequence for p in good_parts(tmp_path / "data", Asked("plate", "top"))] == [1]


def test_who_has_looked_leaves_a_part_out(station: Path) -> None:
    with History(station) as history:
        part = next(p for p in history.last(50) if p.verdict.sequence == 14)
    assert numbers(station, without=frozenset({str(part.verdict.part_id)}))[:2] == [13, 12]


def test_a_folder_without_a_ledger_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(NoLedger, match="there is no ledger here"):
        list(good_parts(tmp_path, asked()))
    assert not any(tmp_path.iterdir())


def test_too_few_good_parts_are_told_with_what_to_do(station: Path, tmp_path: Path) -> None:
    with pytest.raises(TeachError, match=r"(?s)0 good parts of another .*pass_image_every"):
        teach_parts(station, asked(product="another"), tmp_path, MODELS)
    with pytest.raises(TeachError, match="8 to 200 parts teach, not 7"):
        teach_parts(station, asked(last=7), tmp_path, MODELS)
    with pytest.raises(TeachError, match=r"reaches outside .* draw it anew"):
        teach_parts(station, asked(roi=(0, 0, 500, 10)), tmp_path, MODELS)


@pytest.mark.slow
def test_a_station_is_taught_by_a_command(station: Path, tmp_path: Path) -> None:
    out = tmp_path / "taught"
    told = CliRunner().invoke(
        app,
        ["teach", "parts", "--data", str(station), "--recipe", "plate", "--view", "side",
         "--last", "12", "--roi", "8,8,88,56", "--out", str(out), "--models", str(MODELS),
         "--json"],
    )  # fmt: skip
    assert told.exit_code == 0, told.output
    *progress, last = [json.loads(row) for row in told.stdout.splitlines()]
    result = last["result"]

    assert progress[-1]["done"] == progress[-1]["total"]
    assert json.loads((out / "result.json").read_text()) == result
    assert (out / "anomaly" / f"{result['bank']}.bank").is_file()
    scores = [part["score"] for part in result["parts"]]
    assert scores == sorted(scores, reverse=True) and len(scores) == 12
    wrong = result["report"]["false_reject"]
    assert wrong["seen"] == sum(score >= 0.5 for score in scores)
    assert 0 <= wrong["interval95"][0] <= wrong["interval95"][1] <= 1
    assert UUID(result["parts"][0]["id"])
    picture = cv2.imread(str(out / "0.jpg"))
    heat = cv2.imread(str(out / "0.png"), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (48, 80, 3) and heat.shape == (48, 80, 4)


def anywhere(number: int) -> Pixels:
    """A plate with a notch and a hole that lies elsewhere each time, on a dark belt."""
    plate = np.full((64, 88), 170, np.uint8)
    plate += surface(number, (88, 64)) // 8
    plate[:20, :30] = 40
    cv2.circle(plate, (62, 40), 9, 40, -1)
    picture = np.full((128, 168), 40, np.uint8)
    x, y = 12 + number * 7 % 50, 10 + number * 5 % 40
    picture[y : y + 64, x : x + 88] = plate
    return np.dstack([picture] * 3)


def followed(folder: Path, beside: Path) -> Path:
    """A recipe whose `align` step finds such a plate; its golden picture lies beside ``beside``."""
    digest = keep_golden(anywhere(0), beside.parent)
    text = f"""\
name: plate
views: [side]
tools:
  - name: place
    kind: align
    params: {{golden: {digest}, part: [12, 10, 100, 74]}}
"""
    path = folder / "plate.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def scattered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station whose parts lie anyhow; the recipe is ``plate.yaml`` beside its data."""
    folder = tmp_path_factory.mktemp("scattered")
    recipe = followed(folder, folder / "plate.yaml")
    made(folder / "data", recipe, [anywhere(n) for n in range(10)])
    return folder


def test_parts_that_lie_anyhow_are_turned_back_first(scattered: Path, tmp_path: Path) -> None:
    """(S8) By a draft's `align` step, whose golden picture lies beside the recipe in service."""
    origin = scattered / "plate.yaml"
    draft = followed(tmp_path, origin)
    leader = leader_named("place", draft, origin, Shelf(MODELS))
    wanted = asked(last=8, roi=(44, 32, 68, 68), follow=leader)

    _, pictures = parts_room._seen(scattered / "data", wanted, Shelf(MODELS), silent)

    still = [abs(p.astype(int) - pictures[0]).max() for p in pictures]
    assert len(pictures) == 8 and {p.shape for p in pictures} == {(36, 24, 3)}
    assert max(still) <= 40, "each shows the same place of the plate, its surface alone differs"


def test_what_cannot_be_followed_is_told(scattered: Path, tmp_path: Path) -> None:
    origin, shelf = scattered / "plate.yaml", Shelf(MODELS)
    with pytest.raises(TeachError, match="plate has no `align` step lead to follow"):
        leader_named("lead", origin, origin, shelf)
    other = tmp_path / "data"
    plates = [np.dstack([surface(n, (168, 128))] * 3) for n in range(8)]
    (tmp_path / "plate.yaml").write_text(RECIPE)
    made(other, tmp_path / "plate.yaml", plates)
    leader = leader_named("place", origin, origin, shelf)
    with pytest.raises(TeachError, match=r"`place` finds the part in 0 good pictures, 8 are need"):
        teach_parts(other, asked(follow=leader), tmp_path / "out", MODELS)


@pytest.mark.slow
def test_a_network_is_trained_too_where_it_is_asked_for(
    scattered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The training is left out, as in ``test_thorough``: the network is one that sees nothing. Who
    was not shown to it is told apart, and what is followed stands in the result."""
    monkeypatch.setattr(thorough, "train", lambda *given: brightness(tmp_path))
    monkeypatch.setattr(thorough, "UNPROVEN", -1.0)
    origin = scattered / "plate.yaml"
    leader = leader_named("place", origin, origin, Shelf(MODELS))
    wanted = asked(last=8, roi=(40, 24, 96, 70), follow=leader, run=tmp_path / "run")

    result = teach_parts(scattered / "data", wanted, tmp_path / "out", MODELS)

    assert result["follow"] == "place"
    told = result["report"]["thorough"]
    assert told["kept"] == "both" and told["held_back"]["good"] == 2
    assert len(result["parts"]) == result["shown"] == 2, "the network knew the other six"
    assert (tmp_path / "out" / "1.png").is_file() and not (tmp_path / "out" / "2.png").exists()
