"""One moment of a running station's ledgers, copied while their writers go on.

Enters: ``<data>``. Leaves: both ledgers, the process values, the archived segments and the copies
of checkpoints in another folder, such as they were at one instant. Only `backup` imports this.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from inspector.store import schema
from inspector.store.checkpoint import COPY_FILE, Signed, append_copy, read_body, read_copies
from inspector.store.errors import RecordError, StoreError
from inspector.store.files import copy_file
from inspector.store.layout import desk_record
from inspector.store.tags import FILE as TAGS_FILE
from inspector.store.tags import KIND as SEAL

_TRIES = 50


def copy_ledgers(data_dir: Path, moment: Path) -> None:
    """Both ledgers with all that belongs to them. Raises ``StoreError`` when they were too busy
    for a moment of both."""
    _at_once(data_dir, moment)
    _segments(data_dir, moment)
    _checkpoint_copies(data_dir, moment)


def _at_once(data_dir: Path, moment: Path) -> None:
    """The files as they were at one moment that fits together: no checkpoint of the line signs
    more of the desk than is there, no record of the desk saw more of the line, and no process value
    is said to be sealed that the desk has not sealed."""
    there = [schema.DESK_FILE] if (data_dir / schema.DESK_FILE).exists() else []
    # The desk's moment is taken first, so what it saw of the line is always there, and what it has
    # sealed; what the line signed of the desk, and what is said to be sealed, may be younger.
    there.append(schema.LINE_FILE)
    there += [TAGS_FILE] if is_database(data_dir / TAGS_FILE) else []
    for left in reversed(range(_TRIES)):
        with ExitStack() as held:
            # An open transaction holds its moment for as long as the copying takes; writers
            # go on, only their WAL grows meanwhile.
            files = {
                name: held.enter_context(closing(schema.open_reader(data_dir / name)))
                for name in there
            }
            for connection in files.values():
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM main.sqlite_schema").fetchone()
            desk, tags = files.get(schema.DESK_FILE), files.get(TAGS_FILE)
            if desk is not None and not _fit(files[schema.LINE_FILE], desk):
                continue
            if left and desk is not None and tags is not None and not _sealed(tags, desk):
                continue  # those that fit at no moment were tampered with: `verify` will say so
            for name, connection in files.items():
                _database_from(connection, moment / name)
            return
    raise StoreError(f"{data_dir}: both ledgers were too busy for a moment of both; try again")


def _segments(data_dir: Path, moment: Path) -> None:
    """What was archived of the line's ledger; its files never change."""
    with closing(sqlite3.connect(moment / schema.LINE_FILE)) as line:
        names = [name for _, _, name in schema.segment_files(line)]
    for name in names:
        copy_file(data_dir / schema.SEGMENTS / name, moment / schema.SEGMENTS / name)


def _fit(line: sqlite3.Connection, desk: sqlite3.Connection) -> bool:
    """Whether the desk has all that the line has signed; so too where either cannot be read, which
    is left to `verify`."""
    try:
        row = line.execute("SELECT body FROM checkpoint ORDER BY number DESC LIMIT 1").fetchone()
        newest = desk.execute("SELECT max(position) FROM main.record").fetchone()[0]
        have = 0 if newest is None else newest + 1
        return row is None or read_body(row[0]).desk_size <= have
    except (sqlite3.DatabaseError, RecordError, TypeError):
        return True


def _sealed(tags: sqlite3.Connection, desk: sqlite3.Connection) -> bool:
    """Whether the desk has sealed as many process values as they say; so too where either cannot
    be understood, which is left to `verify`."""
    try:
        (said,) = tags.execute("SELECT last FROM sealed").fetchone()
        newest = desk.execute(
            "SELECT body FROM event JOIN record USING (position) WHERE kind = ?"
            " ORDER BY position DESC LIMIT 1",
            (SEAL,),
        ).fetchone()
        return bool(said <= (desk_record(newest[0]).body["last"] if newest else 0))
    except (sqlite3.Error, RecordError, TypeError, KeyError):
        return True


def _checkpoint_copies(data_dir: Path, moment: Path) -> None:
    last: int | None = 1 << 62  # all of them, where nobody can be asked
    with (
        closing(schema.open_reader(moment / schema.LINE_FILE)) as line,
        suppress(sqlite3.DatabaseError),
    ):
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
