"""What ``training fit read`` does: lines of print enter, a reader with its measured card leaves."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from training.cli_dataset import HOME, Home

console = Console(stderr=True)
START_RATE, START_EPOCHS = 5e-4, 12
"""From a reader that knows print already: a quarter of the rate, few epochs."""
LEAST_STEPS = 20
"""Steps of an epoch: a small set's lines are shown so often, each time varied otherwise."""


def fit_read(
    run: Annotated[Path, typer.Option(help="Folder of the run: its checkpoints.")],
    name: Annotated[
        str,
        typer.Argument(help="A data set with lines of print, or dot-read; else rendered ones."),
    ] = "",
    home: Home = HOME,
    start: Annotated[
        Path | None, typer.Option(help="A reader to begin from, such as models/line-read/1.")
    ] = None,
    model: Annotated[str, typer.Option(help="The model's name; else the data set's.")] = "",
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the plan's.")] = None,
    rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    models: Annotated[Path, typer.Option(help="Folder of models to write to.")] = Path("models"),
    version: Annotated[str, typer.Option(help="Version of the model written.")] = "1",
    threads: Annotated[int, typer.Option(min=1, help="Threads to compute with.")] = 2,
    tracking: Annotated[str, typer.Option(envvar="MLFLOW_TRACKING_URI", help="MLflow's URI.")] = "",
) -> None:
    """Train the reader of one line of print, and export it with its measured card.

    ``dot-read`` is the reader of dot-matrix and ink-jet strips of any length: rendered ones, too.
    It begins as the ``line-read`` of ``--models``.

    Example: training fit read prints --start models/line-read/1 --run runs/prints
    """
    import torch

    from training import dot_read, line_read
    from training.cli_fit import dots

    torch.set_num_threads(threads)
    if name == dot_read.NAME:
        card = dots(run, epochs, models, version, _script(name))
    elif name:
        card = _from_set(
            name, home, run, start, model, epochs, rate, models, version, tracking,
            " ".join(["training", *sys.argv[1:]]),
        )  # fmt: skip
    else:
        card = _rendered(run, epochs, models, version, tracking, _script(line_read.NAME))
    console.print(f"wrote {card}")


def _from_set(
    name: str, home: Path, run: Path, start: Path | None, model: str, epochs: int | None,
    rate: float | None, models: Path, version: str, tracking: str, command: str,
) -> Path:  # fmt: skip
    """A data set's lines of print teach; those of its held-out parts measure."""
    from training import line_read
    from training.card import sha256
    from training.cli_fit import lines
    from training.dataset.snapshot import open_snapshot
    from training.dot_read import begun_with
    from training.export import export_reader
    from training.learned import datasets_before
    from training.read import fit_reader, place
    from training.recogniser import Recogniser
    from training.tracking import Track

    snapshot = open_snapshot(home, name)
    learn, held = lines(name, home, start)
    batch = max(1, min(64, len(learn) // 4))
    again = max(1, -(-LEAST_STEPS * batch // len(learn)))
    schedule = line_read.SCHEDULE
    lineage = {"datasets": {snapshot.ref: snapshot.digest}, "lines": len(learn)}
    net = Recogniser()
    if start is not None:
        path = start / "model.onnx" if start.is_dir() else start
        schedule = replace(schedule, epochs=START_EPOCHS, rate=START_RATE, average=0.98)
        lineage |= {"start": str(start), "start_sha256": sha256(path)}
        if before := datasets_before(start):
            lineage["start_datasets"] = before
        if not (run / "last.pt").exists():
            shown = [place(line.pixels) for line in (learn * -(-96 // len(learn)))[:96]]
            net = begun_with(path, Recogniser(), shown)
    schedule = replace(schedule, epochs=epochs or schedule.epochs, rate=rate or schedule.rate)
    steps = schedule.epochs * (again * len(learn) // batch)
    schedule = replace(schedule, warm_up=max(1, min(schedule.warm_up, steps // 10)))
    lineage |= {"seed": schedule.seed, "epochs": schedule.epochs, "rate": schedule.rate}
    console.print(f"{len(learn)} lines to learn from, {len(held)} held out")
    called = model or snapshot.name
    track = Track(run, called, lineage, tracking)
    net = fit_reader(learn, held, run, schedule, batch, net=net, again=again, tell=track)
    card = export_reader(
        net, held, models / called / version / "model.onnx", command, snapshot.ref,
        lineage=lineage, license="unlicensed: set by the data's owner",
    )  # fmt: skip
    track.end({"cards": [str(card)]})
    return card


def _rendered(
    run: Path, epochs: int | None, models: Path, version: str, tracking: str, command: str
) -> Path:
    """The shipped ``line-read``, from rendered lines alone."""
    from training import line_read
    from training.export import export_reader
    from training.read import fit_reader
    from training.tracking import Track

    schedule = line_read.SCHEDULE
    schedule = replace(schedule, epochs=epochs or schedule.epochs)
    learn = line_read.render(line_read.LINES, "train")
    held = line_read.render(line_read.HELD_OUT, "held_out")
    told = {"lines": len(learn), "seed": schedule.seed, "epochs": schedule.epochs}
    track = Track(run, line_read.NAME, told, tracking)
    net = fit_reader(learn, held, run, schedule, tell=track)
    path = models / line_read.NAME / version / "model.onnx"
    card = export_reader(net, held, path, command, line_read.TRAINED_ON)
    track.end({"cards": [str(card)]})
    return card


def _script(name: str) -> str:
    """How to make a shipped reader again."""
    return f"scripts/train-models {name}"
