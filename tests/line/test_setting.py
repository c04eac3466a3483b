"""What a restarted line goes on with: job, mode, and a change-over that was still to come. (I5)"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ruamel.yaml import YAML

from inspector.config import Station, load_station
from inspector.line import setting
from inspector.line.changeover import Job, Plan, job
from inspector.line.modes import Modes
from inspector.part import Batch, Mode
from inspector.store import History, LineLedger


def made(name: str, batch: str) -> Job:
    recipe: Any = SimpleNamespace(name=name, revision=1, views=("side",))
    return job(recipe, Batch(batch, "juice", name, {"lot": "L1"}), ["side"])


@pytest.fixture
def station(tmp_path: Path) -> Station:
    file = tmp_path / "station.yaml"
    written = {"station": "T-01", "recipes": ["a.yaml"], "cameras": [{"name": "side"}],
               "batch": {"id": "B-1"}, "data": "data"}  # fmt: skip
    with file.open("w") as stream:
        YAML(typ="safe").dump(written, stream)
    return load_station(file)


@pytest.fixture
def ledger(station: Station) -> Iterator[LineLedger]:
    with LineLedger.open(station.data, station="T-01") as opened:
        yield opened


def kept(station: Station, ledger: LineLedger, plan: Plan) -> setting.Setting:
    setting.keep(ledger, station, plan, "plc-1", Modes(Mode.CLEANING), True, "otto")
    ledger.commit()
    was = setting.last(station)
    assert was is not None
    return was


def test_the_newest_job_the_mode_and_a_pause_are_kept(station: Station, ledger: LineLedger) -> None:
    was = kept(station, ledger, Plan(made("a", "B-1")))
    assert (was.job.recipe, was.job.batch.id, was.job.batch.texts) == ("a", "B-1", {"lot": "L1"})
    assert (was.mode, was.paused, was.earlier) == (Mode.CLEANING, True, ())


def test_a_change_over_that_is_still_to_come_is_kept_with_what_runs_until_then(
    station: Station, ledger: LineLedger
) -> None:
    plan = Plan(made("a", "B-1"))
    plan.change(made("b", "B-2"), 100)
    plan.change(made("c", "B-3"), 200)
    was = kept(station, ledger, plan)
    assert [(first, job.batch.id) for first, job in was.earlier] == [(0, "B-1"), (100, "B-2")]
    assert (was.stream, was.first, was.job.batch.id) == ("plc-1", 200, "B-3")
    plan.forget_before(200)
    assert not kept(station, ledger, plan).earlier


def test_a_change_over_that_an_older_version_kept_is_known(
    station: Station, ledger: LineLedger
) -> None:
    kept(station, ledger, Plan(made("b", "B-2")))
    with History(station.data) as history:
        body = dict(history.events(setting.KIND, 1)[0].body)
    before = {**body, "batch": "B-1"}
    ledger.add_event(setting.KIND, "otto", **body, before=before, stream="plc-1", first=100)
    ledger.commit()
    was = setting.last(station)
    assert was is not None
    assert [(first, job.batch.id) for first, job in was.earlier] == [(0, "B-1")]


@pytest.mark.parametrize(
    ("stream", "recipes"),
    [("plc-1", "aaabbcc"), ("plc-2", "ccccccc")],
    ids=["goes on", "counts anew"],
)
def test_each_holds_from_its_part_on_in_its_own_stream(stream: str, recipes: str) -> None:
    plan = Plan(made("c", "B-3"))
    plan.resume("plc-1", 6, [(0, made("a", "B-1")), (4, made("b", "B-2"))])
    assert plan.newest.recipe.name == "c"
    plan.renumber(stream)
    assert "".join(plan.at(number).recipe.name for number in range(1, 8)) == recipes
    plan.renumber("plc-1")
    assert plan.at(1).recipe.name == "c", "once"


def test_a_station_file_that_means_something_else_begins_anew(
    station: Station, ledger: LineLedger
) -> None:
    kept(station, ledger, Plan(made("a", "B-1")))
    other = station.model_copy(update={"mode": Mode.SETUP})
    assert setting.last(other) is None
