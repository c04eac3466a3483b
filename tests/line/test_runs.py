"""A PLC whose part counter begins anew: each part has its one verdict, and no permit is another's.

A line with a PLC and without pictures, turned by hand: by-passed, it permits what it is told of."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from inspector.config import load_station
from inspector.display import AlarmCode
from inspector.line.line import Line
from inspector.line.process import load_recipes, open_line
from inspector.line.watch import look_around, show
from inspector.part import GateAction, Mode, Outcome
from inspector.registers import Action, StationBit, Trigger
from inspector.store import History

STEP = {"name": "patch", "kind": "illumination", "view": "side", "roi": [0, 0, 64, 48],
        "params": {"low": 60, "high": 200}}  # fmt: skip
OLD, NEW = "plc-0000beef", "plc-0000beef.2"


class Site:
    """The station's line, and a PLC whose gate is so far behind the eye that nobody arrives."""

    def __init__(self, folder: Path, plc: Any) -> None:
        self.plc, self.folder = plc, folder
        plc.counts_per_ms = 5
        for name in ("pictures", "run"):
            (folder / name).mkdir()
        written: dict[str, Any] = {
            "station": "T-01", "data": "data", "recipes": ["grey.yaml"], "judges": 1,
            "cameras": [{"name": "side", "source": "folder", "folder": "pictures"}],
            "travel": {"gate_mm": 15000, "speed_mm_s": 500, "mm_per_count": 0.1, "lead_ms": 50},
            "plc": {"port": plc.port, "poll_ms": 10, "timeout_ms": 300},
            "store": {"reserve_mb": 0, "stop_mb": 0}, "batch": {"id": "B-1"}, "clock": "trusted",
        }  # fmt: skip
        recipe = {"name": "grey", "views": ["side"], "tools": [STEP]}
        for name, content in (("station.yaml", written), ("grey.yaml", recipe)):
            with (folder / name).open("w") as file:
                YAML(typ="safe").dump(content, file)
        self.open()

    def open(self) -> None:
        station = load_station(self.folder / "station.yaml")
        self.line: Line = open_line(station, self.folder / "run", load_recipes(station))
        now_ns = time.monotonic_ns()
        self.line.modes.set(Mode.BYPASS, "erika", "no camera", 3_600_000_000_000, at_ns=now_ns)
        self.turn(lambda: self.line.run is not None)

    def turn(self, until: Callable[[], object]) -> None:
        """The loop's rounds, until something is so."""
        end = time.monotonic() + 20
        while not until():
            assert time.monotonic() < end, "it did not happen in time"
            self.line.take_gate()
            self.line.decide()
            show(self.line)
            look_around(self.line)
            self.line.hand_over()
            time.sleep(0.002)

    def parts(self, count: int) -> None:
        """Parts that come one by one, until each has its verdict."""
        for _ in range(count):
            came = self.line.counters.verdicts
            self.plc.part()
            self.plc.on_belt.clear()
            time.sleep(0.06)
            self.turn(lambda came=came: self.line.counters.verdicts > came)

    def restart_counter(self, part_counter: int = 0, **changes: Any) -> None:
        with self.plc.lock:
            self.plc.obeyed.clear()
            self.plc.status = replace(self.plc.status, part_counter=part_counter, **changes)

    def verdicts(self) -> dict[tuple[str, int], Outcome]:
        """All on record, by stream and number; no two are of one part."""
        self.line.ledger.commit()
        with History(self.line.ledger.data_dir) as history:
            told = [part.verdict for part in history.last(1000)]
        by = {(v.stream, v.sequence): v.outcome for v in told}
        assert len(by) == len(told)
        return by

    def alarm(self) -> str:
        """What the operator reads of it."""
        standing = {alarm.code: alarm.detail for alarm in self.line.alarms.standing()}
        return standing.get(AlarmCode.COUNTER_FELL, "")

    def permitted(self) -> set[int]:
        return {d.part for d in self.plc.obeyed if d.action is Action.PERMIT}


@pytest.fixture
def site(tmp_path: Path, plc: Any) -> Iterator[Site]:
    site = Site(tmp_path, plc)
    site.turn(lambda: StationBit.READY in plc.bits)
    yield site
    site.line.close()


@pytest.mark.parametrize("reloaded", [True, False], ids=["program", "counter"])
def test_each_part_of_a_counter_that_fell_back_in_its_run_has_its_verdict_and_none_passes(
    site: Site, reloaded: bool
) -> None:
    """(I1, I2) The PLC's program was reloaded, or its counter alone was set back. Decisions name
    run and part, so one for the new part 2 could be the old one's; a PLC that has forgotten what it
    acknowledged even takes the old permits again."""
    plc = site.plc
    site.parts(4)
    site.turn(lambda: plc.permits() == {1, 2, 3, 4})
    forgotten = {"triggers": (), "acknowledged": 0, "encoder": 0} if reloaded else {}
    site.restart_counter(**forgotten)
    site.turn(lambda: StationBit.READY not in plc.bits)
    site.turn(lambda: {d.part for d in plc.obeyed if d.action is Action.REVOKE} == {1, 2, 3, 4})
    assert not plc.permits()
    plc.obeyed.clear()
    site.parts(6)

    expected = {(OLD, n): Outcome.NOT_INSPECTED for n in range(1, 5)}
    expected |= {(NEW, n): Outcome.ERROR for n in range(1, 7)}
    assert site.verdicts() == expected
    assert "fell back from 4 to 0" in site.alarm() and "new run" in site.alarm()
    assert not site.permitted() and StationBit.READY not in plc.bits


def test_a_new_run_ends_it(site: Site) -> None:
    site.parts(3)
    site.restart_counter(triggers=(), acknowledged=0)
    site.parts(2)
    assert site.alarm()
    site.restart_counter(triggers=(), acknowledged=0, gate_part=0, run=0xF00D)
    site.turn(lambda: StationBit.READY in site.plc.bits)
    site.parts(2)
    site.turn(lambda: site.plc.permits() == {1, 2})
    assert not site.alarm()
    assert site.verdicts()["plc-0000f00d", 2] is Outcome.NOT_INSPECTED


def test_a_line_that_starts_again_knows_that_numbers_come_twice(site: Site) -> None:
    """Whether the counter fell back before the line ended or meanwhile; and it may do so again."""
    site.parts(5)
    site.line.close()
    site.restart_counter(2, triggers=(), acknowledged=0)
    site.open()
    assert "fell back from 5 to 2" in site.alarm()
    site.parts(1)
    site.line.close()
    site.open()
    site.parts(1)
    assert "fell back from 5 to 2" in site.alarm()
    site.restart_counter(0, triggers=(), acknowledged=0)
    site.parts(1)
    verdicts = site.verdicts()
    assert {k for k, outcome in verdicts.items() if outcome is Outcome.ERROR} == {
        *((NEW, n) for n in (1, 2, 3, 4)), ("plc-0000beef.3", 1),
    }  # fmt: skip
    assert StationBit.READY not in site.plc.bits and not site.permitted()


def test_a_counter_that_was_corrected_by_a_few_owes_no_part_that_has_not_come(site: Site) -> None:
    """The ring shows none that is new, so none has come meanwhile."""
    site.parts(5)
    site.restart_counter(3, triggers=site.plc.status.triggers[:3])
    site.parts(1)
    assert {n for stream, n in site.verdicts() if stream == NEW} == {4}
    site.line.close()
    site.open()
    assert {n for stream, n in site.verdicts() if stream == NEW} == {4}


def test_what_has_come_since_the_counter_fell_back_is_an_error_each(site: Site) -> None:
    site.parts(5)
    now_ms = time.monotonic_ns() // 1_000_000
    site.restart_counter(2, triggers=tuple(Trigger(n, now_ms * 5, now_ms) for n in (1, 2)))
    site.turn(lambda: site.line.counters.verdicts == 7)
    assert site.verdicts()[NEW, 1] is site.verdicts()[NEW, 2] is Outcome.ERROR


def test_what_the_gate_is_told_of_the_count_before_is_on_record_there(site: Site) -> None:
    site.parts(3)
    site.turn(lambda: site.plc.permits() == {1, 2, 3})
    site.restart_counter()
    site.parts(3)

    def told() -> dict[tuple[str, int], set[GateAction]]:
        site.line.ledger.commit()
        with History(site.line.ledger.data_dir) as history:
            parts = history.last(100)
        return {(p.verdict.stream, p.verdict.sequence): {g.action for g in p.gates} for p in parts}

    expected = {(OLD, n): {GateAction.PERMIT, GateAction.REVOKE} for n in (1, 2, 3)}
    expected |= {(NEW, n): {GateAction.REJECT} for n in (1, 2, 3)}
    site.turn(lambda: told() == expected)
