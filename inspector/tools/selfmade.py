"""Good pictures go in, the same with a defect that nobody had to wait for comes out, and where.

Seven kinds that cover what surfaces suffer: a piece of another good part blended in (after NSA,
Schlüter et al. 2022, and CutPaste, Li et al. 2021), a stain with a ragged edge (Perlin-like masks,
after DRAEM, Zavrtanik et al. 2021), a scratch, a crack, a dent, a speck, a worn spot. They judge
which way of looking suits a product that has no defects yet, and ``training fit anomaly`` learns
from them. They are never what accuracy is reported on. Imported by who teaches and by ``training``.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.step import bgr_of, grey_of

KINDS = ("piece", "stain", "scratch", "crack", "dent", "speck", "worn")
Mask = NDArray[np.float32]


def spoilt(
    good: Pixels, other: Pixels, rng: np.random.Generator, strength: float = 1.0
) -> tuple[Pixels, Mask]:
    """``good`` with one defect, and how much of it is on each pixel, (h, w) in 0..1.

    ``other`` gives the pieces: another good picture, of any size. ``strength`` scales contrasts.
    """
    picture: Any = good.astype(np.float32)
    height, width = good.shape[:2]
    reach = min(height, width)
    mask: Any
    kind: str = KINDS[int(rng.integers(len(KINDS)))]
    x, y = rng.uniform(0.06, 0.94) * width, rng.uniform(0.06, 0.94) * height
    # Contrasts are in units of the picture's own grain, and never below what an eye can see.
    grain = float(np.median(np.abs(picture - cv2.GaussianBlur(picture, (0, 0), 6)))) * 1.48
    contrast = strength * max(5.0, grain) * float(np.exp(rng.uniform(0.1, 1.6)))
    sign = rng.choice([-1.0, 1.0])
    if kind == "piece":
        return _piece(picture, other, rng, (x, y), reach)
    if kind == "worn":
        mask = _ragged(rng, height, width, (x, y), reach * rng.uniform(0.02, 0.08))
        smooth = cv2.GaussianBlur(picture, (0, 0), rng.uniform(1.2, 4))
        return _mixed(picture, smooth, mask), mask
    if kind == "stain":
        mask = _ragged(rng, height, width, (x, y), reach * rng.uniform(0.015, 0.1))
    elif kind in ("scratch", "crack"):
        mask = _line(rng, height, width, (x, y), reach, 0.06 if kind == "scratch" else 0.5)
        sign, contrast = (-1.0 if kind == "crack" else sign), contrast * 1.5
    elif kind == "speck":
        mask = np.zeros((height, width), np.float32)
        sides = [max(1, round(v)) for v in rng.uniform(1, max(2.0, reach * 0.02), 2)]
        at = (round(x), round(y))
        cv2.ellipse(mask, at, sides, float(rng.uniform(0, 180)), 0, 360, 1.0, -1, cv2.LINE_AA)
        mask, contrast = cv2.GaussianBlur(mask, (0, 0), 0.7), contrast * 1.5
    else:
        mask, shade = _dent(rng, height, width, (x, y), reach)
        return _toned(picture, shade * contrast * 1.6, rng), mask
    return _toned(picture, mask * (sign * contrast), rng), mask


def _toned(picture: Any, change: Any, rng: np.random.Generator) -> Pixels:
    if picture.ndim == 3:
        change = change[:, :, None] * rng.uniform(0.6, 1.2, 3).astype(np.float32)
    return np.asarray(np.clip(picture + change, 0, 255), np.uint8)


def _mixed(picture: Any, with_: Any, mask: Any) -> Pixels:
    share = mask[:, :, None] if picture.ndim == 3 else mask
    return np.asarray(np.clip(picture * (1 - share) + with_ * share, 0, 255), np.uint8)


def _piece(
    picture: Any, other: Pixels, rng: np.random.Generator, at: tuple[float, float], reach: int
) -> tuple[Pixels, Mask]:
    height, width = picture.shape[:2]
    other = bgr_of(other) if picture.ndim == 3 else grey_of(other)
    long = rng.uniform(0.05, 0.3) * reach
    thin = long * (rng.uniform(0.06, 0.2) if rng.random() < 0.4 else rng.uniform(0.4, 1))
    w, h = max(4, round(long)), max(4, round(thin))
    if rng.random() < 0.5:
        w, h = h, w
    w, h = min(w, width, other.shape[1]), min(h, height, other.shape[0])
    sx = int(rng.integers(0, other.shape[1] - w + 1))
    sy = int(rng.integers(0, other.shape[0] - h + 1))
    piece = other[sy : sy + h, sx : sx + w].astype(np.float32)
    turn = int(rng.integers(1, 4))
    piece = np.rot90(piece, turn if w == h else 2 * (turn % 2), (0, 1))
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    left, top = (
        int(np.clip(at[0] - w / 2, 0, width - w)),
        int(np.clip(at[1] - h / 2, 0, height - h)),
    )
    soft = np.zeros((h, w), np.float32)
    cv2.ellipse(
        soft, (w // 2, h // 2), (max(1, w // 2 - 1), max(1, h // 2 - 1)), 0, 0, 360, 1.0, -1
    )
    soft = cv2.GaussianBlur(soft, (0, 0), max(0.6, 0.06 * min(w, h)))
    under = picture[top : top + h, left : left + w]
    if rng.random() < 0.6:  # as Poisson blending does: the piece's grain, the place's tone
        piece = piece + (under.mean((0, 1)) - piece.mean((0, 1)))
    mask = np.zeros((height, width), np.float32)
    mask[top : top + h, left : left + w] = soft
    whole = picture.copy()
    whole[top : top + h, left : left + w] = piece
    return _mixed(picture, whole, mask), mask


def _ragged(
    rng: np.random.Generator, height: int, width: int, at: tuple[float, float], radius: float
) -> Mask:
    radius = max(3.0, radius)
    long = radius * rng.uniform(1, 3)
    turn = rng.uniform(0, np.pi)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    along = (columns - at[0]) * np.cos(turn) + (rows - at[1]) * np.sin(turn)
    across = (rows - at[1]) * np.cos(turn) - (columns - at[0]) * np.sin(turn)
    away = (along / long) ** 2 + (across / radius) ** 2
    steps = max(2, round(height / radius)), max(2, round(width / radius))
    noise = cv2.resize(
        rng.normal(0, 0.5, steps).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    mask = np.clip(2.0 * (1.1 - away + noise * (away < 4)), 0, 1).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.0), np.float32)


def _line(
    rng: np.random.Generator,
    height: int,
    width: int,
    at: tuple[float, float],
    reach: int,
    bend: float,
) -> Mask:
    length = rng.uniform(0.06, 0.35) * reach
    heading = rng.uniform(0, 2 * np.pi)
    points = [at]
    for _ in range(14):
        heading += rng.normal(0, bend)
        x, y = points[-1]
        points.append((x + length / 14 * np.cos(heading), y + length / 14 * np.sin(heading)))
    mask = np.zeros((height, width), np.float32)
    eighths = np.round(np.array(points) * 8).astype(np.int32)
    thick = int(rng.integers(1, 3 if reach < 300 else 4))
    cv2.polylines(mask, [eighths], False, 1.0, thick, cv2.LINE_AA, 3)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.6), np.float32)


def _dent(
    rng: np.random.Generator, height: int, width: int, at: tuple[float, float], reach: int
) -> tuple[Mask, Mask]:
    radius = max(3.0, rng.uniform(0.015, 0.06) * reach)
    light = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    dx, dy = (columns - at[0]) / radius, (rows - at[1]) / radius
    hill = np.exp(-(dx**2 + dy**2))
    shade = hill * (dx * np.cos(light) + dy * np.sin(light)) * 2
    return np.clip(hill * 1.5, 0, 1).astype(np.float32), shade.astype(np.float32)
