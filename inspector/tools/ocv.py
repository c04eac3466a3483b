"""Characters that were read go in; whether each is printed as well as it was taught comes out.

Optical character verification: a reader reads a date of which half the dots are missing; a
customer does not. Each character is laid over the mean of its taught prints and judged for ink
that is missing, ink that is too much, and contrast. Imported by ``tools/line_rules.py`` (what a
recipe says) and ``tools/read.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from inspector.config import Settings
from inspector.part import Box, Pixels
from inspector.tools.card import ModelError
from inspector.tools.golden import GoldenPicture
from inspector.tools.recognise import Reading
from inspector.tools.step import grey_of

Floats = NDArray[Any]

INKED = 0.5
"""Share of the full ink from which a place counts as printed."""
SLACK = 1
"""Pixels by which ink may lie beside where it was taught."""
REACH = 0.18
"""How far a character may be from its place, as a share of its height."""


class Taught(Settings):
    """One good print, and what it says."""

    golden: GoldenPicture
    """The line as the step's ROI shows it."""
    text: str = Field(min_length=1)


class Verify(Settings):
    """How well each character must be printed."""

    taught: tuple[Taught, ...] = Field(min_length=1)
    """Good prints that hold every character; of a character that is in several, the mean counts."""
    missing_at_most: float = Field(0.25, ge=0, le=1)
    """Share of a character's ink that may be missing."""
    extra_at_most: float = Field(0.35, ge=0)
    """Ink where none belongs, as a share of the character's own."""
    contrast_at_least: float = Field(0.5, ge=0)
    """Contrast, as a share of the taught one."""
    untaught: Literal["reject", "pass"] = "reject"
    """What becomes of a character that no taught print holds."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One character's judgement."""

    character: str
    score: float
    """Likeness to the taught print, 0..1: the correlation of ink."""
    box: Box
    """In pixels of the line's picture."""
    reason: str
    """What is wrong with it; empty when it is in order."""


@dataclass(frozen=True, slots=True)
class _Cell:
    """A character in its line."""

    character: str
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class _Template:
    ink: Floats
    """[h,w] 0..1."""
    top: int
    """Where it began in its line, in pixels."""


class Verifier:
    """The taught characters, made ready when the recipe is loaded."""

    def __init__(self, rule: Verify, readings: Sequence[Reading]) -> None:
        """``readings`` are those of the taught prints, by the step's own recogniser. Raises
        ``ModelError`` when a print does not say what the recipe says it does."""
        self._rule = rule
        found: dict[str, list[_Template]] = {}
        contrasts = []
        for taught, reading in zip(rule.taught, readings, strict=True):
            picture = taught.golden.pixels
            said, wanted = _bare(reading.text), _bare(taught.text)
            if said != wanted:
                where = f"golden/{taught.golden.digest[:12]}"
                raise ModelError(
                    where, f"reads `{said}`, the recipe says `{wanted}`; teach another"
                )
            ink, contrast = inked(picture)
            contrasts.append(contrast)
            for cell in _cells(ink, reading):
                template = _template(ink, cell)
                if template is not None:
                    found.setdefault(cell.character, []).append(template)
        self._contrast = float(np.mean(contrasts))
        self._templates = {character: _mean(many) for character, many in found.items()}

    def judge(self, line: Pixels, reading: Reading) -> list[Mark]:
        """One mark per character that was read, in its order."""
        ink, contrast = inked(line)
        relative = contrast / max(self._contrast, 1.0)
        return [self._mark(ink, relative, cell) for cell in _cells(ink, reading)]

    def _mark(self, ink: Floats, contrast: float, cell: _Cell) -> Mark:
        rule, template = self._rule, self._templates.get(cell.character)
        box = (float(cell.left), 0.0, float(cell.right), float(ink.shape[0]))
        said = f"`{cell.character}`"
        if template is None:
            why = f"{said} was never taught" if rule.untaught == "reject" else ""
            return Mark(cell.character, 1.0 if not why else 0.0, box, why)
        score, seen, (x, y) = _laid_over(ink, cell, template)
        height, width = template.ink.shape
        box = (float(x), float(y), float(x + width), float(y + height))
        own = template.ink > INKED
        if seen is None or not own.any():
            return Mark(cell.character, 0.0, box, f"{said} does not stand where it was taught")
        kernel = np.ones((2 * SLACK + 1, 2 * SLACK + 1), np.uint8)
        near = cv2.dilate(seen, kernel)
        may = cv2.dilate(template.ink, kernel) > INKED / 2
        missing = float((near[own] < INKED).mean())
        extra = float((seen[~may] > INKED).sum() / own.sum())
        faults = []
        if missing > rule.missing_at_most:
            faults.append(f"{missing:.0%} of its ink is missing")
        if extra > rule.extra_at_most:
            faults.append(f"smeared: {extra:.0%} more ink than taught")
        if contrast < rule.contrast_at_least:
            faults.append(f"faint: {contrast:.0%} of the taught contrast")
        return Mark(cell.character, score, box, f"{said}: {', '.join(faults)}" if faults else "")


def inked(line: Pixels) -> tuple[Floats, float]:
    """How much ink is where in a line's picture, [h,w] from 0 (paper) to 1, and the contrast
    between the two in grey levels; print may be darker or brighter than what it is on."""
    values = grey_of(line).astype(np.float32)
    paper = float(np.median(values))
    off = values - paper
    low, high = float(np.percentile(off, 2)), float(np.percentile(off, 98))
    full = low if -low >= high else high
    contrast = abs(full)
    return np.clip(off / (full or 1.0), 0, 1).astype(np.float32), contrast


def _cells(ink: Floats, reading: Reading) -> list[_Cell]:
    """Each character's columns: cut where there is least ink between two that were read."""
    width = ink.shape[1]
    places = [
        (c, at * width) for c, at in zip(reading.text, reading.at, strict=True) if not c.isspace()
    ]
    columns = ink.sum(axis=0)
    cuts = [0]
    for (_, a), (_, b) in pairwise(places):
        low, high = int(a + 0.25 * (b - a)), int(b - 0.25 * (b - a)) + 1
        low, high = max(cuts[-1] + 1, low), min(width - 1, max(high, low + 1))
        between = columns[low:high]
        # Of equally bare columns the one in the middle.
        bare = low + np.flatnonzero(between <= between.min() + 1e-3) if len(between) else [low]
        cuts.append(int(bare[len(bare) // 2]))
    cuts.append(width)
    return [
        _Cell(c, a, max(a + 1, b)) for (c, _), a, b in zip(places, cuts, cuts[1:], strict=False)
    ]


def _template(ink: Floats, cell: _Cell) -> _Template | None:
    """The character's own ink, framed by what is around it."""
    part = ink[:, cell.left : cell.right]
    rows, columns = np.flatnonzero((part > INKED).any(1)), np.flatnonzero((part > INKED).any(0))
    if not len(rows):
        return None
    margin = 2
    top, bottom = max(0, rows[0] - margin), min(part.shape[0], rows[-1] + 1 + margin)
    left, right = max(0, columns[0] - margin), min(part.shape[1], columns[-1] + 1 + margin)
    return _Template(part[top:bottom, left:right].copy(), int(top))


def _mean(many: Sequence[_Template]) -> _Template:
    """The mean of a character's taught prints, brought to the first one's size."""
    first = many[0]
    size = first.ink.shape[1], first.ink.shape[0]
    inks = [cv2.resize(t.ink, size, interpolation=cv2.INTER_LINEAR) for t in many]
    return _Template(np.asarray(np.mean(inks, axis=0), np.float32), first.top)


def _laid_over(
    ink: Floats, cell: _Cell, template: _Template
) -> tuple[float, Floats | None, tuple[int, int]]:
    """Where in and around its cell the template fits best: likeness, the ink there, its corner."""
    height, width = template.ink.shape
    reach = max(2, round(REACH * height))
    x1, x2 = max(0, cell.left - reach), min(ink.shape[1], cell.right + reach)
    y1, y2 = max(0, template.top - reach), min(ink.shape[0], template.top + height + reach)
    part = np.ascontiguousarray(ink[y1:y2, x1:x2])
    if part.shape[0] < height or part.shape[1] < width:
        return 0.0, None, (x1, y1)
    likeness = cv2.matchTemplate(part, template.ink, cv2.TM_CCORR_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(np.nan_to_num(likeness))
    seen = part[y : y + height, x : x + width]
    return float(np.clip(best, 0, 1)), np.ascontiguousarray(seen), (x1 + x, y1 + y)


def _bare(text: str) -> str:
    return "".join(text.split())
