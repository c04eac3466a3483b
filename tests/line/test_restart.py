"""What a line that starts again owes: a verdict for every part that the PLC counted (I1, I2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inspector.display import Counts
from inspector.line.counters import BATCHES, Counters
from inspector.line.restart import (
    challenged,
    gap_before,
    parts_of,
    produced,
    rejected,
    undecided,
)
from inspector.part import Batch, Mode, Outcome
from inspector.store import LineLedger
from inspector.store.bench import sample_gate, sample_verdict

STREAM = "plc-0000002a"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LineLedger]:
    with LineLedger.open(tmp_path, station="s1") as opened:
        opened.add_event("stream_opened", "line", stream=STREAM, authority="plc", counter=0)
        yield opened


def record(ledger: LineLedger, *numbers: int) -> None:
    for number in numbers:
        ledger.add_verdict(sample_verdict(number, stream=STREAM))
    ledger.commit()


def test_a_part_that_was_under_way_before_the_first_verdict_is_not_forgotten(
    ledger: LineLedger,
) -> None:
    """Parts 2 and 4 were decided before the kill, 1 and 3 were not; 1 is below all that has one."""
    record(ledger, 2, 4)
    gap = gap_before(ledger, STREAM, 5)
    assert gap.spans == [range(1, 2), range(3, 4), range(5, 6)]
    assert gap.recorded == 4 and gap.unobserved == 3


def test_a_stream_without_a_verdict_owes_one_to_every_part(ledger: LineLedger) -> None:
    ledger.commit()
    gap = gap_before(ledger, STREAM, 3)
    assert gap.spans == [range(1, 4)]
    assert gap.recorded == 0 and gap.unobserved == 3


def test_of_a_stream_that_was_opened_every_part_is_owed_however_many(ledger: LineLedger) -> None:
    """Its disk was full from then on, and the process ended."""
    ledger.commit()
    gap = gap_before(ledger, STREAM, 7000)
    assert gap.spans == [range(1, 7001)] and gap.unobserved == 7000


def test_of_a_stream_that_was_never_seen_only_the_last_parts_can_have_been_its_own(
    ledger: LineLedger,
) -> None:
    ledger.commit()
    gap = gap_before(ledger, "plc-0000002b", 7000)
    assert gap.spans == [range(6001, 7001)] and gap.unobserved == 7000


def test_a_stream_that_is_whole_owes_nothing(ledger: LineLedger) -> None:
    record(ledger, 1, 2, 3)
    assert gap_before(ledger, STREAM, 3).spans == []


def test_a_verdict_whose_decision_is_not_on_record_is_undecided(ledger: LineLedger) -> None:
    verdicts = [sample_verdict(number, stream=STREAM) for number in (1, 2, 3)]
    for verdict in verdicts:
        ledger.add_verdict(verdict)
    ledger.add_gate(sample_gate(verdicts[1]))
    ledger.commit()
    assert undecided(ledger, STREAM, 3) == [1, 3]
    assert parts_of(ledger, STREAM, (2, 9)) == {2: verdicts[1].part_id}


def told(ledger: LineLedger, command: str, **result: object) -> None:
    ledger.add_event("command", "mes", command=command, result=result)
    ledger.commit()


def test_a_batch_is_counted_whole_however_often_the_line_started(ledger: LineLedger) -> None:
    """Else the page, OPC UA, MQTT and Modbus say less than the ledger and the MES's interface."""
    for number in range(1, 71):
        ledger.add_batch(Batch(f"L{number}"), "begin", "line")
        ledger.add_verdict(sample_verdict(number, stream=STREAM, batch=f"L{number}"))
    setup = replace(sample_verdict(71, stream=STREAM, batch="L1"), mode=Mode.SETUP)
    ledger.add_verdict(setup)
    ledger.add_verdict(sample_verdict(100, stream=STREAM, batch="L1"))  # a reject
    ledger.commit()

    counters = Counters(batches=produced(ledger, "L1"))
    assert counters.batch("L1") == Counts(parts=2, passed=1, rejected=1)
    assert counters.batch("L70") == Counts(parts=1, passed=1)
    counters.judged(Outcome.ERROR, Mode.AUTO, "L1")
    assert counters.batch("L1") == Counts(parts=3, passed=1, rejected=1, errors=1)
    assert len(counters.batches) == BATCHES


def test_parts_that_were_rejected_before_they_came_stay_so(ledger: LineLedger) -> None:
    """(I5) Acknowledged once, and no restart forgets it."""
    told(ledger, "reject", stream=STREAM, first=5, last=8, too_late=0)
    told(ledger, "reject", stream=STREAM, first=12, last=12, too_late=0)
    told(ledger, "reject", stream="plc-0000002b", first=20, last=30, too_late=0)
    told(ledger, "reject", refused="part 40 has passed the gate")
    assert rejected(ledger, STREAM, 6) == [7, 8, 12]
    assert rejected(ledger, STREAM, 12) == []


def test_the_parts_of_a_challenge_are_those_of_the_newest_one(ledger: LineLedger) -> None:
    assert challenged(ledger, STREAM, 0) == range(0)
    told(ledger, "challenge", **{"from": 3, "to": 9, "stream": STREAM})
    told(ledger, "challenge", **{"from": 5, "to": 7, "stream": STREAM})
    assert challenged(ledger, STREAM, 5) == range(6, 8)
    assert not challenged(ledger, STREAM, 7)
