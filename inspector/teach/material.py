"""Pictures that teach go in; which of them fit together, in what size they are looked at, and the
same with self-made defects come out. Imported by ``teach``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from inspector.part import Pixels
from inspector.teach.pictures import TeachError
from inspector.tools.selfmade import Mask, spoilt
from inspector.tools.texture import CELL_PX, MOST_PX, same_scale, stands_alike, working_size

SPOILT = 60
"""Good pictures that are spoilt for the choice of members; few ones are spoilt twice."""
SMALL_PX = 192
"""A small defect is one of a tile of this side, whatever the picture's size."""
ODD_ONES = 0.1
"""Where no more good pictures than this share (or one) have another shape, they are left out; where
more have, the product has no one shape."""
LEAST_GOOD = 8
"""Fewer good pictures cannot be split into those that teach and those that test."""
SHOWN = 3


def of_one_shape(pictures: Sequence[Pixels]) -> tuple[list[int], str]:
    """Which of the pictures teach, and a sentence on those that are left out.

    Parts that stand still are known place by place, which a few pictures of another shape, taken
    anyhow, would put an end to; those that are only larger or smaller are brought to one size."""
    sizes = [(p.shape[1], p.shape[0]) for p in pictures]
    whole = list(range(len(pictures)))
    if not pictures:
        return whole, ""
    usual = Counter(sizes).most_common(1)[0][0]
    kept = [i for i in whole if stands_alike(sizes[i], usual)]
    odd = len(whole) - len(kept)
    if not odd or odd > max(1, ODD_ONES * len(whole)) or len(kept) < LEAST_GOOD:
        return whole, ""
    others = sorted({sizes[i] for i in set(whole) - set(kept)})
    named = ", ".join(f"{w}x{h}" for w, h in others[:SHOWN])
    more = f" and {len(others) - SHOWN} sizes more" if len(others) > SHOWN else ""
    return kept, (
        f"{odd} of {len(whole)} good pictures ({named}{more}) are left out: the others are "
        f"{usual[0]}x{usual[1]}, and a part of another shape cannot stand as theirs"
    )


def usual_size(pictures: Sequence[Pixels]) -> tuple[tuple[int, int], bool]:
    """The width and height that pictures are brought to, and whether parts can stand still in
    them."""
    size = (
        int(np.median([p.shape[1] for p in pictures])),
        int(np.median([p.shape[0] for p in pictures])),
    )
    return size, all(stands_alike((p.shape[1], p.shape[0]), size) for p in pictures)


def looked_at(
    pixels: Pixels, taught: tuple[int, int], still: bool, most_px: int = MOST_PX
) -> tuple[int, int]:
    """Width and height that a picture is looked at in. Raises ``TeachError`` for too few pixels."""
    height, width = pixels.shape[:2]
    if min(width, height) < CELL_PX:
        raise TeachError(f"a picture of {width}x{height} is too small to have a surface")
    if still:
        return working_size(*taught, most_px)
    return same_scale(width, height, taught, most_px)


def has_colour(pixels: Pixels) -> bool:
    """Whether a picture has colour, and not only three channels."""
    if pixels.ndim == 2:
        return False
    few = pixels[::4, ::4].astype(np.int16)
    return float(np.ptp(few, axis=2).mean()) > 4


def damaged(good: Sequence[Pixels], seed: int, small: bool) -> tuple[list[Pixels], list[int]]:
    """Good pictures with self-made defects, and whose each was; every other defect ``small``, where
    the pictures are so large that a defect in proportion would be none."""
    rng = np.random.default_rng(seed)
    owners = list(range(len(good)))
    if len(good) > SPOILT:
        owners = [i * len(good) // SPOILT for i in range(SPOILT)]
    while len(owners) * 2 <= SPOILT:
        owners = owners + owners
    others = [good[int(rng.integers(len(good)))] for _ in owners]
    # From barely visible to plain: where good parts differ much, only plain ones tell ways apart.
    strengths = np.exp(rng.uniform(0, 1.8, len(owners)))
    made = []
    for number, (i, other) in enumerate(zip(owners, others, strict=True)):
        make = spoilt_small if small and number % 2 else spoilt
        made.append(make(good[i], other, rng, float(strengths[number]))[0])
    return made, owners


def spoilt_small(
    good: Pixels, other: Pixels, rng: np.random.Generator, strength: float = 1.0
) -> tuple[Pixels, Mask]:
    """As ``spoilt``, of a size as if a tile of ``SMALL_PX`` were the picture."""
    height, width = good.shape[:2]
    high, wide = min(SMALL_PX, height), min(SMALL_PX, width)
    y = int(rng.integers(0, height - high + 1))
    x = int(rng.integers(0, width - wide + 1))
    tile, place = spoilt(good[y : y + high, x : x + wide], other, rng, strength)
    whole, mask = good.copy(), np.zeros((height, width), np.float32)
    whole[y : y + high, x : x + wide] = tile
    mask[y : y + high, x : x + wide] = place
    return whole, mask
