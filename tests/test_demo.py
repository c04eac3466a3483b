"""What the demo makes of its wishes, before anything runs (S18)."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from inspector import demo
from inspector.cameras.ring import slots_for
from inspector.config import Station, StopRules, load_station
from inspector.trial import Trial, TrialError, _begin
from inspector.virtual.filmset import FilmSet, render_set
from inspector.virtual.world import World


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> FilmSet:
    return render_set("bottle-line", 3, 2, tmp_path_factory.mktemp("films"))


def station_of(films: FilmSet, folder: Path, parts: int, rate: float) -> Station:
    """The station file that the demo would start."""
    trial = Trial(demo.plan_of(films, folder, parts=parts, rate=rate, seed=7, page=None))
    trial.port = 502
    with trial.station_file.open("w") as file:
        YAML(typ="safe").dump(trial.station_settings(), file)
    return load_station(trial.station_file)


@pytest.mark.parametrize("rate", [20.0, 50.0])
def test_a_picture_lasts_as_long_as_its_part_is_under_way(
    films: FilmSet, tmp_path: Path, rate: float
) -> None:
    """A machine that is busy elsewhere for half a second must not cost parts that have a whole
    one: a ring of 16 pictures lasts 0.32 s at 50 parts/s."""
    station = station_of(films, tmp_path, 300, rate)
    travel, film = station.travel, films.film("side")
    assert travel.gate_mm / travel.speed_mm_s == pytest.approx(demo.TRAVEL_S)
    slots = slots_for(travel.most_parts, film.width * film.height, 64 << 20)
    assert not any(camera.buffers for camera in station.cameras), "it would replace the ring's own"
    assert slots >= rate * demo.TRAVEL_S


@pytest.mark.parametrize("rate", [0.5, 2.0, 60.0])
def test_every_rate_that_the_demo_takes_is_one_of_its_world(
    films: FilmSet, tmp_path: Path, rate: float
) -> None:
    """Below 2.1 parts/s the gate stood before its own eye, from 68 on its flap was too slow: the
    world did not start."""
    trial = Trial(demo.plan_of(films, tmp_path, parts=3, rate=rate, seed=7, page=None))
    world = World.model_validate(trial._world_settings())
    station = station_of(films, tmp_path, 3, rate)
    assert world.machine.gate_mm == station.travel.gate_mm
    assert world.belt_mm_s == station.travel.speed_mm_s


def test_a_counted_run_goes_to_its_end_and_an_endless_one_stops_as_a_plant_would(
    films: FilmSet, tmp_path: Path
) -> None:
    """Nobody is there to look at the rejects of a counted run and to resume: it reports them."""
    assert station_of(films, tmp_path / "counted", 300, 50.0).stop.rejects_in_a_row == 0
    assert station_of(films, tmp_path / "endless", 0, 20.0).stop == StopRules()


def test_two_demos_at_once_have_a_folder_each(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with demo.home() as first, demo.home() as second:
        assert first != second
        (first / "ledger").write_text("mine")
        with demo.home() as third:
            assert third not in (first, second)
        assert (first / "ledger").exists()
    with demo.home() as again:
        assert again == first
        assert not (again / "ledger").exists(), "the run before it has been looked at"


def test_a_cached_film_that_was_spoilt_is_drawn_again(tmp_path: Path) -> None:
    made = demo.films_of(tmp_path, 1, 3, quiet=True)
    side = made.folder / "side.film"
    side.chmod(0o644)
    with side.open("r+b") as file:
        file.truncate(side.stat().st_size - 1000)
    again = demo.films_of(tmp_path, 1, 3, quiet=True)
    assert len(again.film("side").frames) == 1


def test_who_gives_up_says_what_stopped_the_line(tmp_path: Path, films: FilmSet) -> None:
    trial = Trial(demo.plan_of(films, tmp_path, parts=1, rate=20.0, seed=7, page=None))
    with pytest.raises(TrialError, match=re.escape(f"see {tmp_path}/station.log")):
        raise demo.gave_up(trial, "the line did not end")


def test_an_endless_run_for_a_machine_goes_on_until_it_is_interrupted(
    films: FilmSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gave up after a minute, because the line had not ended."""
    trial = Trial(demo.plan_of(films, tmp_path, parts=0, rate=20.0, seed=7, page=None))
    waited: list[float] = []

    def wait_for(condition: object, seconds: float, alive: object) -> bool:
        waited.append(seconds)
        if len(waited) == 2:
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr(demo, "wait_for", wait_for)
    monkeypatch.setattr(demo, "_run_out", lambda *_: waited.append(0.0))
    demo._watch(trial, quiet=True)
    assert waited[1:] == [math.inf, 0.0]


@pytest.mark.parametrize("allowed", [True, False])
def test_a_virtual_line_comes_before_other_sessions_where_it_may(
    allowed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Beside four busy sessions on two cores 213 of 300 parts were late, and then none."""
    nice = tmp_path / "autogroup" if allowed else tmp_path / "nowhere" / "autogroup"
    monkeypatch.setattr("inspector.trial.AUTOGROUP", nice)
    started = subprocess.run(
        [sys.executable, "-c", ""], check=False, start_new_session=True, preexec_fn=_begin
    )
    assert started.returncode == 0
    assert (nice.read_text() == "-10") if allowed else not nice.exists()
