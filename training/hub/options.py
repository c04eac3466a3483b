"""Options that the centre's commands share, and how they open its hub."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

console = Console(stderr=True)

Home = Annotated[Path, typer.Option(help="The centre's folder: its key, and all else by default.")]
Database = Annotated[
    str,
    typer.Option(envvar="HUB_DATABASE", help="postgresql://USER@HOST/NAME; else a file in --home."),
]
Blobs = Annotated[
    str, typer.Option(envvar="HUB_BLOBS", help="s3://bucket/prefix; else a folder in --home.")
]
As = Annotated[str, typer.Option("--as", help="Who does it; the centre records it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]
HOME = Path("hub")


def opened(home: Path, database: str, blobs: str) -> Any:
    """The hub, for a ``with``. Raises ``HubError``."""
    from training.hub.hub import open_hub

    return closing(open_hub(home, database, blobs))
