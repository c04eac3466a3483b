"""A picture goes in, and lines whose place is unknown; what was read of each of them comes out.

Lines are found coarsely first, which is fast and mostly enough, and read as they stand, then upside
down; then closer; then with their dots run together: each only where no line was read without doubt
before. Imported by ``tools/read.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inspector.part import Box, Pixels
from inspector.tools.findtext import Line as Place
from inspector.tools.findtext import TextFinder, input_size
from inspector.tools.line_rules import Judged, Line, LineRules
from inspector.tools.recognise import Reading, Recogniser, softened, upright
from inspector.tools.step import Context

View = Callable[[Pixels], Pixels]

NARROWEST = 0.25
"""Width of the narrowest characters by the height of their line, as the finder frames it."""


@dataclass(frozen=True, slots=True)
class Found:
    """A line that was found and read."""

    line: Line
    judged: Judged
    reading: Reading
    box: Box
    """In pixels of the picture that was searched."""

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Of two readings of one line the higher one counts."""
        return self.judged.clean, self.judged.ok, self.reading.weakest


class TextSearch:
    """A finder and a recogniser that look for lines."""

    def __init__(self, finder: TextFinder, recogniser: Recogniser, sides: Sequence[int]) -> None:
        """``sides`` are what the picture's longer side is scaled down to, in the order of tries."""
        self._finder = finder
        self._recogniser = recogniser
        self._sides = tuple(sides)

    def warm_up(self) -> None:
        """Searches a blank picture of the first size."""
        side = self._sides[0]
        blank = np.zeros((side * 3 // 4, side, 3), np.uint8)
        self._finder.find(blank, side)
        self._recogniser.read_found(blank[:48, :192])

    def search(
        self,
        picture: Pixels,
        rules: Mapping[str, LineRules],
        lines: Sequence[Line],
        context: Context,
    ) -> list[Found]:
        """The best reading of each line that has rules and was found, in the order of ``lines``;
        then, if a line has none, every line that could be read in the first way that shows any."""
        wanted = [line for line in lines if line.ruled]
        free = [line for line in lines if not line.ruled]
        shortest = min((rules[line.name].shortest for line in lines), default=1)
        best: dict[str, Found] = {}
        every: list[Found] = []
        for view, places in self._stages(picture):
            if best and view is softened:
                break  # what fits is not looked for among dots that run together
            anew = [] if every else free
            for place, reading in self._readings(picture, places, view, shortest):
                box = _around(place)
                for line in wanted:
                    found = Found(line, rules[line.name].judge(reading, context), reading, box)
                    known = best.get(line.name)
                    if found.judged.fits and (known is None or found.rank > known.rank):
                        best[line.name] = found
                for line in anew:
                    if reading.weakest >= line.min_score:
                        judged = rules[line.name].judge(reading, context)
                        every.append(Found(line, judged, reading, box))
                if not anew and _all_clean(wanted, best):
                    break
            if (every or not free) and _all_clean(wanted, best):
                break
        return [*(best[line.name] for line in wanted if line.name in best), *every]

    def _stages(self, picture: Pixels) -> Iterator[tuple[View, list[Place]]]:
        places: list[Place] = []
        seen: set[tuple[int, int]] = set()
        for side in self._sides:
            size = input_size(picture, side)
            if size not in seen:  # a small picture is not looked at closer than it is
                seen.add(size)
                places = self._finder.find(picture, side)
                yield np.asarray, places
                yield _turned, places
        yield softened, places

    def _readings(
        self, picture: Pixels, places: Sequence[Place], view: View, shortest: int
    ) -> Iterator[tuple[Place, Reading]]:
        """The lines, read one by one, tallest first: what a printer adds to a pack is larger than
        the small print around it, so the search mostly ends after a few lines. Last come those
        that are too short for what is looked for."""

        def too_short(place: Place) -> bool:
            along, across = place.size
            return along < NARROWEST * shortest * across

        for place in sorted(places, key=too_short):
            yield place, self._recogniser.read_found(view(upright(picture, place.corners)))


def _all_clean(wanted: Sequence[Line], best: Mapping[str, Found]) -> bool:
    return all(line.name in best and best[line.name].judged.clean for line in wanted)


def _turned(line: Pixels) -> Pixels:
    return np.ascontiguousarray(line[::-1, ::-1])


def _around(place: Place) -> Box:
    (x1, y1), (x2, y2) = place.corners.min(0).tolist(), place.corners.max(0).tolist()
    return x1, y1, x2, y2
