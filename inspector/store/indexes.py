"""Whether index tables hold what the records say: not a row less, not one more, none that differs.

Enters: the index rows that each record makes, in the order of the ledger; then the tables. Leaves:
of each table that differs the first record whose rows are not such, in words. Only the walks of
`verify` import this.

A table is compared as a multiset. To walk it in step with the records its rows would have to come
by position, and most of them lie in the order of another key (part, serial, gate): sorting those
of 100 million records takes more room than all the rest of `verify`. So every row that a record
makes adds its hash to a sum, and every row of the table takes its own away; what is left is 0 where
both are the same rows, whatever their order. The hash has a key that each walk draws anew, so
nobody can choose rows whose hashes cancel out, and 64 bits of it leave chance one in 2**64. A table
has one sum for each of at most `STRETCHES` stretches of positions. That bounds memory however long
the ledger, and narrows a difference down to a stretch whose records are read once more to name one.

No index is ever pruned: retention deletes image files, archiving moves records into a segment, and
the rows of both stay (`retention`, `segments`). So whatever is missing is damage.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from inspector.store.report import Told
from inspector.store.rows import Rows
from inspector.store.stretch import onwards

MEND = "stop the station and run: inspector rebuild-index DATA"
STRETCHES = 4096
INDEXES = "index rows"
"""What `Told` hears that these are."""
_SLICE = 5000

Row = tuple[Any, ...]
RowsOf = Callable[[int, int], Rows]
"""The index rows of the records from one position up to another, read again."""
Say = Callable[[str, str, Row | None], None]
"""Reports what is wrong with a table: its name, words that go on behind it, and the row that it
should have if that is all."""


@dataclass(frozen=True, slots=True)
class Table:
    """An index table as the schema has it."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    at: int
    """Which column is the record's position."""


def tables_of(statements: str) -> dict[str, Table]:
    """The tables that these statements make and that have a ``position``."""
    found: dict[str, Table] = {}
    with closing(sqlite3.connect(":memory:")) as draft:
        draft.executescript(statements)
        names = draft.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        for (name,) in names:
            info = draft.execute(
                "SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", (name,)
            ).fetchall()
            columns = tuple(column for column, _ in info)
            key = tuple(
                column for place, column in sorted((pk, name) for name, pk in info) if place
            )
            if "position" in columns:
                found[name] = Table(name, columns, key, columns.index("position"))
    return found


def slices(connection: sqlite3.Connection, table: Table) -> Iterator[list[Row]]:
    """All rows of a table by its key.

    In slices, so that no long-lived reader keeps the line's WAL from being shortened.
    """
    select = f"SELECT {', '.join(table.columns)} FROM {table.name}"
    order = f"ORDER BY {', '.join(table.key)} LIMIT {_SLICE}"
    behind = f"({', '.join(table.key)}) > ({', '.join('?' * len(table.key))})"
    places = [table.columns.index(column) for column in table.key]
    rows, last = connection.execute(f"{select} {order}").fetchall(), ()
    while rows:
        yield rows
        last = onwards(last, tuple([rows[-1][place] for place in places]))
        rows = connection.execute(f"{select} WHERE {behind} {order}", last).fetchall()


class Indexes:
    """The index tables of one ledger file, against its records at positions below ``end``."""

    def __init__(self, tables: Iterable[Table], end: int) -> None:
        self._tables = {table.name: table for table in tables}
        self._end = end
        self._width = max(1, -(-end // STRETCHES))
        self._sums = {name: [0] * (end // self._width + 1) for name in self._tables}
        self._keyed = blake2b(key=os.urandom(32), digest_size=8)
        self._taken = self._compared = 0

    def take(self, rows: Rows) -> None:
        """Index rows that records make; they are taken out of ``rows``."""
        for name, values in rows.index.items():
            self._weigh(self._tables[name], values, 1)
            self._taken += len(values)
        rows.index.clear()

    def compare(
        self, connection: sqlite3.Connection, rows_of: RowsOf, say: Say, told: Told
    ) -> None:
        """Says of each table what is wrong with it; a line that goes on writing is no difference.

        A row of a record that came after ``end`` is left to the next walk; one of a record that has
        never come is not.
        """
        for table in self._tables.values():
            try:
                self._table(connection, table, rows_of, say, told)
            except (sqlite3.Error, UnicodeError, OverflowError) as error:
                say(table.name, f"cannot be read: {error}", None)

    def _table(
        self, connection: sqlite3.Connection, table: Table, rows_of: RowsOf, say: Say, told: Told
    ) -> None:
        stray: list[Any] = []
        for rows in slices(connection, table):
            known = [row for row in rows if _is_below(row[table.at], self._end)]
            self._weigh(table, known, -1)
            self._compared += len(known)
            told(INDEXES, min(self._compared, self._taken), self._taken)
            if len(known) < len(rows) and not stray:
                newest = connection.execute("SELECT max(position) FROM main.record").fetchone()[0]
                beyond = self._end if newest is None else max(self._end, newest + 1)
                stray = [row[table.at] for row in rows if not _is_below(row[table.at], beyond)]
        for stretch, left in enumerate(self._sums[table.name]):
            if left:
                say(table.name, *self._difference(connection, table, stretch, rows_of))
                break
        if stray:
            what = "it was cut off, or the row was added"
            say(
                table.name,
                f"has a row of record {stray[0]!r:.40}, which there is not: {what}",
                None,
            )

    def _weigh(self, table: Table, rows: Iterable[Row], sign: int) -> None:
        sums, at, width, keyed = self._sums[table.name], table.at, self._width, self._keyed
        for row in rows:
            hashed = keyed.copy()
            hashed.update(repr(row).encode())
            sums[row[at] // width] += sign * int.from_bytes(hashed.digest(), "big")

    def _difference(
        self, connection: sqlite3.Connection, table: Table, stretch: int, rows_of: RowsOf
    ) -> tuple[str, Row | None]:
        first = stretch * self._width
        end = min(first + self._width, self._end)
        must = Counter(rows_of(first, end).index.get(table.name, ()))
        more: int | None = None
        rows = connection.execute(
            f"SELECT {', '.join(table.columns)} FROM {table.name}"
            " WHERE position >= ? AND position < ?",
            (first, end),
        )
        for row in rows:  # one at a time: somebody may have added any number
            if must[row] > 0:
                must[row] -= 1
            else:
                more = row[table.at] if more is None else min(more, row[table.at])
        lacking = min(must.elements(), key=lambda row: row[table.at], default=None)
        less = None if lacking is None else lacking[table.at]
        if less is None and more is None:
            return f"was not what records {first} to {end - 1} say, and now is", None
        if less == more:
            return f"says of record {less} what the record does not", None
        if less is None or (more is not None and more < less):
            return f"has a row of record {more} that the record does not say", None
        return f"has no row of record {less}", lacking


def _is_below(position: Any, end: int) -> bool:
    return type(position) is int and 0 <= position < end
