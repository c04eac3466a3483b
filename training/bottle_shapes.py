"""The shipped models ``bottle-line-cap``, which says what a bottle's cap is, and
``bottle-line-marks``, which marks what mars a bottle to the pixel.

Parts are rendered (``inspector.virtual``), so anyone can make them again from the seeds. Where a
defect is, no one draws: each part is rendered once with it and once without, and the mask is where
the two pictures differ. Enters a seed; leaves the plans that ``training fit classify`` and ``fit
segment`` follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.virtual.bottle import render_part
from inspector.virtual.print import Split
from inspector.virtual.product import BOTTLE_LINE, JUICE_LINE, PartSpec, draw_date, draw_lot
from training.detector import Shape
from training.fit import Schedule
from training.pictures import Picture
from training.policy import POLICIES, Policy
from training.rendered import rendered
from training.shapes import STRIDE
from training.shapes_fit import GOOD, Task, Taught

CAP_ROI = (256, 8, 384, 104)
"""x1, y1, x2, y2 in the side view: the cap with its ring, however the bottle stands."""
CAPS = (GOOD, "cap_missing", "cap_tilted", "cap_wrong")
CAP_SHIFT_PX = 10
"""How far the ROI is moved aside in training: an `align` step places it better than that."""
MARKS = ("label_scratched", "print_smeared")
"""A particle of two cells is for the detector, which looks at the pixels."""
TILE_PX = 256
TILES = ((192, 104, 448, 360), (192, 192, 448, 448))
"""Where the recipe looks: the two overlap, and together they are the bottle below its cap."""
DIFFERS = 14
"""Grey levels by which a defect shows: the two pictures share their noise."""
GROWN_PX = 5
"""A mark is marked this much wider, or a hairline scratch would be lost in cells of 4 px."""
SEED = 11


def cap(seed: int, split: Split) -> Taught:
    """The cap of the part with this seed."""
    rng = np.random.default_rng((SEED, seed))
    kind = int(rng.choice(len(CAPS), p=(0.4, 0.2, 0.2, 0.2)))
    defects = () if kind == 0 else (CAPS[kind],)
    side = render_part(
        rng, PartSpec(BOTTLE_LINE, draw_lot(rng), draw_date(rng), defects, split)
    ).side
    x1, y1, x2, y2 = CAP_ROI
    if split == "train":
        off = int(rng.integers(-CAP_SHIFT_PX, CAP_SHIFT_PX + 1))
        x1, x2 = x1 + off, x2 + off
    return Taught(_picture(side[y1:y2, x1:x2]), kind, np.zeros(0, np.uint8))


def marks(seed: int, split: Split) -> Taught:
    """A tile of the part with this seed, with the mask of what mars it."""
    rng = np.random.default_rng((SEED + 1, seed))
    product = BOTTLE_LINE if rng.random() < 0.6 else JUICE_LINE
    texts = draw_lot(rng), draw_date(rng)
    names = [MARKS[rng.integers(len(MARKS))]] if rng.random() < 0.7 else []
    if names and rng.random() < 0.2:
        names = sorted({*names, MARKS[rng.integers(len(MARKS))]})
    root = int(rng.integers(1 << 62))

    def side(defects: tuple[str, ...]) -> Pixels:
        return render_part(root, PartSpec(product, *texts, defects, split)).side

    seen = side(tuple(names))
    x1, y1 = _tile(rng, split)
    cut = (slice(y1, y1 + TILE_PX), slice(x1, x1 + TILE_PX))
    mask = np.zeros((len(MARKS), TILE_PX // STRIDE, TILE_PX // STRIDE), np.uint8)
    for name in names:
        without = side(tuple(n for n in names if n != name))
        mask[MARKS.index(name)] = _cells(_apart(seen, without)[cut])
    kind = next((i for i in range(len(MARKS)) if mask[i].any()), len(MARKS))
    return Taught(_picture(seen[cut]), kind, mask)


def _tile(rng: Generator, split: Split) -> tuple[int, int]:
    if split == "train":
        (left, high, *_), (_, low, *_) = TILES
        return left + int(rng.integers(-8, 9)), int(rng.integers(high, low + 1))
    return TILES[rng.integers(len(TILES))][:2]


def _apart(one: Pixels, other: Pixels) -> NDArray[np.uint8]:
    """255 where two pictures of one part differ, closed to one piece a mark."""
    differs = (cv2.absdiff(one, other).max(2) > DIFFERS).astype(np.uint8) * 255
    # A Bayer sensor spreads one pixel's difference over its neighbours: single ones are not it.
    differs = cv2.morphologyEx(differs, cv2.MORPH_CLOSE, np.ones((GROWN_PX, GROWN_PX), np.uint8))
    return np.asarray(cv2.dilate(differs, np.ones((3, 3), np.uint8)), np.uint8)


def _cells(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    small = cv2.resize(
        mask, (mask.shape[1] // STRIDE, mask.shape[0] // STRIDE), interpolation=cv2.INTER_AREA
    )
    return np.asarray(small >= 96, np.uint8)


def _picture(pixels: Pixels) -> Picture:
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    return Picture(np.ascontiguousarray(pixels), *none)


@dataclass(frozen=True, slots=True)
class ShapesPlan:
    """How to make one classifier or segmenter of rendered parts."""

    name: str
    task: Task
    shape: Shape
    made: Callable[[int, Split], Taught]
    parts: int
    held_out: int
    schedule: Schedule
    roi: tuple[int, int, int, int]
    how: Policy = POLICIES["bottle-line"]
    batch: int = 16
    license: str = "Apache-2.0"
    trained_on: str = (
        "The virtual line's bottles (inspector.virtual.bottle.render_part, split train), rendered "
        "from seeds; measured on seeds, textures, artworks and fonts of split held_out."
    )

    def rendered(self, split: Split) -> list[Taught]:
        """The parts to learn from, or to measure with; the splits share no seed."""
        first, count = (0, self.parts) if split == "train" else (500_000, self.held_out)
        return rendered(self.made, range(first, first + count), split, at_once=20)


CAP_PLAN = ShapesPlan(
    "bottle-line-cap", "classify", Shape(96, 128, CAPS, (16, 32, 48, 64)), cap, 2_000, 600,
    Schedule(epochs=12, rate=2e-3), CAP_ROI,
)  # fmt: skip
MARKS_PLAN = ShapesPlan(
    "bottle-line-marks", "segment", Shape(TILE_PX, TILE_PX, MARKS, (16, 32, 48, 64), 32), marks,
    2_400, 500, Schedule(epochs=5, rate=2e-3), TILES[0],
)  # fmt: skip
PLANS = {plan.name: plan for plan in (CAP_PLAN, MARKS_PLAN)}
