"""A picture goes in, the lines of print in it come out: where they are, not what they say.

A differentiable-binarisation detector (Liao et al. 2020) such as PP-OCRv6's gives a map of where
print is; its blobs become rotated boxes. Imported by ``tools/read.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.letterbox import Letterbox
from inspector.tools.onnx import Bound, Model
from inspector.tools.step import Unjudged

INK = 0.3
"""Map value from which a pixel belongs to a line; PP-OCR's own."""
SURE = 0.5
"""Mean map value from which a blob is a line; PP-OCR's own."""
GROW = 1.6
"""The map shows lines shrunk; they are grown by area × this ÷ perimeter. PP-OCR's own."""
SMALLEST_PX = 4
"""Blobs thinner than this, in map pixels, are specks."""
STRIDE = 32
SIZES = 6
"""Input sizes whose buffers are kept: photos of many sizes would otherwise fill the memory."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of print, perhaps turned."""

    corners: NDArray[np.float32]
    """[4,2] x, y in the picture's pixels, clockwise from the line's top left."""
    score: float

    @property
    def size(self) -> tuple[float, float]:
        """Length along and height across, in pixels."""
        along = float(np.hypot(*(self.corners[1] - self.corners[0])))
        across = float(np.hypot(*(self.corners[3] - self.corners[0])))
        return (along, across) if across <= 1.5 * along else (across, along)


class TextFinder:
    """A detector of lines with buffers for the picture sizes it has met."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._bound: dict[tuple[int, int], tuple[Bound, Letterbox]] = {}

    def find(self, pixels: Pixels, side: int) -> list[Line]:
        """The lines in ``pixels``, the tallest first; its longer side is scaled down to ``side``
        pixels before."""
        rows, columns = input_size(pixels, side)
        if (rows, columns) not in self._bound:
            if len(self._bound) >= SIZES:
                self._bound.clear()
            bound = self._model.bind((1, 3, rows, columns))
            self._bound[rows, columns] = bound, Letterbox(self._model.card, bound.input)
        bound, letterbox = self._bound[rows, columns]
        letterbox.fill(pixels)
        ink = bound.run()[0, 0]
        if not np.isfinite(ink.sum()):
            raise Unjudged("the text finder answered with a map that is not numbers")
        return self._lines(ink, letterbox, (pixels.shape[1], pixels.shape[0]))

    def _lines(self, ink: NDArray[Any], letterbox: Letterbox, size: tuple[int, int]) -> list[Line]:
        mask = (ink > INK).astype(np.uint8)
        grown = cv2.dilate(mask, np.ones((2, 2), np.uint8))
        contours, _ = cv2.findContours(grown, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        offset = np.array([letterbox.left, letterbox.top], np.float32)
        lines = []
        for contour in contours:
            (cx, cy), (w, h), angle = cv2.minAreaRect(contour)
            if min(w, h) < SMALLEST_PX - 1:
                continue
            score = _mean_under(ink, cv2.boxPoints(((cx, cy), (w, h), angle)))
            if score < SURE:
                continue
            grow = 2 * GROW * w * h / (2 * (w + h))
            corners = cv2.boxPoints(((cx, cy), (w + grow, h + grow), angle))
            corners = (_clockwise(corners) - offset) / letterbox.scale
            np.clip(corners, 0, (size[0] - 1, size[1] - 1), out=corners)
            lines.append(Line(corners.astype(np.float32), score))
        lines.sort(key=lambda line: -line.size[1])
        return lines


def input_size(pixels: Pixels, side: int) -> tuple[int, int]:
    """Height and width of the finder's input for a picture, see ``find``."""
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    rows = max(STRIDE, round(height * scale / STRIDE) * STRIDE)
    return rows, max(STRIDE, round(width * scale / STRIDE) * STRIDE)


def _mean_under(ink: NDArray[Any], corners: NDArray[Any]) -> float:
    low = np.clip(np.floor(corners.min(axis=0)), 0, (ink.shape[1] - 1, ink.shape[0] - 1)).astype(
        int
    )
    high = np.clip(np.ceil(corners.max(axis=0)), 0, (ink.shape[1] - 1, ink.shape[0] - 1)).astype(
        int
    )
    mask = np.zeros((high[1] - low[1] + 1, high[0] - low[0] + 1), np.uint8)
    cv2.fillPoly(mask, [(corners - low).astype(np.int32)], 1)
    part = ink[low[1] : high[1] + 1, low[0] : high[0] + 1]
    return float(cv2.mean(part, mask)[0])


def _clockwise(corners: NDArray[Any]) -> NDArray[np.float32]:
    """From the top left, where "left" is the two leftmost corners."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = by_x[:2], by_x[2:]
    top_left, bottom_left = left[np.argsort(left[:, 1])]
    top_right, bottom_right = right[np.argsort(right[:, 1])]
    return np.array([top_left, top_right, bottom_right, bottom_left], np.float32)
