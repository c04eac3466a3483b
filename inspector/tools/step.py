"""What every tool shares: a step of a recipe goes in, and what a tool may know about the part.

A tool is a class with a ``Step`` model and the three members of ``Tool``; it is built once, when
the recipe is loaded, and looks at one part at a time. Imported by tools and by ``recipe``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, ClassVar, Protocol, Self

import cv2
import numpy as np
from pydantic import AfterValidator, Field, model_validator

from inspector.config import Settings
from inspector.part import Batch, Box, Finding, Outline, Pixels, Severity
from inspector.tools.place import Place


def _is_a_box(roi: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = roi
    if x1 < 0 or y1 < 0 or x2 <= x1 or y2 <= y1:
        raise ValueError("a ROI is [x1, y1, x2, y2] with 0 <= x1 < x2 and 0 <= y1 < y2, in pixels")
    return roi


Roi = Annotated[tuple[int, int, int, int], AfterValidator(_is_a_box)]
"""``[x1, y1, x2, y2]`` in pixels of the full frame; x2 and y2 are outside of it."""


def _is_a_name(name: str) -> str:
    if not re.fullmatch("[a-z][a-z0-9_-]*", name):
        raise ValueError(
            "a name begins with a small letter and has small letters, digits, `-` and `_` alone"
        )
    return name


Name = Annotated[str, AfterValidator(_is_a_name)]
"""What steps, rules and features are called, and refer to one another by."""


def is_left_out(value: object) -> bool:
    """Fields that came later stay out of the canonical recipe unless they are used: a recipe that
    does not know them keeps its digest, and with it its approval."""
    return not value


class Step(Settings):
    """One tool at work in a recipe. Each tool's own ``Step`` narrows ``kind``, adds ``params``."""

    leads: ClassVar[bool] = True
    """Whether it may find a place in order, for another step to follow."""
    turned_back: ClassVar[bool] = True
    """Whether a step that follows another is given the picture turned back; a tool that must not
    see it resampled takes the place from ``Context.places`` itself."""

    name: Name
    """Unique in the recipe; findings carry it."""
    kind: str
    """Which tool."""
    view: str = ""
    """Which camera it looks at; may be left out when the recipe has one view."""
    roi: Roi | None = None
    """Where it looks; the whole frame when left out. Findings are in full-frame pixels anyway."""
    severity: Severity = Severity.MAJOR
    """How bad a finding of this step is, where no rule says otherwise."""
    follow: str = Field("", exclude_if=is_left_out)
    """An earlier step of this view, or ``step/label``. An ``align`` step: this one sees the part as
    it was taught, however it stands. Any other: this one looks at the box of its first finding
    that is in order, and its ROIs count from that box's corner."""
    every: tuple[int, int] | None = Field(None, exclude_if=is_left_out)
    """Width and height: this step looks at each box that the followed one found in order, brought
    to this size, in which its ROIs count. Boxes that the frame's edge cuts are left to the frame
    that shows them whole; where there is none, there is nothing to judge."""

    @model_validator(mode="after")
    def _every_of_something(self) -> Self:
        if self.every and not self.follow:
            raise ValueError("`every` needs `follow`: the step whose boxes are looked at")
        if self.every and not all(4 <= side <= 2000 for side in self.every):
            raise ValueError("`every` is a width and a height of 4 to 2000 px")
        return self

    def finding(
        self,
        label: str,
        reason: str = "",
        *,
        score: float = 1.0,
        box: Box | None = None,
        severity: Severity | None = None,
        text: str | None = None,
        value: float | None = None,
        unit: str | None = None,
        outline: Outline = (),
    ) -> Finding:
        """What this step saw, in order unless there is a ``reason`` why not; as bad as the step
        says where its rule does not say ``severity``."""
        return Finding(
            tool=self.name,
            kind=self.kind,
            label=label,
            ok=not reason,
            score=score,
            box=box,
            view=self.view,
            severity=severity or self.severity,
            text=text,
            value=value,
            unit=unit,
            reason=reason,
            outline=outline,
        )

    def labels(self, classes: Sequence[str]) -> Sequence[str]:
        """What may be followed is called so, ``classes`` being those of its model; none where that
        is not known beforehand."""
        return ()

    def looks_at(self) -> Sequence[Roi | None]:
        """The places whose pixels it reads; None, as for every kind that says nothing else, is the
        whole frame. The line converts no more of a picture than its recipe's steps read."""
        return (None,)


class PlacesStep(Step):
    """A step that looks at its ``roi``, or instead at each of ``params.rois``."""

    params: Any

    @model_validator(mode="after")
    def _looks_at_one_thing(self) -> Self:
        if self.roi and self.params.rois:
            raise ValueError(f"a {self.kind} step has a `roi` or `rois`, not both")
        return self

    def labels(self, classes: Sequence[str]) -> Sequence[str]:
        """The model's classes."""
        return classes

    def looks_at(self) -> Sequence[Roi | None]:
        """Its ROIs."""
        rois: tuple[Roi, ...] = self.params.rois
        return rois or (self.roi,)


@dataclass(frozen=True, slots=True)
class Context:
    """What a tool may know about a part besides its pixels. Clocks are injected, never read."""

    batch: Batch
    today: date
    clock_synced: bool = True
    """False: rules about dates cannot be judged."""
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Height and width of each view's frame: a step that follows sees another picture."""
    places: dict[str, Place] = field(default_factory=dict)
    """Where steps found this part so far, by what ``follow`` calls them."""
    boxes: dict[str, tuple[Box, ...]] = field(default_factory=dict)
    """All boxes found in order, by what ``follow`` calls them."""


class Tool(Protocol):
    """A step made ready. Not thread-safe: it owns the buffers that its models are bound to."""

    Step: ClassVar[type[Any]]
    """The pydantic model of its step in a recipe."""
    model_digests: tuple[str, ...]
    """SHA-256 of each model file it runs."""

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """What it sees or misses in ``pixels``, boxes in full-frame pixels.

        Raises ``Unjudged`` when no judgement is possible: the part is then an error, never a pass.
        """
        ...

    def warm_up(self) -> None:
        """Runs each model once on each shape that is known beforehand."""
        ...


class Unjudged(Exception):
    """A tool could not judge: the part ends in ``error`` with this reason and these findings."""

    def __init__(self, reason: str, findings: Iterable[Finding] = ()) -> None:
        super().__init__(reason)
        self.findings = tuple(findings)


def crop(pixels: Pixels, roi: Roi | None) -> Pixels:
    """The view of ``pixels`` under ``roi``, without a copy. A ROI that reaches outside is unjudged:
    it was drawn for another picture."""
    if roi is None:
        return pixels
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = roi
    if x2 > width or y2 > height:
        raise Unjudged(f"ROI {list(roi)} reaches outside the {width}x{height} picture")
    return pixels[y1:y2, x1:x2]


def corner_of(roi: Roi | None) -> tuple[int, int]:
    """Where a place begins, x and y."""
    return roi[:2] if roi else (0, 0)


def box_of(pixels: Pixels, roi: Roi | None) -> Box:
    """A place as a finding's box; without one all of ``pixels``."""
    x1, y1, x2, y2 = roi or (0, 0, pixels.shape[1], pixels.shape[0])
    return float(x1), float(y1), float(x2), float(y2)


def grey_of(pixels: Pixels) -> Pixels:
    """(h, w) of a picture that is grey, as it is, or BGR."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY) if pixels.ndim == 3 else pixels)


def bgr_of(pixels: Pixels) -> Pixels:
    """(h, w, 3) of a picture that is BGR, as it is, or grey."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR) if pixels.ndim == 2 else pixels)
