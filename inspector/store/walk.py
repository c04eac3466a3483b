"""The walk through line.db: every record in its order, under its checkpoint.

Enters: ``<data>``, a `Report`, the key. Leaves: problems in the report, and what the desk's walk
and the checkpoints' copies are compared with. Only `verify` and `walk_desk` import this.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from inspector.part import Verdict
from inspector.store import layout, schema
from inspector.store.checkpoint import (
    FIRST,
    MARK_BYTES,
    Checkpoint,
    Signed,
    check,
    digest_of,
    read_body,
)
from inspector.store.errors import RecordError
from inspector.store.merkle import Tree, leaf_hash
from inspector.store.records import Definition, ImageRecord
from inspector.store.report import Report, Told
from inspector.store.rows import mark_of
from inspector.store.stretch import onwards, read_records
from inspector.store.tombstone import Graves
from inspector.store.walk_edges import Edges, name_actors
from inspector.store.walk_indexes import LineIndexes

RECORDS = "records"
"""What `Told` hears that these are …"""
_SLICE = 2000
"""… once in so many."""


class LineWalk:
    """One walk: where it is, and what it has learned on the way."""

    def __init__(
        self,
        data_dir: Path,
        report: Report,
        key: Ed25519PublicKey | None,
        images: bool,
        told: Told,
    ) -> None:
        self.where = schema.LINE_FILE
        self._data_dir = data_dir
        self._report = report
        self._key = key
        self._images = images
        self._told = told
        self._graves = Graves(data_dir, key)
        self._tree = Tree()
        self.end = 0  # the position that must come now; after the walk, the number of records
        self._definitions: dict[int, Definition] = {}
        self.digests: dict[int, bytes] = {}  # checkpoint number -> digest of its body
        self.roots: dict[int, bytes] = {}  # line size -> signed root
        self.desk_roots: dict[int, tuple[int, bytes]] = {}  # desk size -> checkpoint, root
        self._indexes: LineIndexes | None = None
        self._edges: Edges | None = None
        self._records = 0
        self._whole = True  # the tree so far is of every record, so its root means something
        self._understood = True  # every record so far is what one is, so the indexes must fit

    def run(self) -> None:
        """Records in their order, each stretch under its checkpoint; then the unsigned tail."""
        self._graves.read()
        connection = schema.open_reader(self._data_dir / schema.LINE_FILE)
        connection.text_factory = bytearray  # text where a record's bytes should be shows
        try:
            connection.execute("BEGIN")
            newest = connection.execute("SELECT max(position) FROM main.record").fetchone()[0]
            last, signed = _last_checkpoint(connection)
            first = connection.execute("SELECT position FROM record ORDER BY position LIMIT 1")
            lowest = next(iter(first.fetchone() or ()), None)
            end = 0 if newest is None else int(newest) + 1
            self._indexes = LineIndexes(
                connection, self._report, end, self._lookup
            )  # now, for the line may go on counting
            self._edges = Edges(connection, self._report, signed)
            connection.execute("COMMIT")
            name_actors(connection, schema.LINE_FILE, self._report)
            self._records = end
            if lowest is not None and lowest < 0:
                self._report.add(f"line.db record {lowest}", "was added: the first one is 0")
            previous: Checkpoint | None = None
            digest = FIRST
            before = -1
            for number, row in _checkpoints(connection, last):
                if number != before + 1:
                    self._report.add(f"checkpoint {before + 1}", "was removed")
                    digest = b""
                before = number
                self.where = f"checkpoint {number}"
                found = self._checkpoint(number, row, previous, digest)
                digest = digest_of(row[0]) if isinstance(row[0], bytes) else b""
                if found is None:
                    continue
                checkpoint, marks = found
                self._stretch(connection, min(checkpoint.line_size, end), marks)
                self._compare(checkpoint, end)
                previous = checkpoint
            self._stretch(connection, end, None)
            self._told(RECORDS, end, end)
            self.where = "line.db indexes"
            if self._whole and self._understood:
                self._indexes.run(self._told)
            else:
                self._report.unknown.append(
                    "the indexes of line.db were not compared: not every record is what it was"
                )
        finally:
            connection.close()
        self._report.records = end

    def _checkpoint(
        self,
        number: int,
        row: tuple[bytes, bytes, bytes],
        previous: Checkpoint | None,
        digest: bytes,
    ) -> tuple[Checkpoint, bytes | None] | None:
        body, signature, marks = row
        if not all(isinstance(part, bytes) for part in row):
            self._report.add(self.where, "was changed: it is not what a checkpoint is made of")
            return None
        self.digests[number] = digest_of(body)
        if self._key is None:
            return None
        try:
            checkpoint = check(Signed(body, signature), self._key)
        except RecordError as error:
            self._report.add(self.where, f"was changed: {error}")
            return None
        if checkpoint.number != number:
            self._report.add(self.where, f"was moved: it is number {checkpoint.number}")
            return None
        if digest and checkpoint.previous != digest:
            self._report.add(self.where, "does not follow the checkpoint before it")
        self._report.checkpoints += 1
        self._report.signed_records = checkpoint.line_size
        self.roots[checkpoint.line_size] = checkpoint.line_root
        self.desk_roots.setdefault(checkpoint.desk_size, (number, checkpoint.desk_root))
        if sha256(marks).digest() != checkpoint.marks_digest:
            self._report.add(self.where, "was changed: its marks are not those that were signed")
            return checkpoint, None
        before = previous.line_size if previous else 0
        if len(marks) != MARK_BYTES * (checkpoint.line_size - before) or before != self.end:
            return checkpoint, None  # the checkpoint between is bad and named; the root still holds
        return checkpoint, marks

    def _stretch(self, connection: sqlite3.Connection, end: int, marks: bytes | None) -> None:
        start = self.end
        for position, mark, body in read_records(connection, start, end):
            if position > self.end:
                self._gone(self.end, position)
            self.where = f"line.db record {position}"
            self._record(position, mark, body, marks, start)
            self.end = position + 1
            if position % _SLICE == 0:
                self._told(RECORDS, position, self._records)
        if self.end < end:
            self._gone(self.end, end)
            self.end = end

    def _gone(self, first: int, end: int) -> None:
        which = f"record {first}" if end - first == 1 else f"records {first} to {end - 1}"
        self._report.add(f"line.db {which}", "removed")
        self._whole = False

    def _record(
        self, position: int, mark: int, body: bytes, marks: bytes | None, start: int
    ) -> None:
        if not isinstance(body, bytes):
            self._report.add(self.where, "was changed: it is no sequence of bytes")
            self._whole = False
            return
        leaf = leaf_hash(body)
        self._tree.append(leaf)
        if marks is not None:
            at = (position - start) * MARK_BYTES
            if leaf[:MARK_BYTES] != marks[at : at + MARK_BYTES]:
                self._report.add(self.where, _difference(leaf, marks, start))
                self._whole = False
                return
        if self._whole and self._edges is not None:
            self._edges.grown(self._tree)
        if mark != mark_of(leaf):
            self._misunderstood("was changed: it does not fit the mark beside it")
            return
        self._meaning(position, body)

    def _meaning(self, position: int, body: bytes) -> None:
        try:
            fields = layout.fields_of(body)
            record = layout.record_of(fields, self._lookup)
            if isinstance(record, Definition):
                self._definitions[position] = record
            elif isinstance(record, Verdict):
                self._report.verdicts += 1
            assert self._indexes is not None
            self._indexes.record(position, fields)
            if isinstance(record, ImageRecord) and self._images:
                self._image(position, record)
        except RecordError as error:
            self._misunderstood(str(error))
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError) as error:
            self._misunderstood(f"does not hold what such a record holds: {error}")

    def _misunderstood(self, what: str) -> None:
        self._report.add(self.where, what)
        self._understood = False

    def _lookup(self, position: int) -> Definition:
        try:
            return self._definitions[position]
        except (KeyError, TypeError):
            raise RecordError(f"refers to record {position!r:.20}, which defines nothing") from None

    def _image(self, position: int, image: ImageRecord) -> None:
        if self._graves.known(position, image.digest):
            self._report.images_deleted += 1
            return
        root = (self._data_dir / "images").resolve()
        try:
            path = (self._data_dir / image.path).resolve()
            if not path.is_relative_to(root):
                self._report.add(self.where, f"names an image outside the archive: {image.path!r}")
                return
            if path.exists() and not path.is_file():
                raise ValueError("it is no file")  # a pipe would be waited for
            with path.open("rb") as file:
                content = file.read(image.size + 1)
        except FileNotFoundError:
            if self._graves.has(position, image.digest):  # it went during this walk
                self._report.images_deleted += 1
            else:
                self._report.add(image.path, f"is gone; {self.where} recorded it")
        except (OSError, ValueError) as error:
            self._report.add(f"{image.path!r:.200}", f"cannot be read: {error}")
        else:
            if len(content) != image.size or sha256(content).hexdigest() != image.digest:
                self._report.add(image.path, f"was changed since {self.where} recorded it")
            else:
                self._report.images += 1

    def _compare(self, checkpoint: Checkpoint, end: int) -> None:
        if checkpoint.line_size > end:
            self._report.add(
                f"line.db record {end}",
                f"its tail was cut: checkpoint {checkpoint.number} signed {checkpoint.line_size}"
                f" records, {end} are here",
            )
            self._whole = False
        elif self._whole and self._tree.root() != checkpoint.line_root:
            self._report.add(
                f"checkpoint {checkpoint.number}",
                f"the records up to {checkpoint.line_size - 1} are not those that were signed",
            )


def _last_checkpoint(connection: sqlite3.Connection) -> tuple[int, int]:
    """Number and size of the newest checkpoint; -1 and 0 where none can be read, which is said
    when it is its turn."""
    row = connection.execute(
        "SELECT number, body FROM checkpoint ORDER BY number DESC LIMIT 1"
    ).fetchone()
    if row is None:
        return -1, 0
    try:
        return row[0], read_body(row[1]).line_size
    except (RecordError, TypeError):
        return row[0], 0


def _checkpoints(
    connection: sqlite3.Connection, last: int
) -> Iterator[tuple[int, tuple[bytes, bytes, bytes]]]:
    after = -1
    while row := connection.execute(
        "SELECT number, body, signature, marks FROM checkpoint WHERE number > ? AND number <= ?"
        " ORDER BY number LIMIT 1",
        (after, last),
    ).fetchone():
        yield row[0], row[1:]
        after = onwards(after, row[0])


def _difference(leaf: bytes, marks: bytes, start: int) -> str:
    at = marks.find(leaf[:MARK_BYTES])
    while at >= 0 and at % MARK_BYTES:
        at = marks.find(leaf[:MARK_BYTES], at + 1)
    if at >= 0:
        return f"was reordered: it is what was recorded as {start + at // MARK_BYTES}"
    return "was changed since it was signed"
