"""``colour``: pixels go in, how far a colour is from what it must be comes out, as ΔE 2000.

Light drifts; a patch of known white in the same frame makes it good. Imported by ``tools`` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np
from pydantic import Field

from inspector.config import Settings
from inspector.part import Finding, Pixels, Severity
from inspector.tools.deltae import Floats, delta_e_2000, lab_of, linear_of
from inspector.tools.follow import as_taught
from inspector.tools.onnx import Shelf
from inspector.tools.step import Context, Roi, Step, Unjudged, box_of, crop, is_left_out

CLIPPED = 0.02
"""Share of pixels at 255 from which a colour is over-exposed and not known."""
DARKEST = 4.0
"""Mean grey level of the white patch below which there is no light to judge by."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Row = tuple[Finite, Finite, Finite]


class Target(Settings):
    """One colour of the part."""

    name: str
    lab: Row
    """L*, a*, b* (D65) that it must have; a finding's ``text`` gives what it has."""
    at_most: float = Field(3, gt=0)
    """Greatest ΔE 2000; 1 is just seen side by side, 3 at a second look."""
    roi: Roi | None = None
    """Where; the step's ROI when left out."""
    severity: Severity | None = None


class Params(Settings):
    """Which colours, and what white looks like."""

    targets: tuple[Target, ...] = Field(min_length=1)
    white: Roi | None = None
    """A patch of neutral white or grey that stands still in the frame, also for a step that follows
    a part; without it the camera's white balance is trusted."""
    white_l: float = Field(100, gt=10, le=100)
    """The patch's L*, from its certificate."""
    encoding: Literal["srgb", "linear"] = "srgb"
    """Whether the camera applies sRGB's gamma or gives light as it is."""
    matrix: tuple[Row, Row, Row] = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    """From the camera's linear RGB, white made good, to sRGB's; each row adds up to 1."""
    clipped: float | None = Field(None, gt=0, le=1, exclude_if=is_left_out)
    """Share of over-exposed pixels from which a colour is not known; 0.02 when left out. More may
    be where it is only asked whether something is white at all."""


class ColourStep(Step):
    """A ``colour`` step of a recipe."""

    turned_back: ClassVar[bool] = False  # the white patch does not move with the part

    kind: Literal["colour"]
    params: Params

    def labels(self, classes: Sequence[str]) -> Sequence[str]:
        """Its colours."""
        return [target.name for target in self.params.targets]


class Colour:
    """Compares colours with what they must be."""

    Step: ClassVar[type[ColourStep]] = ColourStep

    def __init__(self, step: ColourStep, shelf: Shelf) -> None:
        self._step = step
        self.model_digests: tuple[str, ...] = ()
        levels = np.arange(256) / 255
        self._light = linear_of(levels) if step.params.encoding == "srgb" else levels
        self._matrix = np.array(step.params.matrix)
        self._turned: Pixels | None = None
        # CIE 11664-4's L* turned round, for the patch's luminance
        f = (step.params.white_l + 16) / 116
        self._white_y = f**3 if f > 6 / 29 else 3 * (6 / 29) ** 2 * (f - 4 / 29)

    def warm_up(self) -> None:
        """Nothing to warm."""

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """One finding per colour: its value is ΔE 2000, its text ``L* a* b*``."""
        step, params = self._step, self._step.params
        if pixels.ndim != 3:
            raise Unjudged("the picture has no colour; take a colour camera's view")
        gain = np.ones(3)
        if params.white is not None:
            white = self._mean(pixels, params.white, "the white patch")
            if white.min() < self._light[int(DARKEST)]:
                raise Unjudged("the white patch is dark; light it, or mend its ROI")
            gain = self._white_y / white
        found = []
        for target in params.targets:
            roi, picture = target.roi or step.roi, pixels
            box = box_of(pixels, roi)
            if step.follow:
                place = context.places[step.follow]
                picture = as_taught(pixels, place, (roi,) if roi else (), self._turned)
                self._turned = picture if place.box is None else None
                box = place.around(box_of(picture, roi))
            mean = self._mean(picture, roi, target.name)
            lab = lab_of(np.clip(self._matrix @ (mean * gain), 0, None))
            difference = delta_e_2000(lab.tolist(), target.lab)
            shown = " ".join(f"{v:.1f}" for v in lab)
            reason = ""
            if not difference <= target.at_most:
                reason = f"{target.name} is ΔE {difference:.1f} off (L* a* b* {shown})"
            found.append(
                step.finding(
                    target.name, reason, severity=target.severity, box=box,
                    text=shown, value=difference, unit="1",
                )
            )  # fmt: skip
        return found

    def _mean(self, pixels: Pixels, roi: Roi | None, what: str) -> Floats:
        """The mean light of a place, linear RGB 0..1."""
        area = crop(pixels, roi)
        counts = [
            np.ravel(cv2.calcHist([area], [channel], None, [256], [0, 256]))
            for channel in (2, 1, 0)
        ]
        total = area.shape[0] * area.shape[1]
        if max(float(c[255]) for c in counts) > (self._step.params.clipped or CLIPPED) * total:
            raise Unjudged(f"{what} is over-exposed; shorten the exposure")
        return np.array([float(c @ self._light) / total for c in counts])
