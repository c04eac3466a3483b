"""The walk through desk.db: its records, its head, what the line signed of it and it of the line.

Enters: ``<data>``, a `Report`, the finished walk of the line. Leaves: problems in the report. Only
`verify` imports this.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from inspector.store import layout, schema
from inspector.store.errors import RecordError
from inspector.store.merkle import Tree, leaf_hash
from inspector.store.records import Definition, DeskRecord, Kind, LineHead
from inspector.store.report import Report
from inspector.store.rows import mark_of
from inspector.store.walk import LineWalk, read_records


class DeskWalk:
    """One walk."""

    def __init__(self, data_dir: Path, report: Report, line: LineWalk) -> None:
        self.where = schema.DESK_FILE
        self._data_dir = data_dir
        self._report = report
        self._line = line

    def run(self) -> None:
        """The desk's records, their head, what the line signed, what they saw of the line."""
        self.where = schema.DESK_FILE
        path = self._data_dir / schema.DESK_FILE
        signed = max(self._line.desk_roots, default=0)
        if not path.exists() and not signed:
            return
        with (
            closing(schema.open_reader(path)) as connection,
            closing(schema.open_reader(self._data_dir / schema.LINE_FILE)) as line,
        ):
            connection.text_factory = bytearray  # text where a record's bytes should be shows
            connection.execute("BEGIN")
            head = connection.execute("SELECT size, root FROM head").fetchone()
            newest = connection.execute("SELECT max(position) FROM record").fetchone()[0]
            end = 0 if newest is None else int(newest) + 1
            tree = self._records(connection, line, end)
            connection.execute("COMMIT")
        if tree is not None and (head[:2] if head else (0, tree.root())) != (end, tree.root()):
            self._report.add("desk.db head", "is not that of the records")
        if signed > end:
            number = self._line.desk_roots[signed][0]
            self._report.add(
                f"desk.db record {end}",
                f"its tail was cut: checkpoint {number} signed {signed} records, {end} are here",
            )

    def _records(
        self, connection: sqlite3.Connection, line: sqlite3.Connection, end: int
    ) -> Tree | None:
        tree = Tree()
        for position, mark, body in read_records(connection, 0, end):
            if position != tree.size:
                self._report.add(f"desk.db record {tree.size}", "removed")
                return None
            self.where = f"desk.db record {position}"
            if not isinstance(body, bytes) or mark != mark_of(leaf_hash(body)):
                self._report.add(self.where, "was changed: it does not fit the mark beside it")
                return None
            tree.append(leaf_hash(body))
            if self._record(line, body):
                self._report.desk_records += 1
            number, root = self._line.desk_roots.get(tree.size, (-1, b""))
            if root and root != tree.root():
                self._report.add(
                    self.where,
                    f"or one before it was changed: checkpoint {number} signed other records",
                )
                return None
        return tree

    def _record(self, line: sqlite3.Connection, body: bytes) -> bool:
        try:
            if layout.fields_of(body)[0] != Kind.DESK:
                raise RecordError("is no desk record")
            record = layout.decode_record(body, _no_definition)
        except RecordError as error:
            self._report.add(self.where, str(error))
            return False
        return isinstance(record, DeskRecord) and self._saw(line, record.line)

    def _saw(self, line: sqlite3.Connection, seen: LineHead) -> bool:
        if seen.size and self._line.roots.get(seen.size, seen.root) != seen.root:
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


def _no_definition(position: int) -> Definition:
    raise RecordError(f"refers to record {position}; desk records define nothing")
