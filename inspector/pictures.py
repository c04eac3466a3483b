"""Picture files go in, their pixels come out as tools see them, or why a file is no picture.

Imports part alone; imported by whoever reads pictures from files: the offline inspection, teaching,
the folder camera, films.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspector.part import Pixels

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
"""What is taken from a folder; a file named by itself is tried whatever its name."""
DEPTHS = (8, 10, 12, 14, 16)
"""Bits of a sensor's values, which files of more than eight bits keep in sixteen."""


def is_picture(path: Path) -> bool:
    """Whether a file in a folder is taken for a picture: by its name's end; hidden ones are not,
    such as the ``._`` files that a Mac leaves beside each picture."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def images_in(folder: Path) -> list[Path]:
    """The pictures in ``folder`` and all folders below it, in the order of their names. A folder
    that cannot be read stands among them, for whoever reads it to be told."""
    found: list[Path] = []

    def closed(error: OSError) -> None:
        found.append(Path(error.filename))

    for inside, _, names in os.walk(folder, onerror=closed):
        found += filter(is_picture, (Path(inside, name) for name in names))
    return sorted(found)


def bits_of(images: Iterable[Path]) -> int | None:
    """How many bits the values of these pictures have, of those files that keep sixteen: the fewest
    of ``DEPTHS`` that hold the largest value of all; None where there is no such file.

    Of all of them together, so that a dark picture stays darker than a bright one. What cannot be
    read is passed over."""
    most = -1
    for path in images:
        if most >= 1 << DEPTHS[-2]:
            break
        if path.suffix.lower() not in _DEEP:
            continue
        try:
            data = path.read_bytes()
        except OSError:
            continue
        if data.startswith(_PNG) and data[24:25] != b"\x10":
            continue
        pixels = _decoded(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
        if pixels is not None and pixels.dtype == np.uint16:
            most = max(most, int(pixels.max()))
    if most < 0:
        return None
    return next(bits for bits in DEPTHS if most < 1 << bits)


def read_image(path: Path, bits: int = 16) -> tuple[Pixels | None, str]:
    """`image_of` what is in ``path``; a file that cannot be read is no picture either."""
    try:
        data = path.read_bytes()
    except IsADirectoryError:
        shut = "" if os.access(path, os.R_OK | os.X_OK) else ", and it cannot be read"
        return None, f"{path.name} is a folder{shut}"
    except OSError as error:
        return None, f"{path.name} cannot be read: {error.strerror or error}"
    return image_of(path, data, bits)


def image_of(path: Path, data: bytes, bits: int = 16) -> tuple[Pixels | None, str]:
    """The picture in a file's ``data``, grey (h, w) if it is stored so, else BGR (h, w, 3); or why
    not.

    Of ``bits`` that values of a file of sixteen bits have (``bits_of``), the high eight are kept.
    What a PNG, WebP or TIFF leaves transparent is white, as on paper.
    A truncated JPEG or PNG is refused: decoders fill what is missing with grey, and grey passes.
    """
    if not data:
        return None, f"{path.name} is empty"
    cut = _truncated(data)
    if cut:
        return None, f"{path.name} is truncated: {cut}"
    pixels = None
    if bits < DEPTHS[-1] and path.suffix.lower() in _DEEP:
        deep = _decoded(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
        if deep is not None and deep.dtype == np.uint16:
            pixels = np.minimum(deep >> (bits - 8), 255)
    if pixels is None and _may_be_transparent(data):
        pixels = _on_white(data)
    if pixels is None:
        pixels = _decoded(data, cv2.IMREAD_ANYCOLOR)
    if pixels is None:
        return None, f"{path.name} is no image that can be decoded"
    return np.ascontiguousarray(pixels, np.uint8), ""


def _decoded(data: bytes, how: int) -> Any:
    """What OpenCV makes of a file's bytes; None where it makes nothing of them."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    except cv2.error:
        return None
    return None if pixels is None or pixels.size == 0 else pixels


def _may_be_transparent(data: bytes) -> bool:
    if data.startswith(_PNG):
        return data[25:26] in (b"\4", b"\6") or b"tRNS" in data[: data.find(b"IDAT")]
    return data[:4] in (b"II*\0", b"MM\0*") or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def _on_white(data: bytes) -> Any:
    """A picture of which something is transparent, on white; None where nothing is."""
    layers: Any
    try:
        layers, kinds, chunks = cv2.imdecodeWithMetadata(
            np.frombuffer(data, np.uint8), flags=cv2.IMREAD_UNCHANGED
        )
    except cv2.error:
        return None
    if layers is None or layers.ndim != 3 or layers.shape[2] != 4:
        return None
    full = np.iinfo(layers.dtype).max
    if layers[..., 3].min() == full:
        return None
    share = layers[..., 3:].astype(np.float32) / full
    pixels = np.rint(255 * (layers[..., :3] / np.float32(full) * share + 1 - share))
    grey = data.startswith(_PNG) and data[25:26] in (b"\0", b"\4")
    pixels = (pixels[..., 0] if grey else pixels).astype(np.uint8)
    exif = [bytes(c) for k, c in zip(kinds, chunks, strict=True) if k == cv2.IMAGE_METADATA_EXIF]
    return _UPRIGHT.get(_orientation(exif[0]) if exif else 1, np.asarray)(pixels)


def _orientation(exif: bytes) -> int:
    """Tag 0x0112 of the first directory (Exif 2.32, 4.6.2), 1 where there is none: OpenCV turns a
    picture upright, but not one whose transparency is asked for."""
    order = "<" if exif[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        entries = [
            struct.unpack_from(f"{order}HHIH", exif, start + 2 + 12 * i) for i in range(count)
        ]
    except struct.error:
        return 1
    return next((value for tag, _, _, value in entries if tag == 0x0112), 1)


_UPRIGHT: dict[int, Callable[[Any], Any]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels.swapaxes(0, 1), 2),
    8: np.rot90,
}


_PNG = b"\x89PNG\r\n\x1a\n"
_DEEP = (".png", ".tif", ".tiff", ".pgm", ".ppm")
"""Files that may keep sixteen bits of a value."""


def _truncated(data: bytes) -> str:
    tail = data.rstrip(b"\0")[-64:]
    if data.startswith(b"\xff\xd8") and b"\xff\xd9" not in tail and b"\xff\xd9" not in data[-4096:]:
        return "a JPEG ends with its end marker, this one does not"
    if data.startswith(_PNG) and b"IEND" not in data[-4096:]:
        return "a PNG ends with IEND, this one does not"
    return ""
