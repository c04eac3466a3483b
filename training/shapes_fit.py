"""Fitting classifiers and segmenters from snapshots, and exporting them with measured cards.

Enters a ``Lesson``; leaves ``models/<name>/<version>`` and its int8 twin, or a ``Difference``:
torch, ONNX and int8 must agree on scores and on what they say. Imported by the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from inspector.tools.step import corner_of
from training import parallel
from training.card import sha256, write_card
from training.dataset.labels import UNNAMED
from training.dataset.row import COMPLAINT, Label, Row
from training.detector import Shape
from training.evaluate import wilson
from training.export import CALIBRATED_ON, Difference, quantise, to_onnx
from training.fit import Schedule, Tell, fit, seed_everything
from training.making import making
from training.measure import run, session
from training.pictures import PAD, Picture, letterbox
from training.policy import Policy
from training.shapes import STRIDE, Classifier, Classify, Segment, Segmenter
from training.teach import LEAST_VISIBLE, Lesson, picture_of

Task = Literal["classify", "segment"]
GOOD = "good"
SCORES = 2e-3
"""Torch and ONNX differ by no more than this in any score …"""
INT8_SCORES, INT8_SAME = 0.1, 0.9
"""… int8 by no more on average, and says the same of so many held-out pictures."""
SEEN = 0.5
MARKED = 96
"""Of 255: a cell of the mask of which so much is drawn over shows the class."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A picture as one of these nets sees it."""

    picture: Picture
    kind: int
    """Classifiers: which class it is."""
    mask: NDArray[np.uint8]
    """Segmenters: ``[C, H / 4, W / 4]``, 1 where the class is; empty for classifiers."""


def classes_for(task: Task, lesson: Lesson) -> tuple[str, ...]:
    """A classifier's begin with what a good part is called; a segmenter's are defects alone."""
    defects = sorted({
        x.label for s in lesson.snapshots for r in s.of(view=lesson.view) for x in r.labels
        if x.defect and _seen(x)
        and (_shown(x, lesson) >= LEAST_VISIBLE if task == "classify" else x.box)
    })  # fmt: skip
    return (GOOD, *defects) if task == "classify" else tuple(defects)


def taught(task: Task, lesson: Lesson, shape: Shape, *splits: str) -> list[Taught]:
    """The lesson's pictures of these splits, letterboxed."""
    found = []
    for snapshot in lesson.snapshots:
        for row in snapshot.of(*splits, view=lesson.view):
            if not (row.placed if task == "segment" else _told(row)):
                continue
            shown = [(x, 1.0 if task == "segment" else _shown(x, lesson)) for x in row.labels]
            if any(x.defect and 0 < share < LEAST_VISIBLE for x, share in shown):
                continue  # neither good nor what lies there
            whole = picture_of(snapshot.picture(row), row, lesson)
            picture = letterbox(whole, shape.height, shape.width)
            mask = _mask(row, lesson, whole, shape) if task == "segment" else np.zeros(0, np.uint8)
            kind = _kind([x for x, share in shown if share], shape.classes)
            found.append(Taught(picture, kind, mask))
    return found


def fit_shapes(
    task: Task,
    shape: Shape,
    learn: Sequence[Taught],
    held_out: Sequence[Taught],
    how: Policy,
    folder: Path,
    schedule: Schedule,
    batch: int = 16,
    tell: Tell = lambda step, figures: None,
) -> Classifier | Segmenter:
    """Train on ``learn``, telling the share of ``held_out`` that is judged right as it goes."""
    seed_everything(schedule.seed)
    if not learn:
        raise ValueError("there is nothing to learn from")
    batch = batch_for(len(learn), batch)
    net: Classifier | Segmenter = Classifier(shape) if task == "classify" else Segmenter(shape)
    # Rare classes count as much as frequent ones: each is drawn as often as the square root of it.
    share = np.bincount([t.kind for t in learn], minlength=len(shape.classes) + 1).astype(float)
    weight = np.array([1 / np.sqrt(share[t.kind]) for t in learn])

    def one(chosen: Sequence[int], *seed: int) -> list[Any]:
        rng = np.random.default_rng(seed)
        varied = [_varied(learn[j], how, shape, rng) for j in chosen]
        made = (
            torch.from_numpy(np.stack([t.picture.pixels for t in varied])),
            torch.tensor([t.kind for t in varied]),
            torch.from_numpy(np.stack([t.mask for t in varied])),
        )
        return [made]

    def batches(epoch: int) -> Iterator[Callable[[], list[Any]]]:
        rng = np.random.default_rng((schedule.seed, epoch))
        order = parallel.share(rng.choice(len(learn), len(learn), p=weight / weight.sum()))
        for i in range(0, len(order) - batch + 1, batch):
            yield partial(one, order[i : i + batch], schedule.seed, epoch, i)

    def loss(net: nn.Module, batch: Any) -> Tensor:
        pixels, kinds, masks = batch
        logits = net(pixels.permute(0, 3, 1, 2).float() * (1 / 255)).float()
        if task == "classify":
            return cross_entropy(logits, kinds, label_smoothing=0.02)
        wanted = masks.float()
        near = binary_cross_entropy_with_logits(logits, wanted)
        score = torch.sigmoid(logits)
        both = (score * wanted).sum((0, 2, 3))
        dice = 1 - (2 * both + 1) / (score.sum((0, 2, 3)) + wanted.sum((0, 2, 3)) + 1)
        return near + dice.mean()

    def measure(net: nn.Module) -> float:
        whole = _whole(net)
        with torch.no_grad():
            answers = [whole(torch.from_numpy(t.picture.pixels)[None]).numpy()[0] for t in held_out]
        return _figures(task, answers, held_out, shape.classes)["right"]["value"]

    steps = len(learn) // parallel.size() // batch
    return fit(net, batches, steps, loss, measure, folder, schedule, tell)


def batch_for(pictures: int, most: int = 16) -> int:
    """Pictures per step: fewer where there are few, or there would be too few steps."""
    return max(1, min(most, max(4, pictures // 8), pictures))


def export_shapes(
    task: Task,
    name: str,
    net: Classifier | Segmenter,
    learn: Sequence[Taught],
    held_out: Sequence[Taught],
    models: Path,
    version: str,
    command: str,
    trained_on: str,
    lineage: dict[str, Any],
    license: str = "unlicensed: set by the data's owner",
) -> list[Path]:
    """Writes ``name`` and its ``-int8`` twin; the cards' paths. Raises ``Difference``, and then
    nothing there has changed."""
    with making(models) as draft:
        shape = net.shape
        whole = _whole(net)
        path = draft / name / version / "model.onnx"
        to_onnx(
            whole, torch.zeros(1, shape.height, shape.width, 3, dtype=torch.uint8), path, "scores"
        )
        pixels = [t.picture.pixels[None] for t in held_out]
        model, difference, answers = session(path), 0.0, []
        for image in pixels:
            with torch.no_grad():
                ours = whole(torch.from_numpy(image)).numpy()
            theirs = run(model, image)
            difference = max(difference, float(np.abs(ours - theirs).max()))
            answers.append(theirs[0])
        if difference > SCORES:
            raise Difference(f"{path}: torch and ONNX differ by {difference:.4f}")
        small = draft / f"{name}-int8" / version / "model.onnx"
        step = max(1, len(learn) // CALIBRATED_ON)
        quantise(path, small, [t.picture.pixels[None] for t in learn[::step]])
        quick = [run(session(small), image)[0] for image in pixels]
        apart = float(np.mean([np.abs(a - b).mean() for a, b in zip(answers, quick, strict=True)]))
        same = np.mean([
            _says(task, a, shape.classes) == _says(task, b, shape.classes)
            for a, b in zip(answers, quick, strict=True)
        ])  # fmt: skip
        if apart > INT8_SCORES or same < INT8_SAME:
            raise Difference(
                f"{small}: int8 is not the fp32 model any more: scores apart by {apart:.3f}, the "
                f"same answer on {same:.1%} of the held-out pictures"
            )
        cards = []
        for file, found, parent in ((path, answers, None), (small, quick, path)):
            history = {"architecture": "training.shapes", "shape": asdict(shape), **lineage}
            if parent is not None:
                history |= {
                    "quantised_from": sha256(parent),
                    "against_fp32": {"score": round(apart, 5), "same": round(float(same), 4)},
                }
            cards.append(
                write_card(
                    file, task=task, license=license,
                    trained_on=trained_on, command=command, difference=difference, lineage=history,
                    metrics=_figures(task, found, held_out, shape.classes), classes=shape.classes,
                    form="softmax" if task == "classify" else "masks",
                )
            )  # fmt: skip
    return [models / card.relative_to(draft) for card in cards]


def _whole(net: nn.Module) -> nn.Module:
    if isinstance(net, Classifier):
        return Classify(net).eval()
    assert isinstance(net, Segmenter)
    return Segment(net).eval()


def _told(row: Row) -> bool:
    """Whether somebody has said what this very picture shows."""
    return all(_seen(label) for label in row.labels)


def _seen(label: Label) -> bool:
    """A customer knows the part alone, and who marked nothing has not said what is wrong."""
    return label.source != COMPLAINT and label.label != UNNAMED


def _shown(label: Label, lesson: Lesson) -> float:
    """Which share of it, or of what the classifier looks at, lies in the other: a cap is good
    whatever is on the label."""
    if label.box is None or lesson.roi is None:
        return 1.0
    x1, y1, x2, y2 = lesson.roi
    left, top, right, bottom = label.box
    wide, high = min(x2, right) - max(x1, left), min(y2, bottom) - max(y1, top)
    smaller = min((right - left) * (bottom - top), (x2 - x1) * (y2 - y1))
    return wide * high / smaller if wide > 0 and high > 0 else 0.0


def _kind(labels: Sequence[Label], classes: Sequence[str]) -> int:
    """Which class the picture as a whole is: its worst defect's, or good."""
    order = {"critical": 0, "major": 1, "minor": 2}
    bad = sorted((x for x in labels if x.defect), key=lambda x: order.get(x.severity, 1))
    names = [x.label for x in bad if x.label in classes]
    if names:
        return classes.index(names[0])
    return classes.index(GOOD) if GOOD in classes else len(classes)


def _mask(row: Row, lesson: Lesson, whole: Picture, shape: Shape) -> NDArray[np.uint8]:
    """Where each class is: its polygon, or its box where nobody drew more."""
    height, width = whole.pixels.shape[:2]
    x, y = corner_of(lesson.roi)
    found = np.zeros((len(shape.classes), shape.height // STRIDE, shape.width // STRIDE), np.uint8)
    for label in row.labels:
        if label.label not in shape.classes or label.box is None:
            continue
        x1, y1, x2, y2 = label.box
        points = label.polygon or ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
        outline = np.round(np.array(points) - (x, y)).astype(np.int32)
        drawn = np.zeros((height, width, 3), np.uint8)
        cv2.fillPoly(drawn, [outline], (255, 255, 255))
        if drawn.any():
            bare = Picture(drawn, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
            inside = letterbox(bare, shape.height, shape.width).pixels[..., 0].copy()
            inside[inside == PAD] = 0
            small = cv2.resize(
                inside, (found.shape[2], found.shape[1]), interpolation=cv2.INTER_AREA
            )
            # A scratch thinner than a cell fills none: it is where it fills most.
            full = max(1, min(MARKED, int(small.max()) // 2))
            found[shape.classes.index(label.label)] |= small >= full
    return found


def _varied(one: Taught, how: Policy, shape: Shape, rng: Generator) -> Taught:
    """The picture varied; a mask's places move along, so those policies are drawn without moves."""
    if one.mask.size:
        plain = Picture(one.picture.pixels, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
        done = how.still(plain, shape.height, shape.width, rng)
        return Taught(done, one.kind, one.mask)
    return Taught(how(one.picture, shape.height, shape.width, rng), one.kind, one.mask)


def _says(task: Task, answer: NDArray[np.float32], classes: Sequence[str]) -> frozenset[str]:
    if task == "classify":
        return frozenset({classes[int(answer.argmax())]})
    return frozenset(n for n, m in zip(classes, answer, strict=True) if (m >= SEEN).sum() >= 2)


def _figures(
    task: Task, answers: Sequence[NDArray[np.float32]], known: Sequence[Taught],
    classes: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """How many pictures are judged right, and per class how many of its pictures are found."""
    said = [_says(task, a, classes) for a in answers]
    true = [_true(task, t, classes) for t in known]
    right = sum(s == t for s, t in zip(said, true, strict=True))
    found = {
        "right": wilson(right, len(known)).as_dict(),
        "per_class": {
            name: {
                "found": wilson(
                    sum(name in s for s, t in zip(said, true, strict=True) if name in t),
                    sum(name in t for t in true),
                ).as_dict(),
                "false": wilson(
                    sum(name in s for s, t in zip(said, true, strict=True) if name not in t),
                    sum(name not in t for t in true),
                ).as_dict(),
            }
            for name in classes
        },
    }
    if task == "segment":
        pairs = [(a >= SEEN, t.mask.astype(bool)) for a, t in zip(answers, known, strict=True)]
        found["iou"] = {
            name: _overlap([(a[i], b[i]) for a, b in pairs]) for i, name in enumerate(classes)
        }
    return found


def _true(task: Task, one: Taught, classes: Sequence[str]) -> frozenset[str]:
    if task == "classify":
        return frozenset({classes[one.kind]})
    return frozenset(n for n, m in zip(classes, one.mask, strict=True) if m.any())


def _overlap(pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> float | None:
    both = sum(int((a & b).sum()) for a, b in pairs)
    either = sum(int((a | b).sum()) for a, b in pairs)
    return round(both / either, 4) if either else None
