"""Printed text goes in, the date that it says comes out, and whether a rule about it holds.

Formats are written as they are printed: ``DD MMM``, ``DD/MM/YYYY``, ``MMM YYYY``,
``YYYY年M月D日`` (of one digit where there is one), ``DD MMMM`` (the month's whole name); as codes,
``YYJJJ`` (day of the year), ``YYWW`` or ``WWYYE`` (week and weekday after ISO 8601), ``YJJJS`` (the
year's last digit, a shift's letter). "Today" is always handed in. Imported by
``tools/line_rules.py``.
"""

from __future__ import annotations

import calendar
import functools
import re
from dataclasses import dataclass, replace
from datetime import date, timedelta

from inspector.tools.pattern import Pattern

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

NAMES = (
    "JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE", "JULY", "AUGUST", "SEPTEMBER", "SEPT",
    "OCTOBER", "NOVEMBER", "DECEMBER",
)  # fmt: skip

FORMATS = (
    "DD MMM YYYY",
    "DD MMM YY",
    "DD MMM",
    "YYYY-MM-DD",
    "DD/MM/YYYY",
    "DD.MM.YYYY",
    "DD-MM-YYYY",
    "DD/MM/YY",
    "DD.MM.YY",
    "DD-MM-YY",
)
"""Formats that a date rule without formats of its own takes."""
WRITTEN = (
    *FORMATS, "DD MMMM YYYY", "DD MM YYYY", "YYYY/MM/DD", "YYYY.MM.DD", "YYYYMMDD",
    "YYYY年MM月DD日", "YYYY年M月DD日", "YYYY年MM月D日", "YYYY年M月D日", "MMM YYYY", "MMMM YYYY",
    "MMM YY", "MM/YYYY", "MM.YYYY", "MM-YYYY", "YYYY-MM", "YYYY年MM月", "YYYY年M月",
)  # fmt: skip
"""Formats in which a batch may say its date."""

_FIELDS = re.compile(r"DD|MMMM|MMM|MM|M|YYYY|YY|Y|JJJ|WW|E|S|D|.", re.DOTALL)
_DIGITS_OF = {
    "DD": 2, "D": 1, "MM": 2, "M": 1, "MMM": 3, "YY": 2, "YYYY": 4, "Y": 1, "JJJ": 3, "WW": 2,
    "E": 1, "S": 1,
}  # fmt: skip
_DAY, _MONTH, _CENTURY = "([0-2]\\d|3[01])", "(0\\d|1[0-2])", "(19|20)"
_PATTERNS = {
    "DD": _DAY,
    "D": "[1-9]",
    "MM": _MONTH,
    "M": "[1-9]",
    "MMM": f"({'|'.join(MONTHS)})",
    "YY": "\\d{2}",
    "YYYY": f"{_CENTURY}\\d{{2}}",
    "Y": "\\d",
    "JJJ": "([0-2]\\d{2}|3[0-6]\\d)",
    "WW": "([0-4]\\d|5[0-3])",
    "E": "[1-7]",
    "S": "\\a",
}


_LONG = {length: [n for n in NAMES if len(n) == length] for length in {len(n) for n in NAMES}}
_PATTERNS |= {f"MMMM{length}": f"({'|'.join(names)})" for length, names in _LONG.items()}
_DIGITS_OF |= {f"MMMM{length}": length for length in _LONG}
"""A month's whole name is as many fields as names have lengths."""
_WHOLE = (
    {"D", "M"}, {"M", "Y"}, {"D", "M", "Y"}, {"J"}, {"J", "Y"}, {"W", "Y"}, {"W", "Y", "E"},
)  # fmt: skip
"""Fields that make a date, by their first letters."""


Parts = tuple[str, ...]
"""A format's fields and separators."""


@dataclass(frozen=True, slots=True)
class PrintedDate:
    """A date found in a line."""

    text: str
    """As printed, look-alikes put right and the format's spaces where they were swallowed."""
    day: date
    """A month without a day means its last day, a week without one its Sunday; a day without a year
    the one nearest to today, and of a year's last digit the nearest such year."""
    start: int
    """Where it begins in the line, in characters without spaces."""
    shift: str = ""
    """The letter of the shift, a capital, where the format has one."""


@functools.cache
def parts_of(form: str) -> tuple[str, ...]:
    """The fields and separators of a format. Raises ``ValueError`` when it is not one."""
    parts = tuple(_FIELDS.findall(form))
    named = [p for p in parts if p in _PATTERNS or p == "MMMM"]
    kinds = {p[0] for p in named}
    days = kinds - {"S"}
    if len(kinds) != len(named) or days not in _WHOLE:
        raise ValueError(
            f"`{form}` is no date format; use DD, MM or MMM, YY or YYYY, as in DD MMM YY, or a code"
            " such as YYJJJ, YYWWE, YJJJS"
        )
    if any(p not in named and p.isascii() and p.isalnum() for p in parts):
        known = ", ".join(p for p in _PATTERNS if not p.startswith("MMMM")) + ", MMMM"
        raise ValueError(f"`{form}`: only {known} and separators may stand in it")
    return parts


@functools.cache
def _widths_of(form: str) -> tuple[Parts, ...]:
    """The format's parts, once for each length that a month's whole name may have."""
    parts = parts_of(form)
    if "MMMM" not in parts:
        return (parts,)
    return tuple(
        tuple(f"MMMM{length}" if part == "MMMM" else part for part in parts) for length in _LONG
    )


def find_date(
    text: str, formats: tuple[str, ...], today: date, whole: bool = False
) -> PrintedDate | None:
    """The first format of ``formats``, longest first, that some stretch of ``text`` reads under.

    A stretch as it stands goes before one with look-alikes put right, and look-alikes are put right
    only in a line (or a word group) that is a date as a whole. ``whole``: a date whose days are
    judged is not read by half, as ``16 NOV`` of ``16 NOV 2926`` where the formats know a year.
    """
    line = _Line.of(text)
    widths = [parts for form in formats for parts in _widths_of(form)]
    ordered = sorted(widths, key=lambda parts: -_length(parts))
    for form in ordered:
        for start in range(len(line.inked) - _length(form) + 1):
            stretch = line.inked[start : start + _length(form)]
            if (
                _pattern(form).matches(stretch)
                and _stands_alone(line, start, form)
                and not (whole and _is_half(line, start, form, ordered))
            ):
                found = _dated(form, stretch, today, start)
                if found:
                    return _as_printed(found, line)
    for form in ordered:
        for start in range(len(line.inked) - _length(form) + 1):
            stop = start + _length(form)
            if not (line.parted(start) and line.parted(stop)):
                continue
            if whole and _is_half(line, start, form, ordered):
                continue
            mended = _pattern(form).mend(line.inked[start:stop])
            found = _dated(form, mended, today, start) if mended else None
            if found:
                return _as_printed(found, line)
    return None


def shortfall(ahead: int, not_before_days: int | None, not_after_days: int | None) -> str:
    """Why a date ``ahead`` days from today breaks the rule, or nothing."""
    if not_before_days is not None and ahead < not_before_days:
        return f"{ahead} days ahead, at least {not_before_days} must be"
    if not_after_days is not None and ahead > not_after_days:
        return f"{ahead} days ahead, at most {not_after_days} may be"
    return ""


@functools.cache
def _pattern(parts: Parts) -> Pattern:
    template = "".join(_PATTERNS.get(p, "\\" + p) for p in parts if p != " ")
    return Pattern(template, ignore_case=True)


def length_of(form: str) -> int:
    """Characters that a date printed so has at least, spaces not counted."""
    return min(map(_length, _widths_of(form)))


@functools.cache
def _length(parts: Parts) -> int:
    return sum(_DIGITS_OF.get(p, len(p.strip())) for p in parts)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of print, whose characters are numbered without its spaces."""

    text: str
    inked: str
    """Without spaces."""
    origin: tuple[int, ...]
    """Where each character of ``inked`` stands in ``text``."""

    @classmethod
    def of(cls, text: str) -> _Line:
        origin = tuple(i for i, char in enumerate(text) if not char.isspace())
        return cls(text, "".join(text[i] for i in origin), origin)

    def parted(self, at: int) -> bool:
        """Whether a space, or nothing, stands between character ``at`` and the one before it."""
        return at in (0, len(self.inked)) or self.origin[at] > self.origin[at - 1] + 1


def _stands_alone(line: _Line, start: int, form: Parts) -> bool:
    """A date is no part of a longer number: not ``1|12 NOV``, ``16 NOV 26|5``, ``05/2026|/11`` or
    ``12|:30``."""
    inked, stop = line.inked, start + _length(form)
    first, last = inked[start], inked[stop - 1]
    if not line.parted(start):
        before = inked[start - 1]
        if _same_kind(before, first):
            return False
        if before in ".,/:-" and start > 1 and inked[start - 2].isdigit():
            return False
    if not line.parted(stop):
        after, following = inked[stop], inked[stop + 1 : stop + 2]
        if _same_kind(after, last) or after == ":":
            return False
        if after in "./" and last.isdigit() and following.isdigit():
            return False
    # ``16 NOV 12:30``: the hour is not the year.
    return not (last.isdigit() and inked[stop : stop + 1] == ":")


def _is_half(line: _Line, start: int, form: Parts, forms: list[Parts]) -> bool:
    """Whether beside the stretch stands what may be the rest of a longer form: digits where it has
    some, of a day or a month perhaps one too few, whatever they say; or what it would be with
    look-alikes put right."""
    stop, fields, own = start + _length(form), _fields(form), _inked(form)
    before, after = line.text[: line.origin[start]], line.text[line.origin[stop - 1] + 1 :]
    for longer in forms:
        named, whole = _fields(longer), _inked(longer)
        if len(named) <= len(fields):
            continue
        if named[: len(fields)] == fields and (
            _is_number(after.split()[:1], named[len(fields) :])
            or (whole[: len(own)] == own and _rest_after(whole[len(own) :]).match(after))
            or _mends(line, start, longer, at_end=True)
        ):
            return True
        begins = stop - _length(longer)
        if named[-len(fields) :] == fields and (
            _is_number(before.split()[-1:], named[: -len(fields)])
            or (whole[-len(own) :] == own and _rest_before(whole[: -len(own)]).search(before))
            or _mends(line, begins, longer, at_end=False)
        ):
            return True
    return False


def _is_number(word: list[str], lacking: Parts) -> bool:
    """Whether a word has the digits of these fields, whatever joins it to what is beside it: a
    reader may have missed a stroke or a point."""
    return "".join(word).isdigit() and len(word[0]) == sum(_DIGITS_OF[part] for part in lacking)


@functools.cache
def _rest_before(lacking: Parts) -> re.Pattern[str]:
    """Print that ends with what these fields may be."""
    return re.compile(r"\s*".join([r"(?<!\d)(?<!\d[:./-])", *map(_relaxed, lacking), "$"]))


@functools.cache
def _rest_after(lacking: Parts) -> re.Pattern[str]:
    """Print that begins with what these fields may be; digits apart that go on in letters are a
    lot."""
    rest = r"\s*".join(map(_relaxed, lacking))
    return re.compile(rf"{rest}(?!\d|[:./]\d)|\s+{rest}(?!\w|[:./]\d)")


def _relaxed(part: str) -> str:
    """A field whatever its digits say, a separator as it is."""
    width = _DIGITS_OF.get(part)
    if width is None:
        return re.escape(part)
    if part[0] == "S" or part.startswith("MMM"):
        return f"[A-Za-z]{{{width}}}"
    return f"\\d{{{1 if part in ('DD', 'MM') else width},{width}}}"


def _mends(line: _Line, start: int, form: Parts, at_end: bool) -> bool:
    """Whether what begins at ``start`` is a date of this form with look-alikes put right, and a
    word ends, or begins, with it."""
    stop = start + _length(form)
    if start < 0 or stop > len(line.inked):
        return False
    alone = line.parted(stop if at_end else start)
    return alone and _pattern(form).mend(line.inked[start:stop]) is not None


def _fields(form: Parts) -> Parts:
    return tuple(part for part in form if part in _DIGITS_OF)


def _inked(form: Parts) -> Parts:
    return tuple(part for part in form if part != " ")


def _same_kind(a: str, b: str) -> bool:
    return (a.isdigit() and b.isdigit()) or (a.isalpha() and b.isalpha())


def _dated(form: Parts, stretch: str, today: date, start: int) -> PrintedDate | None:
    day = month = year = of_year = week = weekday = None
    shift = ""
    at = 0
    for part in form:
        if part == " ":
            continue
        width = _DIGITS_OF.get(part, 1)
        piece = stretch[at : at + width]
        at += width
        match part:
            case "DD" | "D":
                day = int(piece)
            case "MM" | "M":
                month = int(piece)
            case _ if part.startswith("MMM"):
                month = MONTHS.index(piece[:3].upper()) + 1
            case "YY":
                year = 2000 + int(piece)
            case "YYYY":
                year = int(piece)
            case "Y":
                year = _nearest_year(int(piece), today)
            case "JJJ":
                of_year = int(piece)
            case "WW":
                week = int(piece)
            case "E":
                weekday = int(piece)
            case "S":
                shift = piece.upper()
    if of_year is not None:
        found = _day_of_year(of_year, year, today)
    elif week is not None:
        found = _day_of_week(week, weekday or 7, year or 0)
    else:
        found = _calendar(day, month or 0, year, today)
    return PrintedDate(stretch, found, start, shift) if found else None


def _nearest_year(digit: int, today: date) -> int:
    """The year that ends in ``digit`` and is nearest to today; of two, the coming one."""
    near = range(today.year - 5, today.year + 6)
    return min((y for y in near if y % 10 == digit), key=lambda y: (abs(y - today.year), -y))


def _day_of_year(number: int, year: int | None, today: date) -> date | None:
    years = (today.year - 1, today.year, today.year + 1) if year is None else (year,)
    days = [
        date(y, 1, 1) + timedelta(number - 1)
        for y in years
        if y > 0 and 1 <= number <= 365 + calendar.isleap(y)
    ]
    return min(days, key=lambda d: abs((d - today).days), default=None)


def _day_of_week(week: int, weekday: int, year: int) -> date | None:
    try:
        return date.fromisocalendar(year, week, weekday)
    except ValueError:
        return None


def _calendar(day: int | None, month: int, year: int | None, today: date) -> date | None:
    if not 1 <= month <= 12 or year == 0:
        return None
    if year is None:
        near = [_exact(day or 0, month, today.year + y) for y in (-4, -3, -2, -1, 0, 1, 2, 3, 4)]
        valid = [d for d in near if d]
        return min(valid, key=lambda d: abs((d - today).days)) if valid else None
    return _exact(calendar.monthrange(year, month)[1] if day is None else day, month, year)


def _exact(day: int, month: int, year: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _as_printed(found: PrintedDate, line: _Line) -> PrintedDate:
    """Puts the spaces back: those that were read, not those that the format would have."""
    chars = [found.text[0]]
    for i in range(1, len(found.text)):
        if line.parted(found.start + i):
            chars.append(" ")
        chars.append(found.text[i])
    return replace(found, text="".join(chars))
