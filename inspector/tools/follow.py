"""Where one step found the part goes in; the picture that another step looks at comes out.

A step that says ``follow`` sees the part as it was taught: turned back, or cut out of the frame.
Its findings are put back into the frame's pixels. Imported by ``recipe``, ``heat`` and other tools.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import cv2
import numpy as np

from inspector.part import Box, Finding, Outline, Pixels
from inspector.tools.place import Place
from inspector.tools.step import Roi, Unjudged

AnyBox = TypeVar("AnyBox", Roi, Box)

EDGE_PX = 2
"""A box that comes nearer to the frame's edge may be cut by it."""


def place_of(findings: Iterable[Finding], label: str = "") -> Place | None:
    """The cut-out under the first finding that is in order and has a box (and ``label``, if given).

    Tools give their best finding first.
    """
    for finding in findings:
        box = finding.box
        if finding.ok and box is not None and label in ("", finding.label):
            x, y = math.floor(box[0]), math.floor(box[1])
            size = (math.ceil(box[2]) - x, math.ceil(box[3]) - y)
            return Place(np.array([(1.0, 0.0, x), (0.0, 1.0, y)]), size, box)
    return None


def boxes_of(findings: Iterable[Finding], label: str = "") -> tuple[Box, ...]:
    """Each box of the findings that are in order (and have ``label``, if given), once."""
    boxes = (f.box for f in findings if f.ok and f.box and label in ("", f.label))
    return tuple(dict.fromkeys(boxes))


def places_of(
    boxes: Iterable[Box], size: tuple[int, int], frame: tuple[int, ...]
) -> Iterator[Place]:
    """Each box that lies in the (h, w) frame whole, brought to ``size``, width and height."""
    width, height = size
    for x1, y1, x2, y2 in boxes:
        inside = min(x1, y1, frame[1] - x2, frame[0] - y2) >= EDGE_PX
        if inside and x2 - x1 >= 1 and y2 - y1 >= 1:
            across, down = (x2 - x1) / width, (y2 - y1) / height
            yield Place(np.array([(across, 0.0, x1), (0.0, down, y1)]), size)


def around(rois: Sequence[AnyBox]) -> AnyBox:
    """The smallest ROI, or box, that holds them all."""
    left, top, right, bottom = zip(*rois, strict=True)
    return (min(left), min(top), max(right), max(bottom))


def as_taught(pixels: Pixels, place: Place, rois: Sequence[Roi], spare: Pixels | None) -> Pixels:
    """The frame as the following step was taught it; a cut-out is a view, a turned one a copy.

    Only what lies around ``rois``, none being all, is turned back, the rest of the picture is
    undefined. ``spare`` is an earlier answer that may be overwritten. Raises ``Unjudged`` when the
    place, or one of the ROIs, is not in the frame.
    """
    height, width = pixels.shape[:2]
    if place.box is not None and place.size is not None:
        x, y = int(place.matrix[0, 2]), int(place.matrix[1, 2])
        x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + place.size[0], width), y + place.size[1]
        if x1 >= x2 or y1 >= min(y2, height) or (x1, y1) != (x, y):
            raise Unjudged(f"the place to look at, x {x} y {y}, is not in the picture")
        return pixels[y1 : min(y2, height), x1:x2]
    w, h = place.size or (width, height)
    x1, y1, x2, y2 = whole = around(rois) if rois else (0, 0, w, h)
    if x2 > w or y2 > h:
        raise Unjudged(f"ROI {list(whole)} reaches outside the {w}x{h} taught picture")
    if not rois and place.part:  # who looks at all of the picture looks at all of the part
        rois = (place.part,)
    if rois and not _is_seen(around(rois), place, width, height):
        for roi in rois:
            if not _is_seen(roi, place, width, height):
                what = f"the part stands so that ROI {list(roi)} lies partly out of the frame"
                raise Unjudged(what)
    shape = (h, w, *pixels.shape[2:])
    if spare is None or spare.shape != shape:
        spare = np.zeros(shape, np.uint8)
    matrix = place.matrix.copy()
    matrix[:, 2] = place.points(np.array([(x1, y1)]))[0]
    cut = cv2.warpAffine(
        pixels,
        matrix,
        (x2 - x1, y2 - y1),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    spare[y1:y2, x1:x2] = cut
    return spare


def _is_seen(roi: Roi, place: Place, width: int, height: int) -> bool:
    """Whether all of a taught ROI lies in the frame."""
    x1, y1, x2, y2 = place.around((roi[0], roi[1], roi[2] - 1, roi[3] - 1))
    return x1 >= -1 and y1 >= -1 and x2 <= width and y2 <= height


def in_frame(findings: Iterable[Finding], place: Place) -> list[Finding]:
    """Findings of a step that looked at a taught picture, box and outline in the frame's pixels."""
    return [
        f
        if f.box is None
        else replace(f, box=place.around(f.box), outline=_moved(f.outline, place))
        for f in findings
    ]


def _moved(outline: Outline, place: Place) -> Outline:
    rings = [np.rint(place.points(np.array(ring))).astype(int).clip(0, 65535) for ring in outline]
    return tuple(tuple((int(x), int(y)) for x, y in ring) for ring in rings)
