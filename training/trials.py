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
from training.dataset.split import together
from training.learned import datasets_before, learned_from
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
    """mAP50 of each trial, and mean and spread by rate; null where no fold shows an object.

    Raises:
        SnapshotError: there are fewer parts than folds, or ``start`` has learned all of a fold.
    """
    snapshot = open_snapshot(home, ref)
    fold_of(snapshot, folds)
    known = learned_from(home, datasets_before(start))
    for fold in range(folds):
        held = turn(snapshot, fold, folds).of("test", view=view)
        if held and all(known.has(row) for row in held):
            raise SnapshotError(
                f"{snapshot.ref}: {start} has learned all that fold {fold + 1} of {folds} would "
                "measure with; begin from another model, or from none"
            )
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
        by_rate[job.rate] += [] if np.isnan(value) else [value]
    return {
        "dataset": snapshot.ref,
        "trials": [
            {"rate": j.rate, "seed": j.seed, "fold": j.fold, "map50": _figure(v)}
            for j, v in zip(jobs, found, strict=True)
        ],
        "by_rate": {
            str(rate): {
                "mean": _figure(float(np.mean(values))) if values else None,
                "spread": _figure(float(np.std(values))) if values else None,
            }
            for rate, values in by_rate.items()
        },
        "best_rate": max(by_rate, key=lambda rate: float(np.mean(by_rate[rate] or [0.0]))),
    }


def _figure(value: float) -> float | None:
    """As JSON holds it; a fold without an object measures nothing."""
    return None if np.isnan(value) else round(value, 4)


def fold_of(snapshot: Snapshot, folds: int) -> dict[str, int]:
    """The fold of each batch; by parts where there are fewer batches than folds."""
    groups = sorted({row.group for row in snapshot.rows})
    if len(groups) < folds:
        groups = sorted({row.part or row.image for row in snapshot.rows})
    if len(groups) < folds:
        raise SnapshotError(f"{snapshot.ref}: {len(groups)} parts make no {folds} folds")
    return {group: index % folds for index, group in enumerate(groups)}


def turn(snapshot: Snapshot, fold: int, folds: int) -> Snapshot:
    """``snapshot`` as one fold's trial splits it; pictures that repeat one another stand together,
    or what was learned by heart would measure."""
    of = fold_of(snapshot, folds)

    def side(row: Row) -> str:
        mine = of.get(row.group, of.get(row.part or row.image, 0))
        return "test" if mine == fold else "train"

    rows = together([replace(row, split=side(row)) for row in snapshot.rows])
    return replace(snapshot, rows=tuple(rows))


def run_trial(trial: Trial) -> float:
    """Train on all folds but one; the mAP50 on that one."""
    import torch

    from training.detect import detect, fit_detector
    from training.evaluate import mean_average_precision
    from training.fit import Schedule
    from training.pictures import letterbox
    from training.policy import LINE_CAMERA, POLICIES
    from training.teach import Lesson, classes_of, held_out, lineage, pictures_of, shape_for
    from training.tracking import Track

    torch.set_num_threads(trial.threads)
    snapshot = open_snapshot(Path(trial.home), trial.ref)
    start = Path(trial.start) if trial.start else None

    turned = turn(snapshot, trial.fold, trial.folds)
    classes = classes_of([turned], start, trial.view)
    lesson = Lesson(snapshot.name, (turned,), trial.view, classes, trial.roi, start)
    shape = shape_for(lesson, None)
    product = next((r.product for r in snapshot.rows if r.product), "")
    learn, held = pictures_of(lesson, "train"), held_out(lesson, "test")
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
