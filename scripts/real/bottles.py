"""How well the shipped recipe tells capped bottles from bottles without a cap, on unseen films.

Frames of a conveyor (CapVision, github.com/voolbeat/CapVision), judged by
``station_configs/recipes/bottle-cap.yaml``. The model was trained on the other films; neither its
training nor the recipe's threshold saw a frame of these. No film shows a bottle without its cap:
the cap of every bottle is painted out with what stands beside it, one bottle a time. A frame is
right when it passes as it is, and is rejected once a cap is gone; bottles cut off by the frame's
edge are counted apart, since the half that is seen may be the half without a cap.

    python scripts/real/bottles.py [--data DIR] [--every N] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from inspector.part import Batch, Outcome, Pixels
from inspector.pictures import read_image
from inspector.quality.agreement import wilson
from inspector.recipe import Recipe, load

ROOT = Path(__file__).resolve().parents[2]
HELD_OUT = ("IMG_4824", "IMG_4825", "document_5303551021555925004")
BOTTLE, CAP = 0, 1
TODAY = date(2026, 11, 23)

Box = tuple[int, float, float, float, float]
"""Class, then x1, y1, x2, y2 in pixels."""


def frames(data: Path, film: str, every: int) -> Iterator[tuple[Pixels, list[Box]]]:
    """Every so many frames of a film, with what stands in them."""
    for path in sorted((data / "images").glob(f"{film}*"))[::every]:
        pixels, flaw = read_image(path)
        if pixels is None:
            raise SystemExit(flaw)
        height, width = pixels.shape[:2]
        boxes = []
        for row in (data / "labels" / f"{path.stem}.txt").read_text().splitlines():
            kind, x, y, w, h = (float(v) for v in row.split())
            boxes.append(
                (
                    int(kind),
                    (x - w / 2) * width,
                    (y - h / 2) * height,
                    (x + w / 2) * width,
                    (y + h / 2) * height,
                )
            )
        yield pixels, boxes


def without(pixels: Pixels, box: Box) -> Pixels:
    """The frame with what stands beside a box drawn over it."""
    x1, y1, x2, y2 = (round(v) for v in (box[1] - 3, box[2] - 3, box[3] + 3, box[4] + 3))
    x1, y1 = max(x1, 0), max(y1, 0)
    beside = [pixels[y1:y2, max(0, x1 - 6) : max(x1, 1)], pixels[y1:y2, x2 : x2 + 6]]
    bare = pixels.copy()
    bare[y1:y2, x1:x2] = np.median(np.vstack([b.reshape(-1, 3) for b in beside]), axis=0)
    return bare


def measured(recipe: Recipe, data: Path, film: str, every: int) -> dict[str, list[bool]]:
    """Whether each judgement was right: of frames with bottles, without, and that lack one cap."""
    names = ("capped", "no bottle", "uncapped", "uncapped at the edge")
    right: dict[str, list[bool]] = {name: [] for name in names}
    for pixels, boxes in frames(data, film, every):
        outcome = _outcome(recipe, pixels)
        if any(box[0] == BOTTLE for box in boxes):
            right["capped"].append(outcome is Outcome.PASS)
        else:
            right["no bottle"].append(outcome is Outcome.REJECT)
        for cap in (box for box in boxes if box[0] == CAP):
            middle = (cap[1] + cap[3]) / 2
            owner = next((b for b in boxes if b[0] == BOTTLE and b[1] < middle < b[3]), None)
            if owner is None:
                continue
            cut = owner[1] <= 2 or owner[3] >= pixels.shape[1] - 2
            name = "uncapped at the edge" if cut else "uncapped"
            right[name].append(_outcome(recipe, without(pixels, cap)) is Outcome.REJECT)
    return right


def _outcome(recipe: Recipe, pixels: Pixels) -> Outcome:
    return recipe.judge({"image": pixels}, Batch("real"), TODAY).outcome


def figure(right: list[bool]) -> dict[str, Any]:
    """A share with its 95 % interval."""
    low, high = _ends(right)
    return {"right": sum(right), "of": len(right), "interval95": [round(low, 4), round(high, 4)]}


def _ends(right: list[bool]) -> tuple[float, float]:
    if not right:
        return 0.0, 1.0
    interval = wilson(sum(right), len(right))
    return interval.low, interval.high


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
    recipe = load(ROOT / "station_configs/recipes/bottle-cap.yaml", ROOT / "models")
    recipe.warm_up()
    began = time.process_time()
    films = {film: measured(recipe, data, film, given.every) for film in HELD_OUT}
    every = {name: [r for f in films.values() for r in f[name]] for name in films[HELD_OUT[0]]}
    judged = sum(map(len, every.values()))
    report: dict[str, Any] = {
        "films": {film: {n: figure(r) for n, r in rows.items()} for film, rows in films.items()},
        "all": {name: figure(right) for name, right in every.items()},
        "cpu_ms": round((time.process_time() - began) / judged * 1e3, 1),
    }
    print(json.dumps(report, indent=None if given.json else 1))


if __name__ == "__main__":
    main()
