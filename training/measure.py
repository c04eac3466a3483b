"""Exported models at work: a model file and labelled examples enter, the card's figures leave.

Imported by ``card``, ``export`` and ``cli``; what is measured is the file that ships, not the net.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from inspector.part import Pixels
from training.evaluate import Detections, Look, bootstrap, match, mean_average_precision, wilson
from training.pictures import Picture
from training.read import Line, exact, place
from training.recogniser import decode_line

THRESHOLD = 0.5
SURE = 0.8
CODE = re.compile(r"[A-HJ-NPR-Z]\d{4}[A-HJ-NPR-Z]|\d\d.[A-Z]{3}.\d\d")
"""Lots without I, O and Q, as real ones are, and dates: among random strings an O is often a 0."""


def session(path: Path, threads: int = 2) -> ort.InferenceSession:
    """An onnxruntime session as a station opens it: given threads, no spinning."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(model: ort.InferenceSession, pixels: Pixels) -> NDArray[np.float32]:
    """The first output for one input tensor."""
    answer: NDArray[np.float32] = model.run(None, {model.get_inputs()[0].name: pixels})[0]
    return answer


def look_with(path: Path, threads: int = 2) -> Look:
    """A function that gives the model's detections on one letterboxed ``Picture``."""
    model = session(path, threads)

    def look(picture: Picture) -> Detections:
        return run(model, picture.pixels[None])[0]

    return look


def measure_detector(
    look: Look, pictures: Sequence[Picture], classes: Sequence[str]
) -> dict[str, Any]:
    """mAP50 with its bootstrap interval over pictures; per class AP50, recall, false finds. What
    no picture shows has no figure: JSON knows no NaN."""
    found = [look(p) for p in pictures]

    def again(chosen: NDArray[np.int64]) -> float:
        return mean_average_precision(
            [found[i] for i in chosen], [pictures[i] for i in chosen], len(classes)
        )[0]

    whole, each = mean_average_precision(found, pictures, len(classes))
    low, high = (0.0, 1.0) if isnan(whole) else bootstrap(again, len(pictures), rounds=100)
    per_class = {}
    for label, name in enumerate(classes):
        pairs = [
            match(f[f[:, 4] >= THRESHOLD], p, label, 0.5)
            for f, p in zip(found, pictures, strict=True)
        ]
        hits = sum(right for pair in pairs for _, right in pair)
        false = sum(any(not right for _, right in pair) for pair in pairs)
        objects = sum(int((p.labels == label).sum()) for p in pictures)
        per_class[name] = {
            "ap50": None if np.isnan(each[label]) else round(each[label], 4),
            "recall@0.5": wilson(hits, objects).as_dict(),
            "pictures_with_false_finds@0.5": wilson(false, len(pictures)).as_dict(),
        }
    return {
        "map50": {
            "value": None if isnan(whole) else round(whole, 4),
            "n": len(pictures),
            "interval95": [round(low, 4), round(high, 4)],
        },
        "per_class": per_class,
    }


def measure_reader(
    path: Path, lines: Sequence[Line], put: Callable[[Pixels], Pixels] = place
) -> dict[str, Any]:
    """The share of lines that the exported model reads exactly, and of those it is sure of.

    ``put`` brings a line to the model's input.
    """
    model = session(path)
    answers = [decode_line(run(model, put(line.pixels)[None, :, :, None])[0]) for line in lines]
    sure = [
        (text, line)
        for (text, each), line in zip(answers, lines, strict=True)
        if min(each, default=0.0) >= SURE
    ]
    codes = [
        (text, line)
        for (text, _), line in zip(answers, lines, strict=True)
        if CODE.fullmatch(line.text)
    ]
    return {
        "exact_lines": exact([text for text, _ in answers], lines).as_dict(),
        "exact_lots_and_dates": exact([t for t, _ in codes], [line for _, line in codes]).as_dict(),
        f"sure_lines@{SURE}": wilson(len(sure), len(lines)).as_dict(),
        f"exact_of_sure@{SURE}": exact([t for t, _ in sure], [line for _, line in sure]).as_dict(),
    }
