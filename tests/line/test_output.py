"""The gate on one digital output (I2): a real file takes the level, as a GPIO's value would."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inspector import processes
from inspector.line import output as output_room
from inspector.line.gate import Link, Told
from inspector.line.output import OutputGate, let_fall, write_level
from inspector.registers import Action, GateReason, StationBit

MS = 1_000_000
FAR_MS = 100_000


class Output:
    """A gate, the levels of its lines, and somebody who keeps the line alive."""

    def __init__(self, value: Path) -> None:
        value.write_text("1\n")
        self._value = value
        self._write = write_level(value)
        self.others = {"conveyor": False, "beacon": False}
        self.broken = ""
        self.answers, self.waits = threading.Event(), False
        self.answers.set()
        """Its driver answers; it is cleared while that hangs."""
        self.gate = OutputGate(
            self.set, lead_ns=20 * MS, window_ns=40 * MS, hung_ns=300 * MS,
            conveyor=lambda level: self.others.update(conveyor=level),
            beacon=lambda level: self.others.update(beacon=level),
        )  # fmt: skip
        self.gate.show(StationBit.READY, 0)
        self.gate.alive(time.monotonic_ns())
        self.now_ns = time.monotonic_ns()

    def set(self, level: bool) -> None:
        self.waits = not self.answers.is_set()
        self.answers.wait()
        if self.broken:
            raise ValueError(self.broken)
        self._write(level)

    @property
    def level(self) -> str:
        return self._value.read_text().strip()

    def decide(self, part: int, action: Action, arrives_in_ms: int) -> None:
        arrival_ns = self.now_ns + arrives_in_ms * MS
        self.gate.decide(0, part, action, GateReason.NONE, arrival_ns - 20 * MS)

    def planned(self, *in_ms: int) -> str:
        """The level at each of these times, as it is planned now."""
        return "".join(str(int(self.gate._due(self.now_ns + ms * MS)[0])) for ms in in_ms)

    def open(self) -> None:
        """Let a part through that is at the gate right now."""
        self.now_ns = time.monotonic_ns()
        self.gate._half_ns = 3_600_000 * MS
        self.decide(1, Action.PERMIT, 60_000)

    def told(self) -> list[tuple[int, Action]]:
        return [(t.part, t.action) for t in self.gate.take() if isinstance(t, Told)]


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Output]:
    output = Output(tmp_path / "value")
    yield output
    output.gate.close()


def until(
    condition: Callable[[], object], alive: Callable[[int], None] = lambda at_ns: None
) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        alive(time.monotonic_ns())
        time.sleep(0.002)


def test_it_rests_low_from_the_first_moment(output) -> None:
    assert output.level == "0"


def test_it_is_high_while_a_permitted_part_passes_and_low_for_its_neighbours(output) -> None:
    output.decide(1, Action.REJECT, FAR_MS)
    output.decide(2, Action.PERMIT, FAR_MS + 60)
    output.decide(3, Action.REJECT, FAR_MS + 120)
    around = (FAR_MS, FAR_MS + 39, FAR_MS + 41, FAR_MS + 60, FAR_MS + 79, FAR_MS + 81)
    assert output.planned(*around, FAR_MS + 120) == "0011100"
    assert [part for part, _ in output.told()] == [1, 2, 3]


def test_where_two_parts_share_the_window_the_one_that_must_not_pass_decides(output) -> None:
    output.decide(1, Action.PERMIT, FAR_MS)
    output.decide(2, Action.REJECT, FAR_MS + 10)
    assert output.planned(FAR_MS - 15, FAR_MS - 5, FAR_MS + 15, FAR_MS + 25) == "1000"


def test_a_part_that_nobody_has_decided_yet_passes_in_no_neighbours_window(output) -> None:
    """Its judge or the disk was late: until its deadline, which may be after its window has begun,
    it went through beside the part before it."""
    output.decide(1, Action.PERMIT, FAR_MS)
    output.gate.expect([2], output.now_ns + (FAR_MS - 10) * MS)
    assert output.planned(FAR_MS - 15, FAR_MS - 5) == "10"
    output.decide(2, Action.PERMIT, FAR_MS + 10)
    output.gate.expect([2], output.now_ns + (FAR_MS - 10) * MS)
    assert output.planned(FAR_MS - 5, FAR_MS + 15, FAR_MS + 25) == "111"


def test_a_test_pulse_takes_no_part_of_its_window(output) -> None:
    """It is no part, and the output rests where it rejects: who triggers right after it and is good
    was rejected, and nothing said why."""
    output.decide(0, Action.REJECT, FAR_MS)
    output.decide(1, Action.PERMIT, FAR_MS + 10)
    assert output.told() == [(0, Action.REJECT), (1, Action.PERMIT)]
    assert output.planned(FAR_MS + 5, FAR_MS + 15) == "11"


def test_a_permit_is_taken_back_before_its_part_is_there(output) -> None:
    output.decide(1, Action.PERMIT, FAR_MS)
    output.gate.refuse(0, [1, 2], GateReason.COMMAND)
    output.decide(2, Action.PERMIT, FAR_MS + 5)
    assert output.told() == [(1, Action.PERMIT), (1, Action.REVOKE), (2, Action.REJECT)]
    assert output.planned(FAR_MS, FAR_MS + 5) == "00"


def test_a_late_permit_is_a_reject(output) -> None:
    output.decide(1, Action.PERMIT, 5)
    told = next(t for t in output.gate.take() if isinstance(t, Told))
    assert (told.action, told.reason) == (Action.REJECT, GateReason.LATE)


def test_without_ready_or_with_a_hung_line_it_is_low(output) -> None:
    output.open()
    until(lambda: output.level == "1", output.gate.alive)
    output.gate.show(StationBit(0), 0)
    until(lambda: output.level == "0", output.gate.alive)
    output.gate.show(StationBit.READY, 0)
    until(lambda: output.level == "1", output.gate.alive)
    until(lambda: output.level == "0")  # nobody calls alive() any more


def test_who_closes_it_leaves_it_low(output) -> None:
    output.open()
    until(lambda: output.level == "1", output.gate.alive)
    output.gate.close()
    assert output.level == "0"


def test_an_output_that_hangs_is_told_and_nothing_is_heard_meanwhile(output) -> None:
    """It stays as it stands, so it may be open: rejects were acknowledged, and let through."""
    output.open()
    until(lambda: output.level == "1", output.gate.alive)
    output.answers.clear()
    output.gate.take()
    links: list[Link] = []

    def link() -> bool:
        links.extend(e for e in output.gate.take() if isinstance(e, Link))
        return bool(links)

    until(link, output.gate.alive)
    assert links == [Link(False, "an output does not take its level: no answer in 300 ms")]
    output.decide(3, Action.REJECT, FAR_MS)
    (told,) = output.gate.take()
    assert isinstance(told, Told) and told.acknowledged_ns == 0
    output.answers.set()
    links.clear()
    until(link, output.gate.alive)
    assert links == [Link(True)]


def test_an_output_that_hangs_holds_up_no_end_and_is_low_once_it_does_not(
    output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line's last records are written after its gate is closed, and who waits for the process
    kills it after 5 s: they were lost. A driver that failed then ended high."""
    output.open()
    until(lambda: output.level == "1", output.gate.alive)
    output.answers.clear()
    output.gate.show(StationBit(0), 0)
    until(lambda: output.waits)
    monkeypatch.setattr(output_room, "CLOSING_S", 0.0)
    output.gate.close()
    assert output.level == "1"
    output.broken = "the relay is gone"
    output.answers.set()
    until(lambda: output.gate._broken)
    output.broken = ""
    until(lambda: output.level == "0")


def test_closing_the_gate_leaves_time_to_close_the_ledger() -> None:
    assert output_room.CLOSING_S < processes.STOP_S / 2


def test_an_output_that_does_not_take_its_level_is_told_and_tried_until_it_does(output) -> None:
    """Nothing is heard meanwhile: each decision is one without acknowledgement, an alarm."""
    assert [e.up for e in output.gate.take() if isinstance(e, Link)] == [True]
    output.open()
    until(lambda: output.level == "1", output.gate.alive)
    output.broken = "the relay is gone"
    output.gate.show(StationBit(0), 0)  # it should fall, and cannot
    links: list[Link] = []

    def link() -> bool:
        links.extend(e for e in output.gate.take() if isinstance(e, Link))
        return bool(links)

    until(link)
    assert not links[0].up and "the relay is gone" in links[0].why
    output.decide(2, Action.REJECT, FAR_MS)
    told = next(t for t in output.gate.take() if isinstance(t, Told))
    assert told.acknowledged_ns == 0
    output.gate.refuse(0, [1], GateReason.COMMAND)
    told = next(t for t in output.gate.take() if isinstance(t, Told))
    assert (told.action, told.acknowledged_ns) == (Action.REVOKE, 0)
    assert output.level == "1"
    output.broken = ""
    until(lambda: output.level == "0")
    links.clear()
    until(link)
    assert links[0].up


def test_the_conveyor_stops_and_the_beacon_lights_when_the_station_says_so(output) -> None:
    until(lambda: output.others == {"conveyor": True, "beacon": False})
    output.gate.show(StationBit.STOP, 0)
    until(lambda: output.others == {"conveyor": False, "beacon": False})
    output.gate.show(StationBit.READY | StationBit.BYPASS, 4)
    until(lambda: output.others == {"conveyor": True, "beacon": True})


def test_the_output_of_a_dead_process_is_let_fall_and_what_is_not_there_is_left(tmp_path) -> None:
    (tmp_path / "value").write_text("1\n")
    let_fall(tmp_path / "value")
    let_fall(tmp_path / "none")
    assert (tmp_path / "value").read_text() == "0\n"
    assert not (tmp_path / "none").exists()
