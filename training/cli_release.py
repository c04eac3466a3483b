"""Commands about releases at the centre: a thin layer over ``training.release``."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="Releases: made by one, approved by another.")
console = Console(stderr=True)

By = Annotated[str, typer.Option("--by", help="Your name, as stations know your key.")]
Key = Annotated[Path, typer.Option(help="Your private key, from `training release key`.")]
File = Annotated[Path, typer.Argument(help="The release file.")]


@app.command()
def key(path: Annotated[Path, typer.Argument(help="The private key to make.")]) -> None:
    """Make a key to sign releases with; its public half lies beside it, for the stations.

    Example: training release key anna.key
    """
    from training.release import make_key

    console.print(f"{path} (keep it to yourself) and {make_key(path)} (for the stations)")


@app.command()
def make(
    recipe: Annotated[Path, typer.Argument(help="The recipe to release.")],
    out: Annotated[Path, typer.Option(help="The release file to write.")],
    version: Annotated[str, typer.Option(help="The release's version, such as 2026.48.")],
    number: Annotated[int, typer.Option(min=1, help="Counts up; higher than any before.")],
    by: By,
    key: Key,
    parity: Annotated[
        str, typer.Option(help="Data set whose held-out parts prove it on each machine.")
    ] = "",
    film: Annotated[Path | None, typer.Option(help="Or a film set whose parts do.")] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="report.json of `training evaluate`, for the card.")
    ] = None,
    why: Annotated[str, typer.Option(help="What is better, for people.")] = "",
    models: Annotated[Path, typer.Option(help="Folder of the models.")] = Path("models"),
    home: Annotated[
        Path, typer.Option(help="Folder of the data sets.", envvar="TRAINING_DATASETS")
    ] = Path("datasets"),
) -> None:
    """Put a recipe, its models, their cards and a parity set into one signed file.

    Example: training release make bottle-line.yaml --parity bottles --version 2 --number 2
    --by ben --key ben.key --out bottle-line-2.release
    """
    from training.examples import of_film, of_snapshot
    from training.release import NotMade, make, read_key

    if bool(parity) == (film is not None):
        raise NotMade("give either --parity DATASET or --film FOLDER: parts to prove it with")
    today = date.today()
    examples = list(of_film(film, today)) if film else of_snapshot(home, parity, recipe)
    try:
        report = json.loads(evaluation.read_bytes()) if evaluation else None
    except ValueError as error:
        raise NotMade(f"{evaluation}: no report.json of `training evaluate`: {error}") from None
    card = {"why": why, "evaluation": report}
    made = make(
        recipe, models, examples, out, version=version, number=number, builder=by,
        key=read_key(key), card=card,
    )  # fmt: skip
    console.print(f"{out}: {made.manifest.title}, {made.digest[:16]}; it needs an approver")


@app.command()
def approve(file: File, by: By, key: Key) -> None:
    """Sign a release that somebody else has made.

    Example: training release approve bottle-line-2.release --by anna --key anna.key
    """
    from training.release import approve, read_key

    release = approve(file, by, read_key(key))
    console.print(f"{release.manifest.title}: approved by {by}")


@app.command()
def put(
    file: File,
    channel: Annotated[str, typer.Option(help="Which stations: stable, canary …")],
    to: Annotated[Path | None, typer.Option(help="Folder that stations look into …")] = None,
    hub: Annotated[Path | None, typer.Option(help="… or the centre's folder, its --home.")] = None,
    database: Annotated[str, typer.Option(envvar="HUB_DATABASE", help="The centre's.")] = "",
    blobs: Annotated[str, typer.Option(envvar="HUB_BLOBS", help="The centre's.")] = "",
    station: Annotated[
        list[str] | None, typer.Option(help="The centre: only for this station; repeatable.")
    ] = None,
    by: Annotated[str, typer.Option("--by", help="Who puts it there.")] = "",
) -> None:
    """Put an approved release on a channel; its stations install it and try it in shadow.

    Example: training release put bottle-line-2.release --channel canary --hub hub --by anna
    """
    from training.release import NotMade, put

    if (to is None) == (hub is None):
        raise NotMade("give either --to FOLDER or --hub HOME: where stations will find it")
    if hub is not None:
        import getpass
        from contextlib import closing

        from training.hub.channels import put as put_there
        from training.hub.hub import open_hub

        with closing(open_hub(hub, database, blobs)) as centre:
            digest = put_there(centre, file, channel, by or getpass.getuser(), station)
        console.print(f"on {channel} at the centre: {digest[:16]}")
        return
    assert to is not None
    console.print(f"on {channel}: {put(file, channel, to)}")


@app.command()
def show(file: File, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show what a release is and who has signed it, every file compared with its manifest.

    Example: training release show bottle-line-2.release
    """
    from training.release import inspect

    release = inspect(file)
    facts = {
        "release": release.manifest.title,
        "digest": release.digest,
        "number": release.manifest.number,
        "models": dict(release.manifest.models),
        "signed": {role: s.principal for role, s in release.signatures.items()},
        "files": len(release.manifest.files),
    }
    if as_json:
        print(json.dumps(facts))
    else:
        Console().print_json(json.dumps(facts))
