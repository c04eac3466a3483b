"""Pixels as cameras send them → grey or BGR, eight bits.

Enters: bytes in one of ``formats.py``'s formats. Leaves: ``Pixels``. Imports the nouns; the room's
receiver uses it.

Ten and twelve bits lose their lowest ones; nothing is scaled or rounded, so that a black stays
black and equal pixels stay equal. Bayer patterns are demosaiced bilinearly by OpenCV.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.cameras.formats import Packing, PixelFormat
from inspector.part import Area, Pixels

Bytes = NDArray[np.uint8]

_TO_BGR = {
    "RGB": cv2.COLOR_RGB2BGR,
    "RGBa": cv2.COLOR_RGBA2BGR,
    "BGRa": cv2.COLOR_BGRA2BGR,
    "GR": cv2.COLOR_BayerGRBG2BGR,
    "RG": cv2.COLOR_BayerRGGB2BGR,
    "GB": cv2.COLOR_BayerGBRG2BGR,
    "BG": cv2.COLOR_BayerBGGR2BGR,
}


def shape_of(form: PixelFormat, width: int, height: int) -> tuple[int, ...]:
    """Of a picture in ``form`` as grey, ``(height, width)``, or BGR, ``(height, width, 3)``."""
    return (height, width, 3) if form.channels == 3 else (height, width)


def empty(form: PixelFormat, width: int, height: int) -> Pixels:
    """An image for ``convert`` to fill, uint8."""
    return np.empty(shape_of(form, width, height), np.uint8)


def as_image(raw: Bytes, form: PixelFormat, width: int, height: int) -> Pixels:
    """``raw`` seen as the image that it is already (``form.ready``); nothing is copied."""
    return raw[: form.size(width, height)].reshape(shape_of(form, width, height))


def convert(
    raw: Bytes, form: PixelFormat, width: int, height: int, out: Pixels, area: Area | None = None
) -> Pixels:
    """``raw``, flat bytes of an image in ``form``, as grey or BGR in ``out``, which is returned.

    ``out`` is as ``empty`` makes it. With an ``area`` only that much of it need be filled, and is
    where that saves anything; the rest stays as it was. ``ValueError`` when there are fewer bytes
    than an image has.
    """
    size = form.size(width, height)
    if raw.size < size:
        raise ValueError(f"{raw.size} bytes are no {width}×{height} {form.name} of {size} bytes")
    raw = raw[:size]
    if form.ready:
        np.copyto(out, as_image(raw, form, width, height))
    elif form.layout == "grey":
        _to_eight_bits(raw, form, out.reshape(-1))
    else:
        if form.packing is Packing.BYTE:
            samples = raw.reshape(height, width, -1) if len(form.layout) > 2 else raw
        else:
            samples = np.empty(width * height, np.uint8)
            _to_eight_bits(raw, form, samples)
        shape = (height, width, len(form.layout)) if len(form.layout) > 2 else (height, width)
        seen = samples.reshape(shape)
        if area is not None:
            # The pattern's phase is kept, and its neighbours are there to interpolate from.
            x1, y1 = max(0, area[0] - 2) & ~1, max(0, area[1] - 2) & ~1
            x2, y2 = min(width, area[2] + 3 & ~1), min(height, area[3] + 3 & ~1)
            if x1 < x2 and y1 < y2:  # else it lies outside, which whoever looks there says
                seen, part = seen[y1:y2, x1:x2], out[y1:y2, x1:x2]
                cv2.cvtColor(seen, _TO_BGR[form.layout], dst=part)
        else:
            cv2.cvtColor(seen, _TO_BGR[form.layout], dst=out)
    return out


def _to_eight_bits(raw: Bytes, form: PixelFormat, out: Bytes) -> None:
    """The high eight bits of every sample; ``out`` is flat. The last group may be partly filled."""
    if form.packing is Packing.WORD:
        np.right_shift(raw.view("<u2"), form.bits - 8, out=out, casting="unsafe")
        return
    dense10 = form.packing is Packing.DENSE and form.bits == 10
    pixels, size = (4, 5) if dense10 else (2, 3)
    whole = out.size // pixels
    _unpack(raw[: whole * size], form, out[: whole * pixels])
    if rest := out.size - whole * pixels:
        group = np.zeros(size, np.uint8)
        group[: raw.size - whole * size] = raw[whole * size :]
        last = np.empty(pixels, np.uint8)
        _unpack(group, form, last)
        out[whole * pixels :] = last[:rest]


def _unpack(raw: Bytes, form: PixelFormat, out: Bytes) -> None:
    """Whole groups only."""
    if form.packing is Packing.GEV:
        out[0::2] = raw[0::3]
        out[1::2] = raw[2::3]
    elif form.bits == 12:
        out[0::2] = raw[0::3] >> 4 | raw[1::3] << 4
        out[1::2] = raw[2::3]
    else:
        for pixel in range(3):
            low, high = raw[pixel::5], raw[pixel + 1 :: 5]
            out[pixel::4] = low >> 2 * (pixel + 1) | high << 8 - 2 * (pixel + 1)
        out[3::4] = raw[4::5]
