"""``read``: pixels go in, the print on them comes out, judged by what the batch says it must be.

At places known beforehand print is only recognised, all places of a step in one run. Where the
place is unknown it is found first. What cannot be read is rejected. Imported by ``tools`` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator

from inspector.config import Settings
from inspector.part import Box, Finding, Pixels
from inspector.tools.agree import agreed
from inspector.tools.card import card_in
from inspector.tools.curve import Arc, straight
from inspector.tools.findtext import TextFinder
from inspector.tools.line_rules import Judged, Line, LineRules
from inspector.tools.ocv import Verifier, Verify
from inspector.tools.onnx import Model, Shelf
from inspector.tools.recognise import Reading, Recogniser, Script, narrowed, softened
from inspector.tools.rows import Rows, is_roomy
from inspector.tools.step import Context, Roi, Step, Unjudged, box_of, corner_of, crop, is_left_out
from inspector.tools.text_search import TextSearch

ALIKE = 1.0
"""How much each of two recognisers counts; their ways of preparing a line share it."""

DOUBTED = 0.8
"""A place is searched for lines when its reading's least certain character is below this."""


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
    closer: tuple[Annotated[int, Field(ge=64, le=4096)], ...] = Field((), exclude_if=is_left_out)
    """`find`: the sides at which it is looked again, one after the other, until every line that has
    a rule is read without doubt."""
    script: Script = Field("any", exclude_if=lambda script: script == "any")
    """What the print is written in: ``ascii``, ``latin`` (with accents), ``chinese``."""
    dot_matrix: bool = False
    """The print may be dots: each line is read narrowed and with its dots run together, and the
    surer reading counts. Takes twice as long; `find` does it anyway where it finds nothing."""
    also: str = Field("", exclude_if=is_left_out)
    """Another recogniser that reads every line at a known place too, as it stands, such as
    ``dot-read/1``, which has learned dots: the reading that both agree on, or the surer, counts."""
    rows: str = Field("", exclude_if=is_left_out)
    """A text finder for places that may hold more than their line, such as ``pp-ocrv6/find``: wide
    margins are cut off, and of lines that stand one above another the one counts that holds by its
    rules; without rules all do, each in a line of the finding's text."""
    lines: tuple[Line, ...] = (Line(),)

    @field_validator("model", "second", "find", "also", "rows")
    @classmethod
    def _has_a_card(cls, model: str, info: ValidationInfo) -> str:
        card_in(info, model)
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
        if info.data.get("find") and any(x.arc or x.verify or x.runs != "across" for x in lines):
            raise ValueError(
                "with `find` a line has no `arc`, `verify` or `runs`: they need a place"
            )
        return lines

    @model_validator(mode="after")
    def _reads_in_one_way(self) -> Params:
        elsewhere = self.find or any(line.verify for line in self.lines)
        if self.also and elsewhere:
            raise ValueError("with `find` or `verify` one `model` reads; leave out `also`")
        if self.rows and elsewhere:
            raise ValueError("`rows` tells known places' lines apart; not with `find` or `verify`")
        return self


class ReadStep(Step):
    """A ``read`` step of a recipe."""

    kind: Literal["read"]
    params: Params = Params()

    def labels(self, classes: Sequence[str]) -> Sequence[str]:
        """Its lines and their characters."""
        names = [line.name for line in self.params.lines]
        return [*names, *(f"{name} character" for name in names)]

    def looks_at(self) -> Sequence[Roi | None]:
        """Its lines' places, or where it searches for them."""
        if self.params.find:
            return (self.roi,)
        return [x.arc.roi if x.arc else x.roi or self.roi for x in self.params.lines]


class Read:
    """A recogniser, perhaps with a finder before it, and what the print must say."""

    Step: ClassVar[type[ReadStep]] = ReadStep

    def __init__(self, step: ReadStep, shelf: Shelf) -> None:
        self._step = step
        params = step.params
        besides = frozenset(char for line in params.lines for char in line.spelt)
        digests: list[str] = []

        def opened(ref: str, task: str) -> Model:
            model = shelf.open(ref, task)
            digests.append(model.digest)
            return model

        def recogniser(ref: str) -> Recogniser:
            return Recogniser(opened(ref, "recognise"), params.script, besides)

        def finder(ref: str) -> TextFinder:
            return TextFinder(opened(ref, "find-text"))

        self._recogniser = recogniser(params.model)
        self._second = recogniser(params.second) if params.second else None
        self._also = recogniser(params.also) if params.also else None
        self._search: TextSearch | None = None
        if params.find:
            sides = (params.side, *params.closer)
            self._search = TextSearch(finder(params.find), self._recogniser, sides)
        self._rows = Rows(finder(params.rows)) if params.rows else None
        self.model_digests = tuple(digests)
        self._rules = {line.name: LineRules(line) for line in params.lines}
        self._verifiers = {
            line.name: Verifier(line.verify, self._prints(line, line.verify))
            for line in params.lines
            if line.verify
        }

    def warm_up(self) -> None:
        """Reads a blank of each place's size."""
        if self._search is not None:
            self._search.warm_up()
        elif self._step.roi or all(x.roi or x.arc for x in self._step.params.lines):
            boxes = [line.arc or line.roi or self._step.roi for line in self._step.params.lines]
            blanks = [_blank(box) for box in boxes if box]
            ways = (narrowed, softened) if self._step.params.dot_matrix else (np.asarray,)
            for way in ways:
                self._recogniser.read([way(blank) for blank in blanks])
            if self._second:
                for blank in blanks:
                    self._second.read([blank])
            if self._also:
                self._best(blanks, self._step.params.lines)

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """One finding per line of the recipe; with `find` and a line without rules, one per line
        found."""
        for line in self._step.params.lines:
            if line.date and line.date.needs_clock and not context.clock_synced:
                raise Unjudged(f"{line.name}: the clock is not synchronised, no date can be judged")
        if self._search is not None:
            return self._look_everywhere(pixels, context)
        lines = self._step.params.lines
        crops = [self._straight(pixels, line) for line in lines]
        readings = self._best(crops, lines)
        found = []
        for line, reading, part in zip(lines, readings, crops, strict=True):
            place = self._place(pixels, line)
            judged = self._rules[line.name].judge(reading, context)
            if self._rows:
                roomy = is_roomy(part, reading.text)
                if roomy or reading.weakest < DOUBTED:
                    whole = judged, reading, part
                    judged, reading, part = self._row(line, whole, context, roomy)
            if self._second and not judged.ok:
                opinion = self._second.read([part])[0]
                other = self._rules[line.name].judge(opinion, context)
                if other.ok:
                    judged, reading = other, opinion
            found.append(self._finding(line, judged, reading, place))
            if line.name in self._verifiers and reading.at:
                found += self._characters(line, part, _meant(reading, judged), place)
        return found

    def _row(
        self, line: Line, whole: tuple[Judged, Reading, Pixels], context: Context, roomy: bool
    ) -> tuple[Judged, Reading, Pixels]:
        """Of the lines in one place the one that counts, or all of them as one; the place as it was
        read where no line of it is read more surely. In a ``roomy`` place that counts only where
        one of its lines says the same, and what is held against no rule must be certain."""
        assert self._rows is not None
        rules, place = self._rules[line.name], whole[2]
        crops = self._rows.apart(place, roomy)
        if not crops or crops[0] is place:
            return _certain(line, whole) if roomy else whole
        read = self._best(crops, [line] * len(crops))
        if not line.ruled:
            text = "\n".join(reading.text.strip() for reading in read)
            score = min(reading.score for reading in read)
            together = Reading(text, score, min(reading.weakest for reading in read))
            rows = [(rules.judge(together, context), together, crops[0])]
        else:
            rows = [(rules.judge(r, context), r, crop) for r, crop in zip(read, crops, strict=True)]
        same = (r.text.strip() == whole[1].text.strip() for r in read if r.weakest >= DOUBTED)
        if not roomy or list(same) == [True]:
            rows.insert(0, whole)
        best = max(rows, key=lambda row: (row[0].ok, row[0].fits, row[1].weakest))
        return _certain(line, best) if roomy else best

    def _best(self, crops: Sequence[Pixels], lines: Sequence[Line]) -> list[Reading]:
        """Each line's reading, the surer one where it may be dots; by both recognisers if two
        read."""
        ways = (narrowed, softened) if self._step.params.dot_matrix else (np.asarray,)
        if self._also:
            also = self._also
            return [
                agreed(
                    [self._recogniser.look(way(c), ALIKE / len(ways)) for way in ways]
                    + [also.look(c, ALIKE)],
                    spell=not (line.expect or line.pattern),
                )
                for c, line in zip(crops, lines, strict=True)
            ]
        several = [self._recogniser.read([way(c) for c in crops]) for way in ways]
        return [max(readings, key=_sureness) for readings in zip(*several, strict=True)]

    def _prints(self, line: Line, verify: Verify) -> list[Reading]:
        pictures = [taught.golden.pixels for taught in verify.taught]
        return self._best(pictures, [line] * len(pictures))

    def _straight(self, pixels: Pixels, line: Line) -> Pixels:
        if line.arc:
            return line.arc.unrolled(pixels)
        return straight(crop(pixels, line.roi or self._step.roi), line.runs)

    def _place(self, pixels: Pixels, line: Line) -> Box:
        if line.arc:
            return line.arc.box
        return box_of(pixels, line.roi or self._step.roi)

    def _characters(self, line: Line, part: Pixels, reading: Reading, place: Box) -> list[Finding]:
        """One finding per character; of a line that was turned or unrolled in the line's box."""
        level = line.arc is None and line.runs == "across"
        return [
            self._step.finding(
                f"{line.name} character",
                mark.reason and f"{line.name} {mark.reason}",
                score=mark.score,
                box=_moved(mark.box, place) if level else place,
                severity=line.severity,
                text=mark.character,
            )
            for mark in self._verifiers[line.name].judge(part, reading)
        ]

    def _look_everywhere(self, pixels: Pixels, context: Context) -> list[Finding]:
        assert self._search is not None
        step = self._step
        area = crop(pixels, step.roi)
        dx, dy = corner_of(step.roi)
        lines = step.params.lines
        found = self._search.search(area, self._rules, lines, context)
        findings = []
        for line in lines:
            mine = [f for f in found if f.line is line]
            if not mine and (line.ruled or not found):
                reason = f"no {line.name} found"
                findings.append(step.finding(line.name, reason, score=0.0, severity=line.severity))
            for one in mine:
                x1, y1, x2, y2 = one.box
                box = (x1 + dx, y1 + dy, x2 + dx, y2 + dy)
                findings.append(self._finding(line, one.judged, one.reading, box))
        return findings

    def _finding(self, line: Line, judged: Judged, reading: Reading, box: Box) -> Finding:
        return self._step.finding(
            line.name,
            judged.reason,
            score=min(reading.score, 1.0),
            box=box,
            severity=line.severity,
            text=judged.text or None,
            value=None if judged.days is None else float(judged.days),
            unit=None if judged.days is None else "d",
        )


def _certain(line: Line, row: tuple[Judged, Reading, Pixels]) -> tuple[Judged, Reading, Pixels]:
    """What was read, a reject where no rule says that it is the line, and it is in doubt."""
    judged, reading, part = row
    printed = any(char.isalnum() for char in reading.text)
    if line.ruled or not judged.ok or (printed and reading.weakest >= DOUBTED):
        return row
    reason = f"{line.name} `{judged.text}` is not readable for certain ({reading.weakest:.2f})"
    return replace(judged, clean=False, reason=reason), reading, part


def _blank(place: Arc | Roi) -> Pixels:
    """A picture of the size that a line at a place has."""
    if isinstance(place, Arc):
        return np.zeros(place.size, np.uint8)
    return np.zeros((place[3] - place[1], place[2] - place[0]), np.uint8)


def _meant(reading: Reading, judged: Judged) -> Reading:
    """The reading with look-alikes put right as its rules did."""
    inked = [(c, at) for c, at in zip(reading.text, reading.at, strict=True) if not c.isspace()]
    text = "".join(judged.text.split())
    if len(text) != len(inked):
        text = "".join(c for c, _ in inked)
    return replace(reading, text=text, at=tuple(at for _, at in inked))


def _moved(box: Box, place: Box) -> Box:
    return box[0] + place[0], box[1] + place[1], box[2] + place[0], box[3] + place[1]


def _sureness(reading: Reading) -> float:
    return reading.weakest
