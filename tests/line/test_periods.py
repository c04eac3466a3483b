"""Counts by stretches, from the PLC's words to the batch's summary (I1)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.line.periods import Periods
from inspector.part import Batch
from inspector.registers import PlcStatus, Signal
from inspector.store import History, LineLedger
from inspector.store.bench import sample_verdict
from inspector.store.periods import Reconciliation, reconcile

STREAM = "plc-00000001"


def plc(counter: int, gate: int, *, infeed: int | None = None, commanded: int = 0,
        confirmed: int | None = None, run: int = 1, fault: bool = False) -> PlcStatus:  # fmt: skip
    return PlcStatus(
        1, 0, Signal.CONFIRMATION_FAULT if fault else Signal(0), 0, counter, 0,
        counter if infeed is None else infeed, commanded,
        commanded if confirmed is None else confirmed, 0, 0, gate, 1, 0, run, (),
    )  # fmt: skip


class Line:
    """A ledger, and the periods of the line that writes it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.ledger = LineLedger.open(data, station="s1")
        self.periods = Periods(self.ledger.add_event, settle_ns=0)

    def begin(self, batch: str, first: int) -> None:
        self.ledger.add_batch(Batch(batch), "begin", "mes")
        self.periods.begin(batch, first, "batch", "mes")

    def make(self, batch: str, numbers: range, stream: str = STREAM) -> None:
        for number in numbers:
            self.ledger.add_verdict(sample_verdict(number, batch=batch, stream=stream))

    def of(self, batch: str, now: PlcStatus | None = None) -> Reconciliation:
        self.ledger.commit()
        names = {"infeed": "infeed", "triggers": "part_counter",
                 "commanded": "rejects_commanded", "confirmed": "rejects_confirmed"}  # fmt: skip
        live = now and {name: int(getattr(now, field)) for name, field in names.items()}
        with History(self.data) as history:
            found = reconcile(history, batch, live or None)
        assert found is not None
        return found


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path)
    line.ledger.add_batch(Batch("A"), "begin", "line")
    line.periods.open(STREAM, plc(0, 0), "A")
    yield line
    line.ledger.close()


def test_a_batch_begins_at_the_eye_and_later_at_the_gate(line: Line) -> None:
    line.make("A", range(1, 101))
    line.begin("B", 101)
    line.periods.status(plc(100, 80, infeed=102, commanded=1), 20)
    line.make("B", range(101, 151))
    line.periods.refused(50), line.periods.refused(100), line.periods.refused(150)
    line.periods.status(plc(130, 100, infeed=132, commanded=2), 30)
    a = line.of("A")
    assert a.differences == () and a.verdicts == 100
    (period,) = a.periods
    assert (period.first, period.triggers, period.infeed) == (1, 100, 102)
    assert (period.commanded, period.confirmed, period.refused, period.open) == (2, 2, 2, False)
    b = line.of("B", plc(150, 150, infeed=153, commanded=3))
    (period,) = b.periods
    assert (period.first, period.triggers, period.infeed, period.open) == (101, 50, 51, True)
    assert (period.commanded, period.principal) == (1, "mes") and b.differences == ()


def test_two_batches_may_begin_before_the_first_has_come_to_the_gate(line: Line) -> None:
    line.make("A", range(1, 21))
    line.begin("B", 21)
    line.periods.status(plc(20, 2), 18)
    line.make("B", range(21, 31))
    line.begin("C", 31)
    line.periods.status(plc(30, 12), 18)
    line.make("C", range(31, 61))
    line.periods.status(plc(60, 42), 18)
    found = line.of("B")
    assert found.differences == () and found.periods[0].infeed == 10


def test_an_empty_belt_ends_a_batch_at_the_gate(line: Line) -> None:
    line.make("A", range(1, 11))
    line.begin("B", 11)
    line.periods.status(plc(10, 9), 0)  # the last part of A was taken off by hand
    assert not line.of("A").periods[0].open


@pytest.mark.parametrize(
    ("end", "difference"),
    [
        (plc(102, 100), "102 triggers, 100 verdicts"),
        (plc(100, 100, infeed=120), "120 parts at the infeed, 100 triggers"),
        (plc(100, 100, commanded=40, confirmed=2), "40 rejects commanded, 2 confirmed, 0 alarmed"),
    ],
)
def test_what_differs_is_said(line: Line, end: PlcStatus, difference: str) -> None:
    line.make("A", range(1, 101))
    assert line.of("A", end).differences == (difference,)


def test_faulty_parts_that_were_never_refused_are_a_difference(line: Line) -> None:
    line.make("A", range(1, 101))  # two of them rejects
    line.periods.refused(50)
    line.begin("B", 101)
    line.periods.status(plc(100, 100, commanded=1), 0)
    assert line.of("A").differences == (
        "2 rejects and errors, of which 1 were refused at the gate",
    )


def test_a_restarted_plc_opens_a_period_and_closes_the_one_before(line: Line) -> None:
    line.make("A", range(1, 41))
    line.periods.status(plc(40, 30), 10)
    line.periods.open("plc-00000002", plc(0, 0, run=2), "A")
    line.make("A", range(1, 11), "plc-00000002")
    found = line.of("A", plc(10, 10, run=2))
    assert [(p.stream, p.triggers) for p in found.periods] == [(STREAM, 40), ("plc-00000002", 10)]
    assert found.periods[1].why == "the PLC counts anew" and found.differences == ()


def test_a_restarted_line_goes_on_in_the_same_stream(line: Line) -> None:
    line.make("A", range(1, 41))
    again = Periods(line.ledger.add_event, settle_ns=0)
    again.open(STREAM, plc(45, 44), "A")
    line.make("A", range(41, 51))
    found = line.of("A", plc(50, 50))
    assert [p.triggers for p in found.periods] == [45, 5] and found.differences == ()
    assert found.periods[0].refused is None


def test_a_person_opens_a_new_period(line: Line) -> None:
    line.make("A", range(1, 41))
    line.periods.begin("A", 41, "reset: shift", "op")
    line.periods.status(plc(40, 40), 0)
    assert [(p.why, p.principal) for p in line.of("A", plc(40, 40)).periods] == [
        ("the line started", "line"), ("reset: shift", "op"),
    ]  # fmt: skip


def test_rejects_that_nobody_saw_are_told_unless_an_alarm_tells_of_them(line: Line) -> None:
    line.periods.status(plc(100, 100, commanded=6, confirmed=0), 0)
    assert line.periods.unconfirmed(False) == ""
    line.periods.status(plc(100, 100, commanded=7, confirmed=0), 0)
    assert line.periods.unconfirmed(False) == "rejects commanded 7, confirmed 0"
    assert line.periods.unconfirmed(True) == "" == line.periods.unconfirmed(False)
    line.periods.status(plc(100, 100, commanded=20, confirmed=0, fault=True), 0)
    assert line.periods.unconfirmed(False) == ""


def test_part_numbers_wrap(line: Line) -> None:
    line.periods.open("plc-00000003", plc(0xFFFF_FFFE, 0xFFFF_FFFE, run=3), "A")
    line.periods.begin("B", 2, "batch", "mes")
    line.ledger.add_batch(Batch("B"), "begin", "mes")
    line.periods.status(plc(0xFFFF_FFFF, 0xFFFF_FFFF, run=3), 1)
    line.periods.status(plc(3, 1, run=3), 2)
    line.make("B", range(2, 4), "plc-00000003")
    assert line.of("B", plc(3, 3, run=3)).periods[0].triggers == 2
