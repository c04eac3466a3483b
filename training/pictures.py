"""Labelled pictures: folders of images and boxes enter, ``Picture``s leave; made ready for a net.

Imported by ``fit``, ``augment``, ``evaluate`` and the shipped models' own scripts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.letterbox import shrinking

PAD = 114
"""The grey around a letterboxed picture, as the cards promise."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One image and what is on it."""

    pixels: Pixels
    """BGR."""
    boxes: NDArray[np.float32]
    """``[n, 4]`` x1, y1, x2, y2 in pixels."""
    labels: NDArray[np.int64]
    """``[n]``, indices into the classes."""
    group: str = ""
    """What must stay together when splitting: the film, the lot, the day."""
    name: str = ""


def read_yolo(
    folder: Path,
    group: str = r"^(.*?)(?:_MOV|_mp4|\.)",
    side: int = 0,
    only: Collection[str] = (),
    classes: int = 0,
) -> list[Picture]:
    """``folder/images/*`` with ``folder/labels/*.txt``: class, then centre and size, or a polygon.

    Both forms in fractions of the image; a polygon becomes the box around it. ``group`` is matched
    on the file name, its first bracket is the picture's group. ``side`` > 0 scales the longer side;
    ``only`` names the groups to read, all when empty; ``classes`` > 0 says how many there are.
    Raises ``ValueError`` with the file and the line that is no label of one of them.
    """
    pictures = []
    for path in sorted((folder / "images").iterdir()):
        found = re.match(group, path.name)
        of = found[1] if found else path.stem
        if only and of not in only:
            continue
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if pixels is None:
            raise ValueError(f"{path}: not an image that OpenCV can read")
        if side and max(pixels.shape[:2]) != side:
            factor = side / max(pixels.shape[:2])
            pixels = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        height, width = pixels.shape[:2]
        boxes, labels = [], []
        said = folder / "labels" / f"{path.stem}.txt"
        for number, line in enumerate(said.read_text().splitlines(), 1):
            if not line.strip():
                continue
            try:
                label, box = _label(line)
            except ValueError:
                raise ValueError(
                    f"{said}, line {number}: {line!r} is neither a box nor a polygon of YOLO"
                ) from None
            if classes and not 0 <= label < classes:
                raise ValueError(
                    f"{said}, line {number}: class {label} is none of {classes} classes, which are "
                    "counted from 0"
                )
            boxes.append(box * np.array([width, height] * 2, np.float32))
            labels.append(label)
        pictures.append(
            Picture(
                pixels,
                np.array(boxes, np.float32).reshape(-1, 4),
                np.array(labels, np.int64),
                of,
                path.name,
            )
        )
    return pictures


def _label(line: str) -> tuple[int, NDArray[np.float32]]:
    """A class and the box around it, in fractions of the picture."""
    label, *numbers = line.split()
    place = np.array(numbers, np.float32)
    if len(place) == 4:
        return int(label), np.concatenate((place[:2] - place[2:] / 2, place[:2] + place[2:] / 2))
    if len(place) < 6:
        raise ValueError
    corners = place.reshape(-1, 2)
    return int(label), np.concatenate((corners.min(0), corners.max(0)))


def split(
    pictures: Iterable[Picture], held_out: Sequence[str]
) -> tuple[list[Picture], list[Picture]]:
    """Training and held-out pictures, by group; a group that nobody has is a ``ValueError``."""
    pictures = list(pictures)
    missing = set(held_out) - {p.group for p in pictures}
    if missing:
        groups = ", ".join(sorted({p.group for p in pictures}))
        raise ValueError(f"no pictures of {', '.join(sorted(missing))}; there are: {groups}")
    kept = [p for p in pictures if p.group not in held_out]
    return kept, [p for p in pictures if p.group in held_out]


def letterbox(picture: Picture, height: int, width: int) -> Picture:
    """Scaled to fit ``height`` x ``width``, centred, padded with ``PAD``: as a station does it."""
    if picture.pixels.shape[:2] == (height, width):
        return picture
    h, w = picture.pixels.shape[:2]
    factor = min(height / h, width / w)
    inner_h, inner_w = max(1, round(h * factor)), max(1, round(w * factor))
    top, left = (height - inner_h) // 2, (width - inner_w) // 2
    canvas = np.full((height, width, 3), PAD, np.uint8)
    canvas[top : top + inner_h, left : left + inner_w] = resized(picture.pixels, inner_w, inner_h)
    moved = picture.boxes * factor + np.array([left, top, left, top], np.float32)
    return Picture(canvas, moved, picture.labels, picture.group, picture.name)


def resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """Brought to ``width`` x ``height`` by the steps of ``inspector.tools.letterbox``: a net is
    taught and measured on what a station shows it."""
    halves, way = shrinking(pixels.shape[:2], (height, width))
    for rows, columns in halves:
        pixels = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=way), np.uint8)
