"""``classify``: pixels go in, what kind of thing they show comes out, and whether that is sure.

A part that the model is not sure about is rejected: between "certainly good" and "certainly bad"
lies the band ``unsure``. Imported by ``tools`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator, model_validator

from inspector.config import Settings, nearest
from inspector.part import Box, Finding, Pixels, Severity
from inspector.tools.card import card_in
from inspector.tools.contract import input_shape
from inspector.tools.letterbox import Letterbox
from inspector.tools.onnx import Bound, Shelf
from inspector.tools.step import Context, PlacesStep, Roi, Unjudged, box_of, crop

UNSURE = "unsure"
"""Label of the finding when the score lies in the band."""
FREE_SIDE = 224
"""Input height and width taken where the graph leaves them free, in pixels."""
WORST_FIRST = tuple(Severity)
SUM_TOLERANCE = 0.02
"""By how much the scores of a softmax may miss 1: half floats and int8 do."""


class Params(Settings):
    """Which classes make a good part, and how sure the model must be."""

    model: str
    """``name/version`` in the models folder."""
    expect: tuple[str, ...] = ()
    """Softmax: the classes of a good part, all others are defects. Sigmoid: what must be there."""
    defects: dict[str, Severity] = Field({})
    """Classes that reject the part; those of ``expect`` are not among them. A part that may be one
    of them is as bad."""
    unsure: tuple[float, float] = (0.3, 0.7)
    """The band of scores in which nothing is certain, and the part is rejected as unsure. Softmax:
    of all defects' scores together. Sigmoid: of each class that a rule names."""
    rois: tuple[Roi, ...] = Field((), max_length=64)
    """Instead of the step's ``roi``: several places, each judged by itself."""

    @field_validator("unsure")
    @classmethod
    def _is_a_band(cls, band: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= band[0] <= band[1] <= 1:
            raise ValueError("`unsure` is [low, high] with 0 <= low <= high <= 1")
        return band

    @model_validator(mode="after")
    def _names_known_classes(self, info: ValidationInfo) -> Params:
        both = set(self.expect) & set(self.defects)
        if both:
            raise ValueError(f"`{min(both)}` is expected and a defect; it can be one of the two")
        if card := card_in(info, self.model):
            known = card.classes
            for label in (*self.expect, *self.defects):
                if label not in known:
                    raise ValueError(f"no class `{label}` in {self.model}; {nearest(label, known)}")
            if set(known) <= set(self.defects):
                raise ValueError("every class is a defect; no part could pass")
        return self


class ClassifyStep(PlacesStep):
    """A ``classify`` step of a recipe."""

    kind: Literal["classify"]
    params: Params


class Classify:
    """A classifier with its letterbox and its rules."""

    Step: ClassVar[type[ClassifyStep]] = ClassifyStep

    def __init__(self, step: ClassifyStep, shelf: Shelf) -> None:
        self._step = step
        model = shelf.open(step.params.model, "classify")
        self.model_digests = (model.digest,)
        self._classes = model.card.classes
        self._scores = SCORES[model.card.output.format]
        self._logits = model.card.output.logits
        self._bound: Bound = model.bind(input_shape(model.card, model.input_shape, FREE_SIDE))
        self._letterbox = Letterbox(model.card, self._bound.input)
        self._judge = self._one_of if model.card.output.format == "softmax" else self._each_of

    def warm_up(self) -> None:
        """Runs the model once on what its buffer holds."""
        self._bound.run()

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """Softmax: one finding per place. Sigmoid: one per class that is there, or must be."""
        found: list[Finding] = []
        for roi in self._step.looks_at():
            self._letterbox.fill(crop(pixels, roi))
            answer = np.asarray(self._bound.run()[0], np.float64)
            found += self._judge(self._scores(answer, self._logits), box_of(pixels, roi))
        return found

    def _one_of(self, scores: NDArray[Any], box: Box) -> list[Finding]:
        params, classes = self._step.params, self._classes
        low, high = params.unsure
        best = int(scores.argmax())
        bad = [
            i
            for i, label in enumerate(classes)
            if label in params.defects or (params.expect and label not in params.expect)
        ]
        if not (params.expect or params.defects):
            # Nothing is said to be wrong: the best class must then be sure by itself.
            sure = scores[best] >= high
            return [
                self._finding(classes[best], scores[best], box)
                if sure
                else self._unsure(scores, bad, box)
            ]
        badness = float(scores[bad].sum())
        if low < badness < high:
            return [self._unsure(scores, bad, box)]
        if badness >= high:
            worst = min(self._doubted(scores, bad), key=lambda i: (self._rank(i), -scores[i]))
            return [self._wrong(classes[worst], scores[worst], box)]
        good = max((i for i in range(len(classes)) if i not in bad), key=lambda i: scores[i])
        return [self._finding(classes[good], scores[good], box)]

    def _each_of(self, scores: NDArray[Any], box: Box) -> list[Finding]:
        params = self._step.params
        low, high = params.unsure
        ruled = {*params.expect, *params.defects} or set(self._classes)
        found = []
        for label, score in zip(self._classes, scores.tolist(), strict=True):
            if score >= high:
                wrong = label in params.defects
                found.append((self._wrong if wrong else self._finding)(label, score, box))
            elif score > low and label in ruled:
                reason = f"not sure about {_said(label)} ({score:.2f})"
                found.append(self._finding(UNSURE, score, box, label, reason, (label,)))
            elif label in params.expect:
                reason = f"no {_said(label)} ({score:.2f})"
                found.append(self._finding(label, score, box, reason=reason))
        return found

    def _doubted(self, scores: NDArray[Any], bad: Sequence[int]) -> list[int]:
        """The defects that it may be; of many that are unlikely each, the likeliest."""
        low = self._step.params.unsure[0]
        return [i for i in bad if scores[i] > low] or sorted(bad, key=lambda i: -scores[i])[:1]

    def _rank(self, number: int) -> int:
        step = self._step
        severity = step.params.defects.get(self._classes[number], step.severity)
        return WORST_FIRST.index(severity)

    def _unsure(self, scores: NDArray[Any], bad: Sequence[int], box: Box) -> Finding:
        doubted = [self._classes[i] for i in self._doubted(scores, bad)]
        two = np.argsort(scores, kind="stable")[::-1][:2]
        shares = ", ".join(f"{_said(self._classes[i])} {scores[i]:.2f}" for i in two)
        best = self._classes[two[0]]
        return self._finding(UNSURE, scores[two[0]], box, best, f"not sure: {shares}", doubted)

    def _wrong(self, label: str, score: float, box: Box) -> Finding:
        return self._finding(label, score, box, reason=f"{_said(label)} ({score:.2f})")

    def _finding(
        self,
        label: str,
        score: float,
        box: Box,
        text: str | None = None,
        reason: str = "",
        doubted: Sequence[str] = (),
    ) -> Finding:
        """``doubted`` are the classes that it may be: as bad as the worst of them, or a recipe's
        limits would let through what may be critical."""
        step = self._step
        severity = step.params.defects.get(label, step.severity)
        for one in doubted:
            severity = min(severity, step.params.defects.get(one, severity), key=WORST_FIRST.index)
        score = min(max(float(score), 0.0), 1.0)
        return step.finding(label, reason, score=score, box=box, severity=severity, text=text)


def softmax(answer: NDArray[Any], logits: bool) -> NDArray[Any]:
    """Scores [C] that add up to 1. Raises ``Unjudged`` when they do not."""
    if logits and np.isfinite(answer).all():
        powers = np.exp(answer - answer.max())
        answer = powers / powers.sum()
    if not np.isfinite(answer).all() or abs(answer.sum() - 1) > SUM_TOLERANCE:
        raise Unjudged("the classifier's scores are no shares of 1")
    return answer


def sigmoid(answer: NDArray[Any], logits: bool) -> NDArray[Any]:
    """Scores [C], each from 0 to 1. Raises ``Unjudged`` when they are not."""
    if logits:
        answer = 1 / (1 + np.exp(-np.clip(answer, -60, 60)))
    if not ((answer >= -SUM_TOLERANCE) & (answer <= 1 + SUM_TOLERANCE)).all():
        raise Unjudged("the classifier's scores do not lie between 0 and 1")
    return answer


SCORES: Mapping[str, Any] = {"softmax": softmax, "sigmoid": sigmoid}
"""By the card's ``output.format``."""


def _said(label: str) -> str:
    return label.replace("_", " ")
