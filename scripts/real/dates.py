"""How many printed dates the shipped recipe reads exactly, whole photo in, and how fast.

Photos of food packs (github.com/turnerdaniel/Label-Recognition) with the printed DD MMM. The recipe
has learned nothing from them: the models read any print, and its settings were chosen by speed at
equal exactness. Exact means equal to the label, spaces and case included. ``--spoilt`` photographs
each pack again, worse: turned, small, blurred, dark, bright, aslant, noisy, JPEG of 20 %.

    python scripts/real/dates.py [--data DIR] [--every N] [--spoilt] [--json]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspector.part import Batch, Pixels
from inspector.pictures import read_image
from inspector.recipe import Recipe, load

ROOT = Path(__file__).resolve().parents[2]
TODAY = date(2026, 11, 23)
MISPRINTED = {"image40.jpeg": "30 NOV"}
"""Labels that are wrong: this one says 40 NOV, the pack 30 NOV. It counts as a miss all the same,
and is named."""

Spoil = Callable[[Pixels], Pixels]


def turned(degrees: float, scale: float = 1.0) -> Spoil:
    """Turned about the middle, the picture large enough to lose nothing."""

    def spoil(photo: Pixels) -> Pixels:
        height, width = photo.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, scale)
        cos, sin = abs(matrix[0, :2])
        size = round(width * cos + height * sin), round(width * sin + height * cos)
        matrix[:, 2] += ((size[0] - width) / 2, (size[1] - height) / 2)
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        return _bytes(cv2.warpAffine(photo, matrix, size, flags=way, borderValue=(90, 90, 90)))

    return spoil


def aslant(share: float) -> Spoil:
    """Seen from one side: the right edge is shorter by ``share``."""

    def spoil(photo: Pixels) -> Pixels:
        height, width = photo.shape[:2]
        corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
        off = np.array([(0, 0), (0, share / 2), (0, -share / 2), (0, 0)], np.float32) * height
        matrix = cv2.getPerspectiveTransform(corners, corners + off)
        return _bytes(cv2.warpPerspective(photo, matrix, (width, height)))

    return spoil


def exposed(gain: float) -> Spoil:
    """Darker or brighter, what is too bright burnt out."""
    return lambda photo: _bytes(np.clip(photo * np.float32(gain), 0, 255))


def noisy(photo: Pixels) -> Pixels:
    """With a dark sensor's noise."""
    noise = np.random.default_rng(1).normal(0, 15, photo.shape)
    return _bytes(np.clip(photo + noise, 0, 255))


def squeezed(photo: Pixels) -> Pixels:
    """As a JPEG of quality 20."""
    _, data = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 20])
    return _bytes(cv2.imdecode(data, cv2.IMREAD_COLOR))


SPOILT: dict[str, Spoil] = {
    "turned 5": turned(5),
    "turned -10": turned(-10),
    "turned 20": turned(20),
    "upside down": lambda photo: _bytes(photo[::-1, ::-1]),
    "on end": lambda photo: _bytes(np.rot90(photo)),
    "half the size": turned(0, 0.5),
    "larger by 1.5": turned(0, 1.5),
    "blurred by 2 px": lambda photo: _bytes(cv2.GaussianBlur(photo, (0, 0), 2)),
    "dark": exposed(0.35),
    "bright": exposed(1.7),
    "aslant": aslant(0.3),
    "noisy": noisy,
    "JPEG of 20 %": squeezed,
}


def photos(data: Path, every: int) -> Iterator[tuple[str, Pixels, str]]:
    """Name, photo and printed text of every so many."""
    with (data / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))[::every]
    for row in rows:
        photo, flaw = read_image(data / "images" / row["image"])
        if photo is None:
            raise SystemExit(flaw)
        yield row["image"], photo, row["text"]


def measured(recipe: Recipe, data: Path, every: int, spoil: Spoil) -> dict[str, Any]:
    """Exact dates and times over the photos, each seen through ``spoil``."""
    missed, ms, cpu = [], [], []
    for name, photo, text in photos(data, every):
        seen = spoil(photo)
        began = time.process_time()
        judged = recipe.judge({"image": seen}, Batch("real"), TODAY)
        cpu.append((time.process_time() - began) * 1e3)
        ms.append(judged.ms)
        read = next((f.text for f in judged.findings if f.text), "")
        if read != text:
            missed.append({"photo": name, "label": text, "read": read})
    count = len(ms)
    low, high = interval(count - len(missed), count)
    return {
        "photos": count,
        "exact": count - len(missed),
        "exact_interval95": [round(low, 3), round(high, 3)],
        "ms_median": round(float(np.median(ms)), 1),
        "ms_p95": round(float(np.percentile(ms, 95)), 1),
        "cpu_ms_mean": round(float(np.mean(cpu)), 1),
        "cpu_ms_p95": round(float(np.percentile(cpu, 95)), 1),
        "missed": missed,
    }


def interval(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927)."""
    z, share = 1.96, hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * (share * (1 - share) / of + z * z / (4 * of * of)) ** 0.5
    return middle - half, middle + half


def _bytes(pixels: Any) -> Pixels:
    return np.ascontiguousarray(np.asarray(pixels).astype(np.uint8))


def main() -> None:
    """Prints the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("INSPECTOR_REAL_DATA", ROOT.parent / "shared" / "data")
    options.add_argument("--data", type=Path, default=default)
    options.add_argument(
        "--recipe", type=Path, default=ROOT / "station_configs/recipes/date-code.yaml"
    )
    options.add_argument("--every", type=int, default=1, help="every so many photos only")
    options.add_argument("--spoilt", action="store_true", help="photos made worse in 13 ways")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    data = Path(given.data) / "date_codes"
    if not (data / "labels.csv").exists():
        raise SystemExit(f"no photos in {data}; set INSPECTOR_REAL_DATA")
    recipe = load(given.recipe, ROOT / "models", threads=given.threads)
    recipe.warm_up()
    report = {}
    for name, spoil in {"as they are": _bytes, **(SPOILT if given.spoilt else {})}.items():
        report[name] = measured(recipe, data, given.every, spoil)
        if not given.json:
            missed = ", ".join(
                f"{m['label']}→{m['read'] or '—'}" for m in report[name].pop("missed")
            )
            print(f"{name:16}", json.dumps(report[name]), missed, flush=True)
    if given.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
