"""Parts with a dark spot each, growing from part to part, as a line that judged them kept them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from kept_parts import keep_parts

from inspector.part import Batch, Pixels
from inspector.recipe import load

RECIPE = """\
# A white tile; no spot on it may be large.
name: tile
revision: 1
views: [side]
tools:
  - name: spots
    kind: blob
    roi: [20, 20, 220, 140]      # the tile without its rim
    params:
      threshold: {method: fixed, level: 120}
      area: [300, 100000]        # square pixels, measured on forty tiles
"""


def write_tiles(data: Path, recipe: Path, parts: int = 24) -> None:
    """``parts`` tiles with spots of 4, 6, 8 … px side; ``recipe`` judged each on the line."""
    batch = Batch("T1", "tile", "tile", {"lot": "T1"})
    keep_parts(data, load(recipe), [tile(2 + 2 * number) for number in range(1, parts + 1)], batch)


def tile(side: int) -> Pixels:
    """A white tile with a dark spot of ``side`` pixels."""
    pixels = np.full((160, 240, 3), 230, np.uint8)
    pixels[60 : 60 + side, 90 : 90 + side] = 20
    return pixels
