"""A picture and places to look at go in; edges, lines, circles to a fraction of a pixel come out.

A caliper averages grey levels across its width and looks along its length for the place where they
change fastest: the peak of the profile's derivative after smoothing by a Gaussian (J. Canny, 1986),
refined by a parabola. Imported by ``measure`` and ``shape``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.place import Points
from inspector.tools.step import Unjudged, grey_of

Floats = NDArray[Any]
Polarity = Literal["any", "rising", "falling"]
Which = Literal["strongest", "first", "last"]

STEP = 0.5
"""Pixels from one sample of a profile to the next: at 1.0 the parabola is off by up to 0.04 px."""
SIGMA = 1.2
"""Smoothing in pixels."""
AGREE_PX = 1.0
"""Calipers this far from a line may still have seen it: beyond what noise, a rough edge and a bend
do, and nearer than two edges that the smoothing tells apart."""
SETTLED = 1e-6
"""Radians by which a line still turns when it is found: 0.0001 px at the end of 200 px."""
PAIRED = 24
"""Points at most that are paired for a first line: 276 pairs cost 0.05 ms."""


@dataclass(frozen=True, slots=True)
class Line:
    """A fitted straight line."""

    point: Floats
    """(2,), the middle of the points it was fitted to."""
    along: Floats
    """(2,), its direction, a unit vector."""


@dataclass(frozen=True, slots=True)
class Circle:
    """A fitted circle."""

    centre: Floats
    """(2,)"""
    radius: float


def edges(
    pixels: Pixels,
    starts: Points,
    ends: Points,
    width: float,
    polarity: Polarity,
    which: Which,
    contrast: float,
) -> tuple[Points, NDArray[np.bool_]]:
    """The edge that each of n calipers of one length sees between its start and its end, (n, 2) in
    pixels, and which calipers saw one.

    ``contrast`` is in grey levels of a sharp step; ``rising`` is from dark to bright. Raises
    ``Unjudged`` where a caliper reaches outside the picture.
    """
    _check_inside(pixels, starts, ends, width)
    reach = ends - starts
    length = float(np.hypot(*reach[0]))
    along = reach / length
    across = np.stack([-along[:, 1], along[:, 0]], 1)
    margin = 4 * SIGMA
    s = np.arange(-margin, length + margin + STEP, STEP)
    w = np.arange(max(1, round(width))) - (max(1, round(width)) - 1) / 2
    spots = (
        starts[:, None, None]
        + s[None, :, None, None] * along[:, None, None]
        + w[None, None, :, None] * across[:, None, None]
    )
    profiles = _sampled(pixels, spots).mean(2)
    slopes = _derivative(profiles)
    rank: Floats = {"any": np.abs, "rising": np.positive, "falling": np.negative}[polarity](slopes)
    inner = slice(int(margin / STEP), len(s) - int(margin / STEP))
    peaks: Floats = np.zeros_like(rank, dtype=bool)
    peaks[:, 1:-1] = (rank[:, 1:-1] >= rank[:, :-2]) & (rank[:, 1:-1] > rank[:, 2:])
    allowed = np.zeros_like(peaks)
    allowed[:, inner] = True
    peaks &= allowed & (rank >= contrast)
    if which == "first":
        at = np.argmax(peaks, 1)
    elif which == "last":
        at = peaks.shape[1] - 1 - np.argmax(peaks[:, ::-1], 1)
    else:
        at = np.argmax(np.where(peaks, rank, -1), 1)
    found: NDArray[np.bool_] = np.asarray(peaks.any(1))
    rows = np.arange(len(at))
    at = np.clip(at, 1, rank.shape[1] - 2)
    off = vertex(rank[rows, at - 1], rank[rows, at], rank[rows, at + 1])
    place = s[0] + (at + off) * STEP
    return starts + place[:, None] * along, found


def vertex(before: Floats, top: Floats, after: Floats) -> Floats:
    """How far beyond the middle one of three samples the parabola through them has its peak, in
    samples; 0 where it has none."""
    bend = before - 2 * top + after
    return np.asarray(np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1), 0))


def agreeing(points: Points) -> Floats:
    """Which of (n, 2) points, in pixels, lie on the line through two of them that goes through
    most: 1 or 0. A fit that begins with these is not pulled between two edges, where none is."""
    spread = points[:: math.ceil(len(points) / PAIRED)]
    one, other = np.triu_indices(len(spread), 1)
    arm = spread[other] - spread[one]
    length = np.hypot(arm[:, 0], arm[:, 1])
    arm, start = arm[length > 0] / length[length > 0, None], spread[one][length > 0]
    if not len(arm):
        return np.ones(len(points))
    normal = np.stack([-arm[:, 1], arm[:, 0]], 1)
    off: Floats = normal @ points.T - (normal * start).sum(1)[:, None]
    agree = np.clip(1 - np.square(off / AGREE_PX), 0, None)
    return np.asarray(agree[np.argmax(agree.sum(1))] > 0, np.float64)


def fit_line(points: Points, taught: Floats, weight: Floats | None = None) -> Line:
    """The line through (n, 2) points, n >= 2, outliers weighed down (Tukey); it runs the way that
    ``taught``, a direction, does. ``weight``, (n,), is what each counts at first."""
    weight = np.ones(len(points)) if weight is None else weight
    middle, along = points.mean(0), taught
    for again in range(8):
        total = weight.sum()
        if total < 2:
            break
        middle = weight @ points / total
        arm = points - middle
        (xx, xy), (_, yy) = ((arm * weight[:, None]).T @ arm).tolist()
        turn = 0.5 * math.atan2(2 * xy, xx - yy)  # of the longer axis of their scatter
        before, along = along, np.array([math.cos(turn), math.sin(turn)])
        if again and abs(float(before[0] * along[1] - before[1] * along[0])) < SETTLED:
            break
        weight = _tukey(arm @ np.array([-along[1], along[0]]))
    return Line(middle, along if along @ taught >= 0 else -along)


def fit_circle(points: Points) -> Circle | None:
    """The circle through (n, 2) points, n >= 3, outliers weighed down; None where they are on a
    line. Algebraic start (I. Kåsa, 1976), then geometric least squares."""
    weight = np.ones(len(points))
    centre, radius = points.mean(0), 0.0
    for turn in range(10):
        if turn == 0:
            arm = points - centre
            system = np.hstack([2 * arm, np.ones((len(arm), 1))])
            answer, _, rank, _ = np.linalg.lstsq(system, (arm**2).sum(1), rcond=1e-9)
            square = answer[2] + answer[0] ** 2 + answer[1] ** 2
            if rank < 3 or square <= 0:
                return None
            centre, radius = centre + answer[:2], math.sqrt(square)
        arm = points - centre
        far = np.maximum(np.hypot(arm[:, 0], arm[:, 1]), 1e-9)
        weight = _tukey(far - radius)
        system = np.hstack([-arm / far[:, None], -np.ones((len(arm), 1))]) * weight[:, None]
        step, _, rank, _ = np.linalg.lstsq(system, -(far - radius) * weight, rcond=1e-9)
        if rank < 3:
            return None
        centre, radius = centre + step[:2], radius + float(step[2])
        if np.abs(step).max() < 1e-6:
            break
    return Circle(centre, radius) if radius > 0 else None


def _tukey(residual: Floats) -> Floats:
    spread = 1.4826 * float(np.median(np.abs(residual)))
    limit = max(4.685 * spread, 1e-6)
    weight: Floats = np.square(np.clip(1 - np.square(residual / limit), 0, 1))
    return weight


def _derivative(profiles: Floats) -> Floats:
    """The smoothed derivative, scaled so that a sharp step of 1 peaks at 1."""
    sigma = SIGMA / STEP
    half = math.ceil(3.5 * sigma)
    x = np.arange(-half, half + 1, dtype=np.float64)
    # OpenCV's filter is a correlation: brighter to the right counts positive
    bell: Floats = x * np.exp(-(x**2) / (2 * sigma**2))
    kernel = bell / bell[half:].sum()
    return np.asarray(
        cv2.filter2D(profiles, cv2.CV_64F, kernel[None], borderType=cv2.BORDER_REPLICATE)
    )


def _check_inside(pixels: Pixels, starts: Points, ends: Points, across: float) -> None:
    """Raises ``Unjudged``; also for places that are no places, and calipers without a length."""
    height, width = pixels.shape[:2]
    every = np.concatenate([starts, ends])
    low, high = every.min(0), every.max(0)
    inside = bool((low >= 0).all() and high[0] <= width - 1 and high[1] <= height - 1)
    if not inside or not across <= width + height:  # also for what is not a number
        where = ", ".join(f"{v:.0f}" for v in (*low, *high))
        raise Unjudged(f"a caliper at [{where}] reaches outside the {width}x{height} picture")
    if math.dist(starts[0], ends[0]) < 1:
        raise Unjudged("a caliper is shorter than a pixel: the part it follows seems too small")


def _sampled(pixels: Pixels, spots: Floats) -> Floats:
    flat = spots.reshape(-1, 2)
    x1, y1 = np.maximum(np.floor(flat.min(0)).astype(int) - 1, 0)
    x2, y2 = np.ceil(flat.max(0)).astype(int) + 2
    cut = pixels[y1:y2, x1:x2]
    maps = np.zeros((2, -(-len(flat) // 256), 256), np.float32)
    maps.reshape(2, -1)[:, : len(flat)] = (flat - (x1, y1)).T
    seen = cv2.remap(
        grey_of(cut).astype(np.float32),
        maps[0],
        maps[1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(seen, np.float64).reshape(-1)[: len(flat)].reshape(spots.shape[:-1])
