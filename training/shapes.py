"""Nets that say what a picture shows, and where to the pixel: a classifier and a segmenter.

Float pixels enter, logits leave; both stand on the detector's convolutions, plain and with ReLU, so
that they survive static int8 as it does. ``Classify`` and ``Segment`` are what is exported: uint8
BGR in, scores out, normalisation inside. Imported by ``shapes_fit``.

Sources: a pyramid whose levels are added up from coarse to fine (Lin et al. 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.detector import Block, Conv, Pyramid, Shape

STRIDE = 4
"""A segmenter's maps are so much smaller than its picture."""


class Trunk(nn.Module):
    """``[N, 3, H, W]`` to features at strides 4, 8, 16 and 32."""

    def __init__(self, shape: Shape):
        super().__init__()
        if shape.height % 32 or shape.width % 32:
            raise ValueError(f"height and width must be multiples of 32, not {shape}")
        c4, c8, c16, c32 = shape.channels
        self.stem = nn.Sequential(Conv(3, 16, 3, 2), Conv(16, c4, 3, 2), Block(c4))
        self.at8 = nn.Sequential(Conv(c4, c8, 3, 2), Block(c8))
        self.at16 = nn.Sequential(Conv(c8, c16, 3, 2), Block(c16))
        self.at32 = nn.Sequential(Conv(c16, c32, 3, 2), Block(c32), Pyramid(c32))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        at4 = self.stem(x)
        at8 = self.at8(at4)
        at16 = self.at16(at8)
        return at4, at8, at16, self.at32(at16)


class Classifier(nn.Module):
    """``[N, 3, H, W]`` float 0..1 to logits ``[N, C]``."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.trunk = Trunk(shape)
        self.look = Conv(shape.channels[3], shape.channels[3], 1)
        self.say = nn.Conv2d(shape.channels[3], len(shape.classes), 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.look(self.trunk(x)[3])
        # A small defect fills one cell: the mean alone would drown it.
        seen = seen.mean((2, 3), keepdim=True) + seen.amax((2, 3), keepdim=True)
        return self.say(seen)[:, :, 0, 0]


class Segmenter(nn.Module):
    """``[N, 3, H, W]`` float 0..1 to logits ``[N, C, H / 4, W / 4]``."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.trunk = Trunk(shape)
        wide = shape.neck
        self.lateral = nn.ModuleList(Conv(c, wide, 1) for c in shape.channels)
        self.smooth = nn.ModuleList(Conv(wide, wide) for _ in range(4))
        self.say = nn.Conv2d(wide, len(shape.classes), 1)
        nn.init.constant_(self.say.bias, -4.0)  # most pixels are good: else they drown the start

    def forward(self, x: Tensor) -> Tensor:
        levels = [side(f) for side, f in zip(self.lateral, self.trunk(x), strict=True)]
        seen = self.smooth[3](levels[3])
        for i in (2, 1, 0):
            seen = self.smooth[i](levels[i] + nn.functional.interpolate(seen, scale_factor=2.0))
        return self.say(seen)


class Classify(nn.Module):
    """uint8 BGR ``[1, H, W, 3]`` to ``[1, C]``: one class is true (softmax)."""

    def __init__(self, net: Classifier):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images.permute(0, 3, 1, 2).float() * (1 / 255)).softmax(-1)


class ClassifyTurned(nn.Module):
    """uint8 ``[N, S, k·S, 3]`` to ``[N, C]``, for what has no up and no left: the mean over eight
    ways of laying each of the k square views beside each other."""

    def __init__(self, net: Classifier):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        x = images.permute(0, 3, 1, 2).float() * (1 / 255)
        views = x.split(x.shape[2], 3)
        lain = []
        for mirrored in (False, True):
            sides = [v.flip(3) if mirrored else v for v in views]
            for quarters in range(4):
                lain.append(torch.cat([torch.rot90(v, quarters, (2, 3)) for v in sides], 3))
        scores = self.net(torch.cat(lain, 0)).softmax(-1)
        return scores.reshape(len(lain), -1, scores.shape[1]).mean(0)


class Segment(nn.Module):
    """uint8 BGR ``[1, H, W, 3]`` to ``[1, C, H / 4, W / 4]``: each class by itself (sigmoid)."""

    def __init__(self, net: Segmenter):
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        return torch.sigmoid(self.net(images.permute(0, 3, 1, 2).float() * (1 / 255)))
