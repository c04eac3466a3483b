"""Shifts and production days by the plant's own clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from inspector.config import Calendar

BERLIN = Calendar(
    timezone="Europe/Berlin",
    day_starts="06:00",
    shifts={"late": "14:00", "early": "06:00", "night": "22:00"},
)


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("utc", "day", "shift"),
    [
        ("2026-11-17T04:59:59", date(2026, 11, 16), "night"),
        ("2026-11-17T05:00:00", date(2026, 11, 17), "early"),
        ("2026-11-17T12:59:59", date(2026, 11, 17), "early"),
        ("2026-11-17T13:00:00", date(2026, 11, 17), "late"),
        ("2026-11-17T23:30:00", date(2026, 11, 17), "night"),
        ("2026-07-17T04:00:00", date(2026, 7, 17), "early"),  # summer time
    ],
)
def test_a_moment_belongs_to_a_shift_and_a_day(utc: str, day: date, shift: str) -> None:
    assert (BERLIN.day_of(ns(utc)), BERLIN.shift_of(ns(utc))) == (day, shift)


def test_a_shift_of_a_week_is_five_and_two_stretches_of_eight_hours() -> None:
    week = ns("2026-11-16T00:00:00"), ns("2026-11-23T00:00:00")
    early = BERLIN.stretches("early", *week)
    night = BERLIN.stretches("night", *week)

    assert early[0] == (ns("2026-11-16T05:00:00"), ns("2026-11-16T13:00:00")) and len(early) == 7
    assert night[0] == (week[0], ns("2026-11-16T05:00:00")), "what had begun before is cut off"
    assert night[-1] == (ns("2026-11-22T21:00:00"), week[1])
    assert all(BERLIN.shift_of(a) == BERLIN.shift_of(b - 1) == "night" for a, b in night)
    assert BERLIN.stretches("noon", *week) == Calendar().stretches("", *week) == []


@pytest.mark.parametrize(
    ("utc", "day", "shift"),
    [
        ("2026-11-17T01:00:00", "2026-11-16T05:00:00", "2026-11-16T21:00:00"),
        ("2026-11-17T05:00:00", "2026-11-17T05:00:00", "2026-11-17T05:00:00"),
        ("2026-11-17T22:59:00", "2026-11-17T05:00:00", "2026-11-17T21:00:00"),
        ("2026-10-25T04:59:00", "2026-10-24T04:00:00", "2026-10-24T20:00:00"),  # clocks put back
        ("2026-03-29T03:59:00", "2026-03-28T05:00:00", "2026-03-28T21:00:00"),  # and put on
    ],
)
def test_a_day_and_a_shift_have_begun_when_they_began(utc: str, day: str, shift: str) -> None:
    assert (BERLIN.day_began(ns(utc)), BERLIN.shift_began(ns(utc))) == (ns(day), ns(shift))


def test_a_shift_over_midnight_is_one_where_days_begin_then() -> None:
    """Days begin at midnight if nobody says otherwise. A shift may begin at any minute."""
    calendar = Calendar(timezone="UTC", shifts={"day": "06:20", "night": "18:10"})

    assert calendar.shift_began(ns("2026-11-17T02:00:00")) == ns("2026-11-16T18:10:00")
    assert calendar.shift_began(ns("2026-11-17T10:34:00")) == ns("2026-11-17T06:20:00")
    assert calendar.day_began(ns("2026-11-17T02:00:00")) == ns("2026-11-17T00:00:00")
    one = Calendar(timezone="UTC", shifts={"all": "06:00"})
    assert one.shift_began(ns("2026-11-17T02:00:00")) == ns("2026-11-16T06:00:00")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets the machine's time zone."""

    def zone(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield zone
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "hour"), [("UTC", "17T00"), (":Asia/Shanghai", "16T16"), ("CST-8", "16T16")]
)
def test_without_shifts_there_is_the_day_and_without_a_zone_the_machines(
    machine: Callable[[str], None], zone: str, hour: str
) -> None:
    """However the machine says it: by a rule without a name shifts began as in Greenwich."""
    machine(zone)
    assert Calendar().shift_began(ns("2026-11-17T04:00:00")) == ns(f"2026-11-{hour}:00:00")
    assert Calendar().shift_of(ns("2026-11-17T04:00:00")) == ""
    with pytest.raises(ValidationError, match="no time zone"):
        Calendar(timezone="Mars/Olympus")


def test_a_zone_without_a_name_is_the_machines_in_every_question(
    machine: Callable[[str], None],
) -> None:
    machine("CST-8")
    shifts = {"early": "06:00", "late": "14:00", "night": "22:00"}
    mine, named = Calendar(shifts=shifts), Calendar(timezone="Asia/Shanghai", shifts=shifts)
    week = ns("2026-11-16T00:00:00"), ns("2026-11-23T00:00:00")
    assert mine.stretches("night", *week) == named.stretches("night", *week) != []
    for at in range(*week, 3_600_000_000_000):
        assert mine.day_of(at) == named.day_of(at) and mine.shift_of(at) == named.shift_of(at)
