"""The gate on one digital output: a real file takes the level, as a GPIO's value would."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inspector.line.gate import Told
from inspector.line.output import OutputGate, write_level
from inspector.registers import Action, GateReason, StationBit

MS = 1_000_000


class Output:
    """A gate, its level over time, and somebody who keeps the line alive."""

    def __init__(self, value: Path) -> None:
        value.write_text("1\n")
        self._value = value
        self.changes: list[tuple[int, bool]] = []
        write = write_level(value)

        def noted(level: bool) -> None:
            write(level)
            self.changes.append((time.monotonic_ns(), level))

        self.gate = OutputGate(noted, lead_ns=20 * MS, window_ns=40 * MS, hung_ns=300 * MS)
        self.gate.show(StationBit.READY, 0)
        self.gate.alive(time.monotonic_ns())

    @property
    def level(self) -> str:
        return self._value.read_text().strip()

    def decide(self, part: int, action: Action, arrives_in_ms: int) -> int:
        arrival_ns = time.monotonic_ns() + arrives_in_ms * MS
        self.gate.decide(0, part, action, GateReason.NONE, arrival_ns - 20 * MS)
        return arrival_ns

    def highs(self) -> list[tuple[int, int]]:
        """From when to when the output was high."""
        rising = [at for at, level in self.changes if level]
        falling = [at for at, level in self.changes[1:] if not level]
        return list(zip(rising, falling, strict=False))


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Output]:
    output = Output(tmp_path / "value")
    yield output
    output.gate.close()


def until(
    condition: Callable[[], object], alive: Callable[[int], None] = lambda at_ns: None
) -> None:
    end = time.monotonic() + 3
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        alive(time.monotonic_ns())
        time.sleep(0.002)


def test_it_rests_low_from_the_first_moment(output) -> None:
    assert output.level == "0"


def test_it_is_high_while_a_permitted_part_passes_and_low_for_its_neighbours(output) -> None:
    output.decide(1, Action.REJECT, 60)
    arrival_ns = output.decide(2, Action.PERMIT, 120)
    output.decide(3, Action.REJECT, 180)
    until(lambda: len(output.highs()) == 1, output.gate.alive)
    rise, fall = output.highs()[0]
    assert arrival_ns - 20 * MS <= rise < arrival_ns
    assert arrival_ns < fall
    until(lambda: output.level == "0")
    assert [t.part for t in output.gate.take() if isinstance(t, Told)] == [1, 2, 3]


def test_where_two_parts_share_the_window_the_one_that_must_not_pass_decides(output) -> None:
    output.decide(1, Action.PERMIT, 100)
    output.decide(2, Action.REJECT, 110)
    time.sleep(0.16)
    assert all(fall - rise < 15 * MS for rise, fall in output.highs())


def test_a_permit_is_taken_back_before_its_part_is_there(output) -> None:
    output.decide(1, Action.PERMIT, 100)
    output.gate.refuse(0, [1, 2], GateReason.COMMAND)
    output.decide(2, Action.PERMIT, 100)
    time.sleep(0.16)
    assert output.highs() == []
    told = [(t.part, t.action) for t in output.gate.take() if isinstance(t, Told)]
    assert told == [(1, Action.PERMIT), (1, Action.REVOKE), (2, Action.REJECT)]


def test_a_late_permit_is_a_reject(output) -> None:
    output.decide(1, Action.PERMIT, 5)
    told = output.gate.take()[0]
    assert isinstance(told, Told)
    assert (told.action, told.reason) == (Action.REJECT, GateReason.LATE)


def test_without_ready_or_with_a_hung_line_it_stays_low(output) -> None:
    output.gate.show(StationBit(0), 0)
    output.decide(1, Action.PERMIT, 60)
    time.sleep(0.1)
    assert output.highs() == []
    output.gate.show(StationBit.READY, 0)
    output.decide(2, Action.PERMIT, 600)  # nobody calls alive() meanwhile
    time.sleep(0.7)
    assert output.highs() == []
