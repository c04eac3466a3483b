"""The tracking zone against a simulated belt that does everything a belt can do."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plc_blocks import GOOD, plc_status

from inspector.config import Travel
from inspector.line.tracking import ClockMap, Update, Zone
from inspector.registers import TRIGGERS, U32, Signal, Trigger

MS = 1_000_000
TRAVEL = Travel(gate_mm=500, speed_mm_s=500, mm_per_count=0.1, pitch_min_mm=20, slip_mm=5)
COUNTS_PER_MM = 10


class Belt:
    """A belt in steps of 1 ms, with an eye, a gate and a PLC that reports them."""

    def __init__(self, travel: Travel = TRAVEL, encoder: int = 0) -> None:
        self.zone = Zone(travel)
        self.start = encoder
        self.t_ms = 1000
        self.at = 0.0
        self.speed = 0.5  # mm per ms
        self.parts: deque[tuple[int, float]] = deque()
        self.triggers: deque[Trigger] = deque(maxlen=TRIGGERS)
        self.counter = self.gate_part = 0
        self.signals = GOOD
        self.epoch = 0
        self.run = 1
        self.refused: list[int] = []
        self.alarms: list[str] = []
        self.lost: list[int] = []
        self.seen: dict[int, int] = {}
        self.read()

    @property
    def encoder(self) -> int:
        return (self.start + round(self.at * COUNTS_PER_MM)) & U32

    def move(self, ms: int, poll_ms: int = 10) -> None:
        for _ in range(ms):
            self.t_ms += 1
            self.at += self.speed
            while self.parts and self.at - self.parts[0][1] >= 500:
                self.gate_part = self.parts.popleft()[0]
            if self.t_ms % poll_ms == 0:
                self.read()

    def trigger(self) -> int:
        self.counter += 1
        self.triggers.append(Trigger(self.counter, self.encoder, self.t_ms))
        self.parts.append((self.counter, self.at))
        return self.counter

    def read(self, late_ms: float = 0.5) -> Update:
        status = plc_status(
            run=self.run, part_counter=self.counter, encoder=self.encoder, plc_ms=self.t_ms,
            gate_part=self.gate_part, signals=self.signals, zone_epoch=self.epoch,
            triggers=tuple(self.triggers),
        )  # fmt: skip
        update = self.zone.update(status, round((self.t_ms + late_ms) * MS))
        self.refused += update.refused
        self.alarms += [alarm.kind for alarm in update.alarms]
        self.lost += update.lost
        self.seen |= {seen.number: seen.deadline_ns for seen in update.seen}
        return update


def test_an_answer_that_waited_for_its_reader_moves_no_deadline() -> None:
    """The belt was there when the PLC said so, not when somebody came to read it."""
    prompt, late = Belt(), Belt()
    for belt, late_ms in ((prompt, 0.5), (late, 9.0)):
        belt.move(200)
        belt.trigger()
        belt.read(late_ms)
    assert late.seen[1] == pytest.approx(prompt.seen[1], abs=MS)


def test_parts_at_a_legal_pitch_travel_in_peace() -> None:
    belt = Belt()
    for _ in range(100):
        belt.trigger()
        belt.move(60)
    belt.move(1000)
    assert (belt.refused, belt.alarms, belt.lost) == ([], [], [])
    assert list(belt.seen) == list(range(1, 101))
    assert len(belt.zone) == 0


def test_the_deadline_is_arrival_less_the_actuators_lead() -> None:
    belt = Belt()
    belt.move(50)
    number, at_ms = belt.trigger(), belt.t_ms
    belt.move(10)
    assert belt.seen[number] / MS == pytest.approx(at_ms + 1000 - 50, abs=3)


def test_the_deadline_moves_on_while_the_belt_stands() -> None:
    belt = Belt()
    number = belt.trigger()
    belt.move(500)
    belt.speed, belt.signals = 0.0, GOOD & ~Signal.LINE_RUNNING
    belt.move(60_000, poll_ms=100)
    left_ms = (belt.zone.deadline_ns(number) or 0) / MS - belt.t_ms
    assert left_ms == pytest.approx(450, abs=5)
    belt.speed, belt.signals = 0.5, GOOD
    belt.move(1000)
    assert (belt.refused, belt.alarms, belt.gate_part) == ([], [], number)


@settings(deadline=None)
@given(
    encoder=st.integers(0, U32),
    moves=st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.8]), st.integers(20, 120)),
        min_size=1,
        max_size=20,
    ),
)
def test_ramps_stops_jogs_and_a_rolling_encoder_refuse_nobody(
    encoder: int, moves: list[tuple[float, int]]
) -> None:
    belt = Belt(encoder=encoder)
    for speed, ms in moves:
        if belt.parts and belt.at - belt.parts[-1][1] < 20:
            belt.speed = 0.5
            belt.move(40)
        belt.trigger()
        belt.speed = speed
        belt.signals = GOOD if speed else GOOD & ~Signal.LINE_RUNNING
        belt.move(ms)
    assert (belt.refused, belt.alarms, belt.lost) == ([], [], [])


@settings(deadline=None)
@given(back_mm=st.floats(5.2, 400), parts=st.integers(1, 10))
def test_reverse_beyond_the_slip_refuses_all_that_stand_between_eye_and_gate(
    back_mm: float, parts: int
) -> None:
    belt = Belt()
    for _ in range(parts):
        belt.trigger()
        belt.move(80)
    belt.speed = -0.5
    belt.move(round(back_mm * 2) + 10)
    assert belt.refused == list(range(1, parts + 1))
    assert "reverse" in belt.alarms


@settings(deadline=None)
@given(back_mm=st.floats(0, 4.5))
def test_reverse_within_the_slip_refuses_nobody(back_mm: float) -> None:
    belt = Belt()
    belt.trigger()
    belt.move(80)
    belt.speed = -0.5
    belt.move(int(back_mm * 2))
    belt.speed = 0.5
    belt.move(80)
    belt.trigger()
    belt.move(1100)
    assert (belt.refused, belt.alarms) == ([], [])


def test_what_triggers_before_the_belt_is_back_where_it_was_is_refused_too() -> None:
    belt = Belt()
    belt.trigger()
    belt.move(100)
    belt.speed = -0.5
    belt.move(40)  # 20 mm back
    belt.speed = 0.5
    again = belt.trigger()
    belt.move(60)  # 10 mm beyond where it was: past the slip allowance
    belt.move(20)
    later = belt.trigger()
    belt.move(50)
    assert again in belt.refused
    assert later not in belt.refused


@settings(deadline=None)
@given(back_mm=st.integers(12, 200), behind_mm=st.integers(1, 200))
def test_what_triggers_behind_the_furthest_point_of_the_belt_is_refused(
    back_mm: int, behind_mm: int
) -> None:
    """However far it ran back: until it has come that far again, old parts may pass the eye."""
    belt = Belt()
    belt.move(400)
    belt.speed = -0.5
    belt.move(2 * back_mm)
    belt.speed = 0.5
    belt.move(2 * max(0, back_mm - behind_mm))
    behind = belt.trigger()
    belt.move(2 * min(back_mm, behind_mm) + 60)  # 30 mm beyond
    after = belt.trigger()
    belt.move(60)
    assert belt.refused == [behind]
    assert after in belt.seen


def test_after_an_encoder_that_jumped_far_back_the_belt_is_known_again_at_once() -> None:
    belt = Belt()
    belt.move(400)
    belt.start -= 1_000_000_000
    belt.move(100)
    after = belt.trigger()
    belt.move(50)
    assert "encoder" in belt.alarms
    assert after in belt.seen and not belt.refused


def test_an_e_stop_while_the_belt_is_behind_does_not_bring_the_furthest_point_nearer() -> None:
    belt = Belt()
    belt.move(400)
    belt.speed = -0.5
    belt.move(80)
    belt.speed, belt.signals = 0.0, GOOD & ~Signal.ESTOP_CLEAR
    belt.move(50)
    belt.speed, belt.signals = 0.5, GOOD
    belt.move(60)
    behind = belt.trigger()  # 10 mm before where it was
    belt.move(20)
    assert belt.refused == [behind]


@settings(deadline=None)
@given(gap_mm=st.floats(0, 19.5))
def test_parts_closer_than_the_minimum_pitch_are_all_refused(gap_mm: float) -> None:
    belt = Belt()
    good = belt.trigger()
    belt.move(100)
    first = belt.trigger()
    belt.move(int(gap_mm * 2))
    second = belt.trigger()
    belt.move(100)
    after = belt.trigger()
    belt.move(100)
    assert belt.refused == [first, second]
    assert {good, after}.isdisjoint(belt.refused)
    assert belt.alarms == ["pitch"]


@pytest.mark.parametrize(
    ("signal", "bad", "kind"),
    [
        (Signal.ESTOP_CLEAR, False, "estop"),
        (Signal.JAM, True, "jam"),
        (Signal.ENCODER_OK, False, "encoder"),
    ],
)
def test_a_signal_that_makes_the_zone_doubtful_refuses_until_it_has_cleared(
    signal: Signal, bad: bool, kind: str
) -> None:
    belt = Belt()
    inside = belt.trigger()
    belt.move(100)
    belt.signals = GOOD | signal if bad else GOOD & ~signal
    belt.move(50)
    during = belt.trigger()
    belt.move(50)
    belt.signals = GOOD
    belt.move(40)  # 20 mm: beyond the slip allowance
    after = belt.trigger()
    belt.move(50)
    assert belt.refused == [inside, during]
    assert after in belt.seen
    assert belt.alarms == [kind]


def test_the_plcs_own_loss_of_the_zone_refuses_what_is_in_it() -> None:
    belt = Belt()
    inside = belt.trigger()
    belt.move(100)
    belt.epoch += 1
    belt.move(30)
    after = belt.trigger()
    belt.move(30)
    assert belt.refused == [inside]
    assert after in belt.seen


def test_a_belt_that_runs_while_its_encoder_rests_has_lost_it() -> None:
    belt = Belt()
    number = belt.trigger()
    belt.move(100)
    belt.speed = 0.0
    belt.move(600)
    assert belt.refused == [number]
    assert belt.alarms == ["standstill"]


def test_an_encoder_that_jumps_is_not_believed() -> None:
    belt = Belt()
    number = belt.trigger()
    belt.move(100)
    belt.start += 5000
    belt.move(20)
    assert belt.refused == [number]
    assert belt.alarms[0] == "encoder"


@pytest.mark.parametrize("counts", [-1_000_000, 1_000_000])
def test_who_triggers_just_before_the_encoder_jumps_is_refused_with_all_others(counts: int) -> None:
    """It is told in the same reading, with a count of before: nobody knows where it stands."""
    belt = Belt(encoder=2_000_000)
    belt.move(100)
    number = belt.trigger()
    belt.start += counts
    belt.move(10)
    assert "encoder" in belt.alarms and belt.refused == [number]
    belt.move(50)
    after = belt.trigger()
    belt.move(10)
    assert belt.refused == [number] and belt.seen[after] > belt.t_ms * MS


def test_an_answer_that_was_held_up_makes_no_belt_run_fast() -> None:
    belt = Belt()
    belt.trigger()
    belt.move(100)
    belt.read(late_ms=150)
    belt.t_ms += 140
    belt.at += 70
    belt.read(late_ms=10.5)
    assert belt.alarms == []


def test_a_part_that_does_not_reach_the_gate_is_an_alarm() -> None:
    belt = Belt()
    belt.trigger()
    belt.move(500)
    belt.parts.popleft()
    belt.move(600)
    assert belt.alarms == ["vanished"]


def test_a_part_at_the_gate_before_it_could_be_there_is_an_alarm() -> None:
    belt = Belt()
    number = belt.trigger()
    belt.move(500)
    belt.gate_part = number
    belt.move(20)
    assert belt.alarms == ["appeared"]


def test_after_a_restart_nothing_that_stood_there_is_trusted() -> None:
    belt = Belt()
    for _ in range(5):
        belt.trigger()
        belt.move(80)
    belt.zone = Zone(TRAVEL)
    update = belt.read()
    assert update.new_run
    assert update.refused == [1, 2, 3, 4, 5]
    after = belt.trigger()
    belt.move(50)
    assert after in belt.seen
    assert after not in belt.refused


def test_who_comes_too_close_behind_what_stood_there_at_a_restart_is_refused_too() -> None:
    belt = Belt()
    before = belt.trigger()
    belt.move(20)  # 10 mm
    belt.zone = Zone(TRAVEL)
    belt.read()
    close = belt.trigger()
    belt.move(60)
    after = belt.trigger()
    belt.move(20)
    assert belt.refused == [before, close]
    assert after in belt.seen


def test_a_plc_that_does_not_tell_who_has_come_to_the_gate_has_its_newest_parts_refused() -> None:
    zone = Zone(TRAVEL)
    counter = 5_000_000
    update = zone.update(plc_status(run=1, part_counter=counter), MS)
    assert list(update.refused) == list(range(counter - 25, counter + 1))


def test_numbers_that_the_ring_has_forgotten_are_lost_and_named() -> None:
    belt = Belt()
    belt.trigger()
    belt.move(50)
    for _ in range(30):
        belt.move(60, poll_ms=10**9)
        belt.trigger()
    belt.read()
    assert belt.lost == list(range(2, 32 - TRIGGERS))
    # how close it is to the one before, nobody has seen
    assert belt.refused == [32 - TRIGGERS]
    assert list(belt.seen) == [1, *range(32 - TRIGGERS, 32)]


def test_a_part_that_is_counted_and_not_in_the_ring_is_lost_and_no_other_is_for_it() -> None:
    """A PLC that counts first and writes the trigger in its next cycle."""
    belt = Belt()
    belt.trigger()
    belt.move(100)
    belt.trigger()
    belt.counter += 1
    belt.move(10)
    assert belt.lost == [2, 3] and list(belt.seen) == [1]
    close = belt.trigger()
    belt.move(10)
    assert belt.refused == [close], "how near it is to the one before, nobody has seen"


def test_a_new_run_is_a_new_zone() -> None:
    belt = Belt()
    belt.trigger()
    belt.move(100)
    belt.run, belt.counter, belt.gate_part = 2, 0, 0
    belt.triggers.clear()
    assert belt.read().new_run
    assert len(belt.zone) == 0


def test_a_counter_that_falls_back_in_its_run_is_a_new_zone_and_names_what_stood_in_the_old() -> (
    None
):
    """Of what has come since, the ring tells: it holds an old part too, and two new ones."""
    belt = Belt()
    for _ in range(3):
        belt.trigger()
        belt.move(200)
    belt.counter = 0
    belt.trigger()
    belt.move(100, poll_ms=1000)
    belt.trigger()
    update = belt.read()
    assert update.new_run and update.fell == 2
    assert update.stood == [1, 2, 3]
    assert not update.seen and list(update.lost) == []


def test_who_arrives_with_a_number_of_the_count_before_is_not_waited_for() -> None:
    """A counter that was set back alone: what stood in the zone arrives under its old number."""
    belt = Belt()
    belt.counter = belt.gate_part = 40
    belt.read()
    belt.trigger()
    belt.move(900)
    belt.trigger()
    belt.move(200)
    belt.counter, belt.alarms = 0, []
    belt.read()
    belt.trigger()
    belt.move(900)
    assert belt.gate_part == 42 and len(belt.zone) == 1
    belt.move(200)
    assert belt.gate_part == 1 and len(belt.zone) == 0
    assert belt.alarms == []


def test_a_number_that_the_gate_has_kept_from_the_run_before_is_nobodys_of_this_one() -> None:
    """Not even once as many parts have come: until the gate tells another, none has arrived."""
    belt = Belt()
    belt.run, belt.gate_part = 2, 3
    belt.read()
    for _ in range(5):
        belt.trigger()
        belt.move(100)
    assert belt.gate_part == 3 and len(belt.zone) == 5
    assert belt.zone.status is not None and belt.zone.status.gate_part == 0
    belt.move(550)
    assert belt.zone.status.gate_part == belt.gate_part == 1 and len(belt.zone) == 4
    assert belt.alarms == []


def test_tracked_by_time_a_stop_loses_the_zone() -> None:
    belt = Belt(TRAVEL.model_copy(update={"tracking": "time"}))
    number = belt.trigger()
    belt.move(100)
    assert belt.seen[number] / MS == pytest.approx(1000 + 1000 - 50, abs=3)
    belt.speed, belt.signals = 0.0, GOOD & ~Signal.LINE_RUNNING
    belt.move(30)
    assert belt.refused == [number]


@settings(deadline=None)
@given(
    delays=st.lists(st.floats(0.1, 30), min_size=30, max_size=60),
    start=st.integers(0, U32),
    period_ms=st.integers(5, 100),
)
def test_a_clock_is_mapped_by_its_promptest_reading_across_its_rollover(
    delays: list[float], start: int, period_ms: int
) -> None:
    clock = ClockMap(MS, 1 << 32)
    t_ms = 10_000
    for delay in [0.1, *delays]:
        clock.read((start + t_ms) & U32, round((t_ms + delay) * MS))
        t_ms += period_ms
    known = min([0.1, *delays][-max(1, 500 // period_ms) :])
    at_ns = clock.here((start + t_ms) & U32)
    assert t_ms * MS <= at_ns <= (t_ms + max(known, 0.1)) * MS + 1


def test_a_counter_gone_mad_is_an_alarm_and_no_flood_of_records() -> None:
    """What stood in the zone has other numbers now, if any."""
    belt = Belt()
    inside = belt.trigger()
    belt.read()
    status = plc_status(run=1, part_counter=4_000_000_000, plc_ms=belt.t_ms)
    update = belt.zone.update(replace(status, encoder=0), belt.t_ms * MS)
    assert [a.kind for a in update.alarms] == ["counter"]
    assert update.refused == [inside]
    assert len(update.lost) == 0
