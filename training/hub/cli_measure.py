"""Commands that measure a centre on this machine: a fleet, a backlog."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from training.hub.options import Database, Json, console


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(simulate)
    app.command()(bench)


def simulate(
    stations: Annotated[int, typer.Option(min=1, help="Stations, each with its own key.")] = 1000,
    parts: Annotated[int, typer.Option(min=1, help="Parts of each.")] = 200,
    segments: Annotated[int, typer.Option(min=1, help="Segments of each.")] = 2,
    senders: Annotated[int, typer.Option(min=1, help="How many send at once.")] = 8,
    database: Database = "",
    as_json: Json = False,
) -> None:
    """Simulate a fleet against one hub: verdicts per second and per core, memory per station.

    Example: training hub simulate --stations 1000 --json
    """
    from rich.progress import Progress

    from training.hub.simulate import simulate as run

    with (
        tempfile.TemporaryDirectory(prefix="hub-fleet-") as folder,
        Progress(console=console) as progress,
    ):
        task = progress.add_task("enrolling", total=stations)
        report = run(
            Path(folder),
            stations,
            parts,
            segments=segments,
            senders=senders,
            database=database,
            progress=lambda what, done, total: progress.update(
                task, description=what, completed=done, total=total
            ),
        )
    _show(report, as_json)


def bench(
    parts: Annotated[
        int, typer.Option(min=1000, help="Verdicts, each with its gate decision.")
    ] = 100_000,
    database: Database = "",
    as_json: Json = False,
) -> None:
    """Measure how fast a station's backlog drains into a centre on this machine.

    Example: training hub bench --parts 100000 --json
    """
    from training.hub.bench import bench_ingest

    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        report = bench_ingest(Path(folder), parts, database)
    _show(report, as_json)


def _show(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(report))
        return
    table = Table(show_header=False)
    for name, value in report.items():
        table.add_row(name, str(value))
    Console().print(table)
