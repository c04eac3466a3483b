"""The tables of the two ledger files, and how each is opened.

Enters: a path. Leaves: SQLite connections with the pragmas that the promises rest on, and `Rows`:
what one group commit writes. Only `inspector.store` imports this.

``record`` is the ledger. Every other table but ``checkpoint`` is an index of it: `index_rows` makes
an index row from a record, the writer uses the same functions, and `maintenance.rebuild_index`
makes all of them again, so a change of the indexes never touches the chain (I4).
"""

from __future__ import annotations

import os
import resource
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from inspector.store.cbor import plain
from inspector.store.errors import StoreDamaged, StoreError
from inspector.store.records import Kind

LINE_FILE = "line.db"
DESK_FILE = "desk.db"
SEGMENTS = "segments"
"""Folder of what was archived, one file a segment."""
SEGMENTS_MAX = 9
"""SQLite attaches ten files at most."""
SCHEMA = 1

# `mark` is the first four bytes of the record's leaf hash: it names a record that an accident
# changed, also behind the last checkpoint, where no signature reaches yet.
_CHAIN = """
CREATE TABLE record (position INTEGER PRIMARY KEY, mark INTEGER NOT NULL, body BLOB NOT NULL);
"""

# WITHOUT ROWID throughout: the key is the row, which is what keeps a pass within 250 bytes.
LINE_INDEXES = {
    "definition": "(position INTEGER PRIMARY KEY, what INTEGER)",
    "verdict": "(stream, sequence, position, PRIMARY KEY (stream, sequence)) WITHOUT ROWID",
    "part": "(prefix, position, PRIMARY KEY (prefix, position)) WITHOUT ROWID",
    "serial": "(serial, position, PRIMARY KEY (serial, position)) WITHOUT ROWID",
    "gate": "(stream, sequence, position, PRIMARY KEY (stream, sequence, position)) WITHOUT ROWID",
    "unacknowledged": "(stream, sequence, position, PRIMARY KEY (stream, sequence)) WITHOUT ROWID",
    "faulty": "(position INTEGER PRIMARY KEY, outcome)",
    "defect": "(shape, position, PRIMARY KEY (shape, position)) WITHOUT ROWID",
    "image": "(prefix, position, PRIMARY KEY (prefix, position)) WITHOUT ROWID",
    "event": "(position INTEGER PRIMARY KEY, kind TEXT)",
    "batch": "(position INTEGER PRIMARY KEY, id TEXT)",
    "tally": (
        "(batch, mode, outcome, parts, first, last, first_utc, last_utc,"
        " PRIMARY KEY (batch, mode, outcome)) WITHOUT ROWID"
    ),
}

_LINE = (
    _CHAIN
    + """
CREATE TABLE checkpoint (
  number INTEGER PRIMARY KEY, body BLOB NOT NULL, signature BLOB NOT NULL,
  marks BLOB NOT NULL);
CREATE TABLE edge (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER, edge BLOB);
"""
)

_DESK = (
    _CHAIN
    + """
CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER, edge BLOB, root BLOB);
CREATE TABLE event (position INTEGER PRIMARY KEY, kind TEXT);
CREATE INDEX event_kind ON event (kind);
"""
)

# What stands in `segment` lies in its file and not here: `attach_segments` puts both together.
SEGMENT = """
CREATE TABLE IF NOT EXISTS segment (
  first INTEGER PRIMARY KEY, last INTEGER NOT NULL, file TEXT NOT NULL, edge BLOB NOT NULL)
"""

_INSERT_RECORD = "INSERT INTO record VALUES (?, ?, ?)"
_INSERTS = {
    name: f"INSERT INTO {name} VALUES ({', '.join('?' * columns)})"
    for name, columns in {
        "definition": 2,
        "verdict": 3,
        "part": 2,
        "serial": 2,
        "gate": 3,
        "faulty": 2,
        "defect": 2,
        "image": 2,
        "event": 2,
        "batch": 2,
    }.items()
}
_OWE = "INSERT OR REPLACE INTO unacknowledged VALUES (?, ?, ?)"
_SETTLE = "DELETE FROM unacknowledged WHERE stream = ? AND sequence = ?"
_TALLY = """
INSERT INTO tally VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
  parts = parts + excluded.parts, last = excluded.last, last_utc = excluded.last_utc
"""

Tally = list[int]
"""``[parts, first position, last position, first UTC, last UTC]``."""
Tallies = dict[tuple[str, int, int], Tally]
"""By batch, mode's number and outcome's number."""


class Rows:
    """Records that wait for their commit, and their index rows, in the order they were added."""

    __slots__ = ("index", "owed", "records", "tallies")

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes]] = []
        self.index: dict[str, list[tuple[Any, ...]]] = {}
        self.owed: dict[tuple[int, int], int | None] = {}
        """Newest gate decision by (stream, sequence): its position if nobody acknowledged it."""
        self.tallies: Tallies = {}

    def add(self, table: str, *row: Any) -> None:
        """One index row."""
        rows = self.index.get(table)
        if rows is None:
            self.index[table] = [row]
        else:
            rows.append(row)

    def extend(self, later: Rows) -> None:
        """Takes over what was added later elsewhere."""
        self.records.extend(later.records)
        for table, rows in later.index.items():
            self.index.setdefault(table, []).extend(rows)
        self.owed.update(later.owed)
        for key, tally in later.tallies.items():
            mine = self.tallies.get(key)
            if mine is None:
                self.tallies[key] = tally
            else:
                mine[0] += tally[0]
                mine[2], mine[4] = tally[2], tally[4]


def add_verdict_rows(
    rows: Rows, position: int, stream: int, context: tuple[Any, ...], fields: VerdictKeys
) -> None:
    """The index rows of a verdict. ``context`` is the definition's value."""
    sequence, outcome, part_id, utc_ns, serial, defects = fields
    rows.add("verdict", stream, sequence, position)
    rows.add("part", part_prefix(part_id), position)
    if serial is not None:
        rows.add("serial", plain(serial), position)
    if outcome:
        rows.add("faulty", position, outcome)
        for shape in defects:
            rows.add("defect", shape, position)
    count(rows.tallies, context, outcome, position, utc_ns)


def count(
    tallies: Tallies, context: tuple[Any, ...], outcome: int, position: int, utc_ns: int
) -> None:
    """One more part of the context's batch and mode."""
    key = (plain(context[3]), context[2], outcome)
    tally = tallies.get(key)
    if tally is None:
        tallies[key] = [1, position, position, utc_ns, utc_ns]
    else:
        tally[0] += 1
        tally[2], tally[4] = position, utc_ns


VerdictKeys = tuple[int, int, bytes, int, str | None, Iterable[int]]
"""Sequence, outcome's number, part id, UTC, serial, the shapes of what was not ok (each once)."""


def add_gate_rows(rows: Rows, position: int, stream: int, sequence: int, heard: bool) -> None:
    """The index rows of a gate decision; ``heard`` when the gate acknowledged it."""
    rows.add("gate", stream, sequence, position)
    rows.owed[stream, sequence] = None if heard else position


def index_rows(rows: Rows, position: int, fields: list[Any], context: Any, ok: Any) -> None:
    """The index rows of a stored record (`layout.fields_of`), for rebuilding.

    ``context(position)`` gives a context's value, ``ok(position)`` whether a shape is of findings
    that are all right.
    """
    kind = fields[0]
    if kind == Kind.VERDICT:
        value = context(fields[2])
        defects = dict.fromkeys(f[0] for f in fields[10] if not ok(f[0]))
        keys = (fields[3], fields[4], fields[5], fields[9], fields[12], defects)
        add_verdict_rows(rows, position, value[0], value, keys)
    elif kind == Kind.GATE:
        add_gate_rows(rows, position, fields[2], fields[3], fields[7] is not None)
    elif kind == Kind.IMAGE:
        rows.add("image", part_prefix(fields[2]), position)
    elif kind == Kind.DEFINITION:
        rows.add("definition", position, fields[2])
    elif kind == Kind.EVENT:
        rows.add("event", position, fields[2])
    elif kind == Kind.BATCH:
        rows.add("batch", position, fields[2])


def write_rows(
    connection: sqlite3.Connection, rows: Rows, marks: Iterable[int], *, records: bool = True
) -> None:
    """Inserts all of it; the caller holds the transaction."""
    if records:
        stored = [(p, mark, body) for (p, body), mark in zip(rows.records, marks, strict=True)]
        connection.executemany(_INSERT_RECORD, stored)
    for table, values in rows.index.items():
        connection.executemany(_INSERTS[table], values)
    for (stream, sequence), position in rows.owed.items():
        if position is not None:
            connection.execute(_OWE, (stream, sequence, position))
        else:
            connection.execute(_SETTLE, (stream, sequence))
    for (batch, mode, outcome), tally in rows.tallies.items():
        connection.execute(_TALLY, (batch, mode, outcome, *tally))


def part_prefix(part_id: bytes) -> int:
    """The first 8 bytes of a part id as SQLite's signed integer: 48 bits of time, 12 of chance.

    UUIDv7 grows with time, so the index grows at its end; the few that share a prefix are told
    apart by their records.
    """
    return int.from_bytes(part_id[:8], "big", signed=True)


def mark_of(leaf: bytes) -> int:
    """The four bytes of a leaf hash that stand beside each record."""
    return int.from_bytes(leaf[:4], "big", signed=True)


def is_full(path: Path) -> bool:
    """Whether the disk, or the process's file size limit, has no room for the next page."""
    try:
        disk = os.statvfs(path.parent)
        if disk.f_bavail * disk.f_frsize < 1 << 20:
            return True
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit == resource.RLIM_INFINITY:
            return False
        sizes = [f.stat().st_size for f in path.parent.glob(f"{path.name}*")]
        return max(sizes, default=0) + (64 << 10) > limit
    except OSError:
        return False


def create(path: Path, script: str) -> None:
    """Makes a ledger file, or leaves the one that is there.

    A new one appears whole: whoever reads beside us finds all of its tables or no file.

    Raises:
        StoreDamaged: there is a file, and it is no ledger or one of a newer version.
        StoreError: it cannot be opened.
    """
    if path.exists():
        _fill(path, script)
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.new")
    try:
        _fill(draft, script)
        with suppress(FileExistsError):  # another process was faster, and its file is as good
            os.link(draft, path)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    _fill(path, script)


def _fill(path: Path, script: str) -> None:
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA:
                raise StoreDamaged(
                    f"{path}: written by a newer version of this software (schema {version})"
                )
            if version == 0:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("BEGIN IMMEDIATE")
                if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
                    for statement in script.split(";"):
                        if statement.strip():
                            connection.execute(statement)
                    connection.execute(f"PRAGMA user_version={SCHEMA}")
                connection.execute("COMMIT")
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        raise StoreError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(f"{path}: no ledger: {error}") from error


def create_line(path: Path) -> None:
    """`create` for line.db."""
    create(path, _LINE + create_indexes())


def create_desk(path: Path) -> None:
    """`create` for desk.db."""
    create(path, _DESK)


def create_indexes() -> str:
    """The statements that make the line's index tables."""
    return ";".join(f"CREATE TABLE {name} {columns}" for name, columns in LINE_INDEXES.items())


def open_writer(path: Path, *, busy_s: float) -> sqlite3.Connection:
    """A connection whose COMMIT returns when the disk has it (synchronous=FULL)."""
    connection = sqlite3.connect(
        path.resolve().as_uri(), uri=True, isolation_level=None, timeout=busy_s,
        check_same_thread=False,
    )  # fmt: skip
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection


def shorten_wal(path: Path) -> tuple[int, int]:
    """Moves the WAL's pages into the file as far as nobody is in the way; gives how many there
    were and how many were moved.

    Raises:
        sqlite3.Error: the disk failed.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=0.1)
    try:
        _, pages, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    finally:
        connection.close()
    return max(pages, 0), max(moved, 0)


def open_reader(path: Path, *, busy_s: float = 1.0) -> sqlite3.Connection:
    """A connection that cannot write. A file without its WAL on a read-only disk works too.

    Raises:
        StoreError: there is no such file, or it cannot be opened.
    """
    if not path.is_file():
        raise StoreError(f"{path}: there is no ledger here")
    connection: sqlite3.Connection | None = None
    for form in ("mode=ro", "mode=ro&immutable=1"):
        if "immutable" in form and path.with_name(path.name + "-wal").exists():
            break  # immutable would overlook what the WAL holds
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?{form}",
            uri=True,
            isolation_level=None,
            timeout=busy_s,
            check_same_thread=False,
        )
        try:
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
            if path.name == LINE_FILE:
                attach_segments(connection, path)
            connection.execute("PRAGMA query_only=1")
            return connection
        except StoreDamaged:
            connection.close()
            raise
        except sqlite3.OperationalError as error:
            connection.close()
            last = error
        except (sqlite3.DatabaseError, UnicodeError) as error:  # it quotes what it cannot read
            connection.close()
            raise StoreDamaged(f"{path}: no ledger: {error}") from error
    raise StoreError(f"{path}: cannot be read: {last}")


def segment_files(connection: sqlite3.Connection) -> list[tuple[int, int, str]]:
    """First and last position and file of each archived segment, oldest first."""
    known = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'segment'"
    if connection.execute(known).fetchone() is None:
        return []
    return connection.execute("SELECT first, last, file FROM segment ORDER BY first").fetchall()


def attach_segments(connection: sqlite3.Connection, path: Path) -> None:
    """Lets ``record`` mean the whole chain on this connection to line.db, archived or not.

    A reader asks ``record`` as ever; only where the *newest* position is meant it asks
    ``main.record``, because SQLite finds no maximum in a view without reading all of it. The newest
    records are never archived.

    Raises:
        StoreDamaged: a segment is not where it was put.
    """
    arms = ["SELECT position, mark, body FROM main.record"]
    for number, (first, last, name) in enumerate(segment_files(connection)):
        file = path.parent / SEGMENTS / Path(str(name)).name
        if not file.is_file():
            raise StoreDamaged(
                f"{file}: records {first} to {last} were archived here; put the file back"
            )
        # A segment never changes, so no lock is needed and a read-only disk will do.
        uri = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
        connection.execute(f"ATTACH ? AS segment_{number}", (uri,))
        arms.append(f"SELECT position, mark, body FROM segment_{number}.record")
    if len(arms) > 1:
        connection.execute(f"CREATE TEMP VIEW record AS {' UNION ALL '.join(arms)}")
