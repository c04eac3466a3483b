"""The detector: uint8 BGR pixels enter, boxes with scores and classes leave.

A single-shot, anchor-free network of our own, about 1 GFLOP at 320x320. Each cell of three grids
(strides 8, 16, 32) says, per class, how sure it is and where the box lies. Plain convolutions
with ReLU, because those survive static int8. Imported by ``fit``, ``export``, ``evaluate``.

Sources: one score per class and no objectness, after FCOS (Tian et al. 2019); box as centre
offset and log size, after YOLOX (Ge et al. 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

STRIDES = (8, 16, 32)
KEPT = 100
"""Detections that leave the graph for each picture, padded with score 0."""
SAME_OBJECT_IOU = 0.6
"""Two boxes of one class that overlap more than this are one object."""
NMS_ROUNDS = 4
"""Rounds towards the fixed point of greedy suppression; a chain of more overlaps is not seen."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a detector looks at and tells apart."""

    height: int
    """Input height in pixels, a multiple of 32."""
    width: int
    classes: tuple[str, ...]
    channels: tuple[int, int, int, int] = (32, 64, 96, 128)
    """Width at strides 4, 8, 16 and 32."""
    neck: int = 64


def grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Cell centres ``[A, 2]`` as x, y in input pixels, and each cell's stride ``[A]``."""
    centres, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(
            torch.arange(height // stride), torch.arange(width // stride), indexing="ij"
        )
        cells = (torch.stack((x, y), -1).reshape(-1, 2) + 0.5) * stride
        centres.append(cells)
        strides.append(torch.full((len(cells),), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def decode(raw: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Raw ``[..., A, 4]`` (offset of the centre, log size, in strides) to x1, y1, x2, y2 pixels."""
    middle = centres + raw[..., :2] * strides[:, None]
    half = torch.exp(raw[..., 2:].clamp(-6.0, 6.0)) * strides[:, None] * 0.5
    return torch.cat((middle - half, middle + half), -1)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of ``[..., N, 4]`` with ``[..., M, 4]``: ``[..., N, M]``."""
    a, b = a.unsqueeze(-2), b.unsqueeze(-3)
    low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    side = (high - low).clamp(min=0)
    shared = side[..., 0] * side[..., 1]
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return shared / (area_a + area_b - shared + 1e-9)


def suppress(boxes: Tensor, scores: Tensor, kept: int = KEPT) -> Tensor:
    """The best of each object: boxes ``[A, 4]``, scores ``[A, C]`` to ``[kept, 6]``.

    Greedy suppression written as a fixed point, with shapes that never change: a box is kept if
    no kept box of its class before it overlaps it. Starting from "all kept", round n is exact for
    every box behind at most n links of overlaps, and each round is one small matrix product.
    """
    classes = scores.shape[1]
    best, index = scores.reshape(-1).topk(min(kept, scores.numel()))
    cell, label = index // classes, index % classes
    chosen = boxes[cell]
    rivals = (pairwise_iou(chosen, chosen) > SAME_OBJECT_IOU) & (label[:, None] == label[None, :])
    earlier = torch.tril(rivals.float(), diagonal=-1)
    keep = torch.ones_like(best)
    for _ in range(NMS_ROUNDS):
        keep = (earlier @ keep < 0.5).float()
    return torch.cat((chosen, (best * keep)[:, None], label.float()[:, None]), 1)


def fuse(net: nn.Module) -> nn.Module:
    """Fold every batch norm into its convolution, in place; ``net`` must be in eval mode."""
    for child in net.modules():
        if isinstance(child, Conv) and isinstance(child.norm, nn.BatchNorm2d):
            child.conv = fuse_conv_bn_eval(child.conv, child.norm)
            child.norm = nn.Identity()
    return net


class Conv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, a: int, b: int, size: int = 3, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(a, b, size, stride, size // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(b, momentum=0.03)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(self.conv(x)))


class Block(nn.Module):
    """A residual bottleneck: half the channels between its two convolutions."""

    def __init__(self, channels: int):
        super().__init__()
        self.squeeze = Conv(channels, channels // 2, 1)
        self.expand = Conv(channels // 2, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.expand(self.squeeze(x))


class Pyramid(nn.Module):
    """Three max-pools of growing reach, joined: lets the coarsest grid see the whole frame."""

    def __init__(self, channels: int):
        super().__init__()
        self.squeeze = Conv(channels, channels // 2, 1)
        self.join = Conv(channels * 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        levels = [self.squeeze(x)]
        for _ in range(3):
            levels.append(nn.functional.max_pool2d(levels[-1], 5, 1, 2))
        return self.join(torch.cat(levels, 1))


class Detector(nn.Module):
    """Float 0..1 ``[N, 3, H, W]`` to raw boxes ``[N, A, 4]`` and score logits ``[N, A, C]``."""

    def __init__(self, shape: Shape):
        super().__init__()
        if shape.height % 32 or shape.width % 32:
            raise ValueError(f"height and width must be multiples of 32, not {shape}")
        self.shape = shape
        c4, c8, c16, c32 = shape.channels
        wide, count = shape.neck, len(shape.classes)
        self.stem = nn.Sequential(Conv(3, 16, 3, 2), Conv(16, c4, 3, 2), Block(c4))
        self.at8 = nn.Sequential(Conv(c4, c8, 3, 2), Block(c8), Block(c8))
        self.at16 = nn.Sequential(Conv(c8, c16, 3, 2), Block(c16), Block(c16))
        self.at32 = nn.Sequential(Conv(c16, c32, 3, 2), Block(c32), Pyramid(c32))
        self.lateral = nn.ModuleList(Conv(c, wide, 1) for c in (c8, c16, c32))
        self.smooth = nn.ModuleList(Conv(wide, wide) for _ in STRIDES)
        self.look = nn.ModuleList(Conv(wide, wide) for _ in STRIDES)
        self.place = nn.ModuleList(Conv(wide, wide // 2) for _ in STRIDES)
        self.score = nn.ModuleList(nn.Conv2d(wide, count, 1) for _ in STRIDES)
        self.box = nn.ModuleList(nn.Conv2d(wide // 2, 4, 1) for _ in STRIDES)
        for score in self.score:
            # A prior of 1 % (Lin et al. 2017): else the empty cells drown the first steps.
            nn.init.constant_(score.bias, -4.6)
        for box in self.box:
            nn.init.zeros_(box.weight)
            box.bias.data.copy_(torch.tensor([0.0, 0.0, 1.0, 1.0]))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        at8 = self.at8(self.stem(x))
        at16 = self.at16(at8)
        seen = (at8, at16, self.at32(at16))
        levels = [side(level) for side, level in zip(self.lateral, seen, strict=True)]
        for i in (1, 0):
            levels[i] = levels[i] + nn.functional.interpolate(levels[i + 1], scale_factor=2.0)
        boxes, scores = [], []
        for i, level in enumerate(levels):
            level = self.smooth[i](level)
            boxes.append(self.box[i](self.place[i](level)).flatten(2))
            scores.append(self.score[i](self.look[i](level)).flatten(2))
        return torch.cat(boxes, 2).transpose(1, 2), torch.cat(scores, 2).transpose(1, 2)


class EndToEnd(nn.Module):
    """What is exported: uint8 BGR ``[1, H, W, 3]`` to ``[1, K, 6]``: box, score, class."""

    def __init__(self, net: Detector):
        super().__init__()
        self.net = net
        centres, strides = grid(net.shape.height, net.shape.width)
        self.register_buffer("centres", centres)
        self.register_buffer("strides", strides)

    def forward(self, images: Tensor) -> Tensor:
        raw, logits = self.net(images.permute(0, 3, 1, 2).float() * (1 / 255))
        boxes = decode(raw, self.centres, self.strides)
        return suppress(boxes[0], logits[0].sigmoid())[None]
