"""What the commands share: options of one name and meaning, and how results are shown."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table
from rich.text import Text

Who = Annotated[str, typer.Option("--as", help="In whose name; the ledger records it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]
Data = Annotated[Path, typer.Argument(help="The station's data folder.", metavar="DATA")]
StationFile = Annotated[Path, typer.Argument(help="The station's YAML file.", metavar="STATION")]
RecipeFile = Annotated[Path, typer.Argument(help="The recipe's YAML file.", metavar="RECIPE")]
Models = Annotated[Path, typer.Option(help="Folder of the models.")]
Threads = Annotated[int, typer.Option(min=1, max=64, help="Threads of each model's session.")]

SHIPPED = Path(__file__).parent.parent.parent / "models"
MODELS = SHIPPED if SHIPPED.is_dir() else Path("models")
"""The models that came with this checkout, else ``./models``."""

SIDE_MAX = 16_384
"""Pixels; no camera that is sold has more on a side."""

console = Console(stderr=True)


@contextmanager
def bars(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """How far long work is: give it what this gives, and it says of what, how many are done, of
    how many. A bar for each on a terminal; nothing where no person looks."""
    quiet = quiet or not console.is_terminal
    with Progress(console=console, transient=True, disable=quiet) as progress:
        tasks: dict[str, TaskID] = {}

        def told(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=of)
            progress.update(tasks[what], completed=done, total=of)

        yield told


def pair(text: str) -> tuple[str, str]:
    name, sep, value = text.partition("=")
    if not sep or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE, such as lot=L2417A")
    return name, value


def day_of(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day as YYYY-MM-DD") from None


def box(text: str) -> tuple[int, int, int, int]:
    parts = text.split(",")
    if len(parts) != 4 or not all(p.strip().isdigit() for p in parts):
        raise typer.BadParameter(f"{text!r} is not X1,Y1,X2,Y2, such as 0,0,320,240")
    x1, y1, x2, y2 = (int(p) for p in parts)
    if x1 >= x2 or y1 >= y2:
        raise typer.BadParameter(f"{text!r} is empty: X1 < X2 and Y1 < Y2 are needed")
    return x1, y1, x2, y2


def size_of(text: str, step: int = 1) -> tuple[int, int]:
    """``WIDTHxHEIGHT``, each a multiple of ``step``."""
    sides = [int(side) if side.isdecimal() else 0 for side in text.lower().split("x")]
    if len(sides) != 2 or any(not 0 < side <= SIDE_MAX or side % step for side in sides):
        even = " (even numbers)" if step == 2 else ""
        what = f"is not WIDTHxHEIGHT{even} of up to {SIDE_MAX} pixels, such as 640x480"
        raise typer.BadParameter(f"{text!r} {what}")
    return sides[0], sides[1]


def say(text: str, style: str = "") -> None:
    """One sentence for a person. It is shown as it stands: what is in square brackets may be a
    folder, a batch or a unit, and is no style."""
    console.print(Text(text), style=style, highlight=False, soft_wrap=True)


def show(title: str, found: Any, as_json: bool) -> None:
    """A result: JSON for a machine, in ASCII whatever the terminal knows; for a person a table of
    pairs, or of rows."""
    if as_json:
        print(json.dumps(found), flush=True)
    elif isinstance(found, Mapping):
        print_pairs(title, found)
    else:
        print_rows(title, found)


def print_pairs(title: str, pairs: Mapping[str, Any]) -> None:
    table = Table(title=Text(title), show_header=False)
    for _ in range(2):
        table.add_column(overflow="fold")
    for name, value in pairs.items():
        table.add_row(Text(name), Text(cell(value)))
    Console().print(table)


def print_rows(title: str, rows: Iterable[Mapping[str, Any]]) -> None:
    rows = list(rows)
    if not rows:
        say(f"{title}: none")
        return
    table = Table(title=Text(title))
    for name in rows[0]:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row.values()))
    Console().print(table)


def cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {cell(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell(v) for v in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def os_user() -> str:
    """Whoever may write the data folder acts in the name of the machine's account."""
    return f"os-user-{os.getuid()}"
