"""The command that shows where a kept part is unlike good ones."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from inspector.cli.words import MODELS, Json, Models, say

app = typer.Typer()


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

    Example: inspector recipe heat 0198c2f4-6d0a-7b52-9c1e-2f6a7d1b3c4d --recipe r.yaml --data data
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
