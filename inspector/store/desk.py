"""The desk's ledger: what people and machines other than the line did.

Enters: reviews, requests, approvals, events, each with its principal (I9). Leaves: records in
``<data>/desk.db``, durable when `DeskLedger.add` returns, in their own Merkle chain, each naming
how far the line's ledger had come. Every room but the line's hot path may import this; several
processes may have it open at once.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from inspector.store import layout, schema
from inspector.store.checkpoint import read_body
from inspector.store.errors import RecordError, StoreDamaged, StoreError, StoreStalled
from inspector.store.files import refuse_stranger
from inspector.store.merkle import EMPTY_ROOT, Tree, leaf_hash, tree_of
from inspector.store.records import DeskRecord, LineHead
from inspector.store.rows import mark_of


class DeskLedger:
    """One process's way to write to desk.db. Calls from one thread at a time."""

    def __init__(self, data_dir: Path, busy_s: float, utc_ns: Callable[[], int]) -> None:
        """Use `DeskLedger.open`."""
        self.data_dir = data_dir
        self._path = data_dir / schema.DESK_FILE
        self._busy_s = busy_s
        self._utc_ns = utc_ns
        self._connection = self._connected()
        self._line: sqlite3.Connection | None = None

    @classmethod
    def open(
        cls,
        data_dir: Path | str,
        *,
        busy_s: float = 5.0,
        utc_ns: Callable[[], int] = time.time_ns,
    ) -> DeskLedger:
        """Opens the desk's ledger in ``<data>``, or begins one.

        Raises:
            StoreDamaged: the file is no ledger.
            StoreError: the disk does not let us.
        """
        data_dir = Path(data_dir)
        refuse_stranger(data_dir)
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            schema.create_desk(data_dir / schema.DESK_FILE)
            return cls(data_dir, busy_s, utc_ns)
        except OSError as error:
            raise StoreError(f"{data_dir}: {error.strerror}") from error
        except sqlite3.Error as error:
            raise StoreError(f"{data_dir / schema.DESK_FILE}: {error}") from error

    def add(self, kind: str, body: dict[str, Any], principal: str) -> int:
        """Adds one record and makes it durable; gives its position in the desk's ledger.

        Raises:
            RecordError: no principal, or a body that CBOR cannot hold.
            StoreFull, StoreStalled, StoreError: it was not written.
        """
        return self.add_all([(kind, body, principal)])[0]

    def add_all(self, entries: Sequence[tuple[str, dict[str, Any], str]]) -> list[int]:
        """Adds records of (kind, body, principal) with one fsync; gives their positions.

        All of them are written or none. Raises as `add` does.
        """
        head = self._line_head()
        encoded = [
            (kind, layout.encode_desk(DeskRecord(kind, principal, self._utc_ns(), body, head)))
            for kind, body, principal in entries
        ]
        return self._append(encoded)

    def add_again(self, records: Callable[[int], Iterable[bytes]], size: int, root: bytes) -> int:
        """Adds what this desk had recorded and lost, byte for byte; gives how many records.

        Args:
            records: gives those from a position on.
            size, root: of the desk's tree with them.

        Raises:
            StoreDamaged: with them it is not what had this root; none was added.
            StoreFull, StoreStalled, StoreError: they were not written.
        """
        here = self._connection.execute("SELECT count(*) FROM record").fetchone()[0]
        if here >= size:
            return 0
        lost = ((str(layout.fields_of(record)[2]), record) for record in records(here))
        return len(self._append(lost, root))

    def _append(self, encoded: Iterable[tuple[str, bytes]], root: bytes = b"") -> list[int]:
        positions = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            tree = self._tree()
            for kind, record in encoded:
                position, leaf = tree.size, leaf_hash(record)
                tree.append(leaf)
                positions.append(position)
                self._connection.execute(
                    "INSERT INTO record VALUES (?, ?, ?)", (position, mark_of(leaf), record)
                )
                self._connection.execute("INSERT INTO event VALUES (?, ?)", (position, kind))
            if root not in (b"", tree.root()):
                raise ValueError("what is to be added does not follow its records")
            self._connection.execute(
                "INSERT OR REPLACE INTO head VALUES (1, ?, ?, ?)",
                (tree.size, b"".join(tree.edge), tree.root()),
            )
            self._connection.execute("COMMIT")
        except (sqlite3.Error, ValueError) as error:
            raise self._failed(error) from error
        return positions

    def close(self) -> None:
        """Lets go of the file."""
        self._connection.close()
        if self._line is not None:
            self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _connected(self) -> sqlite3.Connection:
        connection = schema.open_writer(self._path, busy_s=self._busy_s)
        # nobody's deadline hangs on the desk: SQLite may shorten this WAL by itself
        connection.execute("PRAGMA wal_autocheckpoint=1000")
        return connection

    def _tree(self) -> Tree:
        row = self._connection.execute("SELECT size, edge, root FROM head").fetchone()
        newest = self._connection.execute("SELECT max(position) FROM record").fetchone()[0]
        size = 0 if newest is None else newest + 1
        if row is None and size == 0:
            return Tree()
        if row is None or row[0] != size:
            raise ValueError(f"its head says {row and row[0]} records, {size} are here")
        if (known := tree_of(*row)) is not None:
            return known
        tree = Tree()  # the shortcut is spoiled; the long way reads everything
        for (body,) in self._connection.execute("SELECT body FROM record ORDER BY position"):
            tree.append(leaf_hash(body if isinstance(body, bytes) else b""))
        if tree.root() != row[2] and b"".join(tree.edge) != row[1]:
            raise ValueError(f"its {size} records are not those that its head was made of")
        return tree

    def _failed(self, error: sqlite3.Error | ValueError) -> StoreError:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        if isinstance(error, ValueError):
            return StoreDamaged(f"{self._path}: {error}; run: inspector verify {self.data_dir}")
        refusal = schema.refusal(self._path, error)
        if not isinstance(refusal, StoreStalled):  # nobody knows what the kernel kept of it
            with suppress(sqlite3.Error):
                self._connection.close()
            with suppress(sqlite3.Error):
                self._connection = self._connected()
        return refusal

    def _line_head(self) -> LineHead:
        try:
            if self._line is None:
                self._line = schema.open_reader(self.data_dir / schema.LINE_FILE)
            checkpoint = self._line.execute(
                "SELECT body FROM checkpoint ORDER BY number DESC LIMIT 1"
            ).fetchone()
            newest = self._line.execute(
                "SELECT position, body FROM record ORDER BY position DESC LIMIT 1"
            ).fetchone()
            size, root = 0, EMPTY_ROOT
            if checkpoint is not None:
                signed = read_body(checkpoint[0])
                size, root = signed.line_size, signed.line_root
            position, leaf = (-1, b"") if newest is None else (newest[0], leaf_hash(newest[1]))
            return LineHead(size, root, position, leaf)
        except (sqlite3.Error, StoreError, RecordError):
            self._line = None  # no line here, or one that cannot be read: the desk still records
            return LineHead(0, EMPTY_ROOT, -1, b"")
