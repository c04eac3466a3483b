"""What went into a batch, what its parts were packed into, and where that went (S11, S14).

Enters: desk records of kind ``link``. Leaves: material lots of a batch and batches of a material
lot, the unit that holds a part or a unit, what a unit holds, where units were sent. Every room may
import this. The records are the truth; ``<data>/genealogy.db`` is an index of them (`deskindex`).

A body's ``relation`` says which:

- ``consumed``: ``batch``, ``material``, ``lot``, ``supplier``, and ``from`` and ``to`` (UTC ns;
  null: from its beginning, to its end).
- ``packed``: ``unit`` (an SSCC, or any name), ``level`` (``case``, ``pallet`` …), ``units`` that it
  holds, ``serials``, ``runs`` (``[stream, first, last]``, of the serials' parts too), and
  ``batches`` of the parts in it. A part or a unit that is packed again is where it was packed last.
- ``unpacked``: ``unit``; it holds nothing any more.
- ``shipped``: ``units``, ``destination`` (a GLN, or any name), ``at`` (UTC ns), ``document``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector.store.deskindex import DeskIndex, Projection
from inspector.store.holds import Run, overlapping, runs_of
from inspector.store.records import DeskRecord

KIND = "link"
"""The kind of these desk records."""
VERSION = 2
PORTION = 500
"""Names that one query asks for."""
DEPTH = 16
"""Units within units: more is a circle."""
_TABLES = """
CREATE TABLE consumed (position INTEGER PRIMARY KEY, batch TEXT, material TEXT, lot TEXT,
  supplier TEXT, from_ns INTEGER, to_ns INTEGER);
CREATE INDEX consumed_lot ON consumed (lot, material);
CREATE INDEX consumed_batch ON consumed (batch);
CREATE TABLE unit (id TEXT PRIMARY KEY, level TEXT, parent TEXT, position INTEGER) WITHOUT ROWID;
CREATE INDEX unit_parent ON unit (parent);
CREATE TABLE content (stream TEXT, first INTEGER, last INTEGER, unit TEXT,
  PRIMARY KEY (stream, first)) WITHOUT ROWID;
CREATE INDEX content_unit ON content (unit);
CREATE TABLE made (batch TEXT, unit TEXT, PRIMARY KEY (batch, unit)) WITHOUT ROWID;
CREATE INDEX made_unit ON made (unit);
CREATE TABLE shipped (unit TEXT, position INTEGER, destination TEXT, document TEXT, at_ns INTEGER,
  PRIMARY KEY (unit, position)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Consumed:
    """A material lot that went into a batch."""

    batch: str
    material: str
    lot: str
    supplier: str
    from_ns: int | None
    """UTC; None: from the batch's beginning …"""
    to_ns: int | None
    """… to its end; not included."""
    position: int
    """Of the desk's record."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """Where a unit was sent."""

    destination: str
    document: str
    at_ns: int
    position: int


@dataclass(frozen=True, slots=True)
class Unit:
    """A case, a pallet, any packed unit."""

    id: str
    level: str
    parent: str
    """The unit that holds it; empty where none does."""
    shipped: Shipped | None
    """Its own last shipment, or that of what holds it."""


class Genealogy(DeskIndex):
    """The links of a station. Safe to share between threads."""

    def __init__(self, data_dir: Path | str) -> None:
        """Raises ``StoreError`` if the disk does not let us."""
        super().__init__(Path(data_dir), PROJECTION)

    def materials_of(self, batch: str) -> tuple[Consumed, ...]:
        """What went into a batch, in the order it was told."""
        return self._consumed("batch = ?", (batch,))

    def batches_of(self, lot: str, material: str = "") -> tuple[Consumed, ...]:
        """The batches that a material lot went into; of any material where none is named."""
        where, values = ("lot = ? AND material = ?", (lot, material)) if material else (
            "lot = ?", (lot,))  # fmt: skip
        return self._consumed(where, values)

    def unit(self, id: str) -> Unit | None:
        """A unit by its name."""
        with self.current() as index:
            return _unit(index, id)

    def units_of_batch(self, batch: str) -> tuple[Unit, ...]:
        """The units that hold parts of a batch, and the units around them; all of them, for a
        recall misses none: of a million parts in boxes of six there are 170,000."""
        with self.current() as index:
            rows = index.execute(
                "SELECT unit FROM made WHERE batch = ? ORDER BY unit", (batch,)
            ).fetchall()
            return _with_parents(index, [id for (id,) in rows])

    def units_of_runs(self, runs: Iterable[Run]) -> tuple[Unit, ...]:
        """The units that hold parts of ``runs``, and the units around them."""
        found: dict[str, None] = {}
        with self.current() as index:
            for run in runs:
                rows = overlapping(index, "unit", "content", run)
                found |= dict.fromkeys(id for (id,) in rows)
            return _with_parents(index, list(found))

    def holder(self, stream: str, sequence: int) -> tuple[Unit, ...]:
        """The units around a part, the innermost first."""
        with self.current() as index:
            rows = overlapping(index, "unit", "content", Run(stream, sequence, sequence))
            return _with_parents(index, [unit for (unit,) in rows])

    def inside(self, id: str) -> tuple[tuple[Unit, ...], tuple[Run, ...]]:
        """All units within a unit, however deep, and the parts in them; it comes first itself."""
        with self.current() as index:
            ids = [
                found
                for (found,) in index.execute(
                    "WITH RECURSIVE i(id, depth) AS (VALUES (?, 0) UNION SELECT u.id, depth + 1"
                    " FROM unit u JOIN i ON u.parent = i.id WHERE depth < ?)"
                    " SELECT DISTINCT id FROM i",
                    (id, DEPTH),
                )
            ]
            runs = [
                Run(*row)
                for unit in ids
                for row in index.execute(
                    "SELECT stream, first, last FROM content WHERE unit = ?", (unit,)
                )
            ]
            around = {unit.id: unit for unit in _with_parents(index, ids)}
        return tuple([around[id] for id in ids if id in around]), tuple(joined(runs))

    def contents(self, batch: str) -> tuple[tuple[Run, str], ...]:
        """The runs of parts in the units that hold parts of a batch, in order, each with its
        unit; parts of other batches in those units are among them."""
        with self.current() as index:
            rows = index.execute(
                "SELECT stream, first, last, unit FROM content WHERE unit IN"
                " (SELECT unit FROM made WHERE batch = ?) ORDER BY stream, first",
                (batch,),
            ).fetchall()
        return tuple([(Run(*row[:3]), str(row[3])) for row in rows])

    def packed_ns(self, id: str) -> int:
        """When the unit was last named by a link, UTC ns; 0 if it never was."""
        with self.current() as index:
            row = index.execute("SELECT position FROM unit WHERE id = ?", (id,)).fetchone()
        return 0 if row is None else self.record(row[0]).utc_ns

    def batches_in(self, id: str) -> tuple[str, ...]:
        """The batches of the parts that were packed into a unit itself."""
        with self.current() as index:
            rows = index.execute("SELECT batch FROM made WHERE unit = ? ORDER BY batch", (id,))
            return tuple([batch for (batch,) in rows])

    def _consumed(self, where: str, values: tuple[str, ...]) -> tuple[Consumed, ...]:
        with self.current() as index:
            rows = index.execute(
                "SELECT batch, material, lot, supplier, from_ns, to_ns, position FROM consumed"
                f" WHERE {where} ORDER BY position",
                values,
            ).fetchall()
        return tuple([Consumed(*row) for row in rows])


def joined(runs: Iterable[Run]) -> Iterator[Run]:
    """The same parts in as few runs as there can be, in order."""
    last: Run | None = None
    for run in sorted(runs):
        if last is not None and run.stream == last.stream and run.first <= last.last + 1:
            last = Run(last.stream, last.first, max(last.last, run.last))
            continue
        if last is not None:
            yield last
        last = run
    if last is not None:
        yield last


def _unit(index: sqlite3.Connection, id: str) -> Unit | None:
    return next((unit for unit in _with_parents(index, [id]) if unit.id == id), None)


def _with_parents(index: sqlite3.Connection, ids: list[str]) -> tuple[Unit, ...]:
    """The units ``ids`` and all around them, each with its own last shipment or that of the nearest
    unit around it that was sent."""
    known: dict[str, tuple[str, str]] = {}
    sent: dict[str, Shipped] = {}
    asked = dict.fromkeys(ids)
    for _ in range(DEPTH):
        rows = list(_in(index, "SELECT id, level, parent FROM unit WHERE id IN", asked))
        known |= {id: (level, parent) for id, level, parent in rows}
        for unit, *shipment in _in(
            index,
            "SELECT unit, destination, document, at_ns, position FROM shipped WHERE unit IN",
            asked,
        ):
            shipped = Shipped(*shipment)
            if unit not in sent or shipped.position > sent[unit].position:
                sent[unit] = shipped
        asked = {parent: None for _, _, parent in rows if parent and parent not in known}
        if not asked:
            break
    return tuple([Unit(id, *known[id], _nearest(id, known, sent)) for id in known])


def _nearest(
    id: str, known: dict[str, tuple[str, str]], sent: dict[str, Shipped]
) -> Shipped | None:
    for _ in range(DEPTH):
        if id in sent:
            return sent[id]
        id = known.get(id, ("", ""))[1]
    return None


def _in(index: sqlite3.Connection, query: str, values: Iterable[str]) -> Iterator[tuple[Any, ...]]:
    listed = list(values)
    for start in range(0, len(listed), PORTION):
        portion = listed[start : start + PORTION]
        yield from index.execute(f"{query} ({', '.join('?' * len(portion))})", portion).fetchall()


def _apply(index: sqlite3.Connection, position: int, record: DeskRecord) -> None:
    if record.kind != KIND:
        return
    body = record.body
    match body["relation"]:
        case "consumed":
            index.execute(
                "INSERT INTO consumed VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    position, str(body["batch"]), str(body["material"]), str(body["lot"]),
                    str(body.get("supplier", "")), body.get("from"), body.get("to"),
                ),
            )  # fmt: skip
        case "packed":
            _pack(index, position, record)
        case "unpacked":
            _empty(index, str(body["unit"]))
        case "shipped":
            index.executemany(
                "INSERT OR REPLACE INTO shipped VALUES (?, ?, ?, ?, ?)",
                [
                    (str(unit), position, str(body["destination"]), str(body.get("document", "")),
                     int(body["at"]))
                    for unit in body["units"]
                ],
            )  # fmt: skip
        case relation:
            raise ValueError(f"no relation {relation!r}")


def _pack(index: sqlite3.Connection, position: int, record: DeskRecord) -> None:
    body, unit = record.body, str(record.body["unit"])
    level = str(body.get("level", ""))
    index.execute(
        "INSERT INTO unit VALUES (?, ?, '', ?) ON CONFLICT DO UPDATE SET"
        " level = excluded.level, position = excluded.position",
        (unit, level, position),
    )
    for child in body.get("units", ()):
        index.execute(
            "INSERT INTO unit VALUES (?, '', ?, ?) ON CONFLICT DO UPDATE SET"
            " parent = excluded.parent",
            (str(child), unit, position),
        )
    for run in runs_of(body):
        _put(index, run, unit)
    index.executemany(
        "INSERT OR IGNORE INTO made VALUES (?, ?)",
        [(str(batch), unit) for batch in body.get("batches", ())],
    )


def _put(index: sqlite3.Connection, run: Run, unit: str) -> None:
    """The parts are in ``unit`` now, and nowhere else; what sticks out stays where it was."""
    pieces = [(run.first, run.last, unit)]
    for first, last, was in overlapping(index, "first, last, unit", "content", run):
        index.execute("DELETE FROM content WHERE stream = ? AND first = ?", (run.stream, first))
        pieces += [(first, run.first - 1, was), (run.last + 1, last, was)]
    index.executemany(
        "INSERT INTO content VALUES (?, ?, ?, ?)",
        [(run.stream, *piece) for piece in pieces if piece[0] <= piece[1]],
    )


def _empty(index: sqlite3.Connection, unit: str) -> None:
    index.execute("DELETE FROM content WHERE unit = ?", (unit,))
    index.execute("DELETE FROM made WHERE unit = ?", (unit,))
    index.execute("UPDATE unit SET parent = '' WHERE parent = ?", (unit,))


PROJECTION = Projection("genealogy.db", VERSION, _TABLES, _apply)
