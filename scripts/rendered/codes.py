"""How many photographed codes the shipped recipe reads: rendered, and spoilt in eleven ways.

Each seed is one photograph of 640×480: one of ten symbologies with random content, lying on a table
among other things, turned, aslant, blurred, dark, small, wrapped around a bottle, scratched, faint,
under a glare, or much of that together; some of them no reader can read. Nothing was chosen on
seeds from 300 to 499. ``plain`` is the same reader without the recipe's second look.

    python scripts/rendered/codes.py [--from 300] [--count 200] [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import zxingcpp
from numpy.random import Generator

from inspector.part import Batch, Pixels
from inspector.recipe import load

ROOT = Path(__file__).resolve().parents[2]
HEIGHT, WIDTH = 480, 640
SYMBOLOGIES = (
    "EAN13", "UPCA", "EAN8", "Code128", "Code39", "ITF", "QRCode", "DataMatrix", "PDF417", "Aztec",
)  # fmt: skip
BARS = SYMBOLOGIES[:6]
WAYS = (
    "clean", "turned", "aslant", "blurred", "dark", "small", "curved", "scratched", "faint",
    "glare", "all",
)  # fmt: skip


def content(rng: Generator, symbology: str) -> str:
    """Random content with its check digit."""

    def digits(count: int) -> str:
        return "".join(rng.choice(list("0123456789"), count))

    def checked(number: str) -> str:
        total = sum(int(c) * (3, 1)[i % 2] for i, c in enumerate(reversed(number)))
        return number + str((10 - total) % 10)

    made: dict[str, Callable[[], str]] = {
        "EAN13": lambda: checked(str(rng.integers(1, 10)) + digits(11)),
        "UPCA": lambda: checked(digits(11)),
        "EAN8": lambda: checked(digits(7)),
        "ITF": lambda: digits(10),
    }
    letters = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    free = lambda: "".join(rng.choice(letters, rng.integers(6, 16)))  # noqa: E731
    return made.get(symbology, free)()


def photograph(rng: Generator) -> tuple[Pixels, str, str, str]:
    """The picture, and its symbology, content, and the way it was spoilt."""
    symbology, way = str(rng.choice(SYMBOLOGIES)), str(rng.choice(WAYS))
    text = content(rng, symbology)
    barcode = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, symbology))
    drawn = np.array(zxingcpp.write_barcode_to_image(barcode, scale=4))
    drawn = np.pad(drawn.reshape(drawn.shape[:2]), 12, constant_values=255).astype(np.float32)
    if way in ("curved", "all"):
        drawn = _wrapped(drawn, rng.uniform(0.7, 1.1 if way == "all" else 1.35))
    size = rng.uniform(0.35, 0.75) * HEIGHT
    if way == "small":
        size = (rng.uniform(0.16, 0.3) if symbology in (*BARS, "PDF417") else 0.12) * WIDTH
    turn = rng.uniform(0, 360) if way in ("turned", "all") else rng.normal(0, 4)
    height, width = drawn.shape
    place = np.vstack(
        [cv2.getRotationMatrix2D((width / 2, height / 2), turn, size / max(drawn.shape)), [0, 0, 1]]
    )
    place[:2, 2] += np.array([WIDTH - width, HEIGHT - height]) / 2 + rng.uniform(-30, 30, 2)
    if way in ("aslant", "all"):
        rect = np.array([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)], np.float32)
        off = rng.uniform(-1, 1, (4, 2)) * (0.11 if way == "aslant" else 0.05) * (WIDTH, HEIGHT)
        place = cv2.getPerspectiveTransform(rect, (rect + off).astype(np.float32)) @ place
    ink, paper = rng.uniform(10, 60), rng.uniform(170, 250)
    if way == "faint":
        ink = rng.uniform(80, 130)
        paper = ink + rng.uniform(25, 45)
    label = cv2.warpPerspective(drawn, place, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
    there = cv2.warpPerspective(np.ones_like(drawn), place, (WIDTH, HEIGHT))
    seen = _table(rng) * (1 - there) + (ink + (paper - ink) * label / 255) * there
    seen = _spoilt(seen, way, rng)
    seen = seen * np.linspace(rng.uniform(0.6, 1), rng.uniform(0.6, 1), WIDTH)
    seen = np.clip(seen + rng.normal(0, rng.uniform(1, 5), seen.shape), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 90))])
    return cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.uint8), symbology, text, way


def _wrapped(drawn: Any, reach: float) -> Any:
    """Around a bottle: the sides are seen narrower."""
    height, width = drawn.shape
    x = np.arcsin(np.linspace(-1, 1, width) * np.sin(reach)) / reach
    columns = ((x + 1) / 2 * (width - 1)).astype(np.float32)
    maps = np.meshgrid(columns, np.arange(height, dtype=np.float32))
    return cv2.remap(drawn, maps[0], maps[1], cv2.INTER_LINEAR)


def _table(rng: Generator) -> Any:
    """What it lies on, and what else lies there."""
    rough = rng.normal(0, 12, (12, 16)).astype(np.float32)
    table = cv2.resize(rough, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) + rng.uniform(
        120, 230
    )
    for _ in range(6):
        x, y = int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT))
        corner = (x + int(rng.integers(5, 120)), y + int(rng.integers(5, 60)))
        cv2.rectangle(table, (x, y), corner, float(rng.uniform(40, 240)), -1)
    return table


def _spoilt(seen: Any, way: str, rng: Generator) -> Any:
    if way == "scratched":
        for _ in range(3):
            x, y = int(rng.uniform(0.35, 0.65) * WIDTH), int(rng.uniform(0.35, 0.65) * HEIGHT)
            tone, thick = float(rng.choice([20, 240])), int(rng.integers(2, 6))
            cv2.line(seen, (x - 40, y - 30), (x + 40, y + int(rng.uniform(-40, 40))), tone, thick)
    if way in ("glare", "all"):
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        cx, cy = WIDTH / 2 + rng.uniform(-90, 90), HEIGHT / 2 + rng.uniform(-60, 60)
        light = rng.uniform(60, 180) * (0.5 if way == "all" else 1)
        seen = seen + light * np.exp(-(((x - cx) / 80) ** 2 + ((y - cy) / 50) ** 2))
    if way in ("blurred", "all"):
        seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.8, 2.4) if way == "blurred" else 0.7)
    if way == "dark":
        seen = seen * rng.uniform(0.06, 0.2) + rng.normal(0, rng.uniform(2, 7), seen.shape)
    return seen


def compared(
    photographs: Iterable[tuple[Pixels, str, str, str]], beside: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """How many of the pictures (each with symbology, content, way) the plain reader and the recipe
    read, by way and by symbology; what the recipe read wrongly, and its wall and processor ms.

    ``beside`` are contents of codes that the pictures show besides: to read them is right, and
    nothing won.
    """
    recipe = load(ROOT / "station_configs/recipes/any-code.yaml", ROOT / "models")
    read: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    wrong, ms, cpu_ms = [], [], []
    for picture, symbology, text, way in photographs:
        wanted = text.zfill(13) if symbology == "UPCA" else text
        plain = any(c.text == wanted for c in zxingcpp.read_barcodes(picture))
        began = time.process_time()
        judged = recipe.judge({"image": picture}, Batch("rendered"), date(2026, 1, 1))
        cpu_ms.append((time.process_time() - began) * 1e3)
        ms.append(judged.ms)
        texts = [f.text for f in judged.findings if f.text]
        if false := [read for read in texts if read != wanted and read not in beside]:
            wrong.append([symbology, text, false])
        for name in ("all photographs", way, symbology):
            read[name].append((plain, wanted in texts))
    report: dict[str, Any] = {
        name: {"of": len(rows), "plain": sum(p for p, _ in rows), "recipe": sum(r for _, r in rows)}
        for name, rows in sorted(read.items())
    }
    report["wrong"] = wrong
    for name, spent in (("ms", ms), ("cpu_ms", cpu_ms)):
        report[f"{name}_median"] = round(float(np.median(spent)), 1)
        report[f"{name}_p95"] = round(float(np.percentile(spent, 95)), 1)
    return report


def main() -> None:
    """Prints how many were read, by way and by symbology, and what was read wrongly."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--from", type=int, default=300, dest="first", help="the first seed")
    options.add_argument("--count", type=int, default=200)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    seeds = range(given.first, given.first + given.count)
    report = compared(photograph(np.random.default_rng(seed)) for seed in seeds)
    print(json.dumps(report, indent=None if given.json else 1))


if __name__ == "__main__":
    main()
