"""A segmenter's raw answer goes in, scores per pixel of the picture come out; and their spots.

Four formats, named by the card's ``output.format``. Scores are bytes, 255 being certain: a map of
a large picture is then four times smaller, and no threshold needs more. Imported by
``tools/segment.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.tools.heads import NO_NUMBERS, best_anchors, check_scores, end_to_end
from inspector.tools.letterbox import Letterbox
from inspector.tools.step import Unjudged

Bytes = NDArray[np.uint8]

SOME_PX = 10_000
"""Spots of one part; more is noise, and no judgement."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One connected place of one class."""

    label: int
    """The class's number."""
    score: float
    """Mean score of its pixels; of an instance, the model's."""
    mask: Bytes
    """[h,w], 255 inside."""
    corner: tuple[int, int]
    """Where the mask begins in the picture, x and y."""


def maps_of(answer: NDArray[Any], form: str, logits: bool) -> NDArray[Any]:
    """[C,h,w] scores from 0 to 1 of ``semantic`` or ``masks``. Raises ``Unjudged``."""
    if not logits:
        check_scores(answer)
    elif not np.isfinite(answer).all():
        raise Unjudged(NO_NUMBERS)
    scores = np.asarray(answer, np.float32)
    if logits and form == "semantic":
        scores = np.exp(scores - scores.max(0))
        scores /= scores.sum(0)
    elif logits:
        scores = _squashed(scores)
    return scores


def spread(
    scores: NDArray[Any],
    letterbox: Letterbox,
    side: tuple[int, int],
    size: tuple[int, int],
    least: float,
) -> tuple[Bytes, tuple[int, int]] | None:
    """One class's map [h,w] in the picture's pixels: the part of it that holds every score of
    ``least`` and more, and where that part begins; None when there is none.

    ``side`` is the model's input, ``size`` the picture that the letterbox was filled with, both
    (height, width).
    """
    high = scores >= least
    columns, rows = np.flatnonzero(high.any(0)), np.flatnonzero(high.any(1))
    if not len(columns):
        return None
    scale = letterbox.scale
    ky, kx = side[0] / scores.shape[0], side[1] / scores.shape[1]

    def ends(at: NDArray[Any], k: float, start: int, most: int) -> tuple[int, int]:
        # A score reaches as far as the next pixel of the map.
        low = ((at[0] - 0.5) * k - start) / scale
        high = ((at[-1] + 1.5) * k - start) / scale
        return max(0, math.floor(low)), min(most, math.ceil(high))

    x1, x2 = ends(columns, kx, letterbox.left, size[1])
    y1, y2 = ends(rows, ky, letterbox.top, size[0])
    if x1 >= x2 or y1 >= y2:
        return None
    matrix = np.array(
        [
            [scale / kx, 0, ((x1 + 0.5) * scale + letterbox.left) / kx - 0.5],
            [0, scale / ky, ((y1 + 0.5) * scale + letterbox.top) / ky - 0.5],
        ]
    )
    whole = np.rint(scores * np.float32(255)).clip(0, 255).astype(np.uint8)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(
        whole, matrix, (x2 - x1, y2 - y1), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(seen, np.uint8), (x1, y1)


def spots(
    label: int, scores: Bytes, corner: tuple[int, int], least: float, area: float
) -> list[Spot]:
    """The connected places (8 neighbours) of at least ``area`` pixels with ``least`` and more."""
    mask = (scores >= math.ceil(255 * least - 1e-6)).astype(np.uint8)
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count > SOME_PX:
        raise Unjudged(f"the segmenter sees {count - 1} separate places; it does not suit this")
    found = []
    for number in range(1, count):
        x, y, w, h, size = stats[number].tolist()
        if size < area:
            continue
        own = np.where(numbers[y : y + h, x : x + w] == number, np.uint8(255), np.uint8(0))
        mean = cv2.mean(scores[y : y + h, x : x + w], own)[0] / 255
        found.append(Spot(label, float(mean), own, (corner[0] + x, corner[1] + y)))
    return found


def instances(
    answer: NDArray[Any],
    prototypes: NDArray[Any],
    form: str,
    least: float,
    iou: float,
    letterbox: Letterbox,
    side: tuple[int, int],
    size: tuple[int, int],
) -> Iterator[Spot]:
    """Each instance that scores ``least`` and more: its mask is its coefficients' sum of the
    prototypes, cut off at its box (Bolya et al., "YOLACT", 2019). Raises ``Unjudged``."""
    protos = np.asarray(prototypes[0], np.float32)
    kinds = protos.shape[0]
    if form == "instances":
        rows = end_to_end(answer, least, iou)
    else:
        columns = answer[0]
        rows, which = best_anchors(columns[:-kinds], least, iou)
        rows = np.column_stack([rows, columns[-kinds:, which].T.astype(np.float32)])
    if not (np.isfinite(protos).all() and np.isfinite(rows).all()):
        raise Unjudged("the segmenter answered with masks that are not numbers")
    ky, kx = side[0] / protos.shape[1], side[1] / protos.shape[2]
    for row in rows:
        x1, y1, x2, y2 = row[:4] / (kx, ky, kx, ky)
        left, top = max(0, math.floor(x1)), max(0, math.floor(y1))
        cut = protos[:, top : max(top, math.ceil(y2)), left : max(left, math.ceil(x2))]
        if not cut.size:
            continue
        inside = np.zeros(protos.shape[1:], np.float32)
        mask = _squashed(np.tensordot(row[6:], cut, 1))
        inside[top : top + cut.shape[1], left : left + cut.shape[2]] = mask
        seen = spread(inside, letterbox, side, size, 0.5)
        if seen is None:
            continue
        whole = np.where(seen[0] > 127, np.uint8(255), np.uint8(0))
        if whole.any():
            yield Spot(int(row[5]), float(row[4]), whole, seen[1])


def _squashed(values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))), np.float32)
