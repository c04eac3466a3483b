"""Every command a person types: a thin layer that turns words into calls and errors into sentences.

Each command imports its room when it runs, so that ``inspector --help`` answers at once.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A line-side vision inspection station.",
)
film = typer.Typer(no_args_is_help=True, help="Films: what virtual cameras see.")
recipe = typer.Typer(no_args_is_help=True, help="Recipes: what a good part looks like.")
bench = typer.Typer(no_args_is_help=True, help="Figures, measured on this machine.")
config = typer.Typer(no_args_is_help=True, help="Station files.")
for group, name in ((film, "film"), (recipe, "recipe"), (bench, "bench"), (config, "config")):
    app.add_typer(group, name=name)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]
StationFile = Annotated[Path, typer.Argument(help="The station's YAML file.", metavar="STATION")]
RecipeFile = Annotated[Path, typer.Argument(help="The recipe's YAML file.", metavar="RECIPE")]
Models = Annotated[Path, typer.Option(help="Folder of the models.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of each model's session.")]

console = Console(stderr=True)


SHIPPED = Path(__file__).parent.parent / "models"
MODELS = SHIPPED if SHIPPED.is_dir() else Path("models")
"""The models that came with this checkout, else ``./models``."""


@app.command()
def run(station: StationFile) -> None:
    """Run a station until Ctrl-C.

    Example: inspector run station_configs/bottle-line.yaml
    """
    from inspector import logs, processes

    logs.configure()
    processes.run(station)


@app.command()
def demo(
    parts: Annotated[
        int, typer.Option(min=0, help="Stop after this many parts; 0 runs until Ctrl-C.")
    ] = 0,
    rate: Annotated[float, typer.Option(min=0.5, max=200, help="Parts per second.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Of the virtual product and its order.")] = 7,
    page: Annotated[bool, typer.Option(help="Serve the live page.")] = True,
    as_json: Json = False,
) -> None:
    """Run a virtual bottling line: cameras, PLC, gate and a judge who knows the truth.

    Example: inspector demo --parts 300 --rate 50 --json
    """
    from inspector import demo as room

    report = room.demo(parts=parts, rate=rate, seed=seed, page=page and not as_json, quiet=as_json)
    if as_json:
        print(json.dumps(report))
    else:
        _print_pairs("Demo", report)
    balanced = report["triggers"] == report["verdicts"] == report["gate_decisions"]
    raise typer.Exit(0 if balanced else 1)


@app.command()
def inspect(
    recipe: RecipeFile,
    paths: Annotated[list[Path], typer.Argument(help="Images, or folders of them.")],
    text: Annotated[
        list[str] | None, typer.Option(help="Expected print, such as lot=L2417A; repeatable.")
    ] = None,
    today: Annotated[str, typer.Option(help="Judge dates as on this day, YYYY-MM-DD.")] = "",
    models: Models = MODELS,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Judge image files with exactly the tools of the line.

    Example: inspector inspect station_configs/recipes/date-code.yaml photos/ --json
    """
    from datetime import date

    from inspector.offline import inspect_images

    texts = dict(_pair(item) for item in text or ())
    day = _day(today) if today else date.today()
    rejected = 0
    for result in inspect_images(
        recipe, paths, models=models, threads=threads, texts=texts, today=day
    ):
        rejected += result["outcome"] != "pass"
        if as_json:
            print(json.dumps(result, ensure_ascii=False), flush=True)
        else:
            why = "; ".join(result["reasons"])
            print(f"{result['outcome']:7} {result['ms']:7.1f} ms  {result['image']}  {why}")
    if not as_json:
        console.print(f"{rejected} not passed")


@app.command()
def cameras(
    producer: Annotated[
        list[str] | None,
        typer.Option(help="GenTL producer (.cti); default: GENICAM_GENTL64_PATH and our own."),
    ] = None,
    features: Annotated[
        str, typer.Option(metavar="DEVICE", help="Print this device's node map, by serial or id.")
    ] = "",
    as_json: Json = False,
) -> None:
    """List the cameras that the GenTL producers see.

    Example: inspector cameras --features V001
    """
    from inspector.cameras import list_devices, node_map

    producers = producer or ["path", "virtual"]
    rows = node_map(producers, features) if features else list_devices(producers)
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
    else:
        _print_rows("Features" if features else "Cameras", rows)


@film.command("make")
def film_make(
    images: Annotated[Path, typer.Option(help="Folder of images.")],
    out: Annotated[Path, typer.Option(help="The film to write.")],
    pixel_format: Annotated[str, typer.Option(help="PFNC name: Mono8, BayerRG8, BGR8.")] = "BGR8",
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT; default: the first image's.")] = "",
) -> None:
    """Make a film from any images.

    Example: inspector film make --images photos --out photos.film --pixel-format BayerRG8
    """
    from inspector.virtual.film import make_film

    shape = _size(size) if size else None
    made = make_film(images, out, pixel_format=pixel_format, size=shape)
    console.print(f"{out}: {len(made.frames)} frames of {made.width}×{made.height}")


@film.command("render")
def film_render(
    product: Annotated[str, typer.Argument(help="The virtual product: bottle-line, juice-line.")],
    out: Annotated[Path, typer.Option(help="Folder of the film set.")],
    seed: Annotated[int, typer.Option(help="Everything follows from it.")] = 1,
    count: Annotated[int, typer.Option(min=1, help="Parts.")] = 300,
    defect_rate: Annotated[float, typer.Option(min=0, max=1)] = 0.1,
    train: Annotated[
        bool,
        typer.Option("--train", help="Fonts and textures of the training; else those held out."),
    ] = False,
) -> None:
    """Render a film set of the virtual line, with its truth.

    Example: inspector film render bottle-line --seed 1 --count 300 --out films/bottle-1
    """
    from inspector.virtual.film import render_set

    with Progress(console=console) as progress:
        task = progress.add_task(f"rendering {product}", total=count)
        render_set(
            product,
            seed=seed,
            count=count,
            out_dir=out,
            defect_rate=defect_rate,
            split="train" if train else "held_out",
            workers=len(os.sched_getaffinity(0)),
            progress=lambda done, _: progress.update(task, completed=done),
        )


@recipe.command("check")
def recipe_check(recipe: RecipeFile, models: Models = MODELS, as_json: Json = False) -> None:
    """Load a recipe with its models, as the line would, and say what it is.

    Example: inspector recipe check station_configs/recipes/bottle-line.yaml
    """
    from inspector.recipe import load

    loaded = load(recipe, models=models, threads=1)
    facts = {
        "name": loaded.name,
        "revision": loaded.revision,
        "digest": loaded.digest,
        "views": list(loaded.views),
        "models": list(loaded.model_digests),
    }
    print(json.dumps(facts)) if as_json else _print_pairs("Recipe", facts)


@recipe.command("approve")
def recipe_approve(
    recipe: RecipeFile,
    station: Annotated[Path, typer.Option(help="The station that will run it.")],
    principal: Annotated[str, typer.Option("--as", help="Who approves; asked for the password.")],
) -> None:
    """Sign a recipe's content for one station; editing the file makes a draft again.

    Example: inspector recipe approve my-product.yaml --station station.yaml --as anna
    """
    from inspector.config import load_station
    from inspector.identity import Action, Users, authorise
    from inspector.recipe import approve
    from inspector.store.keys import signing_key

    data = load_station(station).data
    password = typer.prompt(f"Password of {principal}", hide_input=True, err=True)
    who = Users(data).verify_password(principal, password)
    authorise(who, Action.APPROVE_RECIPE)
    approved = approve(recipe, who, signing_key(data), data)
    console.print(f"approved: {approved}")


@bench.command("line")
def bench_line(
    rate: Annotated[float, typer.Option(min=1, help="Parts per second.")] = 50.0,
    seconds: Annotated[float, typer.Option(min=2, help="How long.")] = 20.0,
    recipe: Annotated[str, typer.Option(help="Recipe of the station.")] = "bench-print",
    throughput: Annotated[
        bool, typer.Option(help="Also find the highest rate of the detector alone.")
    ] = True,
    models: Models = MODELS,
    as_json: Json = False,
) -> None:
    """Measure the whole line: film, GenTL, ring, tools, ledger and PLC, beside bare onnxruntime.

    Example: inspector bench line --rate 50 --seconds 60 --json
    """
    from inspector.bench import bench_line as measure

    report = measure(
        rate=rate, seconds=seconds, recipe=recipe, throughput=throughput, models=models
    )
    print(json.dumps(report)) if as_json else _print_pairs("Line", report)


@bench.command("store")
def bench_store(
    count: Annotated[int, typer.Option(min=100, help="Verdicts to write.")] = 100_000,
    directory: Annotated[Path | None, typer.Option("--dir", help="On the disk to measure.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the ledger: durable verdicts per second, single commits, bytes per verdict.

    Example: inspector bench store --count 100000
    """
    from inspector.store.bench import bench_store as measure

    with tempfile.TemporaryDirectory(dir=directory, prefix="inspector-bench-") as folder:
        report = measure(Path(folder), count)
    print(json.dumps(report)) if as_json else _print_pairs("Store", report)


@bench.command("models")
def bench_models(models: Models = MODELS, as_json: Json = False) -> None:
    """Measure each model's inference time, by threads.

    Example: inspector bench models
    """
    from inspector.tools.bench import bench_models as measure

    rows = measure(models)
    print(json.dumps(rows)) if as_json else _print_rows("Models", rows)


@bench.command("quality")
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

    with Progress(console=console) as progress:
        task = progress.add_task("judging", total=None)
        report = measure(
            defective=defective,
            seed=seed,
            models=models,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    print(json.dumps(report)) if as_json else _print_rows("Quality", report["rows"])


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say what this machine has and lacks for a station, and how to mend it.

    Example: inspector doctor
    """
    from inspector.doctor import examine

    rows = examine()
    print(json.dumps(rows)) if as_json else _print_rows("Doctor", rows)
    raise typer.Exit(0 if all(row["ok"] or not row["needed"] for row in rows) else 1)


@app.command()
def verify(
    data: Annotated[Path, typer.Argument(help="The station's data folder.")],
    as_json: Json = False,
) -> None:
    """Walk the ledger, its checkpoints and its images; name the first bad record.

    Example: inspector verify data
    """
    from inspector.store import verify as walk

    report = walk(data)
    if as_json:
        print(json.dumps(report.as_dict()))
    else:
        print(report)
    raise typer.Exit(0 if report.ok else 1)


@config.command("check")
def config_check(station: StationFile, as_json: Json = False) -> None:
    """Read a station file and name every mistake in it.

    Example: inspector config check station_configs/bottle-line.yaml
    """
    from inspector.config import ConfigError, load_station

    try:
        load_station(station)
        problems: list[dict[str, Any]] = []
    except ConfigError as error:
        if not as_json:
            raise
        problems = [
            {"line": p.line, "field": p.field, "message": p.message} for p in error.problems
        ]
    if as_json:
        print(json.dumps({"file": str(station), "ok": not problems, "problems": problems}))
    else:
        print(f"{station}: ok")
    raise typer.Exit(1 if problems else 0)


def _pair(text: str) -> tuple[str, str]:
    name, sep, value = text.partition("=")
    if not sep or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE, such as lot=L2417A")
    return name, value


def _day(text: str) -> Any:
    from datetime import date

    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day as YYYY-MM-DD") from None


def _size(text: str) -> tuple[int, int]:
    width, sep, height = text.lower().partition("x")
    if not (sep and width.isdigit() and height.isdigit()):
        raise typer.BadParameter(f"{text!r} is not WIDTHxHEIGHT, such as 640x480")
    return int(width), int(height)


def _print_pairs(title: str, pairs: Mapping[str, Any]) -> None:
    table = Table(title=title, show_header=False)
    for name, value in pairs.items():
        table.add_row(name, _cell(value))
    Console().print(table)


def _print_rows(title: str, rows: Iterable[Mapping[str, Any]]) -> None:
    rows = list(rows)
    if not rows:
        console.print(f"{title}: none")
        return
    table = Table(title=title)
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console().print(table)


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_cell(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_cell(v) for v in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    """The console command. A user's mistake ends in a sentence and status 2, never a traceback.

    Every exception that a room of ours defines is such a sentence.
    """
    try:
        app()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
    except Exception as error:
        if type(error).__module__.startswith("inspector.") or isinstance(error, OSError):
            console.print(str(error), style="red", markup=False, highlight=False)
            sys.exit(2)
        handle, name = tempfile.mkstemp(prefix="inspector-", suffix=".log")
        with os.fdopen(handle, "w") as log:
            traceback.print_exc(file=log)
        message = f"internal error: {type(error).__name__}: {error}\nPlease report it with {name}"
        console.print(message, style="red", markup=False, highlight=False)
        sys.exit(70)
