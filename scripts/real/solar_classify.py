"""How well a trained classifier tells defective solar cells from good ones.

The cells of ``solar.py``, 200 good and 60 defective, in the order drawn there, in five folds: each
fold is judged by a net that ``training fit classify``'s own fitting (``training.shapes_fit``) made
from the other four. Its settings are those below, set before anything was measured; no fold picks
an epoch.

    python scripts/real/solar_classify.py [--data DIR] [--folds 5] [--epochs 40] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import solar
import torch

from inspector.part import Pixels
from inspector.teach.anomaly import auroc
from training.detector import Shape
from training.evaluate import bootstrap
from training.fit import Schedule
from training.pictures import Picture, letterbox
from training.policy import Policy
from training.shapes import Classifier, Classify
from training.shapes_fit import Taught, fit_shapes

SHAPE = Shape(160, 160, ("good", "defect"), (24, 32, 48, 64))


def _cell() -> list[Any]:
    import albumentations as A

    return [
        A.D4(p=1.0),
        A.RandomBrightnessContrast(0.15, 0.15, p=0.5),
        A.GaussNoise((0.0, 0.03), p=0.3),
    ]


POLICY = Policy(
    "solar-cell",
    (
        "a cell has no top and no hand",
        "exposure differs from module to module",
        "the camera's noise",
    ),
    _cell,
)


def main() -> None:
    """Prints the AUROC over all folds, each cell judged by the net that never saw it."""
    options = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[2]
    default = os.environ.get("INSPECTOR_REAL_DATA", root.parent / "shared" / "data")
    options.add_argument("--data", type=Path, default=default)
    options.add_argument("--folds", type=int, default=5)
    options.add_argument("--epochs", type=int, default=40)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    cells = Path(given.data) / "solar_cells"
    if not cells.is_dir():
        raise SystemExit(f"no cells in {cells}; set INSPECTOR_REAL_DATA")
    good, bad = solar.drawn(cells)
    pictures = [_taught(p, 0) for p in good] + [_taught(p, 1) for p in bad]
    # Each class by itself, so that each fold has its share of both.
    fold = np.array([i % given.folds for n in (len(good), len(bad)) for i in range(n)])
    scores = np.zeros(len(pictures))
    by_fold = []
    for k in range(given.folds):
        learn = [t for t, f in zip(pictures, fold, strict=True) if f != k]
        held = [t for t, f in zip(pictures, fold, strict=True) if f == k]
        schedule = Schedule(given.epochs, 2e-3, warm_up=50, average=0.99, measure_every=10)
        with tempfile.TemporaryDirectory() as run:
            net = fit_shapes("classify", SHAPE, learn, held, POLICY, Path(run), schedule)
        assert isinstance(net, Classifier)
        scores[fold == k] = _scores(net, held)
        truth = np.array([t.kind for t in held])
        by_fold.append(
            round(auroc(scores[fold == k][truth == 0], scores[fold == k][truth == 1]), 4)
        )
    kinds = np.array([t.kind for t in pictures])

    def measure(at: np.ndarray) -> float:
        return auroc(scores[at][kinds[at] == 0], scores[at][kinds[at] == 1])

    low, high = bootstrap(measure, len(kinds), rounds=1000)
    report = {
        "good": len(good),
        "defective": len(bad),
        "auroc": round(measure(np.arange(len(kinds))), 4),
        "auroc_interval95": [round(low, 4), round(high, 4)],
        "auroc_by_fold": by_fold,
    }
    print(json.dumps(report, indent=None if given.json else 1))


def _taught(pixels: Pixels, kind: int) -> Taught:
    whole = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2)
    bare = Picture(whole, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    picture = letterbox(bare, SHAPE.height, SHAPE.width)
    return Taught(picture, kind, np.zeros(0, np.uint8))


def _scores(net: Classifier, held: list[Taught]) -> np.ndarray:
    whole = Classify(net).eval()
    with torch.no_grad():
        return np.array(
            [float(whole(torch.from_numpy(t.picture.pixels)[None])[0, 1]) for t in held]
        )


if __name__ == "__main__":
    main()
