"""Commands that measure on this machine."""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from inspector.cli.words import (
    MODELS,
    Json,
    Models,
    bars,
    console,
    print_pairs,
    print_rows,
    show,
    size_of,
)

app = typer.Typer(no_args_is_help=True, help="Figures, measured on this machine.")


@app.command("line")
def bench_line(
    rate: Annotated[float, typer.Option(min=1, help="Parts per second.")] = 50.0,
    seconds: Annotated[float, typer.Option(min=2, help="How long.")] = 20.0,
    recipe: Annotated[str, typer.Option(help="Recipe of the station.")] = "bench-print",
    size: Annotated[
        str, typer.Option(help="Of the camera's pictures; the recipe's places are scaled.")
    ] = "640x480",
    throughput: Annotated[
        bool, typer.Option(help="Also find the highest rate of the detector alone.")
    ] = True,
    models: Models = MODELS,
    as_json: Json = False,
) -> None:
    """Measure the whole line: film, GenTL, ring, tools, ledger and PLC, beside bare onnxruntime.

    Example: inspector bench line --rate 50 --seconds 60 --size 1280x1024 --json
    """
    from inspector.bench_line import bench_line as measure

    sides = size_of(size, step=2)
    with Progress(console=console) as progress:
        task = progress.add_task("", total=1.0)
        report = measure(
            rate=rate,
            seconds=seconds,
            recipe=recipe,
            size=sides,
            throughput=throughput,
            models=models,
            progress=lambda what, done: progress.update(task, description=what, completed=done),
        )
    if as_json:
        print(json.dumps(report))
        return
    print_rows("Processor time per part", report.pop("threads"))
    print_pairs("Line", report)


@app.command("store")
def bench_store(
    count: Annotated[int, typer.Option(min=100, help="Verdicts to write.")] = 100_000,
    directory: Annotated[Path | None, typer.Option("--dir", help="On the disk to measure.")] = None,
    growth: Annotated[
        int,
        typer.Option(min=0, help="Instead, fill a ledger to so many parts and ask it questions."),
    ] = 0,
    large: Annotated[bool, typer.Option("--large", help="The same as --growth 100000000.")] = False,
    as_json: Json = False,
) -> None:
    """Measure the ledger: durable verdicts per second, single commits, bytes per verdict.

    With --growth instead at 10⁵, 10⁶ … parts: rate, bytes, and how long questions take.

    Example: inspector bench store --count 100000
    """
    if large or growth:
        _growth(10**8 if large else growth, directory, as_json)
        return
    from inspector.store.bench import bench_store as measure

    with tempfile.TemporaryDirectory(dir=directory, prefix="inspector-bench-") as folder:
        report = measure(Path(folder), count)
    show("Store", report, as_json)


def _growth(size: int, directory: Path | None, as_json: bool) -> None:
    from inspector.store.bench_growth import bench_growth

    sizes = [10**power for power in range(5, 9) if 10**power < size] + [size]
    with tempfile.TemporaryDirectory(dir=directory, prefix="inspector-bench-") as folder:
        for row in bench_growth(Path(folder), sizes):
            show("Store", row, as_json)


@app.command("models")
def bench_models(models: Models = MODELS, as_json: Json = False) -> None:
    """Measure each model's inference time, by threads, and each kind of tool at work.

    Example: inspector bench models
    """
    from inspector.tools.bench import bench_models as measure
    from inspector.tools.bench_kinds import bench_kinds
    from inspector.tools.onnx import Shelf

    rows = measure(models)
    tools = bench_kinds(Shelf(models, threads=1))
    if as_json:
        print(json.dumps([*rows, *tools]))
    else:
        print_rows("Models", rows)
        print_rows("Tools, one thread", tools)


@app.command("quality")
def bench_quality(
    defective: Annotated[int, typer.Option(min=10, help="Defective parts to judge.")] = 3000,
    seed: Annotated[int, typer.Option(help="Not one of the training seeds.")] = 900_001,
    models: Models = MODELS,
    as_json: Json = False,
) -> None:
    """Escapes and false rejects on unseen virtual parts, with 95 % intervals.

    Example: inspector bench quality --defective 300
    """
    from inspector.bench import bench_quality as measure

    with bars(as_json) as told:
        judging = partial(told, "judging")
        report = measure(defective=defective, seed=seed, models=models, progress=judging)
    show("Quality", report if as_json else report["rows"], as_json)


@app.command("pages")
def bench_pages(
    rate: Annotated[float, typer.Option(min=1, help="Parts per second.")] = 25.0,
    clients: Annotated[int, typer.Option(min=1, max=50, help="Live pages open.")] = 5,
    seconds: Annotated[
        float, typer.Option(min=5, help="Of each phase; 7200 is the two-hour run.")
    ] = 60.0,
    as_json: Json = False,
) -> None:
    """Measure the line with nobody looking and with live pages open: latency, CPU, memory.

    Example: inspector bench pages --clients 5 --seconds 60 --json
    """
    from inspector.bench_pages import bench_pages as measure

    with (
        tempfile.TemporaryDirectory(prefix="inspector-bench-") as folder,
        Progress(console=console) as progress,
    ):
        task = progress.add_task("", total=1.0)
        report = measure(
            rate=rate,
            clients=clients,
            seconds=seconds,
            folder=Path(folder),
            progress=lambda what, done: progress.update(task, description=what, completed=done),
        )
    show("Pages", report, as_json)
