"""``read``: pixels go in, the print on them comes out, judged by what the batch says it must be.

At places known beforehand print is only recognised, all places of a step in one run. Where the
place is unknown it is found first. What cannot be read is rejected. Imported by ``tools`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from inspector.config import Settings
from inspector.part import Box, Finding, Pixels, Severity
from inspector.tools import dates
from inspector.tools.card import ModelError
from inspector.tools.findtext import Line as Place
from inspector.tools.findtext import TextFinder
from inspector.tools.onnx import Shelf
from inspector.tools.pattern import Pattern, PatternError
from inspector.tools.recognise import Reading, Recogniser, softened, spaced, upright
from inspector.tools.step import Context, Roi, Step, Unjudged, crop, nearest


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

    formats: tuple[Annotated[str, AfterValidator(_is_a_format)], ...] = dates.FORMATS
    not_before_days: int | None = None
    """The date is at least this many days ahead."""
    not_after_days: int | None = None

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
    expect: str = ""
    """What the batch's print must be, such as ``{lot}`` or ``BEST BEFORE {date}``; spaces do not
    count."""
    pattern: Annotated[str, AfterValidator(_is_a_pattern)] = ""
    """The form it must have, such as ``L\\d{4}[A-Z]``, see ``tools/pattern.py``."""
    date: DateRule | None = None
    min_score: float = Field(0.5, ge=0, le=1)
    """A line whose least certain character is below this is unreadable."""
    severity: Severity | None = None


class Params(Settings):
    """What to read, by which models."""

    model: str = "pp-ocrv6/read"
    """The recogniser."""
    second: str = ""
    """Another recogniser, asked only about lines at known places that do not hold by the first. One
    reading that holds is enough: that a wrong print is misread as exactly the right one is far
    rarer than that a right one is misread."""
    find: str = ""
    """The text finder, such as ``pp-ocrv6/find``, when the place is unknown; empty when known."""
    side: int = Field(736, ge=64, le=2048)
    """`find`: the picture's longer side is scaled down to this, in pixels."""
    dot_matrix: bool = False
    """The print may be dots: each line is read a second time with its dots run together, and the
    surer reading counts. Takes twice as long; `find` does it anyway where it finds nothing."""
    lines: tuple[Line, ...] = (Line(),)

    @field_validator("model", "second", "find")
    @classmethod
    def _has_a_card(cls, model: str, info: ValidationInfo) -> str:
        if model and isinstance(info.context, dict) and (shelf := info.context.get("shelf")):
            try:
                shelf.card(model)
            except ModelError as error:
                raise ValueError(str(error)) from None
        return model

    @field_validator("lines")
    @classmethod
    def _has_places(cls, lines: tuple[Line, ...], info: ValidationInfo) -> tuple[Line, ...]:
        if not lines:
            raise ValueError("a `read` step has at least one line")
        names = [line.name for line in lines]
        if len(set(names)) < len(names):
            raise ValueError("two lines have the same name; findings could not be told apart")
        if info.data.get("find") and any(line.roi for line in lines):
            raise ValueError("with `find` a line has no ROI; give the step a ROI to search in")
        return lines


class ReadStep(Step):
    """A ``read`` step of a recipe."""

    kind: Literal["read"]
    params: Params = Params()


@dataclass(frozen=True, slots=True)
class _Judged:
    """A reading held against its rules."""

    text: str
    ok: bool
    clean: bool = True
    """No character had to be taken for another, and each was certain enough."""
    fits: bool = True
    """It has the form that was asked for, so it is the line that was looked for."""
    reason: str = ""
    days: int | None = None


class Read:
    """A recogniser, perhaps with a finder before it, and what the print must say."""

    Step: ClassVar[type[ReadStep]] = ReadStep

    def __init__(self, step: ReadStep, shelf: Shelf) -> None:
        self._step = step
        params = step.params
        recogniser = shelf.open(params.model, "recognise")
        self._recogniser = Recogniser(recogniser)
        self._finder = (
            TextFinder(shelf.open(params.find, "find-text"), params.side) if params.find else None
        )
        digests = [recogniser.digest]
        self._second: Recogniser | None = None
        if params.second:
            second = shelf.open(params.second, "recognise")
            self._second = Recogniser(second)
            digests.append(second.digest)
        if params.find:
            digests.append(shelf.open(params.find, "find-text").digest)
        self.model_digests = tuple(digests)
        self._patterns = {line.name: Pattern(line.pattern) for line in params.lines if line.pattern}

    def warm_up(self) -> None:
        """Reads a blank of each place's size."""
        if self._finder is None and (self._step.roi or all(x.roi for x in self._step.params.lines)):
            rois = [line.roi or self._step.roi for line in self._step.params.lines]
            blanks = [np.zeros((r[3] - r[1], r[2] - r[0]), np.uint8) for r in rois if r]
            self._recogniser.read(blanks)
            if self._step.params.dot_matrix:
                self._recogniser.read([softened(blank) for blank in blanks])
            if self._second:
                for blank in blanks:
                    self._second.read([blank])
        elif self._finder is not None:
            blank = np.zeros((self._step.params.side * 3 // 4, self._step.params.side, 3), np.uint8)
            self._finder.find(blank)
            self._recogniser.read_found(blank[:48, :192])

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """One finding per line of the recipe; with `find` and a line without rules, one per line
        found."""
        for line in self._step.params.lines:
            if line.date and line.date.needs_clock and not context.clock_synced:
                raise Unjudged(f"{line.name}: the clock is not synchronised, no date can be judged")
        if self._finder is not None:
            return self._look_everywhere(pixels, context)
        rois = [line.roi or self._step.roi for line in self._step.params.lines]
        crops = [crop(pixels, roi) for roi in rois]
        readings = self._recogniser.read(crops)
        if self._step.params.dot_matrix:
            again = self._recogniser.read([softened(c) for c in crops])
            readings = [max(pair, key=_sureness) for pair in zip(readings, again, strict=True)]
        found = []
        for line, roi, reading, part in zip(
            self._step.params.lines, rois, readings, crops, strict=True
        ):
            box = roi or (0, 0, pixels.shape[1], pixels.shape[0])
            place = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
            judged = self._judge(line, reading, context)
            if self._second and not judged.ok:
                opinion = self._second.read([part])[0]
                other = self._judge(line, opinion, context)
                if other.ok:
                    judged, reading = other, opinion
            found.append(self._finding(line, judged, reading, place))
        return found

    def _look_everywhere(self, pixels: Pixels, context: Context) -> list[Finding]:
        assert self._finder is not None
        step = self._step
        area = crop(pixels, step.roi)
        places = self._finder.find(area)
        offset = step.roi[:2] if step.roi else (0, 0)
        best: dict[str, tuple[_Judged, Reading, Box]] = {}
        every: list[Finding] = []
        wanted = [x for x in step.params.lines if x.expect or x.pattern or x.date]
        for view in (np.asarray, softened, _turned):
            # Dots run together, then upside down: only where nothing was found as it stands.
            for place, reading in self._readings(area, places, view):
                box = _around(place, offset)
                for line in step.params.lines:
                    judged = self._judge(line, reading, context)
                    if not (line.expect or line.pattern or line.date):
                        if reading.weakest >= line.min_score:
                            every.append(self._finding(line, judged, reading, box))
                    elif judged.fits and (
                        line.name not in best
                        or _rank(judged, reading) > _rank(*best[line.name][:2])
                    ):
                        best[line.name] = judged, reading, box
                if wanted and all(x.name in best and best[x.name][0].clean for x in wanted):
                    break
            if best or every:
                break
        return [*(self._of(line, best) for line in wanted), *every] or [
            self._missing(step.params.lines[0])
        ]

    def _of(self, line: Line, best: dict[str, tuple[_Judged, Reading, Box]]) -> Finding:
        if line.name not in best:
            return self._missing(line)
        return self._finding(line, *best[line.name])

    def _readings(
        self, area: Pixels, places: Sequence[Place], view: Callable[[Pixels], Pixels]
    ) -> Iterator[tuple[Place, Reading]]:
        """The lines, read one by one, tallest first: what a printer adds to a pack is larger than
        the small print around it, so the search mostly ends after a few lines."""
        for place in places:
            yield place, self._recogniser.read_found(view(upright(area, place.corners)))

    def _judge(self, line: Line, reading: Reading, context: Context) -> _Judged:
        text = reading.text.strip()
        if not text:
            return _Judged(
                "", ok=False, fits=False, clean=False, reason=f"{line.name} is not readable"
            )
        clean = reading.weakest >= line.min_score
        days = None
        if line.date:
            printed = dates.find_date(spaced(reading), line.date.formats, context.today)
            if printed is None:
                return _Judged(
                    text, ok=False, fits=False, clean=False, reason=f"no date in `{text}`"
                )
            clean = clean and printed.text.replace(" ", "") in text.replace(" ", "")
            text, days = printed.text, (printed.day - context.today).days
        pattern = self._patterns.get(line.name)
        if pattern:
            mended = pattern.mend(text) or pattern.mend(_squeezed(text))
            if mended is None:
                reason = f"{line.name} `{text}` has not the form {line.pattern}"
                return _Judged(text, ok=False, fits=False, clean=False, reason=reason)
            clean, text = clean and mended in (text, _squeezed(text)), mended
        if line.expect:
            expected = _expected(line, context)
            # Look-alikes were put right by the form alone: what is expected must not decide what
            # is legal, or a wrong character would be read as the right one.
            if _squeezed(text) != _squeezed(expected):
                reason = f"{line.name} reads `{text}`, must be `{expected}`"
                return _Judged(text, ok=False, fits=False, clean=False, reason=reason, days=days)
            text = expected
        if reading.weakest < line.min_score:
            reason = f"{line.name} `{text}` is not readable for certain ({reading.weakest:.2f})"
            return _Judged(text, ok=False, clean=False, reason=reason, days=days)
        if line.date and days is not None and line.date.needs_clock:
            rule = line.date
            reason = dates.shortfall(days, rule.not_before_days, rule.not_after_days)
            if reason:
                return _Judged(
                    text, ok=False, clean=clean, reason=f"{line.name} `{text}`: {reason}", days=days
                )
        return _Judged(text, ok=True, clean=clean, days=days)

    def _finding(self, line: Line, judged: _Judged, reading: Reading, box: Box) -> Finding:
        return Finding(
            tool=self._step.name,
            kind="read",
            label=line.name,
            ok=judged.ok,
            score=min(reading.score, 1.0),
            box=box,
            view=self._step.view,
            severity=line.severity or self._step.severity,
            text=judged.text or None,
            value=None if judged.days is None else float(judged.days),
            unit=None if judged.days is None else "d",
            reason=judged.reason,
        )

    def _missing(self, line: Line) -> Finding:
        reason = f"no {line.name} found"
        judged = _Judged("", ok=False, reason=reason)
        empty = Reading("", 0.0, 0.0)
        return replace(self._finding(line, judged, empty, (0.0, 0.0, 0.0, 0.0)), box=None)


def _turned(line: Pixels) -> Pixels:
    return np.ascontiguousarray(line[::-1, ::-1])


def _sureness(reading: Reading) -> float:
    return reading.weakest


def _rank(judged: _Judged, reading: Reading) -> tuple[bool, bool, float]:
    return judged.clean, judged.ok, reading.weakest


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _expected(line: Line, context: Context) -> str:
    try:
        return line.expect.format_map(context.batch.texts)
    except KeyError as error:
        name = str(error.args[0])
        raise Unjudged(
            f"batch {context.batch.id} has no text `{name}` for {line.name}; "
            f"{nearest(name, context.batch.texts)}"
        ) from None


def _around(place: Place, offset: Sequence[int]) -> Box:
    x1, y1 = place.corners.min(axis=0)
    x2, y2 = place.corners.max(axis=0)
    dx, dy = offset[0], offset[1]
    return float(x1) + dx, float(y1) + dy, float(x2) + dx, float(y2) + dy
