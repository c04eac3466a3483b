"""Commands that teach: pictures of good parts in, a recipe out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from inspector.cli.words import MODELS, Json, Models, Threads, console, print_pairs

if TYPE_CHECKING:
    from inspector.teach import Progress as Told

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
    from inspector.teach import MOST_GOOD, read_pictures, teach

    place = _roi(roi) if roi else None
    with _bar() as told:
        report = teach(
            read_pictures(good, MOST_GOOD),
            read_pictures(defect, MOST_GOOD) if defect else [],
            out,
            models=models,
            threads=threads,
            roi=place,
            follow=follow,
            false_reject=false_reject,
            backbones=tuple(backbone or ()),
            run=(run or out.with_suffix(".run")) if thorough else None,
            epochs=epochs,
            progress=told,
        )
    if as_json:
        print(json.dumps(report, ensure_ascii=False))
    else:
        print_pairs(str(out), report)


@contextmanager
def _bar() -> Iterator[Told]:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    tasks = {}
    with bar:

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield told


def _roi(text: str) -> tuple[int, int, int, int]:
    parts = text.split(",")
    if len(parts) != 4 or not all(p.strip().isdigit() for p in parts):
        raise typer.BadParameter(f"{text!r} is not X1,Y1,X2,Y2, such as 0,0,320,240")
    x1, y1, x2, y2 = (int(p) for p in parts)
    if x1 >= x2 or y1 >= y2:
        raise typer.BadParameter(f"{text!r} is empty: X1 < X2 and Y1 < Y2 are needed")
    return x1, y1, x2, y2
