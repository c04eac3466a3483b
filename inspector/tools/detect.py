"""``detect``: pixels go in, what a detector finds in them and what it ought to find comes out.

Findings are one per detection, and one more per rule that is broken. Imported by ``tools`` alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from inspector.config import Settings, nearest
from inspector.part import Box, Finding, Pixels, Severity
from inspector.tools.bounds import broken_bound, check_count
from inspector.tools.card import card_in
from inspector.tools.contract import input_shape, is_fixed
from inspector.tools.follow import around
from inspector.tools.heads import HEADS, Rows, unknown_class
from inspector.tools.letterbox import Letterbox
from inspector.tools.onnx import Bound, Shelf
from inspector.tools.seams import once
from inspector.tools.step import (
    Context,
    PlacesStep,
    Roi,
    box_of,
    corner_of,
    crop,
    is_left_out,
)

FREE_SIDE = 640
"""Input height and width taken where the graph leaves them free, in pixels."""


class Count(Settings):
    """How many of a label there must be: every bound that is given must hold."""

    label: str
    roi: Roi | None = None
    """A detection counts when its centre lies here; the step's ROI when left out."""
    at_least: int | None = Field(None, ge=0)
    at_most: int | None = Field(None, ge=0)
    exactly: int | None = Field(None, ge=0)
    severity: Severity | None = None
    reason: str = ""
    """What a person reads when it is broken; made from the counts when left out."""

    @model_validator(mode="after")
    def _bounds_something(self) -> Count:
        check_count(self.at_least, self.at_most, self.exactly)
        return self


class Each(Settings):
    """Every detection of one label must have one of another to itself."""

    of: str
    has: str
    where: Literal["on_top", "inside"] = "inside"
    """``on_top``: its centre between the sides and in the upper half of the other, or above it.
    ``inside``: its centre within the other's box."""
    edge_px: int = Field(0, ge=0)
    """Items this near to the left or right end of the ROI are half seen, so not judged."""
    severity: Severity | None = None
    reason: str = ""


class Params(Settings):
    """What to find, and what follows from it."""

    model: str
    """``name/version`` in the models folder."""
    threshold: float = Field(0.4, gt=0, le=1)
    """Score from which a detection counts."""
    thresholds: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field({})
    """By label, where it differs."""
    iou: float = Field(0.5, gt=0, lt=1)
    """Two boxes of one class that overlap more than this are one: in raw heads, and where `rois`
    overlap."""
    rois: tuple[Roi, ...] = Field((), max_length=64, exclude_if=is_left_out)
    """Instead of the step's `roi`: several places, or the tiles of a large picture, each brought to
    the model's size. A model whose batch is free sees all of them in one run."""
    labels: tuple[str, ...] = ()
    """Only these are reported and counted; all when left out."""
    defects: dict[str, Severity] = Field({})
    """Labels of which one alone rejects the part."""
    counts: tuple[Count, ...] = ()
    each: tuple[Each, ...] = ()

    @model_validator(mode="after")
    def _rules_about_what_it_reports(self) -> Params:
        ruled = _named(self.defects) + _named(self.counts) + _named(self.each)
        unseen = next((label for label in ruled if self.labels and label not in self.labels), None)
        if unseen is not None:
            what = f"a rule names `{unseen}`, which `labels` leaves out: it would never be found"
            raise ValueError(f"{what}; add it to `labels`")
        return self

    @field_validator("model")
    @classmethod
    def _has_a_card(cls, model: str, info: ValidationInfo) -> str:
        card_in(info, model)
        return model

    @field_validator("thresholds", "labels", "defects", "counts", "each")
    @classmethod
    def _knows_its_labels(cls, value: Any, info: ValidationInfo) -> Any:
        card = card_in(info, info.data.get("model", ""))
        known = card.classes if card else ()
        for label in _named(value):
            if known and label not in known:
                raise ValueError(f"the model has no class `{label}`; {nearest(label, known)}")
        return value


def _named(value: object) -> list[str]:
    if isinstance(value, dict):
        return list(value)
    names: list[str] = []
    for item in value if isinstance(value, tuple) else ():
        if isinstance(item, Each):
            names += [item.of, item.has]
        else:
            names.append(item.label if isinstance(item, Count) else item)
    return names


class DetectStep(PlacesStep):
    """A ``detect`` step of a recipe."""

    kind: Literal["detect"]
    params: Params

    @model_validator(mode="after")
    def _counts_where_it_looks(self) -> DetectStep:
        seen = [roi for roi in self.looks_at() if roi]
        if not seen:
            return self
        whole = around(seen)
        for rule in self.params.counts:
            roi = rule.roi
            if roi and not (_within(roi, whole) and any(_meet(roi, one) for one in seen)):
                where = f"{list(roi)}, where this step does not look; it sees {list(whole)}"
                raise ValueError(f"`{rule.label}` is counted in {where}")
        return self

    def labels(self, classes: Sequence[str]) -> Sequence[str]:
        """The model's classes, or those of them that are reported."""
        return self.params.labels or classes


class Detect:
    """A detector with its letterbox and its rules."""

    Step: ClassVar[type[DetectStep]] = DetectStep

    def __init__(self, step: DetectStep, shelf: Shelf) -> None:
        self._step = step
        model = shelf.open(step.params.model, "detect")
        self.model_digests = (model.digest,)
        self._card = model.card
        shape = input_shape(model.card, model.input_shape, FREE_SIDE)
        self._rois = step.looks_at()
        batch = 1 if is_fixed(model.input_shape[0]) else len(self._rois)
        self._runs: list[tuple[Bound, list[Letterbox]]] = []
        for _ in range(len(self._rois) // batch):
            bound = model.bind([batch, *shape[1:]])
            slots = [Letterbox(model.card, bound.input[i : i + 1]) for i in range(batch)]
            self._runs.append((bound, slots))
        self._decode = HEADS[model.card.output.format]
        params = step.params
        wanted = params.labels or model.card.classes
        # A class that is not wanted has a threshold that no score reaches.
        self._thresholds = [
            params.thresholds.get(label, params.threshold) if label in wanted else 2.0
            for label in model.card.classes
        ]
        self._lowest = min(self._thresholds)

    def warm_up(self) -> None:
        """Runs the model once on what its buffers hold."""
        for bound, _ in self._runs:
            bound.run()

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """One finding per detection, best first, then one per broken rule."""
        params = self._step.params
        areas = [crop(pixels, roi) for roi in self._rois]
        found: list[Finding] = []
        seen_in: list[int] = []
        seen = 0
        for bound, slots in self._runs:
            for slot, area in zip(slots, areas[seen:], strict=False):
                slot.fill(area)
            answer = bound.run()
            for i, slot in enumerate(slots):
                rows = self._decode(answer[i : i + 1], self._lowest, params.iou)
                if len(rows):
                    found += self._findings(rows, slot, corner_of(self._rois[seen + i]))
                    seen_in += [seen + i] * (len(found) - len(seen_in))
            seen += len(slots)
        if len(areas) > 1:
            found = once(found, [params.rois[i] for i in seen_in], params.iou)
        found.sort(key=_by_score)
        if params.counts or params.each:
            for rule in params.counts:
                crop(pixels, rule.roi)  # where it counts must be in the picture
            whole = around([box_of(pixels, roi) for roi in self._rois])
            broken = [f for rule in params.counts if (f := self._count(rule, found, whole))]
            for each in params.each:
                broken += self._each(each, found, whole)
            found += broken
        return found

    def _findings(self, rows: Rows, letterbox: Letterbox, corner: tuple[int, int]) -> list[Finding]:
        step, classes = self._step, self._card.classes
        found = []
        for *box, score, number in rows.tolist():
            index = int(number)
            if not 0 <= index < len(classes):
                raise unknown_class(index, len(classes))
            if score < self._thresholds[index]:
                continue
            label = classes[index]
            severity = step.params.defects.get(label)
            reason = "" if severity is None else f"{label.replace('_', ' ')} ({score:.2f})"
            back = letterbox.back(box, corner)
            found.append(
                step.finding(label, reason, score=min(score, 1.0), box=back, severity=severity)
            )
        return found

    def _count(self, rule: Count, found: Sequence[Finding], seen: Box) -> Finding | None:
        x1, y1, x2, y2 = rule.roi or seen
        count = 0
        for finding in found:
            if finding.label == rule.label and finding.box:
                cx, cy = _centre(finding.box)
                count += x1 <= cx < x2 and y1 <= cy < y2
        wanted = broken_bound(count, rule.at_least, rule.at_most, rule.exactly)
        if not wanted:
            return None
        reason = rule.reason or f"{count} × {rule.label} where {wanted} must be"
        return self._broken(rule.label, rule.severity, reason, (x1, y1, x2, y2), float(count))

    def _each(self, rule: Each, found: Sequence[Finding], seen: Box) -> list[Finding]:
        near, reason = rule.edge_px, rule.reason or f"{rule.of} without {rule.has}"
        left, right = (seen[0] + near, seen[2] - near) if near else (-math.inf, math.inf)
        items = [f.box for f in found if f.label == rule.of and f.box]
        items = [box for box in items if left < box[0] and box[2] < right]
        mates = [f.box for f in found if f.label == rule.has and f.box]
        alone = _alone(
            len(items), len(mates), lambda i, j: _belongs(mates[j], items[i], rule.where)
        )
        return [self._broken(rule.has, rule.severity, reason, items[i], 0.0) for i in alone]

    def _broken(
        self, label: str, severity: Severity | None, reason: str, box: Box, count: float
    ) -> Finding:
        """What a rule says of ``box``. Its score is 0: it is no detection, and whoever ranks those
        by score must not find the place where one is missing before them."""
        x1, y1, x2, y2 = map(float, box)
        return self._step.finding(
            label, reason, score=0.0, box=(x1, y1, x2, y2), severity=severity, value=count, unit="1"
        )


def _within(inner: Roi, outer: Roi) -> bool:
    return (
        outer[0] <= inner[0] and outer[1] <= inner[1]
        and inner[2] <= outer[2] and inner[3] <= outer[3]
    )  # fmt: skip


def _meet(one: Roi, other: Roi) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _by_score(finding: Finding) -> float:
    return -finding.score


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _alone(items: int, mates: int, belong: Callable[[int, int], bool]) -> list[int]:
    """The items that get no mate to themselves where as many as can be get one: who finds all of
    his taken has another item look for a different one (C. Berge, Two theorems in graph theory,
    1957)."""
    item_of: dict[int, int] = {}

    def find(item: int, tried: set[int]) -> bool:
        for mate in range(mates):
            if mate not in tried and belong(item, mate):
                tried.add(mate)
                if mate not in item_of or find(item_of[mate], tried):
                    item_of[mate] = item
                    return True
        return False

    return [item for item in range(items) if not find(item, set())]


def _belongs(small: Box, large: Box, where: str) -> bool:
    x, y = _centre(small)
    if not large[0] <= x <= large[2]:
        return False
    if where == "inside":
        return large[1] <= y <= large[3]
    # A cap sits on the bottle's upper half, or just above a box that was drawn without it.
    height = small[3] - small[1]
    return large[1] - height <= y <= (large[1] + large[3]) / 2
