"""Commands that teach: pictures of good parts, or a station's own good parts, in; a recipe out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inspector.cli.words import MODELS, Json, Models, Threads, bars, box, say, show

if TYPE_CHECKING:
    from inspector.teach import Progress as Told

SAID_EVERY_S = 0.3

app = typer.Typer(no_args_is_help=True, help="Teach a recipe from pictures of good parts.")


@app.callback()
def _teach() -> None:
    """Teach a recipe from pictures of good parts."""


@app.command("anomaly")
def teach_anomaly(
    good: Annotated[Path, typer.Option(help="Folder of pictures of good parts, 20 to 200.")],
    out: Annotated[
        Path, typer.Option(help="The recipe to write, *.yaml; its bank lies beside it.")
    ],
    defect: Annotated[
        Path | None, typer.Option(help="Folder of defective parts, if there are some.")
    ] = None,
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough",
            help="Also train a small network on self-made defects (minutes; needs the extra "
            "`training`), and keep what is better.",
        ),
    ] = False,
    roi: Annotated[str, typer.Option(help="Look only here: X1,Y1,X2,Y2 in pixels.")] = "",
    follow: Annotated[
        Path | None,
        typer.Option(
            help="A recipe whose `align` step finds the part; the ROI is on its golden picture."
        ),
    ] = None,
    false_reject: Annotated[
        float, typer.Option(help="Share of good parts that may be rejected.")
    ] = 0.01,
    megapixels: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=1.5,
            help="What larger pictures are looked at in; judging takes as much longer or shorter. "
            "What is small is also looked for in their own size.",
        ),
    ] = 0.6,
    backbone: Annotated[
        list[str] | None,
        typer.Option(help="Model of task `features` to look with; repeatable."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(help="--thorough: folder of the training; the same one resumes it."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="--thorough: how long, instead of the plan's 36.")
    ] = None,
    models: Models = MODELS,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Teach a recipe what good parts look like, from pictures of good parts alone.

    Example: inspector teach anomaly --good photos/good --out recipes/my-surface.yaml
    """
    from inspector.pictures import bits_of
    from inspector.teach import MOST_GOOD, picture_files, read_pictures, teach

    place = box(roi) if roi else None
    files = [*picture_files(good), *(picture_files(defect) if defect else [])]
    bits = bits_of(files)
    with bars(as_json) as told:
        report = teach(
            read_pictures(good, MOST_GOOD, bits),
            read_pictures(defect, MOST_GOOD, bits) if defect else [],
            out,
            models=models,
            threads=threads,
            roi=place,
            follow=follow,
            false_reject=false_reject,
            backbones=tuple(backbone or ()),
            run=(run or out.with_suffix(".run")) if thorough else None,
            epochs=epochs,
            bits=bits,
            megapixels=megapixels,
            progress=told,
        )
    if stands := report.get("stands_out"):
        known = picture_files(good, MOST_GOOD)
        stands["pictures"] = [str(known[number]) for number in stands.pop("numbers")]
        say(
            f"{', '.join(stands['pictures'])}: far from all other good pictures, and what "
            f"sets the limit, {stands['limit']:g}. If that is no good part, take it out and teach "
            f"again; without it the limit is {stands['limit_without']:g}, and less passes.",
            style="yellow",
        )
    show(str(out), report, as_json)


@app.command("parts")
def teach_parts(
    data: Annotated[Path, typer.Option(help="Folder of the station's data.")],
    recipe: Annotated[str, typer.Option(help="Name of the recipe that judged the parts.")],
    view: Annotated[str, typer.Option(help="Camera whose pictures are taught.")],
    out: Annotated[Path, typer.Option(help="Folder for the bank, the heat maps, result.json.")],
    last: Annotated[int, typer.Option(help="How many good parts, the newest ones.")] = 50,
    roi: Annotated[str, typer.Option(help="Look only here: X1,Y1,X2,Y2 in pixels.")] = "",
    product: Annotated[str, typer.Option(help="Only parts of this product.")] = "",
    without: Annotated[
        list[str] | None, typer.Option(help="Id of a part that is not good after all; repeatable.")
    ] = None,
    false_reject: Annotated[
        float, typer.Option(help="Share of good parts that may be rejected.")
    ] = 0.01,
    follow: Annotated[
        str, typer.Option(help="The `align` step that finds the part; the ROI is on its golden "
                               "picture. Takes --text.")
    ] = "",
    text: Annotated[
        Path | None, typer.Option(help="The recipe, or a draft of it, that has the `align` step.")
    ] = None,
    beside: Annotated[
        Path | None, typer.Option(help="Of a draft: the recipe beside which golden pictures lie.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Also train a small network on self-made defects, in this folder (minutes; needs "
            "the extra `training`), and keep what is better; the same folder resumes it."
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="How long, instead of the plan's 36.")
    ] = None,
    models: Models = MODELS,
    threads: Threads = 1,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Teach from the last good parts that a station has made, with a heat map of each.

    With --json a line now and then that says how far it is, then the result.

    Example: inspector teach parts --data data --recipe tile --view side --out taught
    """
    from inspector.teach import TeachError
    from inspector.teach.follow import leader_named
    from inspector.teach.parts import Asked, teach_parts
    from inspector.tools.onnx import Shelf

    leader = None
    if follow:
        if text is None:
            raise TeachError("--follow names a step: give its recipe with --text")
        leader = leader_named(follow, text, beside or text, Shelf(models, threads))
    asked = Asked(
        recipe, view, last, box(roi) if roi else None, product, frozenset(without or ()),
        false_reject, leader, run, epochs,
    )  # fmt: skip
    with _said() if as_json else bars(quiet=False) as told:
        result = teach_parts(data, asked, out, models, threads, told)
    report = result["report"]
    show(str(out), {"result": result} if as_json else report, as_json)


@contextmanager
def _said() -> Iterator[Told]:
    """Progress for a machine: a line for each step's beginning and end, and in between now and
    then."""
    due = 0.0

    def told(what: str, done: int, total: int) -> None:
        nonlocal due
        if done in (0, total) or time.monotonic() >= due:
            print(json.dumps({"what": what, "done": done, "total": total}), flush=True)
            due = time.monotonic() + SAID_EVERY_S

    yield told
