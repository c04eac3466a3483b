"""Parts that come back are linked by their serial and counted once (I1, S13)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from plc_blocks import plc_status

from inspector.config import Camera, Travel
from inspector.line import refeed
from inspector.line.alarms import Alarms
from inspector.line.eye import Eye
from inspector.line.matching import Candidate
from inspector.line.modes import PERMITS
from inspector.part import Frame, Mode, Outcome, Part
from inspector.store import History, LineLedger
from inspector.store.bench import sample_verdict

STREAM = "plc-1"


@dataclass(frozen=True)
class Judged:
    serial: str | None
    outcome: Outcome = Outcome.PASS
    reasons: tuple[str, ...] = ()
    findings: tuple[()] = ()
    ms: float = 1.0


class Place:
    """What a line has that this is about: a ledger with serials S1 to S20, alarms, a gate."""

    def __init__(self, data: Path) -> None:
        self.ledger = LineLedger.open(data, station="s1")
        for number in range(1, 21):
            self.ledger.add_verdict(sample_verdict(number, serial=f"S{number}"))
        self.ledger.commit()
        self.line: Any = SimpleNamespace(
            ledger=self.ledger, alarms=Alarms(), stream=STREAM, serials=refeed.Serials(data),
            zone=SimpleNamespace(status=plc_status(gate_part=100)), run=1,
        )  # fmt: skip

    def judge(
        self, number: int, serial: str | None, mode: Mode = Mode.AUTO
    ) -> tuple[Mode, Outcome, tuple[str, ...]]:
        part = Part(STREAM, number, 0, 0, mode)
        candidate = Candidate(part, triggered=True)
        candidate.judgement = Judged(serial)
        if serial is not None:
            self.line.serials.ask(part.id, serial)
            deadline = time.monotonic() + 5
            while not self.line.serials._asked[part.id].done():
                assert time.monotonic() < deadline
                time.sleep(0.001)
        decided, reasons = refeed.judged(self.line, candidate)
        return part.mode, decided, reasons


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.line.serials.close()
    place.ledger.close()


def test_a_serial_of_the_ledger_is_inspected_again_and_may_pass(place: Place) -> None:
    assert place.judge(101, "S7") == (Mode.REINSPECT, Outcome.PASS, ())
    assert place.judge(102, "new") == (Mode.AUTO, Outcome.PASS, ())
    assert place.judge(103, None) == (Mode.AUTO, Outcome.PASS, ())
    assert Mode.REINSPECT in PERMITS


def test_a_serial_that_is_not_on_the_disk_yet_is_known(place: Place) -> None:
    assert place.judge(90, "new")[0] is Mode.AUTO
    assert place.judge(101, "new")[0] is Mode.REINSPECT  # part 90 has passed the gate


def test_one_code_on_two_items_is_a_reject(place: Place) -> None:
    assert place.judge(101, "new")[1] is Outcome.PASS
    mode, outcome, reasons = place.judge(102, "new")
    assert (mode, outcome) == (Mode.AUTO, Outcome.REJECT)
    assert reasons == ("serial new is on part 101 too",)
    assert [alarm.detail for alarm in place.line.alarms.standing()] == list(reasons)


def test_one_code_on_two_items_is_a_reject_at_a_gate_without_a_plc_too(place: Place) -> None:
    """Its parts are timed from the eye; a station that only watches has no gate to stand before."""
    travel = Travel(gate_mm=500, speed_mm_s=500, lead_ms=50)
    eye = Eye(Camera(name="side", serial="V001"), travel, gated=True)
    now_ns = time.monotonic_ns()
    eye.see(100, Frame("side", 100, None, 0, now_ns - 1_000_000_000))
    eye.see(101, Frame("side", 101, None, 0, now_ns + 60_000_000_000))
    place.line.zone.status, place.line.eye = None, eye
    for run, outcome in ((None, Outcome.PASS), (0, Outcome.REJECT)):
        place.line.run = run
        assert place.judge(101, f"new {run}")[1] is Outcome.PASS
        assert place.judge(102, f"new {run}")[1] is outcome
    assert place.judge(100, "old")[1] is place.judge(101, "old")[1] is Outcome.PASS


def test_what_was_only_tried_before_is_counted_when_it_is_produced(place: Place) -> None:
    tried = replace(sample_verdict(30, serial="golden"), mode=Mode.SETUP)
    place.ledger.add_verdict(tried)
    place.ledger.commit()
    assert place.judge(90, "golden", Mode.CHALLENGE)[0] is Mode.CHALLENGE
    assert place.judge(101, "golden")[0] is Mode.AUTO
    place.line.zone.status = plc_status(gate_part=101)
    assert place.judge(102, "golden")[0] is Mode.REINSPECT


def test_other_modes_stay_what_they_are(place: Place) -> None:
    for mode in (Mode.SETUP, Mode.CHALLENGE, Mode.REINSPECT):
        assert place.judge(101, "S7", mode)[0] is mode


def test_a_serial_of_any_length_ends_no_line(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record holds a megabyte, and a longer event ended the line's process."""
    monkeypatch.setattr(place.line.serials, "known", lambda _: None)
    candidate = Candidate(Part(STREAM, 101, 0, 0), triggered=True)
    candidate.judgement = Judged("x" * (1 << 20))
    assert refeed.judged(place.line, candidate)[0] is Outcome.PASS
    place.ledger.commit()


def test_a_damaged_code_is_found_again_and_ends_no_search(place: Place) -> None:
    """The ledger keeps a lone surrogate as its escape; a question that breaks is its own affair."""
    place.ledger.add_verdict(sample_verdict(30, serial="\ud800x"))
    place.ledger.commit()
    assert place.judge(101, "\ud800x")[0] is Mode.REINSPECT
    place.line.serials._queue.put((None, broken := Future()))
    assert place.judge(102, "S7")[0] is Mode.REINSPECT
    assert broken.exception() is not None


def test_a_disk_that_does_not_answer_costs_a_count_and_no_decision(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part with a code held the line up, and at 200 a second nothing else was done."""
    monkeypatch.setattr(place.line.serials, "_thread", object())  # nobody works on the queue
    monkeypatch.setattr(refeed, "WAIT_S", 0.5)
    began = time.monotonic()
    for number in range(1, 11):
        part = Part(STREAM, 200 + number, 0, 0)
        place.line.serials.ask(part.id, f"S{number}")
        candidate = Candidate(part, triggered=True)
        candidate.judgement = Judged(f"S{number}")
        assert refeed.judged(place.line, candidate) == (Outcome.PASS, ())
        assert part.mode is Mode.AUTO
    assert time.monotonic() - began < 2.5, "the first is waited for, and no other"
    place.ledger.commit()
    with History(place.ledger.data_dir) as history:
        assert {e.body["serial"] for e in history.events("refeed_unknown")} == {
            f"S{number}" for number in range(1, 11)
        }
    monkeypatch.setattr(place.line.serials, "_thread", None)


def test_what_nobody_asks_after_any_more_is_forgotten(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that is judged and concluded as late, or with an overwritten picture, kept its
    question for as long as the line ran."""
    serials = place.line.serials
    monkeypatch.setattr(serials, "_thread", object())
    for number in range(refeed.RECENT + 10):
        serials.ask(part := Part(STREAM, number, 0, 0).id, "S7")
    assert len(serials._asked) == refeed.RECENT and part in serials._asked
    monkeypatch.setattr(serials, "_thread", None)
