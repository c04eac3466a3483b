"""How well ``anomaly`` tells drawn defects on surfaces cut out of real photographs.

Three places of the bottle films that show no product: the black cloth under the conveyor, the
backdrop, the conveyor's rail. Pieces of 120 px of every second frame teach (40) or are judged (50
good ones, and 50 with a scratch, a speck, a stain or a piece of another photo blended in), cut out
anywhere: the surfaces and their grain are real, the defects are not. Nothing was chosen on them.

    python scripts/real/photo_surfaces.py [--data DIR] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

from inspector.part import Pixels
from inspector.pictures import read_image
from inspector.teach import teach_anomaly
from inspector.teach.anomaly import auroc
from inspector.tools.anomaly import Look, worst
from inspector.tools.onnx import Shelf

ROOT = Path(__file__).resolve().parents[2]
PLACES = {
    "cloth": ("IMG_4821", (0, 520, 640, 640)),
    "backdrop": ("IMG_4818", (0, 0, 640, 210)),
    "rail": ("IMG_4823", (0, 395, 640, 445)),
}
"""Film, and x1, y1, x2, y2 in its frames."""
SIDE, TAUGHT, JUDGED = 120, 40, 50
KINDS = ("scratch", "speck", "stain", "paste")


def pieces(data: Path, place: str, half: int, count: int) -> list[Pixels]:
    """Pieces of a place, of every second frame of its film."""
    film, (x1, y1, x2, y2) = PLACES[place]
    files = sorted((data / "bottles" / "images").glob(f"{film}*"))[half::2]
    if not files:
        raise SystemExit(f"no film {film} in {data}; set INSPECTOR_REAL_DATA")
    rng, high, cut = np.random.default_rng([half, len(place)]), min(SIDE, y2 - y1), []
    while len(cut) < count:
        frame, flaw = read_image(files[rng.integers(len(files))])
        if frame is None:
            raise SystemExit(flaw)
        x, y = int(rng.integers(x1, x2 - SIDE + 1)), int(rng.integers(y1, y2 - high + 1))
        cut.append(np.ascontiguousarray(frame[y : y + high, x : x + SIDE]))
    return cut


def spoilt(piece: Pixels, others: list[Path], rng: Generator) -> tuple[Pixels, str]:
    """A piece with one defect, and its kind."""
    kind, seen = str(rng.choice(KINDS)), piece.astype(np.float32)
    height, width = piece.shape[:2]
    x, y = int(rng.uniform(0.2, 0.8) * width), int(rng.uniform(0.2, 0.8) * height)
    strength = float(rng.choice([-1, 1]) * rng.uniform(18, 45))
    mask = np.zeros((height, width), np.float32)
    if kind == "scratch":
        along, half = rng.uniform(0, np.pi), rng.uniform(7, 20)
        dx, dy = int(half * np.cos(along)), int(half * np.sin(along))
        thick = int(rng.integers(1, 3))
        cv2.line(mask, (x - dx, y - dy), (x + dx, y + dy), 1, thick, cv2.LINE_AA)
    elif kind == "speck":
        cv2.circle(mask, (x, y), int(rng.integers(2, 5)), 1, -1, cv2.LINE_AA)
    elif kind == "stain":
        cv2.circle(mask, (x, y), int(rng.integers(8, 14)), 0.7, -1)
        mask = cv2.GaussianBlur(mask, (0, 0), 4).astype(np.float32)
    else:
        photo, flaw = read_image(others[rng.integers(len(others))])
        if photo is None:
            raise SystemExit(flaw)
        half, top, left = int(rng.integers(8, 16)), rng.integers(0, 600), rng.integers(0, 800)
        patch = cv2.resize(photo[top : top + 30, left : left + 30], (2 * half, 2 * half))
        under = seen[max(0, y - half) : y + half, max(0, x - half) : x + half]
        under[:] = 0.4 * under + 0.6 * patch[: under.shape[0], : under.shape[1]]
        return np.clip(seen, 0, 255).astype(np.uint8), kind
    return np.clip(seen + strength * mask[..., None], 0, 255).astype(np.uint8), kind


def measured(data: Path, place: str, shelf: Shelf) -> dict[str, Any]:
    """What a bank taught on one half of a film says of the other half."""
    others = sorted((data / "date_codes" / "images").iterdir())
    taught = teach_anomaly(pieces(data, place, 0, TAUGHT), shelf)
    look, rng = Look(taught.bank, shelf), np.random.default_rng(7)
    unseen = pieces(data, place, 1, 2 * JUDGED)
    good = np.array([worst(look.map_of(piece)) for piece in unseen[:JUDGED]])
    made = [spoilt(piece, others, rng) for piece in unseen[JUDGED:]]
    bad = np.array([worst(look.map_of(piece)) for piece, _ in made])
    kinds = np.array([kind for _, kind in made])
    return {
        "auroc": round(auroc(good, bad), 3),
        "by_kind": {kind: round(auroc(good, bad[kinds == kind]), 2) for kind in KINDS},
        "good_rejected": int((good >= taught.bank.limit).sum()),
        "defects_rejected": int((bad >= taught.bank.limit).sum()),
        "stands_out": taught.report.get("stands_out"),
    }


def main() -> None:
    """Prints AUROC by place and kind of defect, and what the taught limit rejects of 50 each."""
    options = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("INSPECTOR_REAL_DATA", ROOT.parent / "shared" / "data")
    options.add_argument("--data", type=Path, default=default)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    shelf = Shelf(ROOT / "models", threads=2)
    report = {place: measured(Path(given.data), place, shelf) for place in PLACES}
    print(json.dumps(report, indent=None if given.json else 1))


if __name__ == "__main__":
    main()
