"""Rendered surfaces that tests teach and judge: good ones, and the same with a scratch."""

from __future__ import annotations

import cv2
import numpy as np

from inspector.part import Pixels


def surface(seed: int, size: tuple[int, int] = (160, 128), colour: bool = False) -> Pixels:
    """A brushed, unevenly lit plate of ``size`` (width, height)."""
    rng = np.random.default_rng(seed)
    width, height = size
    noise = rng.normal(0, 1, (height, width)).astype(np.float32)
    grain = cv2.GaussianBlur(noise, (0, 0), 4, sigmaY=0.6)
    plate = 120 + 10 * grain / grain.std() + np.linspace(-8, 8, width) * rng.uniform(-1, 1)
    plate = np.clip(plate * rng.uniform(0.95, 1.05) + rng.normal(0, 2, plate.shape), 0, 255)
    grey = plate.astype(np.uint8)
    if not colour:
        return grey
    return np.ascontiguousarray(np.stack([grey // 2, grey // 4 * 3, grey], 2))


def scratched(pixels: Pixels, start: tuple[int, int], end: tuple[int, int]) -> Pixels:
    """``pixels`` with a bright line."""
    spoilt = pixels.copy()
    tone = 255 if pixels.ndim == 2 else (255, 255, 255)
    cv2.line(spoilt, start, end, tone, 2, cv2.LINE_AA)
    return spoilt
