"""``segment``: pixels go in; what a segmenter sees comes out to the pixel, measured and judged.

Semantic masks become one finding per connected place, instances one each, with area, length and
width (in mm where the camera is calibrated) and an outline. Imported by ``tools`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator

from inspector.config import Settings, nearest
from inspector.part import Finding, Pixels, Severity
from inspector.tools.bounds import check_bounds
from inspector.tools.calibration import CalibrationName
from inspector.tools.card import card_in
from inspector.tools.contract import INSTANCES, input_shape
from inspector.tools.heads import unknown_class
from inspector.tools.letterbox import Letterbox
from inspector.tools.masks import Spot, instances, maps_of, spots, spread
from inspector.tools.onnx import Shelf
from inspector.tools.outline import Form, form_of
from inspector.tools.place import Place, Points
from inspector.tools.step import Context, PlacesStep, Roi, corner_of, crop, is_left_out

FREE_SIDE = 512
"""Input height and width taken where the graph leaves them free, in pixels."""
MOST = 100
"""Findings of one label; counts and totals go on."""

Bound = float | None


class Tolerance(Settings):
    """What one class may look like, and how much of it there may be; px, or mm where calibrated."""

    label: str
    area_at_most: Bound = Field(None, ge=0)
    """Of each place, in px² or mm²; a larger one is a defect …"""
    length_at_most: Bound = Field(None, ge=0)
    """… so is a longer one (the longer side of the smallest rectangle around it) …"""
    width_at_most: Bound = Field(None, ge=0)
    """… and a thicker one (the largest circle in it)."""
    at_most: int | None = Field(None, ge=0)
    """How many places there may be, however small."""
    at_least: int | None = Field(None, ge=0)
    total_at_most: Bound = Field(None, ge=0)
    """Area of all places together, in px² or mm²."""
    total_at_least: Bound = Field(None, ge=0)
    """For what must be there, such as a bead of glue."""
    severity: Severity | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Tolerance:
        if all(getattr(self, name) is None for name in BOUNDS):
            raise ValueError(f"`{self.label}` needs one of {', '.join(BOUNDS)}")
        check_bounds(self.at_least, self.at_most)
        check_bounds(self.total_at_least, self.total_at_most, "total_")
        return self


BOUNDS = tuple(name for name in Tolerance.model_fields if "_at_" in name or name.startswith("at_"))


class Params(Settings):
    """What to look for, and what of it is tolerated."""

    model: str
    """``name/version`` in the models folder."""
    threshold: float = Field(0.5, gt=0, le=1)
    """Score from which a pixel (or an instance) counts."""
    thresholds: dict[str, float] = Field({})
    """By label, where it differs."""
    iou: float = Field(0.5, gt=0, lt=1)
    """Raw heads of instances: two boxes of one class that overlap more than this are one."""
    least_px: float = Field(4, ge=1)
    """Places of fewer pixels are noise."""
    defects: dict[str, Severity] = Field({})
    """Labels of which one place, whatever its size, rejects the part."""
    tolerances: tuple[Tolerance, ...] = ()
    calibration: CalibrationName | None = Field(None, exclude_if=is_left_out)
    """File of a calibration, from the recipe's folder: sizes are then in mm, else in pixels."""
    rois: tuple[Roi, ...] = Field((), max_length=64)
    """Instead of the step's ``roi``: the tiles of a large picture, which may overlap; what lies
    across a seam is one place. Not for instances."""

    @model_validator(mode="after")
    def _names_known_classes(self, info: ValidationInfo) -> Params:
        ruled = [rule.label for rule in self.tolerances]
        twice = next((x for x in ruled if ruled.count(x) > 1 or x in self.defects), None)
        if twice:
            raise ValueError(f"`{twice}` has two rules; put them into one entry of `tolerances`")
        if card := card_in(info, self.model):
            known = card.classes[card.output.format == "semantic" :]
            for label in (*ruled, *self.defects, *self.thresholds):
                if label not in known:
                    raise ValueError(f"no class `{label}` in {self.model}; {nearest(label, known)}")
            if self.rois and card.output.format in INSTANCES:
                raise ValueError(
                    f"{self.model} sees instances, which tiles would cut; give a `roi`"
                )
        return self

    @field_validator("thresholds")
    @classmethod
    def _are_scores(cls, thresholds: dict[str, float]) -> dict[str, float]:
        if not all(0 < value <= 1 for value in thresholds.values()):
            raise ValueError("a threshold lies above 0 and is 1 at most")
        return thresholds


class SegmentStep(PlacesStep):
    """A ``segment`` step of a recipe."""

    kind: Literal["segment"]
    params: Params


class Segment:
    """A segmenter with its letterbox, its camera and its tolerances."""

    Step: ClassVar[type[SegmentStep]] = SegmentStep

    def __init__(self, step: SegmentStep, shelf: Shelf) -> None:
        """Raises ``ModelError`` when the recipe was read without its calibration."""
        self._step = step
        params = step.params
        model = shelf.open(params.model, "segment")
        card = model.card
        file = params.calibration
        self._camera = file.calibration if file else None
        self.model_digests = (model.digest, *((file.digest,) if file else ()))
        self._form, self._logits, self._classes = (
            card.output.format,
            card.output.logits,
            card.classes,
        )
        self._rois = step.looks_at()
        self._bound = model.bind(input_shape(card, model.input_shape, FREE_SIDE))
        self._letterbox = Letterbox(card, self._bound.input)
        shape = self._bound.input.shape
        self._side = shape[1:3] if card.input.layout == "NHWC" else shape[2:4]
        self._least = [params.thresholds.get(label, params.threshold) for label in card.classes]
        self._rules = {rule.label: rule for rule in params.tolerances}
        self._units = ("mm", "mm2") if self._camera else ("{px}", "{px}2")

    def warm_up(self) -> None:
        """Runs the model once on what its buffer holds."""
        self._bound.run()

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """One finding per place or instance, largest first in its class, its value its area; then
        one per broken count or total."""
        step, camera = self._step, self._camera
        if camera:
            camera.check_size(*context.sizes.get(step.view, pixels.shape[:2]))
        to_mm = self._in_mm(context.places.get(step.follow))
        seen: dict[int, list[tuple[float, Form]]] = {i: [] for i in range(len(self._classes))}
        for spot in self._spots(pixels):
            if spot.label in seen:
                seen[spot.label].append((spot.score, form_of(spot.mask, spot.corner, to_mm)))
        found: list[Finding] = []
        broken: list[Finding] = []
        for index, places in seen.items():
            label = self._classes[index]
            places.sort(key=lambda place: -place[1].area)
            seen_here = [self._place(label, score, form) for score, form in places]
            if len(seen_here) > MOST:  # what is wrong is never among those left out
                seen_here = sorted(seen_here, key=lambda place: place.ok)[:MOST]
                seen_here.sort(key=lambda place: -(place.value or 0.0))
            found += seen_here
            if label in self._rules:
                broken += self._totals(self._rules[label], [form for _, form in places])
        return found + broken

    def _in_mm(self, place: Place | None) -> Callable[[Points], Points] | None:
        camera = self._camera
        if camera is None:
            return None
        if place is None:
            return camera.to_mm
        return lambda points: camera.to_mm(place.points(points))

    def _spots(self, pixels: Pixels) -> list[Spot]:
        params = self._step.params
        if self._form in INSTANCES:
            (roi,) = self._rois
            area = crop(pixels, roi)
            self._letterbox.fill(area)
            answer = self._bound.run()
            found = instances(
                answer, self._bound.prototypes, self._form, min(self._least), params.iou,
                self._letterbox, self._side, area.shape[:2],
            )  # fmt: skip
            kept = []
            for spot in found:
                if not 0 <= spot.label < len(self._classes):
                    raise unknown_class(spot.label, len(self._classes))
                large = np.count_nonzero(spot.mask) >= params.least_px
                if large and spot.score >= self._least[spot.label]:
                    kept.append(_shifted(spot, roi))
            return kept
        first = int(self._form == "semantic")
        canvas: dict[int, Pixels] = {}
        single: list[Spot] = []
        for roi in self._rois:
            area = crop(pixels, roi)
            self._letterbox.fill(area)
            maps = maps_of(self._bound.run()[0], self._form, self._logits)
            for label in range(first, len(self._classes)):
                least = self._least[label]
                seen = spread(maps[label], self._letterbox, self._side, area.shape[:2], least)
                if seen is None:
                    continue
                scores, (x, y) = seen
                left, top = corner_of(roi)
                x, y = x + left, y + top
                if len(self._rois) == 1:
                    single += spots(label, scores, (x, y), least, params.least_px)
                    continue
                if label not in canvas:
                    canvas[label] = np.zeros(pixels.shape[:2], np.uint8)
                under = canvas[label][y : y + scores.shape[0], x : x + scores.shape[1]]
                np.maximum(under, scores, out=under)
        for label, scores in canvas.items():
            single += spots(label, scores, (0, 0), self._least[label], params.least_px)
        return single

    def _place(self, label: str, score: float, form: Form) -> Finding:
        step, rule = self._step, self._rules.get(label)
        unit = self._units[0].strip("{}")
        severity = rule.severity if rule else step.params.defects.get(label)
        why = []
        if label in step.params.defects:
            why.append(f"{form.length:.2f} × {form.width:.2f} {unit}")
        for name in ("area", "length", "width") if rule else ():
            size, most = getattr(form, name), getattr(rule, f"{name}_at_most")
            if most is not None and size > most:
                square = "²" if name == "area" else ""
                why.append(f"{name} {size:.2f} {unit}{square}, at most {most:g} is allowed")
        return step.finding(
            label,
            f"{label.replace('_', ' ')}: {'; '.join(why)}" if why else "",
            score=min(max(score, 0.0), 1.0),
            box=form.box,
            severity=severity,
            text=f"{form.length:.2f} × {form.width:.2f} {unit}",
            value=form.area,
            unit=self._units[1],
            outline=form.outline,
        )

    def _totals(self, rule: Tolerance, forms: Sequence[Form]) -> list[Finding]:
        total = sum(form.area for form in forms)
        said, unit = rule.label.replace("_", " "), self._units[0].strip("{}")
        broken = []
        for value, low, high, shown, kind in (
            (float(len(forms)), rule.at_least, rule.at_most, f"{len(forms)} × {said}", "1"),
            (total, rule.total_at_least, rule.total_at_most,
             f"{total:.2f} {unit}² of {said}", self._units[1]),
        ):  # fmt: skip
            if low is not None and value < low:
                reason = f"{shown}, at least {low:g} must be"
            elif high is not None and value > high:
                reason = f"{shown}, at most {high:g} may be"
            else:
                continue
            box = forms[0].box if forms else None
            broken.append(
                self._step.finding(
                    rule.label, reason, box=box, severity=rule.severity, value=value, unit=kind
                )
            )
        return broken


def _shifted(spot: Spot, roi: Roi | None) -> Spot:
    x, y = corner_of(roi)
    return Spot(spot.label, spot.score, spot.mask, (spot.corner[0] + x, spot.corner[1] + y))
