"""Pictures as the next line, lamp or lens might have shown them: one enters, a varied one leaves.

Imported by ``fit`` and the shipped models' own scripts. Every draw comes from the given generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from inspector.part import Pixels
from training.pictures import PAD, Picture, letterbox

VISIBLE = 0.75
"""An object of which less than this is still in the frame loses its label."""


@dataclass(frozen=True, slots=True)
class Variation:
    """How far a picture may be varied; zeros and the default leave it as it is."""

    plain: float = 0.0
    """Probability that a picture is only letterboxed: what a station sees is seen too."""
    zoom: tuple[float, float] = (1.0, 1.0)
    """Range of scale, after letterboxing."""
    shift: float = 0.0
    """Largest move, as a fraction of the frame."""
    turn: float = 0.0
    """Largest rotation in degrees."""
    flip: float = 0.0
    """Probability of mirroring left and right."""
    light: float = 0.0
    """Spread of brightness, contrast and gamma."""
    colour: float = 0.0
    """Spread of hue and saturation; at 1 any hue."""
    blur: float = 0.0
    """Probability of a lens or motion blur."""
    noise: float = 0.0
    """Largest sigma of sensor noise, in grey levels."""
    erase: float = 0.0
    """Probability that patches are covered by something else."""
    paint_out: int | None = None
    """Class of which single objects are painted over, and lose their label."""
    painted: float = 0.35
    """Probability that a picture with such objects has some painted over."""


def vary(picture: Picture, height: int, width: int, how: Variation, rng: Generator) -> Picture:
    """One variation of ``picture``, letterboxed into ``height`` x ``width`` pixels."""
    if rng.random() < how.plain:
        return letterbox(picture, height, width)
    if how.paint_out is not None and rng.random() < how.painted:
        picture = paint_out(picture, how.paint_out, rng)
    picture = _move(picture, height, width, how, rng)
    pixels = picture.pixels
    if rng.random() < how.erase:
        pixels = _erase(pixels, rng)
    if how.colour:
        pixels = _recolour(pixels, how.colour, rng)
    if how.light:
        pixels = _relight(pixels, how.light, rng)
    if rng.random() < how.blur:
        pixels = _blur(pixels, rng)
    if how.noise and rng.random() < 0.7:
        pixels = _add_noise(pixels, how.noise * rng.random(), rng)
    return Picture(pixels, picture.boxes, picture.labels, picture.group, picture.name)


def paint_out(picture: Picture, label: int, rng: Generator, chance: float = 0.6) -> Picture:
    """Some objects of ``label`` covered by what could be around them; at least one if there is any.

    The colours of the sides, of the object under it, of any place in the picture, a blend from
    edge to edge, or inpainting, so that the net learns the object and not the way it was hidden.
    """
    of_label = np.flatnonzero(picture.labels == label)
    if not len(of_label):
        return picture
    gone = of_label[rng.random(len(of_label)) < chance]
    if not len(gone):
        gone = rng.choice(of_label, 1)
    pixels = picture.pixels.copy()
    for index in gone:
        _cover(pixels, picture.boxes[index], rng)
    keep = np.setdiff1d(np.arange(len(picture.labels)), gone)
    return Picture(pixels, picture.boxes[keep], picture.labels[keep], picture.group, picture.name)


def _cover(pixels: Pixels, box: np.ndarray, rng: Generator) -> None:
    height, width = pixels.shape[:2]
    grow = rng.uniform(0.0, 0.15) * (box[2:] - box[:2])
    x1, y1 = np.maximum(np.floor(box[:2] - grow), 0).astype(int)
    x2, y2 = np.minimum(np.ceil(box[2:] + grow), (width, height)).astype(int)
    if x2 - x1 < 2 or y2 - y1 < 2:
        return
    patch = pixels[y1:y2, x1:x2]
    way = rng.integers(6)
    left, right = pixels[y1:y2, max(x1 - 3, 0)], pixels[y1:y2, min(x2 + 2, width - 1)]
    if way == 0:
        patch[:] = np.median(np.concatenate((left, right)), axis=0)
    elif way == 1:
        patch[:] = np.median(pixels[min(y2 + 3, height - 1), x1:x2], axis=0)
    elif way == 2:
        patch[:] = pixels[rng.integers(height), rng.integers(width)]
    elif way == 3:
        ramp = np.linspace(0, 1, x2 - x1, dtype=np.float32)[None, :, None]
        patch[:] = left[:, None] * (1 - ramp) + right[:, None] * ramp
    elif way == 4:
        patch[:] = rng.integers(0, 256, 3)
    else:
        margin = 8
        top, start = max(y1 - margin, 0), max(x1 - margin, 0)
        around = np.ascontiguousarray(pixels[top : y2 + margin, start : x2 + margin])
        mask = np.zeros(around.shape[:2], np.uint8)
        mask[y1 - top : y2 - top, x1 - start : x2 - start] = 255
        around = cv2.inpaint(around, mask, 3, cv2.INPAINT_TELEA)
        pixels[top : y2 + margin, start : x2 + margin] = around
    if rng.random() < 0.3:
        patch[:] = _add_noise(np.ascontiguousarray(patch), rng.uniform(2, 12), rng)


def _move(picture: Picture, height: int, width: int, how: Variation, rng: Generator) -> Picture:
    h, w = picture.pixels.shape[:2]
    factor = min(height / h, width / w) * rng.uniform(*how.zoom)
    angle = np.deg2rad(rng.uniform(-how.turn, how.turn))
    mirror = -1.0 if rng.random() < how.flip else 1.0
    linear = factor * np.array(
        [[mirror * np.cos(angle), -np.sin(angle)], [mirror * np.sin(angle), np.cos(angle)]]
    )
    aim = np.array([width, height]) * (0.5 + rng.uniform(-how.shift, how.shift, 2))
    matrix = np.column_stack((linear, aim - linear @ np.array([w / 2, h / 2])))
    # Shrinking by a plain warp would alias, which a station's area resize does not.
    source = picture.pixels
    if factor < 0.6:
        source = cv2.resize(source, (w // 2, h // 2), interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.diag([w / (w // 2), h / (h // 2), 1.0])
    pixels = cv2.warpAffine(source, matrix, (width, height), borderValue=(PAD,) * 3)
    if factor < 0.6:
        matrix = matrix @ np.diag([(w // 2) / w, (h // 2) / h, 1.0])
    boxes = picture.boxes
    if len(boxes):
        corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) @ matrix[:, :2].T
        corners = corners + matrix[:, 2]
        boxes = np.concatenate((corners.min(1), corners.max(1)), 1).astype(np.float32)
    inside = np.clip(boxes, 0, np.array([width, height] * 2, np.float32))
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    seen = (inside[:, 2:] - inside[:, :2]).prod(1) >= VISIBLE * area
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    for lost in boxes[~seen]:
        # What belongs to an object that left (the cap of a bottle) leaves with it.
        seen &= ~((middle > lost[:2]) & (middle < lost[2:])).all(1)
    return Picture(pixels, inside[seen], picture.labels[seen], picture.group, picture.name)


def _erase(pixels: Pixels, rng: Generator) -> Pixels:
    pixels = pixels.copy()
    height, width = pixels.shape[:2]
    for _ in range(rng.integers(1, 4)):
        h, w = rng.integers(4, max(height // 6, 5)), rng.integers(4, max(width // 6, 5))
        y, x = rng.integers(0, height - h), rng.integers(0, width - w)
        pixels[y : y + h, x : x + w] = (
            rng.integers(0, 256, 3)
            if rng.random() < 0.5
            else pixels[rng.integers(height), rng.integers(width)]
        )
    return pixels


def _recolour(pixels: Pixels, spread: float, rng: Generator) -> Pixels:
    hsv = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV)
    hue = int(rng.uniform(-90, 90) * spread)
    gain = 1 + rng.uniform(-0.6, 0.6) * min(spread * 2, 1)
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + hue) % 180
    hsv[..., 1] = cv2.convertScaleAbs(hsv[..., 1], alpha=gain)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


def _relight(pixels: Pixels, spread: float, rng: Generator) -> Pixels:
    level = np.arange(256, dtype=np.float32) / 255
    gamma = np.exp(rng.uniform(-spread, spread))
    contrast, lift = 1 + rng.uniform(-spread, spread), rng.uniform(-spread, spread) * 0.4
    tints = 1 + rng.uniform(-spread, spread, 3) * 0.25
    curve = ((level**gamma - 0.5) * contrast + 0.5 + lift)[:, None] * tints
    table = np.clip(curve * 255, 0, 255).astype(np.uint8)[None]
    return cv2.LUT(pixels, table)


def _blur(pixels: Pixels, rng: Generator) -> Pixels:
    if rng.random() < 0.5:
        return cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.6))
    reach = int(rng.integers(3, 8))
    kernel = np.zeros((reach, reach), np.float32)
    kernel[reach // 2] = 1 / reach
    return cv2.filter2D(pixels, -1, kernel)


def _add_noise(pixels: Pixels, sigma: float, rng: Generator) -> Pixels:
    bank = _grain(max(1, round(sigma * 2)))
    start = int(rng.integers(max(1, bank.size - pixels.size)))
    # Drawing noise anew costs more than all other variations together.
    grain = np.resize(bank[start : start + pixels.size], pixels.shape)
    return cv2.add(pixels, grain, dtype=cv2.CV_8U)


@lru_cache(maxsize=64)
def _grain(half_levels: int) -> NDArray[np.int16]:
    bank = np.random.default_rng(half_levels).standard_normal(1 << 20, np.float32)
    return np.round(bank * half_levels / 2).astype(np.int16)
