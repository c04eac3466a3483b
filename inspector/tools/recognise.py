"""Crops of single lines of print go in, the characters that a CTC recogniser sees come out.

Works with any recogniser whose card says ``ctc``: our own on grey pixels, PP-OCRv6 on normalised
ones. Imported by ``tools/read.py`` and, for its models, by the training room.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.card import ModelError
from inspector.tools.contract import is_fixed
from inspector.tools.heads import SCORE_TOLERANCE
from inspector.tools.letterbox import Letterbox
from inspector.tools.onnx import Bound, Model
from inspector.tools.step import Unjudged

WIDTH_STEP = 32
"""Free-width models are bound for widths that are multiples of this, in input pixels."""
WIDTH_MIN = 96
WIDTH_MAX = 1280
GAP = 1.5
"""Between a digit and a letter, a gap of this many median pitches is a space (see ``spaced``)."""
SOFT_WIDTH, SOFT_SIGMA = 0.8, 1 / 40
"""Dot matrices are set wide; the dots' pitch is about a twelfth of the line's height."""
NARROW_WIDTH = 0.75
TALLEST = 256
"""Lines are scaled down to this height before: a recogniser sees 32 or 48 of it, and to blur a
picture of 69 megapixels by a fortieth of its height takes a minute and a half."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One line as it was read."""

    text: str
    score: float
    """Mean probability of its characters, 0..1; 0 when nothing was read."""
    weakest: float
    """Probability of the least certain character."""
    places: tuple[int, ...] = ()
    """The time step at which each character begins."""
    at: tuple[float, ...] = ()
    """About where in the line each character stands, from 0 at its left end to 1."""


NOTHING = Reading("", 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Look:
    """How a recogniser saw a line, in one way of preparing it."""

    reading: Reading
    steps: NDArray[np.floating[Any]]
    """``[T, C]``: at each step the blank's probability, then each character's."""
    index: Mapping[str, int]
    """The column of each character."""
    weight: float


Script = Literal["any", "ascii", "latin", "chinese"]
"""Which characters a line is printed in: a recogniser that knows 18,000 must then not choose among
those that look alike."""


def is_of(script: Script, char: str) -> bool:
    """Whether a character belongs to a script; all of them have ASCII."""
    if script == "any" or " " <= char <= "~":
        return True
    if script == "latin":
        return "\xa1" <= char <= "\u024f" or char in "–—’“”€°™№"
    return script == "chinese" and (
        "\u3000" <= char <= "\u303f" or "\u4e00" <= char <= "\u9fff" or "\uff01" <= char <= "\uff5e"
    )


class Recogniser:
    """A CTC model with buffers for the widths and batches that it has met."""

    def __init__(
        self, model: Model, script: Script = "any", besides: frozenset[str] = frozenset()
    ) -> None:
        """``script`` leaves only its characters to choose from, and those ``besides``."""
        self._model = model
        card = model.card
        self._nhwc = card.input.layout == "NHWC"
        shape = model.input_shape
        height, width = (shape[1], shape[2]) if self._nhwc else (shape[2], shape[3])
        if not isinstance(height, int):
            raise ModelError(card.ref, f"its input {list(shape)} leaves the height of a line free")
        self._height = height
        self._width = width if is_fixed(width) else None
        self._batch = shape[0] if is_fixed(shape[0]) else None
        self._channels = 1 if card.input.colour == "grey" else 3
        self._bound: dict[tuple[int, int], tuple[Bound, list[Letterbox]]] = {}
        self._loose: dict[int, tuple[NDArray[Any], Letterbox]] = {}
        # PP-OCR keeps its characters in the graph, one a line; the space is its last class.
        self._charset = card.charset or (*model.metadata("character").split("\n"), " ")
        answer = self.bound(1, self._width or WIDTH_MIN)[0].output
        if answer.ndim != 3 or answer.shape[2] != len(self._charset) + 1:
            raise ModelError(
                card.ref,
                f"its output has shape {answer.shape}, its charset has {len(self._charset)} "
                "characters and the blank makes one more: the card belongs to another model",
            )
        if (
            not -SCORE_TOLERANCE
            <= float(answer.min())
            <= float(answer.max())
            <= 1 + SCORE_TOLERANCE
        ):
            raise ModelError(
                card.ref,
                "its scores do not lie between 0 and 1: each character would be certain; export it"
                " with its softmax",
            )

        self._index = {
            char: i + 1
            for i, char in enumerate(self._charset)
            if is_of(script, char) or char in besides
        }
        of = sorted(set(self._index.values()))
        self._classes = np.array([0, *of]) if script != "any" else None

    def bound(self, count: int, width: int) -> tuple[Bound, list[Letterbox]]:
        """The buffers for ``count`` lines of ``width`` input pixels, made when first asked for."""
        count = self._batch or count
        key = (count, width)
        if key not in self._bound:
            bound = self._model.bind(self._shape(count, width))
            self._bound[key] = bound, self._letterboxes(bound.input)
        return self._bound[key]

    def width_of(self, crop: Pixels) -> int:
        """The input width that ``crop`` needs."""
        if self._width:
            return self._width
        height, width = crop.shape[:2]
        wanted = math.ceil(self._height * width / height / WIDTH_STEP) * WIDTH_STEP
        return int(min(max(wanted, WIDTH_MIN), WIDTH_MAX))

    def read(self, crops: Sequence[Pixels]) -> list[Reading]:
        """Reads each crop, (h, w) or (h, w, 3) BGR, as one line; those of equal width together.

        For places known beforehand: the buffers of every width and count are kept.
        """
        readings = [NOTHING] * len(crops)
        widths = [self.width_of(crop) for crop in crops]
        limit = self._batch or len(crops)
        for width in sorted(set(widths)):
            mine = [i for i, w in enumerate(widths) if w == width]
            for start in range(0, len(mine), limit):
                chosen = mine[start : start + limit]
                bound, boxes = self.bound(len(chosen), width)
                for box, index in zip(boxes, chosen, strict=False):
                    box.fill(crops[index])
                answer = bound.run()
                for row, index in enumerate(chosen):
                    readings[index] = self._decode(answer[row], boxes[row], crops[index])
        return readings

    def read_found(self, crop: Pixels) -> Reading:
        """Reads one crop of any size without keeping its buffers, which for a picture full of found
        lines would be a hundred MB."""
        width = self.width_of(crop)
        if width not in self._loose:
            tensor = self._model.tensor(self._shape(1, width))
            self._loose[width] = tensor, self._letterboxes(tensor)[0]
        tensor, box = self._loose[width]
        box.fill(crop)
        return self._decode(self._model.run(tensor)[0], box, crop)

    def look(self, crop: Pixels, weight: float) -> Look:
        """Reads one crop, with all that was seen of it; ``weight`` is how much that counts."""
        width = self.width_of(crop)
        bound, boxes = self.bound(1, width)
        boxes[0].fill(crop)
        steps = bound.run()[0].copy()
        return Look(self._decode(steps, boxes[0], crop), steps, self._index, weight)

    def _shape(self, count: int, width: int) -> tuple[int, ...]:
        if self._nhwc:
            return count, self._height, width, self._channels
        return count, self._channels, self._height, width

    def _letterboxes(self, tensor: NDArray[Any]) -> list[Letterbox]:
        return [Letterbox(self._model.card, tensor[i : i + 1]) for i in range(len(tensor))]

    def _decode(self, steps: NDArray[Any], box: Letterbox, crop: Pixels) -> Reading:
        """Greedy CTC (Graves et al. 2006): best class per step, repeats merged, blanks dropped."""
        if self._classes is not None:
            chosen = steps[:, self._classes]
            best = self._classes[chosen.argmax(axis=1)]
        else:
            best = steps.argmax(axis=1)
        # Some tens of steps: numpy's calls, cold after the model, cost more than this loop.
        sure = steps[np.arange(len(best)), best].tolist()
        if not math.isfinite(sum(sure)):
            raise Unjudged("the recogniser answered with scores that are not numbers")
        text: list[str] = []
        sure_of: list[float] = []
        places: list[int] = []
        ends: list[int] = []
        before = 0
        for step, (number, score) in enumerate(zip(best.tolist(), sure, strict=True)):
            if number and number == before:
                # A character is as sure as the best of the steps that it lasts.
                sure_of[-1] = max(sure_of[-1], score)
                ends[-1] = step
            elif number:
                text.append(self._charset[number - 1])
                sure_of.append(score)
                places.append(step)
                ends.append(step)
            before = number
        if not text:
            return NOTHING
        score = sum(sure_of) / len(sure_of)
        pitch, length = box.width / len(steps), box.scale * crop.shape[1]
        at = [
            min(max(((first + last + 1) / 2 * pitch - box.left) / length, 0.0), 1.0)
            for first, last in zip(places, ends, strict=True)
        ]
        return Reading("".join(text), score, min(sure_of), tuple(places), tuple(at))


def spaced(reading: Reading) -> str:
    """The text with the spaces that the recogniser swallowed, found by the gaps it left.

    Printers often set a date with a narrow gap; CTC then drops the space but not the distance.
    Only between a digit and a letter: within a word, wide letters leave gaps as wide as a space.
    """
    text, places = reading.text, reading.places
    pitch = [b - a for a, b in pairwise(places)]
    if len(text) < 3 or not pitch:
        return text
    limit = GAP * sorted(pitch)[len(pitch) // 2]
    out = [text[0]]
    for gap, before, after in zip(pitch, text, text[1:], strict=False):
        seam = (before.isdigit() and after.isalpha()) or (before.isalpha() and after.isdigit())
        if seam and gap > limit:
            out.append(" ")
        out.append(after)
    return "".join(out)


def softened(line: Pixels) -> Pixels:
    """The line narrowed and blurred until the dots of a dot-matrix printer run into strokes.

    Measured on 480 rendered strips (39 fonts as dots of 7 to 16 rows, two 5x7 alphabets, solid
    print; tilted, bent, faint, inverted, noisy, 22 to 160 px high) with PP-OCRv6: exact 393 with
    0.6 and 2/48 and the picture as it is, 409 with these figures and ``narrowed``.
    """
    narrow = _squeezed(line, SOFT_WIDTH)
    return np.asarray(cv2.GaussianBlur(narrow, (0, 0), SOFT_SIGMA * narrow.shape[0]), np.uint8)


def narrowed(line: Pixels) -> Pixels:
    """The line narrowed, as solid print is set: what the recogniser has learned from."""
    return _squeezed(line, NARROW_WIDTH)


def _squeezed(line: Pixels, share: float) -> Pixels:
    height, width = line.shape[:2]
    kept = min(1.0, TALLEST / height)
    size = (max(8, round(width * kept * share)), round(height * kept))
    return np.asarray(cv2.resize(line, size, interpolation=cv2.INTER_AREA), np.uint8)


def upright(pixels: Pixels, corners: NDArray[np.float32]) -> Pixels:
    """The quadrilateral ``corners`` [4,2] (clockwise from the top left) as an upright crop.

    Lines taller than 1.5 times their width stand on end and are turned, as PP-OCR does.
    """
    width = max(_length(corners, 0, 1), _length(corners, 3, 2))
    height = max(_length(corners, 0, 3), _length(corners, 1, 2))
    if min(width, height) < 2:
        return np.zeros((8, 8), np.uint8)
    w, h = round(width), round(height)
    target = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    line = cv2.warpPerspective(
        pixels, matrix, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.ascontiguousarray(np.rot90(line) if h > 1.5 * w else line, np.uint8)


def _length(corners: NDArray[np.float32], a: int, b: int) -> float:
    return float(np.hypot(*(corners[a] - corners[b])))
