"""A line begins with its champion, or with the last one that still holds (I5, I7)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from release.centre import Centre
from ruamel.yaml import YAML

from inspector.config import Station, load_station
from inspector.line.champions import restore, waiting
from inspector.line.changeover import Plan, Recipe, job
from inspector.part import Batch
from inspector.recipe import load
from inspector.release import install
from inspector.release.installed import BASE
from inspector.release.stage import Stage, standings
from inspector.store import LineLedger


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Centre:
    return Centre(tmp_path_factory.mktemp("centre"))


@pytest.fixture
def station(centre: Centre, tmp_path: Path) -> Station:
    settings = {
        "station": "T", "data": str(tmp_path / "data"), "models": str(centre.models),
        "recipes": [str(centre.recipe(1))], "batch": {"id": "B-1"},
        "cameras": [{"name": n, "source": "folder", "folder": "."} for n in ("side", "code")],
    }  # fmt: skip
    path = tmp_path / "station.yaml"
    with path.open("w") as file:
        YAML(typ="safe").dump(settings, file)
    centre.known_at(tmp_path / "data")
    return load_station(path)


def base(station: Station) -> dict[str, Recipe]:
    return {"coded": load(station.recipes[0], station.models)}


def took_over(station: Station, *chain: str) -> None:
    with LineLedger.open(station.data, station="T") as ledger:
        ledger.add_event("release", "erika", recipe="coded", digest=chain[-1], chain=list(chain))
        ledger.commit()


def test_without_a_release_the_station_files_recipe_runs(station: Station) -> None:
    recipes, chains, unfit = restore(station, base(station))
    assert recipes["coded"].revision == 1 and chains == {"coded": [BASE]} and not unfit


def test_the_champion_comes_back_with_the_way_back(centre: Centre, station: Station) -> None:
    first = install(centre.made(2), station.data, "erika").installed.digest
    second = install(centre.made(3), station.data, "erika").installed.digest
    own = base(station)
    took_over(station, BASE, first, second)

    recipes, chains, unfit = restore(station, own)

    assert recipes["coded"].revision == 3 and not unfit
    assert chains["coded"] == [BASE, first, second]


def test_a_champion_that_was_changed_gives_way_to_the_one_before(
    centre: Centre, station: Station
) -> None:
    first = install(centre.made(2), station.data, "erika").installed
    second = install(centre.made(3), station.data, "erika").installed
    own = base(station)
    took_over(station, BASE, first.digest, second.digest)
    model = second.folder / "models/m/1/model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")

    recipes, chains, unfit = restore(station, own)

    assert recipes["coded"].revision == 2 and chains["coded"] == [BASE, first.digest]
    assert "models/m/1/model.onnx is not the file that was signed" in unfit[0]

    (first.folder / "manifest.json").unlink()
    recipes, chains, unfit = restore(station, own)
    assert recipes["coded"] is own["coded"] and chains["coded"] == [BASE] and len(unfit) == 2


def asked_for(station: Station, digest: str, utc_ns: Callable[[], int] = time.time_ns) -> None:
    with LineLedger.open(station.data, station="T", utc_ns=utc_ns) as ledger:
        ledger.add_event("release_pending", "erika", recipe="coded", digest=digest, why="better")
        ledger.commit()


def test_what_was_to_take_over_with_the_next_batch_still_is_after_a_restart(
    centre: Centre, station: Station
) -> None:
    """The page says that it waits: a line that was started anew must know of it."""
    first = install(centre.made(2), station.data, "erika").installed
    assert waiting(station, ["coded"]) == ({}, [])
    asked_for(station, first.digest)
    found, unready = waiting(station, ["coded"])
    assert (found["coded"][0].digest, found["coded"][1]) == (first.digest, "better")
    assert not unready and waiting(station, ["other"]) == ({}, [])

    asked_for(station, "")
    assert waiting(station, ["coded"]) == ({}, []), "it was withdrawn"
    asked_for(station, first.digest)
    (first.folder / "manifest.json").unlink()
    found, unready = waiting(station, ["coded"])
    assert not found and "manifest.json" in unready[0]
    took_over(station, BASE, first.digest)
    assert waiting(station, ["coded"]) == ({}, []), "it has"


def test_a_clock_that_is_set_back_brings_no_release_again_that_had_its_turn(
    centre: Centre, station: Station
) -> None:
    """It had been rolled back, and came into service with the next batch. One that was ordered
    after that was forgotten."""
    first = install(centre.made(2), station.data, "erika").installed.digest
    asked_for(station, first, lambda: time.time_ns() + 3_600_000_000_000)
    took_over(station, BASE, first)
    took_over(station, BASE)
    assert waiting(station, ["coded"]) == ({}, [])
    assert [one.stage for one in standings(station.data)] == [Stage.INSTALLED]
    asked_for(station, first, lambda: 1)
    assert list(waiting(station, ["coded"])[0]) == ["coded"]
    assert [one.stage for one in standings(station.data)] == [Stage.WAITING]


def test_a_release_stands_in_from_one_part_on_and_what_is_planned_keeps_its_batch(
    centre: Centre, station: Station, tmp_path: Path
) -> None:
    """With its own views: what has others failed at each part until the line was started anew."""
    old, cameras = base(station)["coded"], ("side", "code")
    written = centre.recipe(2).read_text()
    (tmp_path / "coded.yaml").write_text(written.replace("[side, code]", "[code, side]"))
    new = load(tmp_path / "coded.yaml", station.models)
    plan = Plan(job(old, Batch("B-1"), cameras))
    plan.change(job(old, Batch("B-2"), cameras), 100)

    plan.substitute(job(new, Batch("B-1.s2"), cameras), 50)

    told = [(n, plan.at(n).batch.id, plan.at(n).title) for n in (49, 50, 99, 100)]
    assert told == [
        (49, "B-1", "coded@1"), (50, "B-1.s2", "coded@2"), (99, "B-1.s2", "coded@2"),
        (100, "B-2", "coded@2"),
    ]  # fmt: skip
    assert [plan.at(n).views for n in (49, 50, 100)] == [cameras, *[("code", "side")] * 2]


def test_another_recipes_job_goes_on_as_it_was(centre: Centre, station: Station) -> None:
    old, new = base(station)["coded"], load(centre.recipe(2, name="other"), station.models)
    plan = Plan(job(old, Batch("B-1"), ("side", "code")))

    plan.substitute(job(new, Batch("B-1"), ("side", "code")), 10)

    assert (plan.at(10).batch.id, plan.at(10).title) == ("B-1", "coded@1")
