"""Self-made faults of conductors: a board's picture goes in, the same board with faults drawn on it
comes out, each with its box and its name.

Drawn as an etching or a scratch would leave them, strokes that wander, on any place of a real
picture, so that what surrounds them (rough edges, play, noise) is real. Each is named by what it
joins or cuts (``inspector.tools.traces``); one whose name depends on how far one follows the
conductors is not kept. Imported by scripts.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.traces import TOO_LITTLE, TOO_MUCH, Mask, trace_fault
from training.pictures import Picture

NAMES = (*TOO_LITTLE, *TOO_MUCH)
SIZES_PX = (3.0, 48.0)
"""How long a fault is …"""
ACROSS_PX = 120
"""… and how far one reaches at most that joins two conductors, or cuts one."""
STROKES_PX = (2, 7)
"""How thick its strokes are."""
APART_PX = 14
"""Faults are not drawn nearer to others than this."""
AROUND_PX = (8, 24)
"""How far conductors are followed for a name: both must say the same."""
LEAST_PX = 5
"""A fault of fewer pixels is none, and fewer shared ones are no contact."""
TRIES = 30


def with_faults(
    pixels: Pixels, truth: Picture, names: tuple[str, ...], dark: bool, margin_px: int,
    count: int, rng: Generator,
) -> tuple[Pixels, Picture]:  # fmt: skip
    """``count`` faults, or as many as there is room for, drawn on a grey board beside its own.

    ``truth`` names the board's faults by their number in ``names``, which are those of ``traces``
    in any order; boxes reach ``margin_px`` beyond what was drawn, as ``truth``'s do.
    """
    drawn = pixels.copy()
    bound, _ = cv2.threshold(pixels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    copper = pixels <= bound if dark else pixels > bound
    tones = [_tone(pixels, copper, 0), _tone(pixels, ~copper, 255)]
    taken = np.zeros(copper.shape, bool)
    for x1, y1, x2, y2 in truth.boxes.astype(int):
        taken[max(0, y1 - APART_PX) : y2 + APART_PX, max(0, x1 - APART_PX) : x2 + APART_PX] = True
    boxes, labels = [*truth.boxes], [*truth.labels]
    height, width = copper.shape
    for _ in range(count):
        name = NAMES[rng.integers(len(NAMES))]
        spot = _fault(copper, taken, name, rng)
        if spot is None:
            continue
        y, x = np.nonzero(spot)
        x1, y1, x2, y2 = int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1
        alpha = cv2.GaussianBlur(spot.astype(np.float32), (3, 3), 0.6)
        tone = tones[0] if name in TOO_MUCH else tones[1]
        drawn = np.asarray(drawn + (tone - drawn) * alpha, np.uint8)
        far = APART_PX + margin_px
        taken[max(0, y1 - far) : y2 + far, max(0, x1 - far) : x2 + far] = True
        boxes.append(
            np.array([
                max(0, x1 - margin_px), max(0, y1 - margin_px),
                min(width, x2 + margin_px), min(height, y2 + margin_px),
            ], np.float32)
        )  # fmt: skip
        labels.append(np.int64(names.index(name)))
    return drawn, Picture(
        truth.pixels, np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64),
        truth.group, truth.name,
    )  # fmt: skip


def _tone(pixels: Pixels, where: Mask, otherwise: float) -> float:
    return float(np.median(pixels[where])) if where.any() else otherwise


def _fault(copper: Mask, taken: Mask, name: str, rng: Generator) -> Mask | None:
    """Where ``copper`` changes by a fault of this name; None where no place was found for one."""
    # The second three are the first three with copper and gap exchanged.
    solid = copper if name in TOO_MUCH else ~copper
    kind = (TOO_MUCH if name in TOO_MUCH else TOO_LITTLE).index(name)
    inside = solid.astype(np.uint8)
    if kind == 0:
        room: Any = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
        places = np.argwhere((room > 6) & ~taken)
    else:
        rim = solid & (cv2.erode(inside, np.ones((3, 3), np.uint8)) == 0)
        places = np.argwhere(rim & ~taken)
    if not len(places):
        return None
    for _ in range(TRIES):
        y, x = (int(v) for v in places[rng.integers(len(places))])
        path = _path(solid, x, y, kind, rng)
        if path is None:
            continue
        stroke = np.zeros(solid.shape, np.uint8)
        thick = int(rng.integers(STROKES_PX[0], STROKES_PX[1] + 1))
        cv2.polylines(stroke, [np.round(path * 16).astype(np.int32)], False, 1, thick, shift=4)
        if kind < 2 and rng.random() < 0.4:
            centre = tuple(int(v) for v in np.round(path[rng.integers(len(path))]))
            cv2.circle(stroke, centre, int(rng.integers(1, 5)), 1, -1)
        spot = (stroke > 0) & ~solid
        if spot.sum() < LEAST_PX or (spot & taken).any():
            continue
        if all(_named(solid | spot, solid, spot, around) == kind for around in AROUND_PX):
            return np.asarray(spot)
    return None


def _named(now: Mask, then: Mask, spot: Mask, around: int) -> int:
    """0 an island, 1 grown onto one conductor, 2 joins two; as far as ``around`` pixels tell."""
    y, x = np.nonzero(spot)
    cut = (
        slice(max(0, int(y.min()) - around), int(y.max()) + around + 1),
        slice(max(0, int(x.min()) - around), int(x.max()) + around + 1),
    )
    return TOO_MUCH.index(trace_fault(now[cut], then[cut], spot[cut], 1))


def _path(solid: Mask, x: int, y: int, kind: int, rng: Generator) -> NDArray[np.float64] | None:
    """A wandering line: of an island about x, y; else from the rim at x, y outwards."""
    length = float(np.exp(rng.uniform(*np.log(SIZES_PX))))
    angle = float(rng.uniform(0, 2 * np.pi))
    back = 0.0
    if kind:
        y1, x1 = max(0, y - 4), max(0, x - 4)
        near = solid[y1 : y + 5, x1 : x + 5]
        middle = np.argwhere(near).mean(0) + np.array([y1, x1])
        if not near.all() and np.hypot(*(middle - (y, x))) > 0.3:
            angle = math.atan2(y - middle[0], x - middle[1]) + float(rng.normal(0, 0.35))
        back = 2.0
    if kind == 2:
        reach = _across(solid, x, y, angle)
        if reach is None:
            return None
        length = reach + 2.0
    steps = max(2, round(length / 3))
    along = np.linspace(-back, length, steps)
    aside = np.cumsum(rng.normal(0, 0.7, steps)) if kind < 2 else rng.normal(0, 0.8, steps)
    aside -= aside[0]
    way = np.stack([along, aside], 1)
    c, s = math.cos(angle), math.sin(angle)
    return np.asarray(way @ np.array([(c, s), (-s, c)]) + (x, y))


def _across(solid: Mask, x: int, y: int, angle: float) -> float | None:
    """How far it is from the rim over what is not solid to what is again."""
    height, width = solid.shape
    left = False
    for far in range(1, ACROSS_PX):
        u, v = round(x + far * math.cos(angle)), round(y + far * math.sin(angle))
        if not (0 <= u < width and 0 <= v < height):
            return None
        if not solid[v, u]:
            left = True
        elif left:
            return float(far)
    return None
