"""The newest lines of the station's log, as its processes keep them, on the system page.

Enters: the folder in which every process keeps its newest lines (``inspector/logs.py``). Leaves: a
panel that follows them, by process and from a level on. The system page makes it.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nicegui import ui

from inspector import logs
from inspector.web.controls import card, choice, put, sign
from inspector.web.frame import Shown

LOOK_S = 1.0
SHOWN = 200
"""Lines on the page; more are in the files."""
READ_BYTES = 64 << 10
"""Of each file's end: some 300 lines of each process."""
LEVELS = ("debug", "info", "warning", "error", "critical")
SIGNS = {"warning": "warning", "error": "fault", "critical": "fault"}
OWN = frozenset({"timestamp", "level", "process", "event", "exception"})
"""Fields that have a place of their own; all others follow the event, and so does another process
of which this one speaks: its supervisor says which one it has started."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something that a process said."""

    utc: str
    """ISO 8601, as it was written; sorts as time."""
    process: str
    level: str
    event: str
    more: tuple[tuple[str, str], ...]
    exception: str = ""


class Tail:
    """The ends of the files in a folder; those that have not grown are not read again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[tuple[int, int], tuple[Line, ...]]] = {}

    def processes(self) -> tuple[str, ...]:
        """Who has said something."""
        return tuple(sorted(path.stem for path in self._folder.glob("*.jsonl")))

    def newest(self, process: str = "", level: str = "info", limit: int = SHOWN) -> list[Line]:
        """The newest lines of ``process``, of all if none is named, from ``level`` on; newest
        first."""
        wanted = frozenset(LEVELS[LEVELS.index(level) :])
        names = [process] if process else self.processes()
        found = [line for name in names for line in self._of(name) if line.level in wanted]
        return sorted(found, key=lambda line: line.utc, reverse=True)[:limit]

    def _of(self, process: str) -> Iterator[Line]:
        for name in (f"{process}.jsonl.1", f"{process}.jsonl"):
            path = self._folder / name
            try:
                state = path.stat()
            except OSError:
                continue
            mark = (state.st_mtime_ns, state.st_size)
            if path not in self._read or self._read[path][0] != mark:
                self._read[path] = mark, tuple(_lines(path, process))
            yield from self._read[path][1]


def _lines(path: Path, process: str) -> Iterator[Line]:
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            start = max(0, file.tell() - READ_BYTES)
            file.seek(start)
            rows = file.read().splitlines()
    except OSError:
        return
    for row in rows[1 if start else 0 :]:
        try:
            said = json.loads(row)
            yield Line(
                str(said["timestamp"]),
                process,
                level if (level := str(said.get("level"))) in LEVELS else "info",
                str(said.get("event", "")),
                tuple(
                    (key, str(value))
                    for key, value in said.items()
                    if key not in OWN or (key == "process" and value != process)
                ),
                str(said.get("exception", "")),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # cut by the end of the file, or by a disk that was full


def panel(shown: Shown, path: str, process: str, level: str) -> None:
    """The panel, with its filters in the page's address: ``path?process=…&level=…``."""
    tail = Tail(logs.folder(shown.desk.run))
    chosen = {"process": process if process in tail.processes() else "",
              "level": level if level in LEVELS else "info"}  # fmt: skip

    def choose(name: str, value: str) -> None:
        chosen[name] = value
        ui.navigate.history.replace(f"{path}?process={chosen['process']}&level={chosen['level']}")
        look()

    def select(name: str, options: Iterable[tuple[str, str]]) -> None:
        put(choice(shown.word(f"log.{name}"), name, chosen[name], options)).on(
            "change",
            lambda event: choose(name, str(event.args)),
            js_handler="(event) => emit(event.target.value)",
        )

    def look() -> None:
        rows.set_content(_table(shown, tail.newest(chosen["process"], chosen["level"])))

    with card(shown.word("log"), "group log"):
        with ui.element("div").classes("ways"):
            processes = ((name, name) for name in tail.processes())
            select("process", [("", shown.word("log.everybody")), *processes])
            select("level", [(name, shown.word(f"log.from.{name}")) for name in LEVELS])
        rows = ui.html("", sanitize=False).classes("scroll")
        rows._props |= {"tabindex": "0", "role": "region", "aria-label": shown.word("log")}
    look()
    ui.timer(LOOK_S, look)


def _table(shown: Shown, lines: list[Line]) -> str:
    if not lines:
        return f'<p class="empty">{html.escape(shown.word("log.nothing"))}</p>'
    columns = "".join(
        f"<th>{html.escape(shown.word(f'log.{key}'))}</th>"
        for key in ("time", "process", "level", "event")
    )
    body = "".join(_row(shown, line) for line in lines)
    return f'<table class="table"><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table>'


def _row(shown: Shown, line: Line) -> str:
    icon = sign(SIGNS[line.level]) if line.level in SIGNS else ""
    more = " ".join(f"{key}={value}" for key, value in line.more)
    trace = f"<pre>{html.escape(line.exception)}</pre>" if line.exception else ""
    return (
        f'<tr data-level="{line.level}"><td class="moment">{html.escape(_clock(line.utc))}</td>'
        f"<td>{html.escape(line.process)}</td>"
        f'<td class="level"><span>{icon}{html.escape(shown.word(f"log.{line.level}"))}</span></td>'
        f"<td><b>{html.escape(line.event)}</b> {html.escape(more)}{trace}</td></tr>"
    )


def _clock(utc: str) -> str:
    """The station's own time, to the millisecond, with the day where it is not today."""
    try:
        when = datetime.fromisoformat(utc).astimezone()
    except ValueError:
        return utc
    clock = f"{when:%H:%M:%S}.{when.microsecond // 1000:03}"
    return clock if when.date() == datetime.now().date() else f"{when:%Y-%m-%d} {clock}"
