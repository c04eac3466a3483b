"""Commands about pictures: cameras, films, recipes, and judging images off line."""

from __future__ import annotations

import json
import os
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from inspector.cli.people import approver
from inspector.cli.words import (
    MODELS,
    Json,
    Models,
    RecipeFile,
    Threads,
    bars,
    day_of,
    pair,
    say,
    show,
    size_of,
)

app = typer.Typer()
film = typer.Typer(no_args_is_help=True, help="Films: what virtual cameras see.")
recipe = typer.Typer(no_args_is_help=True, help="Recipes: what a good part looks like.")
app.add_typer(film, name="film")
app.add_typer(recipe, name="recipe")


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
    from inspector.offline import inspect_images

    texts = dict(pair(item) for item in text or ())
    day = day_of(today) if today else date.today()
    rejected = 0
    for result in inspect_images(
        recipe, paths, models=models, threads=threads, texts=texts, today=day
    ):
        rejected += result["outcome"] != "pass"
        if as_json:
            print(json.dumps(result), flush=True)
        else:
            why = "; ".join(result["reasons"])
            print(f"{result['outcome']:7} {result['ms']:7.1f} ms  {result['image']}  {why}")
    if not as_json:
        say(f"{rejected} not passed")


@app.command()
def cameras(
    producer: Annotated[
        list[str] | None,
        typer.Option(help="GenTL producer (.cti); default: GENICAM_GENTL64_PATH and our own."),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            metavar="DEVICE",
            help="Print this device's node map, by serial, user id, IP or id.",
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """List the cameras that the GenTL producers see.

    Example: inspector cameras --features V001
    """
    from inspector.cameras import list_devices, node_map
    from inspector.cameras.producers import missing

    producers = producer or ["path", "virtual"]
    rows = node_map(producers, features) if features else list_devices(producers)
    show("Features" if features else "Cameras", rows, as_json)
    if not rows:
        for why in missing(producers):
            say(why, style="yellow")


@film.command("make")
def film_make(
    images: Annotated[Path, typer.Option(help="Folder of images.")],
    out: Annotated[Path, typer.Option(help="The film to write.")],
    pixel_format: Annotated[
        str, typer.Option(help="PFNC name: Mono8, Mono10, Mono12, BayerRG8, RGB8, BGR8.")
    ] = "BGR8",
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT; default: the first image's.")] = "",
) -> None:
    """Make a film from any images.

    Example: inspector film make --images photos --out photos.film --pixel-format BayerRG8
    """
    from inspector.virtual.film import make_film

    shape = size_of(size) if size else None
    made = make_film(images, out, pixel_format=pixel_format, size=shape)
    say(f"{out}: {len(made.frames)} frames of {made.width}×{made.height}")


@film.command("render")
def film_render(
    product: Annotated[str, typer.Argument(help="The virtual product: bottle-line, juice-line.")],
    out: Annotated[Path, typer.Option(help="Folder of the film set.")],
    seed: Annotated[int, typer.Option(help="Everything follows from it.")] = 1,
    count: Annotated[int, typer.Option(min=1, help="Parts.")] = 300,
    defect_rate: Annotated[float, typer.Option(min=0, max=1)] = 0.1,
    novelty: Annotated[
        str, typer.Option(help="A defect no shipped model was shown: label_torn.")
    ] = "",
    novelty_rate: Annotated[float, typer.Option(min=0, max=1)] = 0.1,
    train: Annotated[
        bool,
        typer.Option("--train", help="Fonts and textures of the training; else those held out."),
    ] = False,
) -> None:
    """Render a film set of the virtual line, with its truth.

    Example: inspector film render bottle-line --seed 1 --count 300 --out films/bottle-1
    """
    from inspector.virtual.filmset import render_set

    with bars(quiet=False) as told:
        render_set(
            product,
            seed=seed,
            count=count,
            out_dir=out,
            defect_rate=defect_rate,
            split="train" if train else "held_out",
            novelty=novelty,
            novelty_rate=novelty_rate,
            workers=len(os.sched_getaffinity(0)),
            progress=partial(told, "rendering"),
        )


@recipe.command("check")
def recipe_check(
    recipe: RecipeFile,
    beside: Annotated[
        Path | None,
        typer.Option(help="The recipe that RECIPE is a draft of: golden pictures lie beside it."),
    ] = None,
    models: Models = MODELS,
    as_json: Json = False,
) -> None:
    """Load a recipe with its models, as the line would, and say what it is.

    Example: inspector recipe check station_configs/recipes/bottle-line.yaml
    """
    from inspector.draft import load_beside
    from inspector.recipe import load
    from inspector.tools.onnx import Shelf

    shelf = Shelf(models, 1)
    loaded = load_beside(recipe, beside, shelf) if beside else load(recipe, shelf)
    facts = {
        "name": loaded.name,
        "revision": loaded.revision,
        "digest": loaded.digest,
        "views": list(loaded.views),
        "models": list(loaded.model_digests),
    }
    show("Recipe", facts, as_json)


@recipe.command("approve")
def recipe_approve(
    recipe: RecipeFile,
    station: Annotated[Path, typer.Option(help="The station that will run it.")],
    principal: Annotated[str, typer.Option("--as", help="Who approves; asked for the password.")],
) -> None:
    """Sign a recipe's content for one station; editing the file makes a draft again.

    Example: inspector recipe approve my-product.yaml --station station.yaml --as anna
    """
    from inspector.approval import approve
    from inspector.config import load_station
    from inspector.store.keys import signing_key

    loaded = load_station(station)
    who = approver(loaded.data, principal)
    approved = approve(recipe, who, signing_key(loaded.data), loaded.data, loaded.models)
    say(f"approved: {approved}")
