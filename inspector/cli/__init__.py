"""Every command a person types: a thin layer that turns words into calls and errors into sentences.

Each command imports its room when it runs, so that ``inspector --help`` answers at once.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import traceback

import typer

from inspector.cli import (
    bench,
    genealogy,
    ledger,
    measuring,
    people,
    quality,
    recipes,
    releases,
    station,
    sync,
    teach,
    vision,
)
from inspector.cli.words import say

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A line-side vision inspection station.",
)
app.add_typer(station.app)
vision.recipe.add_typer(recipes.app)
app.add_typer(vision.app)
app.add_typer(people.app)
app.add_typer(ledger.app)
app.add_typer(sync.app)
app.add_typer(quality.app)
app.add_typer(genealogy.app)
app.add_typer(measuring.app)
app.add_typer(bench.app, name="bench")
app.add_typer(teach.app, name="teach")
app.add_typer(releases.app, name="release")


def main() -> None:
    """The console command. A user's mistake ends in a sentence and status 2, never a traceback.

    Every exception that a room of ours defines is such a sentence.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no κ shows the rest
    try:
        app()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
    except Exception as error:
        if type(error).__module__.startswith("inspector.") or isinstance(error, OSError):
            said = _sentence(error)
            say(said, style="red")
            sys.exit(2)
        handle, name = tempfile.mkstemp(prefix="inspector-", suffix=".log")
        with os.fdopen(handle, "w") as log:
            traceback.print_exc(file=log)
        message = f"internal error: {type(error).__name__}: {error}\nPlease report it with {name}"
        say(message, style="red")
        sys.exit(70)


def _sentence(error: Exception) -> str:
    """What the operating system refused, as ``file: why``, without its number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
