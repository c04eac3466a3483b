"""From a snapshot to what a net is taught: rows enter, pictures with boxes and a plan leave.

A picture's part outside the ROI is cut off, as the station's recipe does it. Classes that the model
to begin from knows keep their places, so that nothing is unlearned. Imported by the command line
and ``loop``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspector.part import Pixels
from training.card import sha256
from training.dataset.row import Row
from training.dataset.snapshot import Snapshot
from training.detector import Shape
from training.fit import Schedule
from training.learned import NOTHING, Learned, datasets_before, keys_of, learned_from
from training.pictures import Picture
from training.plan import Plan
from training.policy import Policy

Roi = tuple[int, int, int, int]
LEAST_VISIBLE = 0.5
"""An object of which less than this lies in the ROI is not there."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What to teach from which data sets."""

    name: str
    snapshots: tuple[Snapshot, ...]
    view: str
    classes: tuple[str, ...]
    roi: Roi | None = None
    start: Path | None = None
    """A model's folder or a checkpoint."""
    alias: tuple[tuple[str, str], ...] = ()
    """Labels that are called otherwise by the model: ``(label, class)``."""
    repeat: int = 1
    """How often an epoch shows the first data set's pictures: a new defect's few among many."""


def classes_of(snapshots: Sequence[Snapshot], start: Path | None, view: str) -> tuple[str, ...]:
    """The starting model's classes in their order, then the new ones, most frequent first."""
    known: list[str] = []
    if start is not None and (start / "card.json").exists():
        known = list(json.loads((start / "card.json").read_text())["classes"])
    for snapshot in snapshots:
        seen = {x.label for r in snapshot.of(view=view) for x in r.labels if x.box is not None}
        known += [name for name in snapshot.classes() if name in seen and name not in known]
    return tuple(known)


def pictures_of(lesson: Lesson, *splits: str, without: Learned = NOTHING) -> list[Picture]:
    """The lesson's pictures of these splits, as far as every defect in them has its place; one that
    several data sets have is there once, as the first has it, or the first that marks what another
    knows without its place."""
    rows = [(s, row) for s in lesson.snapshots for row in s.of(*splits, view=lesson.view)]
    open_ = {row.image for _, row in rows if not row.placed}
    once = {
        row.image: (s, row) for s, row in reversed(rows)
        if row.placed and (row.image not in open_ or any(x.defect for x in row.labels))
    }  # fmt: skip
    return [
        picture_of(s.picture(row), row, lesson)
        for s, row in reversed(once.values())
        if not without.has(row)
    ]


def held_out(lesson: Lesson, *splits: str) -> list[Picture]:
    """Pictures to measure with: those of ``splits`` that have taught nothing."""
    return pictures_of(lesson, *splits, without=learned_by(lesson))


def learned_by(lesson: Lesson) -> Learned:
    """What any of its data sets teaches, or has taught the model that it begins from."""
    home = lesson.snapshots[0].folder.parents[1]
    before = learned_from(home, datasets_before(lesson.start))
    mine = keys_of(row for snapshot in lesson.snapshots for row in snapshot.of("train"))
    return Learned(before.keys | mine, before.unknown)


def picture_of(pixels: Pixels, row: Row, lesson: Lesson) -> Picture:
    """One row as the net sees it: the ROI, in colour, with the boxes that lie in it."""
    if pixels.ndim == 2:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    x1, y1, x2, y2 = lesson.roi or (0, 0, pixels.shape[1], pixels.shape[0])
    if x2 > pixels.shape[1] or y2 > pixels.shape[0]:
        height, width = pixels.shape[:2]
        raise ValueError(
            f"the ROI {x1},{y1},{x2},{y2} does not lie in picture {row.image[:16]}, which has "
            f"{width} × {height} pixels"
        )
    alias = dict(lesson.alias)
    boxes, labels = [], []
    for label in row.labels:
        name = alias.get(label.label, label.label)
        if label.box is None or name not in lesson.classes:
            continue
        box = np.array(label.box, np.float32) - (x1, y1, x1, y1)
        inside = np.clip(box, 0, (x2 - x1, y2 - y1) * 2)
        area = float(np.prod(box[2:] - box[:2]))
        if area > 0 and float(np.prod(inside[2:] - inside[:2])) >= LEAST_VISIBLE * area:
            boxes.append(inside)
            labels.append(lesson.classes.index(name))
    return Picture(
        np.ascontiguousarray(pixels[y1:y2, x1:x2]),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        row.group,
        row.image[:16],
    )


def plan_of(
    lesson: Lesson, policy: Policy, schedule: Schedule, size: tuple[int, int] | None = None
) -> Plan:
    """The plan for a detector: pictures of ``train`` and, held out, of ``val`` and ``test``.

    ``size`` is the input's (height, width); by default the start's, or the ROI's rounded up to 32.
    """
    shape = shape_for(lesson, size)

    def pictures(_: Path) -> tuple[list[Picture], list[Picture]]:
        again = replace(lesson, snapshots=lesson.snapshots[:1])
        learn = pictures_of(lesson, "train")
        learn += pictures_of(again, "train") * (lesson.repeat - 1)
        return learn, held_out(lesson, "val", "test")

    return Plan(
        name=lesson.name,
        shape=shape,
        variation=policy,
        schedule=schedule,
        pictures=pictures,
        trained_on=", ".join(s.ref for s in lesson.snapshots),
        license="unlicensed: set by the data's owner",
        lineage=lineage(lesson, policy, schedule),
    )


def lineage(lesson: Lesson, policy: Policy | None, schedule: Schedule) -> dict[str, Any]:
    """The digest of everything that went in, for the card."""
    start: dict[str, Any] = {}
    if lesson.start is not None:
        path = lesson.start / "model.onnx" if lesson.start.is_dir() else lesson.start
        start = {"start": str(lesson.start), "start_sha256": sha256(path)}
        if before := datasets_before(lesson.start):
            start["start_datasets"] = before
    return {
        "datasets": {s.ref: s.digest for s in lesson.snapshots},
        "view": lesson.view,
        "repeat": lesson.repeat,
        "roi": list(lesson.roi) if lesson.roi else None,
        "seed": schedule.seed,
        "epochs": schedule.epochs,
        "rate": schedule.rate,
        **start,
        **(policy.as_dict() if policy else {}),
    }


def shape_for(lesson: Lesson, size: tuple[int, int] | None) -> Shape:
    """The net's input: ``size``, else the start's, else the ROI or picture, rounded up to 32."""
    start = lesson.start / "card.json" if lesson.start is not None else None
    if start is not None and start.exists():
        known = json.loads(start.read_text()).get("lineage", {}).get("shape")
        if known:
            known = {k: tuple(v) if isinstance(v, list) else v for k, v in known.items()}
            shape = replace(Shape(**known), classes=lesson.classes)
            if size in (None, (shape.height, shape.width)):
                return shape
            return replace(shape, height=size[0], width=size[1])
    if size is None:
        if lesson.roi:
            x1, y1, x2, y2 = lesson.roi
            size = (y2 - y1, x2 - x1)
        else:
            row = next(r for s in lesson.snapshots for r in s.of(view=lesson.view))
            size = (row.height, row.width)
        longest = max(size)
        if longest > 640:
            size = (round(size[0] * 640 / longest), round(size[1] * 640 / longest))
    height, width = (max(32, -(-side // 32) * 32) for side in size)
    return Shape(height, width, lesson.classes)
