"""``align``: pixels go in, where the part stands comes out, for the steps that follow it.

A part that is not found, or stands further off than it may, is rejected. Imported by ``tools``
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from inspector.config import Settings
from inspector.part import Finding, Pixels
from inspector.tools.card import ModelError
from inspector.tools.golden import GoldenPicture
from inspector.tools.onnx import Shelf
from inspector.tools.shape import Match, Shape
from inspector.tools.step import Context, Roi, Step, Unjudged, crop


class Params(Settings):
    """What the part looks like, and how it may stand."""

    golden: GoldenPicture
    """A good part as it was taught; the ROIs of steps that follow are drawn on this picture."""
    part: Roi | None = None
    """The part in it: edges that every good part has; the whole picture when left out."""
    turn_deg: float = Field(15.0, ge=0, le=180)
    """Looked for turned by at most this, either way."""
    scale: float = Field(0.1, ge=0, le=0.5)
    """Looked for at ``1 ± scale`` of its size."""
    score: float = Field(0.5, gt=0, le=1)
    """Found from this likeness on. A part hidden by 40 % still has 0.55 and more, another product
    0.2 and less."""
    off_px: float | None = Field(None, gt=0)
    """A part whose middle stands further than this from where it was taught is rejected."""
    off_deg: float | None = Field(None, gt=0)
    """… or is turned by more than this."""


class AlignStep(Step):
    """An ``align`` step of a recipe; its ROI is where the part is looked for."""

    kind: Literal["align"]
    params: Params

    def labels(self, classes: Sequence[str]) -> Sequence[str]:
        """The part."""
        return ("part",)


class Align:
    """Finds the part by the shape of its edges."""

    Step: ClassVar[type[AlignStep]] = AlignStep

    def __init__(self, step: AlignStep, shelf: Shelf) -> None:
        """Raises ``ModelError`` when the golden picture has nothing to be found by."""
        self._step, params = step, step.params
        self.model_digests: tuple[str, ...] = ()
        pixels = params.golden.pixels
        try:
            self._shape = Shape(pixels, params.part, params.turn_deg, params.scale)
        except ValueError as error:
            raise ModelError(f"golden/{params.golden.digest[:12]}", str(error)) from None

        x1, y1, x2, y2 = params.part or (0, 0, 0, 0)
        whole = x1 > 0 and y1 > 0 and x2 < pixels.shape[1] and y2 < pixels.shape[0]
        self._part = params.part if whole else None

    def warm_up(self) -> None:
        """Finds the golden part once."""
        self._shape.find(self._step.params.golden.pixels)

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """One finding: the part's box, its likeness as score, its turn in degrees as value.

        Where it stands is left in ``context.places``.
        """
        step, params = self._step, self._step.params
        area = crop(pixels, step.roi)
        if min(area.shape[:2]) < self._shape.least_px:
            height, width = area.shape[:2]
            raise Unjudged(f"{width}x{height} pixels are too few to look for the part in")
        match = self._shape.find(pixels, step.roi)
        if match is None or match.score < params.score:
            likeness = match.score if match else 0.0
            reason = f"part not found (likeness {max(likeness, 0):.2f}, {params.score:g} needed)"
            return [step.finding("part", reason, score=min(max(likeness, 0.0), 1.0))]
        context.places[step.name] = replace(match.place, part=self._part)
        return [
            step.finding(
                "part",
                self._fault(match),
                score=min(match.score, 1.0),
                box=match.place.around(self._shape.part),
                value=match.place.degrees,
                unit="deg",
            )
        ]

    def _fault(self, match: Match) -> str:
        params, place = self._step.params, match.place
        middle = np.array([self._shape.middle])
        off = float(np.hypot(*(place.points(middle) - middle)[0]))
        if params.off_px is not None and off > params.off_px:
            return f"part stands {off:.1f} px off, at most {params.off_px:g} px is allowed"
        if params.off_deg is not None and abs(place.degrees) > params.off_deg:
            turn = f"part is turned by {place.degrees:.1f} deg"
            return f"{turn}, at most {params.off_deg:g} deg is allowed"
        return ""
