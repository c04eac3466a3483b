"""Commands about a recipe that is being changed: given a tool, judged on the newest parts, put into
service; and about what it saw of a part."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.progress import Progress

from inspector.cli.words import (
    MODELS,
    Json,
    Models,
    RecipeFile,
    Threads,
    box,
    console,
    print_rows,
    say,
    show,
)

app = typer.Typer()

Data = Annotated[Path, typer.Option(help="Folder of the station's data.")]
Beside = Annotated[
    Path | None,
    typer.Option(help="The recipe that RECIPE is a draft of: golden pictures lie beside it."),
]
SAID_EVERY = 5


@app.command("retry")
def recipe_retry(
    recipe: RecipeFile,
    data: Data,
    last: Annotated[int, typer.Option(min=1, max=100_000, help="How many parts.")] = 500,
    against: Annotated[
        Path | None,
        typer.Option(help="Compare with what this recipe says, not with what the line said."),
    ] = None,
    beside: Beside = None,
    models: Models = MODELS,
    threads: Threads = 1,
    as_json: Json = False,
) -> None:
    """Judge the newest parts of which pictures are kept once more, and say which of them flip.

    With --json a line for each part that flips, lines that say how far it is, then the counts.

    Example: inspector recipe retry my-product.yaml --data data --last 500
    """
    from inspector.draft import load_beside
    from inspector.recipe import load
    from inspector.retry import judge_again, row_of, summary_of
    from inspector.tools.onnx import Shelf

    shelf = Shelf(models, threads)
    loaded = load_beside(recipe, beside, shelf) if beside else load(recipe, shelf)
    # a second shelf: a model's buffers belong to one recipe
    other = load(against, Shelf(models, threads)) if against else None
    count, judged = judge_again(data, loaded, last, other)
    was: Counter[str] = Counter()
    now: Counter[str] = Counter()
    flipped = 0
    if as_json:
        print(json.dumps({"done": 0, "of": count, **summary_of(was, now, 0)}), flush=True)
    with Progress(console=console, disable=as_json) as progress:
        task = progress.add_task("judging again", total=count)
        for done, one in enumerate(judged, 1):
            was[one.was] += 1
            now[one.now.outcome] += 1
            flips = one.was is not one.now.outcome
            flipped += flips
            progress.update(task, completed=done)
            if as_json and flips:
                print(json.dumps({"flip": row_of(one)}))
            elif flips:
                row = row_of(one)
                said = f"{row['was']} → {row['now']}  #{row['number']} {row['batch']}  "
                say(said + "; ".join(row["reasons"]))
            if as_json and (done % SAID_EVERY == 0 or done == count):
                counts = summary_of(was, now, flipped)
                print(json.dumps({"done": done, "of": count, **counts}), flush=True)
    counts = summary_of(was, now, flipped)
    show("Judged again", {"summary": counts} if as_json else counts, as_json)


@app.command("adopt")
def recipe_adopt(
    recipe: Annotated[Path, typer.Argument(help="The draft.", metavar="DRAFT")],
    origin: Annotated[
        Path, typer.Argument(help="The recipe of the station file that it replaces.")
    ],
    data: Data,
    signed: Annotated[
        int, typer.Option(help="The desk's record with the signature under the draft.")
    ],
    models: Models = MODELS,
    as_json: Json = False,
) -> None:
    """Put a signed draft into service: approved in the name of who signed it at the desk.

    Example: inspector recipe adopt data/drafts/cap.yaml recipes/cap.yaml --data data --signed 118
    """
    from inspector.draft import adopt

    path = adopt(recipe, origin, data, models, signed)
    if as_json:
        print(json.dumps({"kept": str(path)}))
    else:
        say(f"approved: {path}")


@app.command("unsaid")
def recipe_unsaid(recipe: RecipeFile, as_json: Json = False) -> None:
    """List the numbers that a recipe leaves at their defaults, with what each means.

    Example: inspector recipe unsaid my-product.yaml --json
    """
    from inspector.unsaid import unsaid

    found = unsaid(recipe)
    if as_json:
        print(json.dumps(found))
        return
    rows = [
        {"tool": step["name"], "setting": one["name"], "default": one["value"], "help": one["help"]}
        for step in found
        for one in step["settings"]
    ]
    print_rows("Left unsaid", rows)


@app.command("kinds")
def recipe_kinds(models: Models = MODELS, as_json: Json = False) -> None:
    """List the kinds of tool that `inspector recipe step` makes, and the models that each may have.

    Example: inspector recipe kinds --json
    """
    from inspector.newstep import kinds

    found = kinds(models)
    show("Kinds", found, as_json)


@app.command("step")
def recipe_step(
    kind: Annotated[str, typer.Argument(help="Of the tool: `inspector recipe kinds` lists them.")],
    name: Annotated[str, typer.Option(help="Of the new step, unique in its recipe.")],
    picture: Annotated[Path, typer.Option(help="Of a good part, the whole frame.")],
    roi: Annotated[str, typer.Option(help="Where it looks: X1,Y1,X2,Y2 in pixels.")],
    beside: Annotated[Path, typer.Option(help="The recipe that it is for.")],
    view: Annotated[str, typer.Option(help="Camera, where the recipe has several.")] = "",
    model: Annotated[str, typer.Option(help="name/version, for kinds that need one.")] = "",
    follow: Annotated[
        str,
        typer.Option(
            help="The `align` step that finds the part; the ROI is on its golden picture."
        ),
    ] = "",
    text: Annotated[
        Path | None, typer.Option(help="A draft of the recipe that has the `align` step.")
    ] = None,
    models: Models = MODELS,
    as_json: Json = False,
) -> None:
    """Make a step for a recipe from a good part's picture: valid at once, every number written out.

    Example: inspector recipe step count --name caps --picture good.jpg --roi 20,20,220,140
    --beside my-product.yaml
    """
    from inspector.newstep import Asked, NewStepError, new_step, turned_back
    from inspector.pictures import read_image
    from inspector.tools.onnx import Shelf

    pixels, flaw = read_image(picture)
    if pixels is None:
        raise NewStepError(flaw)
    shelf = Shelf(models, 1)
    if follow:
        pixels = turned_back(pixels, follow, text or beside, beside, shelf)
    asked = Asked(name, view, box(roi), pixels, shelf, beside.parent, model, follow)
    step = new_step(kind, asked)
    show(name, step, as_json)


@app.command("heat")
def recipe_heat(
    part: Annotated[UUID, typer.Argument(help="The part's id.")],
    recipe: Annotated[
        Path, typer.Option(help="The recipe as it stands; the revision that judged is looked for.")
    ],
    data: Annotated[Path, typer.Option(help="Folder of the station's data.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures with their maps.")] = Path(),
    models: Models = MODELS,
    as_json: Json = False,
) -> None:
    """Make a kept part's heat maps again: where its `anomaly` steps see it unlike good parts.

    Writes a picture for each; with --json prints the cells' scores instead.

    Example: inspector recipe heat 0198c2f4-6d0a-7b52-9c1e-2f6a7d1b3c4d
    --recipe my-product.yaml --data data
    """
    from inspector.heat import heats_of, over, plain, recipe_of
    from inspector.measuring import write_png
    from inspector.part import PartId
    from inspector.pictures import read_image
    from inspector.store import History

    with History(data) as history:
        found = history.part(PartId(part))
    if found is None:
        raise typer.BadParameter(f"no part has the id {part}")
    heats = heats_of(data, found, recipe_of(data, found, recipe, models))
    if as_json:
        print(json.dumps({"heats": [plain(heat) for heat in heats]}))
        return
    paths = {image.view: data / image.path for image in found.images}
    steps = Counter[str]()
    for heat in heats:
        pixels, why = read_image(paths[heat.view])
        if pixels is None:
            raise typer.BadParameter(why)
        steps[heat.step] += 1
        which = f"-{steps[heat.step]}" if steps[heat.step] > 1 else ""
        path = out / f"heat-{found.verdict.sequence}-{heat.step}{which}.png"
        write_png(path, over(pixels, heat))
        say(str(path))
    if not heats:
        say("no `anomaly` step of the recipe looks at this part's kept pictures")
