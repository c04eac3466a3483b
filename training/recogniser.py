"""The reader of one line of print: grey pixels enter, a probability per place and character leaves.

Fully convolutional, about 0.07 GMAC for 32x160, taught with connectionist temporal classification
(Graves et al. 2006), so that no character's place need be labelled. It knows no words: what it says
of a character comes from that character's surroundings alone. Imported by ``read``, ``export``.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.detector import Conv

CHARSET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .:/-"
"""Index 0 of the output is the blank; character i of this has index i + 1."""
HEIGHT, WIDTH = 32, 160
"""Input size in pixels. A line is scaled to fit and padded, see the card's letterbox."""


def encode(text: str) -> list[int]:
    """Class indices of a text; ``ValueError`` for a character that the reader does not know."""
    unknown = sorted(set(text) - set(CHARSET))
    if unknown:
        raise ValueError(f"{text!r} has {', '.join(map(repr, unknown))}, not in {CHARSET!r}")
    return [CHARSET.index(c) + 1 for c in text]


def decode_line(probabilities: NDArray[np.float32]) -> tuple[str, list[float]]:
    """Greedy CTC of ``[T, C]``: the text without outer spaces, and each character's confidence.

    A character's confidence is its highest probability in its run.
    """
    best = probabilities.argmax(-1)
    text: list[str] = []
    sure: list[float] = []
    before = 0
    for step, index in enumerate(best.tolist()):
        if index and index == before:
            sure[-1] = max(sure[-1], float(probabilities[step, index]))
        elif index:
            text.append(CHARSET[index - 1])
            sure.append(float(probabilities[step, index]))
        before = index
    line = "".join(text)
    start = len(line) - len(line.lstrip())
    end = len(line.rstrip())
    return line[start:end], sure[start:end]


class Recogniser(nn.Module):
    """``[N, 1, 32, W]`` float 0..1 to logits ``[N, W / 2, C]``, blank first."""

    def __init__(self, wide: int = 96, along: int = 2):
        """``along`` layers look sideways; each more sees two steps, four pixels, further."""
        super().__init__()
        self.look = nn.Sequential(
            Conv(1, 24, 3, 2),
            Conv(24, 32),
            _squash(32, 48),
            Conv(48, 48),
            _squash(48, 64),
            Conv(64, 64),
            _squash(64, wide),
        )
        self.gather = nn.Conv2d(wide, wide, (2, 1))
        self.context = nn.Sequential(*(_Along(wide) for _ in range(along)))
        self.say = nn.Conv2d(wide, len(CHARSET) + 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.context(torch.relu(self.gather(self.look(x))))
        return self.say(seen)[:, :, 0].transpose(1, 2)


class ReadLine(nn.Module):
    """What is exported: uint8 ``[N, 32, W, 1]`` to probabilities ``[N, W / 2, C]``."""

    def __init__(self, net: Recogniser):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images.permute(0, 3, 1, 2).float() * (1 / 255)).softmax(-1)


class _Along(nn.Module):
    """Looks sideways only, two characters to either side at most: no dictionary can hide in it."""

    def __init__(self, wide: int):
        super().__init__()
        self.conv = nn.Conv2d(wide, wide, (1, 5), padding=(0, 2), bias=False)
        self.norm = nn.BatchNorm2d(wide, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.norm(self.conv(x)))


def _squash(a: int, b: int) -> nn.Sequential:
    """Halves the height, keeps the width."""
    layer = Conv(a, b)
    layer.conv.stride = (2, 1)
    return nn.Sequential(layer)
