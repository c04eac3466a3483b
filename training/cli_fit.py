"""What ``training fit … DATASET`` does: a data set and options enter, models' cards leave."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from training.dataset.snapshot import Snapshot, SnapshotError, open_snapshot

if TYPE_CHECKING:
    from training.policy import Policy
    from training.teach import Lesson

console = Console(stderr=True)
START_RATE, START_EPOCHS = 6e-4, 4
"""From a model that knows most of it already: a third of the rate, a few epochs. Measured with 120
pictures of a new defect among 400 old ones: after 4 epochs 2 % of it escape, none of the old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What ``training fit detect``, ``classify`` and ``segment`` are asked alike of a data set."""

    name: str
    """Of the data set."""
    run: Path
    model: str
    view: str
    roi: str
    policy: str
    size: str
    """These five: empty for what the data set itself says."""
    epochs: int | None
    rate: float | None
    models: Path
    version: str
    threads: int
    tracking: str
    home: Path

    def policy_for(self, snapshot: Snapshot) -> Policy:
        """How its pictures are varied: as asked, or as its product's are."""
        from training.policy import LINE_CAMERA, POLICIES, policy_of

        product = next((r.product for r in snapshot.rows if r.product), "")
        return policy_of(self.policy) if self.policy else POLICIES.get(product, LINE_CAMERA)

    @property
    def command(self) -> str:
        """What was typed."""
        return " ".join(["training", *sys.argv[1:]])


def detect(
    asked: Asked, *, also: Sequence[str], start: Path | None, arch: str, repeat: int
) -> list[Path]:
    """Fit and export a detector from snapshots; the cards' paths."""
    import torch

    from training import parallel
    from training.detect import fit_detector
    from training.export import export_detector
    from training.fit import Schedule
    from training.teach import Lesson, classes_of, lineage, plan_of
    from training.tracking import Track

    parallel.on_every_gpu()
    torch.set_num_threads(asked.threads)
    snapshots = tuple(open_snapshot(asked.home, ref) for ref in (asked.name, *also))
    view = asked.view or only_view(snapshots[0])
    lesson = Lesson(
        asked.model or snapshots[0].name, snapshots, view, classes_of(snapshots, start, view),
        _roi(asked.roi), start, (), repeat,
    )  # fmt: skip
    if not lesson.classes:
        raise SnapshotError(
            f"{asked.name}: no boxes in view {view!r}, so there is nothing to detect"
        )
    how = asked.policy_for(snapshots[0])
    schedule = Schedule(epochs=60)
    if start is not None:
        schedule = Schedule(epochs=START_EPOCHS, rate=START_RATE, warm_up=10, average=0.98)
    schedule = replace(
        schedule, epochs=asked.epochs or schedule.epochs, rate=asked.rate or schedule.rate
    )
    track = Track(asked.run, lesson.name, lineage(lesson, how, schedule), asked.tracking)
    plan = plan_of(lesson, how, schedule, size_of(asked.size) if asked.size else None)
    pictures, measured = plan.pictures(asked.run)
    _tell_held_out(asked, lesson, len(pictures), len(measured))
    if arch != "own":
        from training.ultralytics import fit_ultralytics

        cards = fit_ultralytics(
            arch, lesson, plan.shape, asked.run, schedule, asked.models, asked.version,
            asked.command, track,
        )  # fmt: skip
    else:
        net = fit_detector(
            plan.shape, pictures, measured, plan.variation, asked.run, schedule,
            min(plan.batch, max(1, len(pictures))), start, track,
        )  # fmt: skip
        if not parallel.first_only():
            return []
        cards = export_detector(
            plan, net, pictures, measured, asked.models, asked.version, asked.command
        )
    track.end({"cards": [str(card) for card in cards]})
    return cards


def _tell_held_out(asked: Asked, lesson: Lesson, learn: int, held: int) -> None:
    """How many pictures teach and how many measure, and which may not measure any more."""
    from training.teach import learned_by

    known = learned_by(lesson)
    held_out = (r for s in lesson.snapshots for r in s.of("val", "test", view=lesson.view))
    taught = len({r.image for r in held_out if known.has(r)})
    if not held:
        due = "newer parts are due" if taught else "more parts are due, their defects marked"
        already = " that has not taught already" if taught else ""
        raise SnapshotError(f"{asked.name}: nothing is held out{already}; {due}")
    for ref in known.unknown:
        console.print(
            f"{ref} taught the start, and is not in {asked.home}: some of it may measure here"
        )
    console.print(f"{lesson.name}: {learn} pictures to learn from, {held} held out")
    if taught:
        console.print(f"{taught} more were held out; they have taught already and are left out")


def shapes(task: Any, asked: Asked) -> list[Path]:
    """Fit and export a classifier or a segmenter from a snapshot; the cards' paths."""
    import torch

    from training import parallel
    from training.fit import Schedule
    from training.shapes_fit import batch_for, classes_for, export_shapes, fit_shapes, taught
    from training.teach import Lesson, lineage, shape_for
    from training.tracking import Track

    parallel.on_every_gpu()
    torch.set_num_threads(asked.threads)
    snapshot = open_snapshot(asked.home, asked.name)
    view = asked.view or only_view(snapshot)
    lesson = Lesson(asked.model or snapshot.name, (snapshot,), view, (), _roi(asked.roi))
    lesson = replace(lesson, classes=classes_for(task, lesson))
    if len(lesson.classes) < (2 if task == "classify" else 1):
        raise SnapshotError(
            f"{asked.name}: no defect in view {view!r}, so there is nothing to tell apart"
        )
    how = asked.policy_for(snapshot)
    schedule = Schedule(epochs=asked.epochs or 40, rate=asked.rate or 2e-3)
    shape = shape_for(lesson, size_of(asked.size) if asked.size else None)
    learn, held = (taught(task, lesson, shape, *s) for s in (("train",), ("val", "test")))
    if not learn or not held:
        raise SnapshotError(
            f"{asked.name}: {len(learn)} pictures to learn from and {len(held)} held out"
        )
    console.print(f"{lesson.name}: {len(learn)} pictures to learn from, {len(held)} held out")
    steps = schedule.epochs * (len(learn) // batch_for(len(learn)))
    schedule = replace(schedule, warm_up=min(100, max(1, steps // 10)))
    track = Track(asked.run, lesson.name, lineage(lesson, how, schedule), asked.tracking)
    net = fit_shapes(task, shape, learn, held, how, asked.run, schedule, tell=track)
    if not parallel.first_only():
        return []
    cards = export_shapes(
        task, lesson.name, net, learn, held, asked.models, asked.version, asked.command,
        snapshot.ref, lineage(lesson, how, schedule),
    )  # fmt: skip
    track.end({"cards": [str(card) for card in cards]})
    return cards


def shipped_shapes(
    name: str, run: Path, epochs: int | None, models: Path, version: str, threads: int, command: str
) -> list[Path]:
    """Fit and export one of the shipped classifiers and segmenters of rendered parts."""
    import torch

    from training.bottle_shapes import PLANS
    from training.shapes_fit import export_shapes, fit_shapes
    from training.tracking import Track

    torch.set_num_threads(threads)
    plan = PLANS[name]
    schedule = replace(plan.schedule, epochs=epochs or plan.schedule.epochs)
    learn, held = plan.rendered("train"), plan.rendered("held_out")
    console.print(f"{name}: {len(learn)} pictures to learn from, {len(held)} held out")
    made = {
        "roi": list(plan.roi), "seed": schedule.seed, "epochs": schedule.epochs,
        "rate": schedule.rate, "learned_from": len(learn), **plan.how.as_dict(),
    }  # fmt: skip
    track = Track(run, name, made)
    net = fit_shapes(plan.task, plan.shape, learn, held, plan.how, run, schedule, plan.batch, track)
    cards = export_shapes(
        plan.task, name, net, learn, held, models, version, command, plan.trained_on, made,
        plan.license,
    )  # fmt: skip
    track.end({"cards": [str(card) for card in cards]})
    return cards


def dots(run: Path, epochs: int | None, models: Path, version: str, command: str) -> Path:
    """Fit and export the reader of dot-matrix and ink-jet strips; its card's path."""
    from training import dot_read
    from training.card import sha256
    from training.export import export_reader

    schedule = dot_read.SCHEDULE
    if epochs is not None:
        schedule = replace(schedule, epochs=epochs)
    start = models / "line-read" / "1" / "model.onnx"
    if not start.exists():
        raise FileNotFoundError(f"{start}: dot-read begins as line-read; fit that first")
    held_out = dot_read.render(dot_read.HELD_OUT, "held_out")
    net = dot_read.fit_dots(run, held_out, schedule, start)
    path = models / dot_read.NAME / version / "model.onnx"
    lineage = {
        "begun_with": f"line-read/1, {sha256(start)}",
        "epochs": schedule.epochs,
        "steps_per_epoch": dot_read.STEPS,
        "strips_seen": schedule.epochs * dot_read.STEPS * dot_read.BATCH,
    }
    told = dot_read.TRAINED_ON
    return export_reader(net, held_out, path, command, told, wide=True, lineage=lineage)


def lines(name: str, home: Path, start: Path | None = None) -> tuple[list[Any], list[Any]]:
    """Lines of print of a snapshot, with what they say: to learn from, and held out, which are none
    that ``start`` has learned from."""
    from inspector.tools.step import grey_of
    from training.learned import datasets_before, learned_from
    from training.read import Line

    snapshot = open_snapshot(home, name)
    known = learned_from(home, datasets_before(start))
    for ref in known.unknown:
        console.print(f"{ref} taught the start, and is not in {home}: some of it may measure here")
    found: dict[bool, list[Any]] = {True: [], False: []}
    left = 0
    for row in snapshot.rows:
        boxes = [x for x in row.labels if x.text and x.box is not None]
        if row.split != "train" and known.has(row):
            left += len(boxes)
            continue
        pixels = snapshot.picture(row) if boxes else None
        for label in boxes:
            assert label.box is not None and pixels is not None
            x1, y1, x2, y2 = (max(0, round(v)) for v in label.box)
            cut = pixels[y1:y2, x1:x2]
            # What runs down or up is turned before it is read, and here lies as it stands.
            if cut.size and (cut.shape[1] >= cut.shape[0] or len(label.text) == 1):
                # as a station does it, or red print is told as darker there than it was here
                found[row.split == "train"].append(Line(grey_of(cut), label.text))
    if left:
        console.print(f"{left} more were held out; they have taught the start and are left out")
    if not found[True] or not found[False]:
        raise SnapshotError(
            f"{name}: no line of print with its text on both sides of the split"
            + (" that has not taught the start; newer parts are due" if left else "")
        )
    return found[True], found[False]


def only_view(snapshot: Snapshot) -> str:
    """The snapshot's view, where it has one."""
    views = sorted({row.view for row in snapshot.rows})
    if len(views) != 1:
        raise SnapshotError(f"{snapshot.ref} has the views {', '.join(views)}: name one by --view")
    return views[0]


def _roi(text: str) -> tuple[int, int, int, int] | None:
    if not text:
        return None
    try:
        x1, y1, x2, y2 = (int(v) for v in text.split(","))
    except ValueError:
        raise SnapshotError(f"{text!r} is no ROI: x1,y1,x2,y2 in pixels") from None
    if not (0 <= x1 < x2 and 0 <= y1 < y2):
        raise SnapshotError(f"{text!r} is no ROI: x1 < x2 and y1 < y2, none of them below 0")
    return x1, y1, x2, y2


def size_of(text: str) -> tuple[int, int]:
    """Height and width of a ``--size``, width x height as people write it."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise SnapshotError(f"{text!r} is no size: width x height in pixels, such as 320x320")
    return int(height), int(width)
