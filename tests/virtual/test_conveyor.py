"""The conveyor test: the right part leaves, its neighbours stay, whatever the belt does.

The line runs in simulated time; in the station's place stands an oracle that knows the truth,
answers late, and writes its blocks register for register as a station does.
"""

from __future__ import annotations

import random
from itertools import groupby, pairwise
from typing import Any, Literal

import pytest

from inspector.config import Travel
from inspector.line.tracking import Zone
from inspector.registers import (
    DECISIONS,
    EMPTY_SLOT,
    Action,
    Decision,
    PlcStatus,
    Signal,
    StationBit,
    pack_station,
)
from inspector.virtual.conveyor import Conveyor, Crossing, Point
from inspector.virtual.flap import Flap
from inspector.virtual.judge import Judge, Truth
from inspector.virtual.machine import Machine, Program
from inspector.virtual.rig import Act, Feed, Rig, Scheduled
from inspector.virtual.wire import Fault

MS = 1_000_000
GOOD, BAD = Truth("bottle", ()), Truth("bottle", ("cap_missing",), critical=True)
ALTERNATING = [GOOD, BAD]


class Line:
    """A line at minimum pitch (15 mm parts every 20 mm, gate at 300 mm) and its oracle."""

    def __init__(
        self, truth: list[Truth], count: int = 0, schedule: list[Scheduled] | None = None,
        *, seed: int = 1, pitch: float = 20.0, speed: float = 500.0, think_ms: float = 30.0,
        camera_trigger: Literal["plc", "eye"] = "plc", **machine: Any,
    ) -> None:  # fmt: skip
        self.films: list[int] = []
        """Film index of each pulse since the PLC's run began; the n-th is part n."""
        self.faults: list[Fault] = []
        """Of each pulse, too."""
        built = Machine(**{"item_mm": 15, "gate_mm": 300, "window_mm": 8} | machine)
        self.rig = Rig(
            built, Program(scan_ms=2, pitch_min_mm=18, longest_mm=18),
            Feed(pitch_mm=pitch, count=count), Judge(truth), self._pulse, speed_mm_s=speed,
            schedule=schedule or [], seed=seed, start_ns=0, camera_trigger=camera_trigger,
        )  # fmt: skip
        self.now_ns = 0
        self.ready = True
        self.heartbeat = 0
        self.think_ns = round(think_ms * MS)
        self.ring = [EMPTY_SLOT] * DECISIONS
        self.sequence = 0
        self.waiting: list[tuple[int, int, Action]] = []
        self.seen = Signal(0)
        """Every signal that ever stood."""
        self.status = PlcStatus.unpack(self.rig.plc.status())

    def _pulse(self, t_ns: int, film: int, fault: Fault, *_: object) -> int:
        self.films.append(film)
        self.faults.append(fault)
        good = not self.rig.judge.truth[film].defects
        action = Action.PERMIT if good else Action.REJECT
        self.waiting.append((t_ns + self.think_ns, len(self.films), action))
        return t_ns

    def exchange(self) -> None:
        if self.ready:
            self.heartbeat += 1
            while self.waiting and self.waiting[0][0] <= self.now_ns:
                if self.sequence - self.status.acknowledged >= DECISIONS:
                    break
                _, part, action = self.waiting.pop(0)
                self.decide(part, action)
        bits = StationBit.READY if self.ready else StationBit(0)
        block = pack_station(self.heartbeat, bits, 0, self.ring, self.status.run)
        self.rig.plc.station(self.now_ns, 0, block)
        self.status = PlcStatus.unpack(self.rig.plc.status())
        self.seen |= self.status.signals

    def decide(self, part: int, action: Action) -> None:
        self.sequence += 1
        packed = Decision(self.sequence, part, action).pack()
        self.ring[(self.sequence - 1) % DECISIONS] = packed

    def play(self, seconds: float = 3600.0, poll_ms: float = 5.0) -> dict[str, Any]:
        """Runs until all parts have left, or for so long."""
        if self.rig.started_ns is None:
            self.rig.start(self.now_ns)
        end_ns = self.now_ns + round(seconds * 1e9)
        while self.now_ns < end_ns and not self.rig.done:
            self.now_ns += round(poll_ms * MS)
            self.rig.step(self.now_ns)
            self.exchange()
        return self.rig.report()

    def do(self, do: str, **arguments: Any) -> None:
        self.rig.do(Act.model_validate({"do": do, **arguments}), self.now_ns)


def at(part: int, do: str, **arguments: Any) -> Scheduled:
    return Scheduled.model_validate({"at_part": part, "do": do, **arguments})


def assert_nothing_bad_passed(report: dict[str, Any]) -> None:
    assert report["escapes"] == 0, report["last"]["escapes"]
    assert report["unjudged_passed"] == 0


def test_one_bad_part_between_two_good_ones_leaves_alone_a_thousand_times() -> None:
    motions = [
        {"do": "speed", "mm_s": 250.0},
        {"do": "stop", "ms": 100},
        {"do": "speed", "mm_s": 500.0},
        {"do": "jog", "mm": 33, "mm_s": 200},
        {"do": "reverse", "mm": 4},
        {"do": "speed", "mm_s": 400.0},
        {"do": "speed", "mm_s": 500.0},
    ]
    schedule = [at(part, **motions[i % len(motions)]) for i, part in enumerate(range(30, 2000, 41))]
    line = Line([GOOD, BAD], 2001, schedule)

    report = line.play(poll_ms=10)

    assert (report["gate_passed"], report["gate_rejects"]) == (1001, 1000)
    assert (report["defective"], report["escapes"], report["false_rejects"]) == (1000, 0, 0)
    assert report["clashes"] == report["unjudged_passed"] == 0
    assert report["zone_losses"] == {"power-up": 1}
    assert line.seen & Signal.REVERSE
    assert line.status.infeed == line.status.part_counter == 2001


@pytest.mark.parametrize("seed", range(6))
def test_no_motion_or_mishap_lets_a_bad_or_unjudged_part_through(seed: int) -> None:
    rng = random.Random(seed)
    acts: list[dict[str, Any]] = [
        {"do": "stop", "ms": 200},
        {"do": "jog", "mm": 60, "mm_s": 100},
        {"do": "reverse", "mm": 3},
        {"do": "reverse", "mm": 70},
        {"do": "jam", "ms": 150},
        {"do": "estop", "ms": 300},
        {"do": "air_low", "ms": 300},
        {"do": "encoder_lost", "ms": 200},
        {"do": "encoder_jump", "mm": 150},
        {"do": "encoder_jump", "mm": -15},
        {"do": "slip", "fraction": 0.1},
        {"do": "slip", "fraction": 0.0},
        {"do": "bounce", "mm": 12},
        {"do": "touch"},
        {"do": "remove", "mm": 120},
        {"do": "insert", "mm": 130, "film": 1},
        {"do": "confirm_blind", "ms": 400},
    ]
    schedule = [at(part, **rng.choice(acts)) for part in range(20, 400, 17)]
    line = Line([GOOD, BAD, BAD, GOOD, GOOD], 400, schedule, seed=seed)

    report = line.play()

    assert_nothing_bad_passed(report)
    assert report["gate_passed"] + report["gate_rejects"] + report["removed"] == report["fed"]


def test_after_a_long_reverse_the_zone_is_rejected_and_no_part_is_counted_twice() -> None:
    line = Line([GOOD], 200, [at(100, "reverse", mm=120)])

    report = line.play()

    assert report["triggers"] == 200
    assert report["zone_losses"]["reverse"] == 1
    assert 14 <= report["false_rejects"] <= 22  # what stood within the 300 mm
    assert report["unjudged_passed"] == 0


def test_an_encoder_that_rolls_over_loses_nothing() -> None:
    line = Line(ALTERNATING, 100, encoder_start=(1 << 32) - 4000)

    report = line.play()

    assert line.status.encoder < 1 << 31
    assert (report["false_rejects"], report["escapes"], report["clashes"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("act", "cause"),
    [
        ({"do": "encoder_lost", "ms": 300}, "encoder dead"),
        ({"do": "encoder_jump", "mm": 500}, "encoder jump"),
        ({"do": "jam", "ms": 100}, "jam"),
        ({"do": "estop", "ms": 100}, "e-stop"),
        ({"do": "remove", "mm": 100}, "vanished"),
        ({"do": "insert", "mm": 75, "film": 1}, "stranger"),
    ],
)
def test_what_loses_the_zone_raises_the_epoch_and_rejects_what_stood_in_it(
    act: dict[str, Any], cause: str
) -> None:
    line = Line([GOOD, BAD], 150, [at(50, **act)], pitch=50)

    report = line.play()

    assert cause in report["zone_losses"]
    assert line.status.zone_epoch > 1
    assert_nothing_bad_passed(report)
    assert 0 < report["false_rejects"] < 15
    assert report["gate_passed"] > 50, "the line recovered"


def test_a_double_trigger_rejects_the_part_and_leaves_its_neighbours() -> None:
    line = Line([GOOD], 60, [at(30, "bounce", mm=10)])

    report = line.play()

    assert report["triggers"] == 61
    assert report["false_rejects"] == 1 + 1  # the next one is within minimum pitch of the echo


@pytest.mark.parametrize("camera_trigger", ["plc", "eye"])
def test_a_pictures_fault_is_that_of_the_part_that_it_was_scheduled_for(
    camera_trigger: Literal["plc", "eye"],
) -> None:
    line = Line([GOOD], 10, [at(3, "drop")], camera_trigger=camera_trigger)
    while len(line.faults) < 2:
        line.play(0.001, poll_ms=1)
    line.do("freeze")  # the next picture's, which is that of part 3, and so part 4's

    line.play()

    spoilt = {part: fault for part, fault in enumerate(line.faults, 1) if fault}
    assert spoilt == {3: Fault.DROP, 4: Fault.FREEZE}


def test_cameras_at_the_bare_eye_are_pulsed_by_a_bounce_that_the_plc_does_not_count() -> None:
    line = Line([GOOD], 10, [at(3, "bounce", mm=5)], camera_trigger="eye")

    report = line.play()

    assert report["triggers"] == 10
    assert len(line.films) == 11


def test_an_edge_within_the_debounce_is_the_same_part() -> None:
    line = Line([GOOD], 60, [at(30, "bounce", mm=5)])

    report = line.play()

    assert (report["triggers"], report["false_rejects"]) == (60, 0)


def test_touching_parts_are_both_rejected() -> None:
    line = Line([GOOD], 60, [at(20, "touch")])

    report = line.play()

    assert report["triggers"] == 59
    assert (report["false_rejects"], report["unjudged_passed"]) == (2, 0)


def test_a_revoke_that_comes_while_the_part_is_in_the_gate_is_known_to_be_too_late() -> None:
    """And not only where one of the PLC's cycles lies between it and the part's way out."""
    line = Line([GOOD], 40)
    line.play(0.5)
    while not (inside := [i for i in line.rig.flap.inside.values() if i.steered]):
        line.play(0.001, poll_ms=1)
    (item,) = inside
    belt, machine = line.rig.belt, line.rig.machine
    way_mm = machine.gate_mm + machine.window_mm / 2 - belt.x(item)
    leaves_ns = belt._now_ns + round(way_mm / belt.speed() * 1e9)

    line.now_ns = leaves_ns - 20_000
    line.rig.step(line.now_ns)
    line.decide(line.rig.judge._numbers[item.id], Action.REVOKE)
    line.exchange()
    assert item.passed is None
    line.play(0.01)

    assert item.passed
    assert line.rig.report()["revoked_passed"] == 1


def test_a_dead_station_means_reject() -> None:
    line = Line([GOOD], 100)
    line.play(2.0)
    assert line.rig.report()["gate_passed"] > 10
    line.ready = False
    line.play(0.3)  # decisions of before are still in the ring, the heartbeat runs out

    before = line.rig.report()["gate_passed"]
    line.play()

    assert line.rig.report()["gate_passed"] == before


def test_a_reject_that_the_sensor_does_not_see_is_signalled_until_it_is_looked_at() -> None:
    line = Line(ALTERNATING, 100, [at(40, "confirm_blind", ms=1500)])
    line.play(4.0)
    assert line.status.signals & Signal.CONFIRMATION_FAULT

    line.do("reset")
    line.play(0.05)

    assert not line.status.signals & Signal.CONFIRMATION_FAULT


def test_a_reject_that_runs_back_past_its_sensor_is_confirmed_and_in_the_bin_once() -> None:
    """Counted twice it would stand for one that never came there."""
    line = Line([BAD], 40)
    line.play(0.8)
    line.do("speed", mm_s=50)
    line.play(0.5)
    before = line.rig.report()["in_bin"]
    while line.rig.report()["in_bin"] == before:
        line.play(0.001, poll_ms=1)

    line.do("reverse", mm=4)
    line.play()
    line.now_ns += round(5e9)  # the last ones go on to the sensor
    line.rig.step(line.now_ns)
    line.exchange()

    assert line.rig.report()["zone_losses"] == {"power-up": 1}, "4 mm are no loss"
    assert line.rig.report()["in_bin"] == 40
    assert line.status.rejects_confirmed == line.status.rejects_commanded == 40


def test_a_flap_that_sticks_is_seen_by_the_judge_and_by_the_confirmation() -> None:
    line = Line(ALTERNATING, 100)
    line.play(1.5)
    while not any(item.steered for item in line.rig.flap.inside.values()):
        line.play(0.005)
    line.do("flap_stuck")

    report = line.play(2.0)

    assert report["escapes"] > 0
    assert line.status.signals & Signal.CONFIRMATION_FAULT


@pytest.mark.parametrize("later", [{"ms": 300}, {"ms": 0}, {"on": False}])
def test_a_signal_that_is_given_again_lasts_as_the_last_one_says(later: dict[str, Any]) -> None:
    """It ended when the first one's time was up."""
    line = Line([GOOD], 100)
    line.do("air_low", ms=100)
    line.play(0.05)
    line.do("air_low", **later)

    line.play(0.2)
    assert bool(line.status.signals & Signal.AIR_OK) is (later == {"on": False})
    line.play(0.2)
    assert bool(line.status.signals & Signal.AIR_OK) is (later != {"ms": 0})


def test_a_full_bin_low_air_and_a_dark_light_are_signalled() -> None:
    line = Line([BAD], 60, bin_size=5)
    line.do("air_low")
    line.do("light_fault")

    line.play(3.0)

    signals = line.status.signals
    assert signals & Signal.BIN_FULL
    assert not signals & (Signal.AIR_OK | Signal.LIGHT_OK)
    line.do("empty_bin")
    line.play(0.01)
    assert not line.status.signals & Signal.BIN_FULL


def test_the_same_seed_gives_the_same_run() -> None:
    runs = []
    for _ in range(2):
        line = Line([GOOD, BAD, GOOD], 80, [at(30, "reverse", mm=50)], seed=9)
        report = line.play()
        runs.append((report, line.status))
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("act", "refused"),
    [
        ({"do": "reverse", "mm": 4}, False),
        ({"do": "jog", "mm": 40}, False),
        ({"do": "stop", "ms": 300}, False),
        ({"do": "speed", "mm_s": 120.0}, False),
        ({"do": "reverse", "mm": 60}, True),
        ({"do": "estop", "ms": 200}, True),
        ({"do": "encoder_jump", "mm": 200}, True),
        ({"do": "remove", "mm": 100}, True),
        ({"do": "bounce", "mm": 10}, True),
    ],
)
def test_the_stations_tracking_and_the_plc_agree_on_what_is_known(
    act: dict[str, Any], refused: bool
) -> None:
    line = Line([GOOD, BAD], 160, [at(80, **act)])
    zone = Zone(Travel(gate_mm=300, speed_mm_s=500, pitch_min_mm=18, lead_ms=20))
    seen: list[int] = []
    out: list[int] = []
    line.rig.start(0)
    while not line.rig.done:
        line.play(0.005)
        update = zone.update(line.status, line.now_ns)
        seen += [part.number for part in update.seen]
        out += update.refused

    assert seen == list(range(1, line.status.part_counter + 1))
    assert bool(out) == refused
    assert_nothing_bad_passed(line.rig.report())


# -- the physics itself ---------------------------------------------------------------------


def crossings(belt: Conveyor, to_ms: float) -> list[Crossing]:
    return list(belt.advance(round(to_ms * MS)))


def test_an_item_crosses_the_eye_when_kinematics_says_so() -> None:
    belt = Conveyor(Machine(accel_mm_s2=1000))
    belt.place(-125.0, 0)
    belt.run(500.0)  # 0.5 s and 125 mm to reach 500 mm/s

    seen = crossings(belt, 1000)

    first, last = [c for c in seen if c.point is Point.EYE]
    assert first.t_ns == pytest.approx(500 * MS, abs=10)
    assert (first.blocked, last.blocked) == (True, False)
    assert last.t_ns == pytest.approx((500 + 31 / 0.5) * MS, abs=10)
    assert first.encoder == 1250


def test_a_belt_that_runs_back_unblocks_the_eye_in_the_reverse_order() -> None:
    belt = Conveyor(Machine())
    belt.place(-50.0, 0)
    belt.move(100.0, 500.0)
    forth = [c for c in crossings(belt, 1000) if c.point is Point.EYE]
    belt.move(-100.0, 500.0)
    back = [c for c in crossings(belt, 2000) if c.point is Point.EYE]

    assert [(c.forward, c.blocked) for c in forth] == [(True, True), (True, False)]
    assert [(c.forward, c.blocked) for c in back] == [(False, True), (False, False)]
    assert belt.mm() == pytest.approx(0.0, abs=1e-3)


def test_touching_items_are_one_shadow() -> None:
    belt = Conveyor(Machine())
    for k in range(3):
        belt.place(-50.0 - 30.0 * k, 0)
    belt.run(500.0)

    edges = [c for c in crossings(belt, 2000) if c.point is Point.EYE]

    assert [c.blocked for c in edges] == [True, False]


def test_an_item_taken_from_the_beam_leaves_it_clear() -> None:
    belt = Conveyor(Machine())
    item = belt.place(-10.0, 0)
    belt.move(20.0, 200.0)
    crossings(belt, 500)
    assert belt.blocked(Point.EYE)

    belt.remove(item)

    assert not belt.blocked(Point.EYE)
    belt.place(-10.0, 0)
    belt.move(20.0, 200.0)
    assert [c.blocked for c in crossings(belt, 1000)] == [True]


def test_a_flap_that_moves_under_an_item_has_hit_it() -> None:
    belt, flap = Conveyor(Machine()), Flap(4.0)
    item = belt.place(0.0, 0)
    flap.drive(0, True)
    flap.enter(10 * MS, item)
    flap.drive(11 * MS, False)

    assert flap.leave(item) is None


def test_a_flap_needs_its_swing() -> None:
    flap = Flap(4.0)
    belt = Conveyor(Machine())
    outcomes = []
    flap.drive(0, True)
    for t_ms in (0, 3, 5):
        item = belt.place(0.0, 0)
        flap.enter(t_ms * MS, item)
        outcomes.append(flap.leave(item))

    assert outcomes == [False, None, True]


def test_cameras_hear_the_encoder_every_cycle_with_its_faults_and_what_lies_at_the_eye() -> None:
    line = Line(ALTERNATING, count=40, pitch=40.0, encoder_start=2**32 - 3_000)
    turns: list[tuple[int, int, int | None]] = []
    line.rig.turn = lambda *turn: turns.append(turn)
    line.play(0.5)
    line.do("encoder_jump", mm=10.0)
    line.play(0.1)
    line.do("stop")
    line.play(0.4)
    instants = [t_ns for t_ns, _, _ in turns]
    assert instants == [2 * MS * n for n in range(len(turns))], "once a cycle, standing or not"
    ways = [(after - now) % 2**32 for (_, now, _), (_, after, _) in pairwise(turns)]
    assert sum(ways) == round(line.rig.belt.mm() * 10) + 100
    assert sorted(ways)[-2:] == [10, 110], "the jump, in one cycle"
    assert ways[-50:] == [0] * 50
    seen = [film for film, _ in groupby(film for _, _, film in turns)]
    assert seen[0] is None, "before the first part the belt is empty"
    assert seen[1:5] == [0, 1, 0, 1]


def test_what_is_remembered_of_the_belt_is_what_a_look_at_all_of_it_says() -> None:
    line = Line(ALTERNATING, count=300, pitch=25.0, seed=5)
    belt, dice = line.rig.belt, random.Random(7)
    for _ in range(250):
        match dice.randrange(12):
            case 0:
                line.do("stop", ms=20)
            case 1:
                line.do("reverse", mm=dice.uniform(1, 40))
            case 2:
                line.do("insert", mm=dice.uniform(-60, 320))
            case 3:
                line.do("remove", mm=dice.uniform(-60, 320))
        line.play(dice.uniform(0.002, 0.03))
        within = dice.choice((3.0, 12.5, 100.0))
        assert belt.at_eye(within) is belt.nearest(0.0, within)
        assert belt._crossing_ns() == belt._find_crossing_ns()
    line.play(5.0)
    assert len(belt.items) < 40, "those that have left are forgotten"
