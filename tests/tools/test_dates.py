"""Which dates are seen in a line of print, and what they mean."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

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


EVERYWHERE = (
    *FORMATS, "YYYY.MM.DD", "YYYY/MM/DD", "YYYYMMDD", "YYYY MM DD", "DD MM YYYY", "DD MMMM YYYY",
    "MMMM YYYY", "MMM DD YYYY", "MMM YYYY", "MM/YYYY", "MM.YYYY", "MM-YYYY", "MM YYYY",
    "YYYY年MM月DD日", "YYYY年M月DD日", "YYYY年MM月D日", "YYYY年M月D日",
)  # fmt: skip


@pytest.mark.parametrize(
    ("line", "printed", "day"),
    [
        ("BEST BEFORE 12/2026", "12/2026", date(2026, 12, 31)),
        ("2026.11.05", "2026.11.05", date(2026, 11, 5)),
        ("2026/11/05 08:30", "2026/11/05", date(2026, 11, 5)),
        ("05NOV26", "05NOV26", date(2026, 11, 5)),
        ("EXP 11 2026", "11 2026", date(2026, 11, 30)),
        ("EXP NOV 2026", "NOV 2026", date(2026, 11, 30)),
        ("EXP NOV 05 2026", "NOV 05 2026", date(2026, 11, 5)),
        ("05 NOVEMBER 2026", "05 NOVEMBER 2026", date(2026, 11, 5)),
        ("BBE 05 May 2026", "05 May 2026", date(2026, 5, 5)),
        ("BBE SEPT 2026", "SEPT 2026", date(2026, 9, 30)),
        ("MFG20261105A", "20261105", date(2026, 11, 5)),
        ("生产日期2026年11月05日", "2026年11月05日", date(2026, 11, 5)),
        ("2026 年 1 月 5 日", "2026 年 1 月 5 日", date(2026, 1, 5)),
        ("05 11 2026", "05 11 2026", date(2026, 11, 5)),
        ("05/11/26", "05/11/26", date(2026, 11, 5)),
    ],
)
def test_dates_as_many_countries_print_them(line: str, printed: str, day: date) -> None:
    found = find_date(line, EVERYWHERE, TODAY)

    assert found is not None
    assert (found.text, found.day) == (printed, day)


@pytest.mark.parametrize(
    "line", ["5012026110577", "05/2026/11", "13/2026", "2026年13月05日", "MAYO"]
)
def test_numbers_that_only_hold_a_date_are_none(line: str) -> None:
    assert find_date(line, EVERYWHERE, TODAY) is None


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


@pytest.mark.parametrize(
    ("form", "line", "printed", "day", "shift"),
    [
        ("YYJJJ", "26327", "26327", date(2026, 11, 23), ""),
        ("YYYY JJJ", "LOT 2026 001 X", "2026 001", date(2026, 1, 1), ""),
        ("YJJJS", "L6327A", "6327A", date(2026, 11, 23), "A"),
        ("YJJJS", "L6327c", "6327c", date(2026, 11, 23), "C"),
        ("YJJJS", "0366C", None, None, ""),
        ("YJJJS", "8366C", "8366C", date(2028, 12, 31), "C"),
        ("JJJ", "366", "366", date(2028, 12, 31), ""),
        ("JJJ", "010", "010", date(2027, 1, 10), ""),
        ("YYWW", "2648", "2648", date(2026, 11, 29), ""),
        ("WW/YYYY", "BBE 53/2026", "53/2026", date(2027, 1, 3), ""),
        ("WW/YYYY", "53/2025", None, None, ""),
        ("YYWWE", "26481", "26481", date(2026, 11, 23), ""),
        ("YYWWE", "26488", None, None, ""),
        ("DD.MM.YY S", "23.11.26 B", "23.11.26 B", date(2026, 11, 23), "B"),
    ],
)
def test_codes_of_days_weeks_and_shifts(
    form: str, line: str, printed: str | None, day: date | None, shift: str
) -> None:
    found = find_date(line, (form,), date(2028, 11, 1) if line == "366" else TODAY)

    if printed is None:
        assert found is None
    else:
        assert found is not None
        assert (found.text, found.day, found.shift) == (printed, day, shift)


@pytest.mark.parametrize("form", ["JJJ MM", "WW", "E", "YYWWDD", "SS", "YY"])
def test_a_code_that_names_no_day_is_no_format(form: str) -> None:
    with pytest.raises(ValueError, match="no date format"):
        parts_of(form)


EITHER = (*FORMATS, "MMM YYYY", "MM YYYY", "DD MM YYYY")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("16 NOV 2926", None),
        ("16NOV2926", None),
        ("16 NOV 2926 L2417A", None),
        ("32 NOV 2026", None),
        ("31 NOV 2026", None),
        ("32 05 2026", None),
        ("16 NOV 2O25", "16 NOV 2025"),
        ("16 NOV 12:30", "16 NOV"),
        ("16 NOV L241", "16 NOV"),
        ("L2417 16 NOV", "16 NOV"),
        ("NOV 2026", "NOV 2026"),
        ("16 NOV 2026 12:30", "16 NOV 2026"),
        ("16 NOV 2926.", None),
        ("16NOV2926L24", None),
        ("EXP:16 NOV 2O95", None),
        ("16 NOV 2417A", "16 NOV"),
        ("EXP:32 NOV 2026", None),
        ("EXP32NOV2026", None),
        ("EXP:32 05 2026", None),
        ("6 NOV 2026", None),
        ("1 11 2026", None),
        ("EXP: NOV 2026", "NOV 2026"),
        ("L2417 NOV 2026", "NOV 2026"),
        ("12:30 NOV 2026", "NOV 2026"),
        ("16 NOV 123456", "16 NOV"),
    ],
)
def test_a_date_that_is_judged_is_not_read_by_half(text: str, read: str | None) -> None:
    """A wrong year is no date without a year, which would be the nearest, nor a wrong day a month:
    either would pass the rule that it breaks (S7)."""
    found = find_date(text, EITHER, date(2026, 11, 1), whole=True)

    assert (found and found.text) == read


def test_what_other_separators_join_is_no_other_half() -> None:
    formats = ("DD/MM/YYYY", "DD MM YYYY", "MM/YYYY")
    found = find_date("L12 11/2026", formats, TODAY, whole=True)

    assert found is not None and found.text == "11/2026"


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("16-11-2926", ("DD-MM-YYYY", "DD-MM")),
        ("2026-11-32", ("YYYY-MM-DD", "YYYY-MM")),
        ("2026年11月32日", ("YYYY年MM月DD日", "YYYY年MM月")),
        ("2026年11月5日", ("YYYY年MM月DD日", "YYYY年MM月")),
        ("EXP:32/11/2026", ("DD/MM/YYYY", "MM/YYYY")),
        ("12 11/2026", ("DD/MM/YYYY", "MM/YYYY")),
    ],
)
def test_nor_where_separators_join_its_halves(text: str, formats: tuple[str, ...]) -> None:
    assert find_date(text, formats, TODAY, whole=True) is None


@given(
    day=st.dates(date(2026, 1, 1), date(2027, 12, 28)),
    form=st.sampled_from(["%d %b %y", "%d/%m/%Y", "%d.%m.%y", "%d %b %Y"]),
    place=st.integers(0, 10),
    digit=st.sampled_from("0123456789"),
)
def test_one_wrong_digit_never_says_the_same_day(
    day: date, form: str, place: int, digit: str
) -> None:
    text = day.strftime(form).upper()
    place %= len(text)
    assume(text[place].isdigit() and text[place] != digit)
    wrong = text[:place] + digit + text[place + 1 :]

    right = find_date(text, EITHER, date(2026, 11, 1), whole=True)
    found = find_date(wrong, EITHER, date(2026, 11, 1), whole=True)

    assert right is not None and right.day == day
    assert found is None or found.day != day
