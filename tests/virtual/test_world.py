"""The world as a process: it runs by the clock, judges from outside, outlives its station. (S18)"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import ModbusTcpClient

from inspector.config import ConfigError
from inspector.registers import (
    DECISIONS,
    EMPTY_SLOT,
    PLC_BLOCK,
    PLC_REGISTERS,
    STATION_BLOCK,
    Action,
    Decision,
    PlcStatus,
    Signal,
    StationBit,
    pack_station,
)
from inspector.virtual.conveyor import Conveyor
from inspector.virtual.judge import Judge, Truth, TruthError, read_truth
from inspector.virtual.machine import Machine
from inspector.virtual.wire import ENTRIES, SIZE, Fault
from inspector.virtual.world import Process, control, load_world

DEADLINE_S = 4.0
FILM = 20
"""Parts of the test's film; every fifth is bad."""


def write_film_set(folder: Path) -> Path:
    folder.mkdir()
    truth = folder / "truth.json"
    bad = [{"label": "cap_missing", "severity": "critical", "view": "side", "box": [0, 0, 1, 1]}]
    parts = [{"product": "p", "defects": bad if i % 5 == 0 else []} for i in range(FILM)]
    truth.write_text(json.dumps(parts))
    truth.chmod(0o600)
    return folder


class Station:
    """The least station there is: pymodbus' client, permits for good numbers, rejects else."""

    def __init__(self, port: int) -> None:
        self.client = ModbusTcpClient("127.0.0.1", port=port, timeout=0.5, retries=0)
        self.ring = [EMPTY_SLOT] * DECISIONS
        self.heartbeat = 0
        self.decided: int | None = None
        self.status: PlcStatus | None = None
        self.sequence = 0

    def join(self) -> None:
        """Continue where the PLC stands, as a station that starts does."""
        answer = self.client.read_holding_registers(PLC_BLOCK, count=PLC_REGISTERS)
        self.status = PlcStatus.unpack(struct.pack(f">{PLC_REGISTERS}H", *answer.registers))
        self.sequence = self.status.acknowledged
        self.decided = self.status.part_counter if self.decided is None else self.decided

    def exchange(self) -> PlcStatus:
        if self.status is None:
            self.join()
        assert self.status and self.decided is not None
        if self.sequence - self.status.acknowledged < DECISIONS // 2:
            for part in range(self.decided + 1, self.status.part_counter + 1)[:4]:
                good = (part - 1) % FILM % 5 != 0
                self.sequence += 1
                action = Action.PERMIT if good else Action.REJECT
                packed = Decision(self.sequence, part, action).pack()
                self.ring[(self.sequence - 1) % DECISIONS] = packed
                self.decided = part
        self.heartbeat += 1
        block = pack_station(self.heartbeat, StationBit.READY, 0, self.ring, self.status.run)
        answer = self.client.readwrite_registers(
            read_address=PLC_BLOCK, read_count=PLC_REGISTERS,
            write_address=STATION_BLOCK, values=list(struct.unpack(f">{len(block) // 2}H", block)),
        )  # fmt: skip
        self.status = PlcStatus.unpack(struct.pack(f">{PLC_REGISTERS}H", *answer.registers))
        return self.status

    def work(self, until: Callable[[PlcStatus], bool], seconds: float = DEADLINE_S) -> PlcStatus:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if until(status := self.exchange()):
                return status
            time.sleep(0.005)
        raise AssertionError(f"the world did not get there: {self.status}")

    def close(self) -> None:
        self.client.close()


class Running:
    """A world process in a folder of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        write_film_set(folder / "film")
        self.run = folder / "run"
        self.file = folder / "w.yaml"
        base = {"film": "film", "run": "run", "port": 0, "rate": 25, "seed": 3}
        machine = {"gate_mm": 600}
        document = base | {"machine": machine} | settings
        self.file.write_text(json.dumps(document))  # JSON is YAML
        self.process = subprocess.Popen(
            [sys.executable, "-m", "inspector.virtual.world", str(self.file), "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        facts = self.run / "world.json"
        wait_for(lambda: facts.exists() or self.process.poll() is not None, 15.0)
        assert self.process.poll() is None, self.process.communicate()[1]
        self.facts = json.loads(facts.read_text())

    def do(self, do: str, **arguments: Any) -> dict[str, Any]:
        answer = control(self.run, do, **arguments)
        assert answer["ok"], answer
        return answer

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = self.do("report")["report"]
        return report

    def end(self) -> dict[str, Any]:
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=10)
        assert self.process.returncode == 0, err
        report: dict[str, Any] = json.loads(out.splitlines()[-1])
        return report

    def pulses(self) -> list[tuple[int, int, int]]:
        """``(number, film index, fault)`` of the pulses that the wire still holds."""
        raw = Path(self.facts["wire"]).read_bytes()
        assert len(raw) == SIZE
        entries = [struct.unpack_from("=QQQII", raw, 64 + 64 * i) for i in range(ENTRIES)]
        return sorted((e[0], e[1], e[3]) for e in entries if e[0])


def wait_for(what: Callable[[], bool], seconds: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """A world process; `@world(...)` above a test gives its settings."""
    process = Running(tmp_path, **getattr(request, "param", {}))
    yield process
    if process.process.poll() is None:
        process.process.kill()
    process.process.communicate()


def world(**settings: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("running", [settings], indirect=True, ids=[""])


@world(feed={"count": 30})
def test_the_world_waits_for_ready_and_counts_what_truly_went_where(running: Running) -> None:
    assert running.report()["state"] == "waiting"

    station = Station(running.facts["port"])
    station.work(lambda s: s.gate_part == 30)
    station.close()
    wait_for(lambda: running.report()["state"] == "done")
    report = running.end()

    assert (report["triggers"], report["decided"]) == (30, 30)
    assert (report["gate_passed"], report["gate_rejects"]) == (24, 6)
    assert report["parts_per_s"] == pytest.approx(25, abs=1)
    assert (report["defective"], report["escapes"], report["false_rejects"]) == (6, 0, 0)
    assert report["unjudged_passed"] == 0
    assert report["defective_by_label"] == {"cap_missing": 6}
    latency = report["latency_ms"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"] + 0.1
    assert json.loads((running.run / "report.json").read_text()) == report
    assert [(n, film) for n, film, _ in running.pulses()] == [(i + 1, i % 20) for i in range(30)]


def test_the_world_goes_on_while_its_station_is_dead_and_rejects(running: Running) -> None:
    station = Station(running.facts["port"])
    station.work(lambda s: s.gate_part > 5)
    station.close()  # as dead as kill -9 makes it: nothing is said
    before = running.report()
    wait_for(lambda: running.report()["gate_rejects"] > before["gate_rejects"] + 10)
    dead = running.report()

    again = Station(running.facts["port"])
    again.work(lambda s: running.report()["gate_passed"] > dead["gate_passed"])
    again.close()
    report = running.end()

    assert dead["triggers"] > before["triggers"]
    assert report["gate_passed"] > dead["gate_passed"]
    assert report["unjudged_passed"] == report["escapes"] == 0


def test_a_cut_and_a_slow_link_can_be_ordered_live(running: Running) -> None:
    address = ("127.0.0.1", running.facts["port"])
    ask = struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, PLC_BLOCK, 1)
    with socket.create_connection(address, 2) as line:
        line.sendall(ask)
        assert line.recv(64)
        running.do("cut", ms=200)
        assert line.recv(64) == b""

    def back() -> bool:
        try:
            socket.create_connection(address, 1).close()
        except ConnectionRefusedError:
            return False
        return True

    wait_for(back)
    running.do("slow", ms=60)
    station = Station(running.facts["port"])
    station.join()
    begun = time.monotonic()
    station.exchange()
    station.close()
    assert time.monotonic() - begun >= 0.06


@world(schedule=[{"at_part": 7, "do": "freeze", "cameras": 2}])
def test_faults_ordered_live_reach_the_signals_and_the_wire(running: Running) -> None:
    station = Station(running.facts["port"])
    station.work(lambda s: s.part_counter > 2)
    running.do("air_low")
    running.do("bin_full", ms=100)
    running.do("drop")
    station.work(lambda s: not s.signals & Signal.AIR_OK and bool(s.signals & Signal.BIN_FULL))
    station.work(lambda s: not s.signals & Signal.BIN_FULL and s.part_counter > 9)
    running.do("stop")
    status = station.work(lambda s: not s.signals & Signal.LINE_RUNNING)
    running.do("start")
    station.work(lambda s: s.part_counter > status.part_counter)
    station.close()

    faults = {fault & 0xFF: number for number, _, fault in running.pulses()}
    assert faults[Fault.FREEZE] == 7
    assert Fault.DROP in faults
    assert Fault.FREEZE | 2 << 8 in {fault for _, _, fault in running.pulses()}


@world(start="hand")
def test_a_wrong_order_is_answered_and_changes_nothing(running: Running) -> None:
    assert "do" in control(running.run, "explode")["error"]
    assert "mm_s" in control(running.run, "speed", mm_s=-1)["error"]
    assert "the gate begins at" in control(running.run, "insert", mm=5000)["error"]
    assert running.report()["state"] == "waiting"


def test_who_orders_something_after_a_pause_finds_the_belt_where_it_stood(tmp_path: Path) -> None:
    write_film_set(tmp_path / "film")
    world_file = tmp_path / "w.yaml"
    world_file.write_text("film: film\nrun: run\nport: 0\nrate: 25\nmachine: {gate_mm: 600}\n")
    process = Process(load_world(world_file))
    process.rig.start(process.clock())
    process._due_ns = process.rig.step(process.clock())
    stood_mm = process.rig.belt.mm()

    process._offset_ns -= 3_000_000_000  # the machine slept for so long, and the talker woke first
    answer = process._command(b'{"do": "air_low"}')

    assert answer == {"ok": True}
    assert process.rig.belt.mm() - stood_mm < 10.0
    assert process.report()["pauses"] == 1
    process._wire.close()
    process._loop.close()


def test_a_restarted_plc_is_a_new_run_and_passes_nothing_of_the_old_one(running: Running) -> None:
    station = Station(running.facts["port"])
    first = station.work(lambda s: s.gate_part > 5)
    running.do("restart_plc")
    second = station.work(lambda s: s.run != first.run)
    assert second.part_counter < first.part_counter
    station.close()
    assert running.end()["unjudged_passed"] == 0


@world(start="now", rate=50)
def test_triggers_are_on_time_and_the_world_is_cheap(running: Running) -> None:
    wait_for(lambda: running.report()["triggers"] > 5)
    before = running.report()
    time.sleep(1.5)
    after = running.report()
    running.end()

    cpu = (after["cpu_s"] - before["cpu_s"]) / (after["seconds"] - before["seconds"])
    assert after["pulse_late_ms"]["p50"] < 1.0
    assert cpu <= 0.15
    rate = (after["triggers"] - before["triggers"]) / (after["seconds"] - before["seconds"])
    assert rate == pytest.approx(50, abs=1.5)


@world(start="hand")
def test_the_worlds_folder_is_its_own(running: Running) -> None:
    assert running.run.stat().st_mode & 0o777 == 0o700
    assert (running.run / "control").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_a_stranger_cannot_read_the_truth() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        film = write_film_set(Path(folder) / "film")
        film.chmod(0o755)
        answer = subprocess.run(
            ["cat", film / "truth.json"],
            user=65534, group=65534, extra_groups=[], capture_output=True, text=True,
        )  # fmt: skip
    assert answer.returncode == 1
    assert "ermission denied" in answer.stderr


def test_a_truth_that_others_may_read_is_refused(tmp_path: Path) -> None:
    film = write_film_set(tmp_path / "film")
    (film / "truth.json").chmod(0o640)
    with pytest.raises(TruthError, match="chmod 600"):
        read_truth(film)


def test_the_worlds_mistakes_are_named_without_a_traceback(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("film: film\nrate: 20\nmachine:\n  gate_m: 1000\n")
    answer = subprocess.run(
        [sys.executable, "-m", "inspector.virtual.world", str(file)],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert answer.returncode == 2
    assert f"{file}:4: machine.gate_m: unknown field; did you mean `gate_mm`?" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate: 20\nspeed_mm_s: 100\n", "either `rate`"),
        ("rate: 20\nfeed: {pitch_mm: 20}\n", "would touch"),
        ("rate: 150\n", "lower the rate"),
        ("rate: 20\nmachine: {gate_eye_mm: 40}\n", "gate_eye_mm"),
        ("rate: 20\nschedule: [{do: stop}]\n", "at_part"),
        (
            "rate: 20\nschedule: [{at_s: 1, do: insert, mm: 994}]\n",
            "insert: the gate begins at 994 mm",
        ),
        (
            "rate: 20\nschedule: [{at_part: 9, do: drop}, {at_part: 9, do: freeze, cameras: 2}]\n",
            "part 9 has two pictures' faults",
        ),
    ],
)
def test_a_line_that_cannot_be_built_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("film: film\n" + text)
    with pytest.raises(ConfigError, match=message):
        load_world(file)


def test_the_shipped_world_fits_the_shipped_station() -> None:
    root = Path(__file__).parents[2]
    world = load_world(root / "station_configs" / "virtual" / "bottle-line.world.yaml")
    assert (world.machine.gate_mm, world.belt_mm_s) == (1000.0, 1000.0)
    assert world.port == 5020


# -- the judge ------------------------------------------------------------------------------


def test_what_the_flap_hit_is_counted_on_the_side_that_hurts() -> None:
    judge = Judge([Truth("p", ()), Truth("p", ("tear",))])
    belt = Conveyor(Machine())
    for film in (0, 1):
        judge.exit(belt.place(0.0, film), None)
    report = judge.report()
    assert (report["clashes"], report["escapes"], report["false_rejects"]) == (2, 1, 1)


def test_another_product_is_a_defect_of_the_one_being_made() -> None:
    judge = Judge([Truth("juice", ())], product="water")
    judge.exit(Conveyor(Machine()).place(0.0, 0), True)
    report = judge.report()
    assert report["escapes_by_label"] == {"wrong_product": 1}
    assert report["unjudged_passed"] == 1
