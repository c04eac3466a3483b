"""How many lines of print the shipped recipe reads exactly: strips rendered in many ways.

Each seed is one strip: a lot, a date, a code or random characters, as dots of 7 to 16 rows (two 5×7
alphabets, and fonts as a print head would draw them) or as solid print; with dots that are small,
large, missing or off their place, tilted, bent, faint, light on dark, on a rough and uneven
ground, 22 to 160 px high, blurred, noisy, compressed. The two ways of reading dots were chosen on
480 strips of an earlier draw; nothing was chosen on these. Fonts are the machine's (39 where it was
measured); without them only the 5×7 alphabets are rendered.

    python scripts/rendered/print_lines.py [--from 5000] [--count 240] [--json]
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from inspector.part import Batch, Pixels
from inspector.recipe import load
from inspector.virtual import glyphs

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = ("Symbol", "D050000L", "Math", "Z003", "Droid", "CJK", "Oblique", "Italic")
TAKEN = ("DejaVu", "Liberation", "URW", "Nimbus", "P052", "C059", "Noto")
FOLDER = Path("/usr/share/fonts")
FOUND = (*FOLDER.rglob("*.ttf"), *FOLDER.glob("opentype/urw-base35/*.otf"))
FONTS = [
    font
    for font in sorted(map(str, FOUND))
    if any(name in font for name in TAKEN) and not any(name in font for name in LEFT_OUT)
]
BOLD = [f for f in FONTS if "Bold" in f and "Condensed" not in f and "Narrow" not in f]
BOLD = [f for f in BOLD if "Sans" in f or "Mono" in f]
KINDS = ("5x7", "5x7", "7 rows", "9 rows", "12 rows", "16 rows", "solid")
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
LETTERS, DIGITS = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), list("0123456789")

Floats = Any


def words(rng: Generator) -> str:
    """What a coder prints."""
    day, month, year = rng.integers(1, 32), rng.integers(1, 13), rng.integers(20, 40)
    some = "".join(rng.choice(LETTERS + DIGITS, 6))
    kinds = (
        f"{day:02d} {MONTHS[month - 1]} {year}",
        f"{day:02d}.{month:02d}.20{year}",
        f"EXP {day:02d}/{month:02d}/{year}",
        f"L{''.join(rng.choice(DIGITS, rng.integers(4, 8)))}{rng.choice(LETTERS)}",
        f"LOT {some}",
        f"BEST BEFORE {day:02d} {MONTHS[month - 1]} 20{year}",
        f"{day:02d}-{month:02d}-{year} {rng.integers(0, 24):02d}:{rng.integers(0, 60):02d}",
        " ".join(
            "".join(rng.choice(LETTERS + DIGITS, rng.integers(2, 8)))
            for _ in range(rng.integers(1, 4))
        ),
    )
    return str(kinds[rng.integers(len(kinds))])


@lru_cache(4096)
def font_dots(font: str, char: str, rows: int) -> Floats:
    """A font's character as a head of ``rows`` dots would print it; two rows stand above it."""
    _, top, _, bottom = ImageFont.truetype(font, 200).getbbox("H")
    size = int(200 * rows / (bottom - top) * 4)
    face = ImageFont.truetype(font, size)
    top = int(face.getbbox("H")[1])
    canvas = Image.new("L", (max(1, round(face.getlength(char))) + 8, size * 2 + 40), 0)
    ImageDraw.Draw(canvas).text((0, 40), char, font=face, fill=255)
    ink = np.asarray(canvas, np.float32)[top + 32 : top + 40 + (rows + 3) * 4]
    height, width = ink.shape[0] // 4, -(-ink.shape[1] // 4)
    ink = np.pad(ink[: height * 4], ((0, 0), (0, width * 4 - ink.shape[1])))
    return ink.reshape(height, 4, width, 4).mean((1, 3)) > 110


def matrix_dots(char: str, other: bool) -> Floats:
    """A 5×7 character; two rows stand above it."""
    grid = np.zeros((12, 5), bool)
    for column, row in glyphs.matrix_dots(char, other):
        grid[int(row) + 2, int(column)] = True
    return grid


def ink_of(text: str, kind: str, rng: Generator) -> Floats:
    """A mask of ink, 0 to 255."""
    if not FONTS:
        kind = "5x7"
    if kind == "solid":
        face = ImageFont.truetype(FONTS[rng.integers(len(FONTS))], 64)
        canvas = Image.new("L", (int(face.getlength(text)) + 60, 110), 0)
        ImageDraw.Draw(canvas).text((30, 16), text, font=face, fill=255)
        return np.asarray(canvas)
    rows = 7 if kind == "5x7" else int(kind.split()[0])
    pool = BOLD if rows < 12 else FONTS
    font = pool[rng.integers(len(pool))] if pool else ""
    other, gap = rng.random() < 0.5, int(rng.integers(1, 3))
    parts = []
    for char in text:
        if kind == "5x7" and char in glyphs.MATRIX_5X7:
            grid = np.pad(matrix_dots(char, other), ((0, 0), (0, gap)))
        elif char == " ":
            grid = np.zeros((rows + 5, max(3, rows // 2)), bool)
        else:
            grid = np.pad(font_dots(font, char, rows), ((0, 0), (0, int(rows < 10))))
        parts.append(grid)
    tall = max(p.shape[0] for p in parts)
    grid = np.concatenate([np.pad(p, ((0, tall - p.shape[0]), (0, 0))) for p in parts], 1)
    grid = np.pad(grid, ((1, 1), (3, 3)))
    pitch, dot = rng.uniform(5, 9), rng.uniform(0.7, 1.35)
    shaky, slant = rng.uniform(0, 0.12), rng.uniform(-0.05, 0.15) * (rng.random() < 0.3)
    lost = 0.01 * rng.random()
    ink = np.zeros((round(grid.shape[0] * pitch), round(grid.shape[1] * pitch)), np.uint8)
    for row, column in np.argwhere(grid):
        if rng.random() >= lost:
            off = rng.normal(0, shaky, 2)
            x = (column + 0.5 + (grid.shape[0] / 2 - row) * slant + off[0]) * pitch
            y = (row + 0.5 + off[1]) * pitch
            cv2.circle(
                ink, (int(x * 16), int(y * 16)), int(dot * pitch * 8), 255, -1, cv2.LINE_AA, 4
            )
    wide = max(8, round(ink.shape[1] * rng.uniform(0.85, 1.2)))
    return cv2.resize(ink, (wide, ink.shape[0]))


def strip(rng: Generator) -> tuple[Pixels, str, str]:
    """The picture of a line, what it says, and how it was printed."""
    text, kind = words(rng), str(rng.choice(KINDS))
    ink = ink_of(text, kind, rng)
    rows, columns = np.flatnonzero(ink.max(1) > 40), np.flatnonzero(ink.max(0) > 40)
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    around = (rng.uniform(0.05, 0.45, 2) * len(ink), rng.uniform(0.05, 1, 2) * len(ink))
    ink = np.pad(ink, [tuple(int(v) for v in side) for side in around])
    height = int(np.exp(rng.uniform(np.log(22), np.log(160))))
    width = max(8, round(ink.shape[1] * height / ink.shape[0]))
    if rng.random() < 0.5:
        middle = (ink.shape[1] / 2, ink.shape[0] / 2)
        turn = cv2.getRotationMatrix2D(middle, rng.normal(0, 1.2), 1)
        ink = cv2.warpAffine(ink, turn, ink.shape[::-1])
    if rng.random() < 0.15:
        bend = rng.uniform(0.02, 0.12) * ink.shape[0]
        x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in ink.shape[::-1]))
        y = y + bend * ((2 * x / ink.shape[1] - 1) ** 2 - 0.5)
        ink = cv2.remap(ink, x, y.astype(np.float32), cv2.INTER_LINEAR)
    ink = cv2.resize(ink, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    paper = rng.uniform(60, 240)
    step = rng.uniform(25, 50) if rng.random() < 0.3 else rng.uniform(70, 180)
    darker = (rng.random() < 0.7 and paper > step) or paper + step > 255
    tone = float(np.clip(paper - step if darker else paper + step, 0, 255)) - paper
    small = (max(2, width // 8), max(2, height // 8))
    rough = cv2.resize(rng.normal(0, 1, small[::-1]).astype(np.float32), (width, height))
    ground = paper + rough * rng.uniform(0, 0.12) * abs(tone)
    ground = ground + np.linspace(-1, 1, width) * rng.uniform(0, 0.25) * abs(tone)
    seen = ground + tone * ink
    blur = rng.uniform(0, 0.9) * height / 60
    if blur > 0.2:
        seen = cv2.GaussianBlur(seen, (0, 0), blur)
    seen = np.clip(seen + rng.normal(0, rng.uniform(0, 6), seen.shape), 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        _, data = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 95))])
        seen = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE).astype(np.uint8)
    return np.ascontiguousarray(seen, np.uint8), text, kind


def main() -> None:
    """Prints how many lines were read exactly, spaces counted and not, by way of printing."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--from", type=int, default=5000, dest="first", help="the first seed")
    options.add_argument("--count", type=int, default=240)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    recipe = load(ROOT / "station_configs/recipes/print-line.yaml", ROOT / "models")
    right: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    ms = []
    for seed in range(given.first, given.first + given.count):
        picture, text, kind = strip(np.random.default_rng(seed))
        judged = recipe.judge({"image": picture}, Batch("rendered"), date(2026, 1, 1))
        read = judged.findings[0].text or ""
        ms.append(judged.ms)
        same = read.replace(" ", "") == text.replace(" ", "")
        for name in ("all lines", kind):
            right[name].append((read == text, same))
    report: dict[str, Any] = {
        name: {
            "of": len(rows),
            "exact": sum(e for e, _ in rows),
            "but spaces": sum(s for _, s in rows),
        }
        for name, rows in sorted(right.items())
    }
    report["ms_median"] = round(float(np.median(ms)), 1)
    print(json.dumps(report, indent=None if given.json else 1))


if __name__ == "__main__":
    main()
