"""Care of the ledger from outside the line: a short WAL, and indexes made anew.

Enters: ``<data>``. Leaves: the same records in better shape. A process that is not the line calls
`shorten_wal` every few seconds; a person calls `rebuild_index` while the line is stopped.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from inspector.store import layout, schema
from inspector.store.deskindex import DeskIndex, Projection
from inspector.store.errors import StoreDamaged, StoreError
from inspector.store.files import refuse_stranger
from inspector.store.indexes import tables_of
from inspector.store.records import Defined, Kind
from inspector.store.report import Told, untold
from inspector.store.resume import lock_line
from inspector.store.rows import Rows, index_rows, write_rows
from inspector.store.stretch import read_records

_SLICE = 10_000


@dataclass(frozen=True, slots=True)
class WalState:
    """What a checkpoint of the WAL found, in pages of 4096 bytes."""

    pages: int
    """In the WAL."""
    moved: int
    """Of them, now in line.db too. Once all are, the line's next commit begins the WAL anew."""


def shorten_wal(data_dir: Path | str) -> WalState:
    """Moves the WAL's pages into line.db, passively: neither the line nor a reader waits for it.

    Measured: a commit of one part adds 18 kB to the WAL, 0.9 MB/s at 50 parts/s, most of it the
    same dozen pages again and again, so that a call every 2 s moves a few hundred kB.

    Raises:
        StoreError: there is no ledger, or the disk failed.
    """
    path = Path(data_dir) / schema.LINE_FILE
    if not path.is_file():
        raise StoreError(f"{path}: there is no ledger here")
    try:
        return WalState(*schema.shorten_wal(path))
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error


def rebuild_index(
    data_dir: Path | str, projections: Sequence[Projection] = (), told: Told = untold
) -> int:
    """Makes every index of line.db and of desk.db again from their records, each file's in one
    transaction, and the desk's index files that are there; gives the number of line.db's records.

    No other process may have an index file open: it would go on with the old one.

    Args:
        projections: index files of the desk that other rooms keep, besides the store's own.
        told: hears how far it is.

    Raises:
        StoreInUse: the line is running.
        StoreDamaged: a record that cannot be read; nothing of its file was changed.
    """
    import sqlite_utils  # 40 ms that no start of a line needs to spend

    from inspector.store.projections import PROJECTIONS

    data_dir = Path(data_dir)
    path = data_dir / schema.LINE_FILE
    if not path.is_file():
        raise StoreError(f"{path}: there is no ledger here")
    refuse_stranger(data_dir)
    lock = lock_line(data_dir)
    try:
        connection = schema.open_writer(path, busy_s=5.0)
        try:
            schema.attach_segments(connection, path)
            connection.execute("BEGIN IMMEDIATE")
            database = sqlite_utils.Database(connection)
            for table in schema.LINE_INDEXES:
                database[table].drop(ignore=True)
            for statement in schema.create_indexes().split(";"):
                connection.execute(statement)
            count = _refill(connection, path, told)
            connection.execute("COMMIT")
        finally:
            connection.close()
        path = data_dir / schema.DESK_FILE
        if path.is_file():
            _rebuild_desk(path)
        for projection in (*PROJECTIONS, *projections):
            _remake(data_dir, projection)
    except sqlite3.Error as error:
        raise StoreDamaged(f"{path}: {error}; its indexes were left as they were") from error
    finally:
        os.close(lock)
    return count


def _rebuild_desk(path: Path) -> None:
    with closing(schema.open_writer(path, busy_s=5.0)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for table in tables_of(schema.DESK_INDEXES):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in schema.DESK_INDEXES.split(";"):
            connection.execute(statement)
        for position, _, body in read_records(connection, 0, 1 << 62):
            with _named(path, position):
                fields = layout.fields_of(body)
            connection.execute("INSERT INTO event VALUES (?, ?)", (position, fields[2]))
        connection.execute("COMMIT")


@contextmanager
def _named(path: Path, position: int) -> Iterator[None]:
    """Raises ``StoreDamaged`` with the record's place for whatever its bytes lead to."""
    try:
        yield
    except (StoreError, LookupError, TypeError) as error:
        raise StoreDamaged(
            f"{path}: record {position}: {error}; its indexes were left as they were"
        ) from error


def _remake(data_dir: Path, projection: Projection) -> None:
    path = data_dir / projection.name
    if not path.exists():
        return  # whoever asks first makes it
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    with DeskIndex(data_dir, projection) as index, index.current():
        pass


def _refill(connection: sqlite3.Connection, path: Path, told: Told) -> int:
    (newest,) = connection.execute("SELECT max(position) FROM main.record").fetchone()
    contexts: dict[int, tuple[object, ...]] = {}
    good: set[int] = set()
    count, rows = 0, Rows()
    for count, (position, _, body) in enumerate(read_records(connection, 0, 1 << 62), 1):
        with _named(path, position):
            fields = layout.fields_of(body)
            if fields[0] == Kind.DEFINITION and fields[2] == Defined.CONTEXT:
                contexts[position] = tuple(fields[3])
            elif fields[0] == Kind.DEFINITION and fields[2] == Defined.SHAPE and fields[3][3]:
                good.add(position)
            index_rows(rows, position, fields, contexts.__getitem__, good.__contains__)
        if count % _SLICE == 0 or position == newest:
            write_rows(connection, rows, (), records=False)
            rows = Rows()
            told("records", position, newest)
    return count
