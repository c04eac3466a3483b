"""The detector's teacher: predictions and labelled boxes enter, one number to minimise leaves.

Which cell answers for which object is chosen by task alignment (Feng et al. 2021, TOOD): among the
cells on an object, those whose score and overlap are jointly best. Scores learn the overlap they
will have (quality focal loss, Li et al. 2020); boxes learn by complete IoU (Zheng et al. 2020).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from training.detector import decode, pairwise_iou

CELLS_PER_OBJECT = 9
SCORE_POWER, OVERLAP_POWER = 0.5, 4.0
REACH = 1.0
"""A small object is answered by cells within this many strides of its centre."""
BOX_WEIGHT = 2.0
LEAST_QUALITY = 0.8
"""What the cells at an object's centre should score at least, however poor their boxes still are.
Without it the best cell of a thin scratch, whose box is hard to place, was another one each time,
and its scores stayed at 0.15 while all else was at 0.9."""
CELLS_ACROSS = 4
"""The centre's cells are those of the grid that has about this many along the object."""


def assign(
    scores: Tensor, boxes: Tensor, truth: Tensor, labels: Tensor, centres: Tensor, strides: Tensor
) -> tuple[Tensor, Tensor]:
    """For one picture: which object each cell answers for, and how well it should score.

    ``scores [A, C]`` and ``boxes [A, 4]`` are predictions, ``truth [M, 4]`` and ``labels [M]`` the
    objects, M >= 1. Returns ``owner [A]`` (index into truth, -1 for none) and ``quality [A]``.
    """
    spot = centres[:, None]
    inside = ((spot > truth[None, :, :2]) & (spot < truth[None, :, 2:])).all(-1)
    middle = (truth[:, :2] + truth[:, 2:]) / 2
    near = ((spot - middle[None]).abs() < REACH * strides[:, None, None]).all(-1)
    size = (truth[:, 2:] - truth[:, :2]).amin(-1)
    allowed = inside | (near & (size[None] < 2 * strides[:, None]))
    overlap = pairwise_iou(boxes, truth)
    fit = scores[:, labels].clamp(min=1e-9) ** SCORE_POWER * overlap**OVERLAP_POWER
    # Early on nothing overlaps: closeness to the centre then decides, too weak to matter later.
    far = ((spot - middle[None]).norm(dim=-1) / (size[None] + strides[:, None])).clamp(max=10)
    fit = torch.where(allowed, fit + 1e-9 * torch.exp(-far), fit.new_tensor(-1.0))
    top = fit.topk(min(CELLS_PER_OBJECT, len(fit)), dim=0)
    chosen = torch.zeros_like(allowed).scatter_(0, top.indices, top.values > 0)
    central = _central(spot, middle, truth, strides)
    chosen |= central
    owner = torch.where(chosen, fit + central, fit.new_tensor(-1.0)).max(1)
    mine = torch.where(owner.values > 0, owner.indices, -1)
    won = torch.where(chosen, fit, fit.new_zeros(()))
    best_fit = won.amax(0)
    best_overlap = torch.where(chosen, overlap, 0.0).amax(0)
    at = mine.clamp(min=0)
    cells = torch.arange(len(at))
    quality = fit[cells, at] / (best_fit[at] + 1e-12) * best_overlap[at]
    quality = torch.where(central[cells, at], quality.clamp(min=LEAST_QUALITY), quality)
    return mine, torch.where(mine >= 0, quality, 0.0).clamp(0, 1)


def _central(spot: Tensor, middle: Tensor, truth: Tensor, strides: Tensor) -> Tensor:
    """Which cells ``[A, M]`` lie at an object's centre, on the grid that suits its size."""
    along = (truth[:, 2:] - truth[:, :2]).amax(-1) / CELLS_ACROSS
    suits = 2.0 ** torch.log2(along.clamp(min=1.0)).round()
    suits = suits.clamp(strides.min(), strides.max())
    near = ((spot - middle[None]).abs() <= 0.75 * strides[:, None, None]).all(-1)
    return near & (strides[:, None] == suits[None])


def complete_iou(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU of matching rows ``[N, 4]``: overlap, less distance and mismatch of aspect."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    size_a, size_b = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    iou = shared / (size_a.prod(-1) + size_b.prod(-1) - shared + 1e-9)
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    apart = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).square().sum(-1)
    angle = torch.atan(size_a[:, 0] / (size_a[:, 1] + 1e-6))
    skew = (angle - torch.atan(size_b[:, 0] / (size_b[:, 1] + 1e-6))) * 2 / math.pi
    skew = skew.square()
    weight = (skew / (1 - iou + skew + 1e-9)).detach()
    return iou - apart / (hull.square().sum(-1) + 1e-9) - weight * skew


def detection_loss(
    raw: Tensor,
    logits: Tensor,
    truths: list[Tensor],
    labels: list[Tensor],
    centres: Tensor,
    strides: Tensor,
) -> Tensor:
    """The mean loss per picture's worth of quality over a batch; float32 throughout."""
    raw, logits = raw.float(), logits.float()
    boxes = decode(raw, centres, strides)
    wanted = torch.zeros_like(logits)
    box_loss = raw.new_zeros(())
    for i, (truth, label) in enumerate(zip(truths, labels, strict=True)):
        if not len(truth):
            continue
        with torch.no_grad():
            owner, quality = assign(logits[i].sigmoid(), boxes[i], truth, label, centres, strides)
        cells = (owner >= 0).nonzero()[:, 0]
        mine = owner[cells]
        wanted[i, cells, label[mine]] = quality[cells]
        ciou = complete_iou(boxes[i, cells], truth[mine])
        # At the start the best cells overlap nothing; they must still be pulled.
        box_loss = box_loss + ((1 - ciou) * quality[cells].clamp(min=0.05)).sum()
    quality_gap = (logits.detach().sigmoid() - wanted).abs().square()
    quality_gap = torch.where(wanted > 0, quality_gap.sqrt(), quality_gap * 0.75)
    score_loss = binary_cross_entropy_with_logits(logits, wanted, reduction="none") * quality_gap
    total = wanted.sum().clamp(min=len(truths))
    return (score_loss.sum() + BOX_WEIGHT * box_loss) / total
