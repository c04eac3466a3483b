"""The world: conveyor, trigger, PLC, gate and ground truth of the virtual line, as one process.

A world file comes in; pulses go out on the wire, the PLC's blocks over Modbus, and the judge's
report as JSON. It knows nothing of the station but what crosses those two cables, outlives it,
and counts at the gate what truly went where.
``python -m inspector.virtual.world WORLD.yaml [--json]``; imported by the demo and tests only.

Two threads: the belt's sleeps until its next event, so that a trigger is a fraction of a
millisecond late at most; the other one talks (Modbus, the control socket, the report file).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from inspector.config import ConfigError, Settings, load_yaml
from inspector.virtual.judge import Judge, Spread, TruthError, read_truth
from inspector.virtual.machine import Machine, Program
from inspector.virtual.rig import FRAME_FAULTS, Act, Feed, Rig, Scheduled
from inspector.virtual.slave import Slave
from inspector.virtual.wire import Fault, Wire

REPORT_S = 0.5
PAUSE_NS = 500_000_000
"""A world that was not scheduled for so long halts its belt for that time, for no real belt runs
on in bursts; the report counts it."""


class World(Settings):
    """One virtual line."""

    film: Path
    """The film set: a folder with ``truth.json``, which only the world may read (mode 0600)."""
    run: Path = Path("../../data/world")
    """The world's own folder (made, mode 0700): report, control socket, wire."""
    wire: Path | None = None
    """The cameras' cable; by default ``wire`` in ``run``."""
    host: str = "127.0.0.1"
    port: int = Field(5020, ge=0, le=65535)
    """The PLC's Modbus TCP port; 0 takes any free one, named in ``run/world.json``."""
    rate: float | None = Field(None, gt=0, le=1000)
    """Parts per second, which sets the speed …"""
    speed_mm_s: float | None = Field(None, gt=0, le=100_000)
    """… or the speed itself."""
    feed: Feed = Feed()
    machine: Machine = Machine()
    program: Program = Program()
    product: str = ""
    """What is being made; any other product of the film counts as a defect. Empty: all are."""
    schedule: list[Scheduled] = Field(default_factory=list)
    """What happens to the line, and when."""
    start: Literal["ready", "now", "hand"] = "ready"
    """When the belt starts: when the station first says ready, at once, or by a ``start``."""
    camera_trigger: Literal["plc", "eye"] = "plc"
    """What pulses the cameras: the PLC for each part it counts, or each edge of the bare eye."""
    run_for_s: float = Field(0.0, ge=0)
    """Ends after so long; 0 is not."""
    when_done: Literal["stay", "exit"] = "stay"
    """After the last part: keep the PLC alive until SIGTERM, or end."""
    seed: int = 0

    @model_validator(mode="after")
    def _fits(self) -> World:
        if (self.rate is None) == (self.speed_mm_s is None):
            raise ValueError("give either `rate` (parts per second) or `speed_mm_s`")
        spoilt = Counter(s.at_part for s in self.schedule if s.at_part and s.do in FRAME_FAULTS)
        if twice := [part for part, times in spoilt.items() if times > 1]:
            raise ValueError(f"part {twice[0]} has two pictures' faults: a pulse carries one")
        for act in self.schedule:
            self.check(act)
        if self.machine.item_mm >= self.program.longest_mm:
            raise ValueError("`program.longest_mm` must exceed `machine.item_mm`")
        if self.feed.pitch_mm <= self.machine.item_mm:
            raise ValueError("`feed.pitch_mm` must exceed `machine.item_mm`: parts would touch")
        if self.feed.pitch_mm < self.machine.window_mm / 2 + self.reach_mm:
            raise ValueError(
                f"the flap needs {self.machine.window_mm / 2 + self.reach_mm:.0f} mm of pitch at "
                "this speed; lower the rate, `machine.window_mm`, `switch_ms` or `scan_ms`"
            )
        if self.machine.gate_eye_mm < self.program.longest_mm + self.reach_mm:
            raise ValueError(
                "`machine.gate_eye_mm` must be at least "
                f"{self.program.longest_mm + self.reach_mm:.0f}: the gate's eye must have seen a "
                "whole part before the flap moves for it"
            )
        return self

    def check(self, act: Act) -> None:
        """``ValueError`` for a part put behind the gate: it would be on its way for ever."""
        gate_mm = self.machine.gate_mm - self.machine.window_mm / 2
        if act.do == "insert" and act.mm >= gate_mm:
            raise ValueError(
                f"insert: the gate begins at {gate_mm:g} mm; a part at {act.mm:g} never came to it"
            )

    @property
    def belt_mm_s(self) -> float:
        return self.speed_mm_s or (self.rate or 0.0) * self.feed.pitch_mm

    @property
    def reach_mm(self) -> float:
        """How far before the gate the PLC must decide: half a window, the swing and a cycle."""
        m, p = self.machine, self.program
        swing_s, ramp_s = (m.switch_ms + 1.5 * p.scan_ms) / 1e3, 8 * p.scan_ms / 1e3
        swing_mm = (self.belt_mm_s + m.accel_mm_s2 * ramp_s) * swing_s
        return m.window_mm / 2 + 2 * p.slack_mm + swing_mm + 2 * self.feed.jitter_mm


def load_world(path: Path) -> World:
    """The world of a file, its relative paths resolved from there. Raises ``ConfigError``."""
    world = load_yaml(path, World)
    base = path.resolve().parent
    update: dict[str, Any] = {"film": base / world.film, "run": base / world.run}
    if world.wire:
        update["wire"] = base / world.wire
    return world.model_copy(update=update)


class Process:
    """A world that runs by the wall clock. ``run`` returns the final report."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ending = threading.Event()
        self._lock = threading.Lock()
        self._offset_ns = 0
        self._pauses = 0
        self._late = Spread()
        world.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        world.run.chmod(0o700)
        for stale in ("world.json", "report.json"):
            (world.run / stale).unlink(missing_ok=True)
        self.wire_path = world.wire or world.run / "wire"
        self._wire = Wire.create(self.wire_path)
        self._judge = Judge(read_truth(world.film), world.product)
        self._start_ns = self._due_ns = self.clock()
        self.rig = Rig(
            world.machine, world.program, world.feed, self._judge, self._pulse,
            speed_mm_s=world.belt_mm_s, schedule=world.schedule, seed=world.seed,
            start_ns=self._start_ns, camera_trigger=world.camera_trigger,
        )  # fmt: skip
        self.rig.link = self._link
        self.rig.turn = self._turn
        self._slave = Slave(world.host, world.port, self._status, self._station)
        self._loop = asyncio.new_event_loop()
        self._jobs: set[asyncio.Task[None]] = set()
        self._listening = threading.Event()
        self._failure: BaseException | None = None

    def clock(self) -> int:
        """The world's monotonic clock: the machine's, less the time it was not scheduled."""
        return time.monotonic_ns() - self._offset_ns

    def _now(self) -> int:
        """The clock, for who holds the lock and lets something happen. A pause is taken out of it
        by whichever thread wakes first: the other would find the belt far on already."""
        now_ns = self.clock()
        if now_ns - self._due_ns > PAUSE_NS:
            self._offset_ns += now_ns - self._due_ns
            self._pauses += 1
            now_ns = self._due_ns
        return now_ns

    # -- the belt's thread ------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Runs until SIGTERM, ``run_for_s`` or the last part. Raises ``OSError`` for the port."""
        talker = threading.Thread(target=self._talk, name="talk")
        talker.start()
        self._listening.wait()
        try:
            if self._failure:
                raise self._failure
            self._announce()
            gc.collect()
            gc.freeze()
            self._belt()
        finally:
            self.ending.set()
            self._loop.call_soon_threadsafe(lambda: None)
            talker.join()
            self._wire.close()
        report = self.report()
        _write(self.world.run / "report.json", report)
        return report

    def _belt(self) -> None:
        world, rig = self.world, self.rig
        end_ns = self._start_ns + round(world.run_for_s * 1e9) if world.run_for_s else 1 << 62
        self._due_ns = self.clock()
        while not self.ending.is_set():
            with self._lock:
                now_ns = self._now()
                if rig.started_ns is None and self._may_start(now_ns):
                    rig.start(now_ns)
                self._due_ns = rig.step(now_ns)
            if now_ns >= end_ns or (world.when_done == "exit" and rig.done):
                return
            wait_ns = self._due_ns - self.clock()
            if wait_ns > 0:
                time.sleep(wait_ns * 1e-9)

    def _may_start(self, now_ns: int) -> bool:
        start = self.world.start
        return start == "now" or (start == "ready" and self.rig.plc.listening(now_ns))

    def _pulse(self, t_ns: int, film: int, fault: Fault, argument: int, cameras: int) -> int:
        self._wire.pulse(film, fault, argument, cameras, t_ns + self._offset_ns)
        sent_ns = self.clock()
        self._late.add((sent_ns - t_ns) / 1e6)
        return sent_ns

    def _turn(self, t_ns: int, count: int, film: int | None) -> None:
        self._wire.turn(count, film, t_ns + self._offset_ns)

    # -- the talking thread -----------------------------------------------------------------

    def _status(self) -> bytes:
        with self._lock:
            return self.rig.plc.status()

    def _station(self, offset: int, data: bytes) -> None:
        with self._lock:
            self.rig.plc.station(self._now(), offset, data)

    def _talk(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            self._failure = error
        finally:
            self._listening.set()
            self._loop.close()

    async def _serve(self) -> None:
        await self._slave.open()
        control = self.world.run / "control"
        control.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._attend, control)
        control.chmod(0o600)
        self._listening.set()
        while not self.ending.is_set():
            await asyncio.sleep(REPORT_S)
            # In a thread of its own: a stalled disk must not hold the PLC up.
            await asyncio.to_thread(_write, self.world.run / "report.json", self.report())
        server.close()
        for job in self._jobs:
            job.cancel()
        await self._slave.close()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One control connection: a JSON act per line, a JSON answer to each."""
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(json.dumps(self._command(line)).encode() + b"\n")
                await writer.drain()
        writer.close()

    def _command(self, line: bytes) -> dict[str, Any]:
        try:
            raw = json.loads(line)
            if raw == {"do": "report"}:
                return {"ok": True, "report": self.report()}
            if raw == {"do": "end"}:
                self.ending.set()
                return {"ok": True}
            act = Act.model_validate(raw)
            self.world.check(act)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            return {"ok": False, "error": f"{where}: {first['msg']}"}
        except ValueError as error:
            return {"ok": False, "error": str(error)}
        with self._lock:
            now_ns = self._now()
            self.rig.step(now_ns)
            self.rig.do(act, now_ns)
        return {"ok": True}

    def _link(self, act: Act) -> None:
        """May be called from either thread."""

        def begin() -> None:
            if act.do == "slow":
                self._slave.slow(act.ms if act.on else 0.0)
                return
            job = self._loop.create_task(self._slave.cut(act.ms))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)

        self._loop.call_soon_threadsafe(begin)

    # -- the report -------------------------------------------------------------------------

    def _announce(self) -> None:
        facts = {
            "pid": os.getpid(),
            "host": self.world.host,
            "port": self._slave.port,
            "wire": str(self.wire_path),
            "control": str(self.world.run / "control"),
            "report": str(self.world.run / "report.json"),
        }
        _write(self.world.run / "world.json", facts)

    def report(self) -> dict[str, Any]:
        """The judge's counts, and what the world itself cost."""
        with self._lock:
            now_ns = self.clock()
            rig, slave = self.rig, self._slave
            started_ns = rig.started_ns
            seconds = (now_ns - (started_ns or now_ns)) / 1e9
            state = "waiting" if started_ns is None else "done" if rig.done else "running"
            return {
                "state": state,
                "station_ready": rig.plc.listening(now_ns),
                **rig.report(),
                "seconds": round(seconds, 3),
                "pulse_late_ms": self._late.summary(),
                "pauses": self._pauses,
                "exchanges": slave.exchanges,
                "exchange_cpu_ms": round(slave.cpu_s * 1e3 / max(1, slave.exchanges), 3),
                "cpu_s": round(time.process_time(), 3),
            }


def control(run: Path, do: str, timeout_s: float = 5.0, **arguments: Any) -> dict[str, Any]:
    """Tells the world in ``run`` to do something now; its answer. Raises ``OSError``."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(timeout_s)
        line.connect(str(run / "control"))
        line.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
        with line.makefile("rb") as answers:
            answer: dict[str, Any] = json.loads(answers.readline())
    return answer


def _write(path: Path, value: dict[str, Any]) -> None:
    """Replaces a file in one step, so that a reader never sees half of it."""
    new = path.with_name(path.name + ".new")
    with contextlib.suppress(OSError):  # a full disk must not end the world
        new.write_text(json.dumps(value, ensure_ascii=False) + "\n", "utf-8")
        new.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Runs the world of a file until SIGTERM, then prints the report."""
    parser = argparse.ArgumentParser(prog="python -m inspector.virtual.world", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="print the report as one JSON line")
    options = parser.parse_args(arguments)
    with contextlib.suppress(OSError):
        os.nice(-10)  # bottles do not wait until a computer has time for them; needs the right to
    try:
        process = Process(load_world(options.file))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: process.ending.set())
        report = process.run()
    except (ConfigError, TruthError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(report, ensure_ascii=False), flush=True)
    else:
        for name, value in report.items():
            print(f"{name:>24}  {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
