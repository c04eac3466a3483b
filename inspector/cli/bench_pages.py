"""The command that measures what open pages cost."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from inspector.cli.words import Json, console, print_pairs

app = typer.Typer()


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
    print(json.dumps(report)) if as_json else print_pairs("Pages", report)
