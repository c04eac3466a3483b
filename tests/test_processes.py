"""Whom the supervisor takes to hang, and how it keeps the write-ahead log short. (I8, S18)"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inspector import processes
from inspector.beat import Beat
from inspector.plant.places import PLAIN
from inspector.plantplan import Calendar
from inspector.store import LineLedger
from inspector.store.bench import sample_verdict
from inspector.store.schema import LINE_FILE


def test_the_log_of_a_ledger_that_is_written_all_day_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without anybody who shortens it, it grows with every commit."""
    monkeypatch.setattr(processes, "SHORTEN_S", 0.01)
    log, over = tmp_path / f"{LINE_FILE}-wal", threading.Event()
    with LineLedger.open(tmp_path, station="s1", idle_s=60.0) as ledger:

        def write(number: int) -> int:
            ledger.add_verdict(sample_verdict(number))
            ledger.commit()
            return log.stat().st_size

        sizes = [write(number) for number in range(1, 41)]
        assert sizes == sorted(sizes) and sizes[-1] > 4 * sizes[0]
        care = threading.Thread(target=processes._shorten_wal, args=(tmp_path, over))
        care.start()
        try:
            until, number = time.monotonic() + 20.0, 41
            # SQLite begins its log anew at the first commit after all of it was moved: from then on
            # it stays as long as it is.
            while write(number) > sizes[-1] and time.monotonic() < until:
                sizes, number = [*sizes, log.stat().st_size], number + 1
                time.sleep(0.005)  # as parts do, commits leave the disk some time
            assert log.stat().st_size == sizes[-1], "the log has only grown"
        finally:
            over.set()
            care.join()


def test_who_is_silent_hangs_but_not_while_nobody_came_round(tmp_path: Path) -> None:
    """A virtual machine that stands still for a minute wakes up whole: nothing is killed."""
    process = processes.Process("line", "inspector.line.process", beat_limit_s=5.0)
    child = processes._Child(process, Beat(tmp_path / "line.beat"))
    now = time.monotonic()
    child.started = now - 600
    child.beat.beat()
    assert not processes._hangs(child, now, awake=now - 600)

    child.beat._instant.value = time.monotonic_ns() - 60_000_000_000
    assert processes._hangs(child, now, awake=now - 600)
    assert not processes._hangs(child, now, awake=now - 4)
    assert processes._hangs(child, now, awake=now - 6)


def test_who_never_began_hangs_once_its_start_has_taken_too_long(tmp_path: Path) -> None:
    process = processes.Process("line", "inspector.line.process")
    child = processes._Child(process, Beat(tmp_path / "line.beat"))
    now = time.monotonic()
    child.started = now - processes.START_S + 1
    assert not processes._hangs(child, now, awake=now - 600)
    child.started = now - processes.START_S - 1
    assert processes._hangs(child, now, awake=now - 600)


@pytest.mark.parametrize("how", ["dies", "hangs at its end"])
def test_the_output_of_a_killed_line_falls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """(I2) A gate that it held open would stay so until the next one has loaded its models."""
    monkeypatch.setattr(processes, "STOP_S", 0.1)
    (gate := tmp_path / "gate").write_text("1")
    process = processes.Process("line", "inspector.line.process", lets_fall=gate)
    child = processes._Child(process, Beat(tmp_path / "line.beat"))
    child.beat.beat()
    child.popen = subprocess.Popen(["sh", "-c", "trap '' TERM; echo; exec sleep 60"], stdout=-1)
    with child.popen as popen:
        assert popen.stdout is not None and popen.stdout.read(1)
        if how == "dies":
            popen.kill()
            popen.wait()
            processes._tend(child, tmp_path, tmp_path, time.monotonic())
        else:
            processes._stop(child)
    assert gate.read_text() == "0\n"


def test_the_output_falls_where_the_supervisor_is_killed_and_its_line_with_it(
    tmp_path: Path,
) -> None:
    """(I2) Nobody was left to close the gate, and all that came after went through it."""
    (gate := tmp_path / "the gate").write_text("1")
    words = "import sys, time\nfrom pathlib import Path\nfrom inspector.processes import heir\n"
    words += "heir(Path(sys.argv[1]))\nprint(flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", words, str(gate)], stdout=-1) as supervisor:
        assert supervisor.stdout is not None and supervisor.stdout.readline()
        assert gate.read_text() == "1"
        supervisor.kill()
    end = time.monotonic() + 20
    while gate.read_text() != "0\n":
        assert time.monotonic() < end, "the gate stays open"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("calendar", "offset"),
    [({"timezone": "Asia/Shanghai"}, "+08:00"), ({"day_starts": "06:00"}, "+05:30")],
)
def test_a_stations_day_is_that_of_its_calendar_and_else_the_machines(
    calendar: dict[str, str], offset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine on UTC judged dates by yesterday until eight in the morning in Shanghai."""
    (tmp_path / "told.py").write_text(
        "import datetime, sys\n"
        "day = datetime.datetime.fromtimestamp(0).astimezone()\n"
        "open(sys.argv[1], 'w').write(day.isoformat()[-6:])\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    station: Any = SimpleNamespace(calendar=Calendar.model_validate(calendar))
    process = processes.Process("told", "told")
    child = processes._Child(process, Beat(tmp_path / "beat"), processes.zone_of(station))
    processes._start(child, tmp_path / "said", tmp_path)
    assert child.popen is not None and child.popen.wait(20) == 0
    assert (tmp_path / "said").read_text() == offset


def test_a_zone_that_the_systems_library_does_not_know_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be taken for UTC, without a word."""
    monkeypatch.setattr(processes, "ZONES", tmp_path)
    station: Any = SimpleNamespace(calendar=Calendar(timezone="Asia/Shanghai"))
    assert processes.zone_of(station) == ""


def test_it_rests_until_something_is_due_and_no_longer_than_a_round(tmp_path: Path) -> None:
    process = processes.Process("line", "inspector.line.process", beat_limit_s=5.0)
    well, silent, waiting = (
        processes._Child(process, Beat(tmp_path / f"{name}.beat")) for name in ("a", "b", "c")
    )
    now, round_s = time.monotonic(), processes.ROUND_S
    well.popen = silent.popen = subprocess.Popen(["true"])
    well.popen.wait()
    well.beat._instant.value = time.monotonic_ns() + 3_600_000_000_000  # however slow we are
    silent.beat._instant.value = time.monotonic_ns() - 4_700_000_000
    waiting.due = now + 0.2
    assert processes._rest_s([], now, now - 600) == round_s
    assert processes._rest_s([well], now, now - 600) == round_s
    assert processes.LEAST_S <= processes._rest_s([well, silent], now, now - 600) <= 0.3
    assert processes._rest_s([well, waiting], now, now - 600) == pytest.approx(0.2)
    waiting.due = now - 1
    assert processes._rest_s([waiting], now, now - 600) == processes.LEAST_S


def test_a_station_without_scada_lets_go_of_how_far_a_broker_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process of SCADA's runs then: MQTT that came again was told of all the months between."""
    station = SimpleNamespace(data=tmp_path, scada=None, calendar=Calendar())
    monkeypatch.setattr(processes, "load_station", lambda path: station)
    monkeypatch.setattr(processes, "_in_a_child", lambda work: "")
    monkeypatch.setattr(processes.logs, "keep", lambda *given: None)
    monkeypatch.setattr(processes, "table", lambda _: os.kill(os.getpid(), signal.SIGTERM) or ())
    (tmp_path / PLAIN).write_text('{"line": 17}')
    assert processes.run(tmp_path / "station.yaml") == 0
    assert not (tmp_path / PLAIN).exists()
