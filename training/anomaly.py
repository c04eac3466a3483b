"""Pictures of good parts go in, a network that tells what does not belong on them comes out.

It learns from defects that it makes itself, from no pretrained weights: an encoder and decoder see
a good crop with a self-made defect blended in (``inspector.tools.selfmade``, after NSA and DRAEM)
and say where it is. Imported by ``cli``; a station starts it by ``teach anomaly --thorough``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from inspector.part import Pixels
from inspector.tools.selfmade import spoilt
from inspector.tools.texture import scaled
from training.fit import Schedule, fit
from training.making import CARD, making_one
from training.surface import export_surface, write_surface_card

CROP_PX = 192
BATCH = 8
STEPS = 24
"""An epoch is this many batches: it is what a kill can cost."""
SCHEDULE = Schedule(epochs=36, rate=2e-3, warm_up=48, average=0.99)
DEFECTIVE = 0.7
"""Share of the crops that get a defect; the others teach what good grain looks like."""
MEASURED = 2
"""Batches of the measure, of defects that the training does not see."""
WIDTHS = (20, 32, 56, 80, 96)
Batch = tuple[Tensor, Tensor]


class SurfaceNet(nn.Module):
    """uint8 [n,rows,columns,3] to the chance of a defect [n,1,rows/4,columns/4]."""

    def __init__(self, mean: float = 128.0, std: float = 50.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(max(std, 1.0)))
        wide = (3, *WIDTHS)
        self.down = nn.ModuleList(_block(i, o, 2) for i, o in pairwise(wide))
        self.up = nn.ModuleList(
            _block(WIDTHS[i + 1] + WIDTHS[i], WIDTHS[i], 1) for i in range(len(WIDTHS) - 2, 0, -1)
        )
        self.head = nn.Conv2d(WIDTHS[1], 1, 1)

    def odds(self, images: Tensor) -> Tensor:
        """The log-odds of the same."""
        x = (images.permute(0, 3, 1, 2).float() - self.mean) / self.std
        levels = []
        for block in self.down:
            x = block(x)
            levels.append(x)
        for block, level in zip(self.up, reversed(levels[1:-1]), strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, level], 1))
        return self.head(x)

    def forward(self, images: Tensor) -> Tensor:
        """The chance that each place is defective."""
        return self.odds(images).sigmoid()


def _block(wide_in: int, wide_out: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(wide_in, wide_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(wide_out),
        nn.ReLU(inplace=True),
        nn.Conv2d(wide_out, wide_out, 3, 1, 1, bias=False),
        nn.BatchNorm2d(wide_out),
        nn.ReLU(inplace=True),
    )


def fit_anomaly(
    pictures: Sequence[Pixels], size: tuple[int, int], run: Path, epochs: int | None = None
) -> SurfaceNet:
    """A network for ``pictures``, looked at in ``size`` (width, height); checkpoints in ``run``."""
    looked = [scaled(p, size, colour=True) for p in pictures]
    values = np.concatenate([p[::8, ::8].reshape(-1) for p in looked]).astype(np.float32)
    net = SurfaceNet(float(values.mean()), float(values.std()))
    schedule = SCHEDULE if epochs is None else replace(SCHEDULE, epochs=epochs)
    held = [batch for i in range(MEASURED) for batch in crops(looked, 10**6, i)]

    def batches(epoch: int) -> Iterator[Callable[[], list[Batch]]]:
        return (partial(crops, looked, epoch, i) for i in range(STEPS))

    def measure(average: nn.Module) -> float:
        assert isinstance(average, SurfaceNet)
        with torch.no_grad():
            return -sum(float(loss_of(average, batch)) for batch in held) / len(held)

    return fit(net, batches, STEPS, loss_of, measure, run, schedule)


def crops(pictures: Sequence[Pixels], *seed: int) -> list[Batch]:
    """A batch of crops with and without self-made defects, and what is defective at a quarter of
    the size."""
    rng = np.random.default_rng(seed)
    made = [_crop(pictures, rng) for _ in range(BATCH)]
    images = torch.from_numpy(np.stack([image for image, _ in made]))
    masks = torch.from_numpy(np.stack([mask for _, mask in made]))[:, None]
    return [(images, functional.max_pool2d(masks, 4))]


def loss_of(net: nn.Module, batch: Batch) -> Tensor:
    """Focal cross-entropy (Lin et al. 2017) and the overlap's loss, so that small defects count."""
    images, truth = batch
    assert isinstance(net, SurfaceNet)
    odds = net.odds(images).float()
    each = functional.binary_cross_entropy_with_logits(odds, truth, reduction="none")
    chance = odds.sigmoid()
    wrong = (chance - truth).abs().detach()
    focal = (each * (0.1 + wrong**2)).mean() * 10
    shared = (chance * truth).sum() * 2 + 1
    return focal + 1 - shared / (chance.sum() + truth.sum() + 1)


def export_anomaly(net: SurfaceNet, path: Path, count: int, command: str) -> Path:
    """``path`` and its card, as stations take it; the card's path."""
    with making_one(path) as made:
        gap = export_surface(net.to(memory_format=torch.contiguous_format).eval(), made, "chance")
        write_surface_card(
            made, "anomaly", gap, license="unlicensed: set by the pictures' owner",
            trained_on=f"{count} pictures of good parts with self-made defects", command=command,
        )  # fmt: skip
    return path.with_name(CARD)


def _crop(pictures: Sequence[Pixels], rng: np.random.Generator) -> tuple[Pixels, np.ndarray]:
    whole = pictures[int(rng.integers(len(pictures)))]
    other = pictures[int(rng.integers(len(pictures)))]
    high, wide = min(CROP_PX, whole.shape[0]), min(CROP_PX, whole.shape[1])
    y = int(rng.integers(0, whole.shape[0] - high + 1))
    x = int(rng.integers(0, whole.shape[1] - wide + 1))
    crop = whole[y : y + high, x : x + wide]
    mask = np.zeros((high, wide), np.float32)
    if rng.random() < DEFECTIVE:
        crop, mask = spoilt(crop, other, rng, float(np.exp(rng.uniform(0, 1.8))))
    # Other light, of one tone over the crop: nothing of it is a defect.
    lit = crop.astype(np.float32) * rng.uniform(0.88, 1.12) + rng.uniform(-6, 6)
    return np.clip(lit, 0, 255).astype(np.uint8), mask
