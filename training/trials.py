"""Which rate, which seed, does it hold on every fold: a data set enters, a table leaves.

Each trial trains one small net on all batches but one fold's and measures it on that fold. Trials
run on a Ray cluster where one is named, else one after the other. Imported by the command line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.dataset.row import Row
from training.dataset.snapshot import Snapshot, SnapshotError, open_snapshot
from training.scale import spread


@dataclass(frozen=True, slots=True)
class Trial:
    """One training, wherever it runs."""

    home: str
    ref: str
    view: str
    roi: tuple[int, int, int, int] | None
    start: str
    fold: int
    folds: int
    rate: float
    seed: int
    epochs: int
    run: str
    threads: int


def trials(
    home: Path,
    ref: str,
    run: Path,
    *,
    view: str,
    roi: tuple[int, int, int, int] | None = None,
    start: Path | None = None,
    folds: int = 3,
    rates: Sequence[float] = (2e-3,),
    seeds: Sequence[int] = (0,),
    epochs: int = 20,
    ray: str = "",
    threads: int = 2,
    told: Callable[[int, int], None] = lambda done, all_of: None,
) -> dict[str, Any]:
    """mAP50 of each trial, and mean and spread by rate. Raises ``SnapshotError``."""
    snapshot = open_snapshot(home, ref)
    fold_of(snapshot, folds)
    jobs = [
        Trial(
            str(home.resolve()), snapshot.ref, view, roi, str(start.resolve()) if start else "",
            fold, folds, rate, seed, epochs, str(run.resolve()), threads,
        )
        for rate in rates for seed in seeds for fold in range(folds)
    ]  # fmt: skip
    found = spread(run_trial, jobs, ray, told)
    by_rate: dict[float, list[float]] = defaultdict(list)
    for job, value in zip(jobs, found, strict=True):
        by_rate[job.rate].append(value)
    return {
        "dataset": snapshot.ref,
        "trials": [
            {"rate": j.rate, "seed": j.seed, "fold": j.fold, "map50": round(v, 4)}
            for j, v in zip(jobs, found, strict=True)
        ],
        "by_rate": {
            str(rate): {
                "mean": round(float(np.mean(values)), 4),
                "spread": round(float(np.std(values)), 4),
            }
            for rate, values in by_rate.items()
        },
        "best_rate": max(by_rate, key=lambda rate: float(np.mean(by_rate[rate]))),
    }


def fold_of(snapshot: Snapshot, folds: int) -> dict[str, int]:
    """The fold of each batch; by parts where there are fewer batches than folds."""
    groups = sorted({row.group for row in snapshot.rows})
    if len(groups) < folds:
        groups = sorted({row.part or row.image for row in snapshot.rows})
    if len(groups) < folds:
        raise SnapshotError(f"{snapshot.ref}: {len(groups)} parts make no {folds} folds")
    return {group: index % folds for index, group in enumerate(groups)}


def run_trial(trial: Trial) -> float:
    """Train on all folds but one; the mAP50 on that one."""
    import torch

    from training.detect import detect, fit_detector
    from training.evaluate import mean_average_precision
    from training.fit import Schedule
    from training.pictures import letterbox
    from training.policy import LINE_CAMERA, POLICIES
    from training.teach import Lesson, classes_of, lineage, pictures_of, shape_for
    from training.tracking import Track

    torch.set_num_threads(trial.threads)
    snapshot = open_snapshot(Path(trial.home), trial.ref)
    folds = fold_of(snapshot, trial.folds)
    start = Path(trial.start) if trial.start else None

    def side(row: Row) -> str:
        fold = folds.get(row.group, folds.get(row.part or row.image, 0))
        return "test" if fold == trial.fold else "train"

    turned = replace(snapshot, rows=tuple(replace(row, split=side(row)) for row in snapshot.rows))
    classes = classes_of([turned], start, trial.view)
    lesson = Lesson(snapshot.name, (turned,), trial.view, classes, trial.roi, start)
    shape = shape_for(lesson, None)
    product = next((r.product for r in snapshot.rows if r.product), "")
    learn, held = pictures_of(lesson, "train"), pictures_of(lesson, "test")
    batch = max(1, min(16, len(learn) // 4))
    steps = trial.epochs * (len(learn) // batch)
    schedule = Schedule(
        epochs=trial.epochs, rate=trial.rate, seed=trial.seed, warm_up=max(1, steps // 10),
        average=0.98, measure_every=trial.epochs,
    )  # fmt: skip
    run = Path(trial.run) / f"rate{trial.rate:g}-seed{trial.seed}-fold{trial.fold}"
    how = POLICIES.get(product, LINE_CAMERA)
    made = lineage(lesson, how, schedule) | {"fold": trial.fold, "folds": trial.folds}
    track = Track(run, snapshot.name, made)
    net = fit_detector(shape, learn, held, how, run, schedule, batch, start, track)
    ready = [letterbox(p, shape.height, shape.width) for p in held]
    return mean_average_precision(detect(net, ready), ready, len(classes))[0]
