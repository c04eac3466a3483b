"""How unlike what was seen before a picture is, in the feature space of a network.

Enters: pictures of the archive, by view. Leaves: a number in 0..1. Only `inspector.sync` imports
this, and only where ``sync.samples.novelty`` asks for it.

A picture is described by the mean and spread of each channel of `tools.texture`'s grid, from a
shipped backbone where there is one, else from filters. Its distance to the nearest of the last
`REMEMBERED` pictures of the view is compared with their own nearest distances: 0.95 means that it
lies further from its neighbour than 95 % of them do (a one-class nearest-neighbour rule, Tax 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.tools.card import ModelError
from inspector.tools.onnx import Shelf
from inspector.tools.texture import Source, Texture

BACKBONES = ("texture-features/1", "print-features/1")
"""The first of these that the station has."""
SIZE = (320, 320)
"""Pictures are looked at in this size, in pixels: 15 ms of a core."""
REMEMBERED = 512
LEAST = 30
"""Nothing is new to who has seen fewer pictures than this."""

Vector = NDArray[np.float32]


class Novelties:
    """What each view has shown so far, in this process's memory."""

    def __init__(self, models: Path, backbones: Sequence[str] = BACKBONES) -> None:
        self._texture = _texture(models, backbones)
        self._seen: dict[str, list[Vector]] = {}
        self._nearest: dict[str, list[float]] = {}

    def __call__(self, view: str, path: Path) -> float:
        """Of the picture in this file, which is remembered; 0 where it cannot be read."""
        pixels: Any = cv2.imread(str(path), cv2.IMREAD_COLOR)
        return 0.0 if pixels is None else self.of(view, pixels)

    def of(self, view: str, pixels: NDArray[np.uint8]) -> float:
        """Of a picture ``(height, width, 3)``, BGR."""
        vector = self._describe(pixels)
        seen = self._seen.setdefault(view, [])
        nearest = self._nearest.setdefault(view, [])
        if not seen:
            seen.append(vector)
            return 0.0
        distance = float(np.linalg.norm(np.stack(seen) - vector, axis=1).min())
        share = float(np.mean(np.asarray(nearest) < distance)) if len(nearest) >= LEAST else 0.0
        seen.append(vector)
        nearest.append(distance)
        del seen[:-REMEMBERED], nearest[:-REMEMBERED]
        return share

    def _describe(self, pixels: NDArray[np.uint8]) -> Vector:
        parts = []
        for grid in self._texture.describe(pixels, SIZE).values():
            flat = grid.reshape(len(grid), -1)
            one = np.concatenate([flat.mean(axis=1), flat.std(axis=1)])
            parts.append(one / max(float(np.linalg.norm(one)), 1e-6))
        return np.concatenate(parts).astype(np.float32)


def _texture(models: Path, backbones: Sequence[str]) -> Texture:
    shelf = Shelf(models, threads=1)
    for ref in backbones:
        try:
            return Texture((Source(ref),), shelf, colour=True)
        except ModelError:
            continue
    return Texture((Source(""),), shelf, colour=True)
