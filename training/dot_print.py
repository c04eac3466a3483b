"""Strips of dot-matrix, ink-jet and solid print, as a camera gets them.

A text and a generator enter, a grey picture of one line leaves. Heads of 5×5 dots up to 18 rows in
many designs, dots too small, too large, missing, merging, off their place; strips slanted, tilted,
bent, in perspective; on rough, striped, unevenly lit ground, light or dark; out of focus,
noisy, compressed, of any height and margin. The split ``held_out`` prints with designs and fonts
that the split ``train`` never uses. Fonts are the machine's (Debian's DejaVu, Liberation, URW and
Noto); without them only dot designs are printed. Imported by ``dot_read``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inspector.part import Pixels
from inspector.virtual import glyphs
from training.dot_glyphs import Grid, alphabet

Split = Literal["train", "held_out"]
Floats = NDArray[np.float32]

FOLDER = Path("/usr/share/fonts")
TAKEN = ("DejaVu", "Liberation", "URW", "Nimbus", "P052", "C059", "Noto")
LEFT_OUT = ("Symbol", "D050000L", "Math", "Z003", "Droid", "CJK", "ExtraLight")
KEPT_APART = ("LiberationMono", "LiberationSansNarrow", "C059", "URWGothic", "DejaVuSerif")
"""Fonts of the split ``held_out``."""
HEADS_KEPT_APART = ((6, 9), (8, 11))
"""Columns and rows of the heads of strokes of the split ``held_out``."""


@lru_cache(1)
def fonts() -> dict[Split, list[str]]:
    """The machine's fonts, by split."""
    found = sorted(map(str, (*FOLDER.rglob("*.ttf"), *FOLDER.rglob("*.otf"))))
    found = [f for f in found if any(n in f for n in TAKEN) and not any(n in f for n in LEFT_OUT)]
    apart = [f for f in found if any(n in f for n in KEPT_APART)]
    return {"train": [f for f in found if f not in apart], "held_out": apart}


def render_strip(text: str, rng: Generator, split: Split) -> Pixels:
    """A grey picture of one line that says ``text``."""
    kind = rng.random()
    if kind < 0.14 and fonts()[split]:
        ink = _solid(text, rng, split)
    else:
        ink = _dotted(_head(text, rng, split, (kind - 0.14) / 0.86), rng)
    ink = _with_margins(_cropped(_bent(ink, rng)), rng)
    return _photographed(ink, rng)


def _head(text: str, rng: Generator, split: Split, kind: float) -> list[Grid]:
    """What the head prints for each character, gaps included."""
    gap = int(rng.choice([1, 2, 3, 4], p=[0.4, 0.35, 0.17, 0.08]))
    if split == "held_out" and kind < 0.5:
        letters = {c: _virtual(c) for c in glyphs.MATRIX_5X7_OTHER}
    elif kind < 0.43 or (kind >= 0.66 and not fonts()[split]):
        letters = alphabet(rng, 7)
    elif kind < 0.5:
        letters = alphabet(rng, 5)
    elif kind < 0.66:
        head = HEADS_KEPT_APART[int(rng.integers(2))]
        while split == "train" and head in HEADS_KEPT_APART:
            columns = int(rng.integers(5, 11))
            head = (columns, max(7, columns + int(rng.integers(5))))
        letters = {c: _strokes(c, *head) for c in set(text) if c != " "}
    else:
        rows = int(rng.integers(7, 19, 2).min())
        chosen = fonts()[split]
        if rows < 11:
            chosen = [f for f in chosen if "Bold" in f or "Demi" in f or "Mono" in f] or chosen
        font = chosen[rng.integers(len(chosen))]
        sure = float(rng.uniform(0.35, 0.55))
        letters = {c: _from_font(font, c, rows, round(sure, 1)) for c in set(text) if c != " "}
        gap = int(rng.integers(0, 3)) if rows > 9 else int(rng.integers(1, 5))
    rows = max(grid.shape[0] for grid in letters.values())
    if rng.random() < 0.25:  # proportional: no column is printed that has no dot
        letters = {c: _tight(g) for c, g in letters.items()}
    wide = rng.uniform(0.42, 1.0) * (5 if rows < 8 else rows * 0.62)
    blank = np.zeros((rows, max(3 + (gap > 1), round(wide))), bool)
    printed = [blank if c == " " else letters[c] for c in text]
    if rng.random() < 0.06:  # struck twice, half a column further
        printed = [g if c == " " else _twice(g) for c, g in zip(text, printed, strict=True)]
    return [np.pad(grid, ((0, rows - grid.shape[0]), (0, gap))) for grid in printed]


def _dotted(parts: list[Grid], rng: Generator) -> Pixels:
    """The mask of ink, 0 to 255, of what a head prints."""
    grid = np.concatenate(parts, 1)
    rows, columns = grid.shape
    tall = np.exp(rng.uniform(np.log(24), np.log(64))) * (1.0 if rows < 12 else 1.2)
    down = max(tall / rows, 2.6)
    along = down * float(np.exp(rng.uniform(np.log(0.72), np.log(1.3))))
    dot = min(along, down) * rng.uniform(0.6, 1.45) * (1.1 if rows > 9 else 1.0)
    at = np.argwhere(grid).astype(np.float32)
    lost = rng.uniform(0, 0.03) if rng.random() < 0.4 else 0.0
    at = at[rng.random(len(at)) >= lost]
    if rows > 8 and rng.random() < 0.04:
        at = at[at[:, 0] != rng.integers(rows)]  # a nozzle is blocked
    slant = rng.uniform(-0.08, 0.28) if rng.random() < 0.35 else 0.0
    shaky = rng.uniform(0, 0.16) * (rng.random() < 0.8)
    x = at[:, 1] + (rows / 2 - at[:, 0]) * slant + rng.normal(0, 1, len(at)) * shaky
    y = at[:, 0] + rng.normal(0, 1, len(at)) * shaky
    if rng.random() < 0.2:  # the product did not run evenly
        x = x + np.sin(at[:, 1] / columns * rng.uniform(4, 30) + rng.uniform(0, 6)) * rng.random()
    if rng.random() < 0.15:  # each character a little higher or lower
        ends = np.cumsum([part.shape[1] for part in parts])
        steps = rng.normal(0, 0.25, len(parts))
        y = y + steps[np.searchsorted(ends, at[:, 1], side="right")]
    edge = dot + 4 + rows * abs(slant) * along
    size = (round((columns + 1) * along + 2 * edge), round((rows + 1) * down + 2 * edge))
    ink = np.zeros(size[::-1], np.uint8)
    uneven = rng.uniform(0, 0.2) * (rng.random() < 0.5)
    radii = dot / 2 * (1 + uneven * rng.normal(0, 1, len(at))).clip(0.4, 1.8)
    faint = rng.uniform(0, 0.5) * (rng.random() < 0.3)
    tones = 255 * (1 - faint * rng.random(len(at)))
    fixed = np.stack([(x + 0.5) * along + edge, (y + 0.5) * down + edge, radii], 1) * 16
    square = rng.random() < 0.08
    for (cx, cy, r), tone in zip(fixed.astype(int).tolist(), tones.tolist(), strict=True):
        if square:
            cv2.rectangle(ink, (cx - r, cy - r), (cx + r, cy + r), tone, -1, cv2.LINE_AA, 4)
        else:
            cv2.circle(ink, (cx, cy), max(r, 8), tone, -1, cv2.LINE_AA, 4)
    return _dragged(ink, down, rng) if rng.random() < 0.15 else ink


def _solid(text: str, rng: Generator, split: Split) -> Pixels:
    """The mask of ink of text in a font."""
    chosen = fonts()[split]
    face = _face(chosen[rng.integers(len(chosen))], int(rng.integers(28, 56)))
    size = face.size
    apart = rng.uniform(0, 0.2) * size if rng.random() < 0.25 else 0.0
    wide = sum(face.getlength(c) + apart for c in text) if apart else face.getlength(text)
    canvas = Image.new("L", (int(wide) + 2 * int(size), int(size * 2)), 0)
    pen, x = ImageDraw.Draw(canvas), size
    if apart:
        for char in text:
            pen.text((x, size * 0.4), char, font=face, fill=255)
            x += face.getlength(char) + apart
    else:
        pen.text((x, size * 0.4), text, font=face, fill=255)
    ink = np.asarray(canvas, np.uint8)
    along = float(np.exp(rng.uniform(np.log(0.75), np.log(1.3))))
    if rng.random() < 0.3:
        run = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        ink = (cv2.dilate if rng.random() < 0.5 else cv2.erode)(ink, run).astype(np.uint8)
    return np.asarray(cv2.resize(ink, None, fx=along, fy=1.0), np.uint8)


def _bent(ink: Pixels, rng: Generator) -> Pixels:
    """Tilted up to four degrees, in perspective, on a curve: as held before the camera."""
    height, width = ink.shape
    if rng.random() < 0.65:
        most = np.arctan2(0.7 * height, width)  # of a long line a tilt leaves little height
        turn = float(np.clip(rng.normal(0, np.radians(1.6)), -most, most).clip(-0.07, 0.07))
        rise = abs(np.sin(turn)) * width + 2
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        middle = corners.mean(0)
        spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        there = (corners - middle) @ spin.T + middle + [rise / 2, rise / 2 + 4]
        if rng.random() < 0.4:
            there += rng.normal(0, 0.05, (4, 2)) * height
        warp = cv2.getPerspectiveTransform(corners, there.astype(np.float32))
        size = (int(width + rise + 8), int(height + rise + 8))
        ink = np.asarray(cv2.warpPerspective(ink, warp, size), np.uint8)
    if rng.random() < 0.2:
        height, width = ink.shape
        bend = rng.uniform(-0.3, 0.3) * height
        ink = np.pad(ink, ((int(abs(bend)) + 2,) * 2, (0, 0)))
        x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in ink.shape[::-1]))
        away = (2 * x / width - 1) - rng.uniform(-0.3, 0.3)
        shifted = (y + bend * (away**2 - 0.4)).astype(np.float32)
        ink = np.asarray(cv2.remap(ink, x, shifted, cv2.INTER_LINEAR), np.uint8)
    return ink


def _with_margins(ink: Pixels, rng: Generator) -> Pixels:
    height = ink.shape[0]
    above = rng.uniform(0.02, 0.25 if rng.random() < 0.5 else 0.6, 2) * height
    beside = rng.uniform(0.03, 0.4 if rng.random() < 0.5 else 1.4, 2) * height
    sides = (above, beside)
    return np.pad(ink, [(int(a) + 1, int(b) + 1) for a, b in sides])


def _photographed(ink: Pixels, rng: Generator) -> Pixels:
    """The grey picture of a mask of ink on some ground, under some light, through some lens."""
    if rng.random() < 0.35:
        low = max(16, round(ink.shape[0] * rng.uniform(0.4, 1.0)))
        wide = max(8, round(ink.shape[1] * low / ink.shape[0]))
        ink = np.asarray(cv2.resize(ink, (wide, low), interpolation=cv2.INTER_AREA), np.uint8)
    height, width = ink.shape
    paper = rng.uniform(25, 240)
    step = rng.uniform(22, 60) if rng.random() < 0.35 else rng.uniform(60, 200)
    darker = (rng.random() < 0.65 and paper > step) or paper + step > 255
    tone = float(np.clip(paper - step if darker else paper + step, 0, 255)) - paper
    strength = abs(tone)
    ground = np.full((height, width), paper, np.float32)
    if rng.random() < 0.7:
        ground += _rough(height, width, rng) * (rng.uniform(0, 0.16) * strength)
    if rng.random() < 0.1:  # corrugated board, cloth, a brushed sheet
        angle, pitch = rng.uniform(0, np.pi), rng.uniform(3, 16)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / pitch))
        ground += wave * (rng.uniform(0, 0.16) * strength)
    if rng.random() < 0.6:
        ground += np.linspace(-1, 1, width, dtype=np.float32) * rng.uniform(-0.4, 0.4) * strength
    if rng.random() < 0.3:
        down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        ground += down * rng.uniform(-0.25, 0.25) * strength
    seen = ground + (tone / 255) * ink
    if rng.random() < 0.04:  # a crease or an edge along the strip
        row = int(rng.choice([rng.integers(0, 3), height - 1 - rng.integers(0, 3)]))
        seen[row : row + 1] += rng.uniform(-1, 1) * strength
    if rng.random() < 0.1:
        for _ in range(int(rng.integers(1, 12))):
            spot = (int(rng.integers(width)), int(rng.integers(height)))
            shade = float(paper + rng.uniform(-1, 1) * strength)
            cv2.circle(seen, spot, int(rng.integers(1, 2 + height // 30)), shade, -1)
    blur = rng.uniform(0, 0.045) * height * (rng.random() < 0.65)
    if blur > 0.25:
        seen = cv2.GaussianBlur(seen, (0, 0), min(blur, 2.5))
    if rng.random() < 0.08:
        length = max(2, int(height * rng.uniform(0.03, 0.09)))
        seen = cv2.blur(seen, (length, 1))
    if rng.random() < 0.8:
        noise = rng.standard_normal(seen.shape, np.float32)
        seen = seen + noise * (rng.uniform(0, 0.09) * strength + rng.uniform(0, 3))
    grey = np.clip(seen, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 95))])
        grey = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
    return grey


def _rough(height: int, width: int, rng: Generator) -> Floats:
    """Cloudy ground of one grain."""
    grain = max(1, round(height * rng.uniform(0.03, 0.4)))
    small = (max(2, height // grain), max(2, width // grain))
    clouds = rng.standard_normal(small, np.float32)
    return np.asarray(cv2.resize(clouds, (width, height)), np.float32)


def _dragged(ink: Pixels, pitch: float, rng: Generator) -> Pixels:
    """Dots drawn long by a product that moves while it is printed."""
    length = max(2, round(pitch * rng.uniform(0.3, 0.9)))
    drawn = cv2.blur(ink, (length, 1)).astype(np.float32) * rng.uniform(1.0, 1.6)
    return np.clip(drawn, 0, 255).astype(np.uint8)


def _cropped(ink: Pixels) -> Pixels:
    rows, columns = np.flatnonzero(ink.max(1) > 40), np.flatnonzero(ink.max(0) > 40)
    if not len(rows):
        return ink
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@lru_cache(64)
def _face(font: str, size: int) -> Any:
    return ImageFont.truetype(font, size)


@lru_cache(50_000)
def _from_font(font: str, char: str, rows: int, sure: float) -> Grid:
    """A character of a font on dots, a capital letter ``rows`` high; two more rows hang below."""
    over = 6
    _, top, _, bottom = _face(font, 200).getbbox("H")
    size = max(4, round(200 * rows * over / (bottom - top)))
    face = _face(font, size)
    top = int(face.getbbox("H")[1])
    canvas = Image.new("L", (round(face.getlength(char)) + 2 * over, size * 2), 0)
    ImageDraw.Draw(canvas).text((0, over - top), char, font=face, fill=255)
    ink = np.asarray(canvas, np.float32)[: (rows + 3) * over]
    wide = ink.shape[1] // over
    cells = ink[:, : wide * over].reshape(rows + 3, over, wide, over).mean((1, 3))
    grid: Grid = cells > 255 * sure
    used = np.flatnonzero(grid.any(0))
    return grid[:, : used[-1] + 1] if len(used) else grid


@lru_cache(2000)
def _strokes(char: str, columns: int, rows: int) -> Grid:
    grid = np.zeros((rows, columns), bool)
    for column, row in glyphs.stroke_dots(char, columns, rows):
        grid[min(int(row), rows - 1), min(int(column), columns - 1)] = True
    return grid


@lru_cache(100)
def _virtual(char: str) -> Grid:
    grid = np.zeros((7, 5), bool)
    for column, row in glyphs.matrix_dots(char, other=True):
        grid[int(row), int(column)] = True
    return grid


def _tight(grid: Grid) -> Grid:
    used = np.flatnonzero(grid.any(0))
    return grid[:, used[0] : used[-1] + 1] if len(used) else grid


def _twice(grid: Grid) -> Grid:
    """Each dot again beside itself."""
    again = np.pad(grid, ((0, 0), (0, 1)))
    again[:, 1:] |= grid
    return again
