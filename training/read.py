"""Fitting a reader: lines of print with their texts enter, a trained ``Recogniser`` leaves.

Imported by ``cli`` and ``line_read``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn

from inspector.part import Pixels
from training import parallel
from training.evaluate import Share, wilson
from training.fit import Schedule, Tell, fit, seed_everything
from training.pictures import PAD, resized
from training.recogniser import HEIGHT, WIDTH, ReadLine, Recogniser, decode_line, encode


@dataclass(frozen=True, slots=True)
class Line:
    """A grey picture of one line of print, of any size, and what it says."""

    pixels: Pixels
    text: str


def place(pixels: Pixels, wide: float = 1.0, x: float = 0.0, pad: int = PAD) -> Pixels:
    """A line in the reader's ``[32, 160]`` input: as high as that, less high if it is too long.

    With the defaults it is what a station does (``inspector.tools.letterbox``): at the left, then
    grey. ``wide`` stretches it, ``x`` in 0..1 moves it within the slack.
    """
    h, w = pixels.shape
    scale = min(HEIGHT / h, WIDTH / (w * wide))
    rows, columns = max(1, round(h * scale)), max(1, min(WIDTH, round(w * wide * scale)))
    left = int((WIDTH - columns) * x)
    canvas = np.full((HEIGHT, WIDTH), pad, np.uint8)
    canvas[:rows, left : left + columns] = resized(pixels, columns, rows)
    return canvas


def vary_line(pixels: Pixels, rng: Generator) -> Pixels:
    """The line as another printer, lens or crop would have given it, in the reader's input."""
    h, w = pixels.shape
    if rng.random() < 0.5:
        zoom = rng.uniform(0.75, 1.05)
        matrix = zoom * np.array(
            [[1, rng.uniform(-0.2, 0.2), 0], [rng.uniform(-0.03, 0.03), 1, 0]], np.float64
        )
        middle = np.array([w / 2, h / 2 + rng.uniform(-0.08, 0.08) * h])
        matrix[:, 2] = middle - matrix[:, :2] @ np.array([w / 2, h / 2])
        pixels = cv2.warpAffine(pixels, matrix, (w, h), borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.3:
        # Ink that ran, or a printer short of it: darker or lighter strokes.
        size = (2, 2) if rng.random() < 0.6 else (3, 3)
        pixels = (cv2.erode if rng.random() < 0.6 else cv2.dilate)(
            pixels, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size)
        )
    if rng.random() < 0.4:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.3, 1.6))
    pad = PAD if rng.random() < 0.7 else int(rng.integers(256))
    x = 0.0 if rng.random() < 0.6 else rng.random()
    seen = place(pixels, rng.uniform(0.8, 1.15), x, pad).astype(np.float32)
    if rng.random() < 0.7:
        slope = np.linspace(-1, 1, WIDTH, dtype=np.float32) * rng.uniform(-25, 25)
        seen = (seen - 128) * rng.uniform(0.45, 1.3) + 128 + rng.uniform(-50, 50) + slope
    if rng.random() < 0.12:
        seen = 255 - seen
    if rng.random() < 0.6:
        seen += rng.standard_normal(seen.shape, np.float32) * rng.uniform(1, 14)
    return np.clip(seen, 0, 255).astype(np.uint8)


def fit_reader(
    lines: Sequence[Line],
    held_out: Sequence[Line],
    folder: Path,
    schedule: Schedule,
    batch: int = 64,
    *,
    net: Recogniser | None = None,
    again: int = 1,
    tell: Tell = lambda step, figures: None,
) -> Recogniser:
    """Train on ``lines``, telling the share of ``held_out`` lines read exactly as it goes.

    Each epoch shows every line ``again`` times, each time varied otherwise. ``net`` is what to
    begin from; a run that was stopped goes on where it was in any case.
    """
    seed_everything(schedule.seed)
    ctc = nn.CTCLoss(zero_infinity=True)
    targets = [encode(line.text) for line in lines]

    def one(chosen: Sequence[int], *seed: int) -> list[Any]:
        rng = np.random.default_rng(seed)
        pixels = np.stack([vary_line(lines[j].pixels, rng) for j in chosen])
        return [batch_of(pixels, [targets[j] for j in chosen])]

    def batches(epoch: int) -> Iterator[Callable[[], list[Any]]]:
        rng = np.random.default_rng((schedule.seed, epoch))
        order = np.concatenate([rng.permutation(len(lines)) for _ in range(again)])
        order = parallel.share(order)
        for i in range(0, len(order) - batch + 1, batch):
            yield partial(one, order[i : i + batch], schedule.seed, epoch, i)

    def loss(net: nn.Module, batch: Any) -> Tensor:
        pixels, wanted, lengths = batch
        logits = net(pixels.float() * (1 / 255)).float()
        steps = torch.full((len(pixels),), logits.shape[1], dtype=torch.long)
        with torch.autocast(logits.device.type, enabled=False):
            value: Tensor = ctc(logits.log_softmax(-1).transpose(0, 1), wanted, steps, lengths)
        return value

    def measure(net: nn.Module) -> float:
        assert isinstance(net, Recogniser)
        return exact(read_lines(net, held_out), held_out).value

    steps = again * len(lines) // parallel.size() // batch
    return fit(net or Recogniser(), batches, steps, loss, measure, folder, schedule, tell)


def batch_of(pixels: Pixels, texts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
    """``[N, H, W]`` and their encoded texts as CTC's loss takes them: all characters in a row, and
    how many are each line's."""
    return (
        torch.from_numpy(pixels)[:, None],
        torch.tensor([c for text in texts for c in text], dtype=torch.long),
        torch.tensor([len(text) for text in texts], dtype=torch.long),
    )


@torch.no_grad()
def read_lines(net: Recogniser, lines: Sequence[Line]) -> list[str]:
    """What ``net`` reads on each line."""
    whole = ReadLine(net).eval()
    texts = []
    for i in range(0, len(lines), 256):
        pixels = np.stack([place(line.pixels) for line in lines[i : i + 256]])
        answers = whole(torch.from_numpy(pixels)[..., None]).numpy()
        texts += [decode_line(a)[0] for a in answers]
    return texts


def exact(texts: Sequence[str], lines: Sequence[Line]) -> Share:
    """The share of lines whose text is right to the last character, outer spaces aside."""
    right = sum(t == line.text.strip() for t, line in zip(texts, lines, strict=True))
    return wilson(right, len(lines))
