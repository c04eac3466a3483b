"""A lot that went in for a while recalls the parts of its batch in that while, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inspector.part import Batch, new_part_id
from inspector.store import DeskLedger, History, LineLedger
from inspector.store.bench import sample_verdict
from inspector.store.genealogy import Genealogy
from inspector.store.holds import Run
from inspector.store.recalls import Affected, Criteria, MaterialLot, affected

T0 = 1_800_000_000_000_000_000
STEP = 100_000_000
"""From part to part, ns."""


def _make(ledger: LineLedger, batch: str, number: int, late_s: int = 0) -> None:
    utc = T0 + number * STEP + late_s * 1_000_000_000
    verdict = sample_verdict(number, batch=batch, stream="plc-1")
    times = replace(verdict.times, utc_ns=utc)
    ledger.add_verdict(replace(verdict, part_id=new_part_id(utc), times=times))


def _recalled(data: Path, batch: str, *upto: int | None) -> Affected:
    """What a lot that went into ``batch`` from part 30 on, up to each of these parts, means."""
    body = {"relation": "consumed", "batch": batch, "material": "cap", "lot": "CL-1"}
    with DeskLedger.open(data) as desk:
        for last in upto:
            span = {"from": T0 + 30 * STEP, "to": last and T0 + last * STEP}
            desk.add("link", body | span, "mes")
    with History(data) as history, Genealogy(data) as genealogy:
        return affected(history, genealogy, Criteria(lots=(MaterialLot("CL-1"),)))


@pytest.mark.parametrize(
    ("moved", "by_s", "last", "runs"),
    [
        (range(51, 81), -3600, 40, [(20, 49)]),
        (range(1, 2), 31_536_000, None, [(1, 1), (20, 60)]),  # the first may be of then
    ],
)
def test_its_parts_are_found_though_the_clock_was_set_back_in_their_batch(
    tmp_path: Path, moved: range, by_s: int, last: int | None, runs: list[tuple[int, int]]
) -> None:
    """None were held: the batch seemed to end before it began."""
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for number in range(1, 81):
            _make(ledger, "L" if number <= 60 else "M", number, by_s if number in moved else 0)
    assert _recalled(tmp_path, "L", last).runs == tuple([Run("plc-1", *run) for run in runs])
    with History(tmp_path) as history:
        ends = history.batch("L")
    assert ends.last_utc_ns - ends.first_utc_ns > 3590 * 1_000_000_000


def test_none_are_of_another_batch_that_was_made_before_its_own_went_on(tmp_path: Path) -> None:
    """All that was made in between was held, with other lots in it."""
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for batch, first in (("A", 1), ("B", 41), ("A", 81)):
            ledger.add_batch(Batch(batch), "begin", "line")
            for number in range(first, first + 40):
                _make(ledger, batch, number)
            ledger.add_batch(Batch(batch), "end", "line")
    found = _recalled(tmp_path, "A", None)
    assert (found.runs, found.parts) == ((Run("plc-1", 20, 40), Run("plc-1", 81, 120)), 61)


def test_what_went_in_twice_the_second_time_to_the_end_is_counted_once(tmp_path: Path) -> None:
    with LineLedger.open(tmp_path, station="s1") as ledger:
        ledger.add_batch(Batch("A"), "begin", "line")
        for number in range(1, 61):
            _make(ledger, "A", number)
    found = _recalled(tmp_path, "A", 40, None)
    assert (found.batches, found.runs, found.parts) == (("A",), (), 60)
