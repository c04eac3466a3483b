"""Teaching ``compare`` which differences are faults, and what they are called.

Enter parts with golden pictures and boxes round their faults; leaves a classifier of differences
(``inspector.tools.difference``) as ``models/<name>/<version>``. What it learns from is what
``compare`` itself finds there with sensitive limits, the rough edges that are no faults included.
Imported by scripts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from inspector.part import Pixels
from inspector.tools.compare import Compare
from inspector.tools.difference import GOOD, Difference, shown
from training import export
from training.card import write_card
from training.detector import Shape
from training.evaluate import iou, wilson
from training.fit import Schedule, fit
from training.making import CARD, making_one
from training.measure import run, session
from training.pictures import Picture
from training.shapes import Classifier, ClassifyTurned

SIDE = 64
"""Pixels that each of the two views is high and wide."""
CHANNELS = (24, 32, 48, 64)
SCORES = 2e-3
"""By how much torch's and ONNX's scores may differ."""
OVERLAP = 0.33
"""IoU from which a difference is the fault of a box."""
JITTER_PX, PLAY_PX = 3, 1
"""How far the middle, and one picture against the other, are moved in training."""


@dataclass(frozen=True, slots=True)
class Told:
    """A difference and what it truly is, the number of a class."""

    seen: Pixels
    golden: Pixels
    difference: Difference
    kind: int


def told(compare: Compare, pixels: Pixels, truth: Picture, classes: Sequence[str]) -> list[Told]:
    """What ``compare`` finds on a part, each by its fault's box. ``truth.labels`` count ``classes``
    without ``good``. A fragment of a fault that nothing else finds is left out: it is neither."""
    seen, place, differences = compare.differences(pixels)
    boxes = np.array([compare.box(d, place, pixels.shape) for d in differences], np.float32)
    overlaps = iou(boxes.reshape(-1, 4), truth.boxes)
    known = [c for c in classes if c != GOOD]
    found = overlaps.max(0, initial=0) >= OVERLAP
    rows = []
    for one, row in zip(differences, overlaps, strict=True):
        best = int(row.argmax()) if len(row) else -1
        kind = classes.index(GOOD)
        if best >= 0 and row[best] >= OVERLAP:
            kind = classes.index(known[int(truth.labels[best])])
        elif best >= 0 and row[best] > 0 and not found[best]:
            continue
        rows.append(Told(seen, compare.golden, one, kind))
    return rows


def fit_namer(
    classes: Sequence[str],
    learn: Sequence[Told],
    held_out: Sequence[Told],
    folder: Path,
    schedule: Schedule,
    opposite: dict[str, str],
    batch: int = 32,
) -> Classifier:
    """A classifier of differences. ``opposite``: what a fault becomes when light and dark change
    places, for products where that is as likely a product; empty where it is not."""
    net = Classifier(Shape(SIDE, 2 * SIDE, tuple(classes), CHANNELS))
    turned = [classes.index(opposite.get(c, c)) for c in classes]

    def one(chosen: Sequence[int], *seed: int) -> list[Any]:
        rng = np.random.default_rng(seed)
        drawn = [_varied(learn[j], turned, bool(opposite), rng) for j in chosen]
        pictures, kinds = zip(*drawn, strict=True)
        return [(torch.from_numpy(np.stack(pictures)), torch.tensor(kinds))]

    def batches(epoch: int) -> Iterator[Callable[[], list[Any]]]:
        order = np.random.default_rng((schedule.seed, epoch)).permutation(len(learn))
        for i in range(0, len(order) - batch + 1, batch):
            yield partial(one, order[i : i + batch], schedule.seed, epoch, i)

    def loss(net: nn.Module, given: Any) -> Tensor:
        pixels, kinds = given
        logits = net(pixels.permute(0, 3, 1, 2).float() * (1 / 255)).float()
        return cross_entropy(logits, kinds, label_smoothing=0.02)

    def measure(net: nn.Module) -> float:
        says = _scores(net, held_out).argmax(1)
        return float(np.mean(says == np.array([t.kind for t in held_out])))

    return fit(net, batches, len(learn) // batch, loss, measure, folder, schedule)


def export_namer(
    net: Classifier, held_out: Sequence[Told], path: Path, **card: Any
) -> tuple[Path, float]:
    """Writes ``path`` and its card, measured on ``held_out``; the card's path and the difference
    between torch and ONNX. ``card`` is its licence, origin, command and lineage. Raises
    ``export.Difference``."""
    whole = ClassifyTurned(net).eval()
    with making_one(path) as made:
        return path.with_name(CARD), _exported(net, whole, held_out, made, **card)


def _exported(
    net: Classifier, whole: nn.Module, held_out: Sequence[Told], path: Path, **card: Any
) -> float:
    classes = net.shape.classes
    export.to_onnx(whole, torch.zeros(1, SIDE, 2 * SIDE, 3, dtype=torch.uint8), path, "scores")
    model = session(path)
    pictures = [shown(t.seen, t.golden, t.difference, SIDE)[None] for t in held_out]
    theirs = np.array([run(model, p)[0] for p in pictures])
    apart = float(np.abs(theirs - _scores(net, held_out)).max())
    if apart > SCORES:
        raise export.Difference(f"{path}: torch and ONNX differ by {apart:.4f}")
    says, true = theirs.argmax(1), np.array([t.kind for t in held_out])
    metrics: dict[str, Any] = {
        "right": wilson(int((says == true).sum()), len(true)).as_dict(),
        "per_class": {
            name: {
                "recall": wilson(
                    int(((says == i) & (true == i)).sum()), int((true == i).sum())
                ).as_dict(),
                "said_wrongly": int(((says == i) & (true != i)).sum()),
            }
            for i, name in enumerate(classes)
        },
    }
    lineage = {"architecture": "training.shapes", "shape": asdict(net.shape), **card["lineage"]}
    told_by = {k: card[k] for k in ("license", "trained_on", "command")}
    write_card(
        path, task="classify", metrics=metrics, difference=apart, lineage=lineage,
        classes=classes, form="softmax", **told_by,
    )  # fmt: skip
    return apart


def _scores(net: nn.Module, rows: Sequence[Told]) -> NDArray[np.float32]:
    assert isinstance(net, Classifier)
    whole = ClassifyTurned(net).eval()
    pictures = np.stack([shown(t.seen, t.golden, t.difference, SIDE) for t in rows])
    with torch.no_grad():
        parts = [whole(torch.from_numpy(pictures[i : i + 64])) for i in range(0, len(rows), 64)]
    return torch.cat(parts).numpy()


def _varied(one: Told, turned: Sequence[int], invert: bool, rng: Generator) -> tuple[Pixels, int]:
    """A picture of the difference as it might also have lain, and its class."""
    dx, dy = (int(v) for v in rng.integers(-JITTER_PX, JITTER_PX + 1, 2))
    picture, kind = shown(one.seen, one.golden, one.difference, SIDE, (dx, dy)), one.kind
    if rng.random() < 0.3:
        # The part a pixel further off than it was settled.
        play = [int(v) for v in rng.integers(-PLAY_PX, PLAY_PX + 1, 2)]
        picture[:, :SIDE, 1] = np.roll(picture[:, :SIDE, 1], play, (0, 1))
    quarters, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    for view in (picture[:, :SIDE], picture[:, SIDE:]):
        lain = np.rot90(view[:, ::-1] if mirrored else view, quarters)
        view[...] = lain.copy()
    if invert and rng.random() < 0.3:
        picture[..., :2] = 255 - picture[..., :2]
        kind = turned[kind]
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(2, 12), (*picture.shape[:2], 2))
        picture[..., :2] = np.clip(picture[..., :2] + noise, 0, 255).astype(np.uint8)
    return picture, kind
