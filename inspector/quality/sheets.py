"""Sheets of first articles as PDF files, printed in a process of their own, one after the other.

Enters: ids of first articles. Leaves: ``<data>/sheets/first-article-ID.pdf``. Only ``process.py``
imports this. A conveyor that runs through a line in set-up fails an attempt with every bad part:
of one first article only the newest state is printed, and never two sheets at once.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from inspector.config import Quality, Station

Print = Callable[[str, Path], Sequence[str]]
"""The command that prints the sheet of an id into a file."""


def printing(station: Station, plan: Quality) -> Print:
    """With `inspector.printed`, in the plan's language and the recipes' own words."""
    recipes = [str(path) for path in station.recipes]

    def command(id: str, out: Path) -> Sequence[str]:
        words = [str(station.data), id, str(out), plan.language, *recipes]
        return [sys.executable, "-m", "inspector.printed", "sheet", *words]

    return command


class Sheets:
    """The sheets that are to be printed."""

    def __init__(self, data: Path, command: Print) -> None:
        self._folder = data / "sheets"
        self._command = command
        self._wanted: dict[str, None] = {}
        self._running: subprocess.Popen[bytes] | None = None

    def want(self, id: str) -> None:
        """Print the sheet of ``id`` as it is by then."""
        self._wanted[id] = None

    def turn(self) -> None:
        """Begin with the next one, if none is being printed. Never waits."""
        if not self._wanted or (self._running is not None and self._running.poll() is None):
            return
        id = next(iter(self._wanted))
        del self._wanted[id]
        self._folder.mkdir(exist_ok=True)
        self._running = subprocess.Popen(
            self._command(id, self._folder / f"first-article-{id}.pdf"), stdin=subprocess.DEVNULL
        )
