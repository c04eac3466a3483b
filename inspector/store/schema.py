"""The tables of the two ledger files, and how each is opened.

Enters: a path. Leaves: SQLite connections with the pragmas that the promises rest on. Only
`inspector.store` imports this; what is written into the tables is `rows`.
"""

from __future__ import annotations

import os
import resource
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

from inspector.store.errors import NoLedger, StoreDamaged, StoreError, StoreFull, StoreStalled

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

DESK_INDEXES = """
CREATE TABLE event (position INTEGER PRIMARY KEY, kind TEXT);
CREATE INDEX event_kind ON event (kind);
"""

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
"""
    + DESK_INDEXES
)

# What stands in `segment` lies in its file and not here: `attach_segments` puts both together.
SEGMENT = """
CREATE TABLE IF NOT EXISTS segment (
  first INTEGER PRIMARY KEY, last INTEGER NOT NULL, file TEXT NOT NULL, edge BLOB NOT NULL)
"""


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


def refusal(path: Path, error: Exception) -> StoreError:
    """What a failed write to a ledger file comes to, in words."""
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreStalled(f"{path}: another process holds its write lock ({name})")
    if name == "SQLITE_FULL" or is_full(path):
        return StoreFull(f"{path}: no space left on the disk ({name})")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CONSTRAINT")):
        return StoreDamaged(f"{path}: {error} ({name}); run: inspector verify")
    return StoreError(f"{path}: {error} ({name})")


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
        NoLedger: there is no such file.
        StoreError: it cannot be opened.
    """
    if not path.is_file():
        raise NoLedger(f"{path}: there is no ledger here")
    if not os.access(path, os.R_OK):
        raise StoreError(f"{path}: this account may not read it")
    for form in ("mode=ro", "mode=ro&immutable=1"):
        if "immutable" in form and path.with_name(path.name + "-wal").exists():
            break  # immutable would overlook what the WAL holds
        try:
            connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?{form}",
                uri=True,
                isolation_level=None,
                timeout=busy_s,
                check_same_thread=False,
            )
        except sqlite3.OperationalError as error:
            raise StoreError(f"{path}: cannot be read: {error}") from error
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
