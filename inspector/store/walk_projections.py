"""The walk through an index file of the desk: what is on hold, signed, reviewed, shipped.

Enters: such a file, and the desk's records as `walk_desk` meets them. Leaves: words about the first
row that the file has and the records do not make, or the other way round. Only `walk_desk` imports
this.

A row of such a file may be the work of many records (a hold, of which a release takes the middle),
so there is no comparing it with one: the index is made again, in a temporary file of SQLite's that
goes with its connection, from the records up to which the file says it has come, and both are
compared table by table. A file that the next who opens it makes anew (of another version, of
another desk) is left to him.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from inspector.store.deskindex import Projection
from inspector.store.records import DeskRecord


class ProjectionWalk:
    """One index file as it is now, and what it must be."""

    def __init__(self, data_dir: Path, projection: Projection) -> None:
        """Raises ``sqlite3.Error``, TypeError or ValueError if the file cannot be read."""
        self.name = projection.name
        self._projection = projection
        self._must = sqlite3.connect("", uri=True, isolation_level=None)
        try:
            self._attach(data_dir / projection.name)
            projection.create(self._must)
            self._must.execute("BEGIN")  # the file goes on; this walk is of what it is now
            self._upto, self._mark = self._said()
        except BaseException:
            self._must.close()
            raise
        self._fits = self._upto == -1  # the record up to which it came is the desk's
        self._refused = ""

    def record(self, position: int, mark: int, record: DeskRecord) -> None:
        """What the desk's next record means to this index."""
        if position <= self._upto and not self._refused:
            try:
                self._projection.take(self._must, position, record)
            except (sqlite3.Error, OverflowError) as error:
                self._refused = f"cannot take in desk.db record {position}: {error}"
            self._fits = (position, mark) == (self._upto, self._mark)

    def difference(self) -> str:
        """What is wrong with the file; empty if nothing is. Raises ``sqlite3.Error``."""
        if self._refused or not self._fits:
            return self._refused
        tables = self._must.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        for (table,) in tables.fetchall():
            must, said = f'SELECT * FROM main."{table}"', f'SELECT * FROM said."{table}"'
            row = self._must.execute(f"{must} EXCEPT {said} LIMIT 1").fetchone()
            if row is not None:
                return f"table {table} lacks {row!r:.200}, which the desk's records say"
            row = self._must.execute(f"{said} EXCEPT {must} LIMIT 1").fetchone()
            if row is not None:
                return f"table {table} has {row!r:.200}, which the desk's records do not say"
            counts = f"SELECT (SELECT count(*) FROM ({must})), (SELECT count(*) FROM ({said}))"
            should, has = self._must.execute(counts).fetchone()
            if should != has:
                return f"table {table} has {has} rows, the desk's records say {should}"
        (whole,) = self._must.execute("PRAGMA said.integrity_check(1)").fetchone()
        return "" if whole == "ok" else f"is not whole: {whole}"

    def close(self) -> None:
        """Lets go of the file, and of the temporary one."""
        self._must.close()

    def _attach(self, path: Path) -> None:
        """Without writing; also where a disk is read-only and there is no WAL (`open_reader`)."""
        uri = path.resolve().as_uri()
        try:
            self._must.execute("ATTACH ? AS said", (f"{uri}?mode=ro",))
            self._must.execute("SELECT 1 FROM said.sqlite_schema").fetchone()
        except sqlite3.OperationalError:
            if path.with_name(f"{path.name}-wal").exists():
                raise  # immutable would overlook what the WAL holds
            self._must.execute("DETACH said")
            self._must.execute("ATTACH ? AS said", (f"{uri}?mode=ro&immutable=1",))

    def _said(self) -> tuple[int, int]:
        """Up to which record the file has come, and its mark; -2 if it will be made anew."""
        version = self._must.execute("PRAGMA said.user_version").fetchone()[0]
        if version != self._projection.version:
            return -2, 0
        upto, mark = self._must.execute("SELECT position, mark FROM said.upto").fetchone()
        return int(upto), int(mark)
