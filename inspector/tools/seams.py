"""What several ROIs of one picture see goes in; each thing that is there comes out once.

Imported by ``tools/detect.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

from inspector.part import Box, Finding
from inspector.tools.step import Roi

CUT = 0.02
"""A box this near to its ROI's edge, as a share of the ROI's side, may be cut by it …"""
WITHIN = 0.8
"""… and is the rest of an item that another ROI sees whole when this share of it lies within."""


def once(found: Sequence[Finding], seen_in: Sequence[Roi], iou: float) -> list[Finding]:
    """``found`` without what an overlapping ROI has seen better, or whole where this one's edge has
    cut it: of an item that is mostly beyond the edge, the rest overlaps the whole but little."""
    order = sorted(range(len(found)), key=lambda i: -found[i].score)
    kept: list[int] = []
    for i in order:
        one = found[i]
        alike = (found[k] for k in kept if found[k].label == one.label)
        if not any(_overlap(other.box, one.box) > iou for other in alike):
            kept.append(i)
    return [
        found[i]
        for i in kept
        if not any(
            seen_in[k] != seen_in[i]
            and found[k].label == found[i].label
            and _is_rest(found[i].box, found[k].box, seen_in[i])
            for k in kept
        )
    ]


def _is_rest(part: Box | None, whole: Box | None, roi: Roi) -> bool:
    """Whether ``part``, which lies at the edge of its ROI, is within ``whole``, a larger box."""
    if part is None or whole is None:
        return False
    x1, y1, x2, y2 = roi
    near_x, near_y = CUT * (x2 - x1), CUT * (y2 - y1)
    inside = part[0] > x1 + near_x and part[2] < x2 - near_x
    inside = inside and part[1] > y1 + near_y and part[3] < y2 - near_y
    return not inside and _size(whole) > _size(part) and _shared(part, whole) > WITHIN * _size(part)


def _overlap(one: Box | None, other: Box | None) -> float:
    """Intersection over union."""
    if one is None or other is None:
        return 0.0
    shared = _shared(one, other)
    return shared / (_size(one) + _size(other) - shared) if shared else 0.0


def _shared(one: Box, other: Box) -> float:
    """Area that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def _size(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
