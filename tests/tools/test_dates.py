"""Which dates are seen in a line of print, and what they mean."""

from __future__ import annotations

from datetime import date

import pytest

from inspector.tools.dates import FORMATS, find_date, parts_of, shortfall

TODAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("line", "printed", "day"),
    [
        ("16 NOV", "16 NOV", date(2026, 11, 16)),
        ("16 Nov", "16 Nov", date(2026, 11, 16)),
        ("USE BY 16 NOV 26", "16 NOV 26", date(2026, 11, 16)),
        ("Useby16NOV2027 B", "16NOV2027", date(2027, 11, 16)),
        ("16 NOV 12:30", "16 NOV", date(2026, 11, 16)),
        ("EXP 16/11/26 L12", "16/11/26", date(2026, 11, 16)),
        ("2027-02-01", "2027-02-01", date(2027, 2, 1)),
        ("29 FEB", "29 FEB", date(2028, 2, 29)),
        ("05 JAN", "05 JAN", date(2027, 1, 5)),
        ("31 MAA", "31 MAR", date(2027, 3, 31)),
        ("1B NOV", "18 NOV", date(2026, 11, 18)),
    ],
)
def test_a_date_is_found_in_its_line(line: str, printed: str, day: date) -> None:
    found = find_date(line, FORMATS, TODAY)

    assert found is not None
    assert (found.text, found.day) == (printed, day)


@pytest.mark.parametrize(
    "line",
    [
        "30 FEB",
        "40 NOV",
        "77 OCT 27",
        "116 NOV",
        "L 012 B 15:59",
        "8.6g",
        "Energy 754kJ",
        "",
        "NOV",
    ],
)
def test_what_is_no_date_is_none(line: str) -> None:
    assert find_date(line, FORMATS, TODAY) is None


def test_a_month_alone_ends_on_its_last_day() -> None:
    found = find_date("EXP 02/2028", ("MM/YYYY",), TODAY)

    assert found is not None
    assert found.day == date(2028, 2, 29)


@pytest.mark.parametrize("form", ["", "DD", "YYYY", "DD DD MMM", "DDD MMM", "hello"])
def test_what_is_no_format_is_refused(form: str) -> None:
    with pytest.raises(ValueError, match=r"format|only"):
        parts_of(form)


def test_the_rule_counts_days_from_today() -> None:
    assert shortfall(20, 20, None) == ""
    assert "at least 20" in shortfall(19, 20, None)
    assert "at most 30" in shortfall(31, 20, 30)
