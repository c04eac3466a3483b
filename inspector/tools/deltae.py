"""Colours go in as camera pixels, their CIE coordinates and differences come out.

sRGB after IEC 61966-2-1, CIELAB (D65, 2°) after ISO/CIE 11664-4, the difference after ISO/CIE
11664-6 (CIEDE2000). Imported by ``colour``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TO_XYZ = np.array(
    [
        (0.4124564, 0.3575761, 0.1804375),
        (0.2126729, 0.7151522, 0.0721750),
        (0.0193339, 0.1191920, 0.9503041),
    ]
)
_WHITE = _TO_XYZ.sum(1)


def linear_of(encoded: Floats) -> Floats:
    """sRGB values 0..1 as light, 0..1."""
    low = encoded / 12.92
    high = np.power(np.maximum(encoded + 0.055, 0) / 1.055, 2.4)
    return np.asarray(np.where(encoded <= 0.04045, low, high))


def lab_of(rgb: Floats) -> Floats:
    """CIELAB of linear RGB with sRGB's primaries, (..., 3), white at 1."""
    xyz = np.maximum(rgb @ _TO_XYZ.T, 0) / _WHITE
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def delta_e_2000(one: Sequence[float], other: Sequence[float]) -> float:
    """The CIEDE2000 difference of two CIELAB colours, weights kL = kC = kH = 1.

    G. Sharma, W. Wu, E. Dalal, "The CIEDE2000 color-difference formula: implementation notes,
    supplementary test data, and mathematical observations", Color Res. Appl. 30 (2005).
    """
    (l1, a1, b1), (l2, a2, b2) = ((float(v) for v in lab) for lab in (one, other))
    mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    grow = 1 + 0.5 * (1 - np.sqrt(mean7 / (mean7 + 25.0**7)))
    a1, a2 = a1 * grow, a2 * grow
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1 = np.degrees(np.arctan2(b1, a1)) % 360 if c1 else 0.0
    h2 = np.degrees(np.arctan2(b2, a2)) % 360 if c2 else 0.0
    turn = 0.0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    if turn == -180:  # opposite hues: the notes keep the sign of h2 - h1
        turn = h2 - h1
    hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    if c1 * c2 == 0:
        h = h1 + h2
    elif abs(h1 - h2) <= 180:
        h = (h1 + h2) / 2
    else:
        h = (h1 + h2 + (360 if h1 + h2 < 360 else -360)) / 2
    t = 1 - 0.17 * _cos(h - 30) + 0.24 * _cos(2 * h) + 0.32 * _cos(3 * h + 6)
    t -= 0.20 * _cos(4 * h - 63)
    s_l = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    rotation = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    rotation *= np.sin(np.radians(60 * np.exp(-(((h - 275) / 25) ** 2))))
    dl, dc, dh = (l2 - l1) / s_l, (c2 - c1) / s_c, hue / s_h
    return float(np.sqrt(max(0.0, dl * dl + dc * dc + dh * dh + rotation * dc * dh)))


def _cos(degrees: float) -> float:
    return float(np.cos(np.radians(degrees)))
