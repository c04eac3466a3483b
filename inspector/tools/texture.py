"""A picture goes in, what its surface is like every eight pixels comes out: descriptors on a grid.

Two kinds of descriptor: those of a network's inner layers (a model of task ``features``), which
know shapes, and those of a small bank of filters, which see the slightest change of grain that a
network trained on photographs has learnt to overlook. Imported by ``anomaly`` and by who teaches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.onnx import Bound, Model, Shelf
from inspector.tools.step import bgr_of, grey_of

Grid = NDArray[np.float32]
"""``(channels, rows, columns)``: one descriptor per cell of 8×8 pixels of the working picture."""

CELL_PX = 8
STRIDE_PX = 32
"""Working pictures are whole multiples of it, so that every layer of a network fits its grid."""
FEATURES = "features"
"""The task of a model that gives descriptors."""
MOST_PX = 600_000
"""Larger pictures are scaled down to this area, unless who teaches wants another: 85 ms of network
on two cores."""
LEAST_PX = 96
"""Pictures whose shorter side is below this are scaled up to it: a grid needs cells."""
ASPECT = 0.05
"""By which share the aspect may differ where parts stand still."""
HALF_FROM_PX = 192
"""From this shorter side on, the picture is also looked at in half size: larger stains."""
FILTERS = 25
"""Channels of the filters on a grey picture; a colour one has two more."""
SPECKS = 15
"""The same of those for what is small."""
MOST_BOUND = 4
"""Sizes of pictures that buffers are kept for; where sizes vary, later ones get theirs anew."""
SIGMAS = (0.8, 1.6, 3.2)
"""Widths of the filters, in pixels: grain, scratches, dents."""
FINER_FROM = 1.5
"""Pictures that are scaled down by this and more are also looked at in about their own size."""
FINEST_PX = 6_000_000
"""The most of them: 40 ms of filters on two cores."""


@dataclass(frozen=True, slots=True)
class Source:
    """One sort of descriptor."""

    model: str
    """``name/version`` of a model of task ``features``, or empty for the filters."""
    channels: tuple[int, int] = (0, 0)
    """Which of the model's channels, from and to; all of them where both are 0."""
    half: bool = False
    """Seen in half size."""
    finer: int = 1
    """How many times larger than the working picture it is seen: specks, by filters alone."""

    @property
    def name(self) -> str:
        """As reports and banks name it."""
        what = self.model + ("[{}:{}]".format(*self.channels) if any(self.channels) else "")
        size = "/2" if self.half else f"*{self.finer}" if self.finer > 1 else ""
        return (what or "filters") + size


def working_size(width: int, height: int, most_px: int = MOST_PX) -> tuple[int, int]:
    """Width and height that pictures of this size are looked at in: their own, where that can be.

    The aspect is kept to within half of 32 pixels; nothing is squeezed into a square.
    """
    return _whole_cells(width, height, _scale(width, height, most_px))


def same_scale(
    width: int, height: int, taught: tuple[int, int], most_px: int = MOST_PX
) -> tuple[int, int]:
    """The same for a picture of any size, at the scale of those that were taught."""
    scale = min(_scale(*taught, most_px), (4 * most_px / (width * height)) ** 0.5)
    return _whole_cells(width, height, scale)


def finer_of(width: int, height: int, most_px: int = MOST_PX) -> int:
    """How many times larger than the working picture pictures of this size can be looked at, so
    that it is about their own size; 1 where the working picture is that already."""
    columns, rows = working_size(width, height, most_px)
    larger = math.sqrt(width * height / (columns * rows))
    if larger < FINER_FROM:
        return 1
    most = math.floor(math.sqrt(FINEST_PX / (columns * rows)))
    return max(1, min(round(larger), most))


def stands_alike(size: tuple[int, int], taught: tuple[int, int]) -> bool:
    """Whether a part in a picture of ``size`` can stand where it stood in pictures as ``taught``:
    the same shape within ``ASPECT``, up to twice as large or as small."""
    aspect = size[0] * taught[1] / (size[1] * taught[0])
    return abs(aspect - 1) <= ASPECT and 0.5 <= size[0] / taught[0] <= 2


def _scale(width: int, height: int, most_px: int) -> float:
    most: float = (most_px / (width * height)) ** 0.5
    return min(most, max(1.0, LEAST_PX / min(width, height)))


def _whole_cells(width: int, height: int, scale: float) -> tuple[int, int]:
    columns, rows = (max(1, round(side * scale / STRIDE_PX)) for side in (width, height))
    return columns * STRIDE_PX, rows * STRIDE_PX


class Texture:
    """Describes pictures by some sources, with buffers for the sizes it has met."""

    def __init__(self, sources: tuple[Source, ...], shelf: Shelf, colour: bool) -> None:
        """Raises ``ModelError``."""
        self.sources = sources
        self._colour = colour
        refs = dict.fromkeys(s.model for s in sources if s.model)
        self._models: dict[str, Model] = {ref: shelf.open(ref, FEATURES) for ref in refs}
        self._bound: dict[tuple[str, int, int], Bound] = {}

    @property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each model's file."""
        return tuple(model.digest for model in self._models.values())

    def channels(self, source: Source) -> int:
        """How many numbers describe a cell by ``source``; 0 where its model has not so many."""
        if not source.model:
            return (SPECKS if source.finer > 1 else FILTERS) + (2 if self._colour else 0)
        known = sum(self._models[source.model].card.output.layers)
        first, last = source.channels
        return (last - first if last <= known else 0) if last else known

    def describe(self, pixels: Pixels, size: tuple[int, int]) -> dict[str, Grid]:
        """By source's name, the descriptors of ``pixels`` brought to ``size`` (width, height)."""
        whole = scaled(pixels, size, self._colour)
        half: Any = None
        if any(s.half for s in self.sources):
            half = scaled(whole, (_even(size[0]), _even(size[1])), self._colour)
        found: dict[str, Grid] = {}
        answers: dict[tuple[str, bool], Grid] = {}
        for source in self.sources:
            if source.finer > 1:
                larger = (size[0] * source.finer, size[1] * source.finer)
                found[source.name] = specks(scaled(pixels, larger, self._colour))
                continue
            picture = half if source.half else whole
            if not source.model:
                found[source.name] = filters(picture)
                continue
            key = (source.model, source.half)
            if key not in answers:
                answers[key] = self._run(source.model, picture)
            first, last = source.channels
            answer = answers[key]
            found[source.name] = answer[first:last] if last else answer
        return found

    def _run(self, ref: str, picture: Any) -> Grid:
        height, width = picture.shape[:2]
        key = (ref, height, width)
        model = self._models[ref]
        if key not in self._bound and len(self._bound) < MOST_BOUND:
            self._bound[key] = model.bind((1, height, width, 3))
        bound = self._bound.get(key)
        tensor = model.tensor((1, height, width, 3)) if bound is None else bound.input
        if picture.ndim == 2:
            cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR, dst=tensor[0])
        else:
            tensor[0] = picture
        return model.run(tensor)[0] if bound is None else np.array(bound.run()[0])


def filters(picture: Any) -> Grid:
    """Mean strength of edges in four directions, of spots and rings, and the strongest dark and
    bright ones, at three widths; how each cell's tone differs from its surroundings'; its colour.

    ``picture`` is (h, w) or (h, w, 3) BGR; 25 channels for grey, 27 for colour.
    """
    height, width = picture.shape[:2]
    cells = max(1, width // CELL_PX), max(1, height // CELL_PX)
    colour: list[Any] = []
    if picture.ndim == 3:
        lab = cv2.cvtColor(picture, cv2.COLOR_BGR2Lab)
        tone = lab[:, :, 0].astype(np.float32)
        colour = [lab[:, :, 1], lab[:, :, 2]]
    else:
        tone = picture.astype(np.float32)
    maps: list[Any] = []
    reach = np.ones((9, 9), np.uint8)
    for sigma in SIGMAS:
        smooth = cv2.GaussianBlur(tone, (0, 0), sigma)
        across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=sigma)
        down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=sigma)
        spot = smooth - cv2.GaussianBlur(tone, (0, 0), 2 * sigma)
        diagonals = (across + down) * 0.7, (across - down) * 0.7
        maps += [_cells(np.abs(a), cells) for a in (across, down, *diagonals, spot)]
        maps.append(_cells(spot, cells))
        maps += [_cells(cv2.dilate(spot, reach), cells), _cells(cv2.erode(spot, reach), cells)]
    near = cv2.GaussianBlur(tone, (0, 0), 4)
    maps.append(_cells(near - cv2.GaussianBlur(tone, (0, 0), 16), cells))
    maps += [3 * _cells(cv2.GaussianBlur(c.astype(np.float32), (0, 0), 2), cells) for c in colour]
    return np.stack(maps).astype(np.float32)


def specks(picture: Any) -> Grid:
    """What is small, for large pictures: mean strength of edges both ways and of spots, the
    strongest bright and dark spot, in the picture's size, in half and in a quarter of it; the
    strongest spot of each colour.

    ``picture`` is (h, w) or (h, w, 3) BGR; 15 channels for grey, 17 for colour.
    """
    height, width = picture.shape[:2]
    cells = max(1, width // CELL_PX), max(1, height // CELL_PX)
    grey = grey_of(picture)
    maps: list[Any] = []
    for part, side in ((1, 9), (2, 5), (4, 3)):
        # A half-sized picture's filters see what is twice as large, for a quarter of the time.
        tone = _reduced(grey, part).astype(np.float32)
        near = cv2.GaussianBlur(tone, (0, 0), SIGMAS[0])
        spot = near - cv2.GaussianBlur(tone, (0, 0), 2 * SIGMAS[0])
        across, down = cv2.Sobel(near, cv2.CV_32F, 1, 0), cv2.Sobel(near, cv2.CV_32F, 0, 1)
        maps += [_cells(np.abs(a), cells) for a in (across, down, spot)]
        reach = np.ones((side, side), np.uint8)
        maps += [_cells(cv2.dilate(spot, reach), cells), _cells(cv2.erode(spot, reach), cells)]
    if picture.ndim == 3:
        lab = cv2.cvtColor(_reduced(picture, 2), cv2.COLOR_BGR2Lab)
        for tint in (lab[:, :, 1], lab[:, :, 2]):
            near = cv2.GaussianBlur(tint.astype(np.float32), (0, 0), SIGMAS[0])
            spot = np.abs(near - cv2.GaussianBlur(tint.astype(np.float32), (0, 0), 2 * SIGMAS[2]))
            maps.append(_cells(cv2.dilate(spot, np.ones((5, 5), np.uint8)), cells))
    return np.stack(maps).astype(np.float32)


def _reduced(picture: Any, part: int) -> Any:
    size = max(1, picture.shape[1] // part), max(1, picture.shape[0] // part)
    return picture if part == 1 else cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _cells(values: Any, cells: tuple[int, int]) -> Any:
    return cv2.resize(values, cells, interpolation=cv2.INTER_AREA)


def _even(side: int) -> int:
    return max(1, round(side / 2 / STRIDE_PX)) * STRIDE_PX


def scaled(pixels: Any, size: tuple[int, int], colour: bool) -> Any:
    """``pixels`` in ``size`` (width, height), grey or BGR."""
    pixels = bgr_of(pixels) if colour else grey_of(pixels)
    if (pixels.shape[1], pixels.shape[0]) == size:
        return np.ascontiguousarray(pixels)
    smaller = size[0] * size[1] < pixels.shape[0] * pixels.shape[1]
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
