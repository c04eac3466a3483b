"""The sync process: it goes on whatever the centre does, and lets go of images by rule (I5, I8)."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from centre_and_stations import Served, Site, count, station_file, wish
from sqlalchemy import select

from inspector.bus import run_dir
from inspector.config import ConfigError, load_station
from inspector.store import retain, signing_key, verify
from inspector.store.bench import sample_verdict
from inspector.sync import process
from inspector.sync.classes import nearness
from inspector.sync.enrol import CENTRE_FILE, SyncError, raw_key
from inspector.sync.memory import Memory
from inspector.sync.pace import Pace
from training.hub import tables
from training.hub.fleet import fleet

ROOT = Path(__file__).parents[2]


@contextmanager
def syncing(path: Path, beat: Callable[[], None] = lambda: None) -> Iterator[list[str]]:
    """The process's loop for a station file; what it tells, the newest last."""
    station = load_station(path)
    assert station.sync is not None
    ending, told = threading.Event(), [""]
    thread = threading.Thread(
        target=process.loop, args=(station, station.sync, ending, beat, told.append)
    )
    thread.start()
    try:
        yield told
    finally:
        ending.set()
        thread.join(30)
    assert not thread.is_alive()


def test_the_process_goes_on_until_it_is_told_to_end(
    centre: Served, site: Site, tmp_path: Path
) -> None:
    path = station_file(tmp_path, centre.url, every_s=0.05, cpu_share=1.0)
    site.inspect(50)
    beats = [0.0]
    with syncing(path, lambda: beats.append(time.monotonic())) as told:
        wait_for(lambda: "has not enrolled" in told[-1])
        site.enrol(centre)
        wait_for(lambda: count(centre, tables.Verdict) == 50)
        site.inspect(50)
        wait_for(lambda: count(centre, tables.Verdict) == 100)
    assert told[-1] == ""
    assert max(b - a for a, b in pairwise(beats[1:])) < 10


def test_a_station_that_enrols_with_a_new_centre_is_heard_by_it_without_a_restart(
    centre: Served, site: Site, tmp_path: Path
) -> None:
    """The old centre's machine is gone, and its key: the new one has its address. Sync went on
    believing the old key alone, whatever was enrolled."""
    path = station_file(tmp_path, centre.url, every_s=0.05, retry_s=0.05, cpu_share=1.0)
    site.inspect(20)
    (tmp_path / "old").mkdir()
    old = signing_key(tmp_path / "old").public_key()
    known = {"hub": centre.url, "key": raw_key(old).hex()}
    signing_key(site.data)
    (site.data / CENTRE_FILE).write_text(json.dumps(known))
    with syncing(path) as told:
        wait_for(lambda: "unknown here" in told[-1])
        site.enrol(centre)
        wait_for(lambda: count(centre, tables.Verdict) == 20)


def test_images_go_by_rule_while_the_process_runs(
    centre: Served, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every ``retain_every_s`` what the centre has acknowledged and the rules no longer keep is let
    go; what it has not acknowledged stays, however old (I8)."""
    in_a_year = time.time_ns() + 365 * 86_400_000_000_000
    runs: list[int] = []

    def then(data: Path, rules: Any, who: str) -> Any:
        done = retain(data, rules, who, utc_ns=in_a_year)
        runs.append(done.files)
        return done

    monkeypatch.setattr(process, "retain", then)
    path = station_file(
        tmp_path, centre.url, every_s=0.05, retry_s=1, cpu_share=1.0, retain_every_s=0.05,
        acknowledge_s=0.001, samples="{per_hour: 0}",
    )  # fmt: skip
    path.write_text(
        path.read_text()
        + "store: {retention: {pass_days: 1, reject_days: 1, error_days: 1, reviewed_days: 1}}\n"
    )
    site.inspect(50, pictures=True)
    with syncing(path):
        wait_for(lambda: len(runs) >= 2, 60)
        assert len(list((site.data / "images").rglob("*.jpg"))) == 50  # nobody has acknowledged
        site.enrol(centre)
        wait_for(lambda: sum(runs) == 50, 60)
    assert not list((site.data / "images").rglob("*.jpg"))
    assert count(centre, tables.Verdict) == 50 and verify(site.data).ok


def test_a_full_disk_ends_no_process_that_makes_room(
    centre: Served, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What sync remembers finds no room; the images that may go go nevertheless, and it goes on."""
    runs: list[Any] = []
    monkeypatch.setattr(process, "retain", lambda *_: runs.append(_) or SimpleNamespace(files=0))
    really = process.Memory

    def full(data: Path) -> Memory:
        memory = really(data)
        memory._db.execute("PRAGMA max_page_count = 1")  # as many as there are already
        with suppress(sqlite3.OperationalError):
            for number in range(10_000):
                memory._db.execute("INSERT INTO word VALUES (?, 'no more')", (f"{number}",))
        return memory

    monkeypatch.setattr(process, "Memory", full)
    path = station_file(
        tmp_path, centre.url, every_s=0.02, retry_s=0.02, cpu_share=1.0, retain_every_s=0.02
    )
    site.enrol(centre)
    site.inspect(20)
    with syncing(path) as told:
        wait_for(lambda: "full" in told[-1] and len(runs) >= 3)
    assert "make room" in told[-1]


def test_what_a_person_asks_for_is_sent_where_no_samples_are_chosen(
    centre: Served, site: Site, tmp_path: Path
) -> None:
    """As `per_hour: 0` promises. The centre said that the picture comes with the next round."""
    path = station_file(tmp_path, centre.url, samples="{per_hour: 0}", cpu_share=1.0)
    site.enrol(centre)
    wished, reviewed, judged = site.inspect(20, pictures=True)[:3]
    site.write("review", part=str(reviewed.part_id), sample=True)
    site.write("shadow", "releases", part=str(judged.part_id))
    station = load_station(path)
    assert station.sync is not None
    rounds, link = process.open_rounds(station, station.sync, Pace(), lambda _: None)
    rounds.round()
    wish(centre, wished.part_id, "asked")
    rounds.round()
    rounds.round()
    rounds.close()
    link.close()
    with centre.hub.engine.begin() as connection:
        sent = connection.execute(select(tables.Sample.part, tables.Sample.reason)).all()
    asked = {(wished.part_id.bytes, "asked"), (reviewed.part_id.bytes, "review")}
    assert {tuple(row) for row in sent} == asked


def test_a_station_that_has_moved_is_shown_where_it_is(
    centre: Served, site: Site, tmp_path: Path
) -> None:
    """The centre went on showing it among those of the plant that it was enrolled at."""
    path = station_file(tmp_path, centre.url, samples="{per_hour: 0}")
    site.enrol(centre)
    path.write_text(path.read_text().replace("north", "south").replace("f2", "f7"))
    station = load_station(path)
    assert station.sync is not None
    rounds, link = process.open_rounds(station, station.sync, Pace(), lambda _: None)
    rounds.round()
    rounds.close()
    link.close()
    with centre.hub.engine.begin() as connection:
        (row,) = fleet(connection, time.time_ns())
    assert (row.site, row.line) == ("south", "f7")


def test_a_machine_whose_zone_has_no_name_sends_by_its_own_clock(
    centre: Served, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``TZ=CST-8``: the process died of it at each start, and nothing was ever sent."""
    site.enrol(centre)
    monkeypatch.setenv("TZ", "CST-8")
    path = station_file(tmp_path, centre.url)
    path.write_text(path.read_text() + "calendar: {}\n")
    station = load_station(path)
    assert station.sync is not None
    rounds, link = process.open_rounds(station, station.sync, Pace(), lambda _: None)
    rounds.close()
    link.close()


def test_one_sync_at_a_time(tmp_path: Path) -> None:
    with (
        process.sole(tmp_path),
        pytest.raises(SyncError, match="runs and sends by itself"),
        process.sole(tmp_path),
    ):
        pass


def test_thresholds_come_from_the_recipes(tmp_path: Path) -> None:
    station = load_station(station_file(tmp_path, "http://127.0.0.1:1"))
    threshold = process.thresholds(station.recipes)
    assert (threshold("cap", "dent"), threshold("cap", "cap")) == (0.6, 0.4)
    assert threshold("print", "text") is None
    assert nearness(sample_verdict(1), threshold) == pytest.approx(0.51)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("hub: centre.example", "is an address such as"),
        ("hub: http://centre.example", "is for a centre on this machine"),
        ("hub: https://c\n  hours: [22-5]", "is no window such as"),
    ],
)
def test_a_mistake_in_the_station_file_is_said_with_its_mending(
    tmp_path: Path, line: str, says: str
) -> None:
    path = station_file(tmp_path, "x")
    path.write_text(path.read_text().replace("hub: x", line))
    with pytest.raises(ConfigError, match=says):
        load_station(path)


def test_hours_may_span_midnight() -> None:
    from datetime import time as day_time

    from inspector.config import Sync

    plan = Sync(hub="https://c", hours=("22:00-05:30",))
    assert plan.pictures_may_travel(day_time(23)) and plan.pictures_may_travel(day_time(5))
    assert not plan.pictures_may_travel(day_time(12))


def test_bandwidth_and_share_of_a_core_are_kept() -> None:
    from inspector.sync.pace import Pace

    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    worked = [0.0]
    pace = Pace(800, 0.2, clock=lambda: now[0], cpu=lambda: worked[0], sleep=sleep)
    for _ in range(50):
        pace.send(10_000)
    assert 4.5 < now[0] < 5.5  # 500 kB at 100 kB/s
    before, worked[0] = now[0], 1.0
    pace.rest()
    assert now[0] - before == pytest.approx(4.0)


def test_who_is_told_to_end_waits_no_longer() -> None:
    """An hour's wait for a centre that is away ends at once, and not in a loop at full speed."""
    from inspector.sync.pace import Pace

    ending, beats = threading.Event(), [0]

    def beat() -> None:
        beats[0] += 1
        if beats[0] > 3:
            raise AssertionError("still waiting")

    ending.set()
    Pace(8, beat=beat, clock=lambda: 0.0, sleep=ending.wait).wait(3600.0)
    assert beats[0] == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_documents_examples_work(site: Site, tmp_path: Path) -> None:
    """docs/sync.md from a centre's first command to a complaint, and the process beside it."""
    text = (ROOT / "docs" / "sync.md").read_text()
    examples = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 3
    station_file(tmp_path, "http://127.0.0.1:1")
    site.inspect(60, serial="SN0042")
    path = f"{ROOT / '.venv/bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    script = tmp_path / "all.sh"
    await_hub = (
        "while [ ! -s hub.url ]; do sleep 0.05; done\n"
        'sed -i "s|hub: .*|hub: $(cat hub.url)|" station.yaml\n'
    )
    script.write_text("trap 'kill %1' EXIT\n" + examples[0] + await_hub + examples[1] + examples[2])
    ran = subprocess.run(
        ["bash", "-eux", str(script)],
        cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert '"line": 12' in ran.stdout and "ST-01" in ran.stdout
    assert "an escape" in ran.stdout


@pytest.mark.slow
def test_as_the_supervisor_starts_it(centre: Served, site: Site, tmp_path: Path) -> None:
    path = station_file(tmp_path, centre.url, every_s=0.05)
    site.enrol(centre)
    site.inspect(50)
    run = run_dir(site.data)
    child = subprocess.Popen([sys.executable, "-m", "inspector.sync.process", str(path), str(run)])
    try:
        wait_for(lambda: count(centre, tables.Verdict) == 50, 60)
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0
    finally:
        child.kill()


def wait_for(true: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
