"""A part that is judged again is judged as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from inspector.config import Calendar
from inspector.part import Batch
from inspector.store import History, LineLedger
from inspector.store.bench import sample_verdict
from inspector.store.circumstance import batch_of, day_of, zone_of


def test_each_part_is_of_its_batch_as_it_had_begun_by_then(ledger: LineLedger) -> None:
    """After a lot that was typed wrong the batch was ended and begun anew: all its parts were
    judged again by the wrong one, and every good part was told to flip."""
    batch = sample_verdict(1).batch
    for sequence, lot in ((1, "L2417B"), (2, "L2417A")):
        begun = Batch(batch, "cap-28", "caps", {"lot": lot})
        ledger.add_batch(begun, "begin", "otto")
        ledger.add_verdict(sample_verdict(sequence))
        ledger.add_batch(begun, "end", "otto")
    ledger.commit()

    with History(ledger.data_dir) as history:
        newest, first = history.last(2)
        assert batch_of(history, first).texts == {"lot": "L2417B"}
        assert batch_of(history, newest) == Batch(batch, "cap-28", "caps", {"lot": "L2417A"})


def test_the_day_is_the_stations_whatever_machine_asks(ledger: LineLedger) -> None:
    """At three in the night in Shanghai it is the evening before where a shell counts in UTC: dates
    were judged again by that day."""
    verdict = sample_verdict(1)
    night = int(datetime(2026, 11, 26, 19, tzinfo=UTC).timestamp() * 1e9)
    ledger.add_verdict(replace(verdict, times=replace(verdict.times, utc_ns=night)))
    ledger.commit()
    with History(ledger.data_dir) as history:
        (part,) = history.last()
        assert zone_of(history) is None
        for zone, day in (("Europe/Berlin", 26), ("Asia/Shanghai", 27)):
            ledger.add_event("line_started", "line", zone=zone)
            ledger.commit()
            assert day_of(part, zone_of(history)) == date(2026, 11, day)


def test_a_line_says_its_calendars_zone_or_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Asia/Shanghai")
    assert Calendar().timezone == "Asia/Shanghai"
