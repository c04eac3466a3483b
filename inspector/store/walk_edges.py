"""The walk through what a ledger file has besides records, checkpoints and indexes.

Enters: an open file, and its tree as a walk makes it grow. Leaves: problems in the report. Only
`walk` and `walk_desk` import this.

A line that starts, a desk that adds a record and `inspector archive` go on from an *edge*, the few
hashes that the tree so far comes down to, instead of reading every record. None of them may be led
by one that was changed: the root would be another, and signed. Nor may anything in a ledger file
act by itself: a trigger could drop what is written later.
"""

from __future__ import annotations

import sqlite3

from inspector.store import schema
from inspector.store.merkle import Tree
from inspector.store.report import Report

ACTORS = "SELECT type, name FROM main.sqlite_schema WHERE type IN ('trigger', 'view')"


def name_actors(connection: sqlite3.Connection, file: str, report: Report) -> None:
    """Names each trigger and view of the file: a ledger has none."""
    for row in connection.execute(ACTORS).fetchall():
        kind, name = map(_text, row)
        report.add(f"{file} {kind} {name:.80}", "was added: a ledger has none")


class Edges:
    """The edges that line.db remembers, and the segments that it names."""

    def __init__(self, connection: sqlite3.Connection, report: Report, signed_size: int) -> None:
        """Reads them: the caller holds the transaction in which he found how far the line is.

        ``signed_size`` is the size that the last checkpoint signed; 0 if there is none.
        """
        self._report = report
        self._edges: dict[int, list[tuple[str, object]]] = {}
        row = connection.execute("SELECT size, edge FROM edge").fetchone()
        if signed_size and (row is None or row[0] != signed_size):
            self._report.add("line.db edge", f"is not that of {signed_size} records")
        elif signed_size:
            self._expect(signed_size, "line.db edge", row[1])
        self._segments(connection)

    def grown(self, tree: Tree) -> None:
        """The tree of the records so far, all of which are what they were."""
        for where, edge in self._edges.get(tree.size, ()):
            if edge != b"".join(tree.edge):
                self._report.add(where, "its edge is not that of the records before it")

    def _expect(self, size: int, where: str, edge: object) -> None:
        self._edges.setdefault(size, []).append((where, edge))

    def _segments(self, connection: sqlite3.Connection) -> None:
        """Each holds just what line.db says, and they follow one another."""
        if not schema.segment_files(connection):
            return
        rows = connection.execute("SELECT first, last, file, edge FROM segment ORDER BY first")
        after = 0
        for number, (first, last, name, edge) in enumerate(rows.fetchall()):
            where = f"line.db segment {_text(name):.80}"
            held = connection.execute(
                f"SELECT min(position), max(position), count(*) FROM segment_{number}.record"
            ).fetchone()
            if (first, last) != held[:2] or first != after or held[2] != last - first + 1:
                self._report.add(
                    where,
                    f"is named for records {first} to {last}; it holds {held[0]} to {held[1]}",
                )
                return
            self._expect(last + 1, where, edge)
            after = last + 1


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes | bytearray) else str(value)
