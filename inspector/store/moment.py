"""One moment of a running station's ledgers, copied while their writers go on.

Enters: ``<data>``. Leaves: both ledgers, the archived segments and the copies of checkpoints in
another folder, such as they were at one instant. Only `backup` imports this.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from inspector.store import schema
from inspector.store.checkpoint import COPY_FILE, Signed, append_copy, read_body, read_copies
from inspector.store.errors import RecordError, StoreError
from inspector.store.files import copy_file

_TRIES = 50


def copy_ledgers(data_dir: Path, moment: Path) -> None:
    """Both ledgers with all that belongs to them. Raises ``StoreError`` when they were too busy
    for a moment of both."""
    _both(data_dir, moment)
    _segments(data_dir, moment)
    _checkpoint_copies(data_dir, moment)


def _both(data_dir: Path, moment: Path) -> None:
    """Both files as they were at one moment that fits together: no checkpoint of the line signs
    more of the desk than is there, no record of the desk saw more of the line."""
    for _ in range(_TRIES):
        line = schema.open_reader(data_dir / schema.LINE_FILE)
        try:
            desk_path = data_dir / schema.DESK_FILE
            if not desk_path.exists():
                _database_from(line, moment / schema.LINE_FILE)
                return
            desk = schema.open_reader(desk_path)
            try:
                # An open transaction holds its moment for as long as the copying takes; writers
                # go on, only their WAL grows meanwhile.
                for connection in (desk, line):
                    connection.execute("BEGIN")
                    connection.execute("SELECT max(position) FROM main.record").fetchone()
                if _fit(line, desk):
                    _database_from(line, moment / schema.LINE_FILE)
                    _database_from(desk, moment / schema.DESK_FILE)
                    return
            finally:
                desk.close()
        finally:
            line.close()
    raise StoreError(f"{data_dir}: both ledgers were too busy for a moment of both; try again")


def _segments(data_dir: Path, moment: Path) -> None:
    """What was archived of the line's ledger; its files never change."""
    with closing(sqlite3.connect(moment / schema.LINE_FILE)) as line:
        names = [name for _, _, name in schema.segment_files(line)]
    for name in names:
        copy_file(data_dir / schema.SEGMENTS / name, moment / schema.SEGMENTS / name)


def _fit(line: sqlite3.Connection, desk: sqlite3.Connection) -> bool:
    # The desk's moment is taken first, so what it saw of the line is always there; what the line
    # signed of the desk may be younger.
    row = line.execute("SELECT body FROM checkpoint ORDER BY number DESC LIMIT 1").fetchone()
    newest = desk.execute("SELECT max(position) FROM main.record").fetchone()[0]
    have = 0 if newest is None else newest + 1
    return row is None or read_body(row[0]).desk_size <= have


def _checkpoint_copies(data_dir: Path, moment: Path) -> None:
    with closing(schema.open_reader(moment / schema.LINE_FILE)) as line:
        last = line.execute("SELECT max(number) FROM checkpoint").fetchone()[0]
    kept: list[Signed] = []
    for _, signed in read_copies(data_dir):
        try:
            if signed is not None and read_body(signed.body).number <= (
                -1 if last is None else last
            ):
                kept.append(signed)
        except RecordError:
            continue
    if kept:
        (moment / COPY_FILE).parent.mkdir(mode=0o700)
        append_copy(moment, kept)


def copy_database(source: Path, target: Path) -> None:
    """One database at one moment, durably."""
    with closing(schema.open_reader(source)) as connection:
        _database_from(connection, target)


def _database_from(source: sqlite3.Connection, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    copy = sqlite3.connect(target, isolation_level=None)
    try:
        source.backup(copy, pages=-1)
    finally:
        copy.close()
    with target.open("rb") as file:
        os.fsync(file.fileno())


def is_database(path: Path) -> bool:
    """Whether the file is one of SQLite's."""
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\x00"
    except FileNotFoundError:  # such as an outbox's file that was sent meanwhile
        return False
