"""Records and their index rows: what one group commit writes into line.db.

Enters: records, as bytes and as what of them is looked for. Leaves: `Rows`, and the statements that
write them. Imports cbor and records.

``record`` is the ledger. Every other table but ``checkpoint`` is an index of it: `index_rows` makes
an index row from a record, the writer uses the same functions, and `maintenance.rebuild_index`
makes all of them again, so a change of the indexes never touches the chain (I4).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from inspector.store.cbor import plain
from inspector.store.records import Kind

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
  parts = parts + excluded.parts, last = excluded.last,
  first_utc = min(first_utc, excluded.first_utc), last_utc = max(last_utc, excluded.last_utc)
"""

Tally = list[int]
"""``[parts, first position, last position, lowest UTC, highest UTC]``: where a clock was set back,
the last part is not the latest."""
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
                mine[2:] = tally[2], min(mine[3], tally[3]), max(mine[4], tally[4])


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
    tally_up(rows.tallies, context, outcome, position, utc_ns)


def tally_up(
    tallies: Tallies, context: tuple[Any, ...], outcome: int, position: int, utc_ns: int
) -> None:
    """One more part of the context's batch and mode."""
    key = (plain(context[3]), context[2], outcome)
    tally = tallies.get(key)
    if tally is None:
        tallies[key] = [1, position, position, utc_ns, utc_ns]
    else:
        tally[0] += 1
        tally[2] = position
        if utc_ns > tally[4]:
            tally[4] = utc_ns
        elif utc_ns < tally[3]:
            tally[3] = utc_ns


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
