"""The command ``training``: fit, export and evaluate the models that stations run.

A thin layer over ``detect``, ``read``, ``export`` and ``evaluate``; each run is a folder, resumed
by giving the same command again.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from training import cli_assess, cli_dataset, cli_read, cli_release, cli_surface
from training.hub import cli as hub

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train, measure and export the models of a station.",
)
fit = typer.Typer(no_args_is_help=True, help="Train a network; resumes where it was stopped.")
app.add_typer(fit, name="fit")
app.add_typer(cli_dataset.app, name="dataset")
app.add_typer(cli_release.app, name="release")
cli_assess.register(app)
app.add_typer(cli_surface.app)
app.add_typer(hub.app, name="hub")
fit.command("anomaly")(cli_surface.fit_anomaly)
fit.command("read")(cli_read.fit_read)
console = Console(stderr=True)

Data = Annotated[Path | None, typer.Option(help="Data folder: images/ and labels/ (YOLO txt).")]
Run = Annotated[Path, typer.Option(help="Folder of the run: its checkpoints.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads to compute with.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Instead of the plan's.")]
Models = Annotated[Path, typer.Option(help="Folder of models to write to.")]


def _plan(name: str, data: Path | None, classes: str, held_out: str, size: str) -> Any:
    """A shipped model's plan, or one for the caller's own data."""
    from training import bottle_cap, bottle_line, bottle_pack
    from training.augment import Variation
    from training.cli_fit import size_of
    from training.detector import Shape
    from training.fit import Schedule
    from training.pictures import read_yolo, split
    from training.plan import Plan

    for plan in (bottle_cap.PLAN, bottle_line.PLAN, bottle_pack.PLAN):
        if plan.name == name:
            return plan
    if data is None or not classes or not held_out:
        raise typer.BadParameter(
            f"{name!r} is no shipped plan (bottle-cap, bottle-line, bottle-pack): "
            "give --data, --classes and --held-out for your own"
        )
    height, width = size_of(size or "320x320")
    names = tuple(classes.split(","))
    return Plan(
        name=name,
        shape=Shape(height, width, names),
        variation=Variation(
            zoom=(0.8, 1.2), shift=0.08, turn=3.0, light=0.3, colour=0.1, blur=0.2, noise=10.0
        ),
        schedule=Schedule(epochs=60),
        pictures=lambda folder: split(read_yolo(folder, classes=len(names)), held_out.split(",")),
        trained_on=f"{data.name}, all groups but {held_out}",
        license="unlicensed: set by the data's owner",
    )


@fit.command("detect")
def fit_detect(
    name: Annotated[str, typer.Argument(help="A data set, or a shipped plan: bottle-line …")],
    run: Run,
    also: Annotated[
        list[str] | None, typer.Option(help="A further data set to learn from; repeatable.")
    ] = None,
    model: Annotated[str, typer.Option(help="Data set: the model's name; else the set's.")] = "",
    view: Annotated[str, typer.Option(help="Data set: which view to look at.")] = "",
    roi: Annotated[str, typer.Option(help="Data set: x1,y1,x2,y2, as the recipe's step.")] = "",
    policy: Annotated[str, typer.Option(help="Data set: how pictures are varied.")] = "",
    rate: Annotated[float | None, typer.Option(help="Data set: peak learning rate.")] = None,
    tracking: Annotated[
        str, typer.Option(envvar="MLFLOW_TRACKING_URI", help="MLflow's URI; files in any case.")
    ] = "",
    repeat: Annotated[
        int, typer.Option(min=1, help="Data set: how often an epoch shows it, among --also.")
    ] = 1,
    arch: Annotated[
        str, typer.Option(help="own, or ultralytics:MODEL (AGPL-3.0; never for what we ship).")
    ] = "own",
    home: cli_dataset.Home = cli_dataset.HOME,
    data: Data = None,
    classes: Annotated[str, typer.Option(help="Own data: class names, by comma.")] = "",
    held_out: Annotated[str, typer.Option(help="Own data: groups to measure on, by comma.")] = "",
    size: Annotated[
        str, typer.Option(help="Input, width x height; else the ROI's, of own data 320x320.")
    ] = "",
    start: Annotated[Path | None, typer.Option(help="Checkpoint to begin from.")] = None,
    epochs: Epochs = None,
    models: Models = Path("models"),
    version: Annotated[str, typer.Option(help="Version of the model written.")] = "1",
    threads: Threads = 2,
) -> None:
    """Train a detector and export it, fp32 and int8, each with its measured card.

    Example: training fit detect bottles --view side --roi 192,0,448,480
    --start models/bottle-line/1 --run runs/bottles-2 --version 2
    """
    from dataclasses import replace

    if data is None and (home / name.partition("/")[0]).is_dir():
        from training.cli_fit import Asked, detect

        asked = Asked(
            name=name, run=run, model=model, view=view, roi=roi, policy=policy, size=size,
            epochs=epochs, rate=rate, models=models, version=version, threads=threads,
            tracking=tracking, home=home,
        )  # fmt: skip
        for card in detect(asked, also=also or (), start=start, arch=arch, repeat=repeat):
            console.print(f"wrote {card}")
        return

    import torch

    from training.detect import fit_detector
    from training.export import export_detector
    from training.plan import tried
    from training.tracking import Track

    plan = _plan(name, data, classes, held_out, size)
    torch.set_num_threads(threads)
    if epochs is not None:
        plan = replace(plan, schedule=replace(plan.schedule, epochs=epochs))
    pictures, measured = plan.pictures(data or run)
    console.print(f"{plan.name}: {len(pictures)} pictures to learn from, {len(measured)} held out")
    track = Track(run, plan.name, tried(plan, pictures, measured, start), tracking)
    net = fit_detector(
        plan.shape, pictures, measured, plan.variation, run, plan.schedule, plan.batch, start, track
    )
    cards = export_detector(plan, net, pictures, measured, models, version, _command(name))
    track.end({"cards": [str(card) for card in cards]})
    for card in cards:
        console.print(f"wrote {card}")


@app.command()
def export(
    name: str,
    run: Run,
    data: Data = None,
    classes: Annotated[str, typer.Option(help="Own data: class names, by comma.")] = "",
    held_out: Annotated[str, typer.Option(help="Own data: groups to measure on, by comma.")] = "",
    size: Annotated[str, typer.Option(help="Own data: input, width x height.")] = "320x320",
    models: Models = Path("models"),
    version: Annotated[str, typer.Option(help="Version of the model written.")] = "1",
) -> None:
    """Export the last checkpoint of a detector's run, as ``fit detect`` does at its end.

    Example: training export bottle-cap --data ../shared/data/bottles --run runs/bottle-cap
    """
    from training.detector import Detector
    from training.export import export_detector
    from training.start import as_left

    plan = _plan(name, data, classes, held_out, size)
    checkpoint = run / "last.pt"
    if not checkpoint.exists():
        raise typer.BadParameter(f"{checkpoint} is not there: `training fit detect` writes it")
    net = as_left(Detector(plan.shape), checkpoint)
    pictures, measured = plan.pictures(data or run)
    for card in export_detector(
        plan, net.eval(), pictures, measured, models, version, _command(name)
    ):
        console.print(f"wrote {card}")


def _fit_shapes(task: str) -> Any:
    """The command ``fit classify`` or ``fit segment``."""

    def command(
        name: Annotated[str, typer.Argument(help="A data set, or a shipped plan.")],
        run: Run,
        model: Annotated[str, typer.Option(help="The model's name; else the set's.")] = "",
        view: Annotated[str, typer.Option(help="Which view to look at.")] = "",
        roi: Annotated[str, typer.Option(help="x1,y1,x2,y2, as the recipe's step.")] = "",
        policy: Annotated[str, typer.Option(help="How pictures are varied.")] = "",
        rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
        size: Annotated[str, typer.Option(help="Input, width x height; else the ROI's.")] = "",
        tracking: Annotated[
            str, typer.Option(envvar="MLFLOW_TRACKING_URI", help="MLflow's URI.")
        ] = "",
        epochs: Epochs = None,
        models: Models = Path("models"),
        version: Annotated[str, typer.Option(help="Version of the model written.")] = "1",
        threads: Threads = 2,
        home: cli_dataset.Home = cli_dataset.HOME,
    ) -> None:
        from training import cli_fit
        from training.bottle_shapes import PLANS

        if name in PLANS and PLANS[name].task == task and not (home / name).is_dir():
            for card in cli_fit.shipped_shapes(
                name, run, epochs, models, version, threads, _command(name)
            ):
                console.print(f"wrote {card}")
            return
        asked = cli_fit.Asked(
            name=name, run=run, model=model, view=view, roi=roi, policy=policy, size=size,
            epochs=epochs, rate=rate, models=models, version=version, threads=threads,
            tracking=tracking, home=home,
        )  # fmt: skip
        for card in cli_fit.shapes(task, asked):
            console.print(f"wrote {card}")

    what = "says what a part is" if task == "classify" else "marks defects to the pixel"
    command.__doc__ = (
        f"Train a net that {what}, and export it, fp32 and int8, with measured cards.\n\n"
        f"    Example: training fit {task} bottles --view side --run runs/{task}-1\n    "
    )
    return command


fit.command("classify")(_fit_shapes("classify"))
fit.command("segment")(_fit_shapes("segment"))


@app.command()
def evaluate(
    model: Annotated[Path, typer.Argument(help="A recipe (.yaml), or models/<name>/<version>.")],
    data: Annotated[str, typer.Argument(help="A data set, a film set, or images/ and labels/.")],
    champion: Annotated[Path | None, typer.Option(help="Recipe to compare with.")] = None,
    champion_models: Annotated[Path | None, typer.Option(help="Its models' folder.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.html, .pdf, .json.")] = None,
    models: Models = Path("models"),
    home: cli_dataset.Home = cli_dataset.HOME,
    threads: Threads = 2,
    groups: Annotated[str, typer.Option(help="Only these groups, by comma.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure what runs: a recipe on held-out parts, or a detector alone on labelled pictures.

    Example: training evaluate bottle-line.yaml bottles --champion old.yaml --out evaluation
    """
    if model.suffix in (".yaml", ".yml"):
        cli_assess.evaluate_recipe(
            model, data, models, champion, champion_models, out, home, threads, as_json
        )
        return
    from training.measure import look_with, measure_detector
    from training.pictures import letterbox, read_yolo

    card = json.loads((model / "card.json").read_text())
    if card.get("task") != "detect":
        raise ValueError(
            f"{model} is no detector but made to {card.get('task')}: evaluate the recipe that uses "
            "it, which measures every tool"
        )
    _, height, width, _ = card["input"]["shape"]
    only = groups.split(",") if groups else ()
    known = read_yolo(Path(data), only=only, classes=len(card["classes"]))
    pictures = [letterbox(p, height, width) for p in known]
    if not pictures:
        raise typer.BadParameter(f"no pictures of {groups} in {data}")
    metrics = measure_detector(look_with(model / "model.onnx"), pictures, card["classes"])
    if as_json:
        print(json.dumps(metrics))
    else:
        Console().print_json(json.dumps(metrics))


def _command(name: str) -> str:
    """How to make the model again: the script for a shipped one, else what was typed."""
    from training.bottle_shapes import PLANS

    if name in ("bottle-cap", "bottle-line", "bottle-pack", "line-read", "dot-read", *PLANS):
        return f"scripts/train-models {name}"
    return " ".join(["training", *sys.argv[1:]])


def main() -> None:
    """Entry point: a user's mistake is a sentence, not a traceback."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        app()
    except ModuleNotFoundError as error:  # a station alone has neither centre nor training
        lacks = (error.name or "").partition(".")[0]
        if lacks in ("", "inspector", "training"):
            raise
        extra = "centre" if lacks in ("alembic", "sqlalchemy") else "training"
        what = f"needs {lacks}; run: pip install 'inspector[{extra}]'"
        console.print(f"training: {what}", style="red", markup=False)
        raise SystemExit(2) from None
    except Exception as error:
        ours = type(error).__module__.startswith(("inspector.", "training."))
        if not (ours or isinstance(error, ValueError | OSError)):
            raise
        console.print(f"training: {error}", style="red", markup=False)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
