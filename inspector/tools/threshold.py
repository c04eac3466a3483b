"""Grey levels go in, what stands out comes out as a mask. Imported by ``blob`` and ``count``."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from inspector.config import Settings
from inspector.part import Pixels
from inspector.tools.step import grey_of


class Threshold(Settings):
    """What counts as an object."""

    tone: Literal["dark", "bright"] = "dark"
    """Objects are darker or brighter than what is around them."""
    method: Literal["otsu", "fixed", "local"] = "otsu"
    """``otsu``: the level between the two tones of the picture (N. Otsu, 1979). ``fixed``:
    ``level``. ``local``: ``contrast`` away from the mean of the surroundings."""
    level: int = Field(128, ge=0, le=255)
    """``fixed``: objects are below it (dark) or above it (bright)."""
    contrast: int = Field(25, ge=1, le=255)
    """Grey levels by which objects differ; with ``otsu``, where both tones are nearer to each other
    than this, there is nothing."""
    around_px: int = Field(51, ge=3, le=999)
    """``local``: side of the surroundings; larger than two objects."""


def stands_out(pixels: Pixels, threshold: Threshold) -> NDArray[np.uint8]:
    """255 where an object is, else 0, of the picture's height and width."""
    grey: Any = cv2.blur(grey_of(pixels), (3, 3))
    dark = threshold.tone == "dark"
    if threshold.method == "local":
        side = threshold.around_px | 1
        mean = cv2.blur(grey, (side, side), borderType=cv2.BORDER_REFLECT)
        off = cv2.subtract(mean, grey) if dark else cv2.subtract(grey, mean)
        return _mask(off >= threshold.contrast)
    level: float = threshold.level
    if threshold.method == "otsu":
        level, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        below = grey <= level
        if below.all() or not below.any():
            return np.zeros(grey.shape, np.uint8)
        low, high = float(grey[below].mean()), float(grey[~below].mean())
        if high - low < threshold.contrast:
            return np.zeros(grey.shape, np.uint8)
        # Otsu's level leans to the commoner tone; an object's rim lies half way.
        level = (low + high) / 2
    return _mask(grey < level if dark else grey > level)


def _mask(where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.asarray(where, np.uint8) * np.uint8(255)
