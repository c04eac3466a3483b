"""The transaction of the line's ledger: rows in, one durable commit out, checkpoints in between.

Enters: `rows.Rows` in their order. Leaves: line.db with its chain, its indexes and its signed
checkpoints, and their copy. `ledger` makes one and `commits` calls it, one call at a time.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inspector.store import schema
from inspector.store.checkpoint import (
    MARK_BYTES,
    Checkpoint,
    Signed,
    append_copy,
    digest_of,
    sign,
)
from inspector.store.errors import StoreDamaged, StoreError, StoreFull, StoreStalled
from inspector.store.keys import key_id
from inspector.store.merkle import EMPTY_ROOT, leaf_hash, tree_of
from inspector.store.resume import State
from inspector.store.rows import Rows, mark_of, write_rows

STRETCH = 1000
"""More records than this wait in stretches with a transaction each: what a full disk is tried with
costs 10 ms of a processor then, however much waits for it."""


class Writer:
    """Holds the connection and the tree's edge; both move only with a successful COMMIT."""

    def __init__(
        self,
        data_dir: Path,
        station: str,
        key: Ed25519PrivateKey,
        state: State,
        *,
        checkpoint_records: int,
        checkpoint_s: float,
        busy_s: float,
        utc_ns: Callable[[], int],
    ) -> None:
        self.size = state.size
        self.trouble = ""
        self.full = False
        self._data_dir = data_dir
        self._path = data_dir / schema.LINE_FILE
        self._wal = f"{self._path}-wal"
        self._station = station
        self._key = key
        self._key_id = key_id(key.public_key())
        self._tree = state.tree
        self._marks = state.marks
        self._number = state.number
        self._previous = state.previous
        self._signed_size = state.signed_size
        self._owed_copies = state.owed_copies
        self._desk_seen = self._desk_signed = (state.desk_size, state.desk_root)
        self._records = checkpoint_records
        self._seconds = checkpoint_s
        self._busy_s = busy_s
        self._utc_ns = utc_ns
        self._unsigned_since = time.monotonic()
        self._stretches: deque[Rows] = deque()
        self._broken = False
        self._connection = schema.open_writer(self._path, busy_s=busy_s)
        self._desk: sqlite3.Connection | None = None
        self._copy()

    def take(self, rows: Rows) -> None:
        """Rows for a `write`, after all that wait already."""
        newest = self._stretches[-1] if self._stretches else None
        if newest is not None and len(newest.records) + len(rows.records) <= STRETCH:
            newest.extend(rows)
        elif rows.records:
            self._stretches.append(rows)

    @property
    def waits(self) -> bool:
        """Whether anything that was taken is not durable yet."""
        return bool(self._stretches)

    def write(self) -> list[tuple[int, int]]:
        """Commits the oldest stretch of what was taken; gives the (stream, sequence) of its
        verdicts.

        Raises:
            StoreFull, StoreStalled, StoreError: it did not; everything taken still waits.
        """
        if not self._stretches:
            return []
        rows = self._stretches[0]
        tree = self._tree.copy()
        leaves = []
        for _, body in rows.records:
            leaf = leaf_hash(body)
            tree.append(leaf)
            leaves.append(leaf)
        marks = self._marks + b"".join([leaf[:MARK_BYTES] for leaf in leaves])
        signed: Signed | None = None
        try:
            self._begin()
            write_rows(self._connection, rows, [mark_of(leaf) for leaf in leaves])
            if self._is_due(tree.size):
                signed = self._add_checkpoint(tree.size, tree.root(), tree.edge, marks)
            self._connection.execute("COMMIT")
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise self._failed(error) from error
        if not self._marks:
            self._unsigned_since = time.monotonic()
        self._stretches.popleft()
        self._tree, self.size = tree, tree.size
        self._marks = marks
        if not self._stretches:
            self.trouble, self.full = "", False
        if signed is not None:
            self._signed(signed)
        return [(row[0], row[1]) for row in rows.index.get("verdict", ())]

    def checkpoint(self) -> None:
        """Signs what is durable here and at the desk, if anything is new since the last checkpoint.

        Raises:
            StoreFull, StoreStalled, StoreError: it could not be stored.
        """
        if self.size == self._signed_size and not self._desk_is_new():
            return
        try:
            self._begin()
            tree = self._tree
            signed = self._add_checkpoint(tree.size, tree.root(), tree.edge, self._marks)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._failed(error) from error
        self._signed(signed)

    def idle(self) -> None:
        """What can be done while no part comes: an overdue checkpoint, also of what the desk wrote
        meanwhile."""
        overdue = time.monotonic() - self._unsigned_since >= self._seconds
        if self._is_due(self.size) or (overdue and self._desk_is_new()):
            self.checkpoint()

    def wal_bytes(self) -> int:
        """The size of the WAL file."""
        try:
            return os.stat(self._wal).st_size  # noqa: PTH116  once per commit: a Path costs 5 µs
        except OSError:
            return 0

    def close(self) -> None:
        """Lets go of the files."""
        self._connection.close()
        if self._desk is not None:
            self._desk.close()

    def _begin(self) -> None:
        if self._broken:
            self._reopen()
        self._connection.execute("BEGIN IMMEDIATE")

    def _reopen(self) -> None:
        # After a failed write nobody knows what the kernel kept of it: look again.
        with suppress(sqlite3.Error):
            self._connection.close()
        self._connection = schema.open_writer(self._path, busy_s=self._busy_s)
        found = self._connection.execute("SELECT max(position) FROM record").fetchone()[0]
        if (-1 if found is None else found) != self.size - 1:
            raise StoreDamaged(
                f"{self._path}: holds records up to {found}, {self.size - 1} was acknowledged last"
            )
        self._broken = False

    def _failed(self, error: Exception) -> StoreError:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        failed = schema.refusal(self._path, error)
        self._broken = self._broken or not isinstance(failed, StoreStalled)
        self.trouble, self.full = str(failed), isinstance(failed, StoreFull)
        return failed

    def _is_due(self, size: int) -> bool:
        new = size - self._signed_size
        if new >= self._records:
            return True
        return new > 0 and time.monotonic() - self._unsigned_since >= self._seconds

    def _add_checkpoint(self, size: int, root: bytes, edge: list[bytes], marks: bytes) -> Signed:
        desk_size, desk_root = self._desk_head()
        checkpoint = Checkpoint(
            number=self._number,
            station=self._station,
            line_size=size,
            line_root=root,
            desk_size=desk_size,
            desk_root=desk_root,
            utc_ns=self._utc_ns(),
            previous=self._previous,
            marks_digest=sha256(marks).digest(),
            key=self._key_id,
        )
        signed = sign(checkpoint, self._key)
        self._connection.execute(
            "INSERT INTO checkpoint VALUES (?, ?, ?, ?)",
            (self._number, signed.body, signed.signature, marks),
        )
        self._connection.execute(
            "INSERT OR REPLACE INTO edge VALUES (1, ?, ?)", (size, b"".join(edge))
        )
        return signed

    def _signed(self, signed: Signed) -> None:
        self._number += 1
        self._previous = digest_of(signed.body)
        self._signed_size = self.size
        self._desk_signed = self._desk_seen
        self._marks = b""
        self._unsigned_since = time.monotonic()
        self._owed_copies.append(signed)
        self._copy()

    def _copy(self) -> None:
        if not self._owed_copies:
            return
        try:
            append_copy(self._data_dir, self._owed_copies)
            self._owed_copies = []
        except OSError as error:  # the ledger has it; the copy is tried again with the next
            self.trouble = f"{self._data_dir}: checkpoint not copied: {error.strerror}"
            self.full = error.errno == errno.ENOSPC

    def _desk_is_new(self) -> bool:
        """Whether the desk has records that no checkpoint signs; a line without any signs none."""
        return self.size > 0 and self._desk_head() != self._desk_signed

    def _desk_head(self) -> tuple[int, bytes]:
        try:
            if self._desk is None:
                self._desk = schema.open_reader(self._data_dir / schema.DESK_FILE, busy_s=0.05)
            row = self._desk.execute("SELECT size, edge, root FROM head").fetchone()
            if row is None:
                self._desk_seen = (0, EMPTY_ROOT)
            elif tree_of(*row) is not None:  # else it is spoiled, and would be signed for ever
                self._desk_seen = (row[0], row[2])
        except (sqlite3.Error, StoreError):
            self._desk = None  # the line goes on without the desk; it signs what it saw last
        return self._desk_seen
