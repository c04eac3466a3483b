"""The shipped model ``bottle-cap``: bottles and their caps on frames of a real conveyor.

The frames are CapVision's (github.com/voolbeat/CapVision, CC BY 4.0) and never part of the repo.
Enters that data folder; leaves the plan that ``training fit detect bottle-cap`` follows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from training.augment import Variation, paint_out
from training.detector import Shape
from training.evaluate import Look, iou, wilson
from training.fit import Schedule
from training.pictures import Picture, read_yolo, split
from training.plan import Plan

CLASSES = ("Bottle", "Cap")
CAP = CLASSES.index("Cap")
HELD_OUT = ("IMG_4824", "IMG_4825", "document_5303551021555925004")
"""Whole films: one of each bottle, at both distances."""
THRESHOLD = 0.5


def pictures(folder: Path) -> tuple[list[Picture], list[Picture]]:
    """Training and held-out frames from the data set's folder, split by film."""
    return split(read_yolo(folder, side=448), HELD_OUT)


def painted_out(look: Look, held_out: list[Picture]) -> dict[str, Any]:
    """Share of painted-over caps that are no longer found, over three paintings of each frame."""
    rng = np.random.default_rng(7)
    gone, total = 0, 0
    for picture in held_out * 3:
        if not (picture.labels == CAP).any():
            continue
        bare = paint_out(picture, CAP, rng)
        kept = {tuple(b) for b in bare.boxes[bare.labels == CAP].tolist()}
        lost = [b for b in picture.boxes[picture.labels == CAP].tolist() if tuple(b) not in kept]
        found = look(bare)
        caps = found[(found[:, 5] == CAP) & (found[:, 4] >= THRESHOLD)]
        for box in lost:
            total += 1
            gone += not (iou(np.array([box], np.float32), caps[:, :4]) > 0.3).any()
    return {f"painted_out_caps_not_found@{THRESHOLD}": wilson(gone, total).as_dict()}


PLAN = Plan(
    name="bottle-cap",
    shape=Shape(320, 320, CLASSES),
    variation=Variation(
        zoom=(0.6, 1.35),
        shift=0.1,
        turn=3.0,
        flip=0.5,
        light=0.35,
        colour=0.5,
        blur=0.25,
        noise=12.0,
        erase=0.3,
        paint_out=CAP,
    ),
    schedule=Schedule(epochs=40, rate=2e-3),
    pictures=pictures,
    trained_on=(
        "CapVision (github.com/voolbeat/CapVision), licensed CC BY 4.0: frames of shower-gel and "
        f"soap bottles on a conveyor, all films but {', '.join(HELD_OUT)}, which measure. Changed: "
        "scaled, recoloured, blurred, partly covered; single caps painted over as negatives."
    ),
    probe=painted_out,
)
