"""Shifts and production days by the plant's own clock."""

from __future__ import annotations

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


def test_without_shifts_there_is_none() -> None:
    assert Calendar().shift_of(ns("2026-11-17T04:00:00")) == ""
    with pytest.raises(ValidationError, match="no time zone"):
        Calendar(timezone="Mars/Olympus")
