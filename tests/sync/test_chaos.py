"""The cable is cut and both sides are killed at random instants: nothing is lost or counted twice
(I5). A short form always; 200 times with ``scripts/test --all``."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from centre_and_stations import (
    Served,
    Site,
    alarms_at,
    alarms_here,
    count,
    records_at,
    records_here,
    serving,
)
from cut_cable import Cable, sometimes

from inspector.sync import rounds as rounds_module
from inspector.sync.enrol import Away, SyncError
from training.hub import tables
from training.hub.hub import open_hub

SMALL = 40
"""Records of a segment here, so that there are many instants between them."""


def test_a_cable_that_is_cut_loses_nothing(
    centre: Served, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds_module, "RECORDS", SMALL)
    site.enrol(centre)
    site.inspect(80, pictures=True)
    cable = Cable(lambda: int(centre.url.rpartition(":")[2]), sometimes(7, 20_000, never=0.0))
    rounds = site.rounds(f"http://127.0.0.1:{cable.port}", utc_ns=_later)
    drain(rounds)
    cable.close()
    assert cable.cuts > 5
    whole(centre, site)


def test_a_centre_that_is_away_for_thirty_days(centre: Served, site: Site, tmp_path: Path) -> None:
    """The station's clock is wound on; what was inspected meanwhile waits, then goes."""
    site.enrol(centre)
    away = site.rounds("http://127.0.0.1:9")
    for day in range(30):
        site.inspect(2)
        with pytest.raises(Away):
            away.round()
        if day == 15:
            site.close()  # the station restarts in between
            away = site.rounds("http://127.0.0.1:9")
    site.close()
    in_thirty_days = 30 * 86_400_000_000_000
    drain(site.rounds(centre.url, utc_ns=lambda: time.time_ns() + in_thirty_days))
    whole(centre, site)


def test_a_clock_that_jumps_moves_no_record(centre: Served, site: Site) -> None:
    site.enrol(centre)
    for clock in (10**18, 0, 2 * 10**18, 10**15):
        site.inspect(30)
        drain(site.rounds(centre.url, utc_ns=lambda clock=clock: clock))
        site.close()
    whole(centre, site)


@pytest.mark.slow
def test_both_sides_killed_a_few_times(tmp_path: Path) -> None:
    kill_both(tmp_path, kills=2, seed=3, parts=20)


def test_one_side_killed_once(tmp_path: Path) -> None:
    kill_both(tmp_path, kills=1, seed=3, parts=8)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_both_sides_killed_two_hundred_times(tmp_path: Path) -> None:
    kill_both(tmp_path, kills=200, seed=11, parts=2000)


def kill_both(folder: Path, kills: int, seed: int, parts: int) -> None:
    """Kills hub or station, at random, at random instants, over a cable that is cut as well."""
    draw = random.Random(seed)
    site = Site(folder / "station")
    home = folder / "hub"
    hub = open_hub(home)
    with serving(hub) as served:
        site.enrol(served)
    hub.close()
    hubs = _Process(_run_hub, (home, folder / "port"))
    cable = Cable(lambda: _port(folder / "port"), sometimes(seed, 200_000))
    station = _Process(_run_station, (site.data, site.name, cable.port))
    per_kill = max(1, parts // kills)
    try:
        for _ in range(kills):
            site.inspect(per_kill, pictures=True)
            time.sleep(draw.random() ** 2 * 0.3)
            draw.choice((hubs, station, hubs, station)).kill()
        end = time.monotonic() + 300
        while _verdicts(home) < per_kill * kills:
            assert time.monotonic() < end
            hubs.alive()
            station.alive()
            time.sleep(0.05)
    finally:
        hubs.end()
        station.end()
        cable.close()
    hub = open_hub(home)
    with serving(hub) as served:
        drain(site.rounds(served.url, utc_ns=_later))
        whole(served, site)
        site.close()
    hub.close()


def whole(centre: Served, site: Site) -> None:
    """Every record once, every sample's picture whole, no alarm on either side."""
    here = records_here(site.data)
    assert records_at(centre, site.name) == here
    assert count(centre, tables.Verdict) == site.sequence == count(centre, tables.Gate)
    assert alarms_at(centre) == alarms_here(site.data) == []
    with centre.hub.engine.begin() as connection:
        tally = connection.execute(tables.Tally.__table__.select()).all()  # type: ignore[attr-defined]
        samples = connection.execute(tables.Sample.__table__.select()).all()  # type: ignore[attr-defined]
    assert sum(row.parts for row in tally) == site.sequence
    assert len({(row.part, row.view) for row in samples}) == len(samples)
    for row in samples:
        assert len(centre.hub.blobs.get(row.digest)) == row.size


def drain(rounds: Any, seconds: float = 60.0) -> None:
    """Rounds until nothing is owed, through whatever goes wrong on the way."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(SyncError):
            done = rounds.round()
            if not any(done.behind.values()) and not done.pictures_waiting and not done.troubles:
                return
    raise AssertionError("still owed")


def _verdicts(home: Path) -> int:
    with closing(sqlite3.connect(home / "hub.db", timeout=30)) as database:
        found: int = database.execute("SELECT count(*) FROM verdict").fetchone()[0]
    return found


def _later() -> int:
    return time.time_ns() + 3 * 3_600_000_000_000


class _Process:
    """A child that is started again whenever it is gone."""

    _context = multiprocessing.get_context("forkserver")

    def __init__(self, target: Any, arguments: tuple[Any, ...]) -> None:
        self._target, self._arguments = target, arguments
        self._child = self._start()

    def alive(self) -> None:
        if not self._child.is_alive():
            self._child.join()
            self._child = self._start()

    def kill(self) -> None:
        self.alive()
        assert self._child.pid is not None
        os.kill(self._child.pid, signal.SIGKILL)
        self._child.join()
        self._child = self._start()

    def end(self) -> None:
        self._child.kill()
        self._child.join()

    def _start(self) -> Any:
        child = self._context.Process(target=self._target, args=self._arguments, daemon=True)
        child.start()
        return child


_Process._context.set_forkserver_preload(["centre_and_stations", "cut_cable"])


def _run_hub(home: Path, port_file: Path) -> None:
    hub = open_hub(home)
    with serving(hub) as served:
        fresh = port_file.with_suffix(".new")
        fresh.write_text(served.url.rpartition(":")[2])
        fresh.replace(port_file)
        while True:
            time.sleep(1)


def _port(path: Path) -> int:
    with suppress(OSError, ValueError):
        return int(path.read_text())
    return 9


def _run_station(data: Path, name: str, port: int) -> None:
    from inspector.sync.enrol import enrolled

    rounds_module.RECORDS = SMALL
    site = Site(data, name)
    site.enrolled = enrolled(data)
    rounds = site.rounds(f"http://127.0.0.1:{port}", utc_ns=_later)
    while True:
        with suppress(SyncError):
            rounds.round()
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _no_orphans() -> Iterator[None]:
    yield
    for child in multiprocessing.active_children():
        child.kill()
        child.join()
