"""How sharp a picture is, whichever way it came: from the archive, or from the display (S19)."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inspector.display import reduced
from inspector.part import Pixels
from inspector.quality.looks import look_at


def scene(blur_px: float, noise: float) -> Pixels:
    """A plain part before a plain ground, as a camera of 1.3 megapixels with this noise sees it."""
    drawn = np.full((1024, 1280), 110, np.uint8)
    cv2.circle(drawn, (640, 512), 256, 170, -1)
    seen = cv2.GaussianBlur(drawn.astype(np.float32), (0, 0), blur_px)
    noisy = seen + np.random.default_rng(1).normal(0, noise, seen.shape)
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def kept(pixels: Pixels, quality: int) -> Pixels:
    """What a JPEG of it gives back."""
    _, jpeg = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), np.uint8)


@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0, 4.0])
def test_the_line_shows_what_was_signed_whatever_the_cameras_noise(noise: float) -> None:
    """Behind each signed first article the lens had lost up to 85 % of its focus."""
    signed = look_at(reduced(kept(scene(1.2, noise), 92))).focus
    shown = look_at(kept(reduced(scene(1.2, noise)), 80)).focus
    blurred = look_at(kept(reduced(scene(2.4, noise)), 80)).focus
    assert 0.9 < shown / signed < 1.1
    assert blurred / signed < 0.8, "and one that has is seen through the noise"
