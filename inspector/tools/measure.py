"""``measure``: pixels go in; distances, angles, diameters and levels come out, in mm if calibrated.

Features (edges, lines, circles) are found with calipers in the frame's own pixels: a part that is
followed is not turned back first, since resampling costs exactness and scaling would lose the size.
Imported by ``tools`` alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator, model_validator

from inspector.config import Settings, nearest
from inspector.part import Box, Finding, Pixels, Severity
from inspector.tools.bounds import check_bounds
from inspector.tools.calibration import CalibrationName
from inspector.tools.calipers import (
    Circle,
    Line,
    Polarity,
    Which,
    agreeing,
    edges,
    fit_circle,
    fit_line,
)
from inspector.tools.onnx import Shelf
from inspector.tools.place import Place, Points
from inspector.tools.step import Context, Name, Step, is_left_out

Xy = tuple[float, float]
Fitted = Line | Circle | NDArray[Any]
"""A feature as found, in pixels or millimetres: a point is (2,)."""

_Stretch = TypeVar("_Stretch", "EdgePoint", "EdgeLine")

ENOUGH = 0.5
"""Share of a line's or circle's calipers that must see their edge."""
AS_TAUGHT = Place(np.eye(2, 3))


class _Feature(Settings):
    name: Name
    polarity: Polarity = "any"
    """``rising`` is from dark to bright in the direction that is looked in."""
    which: Which = "strongest"
    contrast: float = Field(12, gt=0)
    """Grey levels of the faintest step that counts."""


class EdgePoint(_Feature):
    """One edge, looked for from ``start`` to ``end``."""

    kind: Literal["edge"]
    start: Xy
    end: Xy
    width: float = Field(9, ge=1, le=200)
    """Pixels across that are averaged: along the edge."""

    @model_validator(mode="after")
    def _has_a_length(self) -> EdgePoint:
        return _far_enough(self)


class EdgeLine(_Feature):
    """A straight edge near the line from ``start`` to ``end``, looked for from the left to the
    right of whoever walks along it."""

    kind: Literal["line"]
    start: Xy
    end: Xy
    reach: float = Field(10, ge=2, le=500)
    """How far from the taught line it may be, in pixels."""
    calipers: int = Field(20, ge=3, le=500)

    @model_validator(mode="after")
    def _has_a_length(self) -> EdgeLine:
        return _far_enough(self)


class EdgeCircle(_Feature):
    """A round edge, looked for from its inside to its outside."""

    kind: Literal["circle"]
    centre: Xy
    radius: float = Field(gt=2, le=10_000)
    reach: float = Field(10, ge=2, le=500)
    calipers: int = Field(36, ge=6, le=720)

    @model_validator(mode="after")
    def _has_an_inside(self) -> EdgeCircle:
        if self.reach >= self.radius:
            raise ValueError("`reach` is smaller than `radius`, or the middle would be crossed")
        return self


Feature = Annotated[EdgePoint | EdgeLine | EdgeCircle, Field(discriminator="kind")]


class Value(Settings):
    """One value, and what it may be; exactly one of ``distance``, ``angle``, ``tilt``,
    ``diameter``, ``level``."""

    name: str
    distance: tuple[str, str] | None = None
    """Between two features: points, circles' centres, lines (perpendicular to the second)."""
    angle: tuple[str, str] | None = None
    """Between two lines in the directions that they were taught in, 0 to 180 deg."""
    tilt: str | None = None
    """How far a line is turned clockwise from how it was taught, the part followed, in deg."""
    diameter: str | None = None
    level: tuple[str, str] | None = None
    """How far the first feature stands above the second, with the part upright."""
    at_least: float | None = None
    at_most: float | None = None
    severity: Severity | None = None

    @model_validator(mode="after")
    def _is_one_value(self) -> Value:
        kinds = (self.distance, self.angle, self.tilt, self.diameter, self.level)
        if sum(v is not None for v in kinds) != 1:
            raise ValueError("give exactly one of `distance`, `angle`, `tilt`, `diameter`, `level`")
        check_bounds(self.at_least, self.at_most)
        return self

    @property
    def of(self) -> tuple[str, ...]:
        """The features that it is about."""
        alone = self.diameter or self.tilt
        if alone:
            return (alone,)
        return self.distance or self.angle or self.level or ()


class Params(Settings):
    """What to find, and what of it to measure."""

    features: tuple[Feature, ...] = Field(min_length=1)
    measures: tuple[Value, ...] = Field(min_length=1)
    calibration: CalibrationName | None = Field(None, exclude_if=is_left_out)
    """File of a calibration, from the recipe's folder: lengths are then in mm, else in pixels."""
    guarded: bool = False
    """Narrows the limits of lengths by the scale's uncertainty, so that what passes does conform
    (ISO 14253-1)."""

    @field_validator("features")
    @classmethod
    def _are_told_apart(cls, features: tuple[Feature, ...]) -> tuple[Feature, ...]:
        names = [feature.name for feature in features]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two features are named `{twice}`; only one would be measured")
        return features

    @field_validator("measures")
    @classmethod
    def _know_their_features(
        cls, measures: tuple[Value, ...], info: ValidationInfo
    ) -> tuple[Value, ...]:
        kinds = {f.name: f.kind for f in info.data.get("features", ())}
        for value in measures if kinds else ():
            for name in value.of:
                if name not in kinds:
                    near = nearest(name, kinds)
                    raise ValueError(f"`{value.name}`: no feature `{name}`; {near}")
            wants = "circle" if value.diameter else "line" if value.angle or value.tilt else ""
            if wants and any(kinds[name] != wants for name in value.of):
                raise ValueError(f"`{value.name}` can be measured of a {wants} only")
        return measures


class MeasureStep(Step):
    """A ``measure`` step of a recipe."""

    turned_back: ClassVar[bool] = False

    kind: Literal["measure"]
    params: Params

    @model_validator(mode="after")
    def _needs_no_roi(self) -> MeasureStep:
        if self.roi is not None:
            raise ValueError("`measure` looks where its features are and takes no `roi`")
        return self

    def labels(self, classes: Sequence[str]) -> Sequence[str]:
        """Its values."""
        return [value.name for value in self.params.measures]


class Measure:
    """Finds features and measures between them."""

    Step: ClassVar[type[MeasureStep]] = MeasureStep

    def __init__(self, step: MeasureStep, shelf: Shelf) -> None:
        """Raises ``ModelError`` when the recipe was read without its calibration."""
        self._step = step
        file = step.params.calibration
        self._camera = file.calibration if file else None
        self.model_digests: tuple[str, ...] = (file.digest,) if file else ()
        lines = (f for f in step.params.features if isinstance(f, EdgeLine))
        self._taught = {line.name: (line.start, line.end) for line in lines}
        self._unit = "mm" if self._camera else "{px}"

    def warm_up(self) -> None:
        """Nothing to warm."""

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """One finding per value, or per value whose feature was not found; boxes are of features.

        A feature that is not found rejects the part.
        """
        step, camera = self._step, self._camera
        if camera:
            camera.check_size(*pixels.shape[:2])
        place = context.places[step.follow] if step.follow else AS_TAUGHT
        found: dict[str, tuple[Fitted, Box]] = {}
        for feature in step.params.features:
            points = self._edges(pixels, feature, place)
            if points is None:
                continue
            (x1, y1), (x2, y2) = points.min(0).tolist(), points.max(0).tolist()
            fitted = self._fitted(feature, points, place)
            if fitted is not None:
                found[feature.name] = (fitted, (x1, y1, x2, y2))
        return [self._judged(value, found, place) for value in step.params.measures]

    def _edges(self, pixels: Pixels, feature: Feature, place: Place) -> Points | None:
        """The edge points of a feature in the frame's pixels, or None: not found."""
        grow = place.scale
        if isinstance(feature, EdgePoint):
            starts, ends = place.points(np.array([feature.start, feature.end]))[:, None]
            width, needed = feature.width * grow, 1
        elif isinstance(feature, EdgeLine):
            start, end = np.array(feature.start), np.array(feature.end)
            length = math.dist(feature.start, feature.end)
            width, needed = length / feature.calipers, math.ceil(ENOUGH * feature.calipers)
            along = (end - start) / length
            right = feature.reach * np.array([-along[1], along[0]])
            at = start + (np.arange(feature.calipers)[:, None] + 0.5) * width * along
            starts, ends = place.points(at - right), place.points(at + right)
            width *= grow
        else:
            turns = np.arange(feature.calipers) * (2 * math.pi / feature.calipers)
            rays = np.stack([np.cos(turns), np.sin(turns)], 1)
            centre, r, reach = np.array(feature.centre), feature.radius, feature.reach
            starts = place.points(centre + rays * (r - reach))
            ends = place.points(centre + rays * (r + reach))
            # Across a caliper of width w the arc falls back by w²/24r on average: 0.01 px here.
            width, needed = math.sqrt(0.24 * r) * grow, math.ceil(ENOUGH * feature.calipers)
        points, seen = edges(
            pixels, starts, ends, width, feature.polarity, feature.which, feature.contrast
        )
        return points[seen] if seen.sum() >= needed else None

    def _fitted(self, feature: Feature, points: Points, place: Place) -> Fitted | None:
        at_first = agreeing(points) if isinstance(feature, EdgeLine) else None
        if self._camera:
            points = self._camera.to_mm(points)
        if isinstance(feature, EdgePoint):
            return np.asarray(points[0])
        if isinstance(feature, EdgeCircle):
            return fit_circle(points)
        return fit_line(points, self._direction(place, feature.start, feature.end), at_first)

    def _judged(
        self, value: Value, found: Mapping[str, tuple[Fitted, Box]], place: Place
    ) -> Finding:
        lost = [name for name in value.of if name not in found]
        unit = "deg" if value.angle or value.tilt else self._unit
        size: float | None = None
        if lost:
            reason = f"{value.name}: {' and '.join(lost)} not found"
        else:
            size = self._size(value, [found[name][0] for name in value.of], place)
            reason = self._fault(value, size, unit)
        boxes = np.array([found[name][1] for name in value.of if name in found]).reshape(-1, 4)
        box: Box | None = None
        if len(boxes):
            (x1, y1), (x2, y2) = boxes[:, :2].min(0).tolist(), boxes[:, 2:].max(0).tolist()
            box = (x1, y1, x2, y2)
        return self._step.finding(
            value.name,
            reason,
            box=box,
            severity=value.severity,
            value=size,
            unit=None if size is None else unit,
        )

    def _size(self, value: Value, of: list[Fitted], place: Place) -> float:
        if isinstance(of[0], Circle) and value.diameter:
            return 2 * of[0].radius
        if value.tilt and isinstance(of[0], Line):
            ends = self._taught[value.tilt]
            (a, b), (c, d) = self._direction(place, *ends), of[0].along
            return math.degrees(math.atan2(a * d - b * c, a * c + b * d))
        first, second = of
        if value.angle and isinstance(first, Line) and isinstance(second, Line):
            turn = float(np.clip(first.along @ second.along, -1, 1))
            return math.degrees(math.acos(turn))
        if value.level:
            up = _point(second) - _point(first)
            return float(up @ self._direction(place, (0, 0), (0, 10)))
        if isinstance(second, Line):
            return _from_line(_point(first), second)
        if isinstance(first, Line):
            return _from_line(_point(second), first)
        return math.dist(_point(first), _point(second))

    def _direction(self, place: Place, start: Xy, end: Xy) -> NDArray[Any]:
        """From one taught point to another, as a unit vector where it is measured."""
        ends = place.points(np.array([start, end]))
        if self._camera:
            ends = self._camera.to_mm(ends)
        way: NDArray[Any] = ends[1] - ends[0]
        return np.asarray(way / np.hypot(*way))

    def _fault(self, value: Value, size: float, unit: str) -> str:
        low, high = value.at_least, value.at_most
        guard = 0.0
        if self._step.params.guarded and self._camera and unit != "deg":
            guard = abs(size) * self._camera.relative_u
        shown = f"{value.name} is {size:.3f} {unit.strip('{}')}"
        margin = f" with {guard:.3f} of uncertainty" if guard else ""
        if low is not None and size < low + guard:
            return f"{shown}, at least {low:g} is needed{margin}"
        if high is not None and size > high - guard:
            return f"{shown}, at most {high:g} is allowed{margin}"
        return ""


def _far_enough(feature: _Stretch) -> _Stretch:
    if not 2 <= math.dist(feature.start, feature.end) <= 20_000:
        raise ValueError("`start` and `end` lie at least 2 px apart")
    return feature


def _point(fitted: Fitted) -> NDArray[Any]:
    if isinstance(fitted, Line):
        return fitted.point
    return fitted.centre if isinstance(fitted, Circle) else fitted


def _from_line(point: NDArray[Any], line: Line) -> float:
    x, y = point - line.point
    return float(abs(x * line.along[1] - y * line.along[0]))
