"""Light, lens and sensor of the virtual cameras: gain, vignette, focus, motion, noise, Bayer.

Enters a clean picture; leaves what a machine-vision camera delivers of it. Imported by the renderer
and by the films.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mat = NDArray[Any]
"""A uint8 picture, BGR or grey; OpenCV's stubs do not say so."""
Floats = NDArray[Any]
"""float32; OpenCV's stubs do not say so."""

GAIN = 0.07
"""The light of a good part is off its nominal by this much at most."""
BLUR_PX = (0.35, 0.80)
"""Standard deviation of the lens's blur."""
MOTION_PX = (0.0, 1.6)
"""How far the belt moves a bottle during the exposure."""
SHOT_NOISE = (0.012, 0.04)
"""Variance of the noise per grey level: a sensor with 6,000 to 20,000 electrons at full scale."""
READ_NOISE = 0.8
"""Standard deviation in the dark, in grey levels."""


@dataclass(frozen=True, slots=True)
class Light:
    """How one exposure came out."""

    gain: float
    warmth: float
    """Red over blue, 0 is neutral."""
    vignette: float
    slope_x: float
    slope_y: float
    blur_px: float
    motion_px: float
    shot_noise: float


def draw_light(rng: np.random.Generator) -> Light:
    """The light of one exposure, within what a healthy station shows."""
    return Light(
        gain=1 + float(np.clip(rng.normal(0, 0.03), -GAIN, GAIN)),
        warmth=float(np.clip(rng.normal(0, 0.012), -0.03, 0.03)),
        vignette=float(rng.uniform(0.08, 0.22)),
        slope_x=float(rng.uniform(-0.06, 0.06)),
        slope_y=float(rng.uniform(-0.04, 0.04)),
        blur_px=float(rng.uniform(*BLUR_PX)),
        motion_px=float(rng.uniform(*MOTION_PX)),
        shot_noise=float(rng.uniform(*SHOT_NOISE)),
    )


@lru_cache(maxsize=4)
def _grid(width: int, height: int) -> tuple[Floats, Floats, Floats]:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x = (x / width - 0.5) * 2
    y = (y / height - 0.5) * 2
    return x, y, (x * x + y * y) / 2


@lru_cache(maxsize=1)
def _noise_bank() -> Floats:
    return np.random.default_rng(91).standard_normal(1 << 21, np.float32)


def noise(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Standard normal noise: a stretch of a fixed bank, because drawing costs 9 ms a frame."""
    bank = _noise_bank()
    size = int(np.prod(shape))
    if size > bank.size:
        return rng.standard_normal(shape, np.float32)
    start = int(rng.integers(bank.size - size + 1))
    return bank[start : start + size].reshape(shape)


def blurred(picture: Mat, light: Light, zoom: float = 1.0) -> Mat:
    """The picture through the lens, the belt moving to the right."""
    along = float(np.hypot(light.blur_px, light.motion_px / 3.46 * zoom))
    return cv2.GaussianBlur(picture, (7, 5), sigmaX=along, sigmaY=light.blur_px)


def exposed(raw: Mat, light: Light, rng: np.random.Generator) -> Mat:
    """One plane of the sensor: light falls on it unevenly, and it counts single photons."""
    height, width = raw.shape
    x, y, radius = _grid(width, height)
    gain = radius * np.float32(-light.vignette * light.gain)
    gain += x * np.float32(light.slope_x)
    gain += y * np.float32(light.slope_y)
    gain += np.float32(light.gain)
    level = raw * gain
    spread = np.sqrt(level * np.float32(light.shot_noise) + np.float32(READ_NOISE**2))
    spread *= noise(raw.shape, rng)
    level += spread
    level += np.float32(0.5)
    return np.clip(level, 0, 255, out=level).astype(np.uint8)


def mosaic(picture: Mat) -> Mat:
    """BGR to the BayerRG plane that the sensor samples (red at the top left)."""
    raw = np.empty(picture.shape[:2], np.uint8)
    raw[0::2, 0::2] = picture[0::2, 0::2, 2]
    raw[0::2, 1::2] = picture[0::2, 1::2, 1]
    raw[1::2, 0::2] = picture[1::2, 0::2, 1]
    raw[1::2, 1::2] = picture[1::2, 1::2, 0]
    return raw


def demosaic(raw: Mat) -> Mat:
    """BayerRG to BGR, bilinear: GenICam's RG is OpenCV's RGGB."""
    return cv2.cvtColor(raw, cv2.COLOR_BayerRGGB2BGR)


def colour_camera(picture: Mat, light: Light, rng: np.random.Generator) -> Mat:
    """A clean BGR picture to the BGR that the station works with, by way of a Bayer sensor."""
    raw = mosaic(blurred(picture, light)).astype(np.float32)
    raw[0::2, 0::2] *= 1 + light.warmth
    raw[1::2, 1::2] *= 1 - light.warmth
    return demosaic(exposed(raw, light, rng))


def grey_camera(picture: Mat, light: Light, rng: np.random.Generator, zoom: float) -> Mat:
    """A clean grey picture to that of a monochrome camera."""
    return exposed(blurred(picture, light, zoom), light, rng)
