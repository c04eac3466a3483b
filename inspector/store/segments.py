"""Old records leave line.db for files of their own, whole, and go on answering.

Enters: ``<data>`` of a station whose line does not run. Leaves: ``<data>/segments/…``, each a
stretch of the chain from one signed checkpoint to another, that never changes again. Every reader
finds its records there as it found them in line.db (`schema.attach_segments`): the indexes stay
where they are. Nothing is deleted (I8): a record is in line.db until the very commit that says in
which file it is, and what goes into a file has the Merkle root that was signed. The command line
imports it.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inspector.store import schema
from inspector.store.checkpoint import Checkpoint, read_body
from inspector.store.desk import DeskLedger
from inspector.store.errors import RecordError, StoreDamaged, StoreError
from inspector.store.files import digest_of_file, refuse_stranger, sync_folder
from inspector.store.merkle import Tree, leaf_hash
from inspector.store.resume import lock_line
from inspector.store.rows import mark_of
from inspector.store.stretch import read_records

ARCHIVED = "ledger.archived"
"""Kind of the desk's record of an archiving."""
KEEP = 1_000_000
"""Records that stay in line.db: half a million parts with their gate decisions, six hours at 25
parts/s."""
_SLICE = 5000
_WHOLE = re.compile(r"\d{12,}-(\d{12,})\.db")
_TABLE = "CREATE TABLE record (position INTEGER PRIMARY KEY, mark INTEGER NOT NULL, body BLOB)"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the chain in a file of its own."""

    file: str
    """In ``<data>``."""
    first: int
    last: int
    """Positions, both included."""
    sha256: str
    size: int
    checkpoint: int
    """Number of the checkpoint that ends it, and signs its root."""

    def as_dict(self) -> dict[str, Any]:
        """For ``--json`` and for the desk's record."""
        return asdict(self)


def archive(data_dir: Path | str, principal: str, keep: int = KEEP) -> Segment:
    """Moves all but the newest records of line.db into a segment, up to a signed checkpoint.

    The ninth segment and what follows it become one: SQLite attaches no more files.

    Args:
        keep: so many records stay in line.db, or a few more.

    Raises:
        RecordError: no principal.
        StoreInUse: the line is running.
        StoreDamaged: the records are not those that were signed; nothing was moved.
        StoreError: there is no ledger, nothing to archive, or a disk refuses.
    """
    data_dir = Path(data_dir)
    path = data_dir / schema.LINE_FILE
    if not principal.strip():
        raise RecordError("every write names its principal (I9): it is empty here")
    if not path.is_file():
        raise StoreError(f"{path}: there is no ledger here")
    refuse_stranger(data_dir)
    lock = lock_line(data_dir)
    try:
        segment = _archive(data_dir, path, keep)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}; nothing was moved") from error
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {error.strerror}; nothing was moved") from None
    finally:
        os.close(lock)
    with DeskLedger.open(data_dir) as desk:
        desk.add(ARCHIVED, segment.as_dict(), principal)
    return segment


def _archive(data_dir: Path, path: Path, keep: int) -> Segment:
    folder = data_dir / schema.SEGMENTS
    with closing(schema.open_reader(path)) as line:
        known = schema.segment_files(line)
        merged = known[-1] if len(known) >= schema.SEGMENTS_MAX else None
        tree = _tree_before(line, path, merged)
        checkpoint = _end(line, path, keep)
        if checkpoint.line_size <= (known[-1][1] + 1 if known else 0):
            raise StoreError(
                f"{path}: nothing to archive: all but the newest {keep:,} signed records are"
                " archived already, or there are no more than that"
            )
        first, last = tree.size, checkpoint.line_size - 1
        name = f"{first:012d}-{last:012d}.db"
        folder.mkdir(mode=0o700, exist_ok=True)
        for left in folder.glob(".*.part"):  # of one that was killed: this one needs the room
            left.unlink()
        with _draft(folder / name) as draft:
            _fill(draft, line, path, tree, checkpoint)
    digest, size = digest_of_file(folder / name)
    edge = b"".join(tree.edge)
    with closing(schema.open_writer(path, busy_s=5.0)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute(schema.SEGMENT)
        if merged is not None:
            writer.execute("DELETE FROM segment WHERE first = ?", merged[:1])
        row = (first, last, name, edge)
        writer.execute("INSERT INTO segment VALUES (?, ?, ?, ?)", row)
        writer.execute("DELETE FROM record WHERE position <= ?", (last,))
        writer.execute("COMMIT")
        # The pages that are free now take the records to come; the file does not shrink.
        with suppress(sqlite3.Error):  # it is moved by now, and the next start does the same
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        named = {file for _, _, file in schema.segment_files(writer)}
    _tidy(folder, named, last)
    return Segment(
        f"{schema.SEGMENTS}/{name}", first, last, digest, size, checkpoint.number
    )  # fmt: skip


def _tree_before(line: sqlite3.Connection, path: Path, merged: tuple[int, int, str] | None) -> Tree:
    """The tree of all that was archived before, but for the segment that is made anew."""
    row = None
    before = 1 << 62 if merged is None else merged[0]
    if schema.segment_files(line):
        row = line.execute(
            "SELECT last, edge FROM segment WHERE first < ? ORDER BY first DESC LIMIT 1", (before,)
        ).fetchone()
    if row is None:
        return Tree()
    try:
        return Tree(row[0] + 1, [row[1][i : i + 32] for i in range(0, len(row[1]), 32)])
    except ValueError as error:
        raise StoreDamaged(f"{path}: its segments: {error}; run: inspector verify") from error


def _end(line: sqlite3.Connection, path: Path, keep: int) -> Checkpoint:
    """The newest checkpoint with ``keep`` records behind it."""
    newest = line.execute("SELECT max(position) FROM main.record").fetchone()[0]
    wanted = (-1 if newest is None else newest) + 1 - max(keep, 1)
    for (body,) in line.execute("SELECT body FROM checkpoint ORDER BY number DESC"):
        checkpoint = read_body(body)
        if checkpoint.line_size <= wanted:
            return checkpoint
    raise StoreError(f"{path}: nothing to archive: it has no {keep:,} records behind a checkpoint")


def _tidy(folder: Path, named: set[str], last: int) -> None:
    """Lets go of segments that line.db does not name: what was made anew, and what an archiving
    that was killed could not name any more. Up to ``last`` all is in those that it does name."""
    for file in folder.iterdir():
        whole = _WHOLE.fullmatch(file.name)
        if whole and file.name not in named and int(whole[1]) <= last:
            with suppress(OSError):  # the next archiving tries again
                file.unlink()


@contextmanager
def _draft(file: Path) -> Iterator[sqlite3.Connection]:
    """A segment that appears under its name once it is whole and on the disk."""
    draft = file.with_name(f".{file.name}.part")
    draft.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=OFF")
            connection.execute("PRAGMA synchronous=OFF")  # it is synced below, once
            connection.execute(_TABLE)
            yield connection
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.chmod(0o400)
        draft.replace(file)
        sync_folder(file.parent)
        sync_folder(file.parent.parent)
    finally:
        draft.unlink(missing_ok=True)


def _fill(
    draft: sqlite3.Connection, line: sqlite3.Connection, path: Path, tree: Tree,
    checkpoint: Checkpoint,
) -> None:  # fmt: skip
    """Copies the records from the end of ``tree`` to the checkpoint's, and checks its root."""
    rows: list[tuple[int, int, bytes]] = []
    line.text_factory = bytearray  # a text where a record's bytes should be is no record
    draft.execute("BEGIN")
    for position, mark, body in read_records(line, tree.size, checkpoint.line_size):
        leaf = leaf_hash(body)
        if position != tree.size or mark != mark_of(leaf):
            raise StoreDamaged(
                f"{path}: record {tree.size} is not what was stored; run: inspector verify;"
                " nothing was moved"
            )
        tree.append(leaf)
        rows.append((position, mark, body))
        if len(rows) == _SLICE:
            draft.executemany("INSERT INTO record VALUES (?, ?, ?)", rows)
            rows.clear()
    draft.executemany("INSERT INTO record VALUES (?, ?, ?)", rows)
    draft.execute("COMMIT")
    if (tree.size, tree.root()) != (checkpoint.line_size, checkpoint.line_root):
        raise StoreDamaged(
            f"{path}: the records are not those that checkpoint {checkpoint.number} signed; run:"
            " inspector verify; nothing was moved"
        )
