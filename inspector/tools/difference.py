"""A difference from the golden picture goes in, what a classifier calls it comes out.

``compare`` finds where a part differs; a rule cannot always tell a fault from a rough edge. A
classifier whose input is ``shown`` names each difference, or says ``good`` of it, and then
it is none. Imported by ``compare``, and by the training that makes such models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.card import ModelError
from inspector.tools.classify import softmax
from inspector.tools.contract import input_shape
from inspector.tools.onnx import Bound, Shelf
from inspector.tools.step import grey_of
from inspector.tools.traces import CONNECTING

GOOD = "good"
"""The class of differences that are none."""
RULE = 30.0
"""By how much the fault that a rule names is likelier than the scores alone say: a network sees
what a rough edge is, a rule counts what is joined and cut. Chosen on 132 pairs of boards, from 10
and 30, as they are, with copper and gap exchanged, and turned and enlarged."""
CONNECTS = 5.0
"""By how much one that joins or cuts conductors is likelier to be a fault at all: rough edges do so
on the thinnest ones alone. Chosen on the same pairs from 1, 3, 5, 10 and 30."""
WIDER = 1.6
"""How many times a difference's own size its far view shows at least."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One connected difference, in the golden picture's pixels."""

    x: int
    y: int
    """Corner of ``spot``."""
    spot: NDArray[np.bool_]
    """(h, w), where the two pictures differ."""
    area: int
    thick: float
    """The side of the largest square that fits into it, in pixels."""


class Namer:
    """A classifier of differences with its bound input."""

    def __init__(self, ref: str, shelf: Shelf) -> None:
        """Raises ``ModelError`` when the model cannot be asked about differences."""
        model = shelf.open(ref, "classify")
        card = model.card
        height, width, channels = input_shape(card, model.input_shape, 64)[1:]
        fits = card.input.dtype == "uint8" and card.input.layout == "NHWC" and channels == 3
        if not fits or width != 2 * height or card.output.format != "softmax":
            what = "names no differences; one that does takes uint8 [1,S,2S,3] and gives a softmax"
            raise ModelError(ref, what)
        if GOOD not in card.classes:
            raise ModelError(ref, f"has no class `{GOOD}` for differences that are none")
        self.digest = model.digest
        self.classes = card.classes
        self._good = card.classes.index(GOOD)
        self._logits = card.output.logits
        self._bound: Bound = model.bind((1, height, width, 3))

    def __call__(
        self, seen: Pixels, golden: Pixels, one: Difference, said: Mapping[str, float]
    ) -> dict[str, float]:
        """How likely it is each class, together 1. ``said``: the faults that a rule takes it for,
        with their share of its votes; in whether it is one at all the rule has a say only where
        that fault joins or cuts conductors."""
        side = self._bound.input.shape[1]
        self._bound.input[0] = shown(seen, golden, one, side)
        scores = softmax(np.asarray(self._bound.run()[0], np.float64), self._logits)
        good = float(scores[self._good])
        good /= good + CONNECTS ** sum(said.get(fault, 0.0) for fault in CONNECTING) * (1 - good)
        faults = scores * [RULE ** said.get(name, 0.0) for name in self.classes]
        faults[self._good] = 0
        faults *= (1 - good) / max(float(faults.sum()), 1e-12)
        faults[self._good] = good
        return dict(zip(self.classes, np.minimum(faults, 1.0).tolist(), strict=True))


def shown(
    seen: Pixels, golden: Pixels, one: Difference, side: int, off: tuple[int, int] = (0, 0)
) -> Pixels:
    """uint8 [side, 2·side, 3]: left the difference's middle, pixel by pixel, right the whole of it
    with its surroundings, scaled. Channels: what is seen, the golden picture, 255 where this
    difference is. ``off`` moves the middle, in pixels, for training."""
    height, width = one.spot.shape
    x, y = one.x + width // 2 + off[0], one.y + height // 2 + off[1]
    far = max(2 * side, int(WIDER * max(width, height)))
    wide = _cut(seen, golden, one, x, y, far)
    near = (far - side) // 2
    picture = np.empty((side, 2 * side, 3), np.uint8)
    picture[:, :side] = wide[near : near + side, near : near + side]
    cv2.resize(wide, (side, side), dst=picture[:, side:], interpolation=cv2.INTER_AREA)
    return picture


def _cut(seen: Pixels, golden: Pixels, one: Difference, x: int, y: int, side: int) -> Any:
    """(side, side, 3) around x, y; beyond the pictures' edges their last pixels go on."""
    left, top = x - side // 2, y - side // 2
    columns = np.clip(np.arange(left, left + side), 0, seen.shape[1] - 1)
    rows = np.clip(np.arange(top, top + side), 0, seen.shape[0] - 1)
    cut = np.zeros((side, side, 3), np.uint8)
    at = np.ix_(rows, columns)
    cut[..., 0], cut[..., 1] = grey_of(seen[at]), grey_of(golden[at])
    h, w = one.spot.shape
    x1, y1 = max(one.x, left), max(one.y, top)
    x2, y2 = min(one.x + w, left + side), min(one.y + h, top + side)
    if x1 < x2 and y1 < y2:
        part = one.spot[y1 - one.y : y2 - one.y, x1 - one.x : x2 - one.x]
        cut[y1 - top : y2 - top, x1 - left : x2 - left, 2] = np.where(part, 255, 0)
    return cut
