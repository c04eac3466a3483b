"""How well one recipe checks a real bottle's cap, the cap's type, its label and its level, on films
that it never saw.

Frames of a conveyor (CapVision, github.com/voolbeat/CapVision), judged by
``station_configs/recipes/bottle-pack.yaml``. Reported, by film: frames as they are, which pass; and
each bottle that stands in a frame whole, spoilt in one way at a time (no cap, the other product's
cap, no label, a low level), which must be rejected. What no film shows is painted
(``training/bottle_pack.py``), by other draws than in training.

    python scripts/real/bottles_pack.py [--data DIR] [--every N] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from bottles import ROOT, TODAY, figure

from inspector.part import Batch, Outcome, Pixels
from inspector.recipe import Recipe, load
from training import bottle_cap
from training.bottle_pack import PAINTINGS, bottles_of, seen
from training.pictures import Picture


def judge(recipe: Recipe, pixels: Pixels) -> tuple[bool, tuple[str, ...]]:
    """Whether it passes, and why it does not."""
    judged = recipe.judge({"image": pixels}, Batch("real"), TODAY)
    return judged.outcome is Outcome.PASS, judged.reasons


def spoilt(
    recipe: Recipe, frames: list[Picture], others: list[Picture], every: int
) -> dict[str, list[bool]]:
    """Whether frames pass as they are, and are rejected with one bottle spoilt in one way; the
    other product's caps come from ``others``."""
    right: dict[str, list[bool]] = {"as they are": [], **{name: [] for name in PAINTINGS}}
    rng = np.random.default_rng(2026)
    for frame in frames[::every]:
        right["as they are"].append(judge(recipe, frame.pixels)[0])
        for bottle in bottles_of(frame):
            for name, paint in PAINTINGS.items():
                changed = paint(frame, bottle, others, rng)
                if changed is not None:
                    right[name].append(not judge(recipe, changed.pixels)[0])
    return right


def main() -> None:
    """Prints the figures, by film and together."""
    options = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("INSPECTOR_REAL_DATA", ROOT.parent / "shared" / "data")
    options.add_argument("--data", type=Path, default=default)
    options.add_argument("--every", type=int, default=1, help="every so many frames only")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    data = Path(given.data) / "bottles"
    if not (data / "images").is_dir():
        raise SystemExit(f"no films in {data}; set INSPECTOR_REAL_DATA")
    recipe = load(ROOT / "station_configs/recipes/bottle-pack.yaml", ROOT / "models")
    recipe.warm_up()
    began = time.process_time()
    films = {}
    caps = seen(data, bottle_cap.HELD_OUT, side=640)
    for film in bottle_cap.HELD_OUT:
        frames = [frame for frame in caps if frame.group == film]
        films[film] = spoilt(recipe, frames, caps, given.every)
    report: dict[str, Any] = {
        "films": {film: {n: figure(r) for n, r in rows.items()} for film, rows in films.items()},
    }
    every = {n: [r for f in films.values() for r in f[n]] for n in ("as they are", *PAINTINGS)}
    report["all"] = {name: figure(right) for name, right in every.items()}
    judged = sum(map(len, every.values()))
    report["cpu_ms"] = round((time.process_time() - began) / judged * 1e3, 1)
    print(json.dumps(report, indent=None if given.json else 1))


if __name__ == "__main__":
    main()
