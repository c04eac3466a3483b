"""Commands about data sets: a thin layer over ``training.dataset`` and ``training.formats``."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(no_args_is_help=True, help="Data sets: immutable, with lineage to the records.")
console = Console(stderr=True)

Home = Annotated[Path, typer.Option(help="Folder of the data sets.", envvar="TRAINING_DATASETS")]
HOME = Path("datasets")
Ref = Annotated[str, typer.Argument(help="name, or name/version; the newest without a version.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]
Form = Annotated[str, typer.Option("--format", help="coco, yolo, labelstudio or cvat.")]


@app.command()
def build(
    name: Annotated[str, typer.Argument(help="The data set's name.")],
    station: Annotated[
        list[Path] | None, typer.Option(help="A station's data folder; repeatable.")
    ] = None,
    hub: Annotated[str, typer.Option(help="The centre's database: sqlite:///… or postgres.")] = "",
    blobs: Annotated[str, typer.Option(help="The centre's blobs: a folder or s3://…")] = "",
    product: Annotated[list[str] | None, typer.Option(help="Only this product.")] = None,
    view: Annotated[list[str] | None, typer.Option(help="Only this view.")] = None,
    from_day: Annotated[
        str, typer.Option("--since", help="Only from this day on, YYYY-MM-DD.")
    ] = "",
    unreviewed: Annotated[bool, typer.Option(help="Parts nobody judged, too.")] = False,
    trust: Annotated[
        list[str] | None, typer.Option(help="NAME=WEIGHT of a reviewer's word; repeatable.")
    ] = None,
    home: Home = HOME,
    as_json: Json = False,
) -> None:
    """Make a snapshot of the reviewed parts of stations, or of the centre.

    Example: training dataset build bottles --station data/bottle-line --trust anna=3
    """
    from training.dataset.build import Wanted, finish, from_hub, from_station
    from training.dataset.snapshot import SnapshotError, write

    if bool(station) == bool(hub):
        raise SnapshotError("give either --station (once or more) or --hub with --blobs")
    wanted = Wanted(
        products=tuple(product or ()), views=tuple(view or ()), unreviewed=unreviewed,
        since_utc_ns=since(from_day), trust=dict(_weight(text) for text in trust or ()),
    )  # fmt: skip
    with console.status("reading records and pictures"):
        if hub:
            drafts, made_from = from_hub(hub, blobs, wanted)
        else:
            found = [from_station(data, wanted) for data in station or ()]
            # the same station twice, or beside its copy, is each picture once
            once = {(d.row.station, d.row.position, d.row.view, d.row.image): d
                    for part, _ in found for d in part}  # fmt: skip
            drafts = finish(once.values())
            made_from = {"sources": [source for _, source in found]}
        snapshot = write(home, name, drafts, made_from=made_from, by=_me())
    _show(snapshot.card, as_json)


@app.command("import")
def import_(
    name: Annotated[str, typer.Argument(help="The data set's name.")],
    folder: Annotated[Path, typer.Argument(help="What the other tool wrote.")],
    form: Form,
    product: Annotated[str, typer.Option(help="What the pictures show.")] = "",
    home: Home = HOME,
    as_json: Json = False,
) -> None:
    """Make a snapshot of another tool's files.

    Example: training dataset import caps photos/ --format coco
    """
    from dataclasses import replace

    from training.dataset.build import finish
    from training.dataset.row import Draft
    from training.dataset.snapshot import write
    from training.formats import read

    drafts = read(form, folder)
    if product:
        drafts = [Draft(replace(d.row, product=product), d.content) for d in drafts]
    split_given = len({d.row.split for d in drafts}) > 1
    snapshot = write(
        home, name, finish(drafts, keep_splits=split_given),
        made_from={"format": form, "folder": folder.name}, by=_me(),
    )  # fmt: skip
    _show(snapshot.card, as_json)


@app.command()
def export(
    ref: Ref,
    form: Form,
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    home: Home = HOME,
) -> None:
    """Write a snapshot for another tool.

    Example: training dataset export bottles --format cvat --out for-cvat
    """
    from training.dataset.snapshot import open_snapshot
    from training.formats import export

    count = export(open_snapshot(home, ref), form, out)
    console.print(f"{count} pictures in {out}")


@app.command()
def show(ref: Ref, home: Home = HOME, as_json: Json = False) -> None:
    """Show a snapshot's card: balance, agreement, coverage, what is thin.

    Example: training dataset show bottles
    """
    from training.dataset.snapshot import open_snapshot

    _show(open_snapshot(home, ref).card, as_json)


@app.command()
def diff(old: Ref, new: Ref, home: Home = HOME, as_json: Json = False) -> None:
    """Compare two snapshots: what came, what went, what is labelled otherwise.

    Example: training dataset diff bottles/3f2a91c0d4e5 bottles
    """
    from training.dataset.snapshot import difference, open_snapshot

    found = difference(open_snapshot(home, old), open_snapshot(home, new))
    if as_json:
        print(json.dumps(found))
        return
    table = Table("label", "before", "after", title=f"{found['old']} → {found['new']}")
    for name, (before, after) in found["labels"].items():
        table.add_row(name, str(before), str(after))
    Console().print(table)
    print(
        f"{found['added']} added, {found['removed']} removed, "
        f"{len(found['relabelled'])} relabelled, {found['moved']} in another split"
    )


def _show(card: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(card, ensure_ascii=False))
        return
    table = Table("label", *card["splits"], title=f"{card['name']}/{card['version']}")
    names = sorted({n for counts in card["labels"].values() for n in counts})
    for name in names:
        table.add_row(name, *(str(card["labels"][s].get(name, 0)) for s in card["splits"]))
    table.add_section()
    table.add_row("pictures", *(str(n) for n in card["splits"].values()))
    Console().print(table)
    agreement = card["agreement"]
    print(
        f"{card['parts']} parts of {', '.join(card['stations'])}; {agreement['reviewed']} pictures "
        f"reviewed, {agreement['disputed']} disputed; {card['near_duplicates']} near-duplicates"
    )
    for remark in card["remarks"]:
        print(f"  · {remark}")


def _weight(text: str) -> tuple[str, float]:
    name, sep, weight = text.partition("=")
    try:
        return name, float(weight) if sep else 1.0
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not NAME=WEIGHT, such as anna=3") from None


def since(day: str) -> int:
    """When a day begins here, in nanoseconds of UTC; 0 where none is given."""
    if not day:
        return 0
    try:
        return int(datetime.fromisoformat(day).astimezone().timestamp()) * 10**9
    except ValueError:
        raise typer.BadParameter(f"{day!r} is not a day as YYYY-MM-DD") from None


def _me() -> str:
    import getpass

    return getpass.getuser()
