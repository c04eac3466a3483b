"""Commands about a station: run it, try it, look into it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from inspector.cli.words import Json, StationFile, show

app = typer.Typer()
config = typer.Typer(no_args_is_help=True, help="Station files.")
app.add_typer(config, name="config")


@app.command()
def run(station: StationFile) -> None:
    """Run a station until Ctrl-C.

    Example: inspector run station_configs/bottle-line.yaml
    """
    from inspector import logs, processes

    logs.configure()
    logs.hear_others()
    processes.run(station)


@app.command()
def demo(
    parts: Annotated[
        int, typer.Option(min=0, help="Stop after this many parts; 0 runs until Ctrl-C.")
    ] = 0,
    rate: Annotated[float, typer.Option(min=0.5, max=60, help="Parts per second.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Of the virtual product and its order.")] = 7,
    page: Annotated[bool, typer.Option(help="Serve the live page.")] = True,
    as_json: Json = False,
) -> None:
    """Run a virtual bottling line: cameras, PLC, gate and a judge who knows the truth.

    Example: inspector demo --parts 300 --rate 50 --json
    """
    from inspector import demo as room

    report = room.demo(parts=parts, rate=rate, seed=seed, page=page and not as_json, quiet=as_json)
    show("Demo", report, as_json)
    balanced = report["triggers"] == report["verdicts"] == report["gate_decisions"]
    raise typer.Exit(0 if balanced else 1)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine has and lacks for a station, and how to mend it.

    Example: inspector doctor
    """
    from inspector.doctor import examine

    rows = examine()
    show("Doctor", rows, as_json)
    raise typer.Exit(0 if all(row["ok"] or not row["needed"] for row in rows) else 1)


@config.command("check")
def config_check(station: StationFile, as_json: Json = False) -> None:
    """Read a station file, its recipes, its models' cards and what else it names, and name every
    mistake in them.

    Example: inspector config check station_configs/bottle-line.yaml
    """
    from inspector.check import check, check_named
    from inspector.config import ConfigError, load_station

    try:
        loaded = load_station(station)
        check_named(station, loaded)
        check(loaded)
        problems: list[dict[str, Any]] = []
    except ConfigError as error:
        if not as_json:
            raise
        problems = [
            {"file": str(error.file), "line": p.line, "field": p.field, "message": p.message}
            for p in error.problems
        ]
    if as_json:
        print(json.dumps({"file": str(station), "ok": not problems, "problems": problems}))
    else:
        print(f"{station}: ok")
    raise typer.Exit(1 if problems else 0)
