"""Fitting a detector: pictures enter, a trained ``Detector`` leaves. Imported by ``cli``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from training import parallel
from training.augment import Variation, vary
from training.detector import Detector, EndToEnd, Shape, grid
from training.evaluate import Detections, mean_average_precision
from training.fit import Schedule, Tell, fit, seed_everything
from training.loss import detection_loss
from training.pictures import Picture, letterbox
from training.policy import Policy
from training.start import begin

WATCHED = 300
"""Held-out pictures that tell the progress; the card's figures are of all of them."""


def fit_detector(
    shape: Shape,
    pictures: Sequence[Picture],
    held_out: Sequence[Picture],
    how: Variation | Policy,
    folder: Path,
    schedule: Schedule,
    batch: int = 16,
    start: Path | None = None,
    tell: Tell = lambda step, figures: None,
) -> Detector:
    """Train on ``pictures``, telling the mAP50 on ``held_out`` as it goes.

    ``start`` is a checkpoint or a released model to begin from, see ``start.begin``.
    """
    seed_everything(schedule.seed)
    net = Detector(shape)
    if start is not None:
        net = begin(net, start)
    cells = grid(shape.height, shape.width)

    def varied_by(picture: Picture, height: int, width: int, rng: Generator) -> Picture:
        if isinstance(how, Policy):
            return how(picture, height, width, rng)
        return vary(picture, height, width, how, rng)

    def one(chosen: Sequence[int], *seed: int) -> list[Any]:
        rng = np.random.default_rng(seed)
        varied = [varied_by(pictures[j], shape.height, shape.width, rng) for j in chosen]
        pixels = torch.from_numpy(np.stack([p.pixels for p in varied]))
        made = (
            pixels,
            [torch.from_numpy(p.boxes) for p in varied],
            [torch.from_numpy(p.labels) for p in varied],
        )
        return [made]

    def batches(epoch: int) -> Iterator[Callable[[], list[Any]]]:
        rng = np.random.default_rng((schedule.seed, epoch))
        order = parallel.share(rng.permutation(len(pictures)))
        for i in range(0, len(order) - batch + 1, batch):
            yield partial(one, order[i : i + batch], schedule.seed, epoch, i)

    def loss(net: nn.Module, batch: Any) -> Tensor:
        pixels, boxes, labels = batch
        raw, logits = net(pixels.permute(0, 3, 1, 2).float() * (1 / 255))
        centres, strides = (cell.to(raw.device) for cell in cells)
        with torch.autocast(raw.device.type, enabled=False):
            return detection_loss(raw, logits, boxes, labels, centres, strides)

    few = held_out[:: max(1, len(held_out) // WATCHED)]
    ready = [letterbox(p, shape.height, shape.width) for p in few]

    def measure(net: nn.Module) -> float:
        assert isinstance(net, Detector)
        return mean_average_precision(detect(net, ready), ready, len(shape.classes))[0]

    steps = len(pictures) // parallel.size() // batch
    if not steps:
        raise ValueError(f"{len(pictures)} pictures are less than one batch of {batch}")
    return fit(net, batches, steps, loss, measure, folder, schedule, tell)


@torch.no_grad()
def detect(net: Detector, pictures: Sequence[Picture]) -> list[Detections]:
    """What ``net`` finds on each letterboxed picture."""
    whole = EndToEnd(net).eval()
    return [whole(torch.from_numpy(p.pixels)[None])[0].numpy() for p in pictures]
