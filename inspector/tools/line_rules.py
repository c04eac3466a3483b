"""A reading of one line goes in; whether it says what it must comes out, and why not.

What is legal decides whether a look-alike may stand for another character; what the batch expects
never does. Imported by ``tools/read.py`` and ``tools/text_search.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from inspector.config import Settings
from inspector.part import Severity
from inspector.tools import dates
from inspector.tools.batch_text import BatchText, filled
from inspector.tools.curve import Arc, Runs
from inspector.tools.ocv import Verify
from inspector.tools.pattern import Pattern, PatternError
from inspector.tools.recognise import Reading, spaced
from inspector.tools.step import Context, Roi, is_left_out


def _is_a_format(form: str) -> str:
    dates.parts_of(form)
    return form


def _is_a_pattern(template: str) -> str:
    try:
        Pattern(template)
    except PatternError as error:
        raise ValueError(str(error)) from None
    return template


class DateRule(Settings):
    """The line must hold a date; days are counted from today."""

    formats: tuple[Annotated[str, AfterValidator(_is_a_format)], ...] = Field(
        dates.FORMATS, min_length=1
    )
    not_before_days: int | None = None
    """The date is at least this many days ahead."""
    not_after_days: int | None = None
    shelf_days: int = Field(0, ge=0, exclude_if=is_left_out)
    """The print says when it was made; it expires this many days later, and the bounds above are
    about that day."""
    shifts: str = Field("", pattern=r"^[A-Z]*$", exclude_if=is_left_out)
    """The letters that shifts have, such as ``ABC``; others are no print of this plant."""

    @model_validator(mode="after")
    def _can_hold(self) -> DateRule:
        first, last = self.not_before_days, self.not_after_days
        if first is not None and last is not None and first > last:
            raise ValueError("`not_before_days` must not exceed `not_after_days`")
        if self.shifts and not all("S" in dates.parts_of(form) for form in self.formats):
            raise ValueError("`shifts` needs a shift in each format, written S, as in YJJJS")
        return self

    @property
    def needs_clock(self) -> bool:
        """Whether it is judged against today."""
        return self.not_before_days is not None or self.not_after_days is not None


class Line(Settings):
    """One line of print: where it is, and what it must say. All that is given must hold."""

    name: str = "text"
    """The finding's label."""
    roi: Roi | None = None
    """Where the line is; the step's ROI when left out. Not with `find`."""
    expect: BatchText = ""
    """What the batch's print must be, such as ``{lot}`` or ``BEST BEFORE {date}``; spaces do not
    count."""
    pattern: Annotated[str, AfterValidator(_is_a_pattern)] = ""
    """The form it must have, such as ``L\\d{4}[A-Z]``, see ``tools/pattern.py``."""
    date: DateRule | None = None
    runs: Runs = Field("across", exclude_if=lambda runs: runs == "across")
    """Which way the print runs; not with `find`."""
    arc: Arc | None = Field(None, exclude_if=is_left_out)
    """Instead of a ROI: print along a circle, unrolled before it is read. Not with `find`."""
    verify: Verify | None = Field(None, exclude_if=is_left_out)
    """Whether each character is printed well; not with `find`. Adds a finding per character."""
    min_score: float = Field(0.5, ge=0, le=1)
    """A line whose least certain character is below this is unreadable."""
    severity: Severity | None = None

    @model_validator(mode="after")
    def _is_in_one_place(self) -> Line:
        if self.arc and (self.roi or self.runs != "across"):
            raise ValueError("a line with an `arc` has neither `roi` nor `runs`")
        return self

    @property
    def ruled(self) -> bool:
        """Whether it says what the line must be; else any line will do."""
        return bool(self.expect or self.pattern or self.date)

    @property
    def spelt(self) -> str:
        """The characters that its rules ask for, such as 年 of a date: read whatever the script."""
        return "".join((self.expect, *(self.date.formats if self.date else ())))


@dataclass(frozen=True, slots=True)
class Judged:
    """A reading held against its rules."""

    text: str
    reason: str = ""
    """Why it does not hold; empty where it does."""
    clean: bool = True
    """No character had to be taken for another, and each was certain enough."""
    fits: bool = True
    """It has the form that was asked for, so it is the line that was looked for."""
    days: int | None = None
    """How many days ahead its date is."""

    @property
    def ok(self) -> bool:
        """Whether it holds."""
        return not self.reason


class LineRules:
    """What one line must say, its pattern compiled."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._pattern = Pattern(line.pattern) if line.pattern else None

    @property
    def shortest(self) -> int:
        """Characters that a line which fits has at least, spaces not counted."""
        least = [1]
        if self._line.date:
            least.append(min(map(dates.length_of, self._line.date.formats)))
        if self._pattern:
            least.append(self._pattern.shortest)
        return max(least)

    def judge(self, reading: Reading, context: Context) -> Judged:
        """Holds a reading against the rules. Raises ``Unjudged`` when the batch lacks a text."""
        line = self._line
        text = reading.text.strip()
        if not text:
            return _unfit("", f"{line.name} is not readable")
        clean = reading.weakest >= line.min_score
        days = None
        said: tuple[str, ...] = (text,)
        if line.date:
            judged = line.date.needs_clock
            printed = dates.find_date(spaced(reading), line.date.formats, context.today, judged)
            if printed is None:
                return _unfit(text, f"no date in `{text}`")
            clean = clean and printed.text.replace(" ", "") in text.replace(" ", "")
            if line.date.shifts and printed.shift and printed.shift not in line.date.shifts:
                shifts = ", ".join(line.date.shifts)
                return _unfit(text, f"{line.name} `{printed.text}` has no shift of {shifts}")
            # What else is asked may be about the date, or about the line that it stands in.
            text, said = printed.text, (printed.text, text)
            days = (printed.day - context.today).days + line.date.shelf_days
        if self._pattern:
            mended = self._mended(said)
            if mended is None:
                return _unfit(text, f"{line.name} `{said[-1]}` has not the form {line.pattern}")
            clean = clean and mended in (*said, *map(_squeezed, said))
            text, said = mended, (mended,)
        if line.expect:
            expected = filled(line.expect, context, line.name)
            # Look-alikes were put right by the form alone: what is expected must not decide what
            # is legal, or a wrong character would be read as the right one.
            if _squeezed(expected) not in map(_squeezed, said):
                reason = f"{line.name} reads `{said[-1]}`, must be `{expected}`"
                return _unfit(text, reason, days)
            text = expected
        if reading.weakest < line.min_score:
            reason = f"{line.name} `{text}` is not readable for certain ({reading.weakest:.2f})"
            return Judged(text, reason, clean=False, days=days)
        if line.date and days is not None and line.date.needs_clock:
            rule = line.date
            reason = dates.shortfall(days, rule.not_before_days, rule.not_after_days)
            if reason:
                return Judged(text, f"{line.name} `{text}`: {reason}", clean=clean, days=days)
        return Judged(text, clean=clean, days=days)

    def _mended(self, said: tuple[str, ...]) -> str | None:
        """The first of ``said`` that has the form, as it stands or without its spaces."""
        assert self._pattern is not None
        mends = (self._pattern.mend(way) for text in said for way in (text, _squeezed(text)))
        return next((mended for mended in mends if mended), None)


def _unfit(text: str, reason: str, days: int | None = None) -> Judged:
    return Judged(text, reason, fits=False, clean=False, days=days)


def _squeezed(text: str) -> str:
    return "".join(text.split())
