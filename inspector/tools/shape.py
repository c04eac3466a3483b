"""A picture of a part goes in, where that part stands in other pictures comes out.

The part's edges are looked for as directions of grey-level change, so that light and partly hidden
edges matter little: the similarity is the mean cosine between the taught and the seen directions
(C. Steger, "Occlusion, clutter, and illumination invariant object recognition", IAPRS XXXIV-3A,
2002), first at a coarse scale over all turns, sizes and places, then refined by least squares along
the edges' normals to about 0.1 px. Imported by the tools.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.calipers import vertex
from inspector.tools.place import Place, Points
from inspector.tools.step import Roi, corner_of, grey_of

Floats = NDArray[Any]

COARSE_PX = 44
"""The part's longer side where the search begins: at 3° a step its rim moves by 0.6 px."""
TURN_STEP_DEG = 3.0
SCALE_STEP = 0.05
POINTS = 500
"""Edge points kept, spread over the part; with 250 the repeatability is worse by 1.4."""
EDGE_LEAST = 2.5
"""Grey levels per pixel below which a change is noise."""
RIVALS = 4
"""Coarse places that are refined; the best one after refinement is taken."""
SURE = 0.85
"""Score from which no other place is tried: parts that stand as taught cost 6 ms, others 20."""
SEEN = np.float32(0.35)
"""Part of the taught edge strength that an edge must have to be seen: dimmer light is no fault."""


@dataclass(frozen=True, slots=True)
class Match:
    """The part, found."""

    place: Place
    score: float
    """Mean cosine between taught and seen edge directions, hidden edges counting 0: at most 1."""


@dataclass(frozen=True, slots=True)
class _Edges:
    """The part's edges at one scale."""

    factor: int
    """Full-size pixels per pixel at this scale."""
    points: Points
    """In full-size pixels."""
    normals: Floats
    """(n, 2): unit vectors from dark to bright."""
    strength: float
    """Grey levels per pixel from which a change is taken as an edge."""


class Shape:
    """What a part looks like, ready to be found."""

    def __init__(
        self, golden: Pixels, part: Roi | None = None, turn_deg: float = 15.0, scale: float = 0.1
    ) -> None:
        """Teaches the part under ``part`` in ``golden``, (h, w) or (h, w, 3).

        It is looked for turned by at most ``turn_deg`` either way and at ``1 ± scale`` of its size.
        Raises ``ValueError`` when it has too few edges to be found by.
        """
        height, width = golden.shape[:2]
        x1, y1, x2, y2 = part or (0, 0, width, height)
        if x2 > width or y2 > height:
            raise ValueError(f"{[x1, y1, x2, y2]} reaches outside the {width}x{height} picture")
        self.part = (float(x1), float(y1), float(x2), float(y2))
        """The part's box in the golden picture."""
        self.middle = np.array([(x1 + x2 - 1) / 2, (y1 + y2 - 1) / 2])
        longest = max(x2 - x1, y2 - y1)
        self._factor = 1 << max(0, round(math.log2(max(1.0, longest / COARSE_PX))))
        grey = grey_of(golden)
        self.least_px = 4 * self._factor
        """Pictures smaller than this are not searched."""
        factors = [self._factor >> n for n in range(self._factor.bit_length())]
        self._levels = [_taught(grey, factor, (x1, y1, x2, y2)) for factor in factors]
        if len(self._levels[-1].points) < 30 or len(self._levels[0].points) < 12:
            raise ValueError("the part has too few edges to be found by; teach a larger region")
        self._span = (math.radians(turn_deg), scale)
        self._turned = list(self._templates(turn_deg, scale))

    @property
    def edges(self) -> Points:
        """(n, 2): the points of the golden picture that a match rests on."""
        return self._levels[-1].points

    def find(self, pixels: Pixels, roi: Roi | None = None) -> Match | None:
        """The best match in ``pixels`` (under ``roi``); None where there is nothing alike at all.

        Whether its score is good enough is for the caller to say.
        """
        x, y = corner_of(roi)
        if roi:
            pixels = pixels[roi[1] : roi[3], roi[0] : roi[2]]
        if min(pixels.shape[:2]) < self.least_px:
            return None
        grey = grey_of(pixels)
        slopes = [_slopes(grey, level.factor) for level in self._levels]
        best: Match | None = None
        for start in self._starts(*slopes[0]):
            match = self._refined(start, slopes)
            if match and (best is None or match.score > best.score):
                best = match
            if best and best.score >= SURE:
                break
        if best is None:
            return None
        return Match(_moved(best.place, x, y), best.score)

    def settle(self, pixels: Pixels, start: Place, finest: int = 1) -> Match | None:
        """The match near ``start``: where the part is known to stand but for some pixels.

        ``finest`` > 1 stops at that many pixels per pixel, for speed. The map may have a little
        shear too: a line-scan camera's two axes differ by its belt's speed.
        """
        grey = grey_of(pixels)
        levels = [level for level in self._levels if level.factor >= finest][-3:]
        slopes = [_slopes(grey, level.factor) for level in levels]
        match = self._refined(start.matrix, slopes, levels)
        if match is None:
            return None
        matrix = match.place.matrix
        for reach in (3, 2):
            step = self._step(matrix, levels[-1], *slopes[-1], reach, shear=True)
            if step is None:
                return match
            matrix = step
        return Match(Place(matrix), match.score)

    def _templates(self, turn_deg: float, span: float) -> Iterator[tuple[Floats, Floats, int]]:
        """Each turn and size to try: its 2×2 matrix, its map of directions, how many points."""
        edges = self._levels[0]
        turns = _steps(turn_deg, TURN_STEP_DEG)
        sizes = _steps(span, SCALE_STEP)
        for turn in np.radians(turns):
            for size in 1 + sizes:
                c, s = math.cos(turn), math.sin(turn)
                rotation = np.array([(c, -s), (s, c)])
                at = (edges.points - self.middle) @ (size * rotation).T / edges.factor
                reach = np.ceil(np.abs(at).max(0)).astype(int) + 1
                drawn = np.zeros((2 * reach[1] + 1, 2 * reach[0] + 1, 2), np.float32)
                cells = np.round(at).astype(int) + reach
                drawn[cells[:, 1], cells[:, 0]] = edges.normals @ rotation.T
                yield size * rotation, drawn, int((drawn != 0).any(2).sum())

    def _starts(self, dx: Floats, dy: Floats) -> Iterator[Floats]:
        """Coarse places as (2, 3) matrices: first of the part as taught, then of all turns."""
        edges = self._levels[0]
        strength = np.maximum(_strength(dx, dy), np.float32(1e-6))
        seen = (strength >= SEEN * edges.strength) / strength
        units: Floats = np.stack([dx * seen, dy * seen], 2)
        units = cv2.blur(units, (3, 3))  # half a step of turn or size off still meets its edge
        rows = max(t.shape[0] for _, t, _ in self._turned)
        columns = max(t.shape[1] for _, t, _ in self._turned)
        # A part may hang out of the picture by a quarter.
        up = max(rows // 4, (rows - units.shape[0]) // 2 + 1)
        left = max(columns // 4, (columns - units.shape[1]) // 2 + 1)
        units = cv2.copyMakeBorder(units, up, up, left, left, cv2.BORDER_CONSTANT)

        def place(template: tuple[Floats, Floats, int]) -> tuple[float, Floats]:
            turn, drawn, count = template
            likeness = cv2.matchTemplate(units, drawn, cv2.TM_CCORR)
            _, high, _, (x, y) = cv2.minMaxLoc(likeness)
            middle = np.array([x + drawn.shape[1] // 2 - left, y + drawn.shape[0] // 2 - up])
            middle = (middle + 0.5) * edges.factor - 0.5
            return high / count, np.hstack([turn, (middle - turn @ self.middle)[:, None]])

        yield place(self._turned[len(self._turned) // 2])[1]
        rivals = sorted(map(place, self._turned), key=lambda rival: -rival[0])
        yield from (matrix for _, matrix in rivals[:RIVALS])

    def _refined(
        self, start: Floats, slopes: list[tuple[Floats, Floats]], levels: list[_Edges] | None = None
    ) -> Match | None:
        matrix = start.copy()
        levels = levels or self._levels
        for edges, (dx, dy) in zip(levels, slopes, strict=True):
            for reach in (3, 2, 1) if edges is levels[-1] else (3, 2):
                step = self._step(matrix, edges, dx, dy, reach)
                if step is None:
                    return None
                matrix = step
        size = math.hypot(matrix[0, 0], matrix[1, 0])
        turn = abs(math.atan2(matrix[1, 0], matrix[0, 0]))
        if turn > self._span[0] + 0.03 or abs(size - 1) > self._span[1] + 0.03:
            return None
        place = Place(matrix)
        edges, (dx, dy) = levels[-1], slopes[-1]
        at = (place.points(edges.points) + 0.5) / edges.factor - 0.5
        normals = edges.normals @ matrix[:, :2].T / size
        gx, gy = _sampled(dx, at), _sampled(dy, at)
        strength = np.hypot(gx, gy)
        seen = strength >= SEEN * edges.strength
        cosine = (gx * normals[:, 0] + gy * normals[:, 1]) / np.maximum(strength, 1e-6)
        return Match(place, float((cosine * seen).mean()))

    def _step(
        self, matrix: Floats, edges: _Edges, dx: Floats, dy: Floats, reach: int, shear: bool = False
    ) -> Floats | None:
        """One least-squares step: each point to the strongest edge along its normal."""
        place = Place(matrix)
        points = place.points(edges.points)
        normals = edges.normals @ matrix[:, :2].T / place.scale
        along = np.arange(-reach - 1, reach + 2)
        at = (points + 0.5) / edges.factor - 0.5
        spots = at[:, None, :] + along[:, None] * normals[:, None, :]
        slope = _sampled(dx, spots) * normals[:, :1] + _sampled(dy, spots) * normals[:, 1:]
        peak = 1 + np.argmax(slope[:, 1:-1], axis=1)
        rows = np.arange(len(peak))
        before, top, after = slope[rows, peak - 1], slope[rows, peak], slope[rows, peak + 1]
        bend = before - 2 * top + after
        good = (top >= SEEN * edges.strength) & (bend < 0) & (top >= before) & (top >= after)
        if good.sum() < 8:
            return None
        miss = (along[peak] + vertex(before, top, after)) * edges.factor
        middle = points[good].mean(0)
        arm = points - middle
        n = normals
        system = np.stack(
            [
                n[:, 0],
                n[:, 1],
                n[:, 1] * arm[:, 0] - n[:, 0] * arm[:, 1],
                n[:, 0] * arm[:, 0] + n[:, 1] * arm[:, 1],
                n[:, 0] * arm[:, 0] - n[:, 1] * arm[:, 1],
                n[:, 1] * arm[:, 0] + n[:, 0] * arm[:, 1],
            ],
            1,
        )[:, : 6 if shear else 4]
        weight = good.astype(float)
        answer = np.zeros(6)
        # A shape whose edges do not fix its size (two parallel lines) keeps the size it has.
        keep = np.array([1e-3, 1e-3, *[1e-3 * len(n)] * 4])[: system.shape[1]]
        for _ in range(2):
            normal = (system * weight[:, None]).T @ system
            normal[np.diag_indices(len(keep))] += keep
            answer = np.linalg.solve(normal, (system * weight[:, None]).T @ miss)
            residual = np.abs(miss - system @ answer)
            limit = max(0.4 * edges.factor, 1.5 * _median(residual[good]))
            weight = good * np.square(np.clip(1 - np.square(residual / (2 * limit)), 0, 1))
            if weight.sum() < 6:
                return None
        tx, ty, turn, grow, stretch, skew = np.pad(answer, (0, 6 - len(answer))).tolist()
        small = np.array([(1 + grow + stretch, skew - turn), (skew + turn, 1 + grow - stretch)])
        moved = small @ matrix
        moved[:, 2] += middle - small @ middle + (tx, ty)
        return moved


def _median(values: Floats) -> float:
    middle = len(values) // 2  # np.median costs four times as much on so few
    return float(np.partition(values, middle)[middle])


def _steps(span: float, step: float) -> Floats:
    count = math.ceil(span / step - 1e-9)
    return np.linspace(-span, span, 2 * count + 1) if count else np.zeros(1)


def _moved(place: Place, x: float, y: float) -> Place:
    matrix = place.matrix.copy()
    matrix[:, 2] += (x, y)
    return Place(matrix)


def _slopes(grey: Floats, factor: int) -> tuple[Floats, Floats]:
    """Grey levels per pixel to the right and down, float32, at a scale."""
    if factor > 1:
        height, width = (side // factor for side in grey.shape)
        whole = grey[: height * factor, : width * factor]
        grey = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    grey = cv2.GaussianBlur(grey, (5, 5), 1.0)
    # the blurred picture has 8 bits, its slopes 16: rounding to whole levels costs 0.02 px here
    return (
        cv2.Scharr(grey, cv2.CV_32F, 1, 0, scale=1 / 32),
        cv2.Scharr(grey, cv2.CV_32F, 0, 1, scale=1 / 32),
    )


def _strength(dx: Floats, dy: Floats) -> Floats:
    # cv2.magnitude's last digit depends on where in memory a picture happens to lie.
    return np.asarray(np.sqrt(dx * dx + dy * dy))


def _taught(grey: Floats, factor: int, part: Roi) -> _Edges:
    """The edges of the part at a scale, strongest of each neighbourhood first."""
    dx, dy = _slopes(grey, factor)
    strength = _strength(dx, dy)
    height, width = strength.shape
    x1, y1, x2, y2 = (side / factor for side in part)
    inside: Floats = np.zeros_like(strength)
    inside[max(1, round(y1)) : min(height - 1, round(y2)), max(1, round(x1)) : round(x2)] = 1
    inside[:, width - 1 :] = 0
    strength = strength * inside
    inner = strength[inside > 0]
    strongest = float(np.percentile(inner, 98, method="lower")) if inner.size else 0.0
    least = max(EDGE_LEAST, 0.25 * strongest)
    y, x = np.nonzero(strength >= least)
    top = strength[y, x]
    normals = np.stack([dx[y, x], dy[y, x]], 1) / top[:, None]
    at = np.stack([x, y], 1).astype(np.float64)
    before, after = _sampled(strength, at - normals), _sampled(strength, at + normals)
    ridge = (top > before) & (top >= after)
    at = (at + vertex(before, top, after)[:, None] * normals)[ridge]
    normals, top = normals[ridge], top[ridge]
    keep = _spread(at, top)
    points = (at[keep] + 0.5) * factor - 0.5
    return _Edges(factor, points, normals[keep].astype(np.float64), least)


def _spread(at: Points, strength: Floats) -> NDArray[np.intp]:
    """At most ``POINTS`` of the points: the strongest of each cell of a grid that gives so many."""
    order = np.argsort(-strength, kind="stable")
    cell = 1.0
    while True:
        cells = np.floor(at[order] / cell).astype(np.int64)
        keys = cells[:, 0] * 100_003 + cells[:, 1]
        _, first = np.unique(keys, return_index=True)
        if len(first) <= POINTS:
            kept: NDArray[np.intp] = order[np.sort(first)]
            return kept
        cell *= 1.2


def _sampled(image: Floats, at: Points) -> Floats:
    """``image`` at (..., 2) places, bilinear, 0 outside."""
    count = at.size // 2
    # OpenCV's maps have at most 32,767 rows or columns
    maps = np.zeros((2, -(-count // 256), 256), np.float32)
    maps.reshape(2, -1)[:, :count] = at.reshape(-1, 2).T
    if not count:
        return np.zeros(at.shape[:-1], np.float32)
    x, y = maps
    seen: Floats = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.reshape(seen.reshape(-1)[:count], at.shape[:-1])
