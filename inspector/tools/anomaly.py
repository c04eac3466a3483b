"""``anomaly``: pixels and a bank of good pictures go in, where the surface is unlike any good one
comes out, with one score for the picture.

The bank's members (``tools/likeness.py``) each say how far every cell of 8×8 pixels is from good
ones, in standard deviations of good pictures; their mean is the map. The picture's worst place
decides. ``inspector teach anomaly`` makes the bank and chooses its members and its limit. Imported
by ``tools`` and by who teaches.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from inspector.config import Settings
from inspector.part import Box, Finding, Pixels
from inspector.tools.bank import Bank, BankFile, Learnt
from inspector.tools.card import ModelError
from inspector.tools.likeness import Member, quiet
from inspector.tools.onnx import Bound, Shelf
from inspector.tools.step import Context, Step, Unjudged, corner_of, crop
from inspector.tools.texture import (
    CELL_PX,
    MOST_BOUND,
    Grid,
    Texture,
    scaled,
    stands_alike,
)

LABEL = "anomaly"
WORST_CELLS = 4
"""The worst place is the mean of this many cells and that of the worst ``WORST_SHARE``: a crack is
few cells, a stain is many."""
WORST_SHARE = 0.01
WORST_MOST = 24
"""Of a large picture that share would be more cells than a small defect has by far. The surfaces
that the share was chosen on have no more than these."""
MOST_BOXES = 10
"""Places shown of one part."""
Map = NDArray[np.float32]


class Params(Settings):
    """What good parts look like, and from where on a part is not."""

    bank: BankFile
    """What ``inspector teach anomaly`` made: the SHA-256 of ``anomaly/<sha256>.bank`` beside the
    recipe."""
    threshold: float = Field(0.5, gt=0, lt=1)
    """Parts that score this and more are rejected. 0.5 is the limit that was taught: the bank's
    report says how many good parts it rejects. Higher lets more pass."""


class AnomalyStep(Step):
    """An ``anomaly`` step of a recipe; its ROI is the one it was taught with."""

    kind: Literal["anomaly"]
    params: Params

    def labels(self, classes: Sequence[str]) -> Sequence[str]:
        """Places of the surface."""
        return (LABEL,)


class Anomaly:
    """Judges how unlike the good ones a part is."""

    Step: ClassVar[type[AnomalyStep]] = AnomalyStep

    def __init__(self, step: AnomalyStep, shelf: Shelf) -> None:
        """Raises ``ModelError`` when the bank or a model that it needs must not run."""
        self._step = step
        self._bank = step.params.bank.bank
        self._look = Look(self._bank, shelf)
        self.model_digests: tuple[str, ...] = self._look.digests
        self.seen: Map | None = None
        """How unlike good ones each cell of the newest picture was, for who shows it."""
        self.area = (0, 0)
        """Width and height of what it was seen in."""

    def warm_up(self) -> None:
        """Looks at a plain picture of the size that was taught."""
        width, height = self._bank.size
        self._look.map_of(np.full((height, width), 128, np.uint8))

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """First the finding of the whole picture, its score that of the worst place and its box
        around it; when that is a reject, one more per further place.

        Raises ``Unjudged``; with these findings, where parts stand still and the picture has
        another shape than theirs."""
        area = crop(pixels, self._step.roi)
        seen = self._look.map_of(area)
        self.seen, self.area = seen, (area.shape[1], area.shape[0])
        raw = worst(seen)
        if not math.isfinite(raw):
            raise Unjudged("the surface's distance from good ones is not a number")
        score = self._bank.score(raw)
        threshold = self._step.params.threshold
        bad = score >= threshold
        reason = f"unlike good parts: {score:.2f} of {threshold:.2f}" if bad else ""
        limit = self._bank.raw_at(threshold)
        places = places_of(seen, limit if bad else None, area.shape[:2])
        places = places[: MOST_BOXES if bad else 1]
        left, top = corner_of(self._step.roi)
        found = []
        for number, (box, height) in enumerate(places):
            here = score if number == 0 else min(score, self._bank.score(height))
            at = (box[0] + left, box[1] + top, box[2] + left, box[3] + top)
            found.append(self._step.finding(LABEL, reason, score=here, box=at))
        if not self._look.fits(area):
            sides = [f"{w}x{h}" for h, w in (area.shape[:2], self._bank.size[::-1])]
            raise Unjudged(f"the picture is {sides[0]}, {sides[1]} was taught", found)
        return found

    def scores(self) -> Map | None:
        """The newest picture's cells on the scale of a part's score; None before the first one."""
        if self.seen is None:
            return None
        return np.asarray(self._bank.score(self.seen), np.float32)


class Look:
    """A bank made ready to look at pictures."""

    def __init__(self, bank: Bank, shelf: Shelf) -> None:
        """Raises ``ModelError``."""
        quiet()
        self._bank = bank
        self._texture = Texture(bank.sources, shelf, bank.colour)
        self.digests = self._texture.digests
        self._network = None if bank.learnt is None else Network(bank.learnt, shelf)
        if bank.learnt is not None:
            self.digests = (*self.digests, bank.learnt.card.sha256)
        for member in bank.members:
            self._check(member)

    def _check(self, member: Member) -> None:
        source = member.source
        known = self._texture.channels(source)
        if known != member.axes.shape[0]:
            what = f"{member.name} was taught on {member.axes.shape[0]} channels, there are {known}"
            raise ModelError(source.model or "filters", f"{what}; teach the recipe again")

    def size_for(self, pixels: Pixels) -> tuple[int, int]:
        """Width and height that ``pixels`` are looked at in. Raises ``Unjudged`` for too few."""
        height, width = pixels.shape[:2]
        if min(width, height) < CELL_PX:
            raise Unjudged(f"a picture of {width}x{height} is too small to have a surface")
        return self._bank.looked_at(width, height)

    def fits(self, pixels: Pixels) -> bool:
        """Whether a part in ``pixels`` can stand as those that were taught."""
        size = (pixels.shape[1], pixels.shape[0])
        return not self._bank.fixed or stands_alike(size, self._bank.size)

    def map_of(self, pixels: Pixels) -> Map:
        """``(rows, columns)`` over all of ``pixels``: how unlike good ones each cell is, in
        standard deviations of good pictures. Raises ``Unjudged``."""
        size = self.size_for(pixels)
        shape = (size[1] // CELL_PX, size[0] // CELL_PX)
        maps: list[Map] = []
        if self._bank.members:
            grids = self._texture.describe(pixels, size)
            maps.append(fused(self._bank.members, grids, shape))
        if self._network is not None:
            maps.append(on_grid(self._network.normal(pixels, size), shape))
        return np.asarray(np.mean(maps, axis=0), np.float32)


class Network:
    """A network that knows the product's defects, made ready."""

    def __init__(self, learnt: Learnt, shelf: Shelf) -> None:
        """Raises ``ModelError``."""
        self._learnt = learnt
        self._model = shelf.open_bytes(learnt.data, learnt.card, "anomaly")
        self._bound: dict[tuple[int, int], Bound] = {}

    def odds(self, pixels: Pixels, size: tuple[int, int]) -> Map:
        """The log-odds that a cell is defective, of ``pixels`` looked at in ``size``."""
        picture = scaled(pixels, size, colour=True)
        if size not in self._bound and len(self._bound) < MOST_BOUND:
            self._bound[size] = self._model.bind((1, *picture.shape))
        bound = self._bound.get(size)
        if bound is None:
            answer = self._model.run(picture[None])
        else:
            bound.input[0] = picture
            answer = bound.run()
        chance = np.clip(answer[0, 0].astype(np.float32), 1e-6, 1 - 1e-6)
        shape = (size[0] // CELL_PX, size[1] // CELL_PX)
        cells = cv2.resize(np.log(chance / (1 - chance)), shape, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.GaussianBlur(cells, (0, 0), 1.0), np.float32)

    def normal(self, pixels: Pixels, size: tuple[int, int]) -> Map:
        """The same in standard deviations of good pictures."""
        odds = self.odds(pixels, size)
        return (odds - np.float32(self._learnt.centre)) / np.float32(self._learnt.spread)


def fused(members: Iterable[Member], grids: dict[str, Grid], shape: tuple[int, int]) -> Map:
    """The mean of the members' maps, on a grid of ``shape`` rows and columns; where one that looks
    finer sees more than they do, what it sees."""
    seen: list[tuple[int, Map]] = [
        (m.source.finer, on_grid(m.normal(grids[m.source.name]), shape)) for m in members
    ]
    together = np.mean([s for finer, s in seen if finer == 1], axis=0)
    for finer, one in seen:
        if finer > 1:
            together = np.maximum(together, one)
    return np.asarray(together, np.float32)


def on_grid(values: Map, shape: tuple[int, int]) -> Map:
    """``values`` resized to ``shape`` rows and columns."""
    if values.shape == shape:
        return values
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_LINEAR), np.float32)


def worst(seen: Map) -> float:
    """How bad the worst place of a map is."""
    flat = seen.reshape(-1)
    few = min(WORST_CELLS, flat.size)
    share = max(few, min(int(flat.size * WORST_SHARE), WORST_MOST))
    top = np.partition(flat, flat.size - share)[-share:]
    best = np.partition(top, share - few)[-few:]
    return float(0.5 * best.mean() + 0.5 * top.mean())


def places_of(seen: Map, limit: float | None, size: tuple[int, int]) -> list[tuple[Box, float]]:
    """Boxes of the places above ``limit``, and how bad each is, the worst first; at least the
    worst one. Without a limit a place reaches as far as it is nearer to the worst cell than to the
    middle one. ``size`` is the picture's height and width."""
    rows, columns = seen.shape
    if limit is None:
        middle = float(np.median(seen))
        limit = middle + 0.5 * (float(seen.max()) - middle)
    mask: Any = (seen >= min(limit, float(seen.max()))).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    tall, wide = size[0] / rows, size[1] / columns
    found = []
    for number in range(1, count):
        x, y, w, h = (int(v) for v in stats[number, :4])
        part = seen[y : y + h, x : x + w][labels[y : y + h, x : x + w] == number]
        x2, y2 = min((x + w) * wide, float(size[1])), min((y + h) * tall, float(size[0]))
        found.append(((x * wide, y * tall, x2, y2), float(part.max())))
    found.sort(key=lambda item: -item[1])
    return found
