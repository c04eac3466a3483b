"""An index of the desk's records in a file of its own, which may be deleted at any time.

Enters: ``<data>/desk.db``, tables, and a function that says what one record means to them. Leaves:
the tables, as far as the desk has come. Nothing durable is here: a file that is gone, of another
version or of another desk is made anew from the records. `holds` and the plant's memory of
requests are two such indexes; several processes may share one.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from inspector.store import layout, schema
from inspector.store.errors import RecordError, StoreDamaged, StoreError
from inspector.store.files import refuse_stranger
from inspector.store.records import DeskRecord
from inspector.store.stretch import onwards

Apply = Callable[[sqlite3.Connection, int, DeskRecord], None]
"""Writes what the record at this position means; raises ValueError, KeyError or TypeError for a
body that is not what its kind promises, which is then left out."""

PORTION = 1000
"""Records that one transaction takes in, so that no other process waits long."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What an index file holds, and how that follows from the desk's records."""

    name: str
    """Of the file in ``<data>``."""
    version: int
    """Of ``tables`` and ``apply``; a file of another one is made anew."""
    tables: str
    """``CREATE TABLE`` and ``CREATE INDEX`` statements, each ended by a semicolon."""
    apply: Apply

    def create(self, index: sqlite3.Connection) -> None:
        """Makes the tables, without a row."""
        for statement in self.tables.split(";"):
            if statement.strip():
                index.execute(statement)

    def take(self, index: sqlite3.Connection, position: int, record: DeskRecord) -> bool:
        """Writes what a record means; False if its body is not what its kind promises."""
        try:
            self.apply(index, position, record)
        except (RecordError, ValueError, KeyError, TypeError):
            return False
        return True


class DeskIndex:
    """One index file. Safe to share between threads, which then wait for each other."""

    def __init__(self, data_dir: Path, projection: Projection) -> None:
        """Raises ``StoreError`` if the disk does not let us."""
        refuse_stranger(data_dir)
        self._desk_path = data_dir / schema.DESK_FILE
        self._path = data_dir / projection.name
        self._projection = projection
        self._lock = threading.RLock()
        self._desk: sqlite3.Connection | None = None
        self._seen: tuple[int, int] | None = None
        self.skipped = 0
        """Records of a known kind whose body was not what the kind promises."""
        try:
            self._index = sqlite3.connect(
                self._path, isolation_level=None, timeout=5.0, check_same_thread=False
            )
            self._index.execute("PRAGMA journal_mode=WAL")
            # A power cut may take the newest rows: they are made again from the desk's records.
            self._index.execute("PRAGMA synchronous=NORMAL")
            self._open()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: {error}; delete it, it is only an index") from error

    @contextmanager
    def current(self) -> Iterator[sqlite3.Connection]:
        """The index with every desk record that is durable now.

        Raises:
            StoreDamaged: the desk cannot be read.
            StoreError: the index cannot be written.
        """
        with self._lock:
            try:
                self._catch_up()
                yield self._index
            except sqlite3.DatabaseError as error:
                raise StoreError(f"{self._path}: {error}; delete it, it is only an index") from None

    def record(self, position: int) -> DeskRecord:
        """The desk's record at ``position``. Raises ``RecordError`` if there is none."""
        with self._lock:
            desk = self._reader()
            row = (
                desk
                and desk.execute(
                    "SELECT body FROM record WHERE position = ?", (position,)
                ).fetchone()
            )
        if not row:
            raise RecordError(f"the desk has no record {position}")
        return layout.desk_record(row[0])

    def close(self) -> None:
        """Lets go of both files."""
        with self._lock:
            self._index.close()
            if self._desk is not None:
                self._desk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _open(self) -> None:
        """Make the tables, unless they are there and of this version."""
        version = self._projection.version
        if self._index.execute("PRAGMA user_version").fetchone()[0] == version:
            return
        self._index.execute("BEGIN IMMEDIATE")
        names = self._index.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall()
        for (name,) in names:
            self._index.execute(f'DROP TABLE "{name}"')
        self._projection.create(self._index)
        self._index.execute(
            "CREATE TABLE upto (one INTEGER PRIMARY KEY CHECK (one = 1), position, mark)"
        )
        self._index.execute("INSERT INTO upto VALUES (1, -1, 0)")
        self._index.execute(f"PRAGMA user_version={version}")
        self._index.execute("COMMIT")

    def _reader(self) -> sqlite3.Connection | None:
        if self._desk is None and self._desk_path.is_file():
            self._desk = schema.open_reader(self._desk_path)
        return self._desk

    def _catch_up(self) -> None:
        desk = self._reader()
        if desk is None:
            return
        try:
            newest = desk.execute(
                "SELECT position, mark FROM record ORDER BY position DESC LIMIT 1"
            ).fetchone()
            if newest is None or newest == self._seen:
                return
            while not self._take_in(desk, newest):
                pass
        except sqlite3.DatabaseError as error:
            raise StoreDamaged(f"{self._desk_path}: {error}; run: inspector verify") from error
        self._seen = newest

    def _take_in(self, desk: sqlite3.Connection, newest: tuple[int, int]) -> bool:
        """One portion of records; whether ``newest`` is in now."""
        index = self._index
        index.execute("BEGIN IMMEDIATE")
        try:
            row = index.execute("SELECT position, mark FROM upto").fetchone()
            upto, mark = row if row and isinstance(row[0], int) else (0, None)  # or it is spoiled
            if upto >= 0:
                same = desk.execute("SELECT mark FROM record WHERE position = ?", (upto,))
                if same.fetchone() != (mark,):
                    # This desk is not the one that was indexed.
                    index.execute("ROLLBACK")
                    index.execute("PRAGMA user_version=0")
                    self._open()
                    return False
            rows = desk.execute(
                "SELECT position, mark, body FROM record WHERE position > ?"
                " ORDER BY position LIMIT ?",
                (upto, PORTION),
            ).fetchall()
            for position, _, body in rows:
                try:
                    taken = self._projection.take(index, position, layout.desk_record(body))
                except RecordError:
                    taken = False
                self.skipped += not taken
            if rows:
                upto, mark = onwards(upto, rows[-1][0]), rows[-1][1]
                index.execute("UPDATE upto SET position = ?, mark = ?", (upto, mark))
            index.execute("COMMIT")
        finally:
            if index.in_transaction:
                index.execute("ROLLBACK")
        return bool(upto >= newest[0]) or not rows
