"""The tails of the two ledgers, read by position: what is there, and whether it is still itself.

Enters: ``<data>``, a position. Leaves: exact records and the line's checkpoints; a record that was
changed since it was written is named and never sent. Only `inspector.sync` imports this.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inspector.store import schema
from inspector.store.checkpoint import MARK_BYTES, Checkpoint, Signed, read_body
from inspector.store.errors import RecordError, StoreDamaged
from inspector.store.merkle import leaf_hash
from inspector.store.rows import mark_of
from inspector.store.stretch import read_records

FILES = {"line": schema.LINE_FILE, "desk": schema.DESK_FILE}
CHECKPOINTS_MAX = 256
"""In one segment."""


class Spoilt(Exception):
    """A ledger of this station contradicts itself or the centre; ``code`` names how."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        super().__init__(detail)


class Tail:
    """One ledger, read-only."""

    def __init__(self, data_dir: Path, ledger: str) -> None:
        self.ledger = ledger
        self.file = FILES[ledger]
        self._path = data_dir / self.file
        self._connection: sqlite3.Connection | None = None

    def end(self) -> int:
        """How many durable records there are; 0 where there is no ledger yet."""
        if not self._path.is_file():
            return 0
        with self._reading() as connection:
            newest = connection.execute("SELECT max(position) FROM main.record").fetchone()[0]
        return 0 if newest is None else int(newest) + 1

    def read(self, first: int, end: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Position, record and leaf hash of all from ``first`` to before ``end``.

        Raises:
            Spoilt: ``removed`` or ``changed``: the first such record is named.
        """
        expected = first
        with self._reading() as connection:
            for position, mark, body in read_records(connection, first, end):
                if position != expected:
                    raise Spoilt("removed", f"{self.file} record {expected} was removed")
                if not isinstance(body, bytes):
                    raise Spoilt("changed", f"{self.file} record {position} was changed")
                leaf = leaf_hash(body)
                if mark != mark_of(leaf):
                    raise Spoilt(
                        "changed",
                        f"{self.file} record {position} was changed: it does not fit the mark"
                        " beside it",
                    )
                yield position, body, leaf
                expected += 1
        if expected < end:
            raise Spoilt("removed", f"{self.file} record {expected} was removed")

    def checkpoints(self, after: int, line_size: int, desk_size: int) -> list[Signed]:
        """The line's checkpoints with a number above ``after`` over at most so many records."""
        found = []
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT number, body, signature FROM checkpoint WHERE number > ?"
                " ORDER BY number LIMIT ?",
                (after, CHECKPOINTS_MAX),
            ).fetchall()
        for number, body, signature in rows:
            checkpoint = _read(number, body)
            if checkpoint.line_size > line_size or checkpoint.desk_size > desk_size:
                break
            found.append(Signed(body, signature))
        return found

    def culprit(self, number: int) -> str:
        """Which record is not what checkpoint ``number`` signed, by the marks beside it."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT body, marks FROM checkpoint WHERE number IN (?, ?) ORDER BY number",
                (number - 1, number),
            ).fetchall()
            start = _read(number - 1, rows[0][0]).line_size if len(rows) == 2 else 0
            marks = rows[-1][1]
            end = start + len(marks) // MARK_BYTES
            for position, _, body in read_records(connection, start, end):
                at = (position - start) * MARK_BYTES
                if leaf_hash(body)[:MARK_BYTES] != marks[at : at + MARK_BYTES]:
                    return f"{self.file} record {position} was changed since it was signed"
        return f"{self.file}: checkpoint {number} signed other records than are here"

    def close(self) -> None:
        """Lets go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._connection is None:
                self._connection = schema.open_reader(self._path)
            yield self._connection
        except sqlite3.Error as error:
            self.close()
            raise StoreDamaged(f"{self._path}: {error}; run: inspector verify") from error


def _read(number: int, body: bytes) -> Checkpoint:
    try:
        return read_body(body)
    except (RecordError, TypeError) as error:
        raise Spoilt("changed", f"checkpoint {number} was changed: {error}") from error
