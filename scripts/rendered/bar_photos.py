"""How many bar codes out of focus, moved, far or aslant the shipped recipe reads: rendered.

Each seed is one photograph: EAN-13, UPC-A, Code 128 or EAN-8 on a blurred photo of a real pack,
defocused by a disk of up to 1.35 modules' radius, moved by up to 2.2 modules, of 1 to 3.6 pixels a
module, far away in 1600×1200, aslant, curved, under a glare. The second look was designed on seeds
0 to 119 and 1000 to 1079. ``plain`` is one reading of the picture.

    python scripts/rendered/bar_photos.py [--data DIR] [--from 120] [--count 120] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

import codes
import cv2
import numpy as np
import zxingcpp
from numpy.random import Generator

from inspector.part import Pixels

ROOT = Path(__file__).resolve().parents[2]
SYMBOLOGIES = ("EAN13", "UPCA", "Code128", "EAN8")
WAYS = ("blur", "motion", "low", "far", "slant", "sharp")
OF_THE_PACKS = frozenset({
    "10058374", "10091760", "03243046", "03243008", "20461479", "20462419", "20462493", "20462507",
    "20483791", "20484383",
})  # fmt: skip
"""What the packs' own codes say, each on three photos and more as they are. A median blurs them,
yet not beyond all reading."""
PX = 8
"""Pixels a module is drawn with."""


def label(rng: Generator, symbology: str, text: str) -> tuple[Any, int]:
    """A label with the code and its text, and how many pixels its bars take."""
    barcode = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, symbology))
    drawn = np.array(zxingcpp.write_barcode_to_image(barcode, scale=PX))
    drawn = drawn.reshape(drawn.shape[:2])
    inked = np.flatnonzero((drawn[0] < 128) | (drawn[drawn.shape[0] // 2] < 128))
    bars = int(inked[-1] - inked[0])
    high = int(rng.uniform(0.35, 0.8) * bars)
    row = drawn[drawn.shape[0] // 4 : drawn.shape[0] // 4 + PX].astype(np.float32)
    drawn = cv2.resize(row, (drawn.shape[1], high), interpolation=cv2.INTER_NEAREST)
    quiet = int(rng.uniform(5, 11) * PX)
    drawn = drawn[:, max(0, int(inked[0]) - quiet) : int(inked[-1]) + quiet]
    above, below = int(high * 0.12), int(high * 0.25)
    drawn = cv2.copyMakeBorder(drawn, above, below, 0, 0, cv2.BORDER_CONSTANT, value=255)
    drawn = np.ascontiguousarray(drawn.astype(np.uint8))
    at, face = (60, drawn.shape[0] - 14), cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(drawn, text[:13], at, face, high * 0.006, 0, 6, cv2.LINE_AA)
    printed = drawn.astype(np.float32)
    if rng.random() < 0.3:
        printed = codes._wrapped(printed, rng.uniform(0.6, 1.1))
    return printed, bars


def photograph(rng: Generator, packs: list[Path]) -> tuple[Pixels, str, str, str]:
    """The picture, its symbology, content and the way it was taken."""
    symbology = str(rng.choice(SYMBOLOGIES, p=[0.5, 0.2, 0.2, 0.1]))
    text = codes.content(rng, symbology)
    printed, bars = label(rng, symbology, text)
    way = str(rng.choice(WAYS, p=[0.3, 0.15, 0.2, 0.15, 0.1, 0.1]))
    module = rng.uniform(1.8, 3.6)
    if way == "low":
        module = rng.uniform(1.05, 1.7)
    if way == "far":
        module = rng.uniform(1.1, 2.0)
    width, height = (1600, 1200) if way == "far" else (640, 480)
    module = min(module, width * 0.9 / ((bars + 1) / PX))
    turn = rng.normal(0, 6) if rng.random() < 0.7 else rng.uniform(0, 360)
    tall, wide = printed.shape
    centre = (wide / 2, tall / 2)
    place = np.vstack([cv2.getRotationMatrix2D(centre, turn, module / PX), [0, 0, 1]])
    place[:2, 2] += np.array([width - wide, height - tall]) / 2
    place[:2, 2] += rng.uniform(-0.12, 0.12, 2) * (width, height)
    rect = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    lean = 0.10 if way == "slant" else 0.03
    off = rng.uniform(-1, 1, (4, 2)) * lean * (width, height)
    place = cv2.getPerspectiveTransform(rect, (rect + off).astype(np.float32)) @ place
    pack = cv2.imread(str(packs[int(rng.integers(len(packs)))]), cv2.IMREAD_GRAYSCALE)
    pack = cv2.medianBlur(cv2.resize(pack, (width, height)), 11)
    ground = pack.astype(np.float32) * rng.uniform(0.6, 1)
    twice = np.diag([2.0, 2.0, 1.0]) @ place
    seen, there = (
        cv2.resize(
            cv2.warpPerspective(p, twice, (2 * width, 2 * height), flags=how),
            (width, height),
            interpolation=cv2.INTER_AREA,
        )
        for p, how in ((printed, cv2.INTER_AREA), (np.ones_like(printed), cv2.INTER_LINEAR))
    )
    ink, paper = rng.uniform(20, 80), rng.uniform(150, 240)
    taken = ground * (1 - there) + (ink + (paper - ink) * seen / 255) * there
    taken = _taken(taken, way, module, rng)
    if rng.random() < 0.25:
        y, x = np.mgrid[:height, :width]
        cx = width / 2 + rng.uniform(-0.1, 0.1) * width
        cy = height / 2 + rng.uniform(-0.1, 0.1) * height
        far = ((x - cx) / (0.12 * width)) ** 2 + ((y - cy) / (0.08 * height)) ** 2
        taken = taken + rng.uniform(40, 140) * np.exp(-far)
    taken = taken * np.linspace(rng.uniform(0.55, 1), rng.uniform(0.55, 1), width)
    taken = np.clip(taken + rng.normal(0, rng.uniform(1, 5), taken.shape), 0, 255)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 92))]
    _, data = cv2.imencode(".jpg", taken.astype(np.uint8), quality)
    return cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.uint8), symbology, text, way


def _taken(seen: Any, way: str, module: float, rng: Generator) -> Any:
    if way == "blur":
        radius = module * rng.uniform(0.5, 1.35)
        size = math.ceil(radius) * 2 + 1
        y, x = np.mgrid[:size, :size] - size // 2
        disk = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
        return cv2.filter2D(seen, -1, (disk / disk.sum()).astype(np.float32))
    if way == "motion":
        far, angle = module * rng.uniform(0.8, 2.2), math.radians(rng.uniform(0, 180))
        kernel = np.zeros((15, 15), np.float32)
        for t in np.linspace(-0.5, 0.5, 60):
            x, y = 7 + far * t * math.cos(angle), 7 + far * t * math.sin(angle)
            i, j, down, right = int(y), int(x), y - int(y), x - int(x)
            kernel[i, j] += (1 - right) * (1 - down)
            kernel[i, j + 1] += right * (1 - down)
            kernel[i + 1, j] += (1 - right) * down
            kernel[i + 1, j + 1] += right * down
        return cv2.GaussianBlur(cv2.filter2D(seen, -1, kernel / kernel.sum()), (0, 0), 0.5)
    return cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.4, 0.8))


def main() -> None:
    """Prints how many were read, by way and by symbology, and what was read wrongly."""
    options = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("INSPECTOR_REAL_DATA", ROOT.parent / "shared" / "data")
    options.add_argument("--data", type=Path, default=default)
    options.add_argument("--from", type=int, default=120, dest="first", help="the first seed")
    options.add_argument("--count", type=int, default=120)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    packs = sorted((Path(given.data) / "date_codes" / "images").glob("*"))
    if not packs:
        raise SystemExit(f"no photos of packs in {given.data}; set INSPECTOR_REAL_DATA")
    seeds = range(given.first, given.first + given.count)
    photographs = (photograph(np.random.default_rng((seed, 55)), packs) for seed in seeds)
    report = codes.compared(photographs, OF_THE_PACKS)
    print(json.dumps(report, indent=None if given.json else 1))


if __name__ == "__main__":
    main()
