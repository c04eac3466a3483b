"""Boards that nobody photographed: a seed goes in, a board's template and the same board as etched
and scanned come out.

Conductors of all widths, pads, areas and lettering, black on white as a scanner's threshold leaves
them. The two differ as good boards do: rims are rough each in its own way, lines are a little
thinner or thicker, there are specks smaller than any fault, and the board lies a little askew. With
faults drawn on it (``trace_faults``) it teaches a classifier of differences without anyone's
pictures. Imported by scripts.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from inspector.part import Pixels

SIDE_PX = 640
FINE = 2
"""Drawn so many times larger."""
WIDTHS_PX = (6, 48)
ROUGH_PX = (0.0, 1.0)
"""How far a rim wanders, standard deviation."""
GROWN_PX = 0.6
"""Lines of two boards differ by so much, standard deviation."""
ASKEW_PX = 2.0

Floats = NDArray[Any]


def board(rng: Generator) -> tuple[Pixels, Pixels]:
    """``(640, 640)`` grey: the template and the board."""
    drawn = _drawn(rng)
    rough = float(rng.uniform(*ROUGH_PX))
    clean = rough * float(rng.uniform(0.2, 1.0))
    template = _etched(drawn, clean, 0.0, np.eye(2, 3), rng)
    turn = rng.normal(0, ASKEW_PX / SIDE_PX / 3, (2, 2))
    askew = np.column_stack([np.eye(2) + turn, rng.uniform(-1, 1, 2) * ASKEW_PX])
    seen = _etched(drawn, rough, float(rng.normal(0, GROWN_PX)), askew, rng)
    for _ in range(int(rng.integers(0, 7))):
        x, y = (int(v) for v in rng.integers(0, SIDE_PX, 2))
        cv2.circle(seen, (x, y), int(rng.integers(0, 2)), int(rng.choice([6, 250])), -1)
    return _scanned(template, rng), _scanned(seen, rng)


def _drawn(rng: Generator) -> Pixels:
    """Conductors, 255 on copper."""
    side = SIDE_PX * FINE
    picture = np.zeros((side, side), np.uint8)
    typical = float(np.exp(rng.uniform(*np.log(WIDTHS_PX))))
    if rng.random() < 0.2:  # little on it, and large
        for _ in range(int(rng.integers(2, 5))):
            x, y, r = (int(v) for v in rng.integers((0, 0, 60), (side, side, 320)))
            cv2.circle(picture, (x, y), r, 255, -1)
    for _ in range(int(rng.integers(3, 13))):
        _bus(picture, typical, rng)
    for _ in range(int(rng.integers(0, 26))):
        _pad(picture, rng)
    if rng.random() < 0.3:
        text = "".join(chr(c) for c in rng.integers(48, 90, 9))
        at = tuple(int(v) for v in rng.integers(0, side * 2 // 3, 2))
        scale, thick = float(rng.uniform(1.5, 4)), int(rng.integers(4, 12))
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thick)
    # A board has as much copper as gap; the other way round is as likely a board.
    return np.asarray(255 - picture if rng.random() < 0.2 else picture, np.uint8)


def _bus(picture: Pixels, typical: float, rng: Generator) -> None:
    """Some conductors beside each other, in steps of 45 deg."""
    side = len(picture)
    wide = max(3.0, typical * float(np.exp(rng.normal(0, 0.35))))
    apart = wide + max(7.0, typical * float(np.exp(rng.normal(0, 0.5))))
    count = int(rng.integers(1, 7))
    at = rng.uniform(-0.1, 1.1, 2) * side
    heading = float(rng.integers(8)) * math.pi / 4
    path = [at]
    for _ in range(int(rng.integers(2, 6))):
        step = float(rng.uniform(0.1, 0.5)) * side
        path.append(path[-1] + step * np.array([math.cos(heading), math.sin(heading)]))
        heading += float(rng.choice([-1, 1])) * math.pi / 4
    way = np.array(path)
    across = np.array([-math.sin(heading), math.cos(heading)]) * apart * FINE
    for number in range(count):
        points = np.round(way + number * across).astype(np.int32)
        cv2.polylines(picture, [points], False, 255, round(wide * FINE))
        if rng.random() < 0.6:
            radius = round(wide * FINE * float(rng.uniform(0.7, 1.8)))
            cv2.circle(picture, points[-1].tolist(), radius, 255, -1)
            if rng.random() < 0.4:
                cv2.circle(picture, points[-1].tolist(), radius // 2, 0, -1)


def _pad(picture: Pixels, rng: Generator) -> None:
    x, y = (int(v) for v in rng.integers(0, len(picture), 2))
    radius = int(rng.integers(8, 60))
    if rng.random() < 0.5:
        cv2.circle(picture, (x, y), radius, 255, -1)
    else:
        w, h = radius, int(radius * rng.uniform(0.4, 2.5))
        cv2.rectangle(picture, (x - w, y - h), (x + w, y + h), 255, -1)
    if rng.random() < 0.35:
        cv2.circle(picture, (x, y), radius // 3, 0, -1)


def _etched(drawn: Pixels, rough: float, grown: float, askew: Floats, rng: Generator) -> Pixels:
    """Copper dark; its rim wanders by ``rough`` and lies ``grown`` further out, in pixels."""
    matrix = askew.copy()
    matrix[:, 2] *= FINE
    side = (len(drawn), len(drawn))
    moved = cv2.warpAffine(drawn, matrix, side, borderMode=cv2.BORDER_REPLICATE)
    inside = (moved > 127).astype(np.uint8)
    far = cv2.distanceTransform(inside, cv2.DIST_L2, 3) - cv2.distanceTransform(
        1 - inside, cv2.DIST_L2, 3
    )
    grain = rng.normal(0, 1, (side[0] // 4, side[1] // 4)).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), float(rng.uniform(0.4, 1.5)))
    wander = cv2.resize(grain / (grain.std() + 1e-6), side, interpolation=cv2.INTER_CUBIC)
    copper = far / FINE + wander * np.float32(rough) + np.float32(grown) > 0
    small = cv2.resize(
        copper.astype(np.uint8) * 255, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA
    )
    return np.where(small > 127, 5, 252).astype(np.uint8)


def _scanned(picture: Pixels, rng: Generator) -> Pixels:
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(85, 97))])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
