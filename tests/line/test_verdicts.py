"""A part's one verdict and its permit: recorded first, on the disk, and permitted then (I2)."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from inspector.config import StopRules
from inspector.line.alarms import Alarms, Stop
from inspector.line.changeover import Job, job
from inspector.line.clock import UtcClock
from inspector.line.counters import Counters
from inspector.line.matching import Candidate
from inspector.line.verdicts import Verdicts
from inspector.pace import Pace
from inspector.part import Batch, Finding, Mode, Outcome, Part
from inspector.recipe import Judgement
from inspector.registers import Action, GateReason
from inspector.store import History, LineLedger, commits
from inspector.store.schema import LINE_FILE
from inspector.trial import wait_for

OLD, NEW = 7, 8
"""Runs of the PLC's part counter."""


class Heard:
    """A gate that remembers what it was told, from whatever thread."""

    def __init__(self) -> None:
        self.orders: list[tuple[int, int, Action, GateReason]] = []

    def decide(
        self, run: int, part: int, action: Action, reason: GateReason, deadline_ns: int
    ) -> None:
        self.orders.append((run, part, action, reason))


class Recipe:
    name, digest, revision, model_digests = "water", "d" * 64, 1, ()


class Elsewhere(Recipe):
    """Written where nobody knew the camera's name."""

    views = ("image",)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LineLedger]:
    with LineLedger.open(tmp_path, station="s1", busy_s=30.0) as opened:
        yield opened


@pytest.fixture
def gate() -> Heard:
    return Heard()


@pytest.fixture
def verdicts(ledger: LineLedger, gate: Heard) -> Verdicts:
    nothing: Any = None  # no part of these tests has a picture
    return Verdicts(
        "s1", gate, ledger, nothing, nothing, nothing,  # type: ignore[arg-type]
        Alarms(), Stop(StopRules()), Counters(), UtcClock(trusted=True),
    )  # fmt: skip


@contextmanager
def held_up(ledger: LineLedger) -> Iterator[None]:
    """No commit ends meanwhile: somebody else has the database's one write lock."""
    with closing(sqlite3.connect(ledger.data_dir / LINE_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def conclude(
    verdicts: Verdicts, run: int, number: int, outcome: Outcome, in_s: float = 60.0,
    mode: Mode = Mode.AUTO,
) -> None:  # fmt: skip
    now_ns = time.monotonic_ns()
    deadline_ns = now_ns + round(in_s * 1e9)
    part = Part(f"plc-{run:08x}", number, now_ns, deadline_ns, mode, "B-1")
    planned = Job(Recipe(), Batch("B-1"), "water@1", ("side",))  # type: ignore[arg-type]
    why = GateReason.NONE if outcome is Outcome.PASS else GateReason.DEFECT
    verdicts.conclude(run, Candidate(part, triggered=True), planned, outcome, (), why)
    verdicts.record()


def test_a_pass_is_permitted_once_it_is_on_the_disk(
    verdicts: Verdicts, ledger: LineLedger, gate: Heard
) -> None:
    with held_up(ledger):
        conclude(verdicts, OLD, 1, Outcome.PASS)
        assert gate.orders == [] and verdicts.waiting == 1
    assert wait_for(lambda: gate.orders, 20.0)
    assert gate.orders == [(OLD, 1, Action.PERMIT, GateReason.NONE)]
    assert ledger.size > 0


def test_a_pass_whose_gate_is_near_is_recorded_without_a_pace(
    verdicts: Verdicts, ledger: LineLedger, gate: Heard
) -> None:
    pace = ledger._commits._pace = Pace(10**15, burst=1)
    assert not pace.put_off_ns(time.monotonic_ns())
    conclude(verdicts, OLD, 1, Outcome.PASS, in_s=commits.URGENT_NS / 1e9)
    assert wait_for(lambda: gate.orders, 20.0)


@pytest.mark.parametrize(("mode", "stops"), [(Mode.CLEANING, False), (Mode.AUTO, True)])
def test_what_is_on_the_belt_while_it_is_cleaned_stops_no_line(
    verdicts: Verdicts, mode: Mode, stops: bool
) -> None:
    """A brush before the eye was ten rejects in a row, and the belt stood in the middle of it."""
    for number in range(1, 12):
        conclude(verdicts, OLD, number, Outcome.REJECT, mode=mode)
    assert bool(verdicts._stop.why) is stops


def test_a_reject_is_told_before_it_is_recorded(
    verdicts: Verdicts, ledger: LineLedger, gate: Heard
) -> None:
    with held_up(ledger):
        conclude(verdicts, OLD, 1, Outcome.REJECT)
        assert gate.orders == [(OLD, 1, Action.REJECT, GateReason.DEFECT)]


def test_a_permit_that_waits_for_the_disk_is_for_no_part_of_a_new_count(
    verdicts: Verdicts, ledger: LineLedger, gate: Heard
) -> None:
    """The PLC restarts while part 1 of the old run waits: part 1 of the new one, a reject, keeps
    its number to itself."""
    with held_up(ledger):
        conclude(verdicts, OLD, 1, Outcome.PASS)
        verdicts.forget_run()
        conclude(verdicts, NEW, 1, Outcome.REJECT)
    ledger.commit_soon().result(20.0)
    assert gate.orders == [(NEW, 1, Action.REJECT, GateReason.DEFECT)]


def test_both_parts_of_one_number_are_told_apart_when_both_pass(
    verdicts: Verdicts, ledger: LineLedger, gate: Heard
) -> None:
    with held_up(ledger):
        conclude(verdicts, OLD, 1, Outcome.PASS)
        verdicts.forget_run()
        conclude(verdicts, NEW, 1, Outcome.PASS)
    assert wait_for(lambda: gate.orders, 20.0)
    ledger.commit_soon().result(20.0)
    assert gate.orders == [(NEW, 1, Action.PERMIT, GateReason.NONE)]


def test_what_is_found_is_on_the_only_cameras_picture_whatever_the_recipe_calls_it(
    verdicts: Verdicts, ledger: LineLedger
) -> None:
    """As with the first station of the README: no page marked anything on a picture."""
    findings = (Finding("caps", "detect", "Cap", box=(1.0, 1.0, 9.0, 9.0), view="image"),)
    part = Part("plc-1", 1, 0, time.monotonic_ns() + 10**10, Mode.AUTO, "B-1")
    judged = Judgement(Outcome.PASS, (), findings, None, 1.0)
    seen = Candidate(part, triggered=True, judgement=judged)
    verdicts.conclude(
        NEW, seen, job(Elsewhere(), Batch("B-1"), ["camera"]), Outcome.PASS, (), GateReason.NONE
    )
    verdicts.record()
    ledger.commit()
    with History(ledger.data_dir) as history:
        assert [f.view for f in history.last()[0].verdict.findings] == ["camera"]
