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
) -> list[Picture]:
    """``folder/images/*`` with ``folder/labels/*.txt``: class, then centre and size, or a polygon.

    Both forms in fractions of the image; a polygon becomes the box around it. ``group`` is matched
    on the file name, its first bracket is the picture's group. ``side`` > 0 scales the longer side;
    ``only`` names the groups to read, all when empty.
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
        for line in (folder / "labels" / f"{path.stem}.txt").read_text().splitlines():
            label, *numbers = line.split()
            place = np.array(numbers, np.float32)
            if len(place) == 4:
                low, high = place[:2] - place[2:] / 2, place[:2] + place[2:] / 2
            else:
                corners = place.reshape(-1, 2)
                low, high = corners.min(0), corners.max(0)
            boxes.append(np.concatenate((low, high)) * np.array([width, height] * 2, np.float32))
            labels.append(int(label))
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
    """Brought to ``width`` x ``height`` by the very steps of ``inspector.tools.letterbox``: a net
    is taught and measured on what a station shows it."""
    rows, columns = pixels.shape[:2]
    while rows % 2 == 0 and columns % 2 == 0 and rows >= 2 * height and columns >= 2 * width:
        rows, columns = rows // 2, columns // 2
        pixels = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
    way = cv2.INTER_AREA if rows >= 2 * height else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=way), np.uint8)
