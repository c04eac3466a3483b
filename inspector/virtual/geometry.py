"""Where things are on the virtual line, and how a bottle's surface falls onto the two pictures.

Three frames of reference: *label* (millimetre-like units on the unrolled label, x to the right of
its middle, y as in the local frame, before perspective), *local* (pixels of the side view with the
bottle standing at its nominal place), and the *picture* of a view. Imported by the renderer, the
training scripts and tests; the ROIs are what a recipe of the virtual line writes down.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.part import Box

Points = NDArray[Any]
"""``(n, 2)``: x, y."""

SIDE_SIZE = (640, 480)
CODE_SIZE = (320, 240)
"""Width, height of the close-up of the print."""

AXIS_X = 320.0
"""The bottle's axis in the side view when it stands at its nominal place."""
EYE_Y = 240.0
"""The height of the side camera's optical axis."""
PERSPECTIVE = 0.06
"""Body radius by camera distance: how much nearer parts are drawn larger."""
RADIUS = 100.0
"""The body's radius: one label unit is one side pixel at the silhouette."""

CANVAS = (170, 0, 470, 480)
"""The part of the side view that a bottle can touch, at its nominal place."""

CAP_TOP, CAP_BOTTOM = 25.0, 71.0
RING_BOTTOM = 81.0
CAP_RADIUS, RING_RADIUS, NECK_RADIUS = 49.0, 47.5, 40.0
COLLAR_TOP, COLLAR_BOTTOM, COLLAR_RADIUS = 85.0, 91.0, 48.0
SHOULDER_TOP, SHOULDER_BOTTOM = 96.0, 188.0
BASE_TOP, BASE_BOTTOM = 414.0, 440.0
FILL_Y = 132.0
"""The nominal level of the liquid."""

LABEL_TOP, LABEL_BOTTOM = 204.0, 384.0
LABEL_HALF = 190.0
"""Half of the drawn width of the label, beyond what the camera can see."""
LABEL_SCALE = 2
"""Texture pixels per label unit."""
LABEL_MARGIN = 24
"""Label units of bare bottle drawn above and below, so that a skewed label is not cut."""

FIELD = (-79.0, 298.0, 79.0, 362.0)
"""The clear field for the print, in label units."""
PRINT_X = -67.0
"""Where both lines of print begin."""
PRINT_Y = {"lot": 316.0, "date": 344.0}
"""The middle of each line of print, in label units."""
ADVANCE = 15.2
"""From one printed character to the next, in label units."""
PRINT_HEIGHT = 17.6

CODE_ZOOM = 1.667
"""Code view pixels per side view pixel."""
CODE_CENTRE = (0.0, 330.0)
"""The label point in the middle of the code view."""

SIDE_JITTER_PX = (8.0, 2.5)
"""A bottle stands this much off its nominal place at most (x, y)."""
CODE_JITTER_PX = (6.0, 3.5)
ROTATION_DEG = 0.7
PRINT_JITTER = 1.4
"""The printer misses its place on the label by this much at most, in label units."""


def project(points: Points) -> Points:
    """Label points to local points: wrapped around the body and seen in perspective."""
    angle = points[:, 0] / RADIUS
    x = AXIS_X + RADIUS * np.sin(angle)
    y = EYE_Y + (points[:, 1] - EYE_Y) * (1 + PERSPECTIVE * np.cos(angle))
    return np.stack([x, y], 1).astype(np.float32)


def project_code(points: Points) -> Points:
    """Label points to the code view's picture, for a bottle at its nominal place."""
    x = CODE_SIZE[0] / 2 + CODE_ZOOM * RADIUS * np.sin((points[:, 0] - CODE_CENTRE[0]) / RADIUS)
    y = CODE_SIZE[1] / 2 + CODE_ZOOM * (1 + PERSPECTIVE) * (points[:, 1] - CODE_CENTRE[1])
    return np.stack([x, y], 1).astype(np.float32)


def outline(box: Box, steps: int = 9) -> Points:
    """Points all around a box, so that its image under a curved map can be bounded."""
    x1, y1, x2, y2 = box
    t = np.linspace(0, 1, steps)
    x, y = x1 + (x2 - x1) * t, y1 + (y2 - y1) * t
    sides = [(x, y * 0 + y1), (x, y * 0 + y2), (x * 0 + x1, y), (x * 0 + x2, y)]
    return np.concatenate([np.stack(side, 1) for side in sides]).astype(np.float32)


def bounds(points: Points, size: tuple[int, int]) -> Box:
    """The box around some points, cut at the picture's edges."""
    low, high = points.min(0), points.max(0)
    return (
        round(float(np.clip(low[0], 0, size[0])), 1),
        round(float(np.clip(low[1], 0, size[1])), 1),
        round(float(np.clip(high[0], 0, size[0])), 1),
        round(float(np.clip(high[1], 0, size[1])), 1),
    )


def transform(affine: NDArray[Any], points: Points) -> Points:
    """Points under a 2×3 affine."""
    moved: Points = points @ affine[:, :2].T + affine[:, 2]
    return moved.astype(np.float32, copy=False)


def line_box(name: str, length: int) -> Box:
    """The label box of a line of ``length`` characters: ``name`` is ``lot`` or ``date``."""
    y = PRINT_Y[name]
    width = length * ADVANCE - 2.6  # less the gap after the last character
    return (PRINT_X, y - PRINT_HEIGHT / 2, PRINT_X + width, y + PRINT_HEIGHT / 2)


def _roi(view: str, name: str, length: int) -> Box:
    size, jitter = (SIDE_SIZE, SIDE_JITTER_PX) if view == "side" else (CODE_SIZE, CODE_JITTER_PX)
    scale = 1.0 if view == "side" else CODE_ZOOM
    points = outline(line_box(name, length))
    x1, y1, x2, y2 = bounds(project(points) if view == "side" else project_code(points), size)
    # rotation about the picture's middle moves the line by sin(0.7°) × 100 px at most
    dx = jitter[0] + PRINT_JITTER * scale + 1.2
    dy = jitter[1] + PRINT_JITTER * scale + 1.0
    return (
        float(int(x1 - dx)),
        float(int(y1 - dy)),
        float(int(x2 + dx + 1)),
        float(int(y2 + dy + 1)),
    )


LOT_ROI = {view: _roi(view, "lot", 6) for view in ("side", "code")}
"""Where a lot of six characters can be, in each view."""
DATE_ROI = {view: _roi(view, "date", 9) for view in ("side", "code")}
"""Where a date such as ``16 NOV 26`` can be, in each view."""
REFERENCE_PATCH: dict[str, Box] = {"side": (22, 22, 50, 50), "code": (6, 6, 26, 26)}
"""A grey card fixed to the station in each view: it tells the light from the part."""
