"""A detector's raw answer goes in, rows (x1, y1, x2, y2, score, class) come out.

Three families of heads, named by the card's ``output.format``; boxes are in input pixels.
Imported by ``tools/detect.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.tools.step import Unjudged

NO_NUMBERS = "the model answered with scores that are not numbers"
"""Why a part is not judged."""
NO_SCORES = "the model answered with scores that do not lie between 0 and 1"
"""Nor here: a graph that stops before its sigmoid gives what is likely too little, often less than
0, so that nothing is found, and all passes."""
SCORE_TOLERANCE = 0.1
"""By how much scores may miss 0 and 1: half floats and int8 do, and masks enlarged in a graph."""
Rows = NDArray[np.float32]
"""[n,6]: x1, y1, x2, y2, score, class."""

Decode = Callable[[NDArray[Any], float, float], Rows]
"""(answer, lowest threshold, IoU above which two boxes of a class are one) → rows."""


def end_to_end(answer: NDArray[Any], threshold: float, iou: float) -> Rows:
    """[1,K,6], suppressed inside the graph already; unused rows have score 0."""
    rows = answer[0]
    # Plain numbers: numpy's calls, cold after the model, cost more than these three passes.
    scores = rows[:, 4].tolist()
    if not math.isfinite(sum(scores)):
        raise Unjudged(NO_NUMBERS)
    best = [i for i, score in enumerate(scores) if score >= threshold]
    if not best:
        return np.empty((0, 6), np.float32)
    kept: Rows = rows[best].astype(np.float32)  # a copy: the buffer is reused
    if not np.isfinite(kept).all():
        raise Unjudged("the model answered with boxes that are not numbers")
    if kept[:, 4].max() > 1 + SCORE_TOLERANCE:
        raise Unjudged(NO_SCORES)
    return kept


def yolov8(answer: NDArray[Any], threshold: float, iou: float) -> Rows:
    """[1,4+C,A]: centre x, y, width, height, then one score per class (YOLOv8, YOLO11)."""
    return best_anchors(answer[0], threshold, iou)[0]


def best_anchors(
    columns: NDArray[Any], threshold: float, iou: float
) -> tuple[Rows, NDArray[np.intp]]:
    """The rows of [4+C,A], as ``yolov8`` has them, and which anchors they were."""
    scores = columns[4:].max(axis=0)
    check_scores(scores)
    keep = np.flatnonzero(scores >= threshold)
    labels = columns[4:, keep].argmax(axis=0)
    rows, order = _suppressed(columns[:4, keep].T, scores[keep], labels, threshold, iou)
    return rows, keep[order]


def yolov5(answer: NDArray[Any], threshold: float, iou: float) -> Rows:
    """[1,A,5+C]: centre x, y, width, height, objectness, then one score per class."""
    rows = answer[0]
    objectness = rows[:, 4]
    check_scores(objectness)
    rows = rows[objectness >= threshold]
    scores = rows[:, 5:].max(axis=1, initial=0) * rows[:, 4]
    check_scores(scores)
    keep = scores >= threshold
    rows, scores = rows[keep], scores[keep]
    return _suppressed(rows[:, :4], scores, rows[:, 5:].argmax(axis=1), threshold, iou)[0]


def unknown_class(number: int, known: int) -> Unjudged:
    """A model that finds what its card has no name for: the graph alone does not show it, and a
    defect without a name would pass."""
    what = f"the model found class {number}, its card names {known} from 0"
    return Unjudged(f"{what}: the card belongs to another model")


HEADS: dict[str, Decode] = {"end-to-end": end_to_end, "yolov8": yolov8, "yolov5": yolov5}
"""By the card's ``output.format``."""


def check_scores(scores: NDArray[Any]) -> None:
    """Raises ``Unjudged`` unless all lie between 0 and 1, or nearly."""
    if not scores.size:
        return
    # Every comparison with NaN is false: without this a broken model finds nothing and passes all.
    low, high = float(scores.min()), float(scores.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise Unjudged(NO_NUMBERS)
    if low < -SCORE_TOLERANCE or high > 1 + SCORE_TOLERANCE:
        raise Unjudged(NO_SCORES)


def _suppressed(
    centred: NDArray[Any], scores: NDArray[Any], labels: NDArray[Any], threshold: float, iou: float
) -> tuple[Rows, NDArray[np.intp]]:
    """Non-maximum suppression per class of boxes [n,4]: the rows that are left, and which they
    were."""
    if not len(scores):
        return np.empty((0, 6), np.float32), np.empty(0, np.intp)
    if not np.isfinite(centred).all():
        raise Unjudged("the model answered with boxes that are not numbers")
    boxes = np.array(centred, np.float32)
    boxes[:, :2] -= boxes[:, 2:] / 2
    kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), labels.tolist(), threshold, iou)
    order = np.asarray(kept, np.intp).reshape(-1)
    boxes[:, 2:] += boxes[:, :2]
    rows = np.column_stack([boxes[order], scores[order], labels[order]])
    return rows.astype(np.float32), order
