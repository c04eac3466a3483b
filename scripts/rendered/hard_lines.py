"""How many dot-matrix strips the shipped recipe reads where one thing makes it hard.

Each seed is one strip of dots in each of 23 troubles and none: dots lost, small or running
together, characters set wide or narrow, lines three times as long or of two characters, wide
margins or none, turned by 2 to 5 deg, slanted, bent, 18 or 500 px high, faint, light on dark,
noisy, under a shadow,
on a rough ground, in a colour as light as its paper, blurred, compressed to a JPEG of 20 %, two
lines one above another (both must be read). Drawn apart from ``print_lines.py`` but for the glyphs.
Spaces count. What is told about spaces and two lines was made while looking at seeds 0 to 113.

    python scripts/rendered/hard_lines.py [--from 300] [--count 12] [--only NAME] [--json]
"""

from __future__ import annotations

import argparse
import json
from datetime import date
from typing import Any

import cv2
import numpy as np
import print_lines as plain
from numpy.random import Generator

from inspector.part import Batch, Pixels
from inspector.recipe import load
from inspector.virtual import glyphs

TROUBLES = (
    "none", "lost", "small dots", "large dots", "set wide", "narrow", "long", "short", "margins",
    "tight", "turned", "slanted", "bent", "18 px", "500 px", "faint", "inverse", "noisy", "shadow",
    "rough", "colour", "blurred", "jpeg", "two lines",
)  # fmt: skip
KINDS = ("5x7", "5x7", "9 rows", "12 rows", "16 rows")
DOTS = {"small dots": (0.45, 0.6), "large dots": (1.3, 1.6)}
WIDE = {"set wide": (1.35, 1.7), "narrow": (0.6, 0.75)}
"""Columns' distance by rows'."""


def cropped(ink: Any) -> Any:
    """The ink without what is empty around it."""
    rows, columns = np.flatnonzero(ink.max(1) > 40), np.flatnonzero(ink.max(0) > 40)
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def dots(text: str, kind: str, trouble: str, rng: Generator) -> Any:
    """A mask of ink, 0 to 255, cut close."""
    other, rows = rng.random() < 0.5, 7 if kind == "5x7" else int(kind.split()[0])
    pool = plain.BOLD if rows < 12 else plain.FONTS
    font = pool[rng.integers(len(pool))] if pool else ""
    parts = []
    for char in text:
        if char == " ":
            parts.append(np.zeros((rows + 5, max(3, rows // 2)), bool))
        elif kind == "5x7" and char in glyphs.MATRIX_5X7:
            parts.append(np.pad(plain.matrix_dots(char, other), ((0, 0), (0, 1))))
        else:
            parts.append(np.pad(plain.font_dots(font, char, rows), ((0, 0), (0, 1))))
    tall = max(part.shape[0] for part in parts)
    grid = np.concatenate([np.pad(p, ((0, tall - p.shape[0]), (0, 0))) for p in parts], 1)
    grid = np.pad(grid, ((1, 1), (2, 2)))
    down = rng.uniform(5, 9)
    across = down * rng.uniform(*WIDE.get(trouble, (1, 1)))
    dot = rng.uniform(*DOTS.get(trouble, (0.7, 1.2)))
    lost = rng.uniform(0.03, 0.08) if trouble == "lost" else 0
    ink = np.zeros((round(grid.shape[0] * down), round(grid.shape[1] * across)), np.uint8)
    for row, column in np.argwhere(grid):
        if rng.random() >= lost:
            at = (int((column + 0.5) * across * 16), int((row + 0.5) * down * 16))
            cv2.circle(ink, at, int(dot * down * 8), 255, -1, cv2.LINE_AA, 4)
    return cropped(ink)


def printed(trouble: str, kind: str, rng: Generator) -> tuple[Any, str]:
    """The ink of a strip, without margins, and what it says."""
    text = plain.words(rng)
    if trouble == "long":
        text = " ".join(plain.words(rng) for _ in range(3))
    if trouble == "short":
        text = "".join(rng.choice(plain.DIGITS, 2))
    ink = dots(text, kind, trouble, rng)
    if trouble != "two lines":
        return ink, text
    below = plain.words(rng)
    other, high = dots(below, kind, trouble, rng), ink.shape[0]
    other = cv2.resize(other, (round(other.shape[1] * high / other.shape[0]), high))
    both = np.zeros((2 * high + high // 2, max(ink.shape[1], other.shape[1])), np.uint8)
    both[:high, : ink.shape[1]] = ink
    both[high + high // 2 :, : other.shape[1]] = other
    return both, f"{text}\n{below}"


def shaped(ink: Any, trouble: str, rng: Generator) -> Any:
    """The ink with its margins, as it lies in the picture."""
    high = ink.shape[0]
    share = {"margins": (0.8, 2), "tight": (0, 0)}.get(trouble, (0.1, 0.4))
    up, down = (rng.uniform(*share, 2) * high).astype(int)
    wide = (1, 5) if trouble == "margins" else share
    left, right = (rng.uniform(*wide, 2) * high).astype(int)
    ink = np.pad(ink, ((up, down), (left, right)))
    height, width = ink.shape
    if trouble == "turned":
        turn = float(rng.choice([-1, 1]) * rng.uniform(2, 5))
        ink = np.pad(ink, ((width // 12, width // 12), (10, 10)))
        middle = (ink.shape[1] / 2, ink.shape[0] / 2)
        ink = cv2.warpAffine(ink, cv2.getRotationMatrix2D(middle, turn, 1), ink.shape[::-1])
        ink = np.pad(cropped(ink), ((8, 8), (8, 8)))
    if trouble == "slanted":
        slope = rng.uniform(0.1, 0.3)
        matrix = np.array([(1, slope, 0), (0, 1, 0)], np.float32)
        ink = cv2.warpAffine(ink, matrix, (int(width + slope * height), height))
    if trouble == "bent":
        ink = np.pad(ink, ((high // 2, high // 2), (0, 0)))
        x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in ink.shape[::-1]))
        bend = rng.choice([-1, 1]) * rng.uniform(0.3, 0.6) * high
        y = y + bend * ((2 * x / ink.shape[1] - 1) ** 2 - 0.5)
        ink = cv2.remap(ink, x, y.astype(np.float32), cv2.INTER_LINEAR)
    return ink


def strip(trouble: str, rng: Generator) -> tuple[Pixels, str]:
    """The picture of a strip, and what it says."""
    ink, text = printed(trouble, str(rng.choice(KINDS)), rng)
    ink = shaped(ink, trouble, rng)
    height = {"18 px": 18, "500 px": 500}.get(trouble) or int(rng.uniform(40, 110))
    height *= 2 if trouble in ("margins", "bent", "turned", "two lines") else 1
    size = (max(8, round(ink.shape[1] * height / ink.shape[0])), height)
    ink = cv2.resize(ink, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    paper = rng.uniform(120, 230)
    tone = paper - (rng.uniform(12, 22) if trouble == "faint" else rng.uniform(80, 110))
    if trouble == "inverse":
        paper, tone = rng.uniform(20, 70), rng.uniform(170, 240)
    noise = {"faint": 2, "noisy": 22}.get(trouble, 3)
    seen = paper + (tone - paper) * ink + rng.normal(0, noise, ink.shape)
    if trouble == "shadow":
        seen = seen * np.linspace(0.35, 1.1, seen.shape[1])
    if trouble == "rough":
        coarse = rng.normal(0, 25, (max(2, size[1] // 6), max(2, size[0] // 6)))
        seen = seen + cv2.resize(coarse.astype(np.float32), size)
    if trouble == "colour":
        light = np.array([0.114, 0.587, 0.299])
        blue, red = np.array([200.0, 90, 90]), np.array([60.0, 60, 200])
        red = np.clip(red * (blue @ light) / (red @ light), 0, 255)
        seen = blue + (red - blue) * ink[..., None] + rng.normal(0, 3, (*ink.shape, 3))
    if trouble == "blurred":
        seen = cv2.GaussianBlur(seen, (0, 0), height / 22)
    picture = np.ascontiguousarray(np.clip(seen, 0, 255), np.uint8)
    if trouble == "jpeg":
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 20])
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
    return picture, text


def main() -> None:
    """Prints how many lines were read exactly, spaces counted and not, by trouble."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--from", type=int, default=300, dest="first", help="the first seed")
    options.add_argument("--count", type=int, default=12)
    options.add_argument("--only", choices=TROUBLES, help="this trouble alone")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    root = plain.ROOT
    recipe = load(root / "station_configs/recipes/print-line.yaml", root / "models")
    report: dict[str, dict[str, int]] = {}
    for number, trouble in enumerate(TROUBLES):
        if given.only not in (None, trouble):
            continue
        row = {"of": given.count, "exact": 0, "but spaces": 0}
        for seed in range(given.first, given.first + given.count):
            picture, text = strip(trouble, np.random.default_rng([seed, number]))
            judged = recipe.judge({"image": picture}, Batch("rendered"), date(2026, 1, 1))
            read = judged.findings[0].text or ""
            row["exact"] += read == text
            row["but spaces"] += read.replace(" ", "") == text.replace(" ", "")
        report[trouble] = row
    whole = {key: sum(row[key] for row in report.values()) for key in ("of", "exact", "but spaces")}
    print(json.dumps({"all": whole, **report}, indent=None if given.json else 1))


if __name__ == "__main__":
    main()
