"""A place that print is read at goes in, the lines of print in it come out, the topmost first.

Recognisers take all they are shown for one line as high as the picture: wide margins make its
characters small, and two lines become one that nobody printed. Imported by ``tools/read.py``.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from inspector.part import Box, Pixels
from inspector.tools.findtext import Line, TextFinder

HEIGHT = 56
"""Places are scaled down to this height before they are searched: the dots of one line then run
together, and two lines are still told apart."""
FULL = 0.6
"""A line that is at least this share of its place's height is read as it stands."""
MARGIN = 0.3
"""What is left above and below a line by its height, at most half way to the next one. Nothing is
cut off at its ends where a place has the shape of a line: of dots that stand apart the finder
misses some."""
WIDE = 3.0
"""A place this many times as wide as it is high has the shape of a line …"""
SPARSE = 0.5
"""… and one in which fewer characters were read than would stand there at two heights each, holds
more than its line: of a small line on a clean picture a recogniser makes a dash, and is sure."""
CLOSER = (128, 256, 640)
"""A place that holds more than its line is searched at these sides too: a small one is seen at the
last, how far a large one of dots reaches at the first, where its dots run together."""
ENDS = 3.0
"""What is left beside a line in such a place, by its height: more than what the finder misses."""
LEAST_PX = 8
"""Nothing that is smaller is read."""
LOWEST = 0.4
"""What is lower than this share of the highest line is a speck, or cut off by the place's edge."""


class Rows:
    """A finder that tells the lines of one place apart."""

    def __init__(self, finder: TextFinder) -> None:
        self._finder = finder

    def apart(self, place: Pixels, roomy: bool = False) -> list[Pixels]:
        """A crop of each line, the place itself where its only line fills it; none where none is
        found. A ``roomy`` place is looked at closely, and its lines are cut off at their ends."""
        if min(place.shape[:2]) < LEAST_PX:
            return []
        coarse = round(HEIGHT * max(place.shape[1] / place.shape[0], 1))
        sides = (coarse, *(side for side in CLOSER if side > coarse)) if roomy else (coarse,)
        found = [stacked(self._finder.find(place, side)) for side in sides]
        seen = [[_around(row) for row in rows] for rows in found if rows]
        rows = [_whole(row, seen) for row in seen[-1]] if seen else []
        if len(rows) == 1 and rows[0][3] - rows[0][1] >= FULL * place.shape[0]:
            return [place]
        middles = [(above[3] + below[1]) / 2 for above, below in pairwise(rows)]
        tops, bottoms = [0.0, *middles], [*middles, float(place.shape[0])]
        crops = [
            _cut(place, box, top, bottom, ENDS if roomy else None)
            for box, top, bottom in zip(rows, tops, bottoms, strict=False)
        ]
        # of a line that lies across others, aslant, nothing may be left between its neighbours
        return [crop for crop in crops if min(crop.shape[:2]) >= LEAST_PX]


def is_roomy(place: Pixels, text: str) -> bool:
    """Whether a place in which ``text`` was read as one line holds more than that line."""
    height, width = place.shape[:2]
    characters = sum(char.isalnum() for char in text)
    return width < WIDE * height or not characters or characters < SPARSE * width / height


def stacked(found: list[Line]) -> list[list[Line]]:
    """The lines of a place, the topmost first, each of one box or of several side by side.

    One box is below another only where it stands under it: the halves of a line that is bent or
    aslant are not.
    """
    rows: list[list[Line]] = []
    for line in sorted(found, key=lambda one: float(one.corners[:, 1].mean())):
        for row in rows:
            if not any(_is_under(line, other) for other in row):
                row.append(line)
                break
        else:
            rows.append([line])
    heights = [max(line.size[1] for line in row) for row in rows]
    return [
        row for row, height in zip(rows, heights, strict=True) if height >= LOWEST * max(heights)
    ]


def _is_under(line: Line, other: Line) -> bool:
    a, b = _around([line]), _around([other])
    beside = min(a[2], b[2]) - max(a[0], b[0])
    over = min(a[3], b[3]) - max(a[1], b[1])
    width = min(a[2] - a[0], b[2] - b[0])
    height = min(line.size[1], other.size[1])
    return beside > 0.5 * width and over < 0.5 * height


def _around(row: list[Line]) -> Box:
    corners = np.concatenate([line.corners for line in row])
    (x1, y1), (x2, y2) = corners.min(0).tolist(), corners.max(0).tolist()
    return x1, y1, x2, y2


def _whole(row: Box, seen: list[list[Box]]) -> Box:
    """A row as it was seen most closely, as long as it was ever seen."""
    _, top, _, bottom = row
    same = [box for rows in seen for box in rows if box[1] <= (top + bottom) / 2 <= box[3]]
    return min(box[0] for box in same), top, max(box[2] for box in same), bottom


def _cut(place: Pixels, box: Box, top: float, bottom: float, ends: float | None) -> Pixels:
    height = box[3] - box[1]
    spare = MARGIN * height
    rows = slice(int(max(top, box[1] - spare)), int(min(bottom, box[3] + spare)) + 1)
    beside = place.shape[1] if ends is None else ends * height
    columns = slice(int(max(0, box[0] - beside)), int(box[2] + beside) + 1)
    return np.ascontiguousarray(place[rows, columns])
