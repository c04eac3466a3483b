"""Walks the whole store and names the first thing that is not what it was.

Enters: ``<data>``; better also a public key and a checkpoint that were kept elsewhere. Leaves: a
`Report`. The command line and tests import this. It trusts nothing it reads: whatever the files
hold, the answer is text, and it says as well what it cannot know.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from inspector.part import Verdict
from inspector.store import layout, schema
from inspector.store.checkpoint import (
    COPY_FILE,
    FIRST,
    MARK_BYTES,
    Checkpoint,
    Signed,
    check,
    digest_of,
    read_copies,
)
from inspector.store.errors import RecordError, StoreDamaged, StoreError
from inspector.store.keys import PUBLIC_NAME, public_key
from inspector.store.merkle import Tree, leaf_hash
from inspector.store.records import Definition, DeskRecord, ImageRecord, Kind, LineHead

_SLICE = 2000
MAX_PROBLEMS = 100
"""So many are listed; a store that is worse than that is not better known by more."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    where: str
    """Such as ``line.db record 17``, ``checkpoint 3``, ``images/2026/…``."""
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(slots=True)
class Report:
    """What the walk found."""

    records: int = 0
    """In line.db."""
    verdicts: int = 0
    desk_records: int = 0
    checkpoints: int = 0
    """Whose signature holds."""
    signed_records: int = 0
    """Records of line.db under the last good checkpoint."""
    images: int = 0
    """Image files whose digest holds."""
    problems: list[Problem] = field(default_factory=list)
    """In the order of the walk: the first is the first bad record."""
    unknown: list[str] = field(default_factory=list)
    """What no walk of this disk alone can know."""

    @property
    def ok(self) -> bool:
        """Whether everything is what was recorded, as far as can be known."""
        return not self.problems

    def add(self, where: str, what: str) -> None:
        """One more problem, up to `MAX_PROBLEMS`."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(where, what))

    def __str__(self) -> str:
        lines = [
            f"{self.records} records ({self.verdicts} verdicts, {self.signed_records} records under"
            f" {self.checkpoints} signed checkpoints), {self.desk_records} desk records,"
            f" {self.images} images",
            *[f"BAD   {problem}" for problem in self.problems],
            *[f"NOTE  {note}" for note in self.unknown],
            "ok" if self.ok else f"first bad: {self.problems[0]}",
        ]
        return "\n".join(lines)


def verify(
    data_dir: Path | str,
    *,
    key: Ed25519PublicKey | None = None,
    held: Signed | None = None,
    images: bool = True,
) -> Report:
    """Checks every record, checkpoint and image of a store, also of one that is being written.

    Args:
        key: the station's public key as kept elsewhere; else the one in ``<data>/keys``.
        held: a checkpoint as kept elsewhere: it proves that nothing before it was cut off.
        images: whether to read the image files too.
    """
    data_dir = Path(data_dir)
    report = Report()
    if key is None:
        report.unknown.append(
            "the public key stands on the same disk as the ledger: only a key kept elsewhere shows"
            " that the whole store was not made anew"
        )
        try:
            key = public_key(data_dir / "keys" / PUBLIC_NAME)
        except StoreDamaged as error:
            report.add(f"keys/{PUBLIC_NAME}", str(error))
    walk = _Walk(data_dir, report, key, held, images)
    for step in (walk.line, walk.copies, walk.desk):
        try:
            step()
        except (sqlite3.Error, StoreError, OSError, UnicodeError, OverflowError) as error:
            report.add(walk.where, f"cannot be read any further: {error}")
    walk.conclude()
    return report


class _Walk:
    """One walk: where it is, and what it has learned on the way."""

    def __init__(
        self,
        data_dir: Path,
        report: Report,
        key: Ed25519PublicKey | None,
        held: Signed | None,
        images: bool,
    ) -> None:
        self.where = schema.LINE_FILE
        self._data_dir = data_dir
        self._report = report
        self._key = key
        self._held = held
        self._images = images
        self._tree = Tree()
        self._next = 0  # the position that must come now
        self._definitions: dict[int, Definition] = {}
        self._digests: dict[int, bytes] = {}  # checkpoint number -> digest of its body
        self._roots: dict[int, bytes] = {}  # line size -> signed root
        self._desk_roots: dict[int, tuple[int, bytes]] = {}  # desk size -> checkpoint, root
        self._whole = True  # the tree so far is of every record, so its root means something

    # line.db

    def line(self) -> None:
        """Records in their order, each stretch under its checkpoint; then the unsigned tail."""
        connection = schema.open_reader(self._data_dir / schema.LINE_FILE)
        try:
            connection.execute("BEGIN")
            newest = connection.execute("SELECT max(position) FROM record").fetchone()[0]
            last = connection.execute("SELECT max(number) FROM checkpoint").fetchone()[0]
            connection.execute("COMMIT")
            end = 0 if newest is None else int(newest) + 1
            previous: Checkpoint | None = None
            digest = FIRST
            for number in range(0 if last is None else int(last) + 1):
                self.where = f"checkpoint {number}"
                row = connection.execute(
                    "SELECT body, signature, marks FROM checkpoint WHERE number = ?", (number,)
                ).fetchone()
                if row is None:
                    self._report.add(self.where, "was removed")
                    digest = b""
                    continue
                found = self._checkpoint(number, row, previous, digest)
                digest = digest_of(row[0]) if isinstance(row[0], bytes) else b""
                if found is None:
                    continue
                checkpoint, marks = found
                self._stretch(connection, min(checkpoint.line_size, end), marks)
                self._compare(checkpoint, end)
                previous = checkpoint
            self._stretch(connection, end, None)
            self._indexes(connection)
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
        self._digests[number] = digest_of(body)
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
        self._roots[checkpoint.line_size] = checkpoint.line_root
        self._desk_roots.setdefault(checkpoint.desk_size, (number, checkpoint.desk_root))
        if sha256(marks).digest() != checkpoint.marks_digest:
            self._report.add(self.where, "was changed: its marks are not those that were signed")
            return checkpoint, None
        before = previous.line_size if previous else 0
        if len(marks) != MARK_BYTES * (checkpoint.line_size - before) or before != self._next:
            return checkpoint, None  # the checkpoint between is bad and named; the root still holds
        return checkpoint, marks

    def _stretch(self, connection: sqlite3.Connection, end: int, marks: bytes | None) -> None:
        start = self._next
        for position, mark, body in _records(connection, start, end):
            if position > self._next:
                self._gone(self._next, position)
            self.where = f"line.db record {position}"
            self._record(connection, position, mark, body, marks, start)
            self._next = position + 1
        if self._next < end:
            self._gone(self._next, end)
            self._next = end

    def _gone(self, first: int, end: int) -> None:
        which = f"record {first}" if end - first == 1 else f"records {first} to {end - 1}"
        self._report.add(f"line.db {which}", "removed")
        self._whole = False

    def _record(
        self,
        connection: sqlite3.Connection,
        position: int,
        mark: int,
        body: bytes,
        marks: bytes | None,
        start: int,
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
        if mark != schema.mark_of(leaf):
            self._report.add(self.where, "was changed: it does not fit the mark beside it")
            return
        self._meaning(connection, position, body)

    def _meaning(self, connection: sqlite3.Connection, position: int, body: bytes) -> None:
        try:
            record = layout.decode_record(body, self._lookup)
        except RecordError as error:
            self._report.add(self.where, str(error))
            return
        if isinstance(record, Definition):
            self._definitions[position] = record
        elif isinstance(record, Verdict):
            self._report.verdicts += 1
            stream = self._lookup(layout.fields_of(body)[2]).value[0]
            row = connection.execute(
                "SELECT position FROM verdict WHERE stream = ? AND sequence = ?",
                (stream, record.sequence),
            ).fetchone()
            if row is None:
                self._report.add(self.where, "is not in the index, which can be rebuilt")
            elif row[0] != position:
                self._report.add(
                    self.where,
                    f"is a second verdict of part {record.sequence} of stream {record.stream}"
                    f" (record {row[0]} is the other)",
                )
        elif isinstance(record, ImageRecord) and self._images:
            self._image(record)

    def _lookup(self, position: int) -> Definition:
        try:
            return self._definitions[position]
        except (KeyError, TypeError):
            raise RecordError(f"refers to record {position!r:.20}, which defines nothing") from None

    def _image(self, image: ImageRecord) -> None:
        root = (self._data_dir / "images").resolve()
        try:
            path = (self._data_dir / image.path).resolve()
            if not path.is_relative_to(root):
                self._report.add(self.where, f"names an image outside the archive: {image.path!r}")
                return
            with path.open("rb") as file:
                content = file.read(image.size + 1)
        except FileNotFoundError:
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

    def _indexes(self, connection: sqlite3.Connection) -> None:
        self.where = "line.db indexes"
        indexed = connection.execute(
            "SELECT count(*) FROM verdict WHERE position < ?", (self._next,)
        ).fetchone()[0]
        if indexed > self._report.verdicts and not self._report.problems:
            self._report.add(
                self.where,
                f"{indexed} verdicts are indexed, {self._report.verdicts} recorded;"
                " the index can be rebuilt",
            )

    # The copies of the checkpoints

    def copies(self) -> None:
        """Each copy is the checkpoint in line.db, and none is missing there or here."""
        self.where = COPY_FILE
        copied: set[int] = set()
        held: Iterator[tuple[str, Signed | None]] = (
            (f"{COPY_FILE} line {number}", signed)
            for number, signed in enumerate(read_copies(self._data_dir), 1)
        )
        for where, signed in held:
            number = self._copy(where, signed)
            if number is not None:
                copied.add(number)
        if self._held is not None:
            self._copy("the checkpoint held elsewhere", self._held)
        missing = sorted(self._digests.keys() - copied)
        if missing and missing != [max(self._digests)]:
            self._report.add(
                COPY_FILE, f"the copy of checkpoint {missing[0]} was removed or never made"
            )

    def _copy(self, where: str, signed: Signed | None) -> int | None:
        if signed is None:
            self._report.add(where, "was changed: it is no checkpoint")
            return None
        if self._key is None:
            return None
        try:
            checkpoint = check(signed, self._key)
        except RecordError as error:
            self._report.add(where, f"was changed: {error}")
            return None
        number = checkpoint.number
        found = self._digests.get(number)
        if found is None:
            self._report.add(
                f"line.db record {self._next}",
                f"its tail was cut: {where} signed {checkpoint.line_size} records as checkpoint"
                f" {number}, which line.db has not",
            )
        elif found != digest_of(signed.body):
            self._report.add(where, f"is another checkpoint {number} than the one in line.db")
        return number

    # desk.db

    def desk(self) -> None:
        """The desk's records, their head, what the line signed, what they saw of the line."""
        self.where = schema.DESK_FILE
        path = self._data_dir / schema.DESK_FILE
        signed = max(self._desk_roots, default=0)
        if not path.exists() and not signed:
            return
        connection = schema.open_reader(path)
        line = schema.open_reader(self._data_dir / schema.LINE_FILE)
        try:
            connection.execute("BEGIN")
            head = connection.execute("SELECT size, root FROM head").fetchone()
            newest = connection.execute("SELECT max(position) FROM record").fetchone()[0]
            end = 0 if newest is None else int(newest) + 1
            tree = self._desk_records(connection, line, end)
            connection.execute("COMMIT")
        finally:
            connection.close()
            line.close()
        if tree is not None and (head[:2] if head else (0, tree.root())) != (end, tree.root()):
            self._report.add("desk.db head", "is not that of the records")
        if signed > end:
            number = self._desk_roots[signed][0]
            self._report.add(
                f"desk.db record {end}",
                f"its tail was cut: checkpoint {number} signed {signed} records, {end} are here",
            )

    def _desk_records(
        self, connection: sqlite3.Connection, line: sqlite3.Connection, end: int
    ) -> Tree | None:
        tree = Tree()
        for position, mark, body in _records(connection, 0, end):
            if position != tree.size:
                self._report.add(f"desk.db record {tree.size}", "removed")
                return None
            self.where = f"desk.db record {position}"
            if not isinstance(body, bytes) or mark != schema.mark_of(leaf_hash(body)):
                self._report.add(self.where, "was changed: it does not fit the mark beside it")
                return None
            tree.append(leaf_hash(body))
            if self._desk_record(line, body):
                self._report.desk_records += 1
            number, root = self._desk_roots.get(tree.size, (-1, b""))
            if root and root != tree.root():
                self._report.add(
                    self.where,
                    f"or one before it was changed: checkpoint {number} signed other records",
                )
                return None
        return tree

    def _desk_record(self, line: sqlite3.Connection, body: bytes) -> bool:
        try:
            if layout.fields_of(body)[0] != Kind.DESK:
                raise RecordError("is no desk record")
            record = layout.decode_record(body, self._lookup)
        except RecordError as error:
            self._report.add(self.where, str(error))
            return False
        return isinstance(record, DeskRecord) and self._saw(line, record.line)

    def _saw(self, line: sqlite3.Connection, seen: LineHead) -> bool:
        if seen.size and self._roots.get(seen.size, seen.root) != seen.root:
            self._report.add(
                self.where, f"saw another ledger of the line at {seen.size} records than this one"
            )
            return False
        if isinstance(seen.newest, int) and seen.newest >= 0:
            row = line.execute(
                "SELECT body FROM record WHERE position = ?", (seen.newest,)
            ).fetchone()
            if (
                row is None
                or not isinstance(row[0], bytes)
                or leaf_hash(row[0]) != seen.newest_leaf
            ):
                self._report.add(
                    self.where,
                    f"saw line.db record {seen.newest}, which is gone or another one now",
                )
                return False
        return True

    def conclude(self) -> None:
        """What remains unknown."""
        report = self._report
        tail = report.records - report.signed_records
        if tail > 0:
            report.unknown.append(
                f"the last {tail} records are not signed yet: an accident in them is found, a"
                " forger who also mends the mark beside a record is not"
            )
        if self._held is None:
            report.unknown.append(
                "a tail that was cut together with its checkpoints and their copy is found only"
                " with a checkpoint that is held elsewhere, such as by the centre"
            )


def _records(
    connection: sqlite3.Connection, start: int, end: int
) -> Iterator[tuple[int, int, bytes]]:
    # in slices, so that no long-lived reader keeps the line's WAL from being shortened
    after = start - 1
    while rows := connection.execute(
        "SELECT position, mark, body FROM record WHERE position > ? AND position < ?"
        " ORDER BY position LIMIT ?",
        (after, end, _SLICE),
    ).fetchall():
        yield from rows
        after = rows[-1][0]


def _difference(leaf: bytes, marks: bytes, start: int) -> str:
    at = marks.find(leaf[:MARK_BYTES])
    while at >= 0 and at % MARK_BYTES:
        at = marks.find(leaf[:MARK_BYTES], at + 1)
    if at >= 0:
        return f"was reordered: it is what was recorded as {start + at // MARK_BYTES}"
    return "was changed since it was signed"
