"""The conveyor test in simulated time: belt, PLC, cameras, and the station's own tracking and
matching, a thousand bad parts between two good ones at minimum pitch (I2)."""

from __future__ import annotations

import random
from typing import Any

import pytest

from inspector.config import Travel
from inspector.line.plcmatching import PlcMatching
from inspector.line.tracking import Zone
from inspector.part import Frame, Part
from inspector.registers import (
    DECISIONS,
    EMPTY_SLOT,
    Action,
    Decision,
    PlcStatus,
    StationBit,
    pack_station,
)
from inspector.virtual.judge import Judge, Truth
from inspector.virtual.machine import Machine, Program
from inspector.virtual.rig import Feed, Rig, Scheduled
from inspector.virtual.wire import Fault

MS = 1_000_000
GOOD, BAD = Truth("", ()), Truth("", ("bad",), critical=True)
SPEED, PITCH, GATE = 500.0, 20.0, 300.0
VIEWS = {"side": 0, "code": 7_000_000_000}
"""How far each camera's own clock is ahead."""
TIMEOUT_NS = 100 * MS
POLL_NS = 10 * MS


class Simulation:
    """A line at minimum pitch, and a station of the real parts that has all the time it needs.

    Ring, sequence and heartbeat are written here again, for in ``line/plcgate.py`` they wait for
    real sockets; the trials beside this file are about those.
    """

    def __init__(self, count: int, schedule: list[Scheduled], seed: int = 1) -> None:
        machine = Machine(item_mm=15, gate_mm=GATE, window_mm=8)
        program = Program(scan_ms=2, pitch_min_mm=18, longest_mm=18)
        self.dice = random.Random(seed)
        self.now_ns = 0
        self.rig = Rig(
            machine, program, Feed(pitch_mm=PITCH, count=count), Judge([GOOD, BAD]), self.pulse,
            speed_mm_s=SPEED, schedule=schedule, seed=seed, start_ns=0,
        )  # fmt: skip
        self.frames: list[tuple[int, Frame]] = []
        self.films: dict[int | None, int] = {}
        """What each edge exposed."""
        self.edges = 0
        travel = Travel(gate_mm=GATE, speed_mm_s=SPEED, pitch_min_mm=18, lead_ms=30)
        self.zone = Zone(travel)
        self.matching = PlcMatching(
            dict.fromkeys(VIEWS, TIMEOUT_NS), round(18 / SPEED * 1e9),
            lambda number: Part("s", number, 0, 0), lambda number: tuple(VIEWS),
        )  # fmt: skip
        self.refused: set[int] = set()
        self.decided: dict[int, Action] = {}
        self.waiting: list[int] = []
        self.ring = [EMPTY_SLOT] * DECISIONS
        self.sequence = self.heartbeat = 0
        self.errors = 0

    def pulse(self, t_ns: int, film: int, fault: Fault, argument: int, cameras: int) -> int:
        """Both cameras expose; their pictures come some ms later, in any order of the two."""
        self.edges += 1
        for view, ahead_ns in VIEWS.items():
            host_ns = t_ns + round(self.dice.uniform(2, 25) * MS)
            frame = Frame(view, self.edges, self.edges, t_ns + ahead_ns, host_ns)
            self.films[frame.edge] = film
            if fault is Fault.NONE:
                self.frames.append((host_ns, frame))
        return t_ns

    def play(self) -> dict[str, Any]:
        self.rig.start(0)
        while not self.rig.done:
            self.now_ns += POLL_NS
            self.rig.step(self.now_ns)
            self.take_frames()
            self.take_plc()
            self.judge()
            self.write()
        return self.rig.report()

    def take_frames(self) -> None:
        due = sorted((f for f in self.frames if f[0] <= self.now_ns), key=lambda f: f[0])
        self.frames = [f for f in self.frames if f[0] > self.now_ns]
        for _, frame in due:
            self.matching.frame(frame)

    def take_plc(self) -> None:
        status = PlcStatus.unpack(self.rig.plc.status())
        update = self.zone.update(status, self.now_ns)
        if update.new_run:
            self.matching.open(status.part_counter, self.now_ns)
        self.refused.update(update.refused)
        for number in update.refused:
            if self.decided.get(number) is Action.PERMIT:
                self.decide(number, Action.REVOKE)
        if update.lost:
            self.matching.lost(update.lost, self.now_ns)
        for seen in update.seen:
            self.matching.trigger(seen.number, seen.trigger_ns, seen.deadline_ns)
        self.matching.told(self.zone.clock.here(status.plc_ms))
        self.status = status

    def judge(self) -> None:
        while (candidate := self.matching.complete()) is not None:
            films = {self.films[f.edge] for f in candidate.part.frames.values()}
            assert len(films) == 1, "pictures of two parts were put together"
            candidate.given = True
            candidate.judgement = films.pop()
        for number, candidate in list(self.matching.parts.items()):
            late = self.now_ns - candidate.part.trigger_ns > TIMEOUT_NS
            if candidate.judgement is not None and candidate.certain:
                good = candidate.judgement == 0 and number not in self.refused
                self.decide(number, Action.PERMIT if good else Action.REJECT)
            elif candidate.triggered and (candidate.doubt or late):
                self.decide(number, Action.REJECT)
                self.errors += 1
            else:
                continue
            del self.matching.parts[number]

    def decide(self, number: int, action: Action) -> None:
        self.decided[number] = action
        self.waiting.append(number)

    def write(self) -> None:
        while self.waiting and self.sequence - self.status.acknowledged < DECISIONS:
            number = self.waiting.pop(0)
            self.sequence += 1
            packed = Decision(self.sequence, number, self.decided[number]).pack()
            self.ring[(self.sequence - 1) % DECISIONS] = packed
        self.heartbeat += 1
        block = pack_station(self.heartbeat, StationBit.READY, 0, self.ring, self.status.run)
        self.rig.plc.station(self.now_ns, 0, block)


def at(part: int, do: str, **arguments: Any) -> Scheduled:
    return Scheduled.model_validate({"at_part": part, "do": do, **arguments})


GENTLE: list[dict[str, Any]] = [
    {"do": "speed", "mm_s": 250.0},
    {"do": "stop", "ms": 100},
    {"do": "speed", "mm_s": 500.0},
    {"do": "jog", "mm": 33, "mm_s": 200},
    {"do": "reverse", "mm": 4},
    {"do": "speed", "mm_s": 400.0},
    {"do": "speed", "mm_s": 500.0},
]
ROUGH: list[dict[str, Any]] = [
    *GENTLE,
    {"do": "reverse", "mm": 70},
    {"do": "jam", "ms": 150},
    {"do": "estop", "ms": 300},
    {"do": "encoder_lost", "ms": 200},
    {"do": "encoder_jump", "mm": 150},
    {"do": "encoder_jump", "mm": -15},
    {"do": "bounce", "mm": 12},
    {"do": "touch"},
    {"do": "remove", "mm": 120},
    {"do": "insert", "mm": 130, "film": 1},
    {"do": "drop"},
    {"do": "drop"},
]


def test_a_thousand_bad_parts_leave_and_their_neighbours_stay() -> None:
    schedule = [at(part, **GENTLE[i % len(GENTLE)]) for i, part in enumerate(range(30, 2000, 41))]
    simulation = Simulation(2001, schedule)

    report = simulation.play()

    assert (report["gate_passed"], report["gate_rejects"]) == (1001, 1000), report
    assert (report["escapes"], report["false_rejects"], report["clashes"]) == (0, 0, 0)
    assert simulation.errors == 0


@pytest.mark.parametrize("seed", range(8))
def test_whatever_befalls_the_line_nothing_bad_or_unjudged_passes(seed: int) -> None:
    dice = random.Random(seed)
    schedule = [at(part, **dice.choice(ROUGH)) for part in range(20, 980, dice.randint(17, 45))]
    simulation = Simulation(1000, schedule, seed)

    report = simulation.play()

    assert report["escapes"] == 0, report["last"]["escapes"]
    assert report["unjudged_passed"] == 0
    assert report["gate_passed"] > 50, report
