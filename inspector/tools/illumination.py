"""``illumination``: a grey reference patch in the frame goes in; a light that fails comes out.

A light fault is no defect of the product: the part is not judged (an error), and the line may stop.
Imported by ``tools`` alone.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import cv2
from pydantic import model_validator

from inspector.config import Settings
from inspector.part import Finding, Pixels, Severity
from inspector.tools.onnx import Shelf
from inspector.tools.step import Context, Roi, Step, Unjudged, box_of, crop

LIGHT_FAULT = "light_fault"
"""Label of the finding; the line's stop rule looks for it."""


class Params(Settings):
    """The levels between which the patch's mean must lie, in grey values 0..255."""

    low: float = 0.0
    high: float = 255.0
    spread: float | None = None
    """Greatest standard deviation of the patch: a part or dirt in front of it is seen by this."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Params:
        if not 0 <= self.low < self.high <= 255:
            raise ValueError("`low` and `high` are grey levels with 0 <= low < high <= 255")
        return self


class IlluminationStep(Step):
    """An ``illumination`` step of a recipe; its ROI is the reference patch."""

    leads: ClassVar[bool] = False  # of a light that is right nothing is said

    kind: Literal["illumination"]
    roi: Roi
    params: Params


class Illumination:
    """Watches the reference patch of a view."""

    Step: ClassVar[type[IlluminationStep]] = IlluminationStep

    def __init__(self, step: IlluminationStep, shelf: Shelf) -> None:
        self._step = step
        self.model_digests: tuple[str, ...] = ()

    def warm_up(self) -> None:
        """Nothing to warm."""

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """Nothing while the light is right. Raises ``Unjudged`` with a ``light_fault`` finding."""
        step, params = self._step, self._step.params
        patch = crop(pixels, step.roi)
        means, deviations = cv2.meanStdDev(patch)
        level, spread = float(means.mean()), float(deviations.max())
        if not params.low <= level <= params.high:
            reason = f"light: patch at {level:.0f}, must be {params.low:g} to {params.high:g}"
        elif params.spread is not None and spread > params.spread:
            reason = f"light: patch is uneven or covered (deviation {spread:.0f})"
        else:
            return []
        fault = step.finding(
            LIGHT_FAULT,
            reason,
            box=box_of(pixels, step.roi),
            severity=Severity.CRITICAL,
            value=level,
            unit="1",
        )
        raise Unjudged(reason, [fault])
