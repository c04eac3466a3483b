"""The shipped model ``line-read``: one line of a coder's print, from the virtual printer.

Unlimited lines are rendered, so nothing is stored. Enters seeds; leaves lines and the schedule that
``training fit read line-read`` follows.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from inspector.virtual.print import FONTS_HELD_OUT, Font, Split, render_line
from training.fit import Schedule
from training.read import Line
from training.recogniser import CHARSET
from training.rendered import rendered

NAME = "line-read"
LINES, HELD_OUT = 20_000, 3_000
SEED = 11
SCHEDULE = Schedule(epochs=25, rate=2e-3, decay=0.01, warm_up=300)
TRAINED_ON = (
    "The virtual line's print (inspector.virtual.print.render_line, split train, half of it with "
    "print heads drawn at random): lots, dates and random strings; measured on the fonts and "
    "labels of split held_out."
)
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
CHUNK = 500


def draw_text(rng: Generator) -> str:
    """A lot, a date or, mostly, any string: so that no letter is ever read because it is likely."""
    kind = rng.random()
    if kind < 0.2:
        letters = rng.choice(list(CHARSET[:26]), 2)
        return f"{letters[0]}{rng.integers(10_000):04d}{letters[1]}"
    if kind < 0.4:
        gap = rng.choice([" ", ".", "/", "-"]) if rng.random() < 0.3 else " "
        month = MONTHS[rng.integers(12)] if rng.random() < 0.8 else f"{rng.integers(1, 13):02d}"
        return gap.join((f"{rng.integers(1, 32):02d}", month, f"{rng.integers(100):02d}"))
    if kind < 0.42:
        return ""
    symbols = list(CHARSET[:36] * 3 + CHARSET[36:])
    return " ".join("".join(rng.choice(symbols, rng.integers(1, 13))).split())


def draw_font(rng: Generator) -> Font:
    """A printer that is none of the held-out ones: any print head, dot, slant, gap or stroke."""
    kept_apart = {(font.columns, font.rows) for font in FONTS_HELD_OUT if font.alphabet == "head"}
    slant = rng.uniform(-0.06, 0.18) if rng.random() < 0.5 else 0.0
    if rng.random() < 0.2:
        weight = rng.uniform(0.08, 0.18)
        return Font("any", "stroke", weight=weight, gap=rng.uniform(1.0, 1.6), slant=slant)
    head = (0, 0)
    while head == (0, 0) or head in kept_apart:
        # Heads of few dots more often: there an 8 differs from a 3 by three dots.
        columns = int(rng.integers(5, 11, 2).min())
        head = (columns, max(7, columns + int(rng.integers(4))))
    dot, gap = rng.uniform(0.75, 1.45), rng.uniform(1.0, 2.2)
    return Font("any", "head", *head, dot=dot, gap=gap, slant=slant)


def _render(seed: int, split: Split) -> list[Line]:
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(CHUNK):
        text = draw_text(rng)
        font = draw_font(rng) if split == "train" and rng.random() < 0.5 else None
        lines.append(Line(render_line(text, rng, split, font=font), text))
    return lines


def render(count: int, split: Split, seed: int = SEED) -> list[Line]:
    """``count`` lines, the same for a seed; the splits share no seed."""
    first = seed * 1_000_000 + (500_000 if split == "held_out" else 0)
    seeds = range(first, first + -(-count // CHUNK))
    chunks = rendered(_render, seeds, split)
    return [line for chunk in chunks for line in chunk][:count]
