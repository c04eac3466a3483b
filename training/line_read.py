"""The shipped model ``line-read``: one line of a coder's print, from the virtual printer.

Unlimited lines are rendered, so nothing is stored. Enters seeds; leaves lines and the schedule that
``training fit read line-read`` follows.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import cv2
import numpy as np
from numpy.random import Generator

from inspector.virtual.print import Split, render_line
from training.fit import Schedule
from training.read import Line
from training.recogniser import CHARSET

NAME = "line-read"
LINES, HELD_OUT = 20_000, 3_000
SEED = 11
SCHEDULE = Schedule(epochs=14, rate=2e-3, decay=0.01, warm_up=300)
TRAINED_ON = (
    "The virtual line's printed lines (inspector.virtual.print.render_line, split train): lots, "
    "dates and random strings; measured on fonts and labels of split held_out."
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


def _render(seed: int, split: Split) -> list[Line]:
    cv2.setNumThreads(1)
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(CHUNK):
        text = draw_text(rng)
        lines.append(Line(render_line(text, rng, split), text))
    return lines


def render(count: int, split: Split, seed: int = SEED, workers: int = 2) -> list[Line]:
    """``count`` lines, the same for a seed whatever the workers; the splits share no seed."""
    first = seed * 1_000_000 + (500_000 if split == "held_out" else 0)
    seeds = range(first, first + -(-count // CHUNK))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        chunks = pool.map(_render, seeds, [split] * len(seeds))
        return [line for chunk in chunks for line in chunk][:count]
