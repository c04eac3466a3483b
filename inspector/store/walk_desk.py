"""The walk through desk.db: its records, their head and index, what the line signed of it and it
of the line.

Enters: ``<data>``, a `Report`, the finished walk of the line, the index files that are kept of the
desk. Leaves: problems in the report. Only `verify` imports this.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from inspector.store import layout, schema
from inspector.store.deskindex import Projection
from inspector.store.errors import RecordError
from inspector.store.indexes import MEND, Indexes, Row, RowsOf, tables_of
from inspector.store.merkle import Tree, leaf_hash
from inspector.store.records import LINE_LOST, LineHead
from inspector.store.report import Report, Told, untold
from inspector.store.rows import Rows, mark_of
from inspector.store.stretch import read_records
from inspector.store.walk import LineWalk
from inspector.store.walk_edges import name_actors
from inspector.store.walk_projections import ProjectionWalk

_SLICE = 2000
DESK = "desk records"
"""What `Told` hears that these are."""


class DeskWalk:
    """One walk."""

    def __init__(
        self,
        data_dir: Path,
        report: Report,
        line: LineWalk,
        projections: Iterable[Projection],
        told: Told,
    ) -> None:
        self.where = schema.DESK_FILE
        self._projections = projections
        self._walks: list[ProjectionWalk] = []
        self._data_dir = data_dir
        self._report = report
        self._line = line
        self._told = told
        self._rows = Rows()
        self._lost: list[tuple[int, int]] = []
        self._understood = True  # every record so far is what one is, so the index must fit

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
            ExitStack() as opened,
        ):
            self._open(opened)  # before the desk is read, so that none has come further
            connection.text_factory = bytearray  # text where a record's bytes should be shows
            connection.execute("BEGIN")
            head = connection.execute("SELECT size, root, edge FROM head").fetchone()
            newest = connection.execute("SELECT max(position) FROM record").fetchone()[0]
            end = 0 if newest is None else int(newest) + 1
            indexes = Indexes(tables_of(schema.DESK_INDEXES).values(), end)
            self._lost = self._losses(connection)
            tree = self._records(connection, line, end, indexes)
            if tree is not None:
                must = (end, tree.root(), b"".join(tree.edge))
                if (head or (0, tree.root(), b"")) != must:
                    self._report.add("desk.db head", "is not that of the records")
                self._report.signed_desk_records = max(
                    (size for size in self._line.desk_roots if size <= end), default=0
                )
            name_actors(connection, schema.DESK_FILE, self._report)
            if signed > end:
                number = self._line.desk_roots[signed][0]
                self._report.add(
                    f"desk.db record {end}",
                    f"its tail was cut: checkpoint {number} signed {signed} records,"
                    f" {end} are here",
                )
            if tree is not None and self._understood:
                self._index(connection, indexes)
                self._files()
            connection.execute("COMMIT")

    def _open(self, opened: ExitStack) -> None:
        for projection in self._projections:
            if (self._data_dir / projection.name).exists():
                try:
                    walk = ProjectionWalk(self._data_dir, projection)
                except (sqlite3.Error, TypeError, ValueError) as error:
                    self._report.add(projection.name, f"cannot be read: {error}; {MEND}")
                else:
                    opened.callback(walk.close)
                    self._walks.append(walk)

    def _files(self) -> None:
        """What is on hold, signed, reviewed, shipped."""
        for walk in self._walks:
            try:
                what = walk.difference()
            except (sqlite3.Error, UnicodeError) as error:
                what = f"cannot be read: {error}"
            if what:
                self._report.add(walk.name, f"{what}; {MEND}")

    def _index(self, connection: sqlite3.Connection, indexes: Indexes) -> None:
        """What kind each record is, by which everything of the desk is found."""
        connection.text_factory = str
        indexes.take(self._rows)
        indexes.compare(connection, self._rows_of(connection), self._say, untold)
        with suppress(sqlite3.Error):  # then the table cannot be read, which has been said
            (whole,) = connection.execute("PRAGMA integrity_check(event)").fetchone()
            if whole != "ok":
                self._say("event", f"is not whole: {whole}", None)

    def _rows_of(self, connection: sqlite3.Connection) -> RowsOf:
        def rows_of(first: int, end: int) -> Rows:
            rows = Rows()
            for position, _, body in read_records(connection, first, end):
                rows.add("event", position, layout.fields_of(body)[2])
            return rows

        return rows_of

    def _say(self, table: str, what: str, lacking: Row | None) -> None:
        self._report.add(f"desk.db index {table}", f"{what}; {MEND}")

    def _records(
        self, connection: sqlite3.Connection, line: sqlite3.Connection, end: int, indexes: Indexes
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
            if self._record(line, position, mark, body):
                self._report.desk_records += 1
            if tree.size % _SLICE == 0:
                indexes.take(self._rows)
                self._told(DESK, tree.size, end)
            number, root = self._line.desk_roots.get(tree.size, (-1, b""))
            if root and root != tree.root():
                self._report.add(
                    self.where,
                    f"or one before it was changed: checkpoint {number} signed other records",
                )
                return None
        return tree

    def _record(self, line: sqlite3.Connection, position: int, mark: int, body: bytes) -> bool:
        try:
            record = layout.desk_record(body)
        except RecordError as error:
            self._report.add(self.where, str(error))
            self._understood = False
            return False
        self._rows.add("event", position, record.kind)
        for walk in self._walks:
            walk.record(position, mark, record)
        return self._saw(line, position, record.line)

    def _losses(self, connection: sqlite3.Connection) -> list[tuple[int, int]]:
        """Where the desk says that the line's records were lost, and the first of these."""
        rows = []
        with suppress(sqlite3.Error):  # the index is compared later
            rows = connection.execute(
                "SELECT position, body FROM event JOIN record USING (position) WHERE kind = ?",
                (LINE_LOST,),
            ).fetchall()
        losses = []
        for position, body in rows:
            with suppress(RecordError, KeyError, TypeError, ValueError):  # the walk says so
                first = int(layout.desk_record(body).body["first"])
                losses.append((position, first))
                self._report.unknown.append(
                    f"line.db records from {first} on were lost with a disk, as the desk has"
                    " recorded"
                )
        return losses

    def _saw(self, line: sqlite3.Connection, position: int, seen: LineHead) -> bool:
        newest = seen.newest if isinstance(seen.newest, int) else -1
        if any(position < lost and newest >= first for lost, first in self._lost):
            return True
        if seen.size and self._line.roots.get(seen.size, seen.root) != seen.root:
            self._report.add(
                self.where, f"saw another ledger of the line at {seen.size} records than this one"
            )
            return False
        if newest >= 0:
            row = line.execute("SELECT body FROM record WHERE position = ?", (newest,)).fetchone()
            if (
                row is None
                or not isinstance(row[0], bytes)
                or leaf_hash(row[0]) != seen.newest_leaf
            ):
                self._report.add(
                    self.where,
                    f"saw line.db record {newest}, which is gone or another one now",
                )
                return False
        return True
