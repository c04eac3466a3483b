"""What the gate does of its own is found part by part: rejects that nobody asked for, refused
parts that went through (I1, I2)."""

from __future__ import annotations

from dataclasses import replace

from plc_blocks import plc_status

from inspector.line.atgate import DOUBT_NS, SETTLE_NS, AtGate, Differences
from inspector.line.gate import Told
from inspector.registers import Action, GateReason

TAKT_NS = 20_000_000
RUN = 0xBEEF


class Line:
    """A station that exchanges blocks with its PLC every 20 ms."""

    def __init__(self) -> None:
        self.gate, self.at_ns, self.deadline_ns = AtGate(), 10 * DOUBT_NS, 0
        self.plc = plc_status()
        self.ready = True
        self.gate.begin(self.plc, self.at_ns)
        self.exchange(100)  # the PLC listens by now

    def exchange(self, times: int = 1) -> None:
        for _ in range(times):
            self.at_ns += TAKT_NS
            self.gate.status(self.plc, self.at_ns, self.ready)

    def tell(self, *parts: int, action: Action = Action.PERMIT, heard: str = "in time") -> None:
        for part in parts:
            heard_ns = {"in time": 1, "late": 3, "never": 0}[heard]
            self.gate.told(Told(RUN, part, action, GateReason.NONE, 1, 2, heard_ns))

    def arrive(self, *parts: int, rejected: int = 0) -> None:
        """These parts come to the gate between two exchanges."""
        self.plc = replace(
            self.plc, gate_part=parts[-1] if parts else self.plc.gate_part,
            rejects_commanded=self.plc.rejects_commanded + rejected,
        )  # fmt: skip
        self.exchange()

    def settle(self) -> list[str]:
        self.exchange(SETTLE_NS // TAKT_NS + 1)
        found, self.gate.found = self.gate.found, []
        return found


def test_what_is_done_as_told_is_no_difference() -> None:
    line = Line()
    line.tell(1, 3)
    line.tell(2, action=Action.REJECT)
    line.tell(3, action=Action.REVOKE)
    line.arrive(1)
    line.arrive(2, 3, rejected=2)
    assert line.settle() == [] and line.gate.now == Differences()


def test_a_reject_that_nobody_asked_for_is_found() -> None:
    line = Line()
    line.tell(1, 2, 3)
    line.arrive(1)
    line.arrive(2, rejected=1)
    assert line.gate.found == [], "it may still be explained"
    assert line.settle() == ["part 2 was rejected at the gate, and nobody had refused it"]
    line.tell(4, 5, 6)
    line.arrive(3, 4, 5, 6, rejected=2)
    assert line.settle() == [
        "2 of parts 3 to 6 were rejected at the gate, and nobody had refused them"
    ]
    assert line.gate.now == Differences(alone=3)


def test_a_refused_part_that_goes_through_is_found_at_once() -> None:
    line = Line()
    line.tell(1, 2, action=Action.REJECT)
    line.arrive(1, 2, rejected=1)
    assert line.gate.found == ["one of parts 1 to 2 was refused, and the gate let it pass"]
    line.tell(3, action=Action.REJECT)
    line.arrive(3)
    assert line.gate.found[1:] == ["part 3 was refused, and the gate let it pass"]
    assert line.gate.now == Differences(through=2)


def test_a_decision_that_came_too_late_has_its_alarm_already() -> None:
    line = Line()
    line.tell(1, heard="late")
    line.tell(2, heard="never")
    line.tell(3, action=Action.REVOKE, heard="late")
    line.arrive(1, 2, 3, rejected=2)
    assert line.settle() == [] and line.gate.now == Differences(late=2)


def test_what_is_told_after_the_part_has_arrived_explains_it() -> None:
    line = Line()
    line.arrive(1, 2, 3, rejected=3)
    line.tell(1, action=Action.REJECT)
    line.tell(2, action=Action.REJECT, heard="never")
    assert line.settle() == ["part 3 was rejected at the gate, and nobody had refused it"]
    assert line.gate.now == Differences(late=1, alone=1)


def test_a_station_that_is_not_ready_withholds() -> None:
    line = Line()
    line.tell(*range(1, 9))
    line.ready = False
    line.exchange()
    line.arrive(1, 2, rejected=2)
    line.ready = True
    line.arrive(3, rejected=1)  # the PLC has not seen the heartbeat change yet
    line.exchange(DOUBT_NS // TAKT_NS + 1)
    line.arrive(4, rejected=1)
    assert line.settle() == ["part 4 was rejected at the gate, and nobody had refused it"]
    assert line.gate.now == Differences(withheld=3, alone=1)


def test_an_exchange_that_was_held_up_withholds() -> None:
    line = Line()
    line.tell(1, 2)
    line.at_ns += DOUBT_NS
    line.arrive(1, 2, rejected=2)
    assert line.settle() == [] and line.gate.now == Differences(withheld=2)


def test_a_test_pulse_is_no_part() -> None:
    line = Line()
    line.tell(0, action=Action.REJECT)
    line.arrive(rejected=1)
    assert line.settle() == []
    line.arrive(rejected=1)
    assert line.settle() == [
        "a part without a number was rejected at the gate, and nobody had refused it"
    ]


def test_a_period_takes_what_belongs_to_its_parts() -> None:
    line = Line()
    line.tell(*range(1, 10))
    line.arrive(1, 2, rejected=1)
    line.arrive(3)
    line.arrive(4, rejected=1)
    line.settle()
    assert line.gate.before(4) == Differences(alone=1)
    assert line.gate.now == Differences(alone=1) == line.gate.before(None)
    assert line.gate.now == Differences()


def test_a_night_of_pause_is_remembered_as_a_number() -> None:
    line = Line()
    line.ready = False
    for number in range(1, 5001):
        line.arrive(number, rejected=1)
    line.settle()
    assert line.gate.now == Differences(withheld=5000)


def test_numbers_wrap() -> None:
    gate = AtGate()
    plc = plc_status(gate_part=0xFFFF_FFFE, rejects_commanded=0xFFFF_FFFF)
    gate.begin(plc, 0)
    for number in (0xFFFF_FFFF, 0, 1):
        gate.told(Told(RUN, number or 7, Action.REJECT, GateReason.DEFECT, 1, 2, 1))
    at_ns = 10 * DOUBT_NS
    for _ in range(200):
        at_ns += TAKT_NS
        gate.status(plc, at_ns, True)
    gate.status(replace(plc, gate_part=1, rejects_commanded=1), at_ns + TAKT_NS, True)
    for i in range(200):
        gate.status(replace(plc, gate_part=1, rejects_commanded=1), at_ns + i * TAKT_NS, True)
    assert gate.now == Differences() and gate.found == []
