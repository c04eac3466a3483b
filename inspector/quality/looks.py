"""What a picture looks like as a picture: how sharp, how bright.

Enters: JPEGs of the archive and of the display. Leaves: a `Look` for each view. ``process.py``
imports it.

Sharpness is the variance of the Laplacian over the picture's mean brightness squared, so that
more light is not mistaken for a better focus. It compares pictures of one product in one view, at
the size that a screen gets: a picture from the archive has all its pixels. Both are JPEGs, of two
qualities; what these make of a camera's noise is smoothed away before (`SMOOTHED`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from inspector.display import Message, reduced
from inspector.part import Pixels
from inspector.quality.first_article import Look
from inspector.store import ImageRecord

SMOOTHED = 1.5
"""σ in pixels of the Gauss filter before the Laplacian. Of a plain scene with a noise of 0.5 to 4
grey levels the display's picture (quality 80) had 0.15 to 0.82 of the sharpness of the archive's
(92) without it, and has 0.97 to 1.05 with it; a lens with twice the blur has 0.3 to 0.6 of a sharp
one's, where noise had hidden it (0.3 to 1.0). With σ 1 the two were 0.80 to 0.97."""


def look_at(pixels: Pixels) -> Look:
    """The look of one picture."""
    grey = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    light = float(cv2.mean(grey)[0])
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), SMOOTHED)
    # OpenCV's own sums take a quarter of numpy's time.
    _, spread = cv2.meanStdDev(cv2.Laplacian(smooth, cv2.CV_32F))
    return Look(float(spread[0, 0]) ** 2 / max(light, 1.0) ** 2, light)


def archived(data: Path, image: ImageRecord) -> Look | None:
    """The look of an archived picture; None if its file is gone or is no picture."""
    pixels = cv2.imread(str(data / image.path), cv2.IMREAD_GRAYSCALE)
    return None if pixels is None else look_at(reduced(np.asarray(pixels, np.uint8)))


def looks_of(message: Message) -> Mapping[str, Look]:
    """The looks of the pictures in a part's message, by view."""
    found = {}
    for view, jpeg in zip(message.body.get("views", ()), message.pictures, strict=True):
        pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
        if pixels is not None:
            found[str(view["name"])] = look_at(np.asarray(pixels, np.uint8))
    return found
