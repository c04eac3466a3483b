"""How well ``anomaly``, taught from good pictures of 2200×1650 alone, tells those with one speck or
scratch of 8 to 16 pixels from good ones.

Four rendered surfaces: cast grain, on which how it looks at large pictures was chosen, and, which
nothing was chosen on, brushed metal, a weave, and a drilled plate that stands within two pixels of
its place. Defects are three to six times as strong as the grain around them. Deterministic.

    python scripts/rendered/large_surfaces.py [--surface NAME] [--scaled-down] [--count N] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspector.part import Pixels
from inspector.quality.agreement import wilson
from inspector.teach import teach_anomaly
from inspector.teach.anomaly import auroc
from inspector.tools import texture
from inspector.tools.anomaly import Look, places_of, worst
from inspector.tools.onnx import Shelf

SIZE = (2200, 1650)
SURFACES = ("cast", "brushed", "weave", "plate")
MODELS = Path(__file__).resolve().parents[2] / "models"


def rendered(name: str, seed: int, size: tuple[int, int] = SIZE) -> tuple[Pixels, float]:
    """A good picture of a surface and the standard deviation of its grain, in grey levels."""
    rng = np.random.default_rng([SURFACES.index(name), seed])
    width, height = size
    noise = rng.standard_normal((height, width), np.float32)
    if name == "brushed":
        grain = cv2.GaussianBlur(noise, (0, 0), 9, sigmaY=0.7)
    elif name == "weave":
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        turn, shift = rng.normal(0, 0.004), rng.uniform(0, 24, 2)
        along, across = columns + turn * rows + shift[0], rows - turn * columns + shift[1]
        threads = np.sin(along * (2 * np.pi / 24)) + np.sin(across * (2 * np.pi / 18))
        grain = threads + 4 * cv2.GaussianBlur(noise, (0, 0), 1.5)
    else:
        grain = cv2.GaussianBlur(noise, (0, 0), 1.2)
    tone = 9 * grain / float(grain.std())
    light = np.linspace(-10, 10, width, dtype=np.float32) * rng.uniform(-1, 1)
    surface: Any = 125 * rng.uniform(0.96, 1.04) + tone + light
    if name == "plate":
        x, y = rng.uniform(-2, 2, 2)
        for column in range(6):
            for row in range(4):
                at = (round(8 * (220 + 350 * column + x)), round(8 * (240 + 390 * row + y)))
                cv2.circle(surface, at, 8 * 60, 45.0, -1, cv2.LINE_AA, 3)
    surface += rng.standard_normal((height, width), np.float32) * 2
    return np.clip(surface, 0, 255).astype(np.uint8), 9.0


def spotted(good: Pixels, grain: float, seed: int) -> tuple[Pixels, tuple[int, int]]:
    """The same with one speck or scratch of 8 to 16 pixels, and where."""
    rng = np.random.default_rng([77, seed])
    height, width = good.shape
    x, y = int(rng.integers(30, width - 30)), int(rng.integers(30, height - 30))
    mask = np.zeros((64, 64), np.float32)
    long, turn = rng.uniform(8, 16), rng.uniform(0, math.pi)
    if seed % 2:
        ends = [(32 + s * math.cos(turn) * long / 2, 32 + s * math.sin(turn) * long / 2)
                for s in (-1, 1)]  # fmt: skip
        first, last = ((round(8 * a), round(8 * b)) for a, b in ends)
        cv2.line(mask, first, last, 1.0, 2, cv2.LINE_AA, 3)
    else:
        axes = (round(long / 2), max(2, round(long * rng.uniform(0.6, 1) / 2)))
        cv2.ellipse(mask, (32, 32), axes, math.degrees(turn), 0, 360, 1.0, -1, cv2.LINE_AA)
    mask = cv2.GaussianBlur(mask, (0, 0), 0.7)
    change = mask * grain * rng.uniform(3, 6) * rng.choice([-1.0, 1.0])
    whole = cv2.copyMakeBorder(good, 32, 32, 32, 32, cv2.BORDER_REFLECT).astype(np.float32)
    whole[y : y + 64, x : x + 64] += change
    picture = np.clip(whole[32:-32, 32:-32], 0, 255).astype(np.uint8)
    return np.ascontiguousarray(picture), (x, y)


def figures(name: str, taught_from: int, count: int) -> dict[str, Any]:
    """Teaches a surface and judges unseen pictures of it."""
    shelf = Shelf(MODELS)
    started = time.process_time()
    taught = teach_anomaly([rendered(name, n)[0] for n in range(taught_from)], shelf)
    taught_s = time.process_time() - started
    look, limit = Look(taught.bank, shelf), taught.bank.limit
    good, bad, placed = [], [], 0
    started = time.process_time()
    for n in range(count):
        good.append(worst(look.map_of(rendered(name, 1000 + n)[0])))
    for n in range(count):
        picture, (x, y) = spotted(*rendered(name, 2000 + n), n)
        seen = look.map_of(picture)
        bad.append(worst(seen))
        (x1, y1, x2, y2), _ = places_of(seen, None, picture.shape[:2])[0]
        placed += x1 - 16 <= x <= x2 + 16 and y1 - 16 <= y <= y2 + 16
    found, false = (int((np.array(s) >= limit).sum()) for s in (bad, good))
    share = wilson(found, count)
    return {
        "surface": name,
        "auroc": round(auroc(np.array(good), np.array(bad)), 4),
        "found": [found, count, round(share.low, 3), round(share.high, 3)],
        "false_rejects": [false, count],
        "worst_place_is_the_defect": [placed, count],
        "members": [m.name for m in taught.bank.members],
        "own_size": taught.report.get("own_size"),
        "taught_from": taught_from,
        "taught_cpu_s": round(taught_s, 1),
    }


def main() -> None:
    """Prints the figures of each surface."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--surface", choices=SURFACES, action="append")
    options.add_argument("--taught", type=int, default=20)
    options.add_argument("--count", type=int, default=24)
    options.add_argument(
        "--scaled-down", action="store_true", help="as before: in 0.6 megapixels alone"
    )
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    if given.scaled_down:
        texture.FINER_FROM = math.inf
    for name in given.surface or SURFACES:
        report = figures(name, given.taught, given.count)
        print(json.dumps(report, indent=None if given.json else 1), flush=True)


if __name__ == "__main__":
    main()
