"""What a model is trained for: a plan says which pictures, which net, how varied, how long.

A shipped model is one plan in one file (``bottle_cap.py``, ``bottle_line.py``, ``line_read.py``);
a customer's own data makes a plan from the command line. Imported by ``cli`` and those files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from training import card
from training.augment import Variation
from training.detector import Shape
from training.evaluate import Look
from training.fit import Schedule
from training.pictures import Picture
from training.policy import Policy


@dataclass(frozen=True, slots=True)
class Plan:
    """How to make one detector."""

    name: str
    shape: Shape
    variation: Variation | Policy
    schedule: Schedule
    pictures: Callable[[Path], tuple[list[Picture], list[Picture]]]
    """From a data folder: the pictures to learn from, and those held out to measure with."""
    trained_on: str
    """What the card says about the data, its authors and their licence."""
    batch: int = 16
    license: str = "Apache-2.0"
    probe: Callable[[Look, list[Picture]], dict[str, Any]] | None = None
    """Further measurements for the card, beyond mAP and recall."""
    lineage: dict[str, Any] = field(default_factory=dict)
    """What went in, with its digests, for the card."""


def tried(
    plan: Plan, learn: Sequence[Picture], held_out: Sequence[Picture], start: Path | None
) -> dict[str, Any]:
    """What a run of ``plan`` is begun with, each input by its digest, for its ``run.json``."""
    begun = {}
    if start is not None:
        begun = {"start_sha256": card.sha256(start / "model.onnx" if start.is_dir() else start)}
    return {
        "size": [plan.shape.height, plan.shape.width],
        "classes": list(plan.shape.classes),
        "learned_from": _digest(learn),
        "held_out": _digest(held_out),
        "batch": plan.batch,
        "seed": plan.schedule.seed,
        "epochs": plan.schedule.epochs,
        "rate": plan.schedule.rate,
        **begun,
    }


def _digest(pictures: Sequence[Picture]) -> str:
    found = sha256()
    for picture in pictures:
        for values in (picture.pixels, picture.boxes, picture.labels):
            found.update(np.ascontiguousarray(values).data)
    return f"{len(pictures)} pictures, {found.hexdigest()}"
