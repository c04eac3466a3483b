"""The walk through line.db's indexes: what pages, searches and recalls find, against the records.

Enters: the fields of every record as `walk` meets them, then the tables. Leaves: problems in the
report, one for each table, and the command that mends it. Only `walk` imports this.

`indexes` compares the tables that only ever grow. Two others are rewritten as the line goes on, and
are compared in ways of their own: ``tally`` is read in the moment that says how far this walk goes,
and ``unacknowledged`` is asked about each decision that nobody acknowledged.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from inspector.store import layout, schema
from inspector.store.errors import RecordError
from inspector.store.indexes import MEND, Indexes, Row, slices, tables_of
from inspector.store.records import MODES, OUTCOMES, Kind, Lookup
from inspector.store.report import Report, Told
from inspector.store.rows import Rows, index_rows
from inspector.store.stretch import read_records

OWED = "unacknowledged"
_SLICE = 2000
_NAMES: tuple[dict[Any, str], ...] = (
    {number: str(mode) for number, mode in enumerate(MODES)},
    {number: str(outcome) for number, outcome in enumerate(OUTCOMES)},
)


class LineIndexes:
    """The indexes of line.db, of the records below ``end``."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        report: Report,
        end: int,
        lookup: Lookup,
    ) -> None:
        """Reads the counts: the caller holds the transaction in which he found ``end``."""
        self._connection = connection
        self._report = report
        self._lookup = lookup
        tables = tables_of(schema.create_indexes())
        self._owed = tables.pop(OWED)
        self._indexes = Indexes(tables.values(), end)
        self._rows = Rows()
        self._tallied: dict[Row, Row] = {}
        self._unread: dict[str, str] = {}  # table -> why it cannot be read
        self._unowed: int | None = None  # the first decision that is owed and not in the table
        try:
            self._tallied = _tallies(connection)
        except sqlite3.Error as error:
            self._unread["tally"] = str(error)

    def record(self, position: int, fields: list[Any]) -> None:
        """What this record says to the indexes. Raises what `index_rows` raises."""
        index_rows(self._rows, position, fields, self._value, self._is_good)
        if position % _SLICE == 0:
            self._flush()

    def run(self, told: Told) -> None:
        """Compares them all; every record must have been given."""
        self._flush()
        self._connection.text_factory = str
        self._indexes.compare(self._connection, self._rows_of, self._say, told)
        self._owing()
        self._counts()
        for table, why in self._unread.items():
            self._say(table, f"cannot be read: {why}")

    def _say(self, table: str, what: str, lacking: Row | None = None) -> None:
        if table == "verdict" and lacking is not None:
            stream, sequence, position = lacking
            other = self._verdict_of(stream, sequence)
            if other is not None:
                self._report.add(
                    f"line.db record {position}",
                    f"is a second verdict of part {sequence} of stream"
                    f" {self._value(stream)[0]} (record {other} is the other)",
                )
                return
        self._report.add(f"line.db index {table}", f"{what}; {MEND}")

    def _verdict_of(self, stream: int, sequence: int) -> int | None:
        """The record that the index has for this number, if the record says so too."""
        row = self._connection.execute(
            "SELECT position FROM verdict WHERE stream = ? AND sequence = ?", (stream, sequence)
        ).fetchone()
        if row is None or type(row[0]) is not int:
            return None
        said = self._rows_of(row[0], row[0] + 1).index.get("verdict", ())
        return row[0] if (stream, sequence, row[0]) in said else None

    def _value(self, position: int) -> tuple[Any, ...]:
        return self._lookup(position).value

    def _is_good(self, position: int) -> bool:
        return bool(self._lookup(position).value[3])

    def _rows_of(self, first: int, end: int) -> Rows:
        rows = Rows()
        for position, _, body in read_records(self._connection, first, end):
            index_rows(rows, position, layout.fields_of(body), self._value, self._is_good)
        return rows

    def _flush(self) -> None:
        self._indexes.take(self._rows)
        for (stream, sequence), position in self._rows.owed.items():
            if position is not None and not self._is_owed(stream, sequence, position):
                self._unowed = position if self._unowed is None else self._unowed
        self._rows.owed.clear()

    def _is_owed(self, stream: int, sequence: int, position: int) -> bool:
        """Whether the table has it, or a later decision about the part took its place by now."""
        try:
            return bool(
                self._connection.execute(
                    f"SELECT EXISTS (SELECT 1 FROM {OWED} WHERE stream = ?1 AND sequence = ?2"
                    " AND position = ?3) OR EXISTS (SELECT 1 FROM gate WHERE stream = ?1"
                    " AND sequence = ?2 AND position > ?3)",
                    (stream, sequence, position),
                ).fetchone()[0]
            )
        except (sqlite3.Error, OverflowError) as error:
            self._unread[OWED] = str(error)
            return True

    def _owing(self) -> None:
        """Each row is the newest decision about its part, and nobody acknowledged it."""
        try:
            self._connection.execute("BEGIN")  # what a row means changes with the next commit
            for rows in slices(self._connection, self._owed):
                wrong = next((row for row in rows if not self._is_unheard(*row)), None)
                if wrong is not None:
                    what = (
                        f"has {wrong[2]!r:.40} as a decision that nobody acknowledged; it is none"
                    )
                    self._say(OWED, what)
                    break
            self._connection.execute("COMMIT")
        except (sqlite3.Error, UnicodeError) as error:
            self._unread[OWED] = str(error)
        if self._unowed is not None:
            what = f"lacks record {self._unowed}, a decision that nobody acknowledged"
            self._say(OWED, what)

    def _is_unheard(self, stream: Any, sequence: Any, position: Any) -> bool:
        newest = self._connection.execute(
            "SELECT max(position) FROM gate WHERE stream = ? AND sequence = ?", (stream, sequence)
        ).fetchone()[0]
        body = self._connection.execute(
            "SELECT body FROM record WHERE position = ?", (position,)
        ).fetchone()
        if body is None or newest != position:
            return False
        try:
            fields = layout.fields_of(body[0])
            return [fields[0], *fields[2:4], fields[7]] == [Kind.GATE, stream, sequence, None]
        except (RecordError, TypeError, IndexError):
            return False

    def _counts(self) -> None:
        """What pages count a batch's parts by."""
        if "tally" in self._unread:
            return
        recorded = {key: tuple(tally) for key, tally in self._rows.tallies.items()}
        by_record: list[Any] = []
        for key in sorted(self._tallied.keys() | recorded.keys(), key=repr):
            said, should = self._tallied.get(key), recorded.get(key)
            if said is not None and should is not None and _is_by_record(said, should):
                by_record.append(key[0])
            elif said != should:
                mode, outcome = (names.get(n, n) for names, n in zip(_NAMES, key[1:], strict=True))
                parts, right = (said or (0,))[0], (should or (0,))[0]
                span = ", not the first to the last" if parts == right else ""
                self._say(
                    "tally",
                    f"counts {parts!r} parts of batch {key[0]!r}, mode {mode}, {outcome}:"
                    f" {right} are recorded{span}",
                )
                break
        if by_record:
            self._report.unknown.append(
                f"line.db index tally: of batch {by_record[0]!r} it has the times of the parts that"
                " were recorded first and last, as an earlier version kept them, and not of the"
                f" earliest and the latest: a recall by time may miss some; {MEND}"
            )


def _is_by_record(said: Row, should: Row) -> bool:
    """Whether a row differs only in its times: an earlier version kept those of the first and the
    last part on record, and parts are recorded a little out of order."""
    low, high = should[3:]
    times = all(type(ns) is int and low <= ns <= high for ns in said[3:])
    return times and said[:3] == should[:3] and said[3:] != should[3:]


def _tallies(connection: sqlite3.Connection) -> dict[Row, Row]:
    """The table of counts as it is; whatever stands in it."""
    rows = connection.execute(
        "SELECT batch, mode, outcome, parts, first, last, first_utc, last_utc FROM tally"
    )
    return {tuple(map(_text, row[:3])): tuple(map(_text, row[3:])) for row in rows}


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytearray) else value
