"""What people and the MES decided about parts after their verdict, as it stands now.

Enters: the desk's records of kind ``disposition``. Leaves: for a part and for a batch the
disposition that holds, and every hold. Every room may import this. The records are the truth;
``<data>/holds.db`` is an index of them (`deskindex`).

A ``disposition`` record's body has ``disposition`` (`inspector.part.Disposition`), ``reason``,
``requester``, and either ``runs``, a list of ``[stream, first, last]``, or ``batch``, or (a recall)
``runs`` and ``batches``; other fields are the writer's own. What holds is what the newest record
says, with two rules that fail safe: scrap is final, and the release of a batch releases no part
that is held for itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector.part import Disposition
from inspector.store.deskindex import DeskIndex, Projection
from inspector.store.records import DeskRecord

KIND = "disposition"
"""The kind of these desk records."""
VERSION = 3
U32 = 0xFFFF_FFFF
_TABLES = """
CREATE TABLE part (stream TEXT, first INTEGER, last INTEGER, disposition TEXT, position INTEGER,
  PRIMARY KEY (stream, first)) WITHOUT ROWID;
CREATE TABLE batch (id TEXT PRIMARY KEY, disposition TEXT, position INTEGER) WITHOUT ROWID;
CREATE INDEX part_position ON part (position);
CREATE INDEX batch_position ON batch (position);
"""


@dataclass(frozen=True, slots=True, order=True)
class Run:
    """Parts that stand in one row: numbers ``first`` to ``last``, both included, of a stream."""

    stream: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A disposition that holds."""

    disposition: Disposition
    position: int
    """Of the desk's record that says so."""
    run: Run | None = None
    """The parts it holds for; None where it holds for a whole batch …"""
    batch: str = ""
    """… which is this one."""


class Holds(DeskIndex):
    """The dispositions of a station. Safe to share between threads."""

    def __init__(self, data_dir: Path | str) -> None:
        """Raises ``StoreError`` if the disk does not let us."""
        super().__init__(Path(data_dir), PROJECTION)

    def of_part(self, stream: str, sequence: int, batch: str = "") -> Standing | None:
        """What holds for a part: its own disposition, or the hold of its batch where that is
        stricter; None if nobody ever decided anything."""
        with self.current() as index:
            row = index.execute(
                "SELECT stream, first, last, disposition, position FROM part"
                " WHERE stream = ? AND first <= ? ORDER BY first DESC LIMIT 1",
                (stream, sequence),
            ).fetchone()
        own = _standing(row) if row is not None and row[2] >= sequence else None
        if own is not None and own.disposition is not Disposition.RELEASE:
            return own
        whole = self.of_batch(batch) if batch else None
        return whole if whole is not None and (own is None or _stops(whole)) else own

    def of_batch(self, batch: str) -> Standing | None:
        """What was decided last about a whole batch."""
        with self.current() as index:
            row = index.execute(
                "SELECT disposition, position FROM batch WHERE id = ?", (batch,)
            ).fetchone()
        return None if row is None else Standing(Disposition(row[0]), row[1], None, batch)

    def scrapped(self, run: Run) -> bool:
        """Whether a part of ``run`` is scrapped."""
        with self.current() as index:
            return any(row[3] == Disposition.SCRAP for row in _overlapping(index, run))

    def held_in(self, run: Run) -> bool:
        """Whether a part of ``run`` is on hold."""
        with self.current() as index:
            return any(row[3] == Disposition.HOLD for row in _overlapping(index, run))

    def standing(
        self, disposition: Disposition = Disposition.HOLD, *, before: int = 1 << 62,
        limit: int = 100,
    ) -> tuple[Standing, ...]:  # fmt: skip
        """What is on hold now (or scrapped …), newest decision first.

        Args:
            before: only decisions recorded at the desk before this position, to page on; the
                answer ends between two records, so it may be longer than ``limit``.
        """
        with self.current() as index:
            last = index.execute(
                "SELECT min(position) FROM (SELECT position FROM"
                " (SELECT position FROM part WHERE disposition = :d AND position < :b UNION ALL"
                "  SELECT position FROM batch WHERE disposition = :d AND position < :b)"
                " ORDER BY position DESC LIMIT :n)",
                {"d": disposition, "b": before, "n": limit},
            ).fetchone()[0]
            if last is None:
                return ()
            parts = index.execute(
                "SELECT stream, first, last, disposition, position FROM part"
                " WHERE disposition = ? AND position >= ? AND position < ?",
                (disposition, last, before),
            ).fetchall()
            batches = index.execute(
                "SELECT disposition, position, id FROM batch"
                " WHERE disposition = ? AND position >= ? AND position < ?",
                (disposition, last, before),
            ).fetchall()
        found = [_standing(row) for row in parts]
        found += [Standing(Disposition(d), position, None, id) for d, position, id in batches]
        return tuple(sorted(found, key=lambda s: (-s.position, s.batch, s.run or Run("", 0, 0))))


def still_held(
    records: Iterable[DeskRecord], runs: Iterable[Run], batches: Iterable[str]
) -> tuple[list[Run], list[str]]:
    """What of ``runs`` and of ``batches`` would be on hold, or wait for rework, if of all decisions
    only ``records`` had been taken, oldest first."""
    stops = (Disposition.HOLD, Disposition.REWORK)
    with closing(sqlite3.connect(":memory:")) as index:
        PROJECTION.create(index)
        for position, record in enumerate(records):
            PROJECTION.take(index, position, record)
        parts = [
            Run(stream, max(first, run.first), min(last, run.last))
            for run in runs
            for stream, first, last, stands, _ in _overlapping(index, run)
            if stands in stops
        ]
        whole = dict(index.execute("SELECT id, disposition FROM batch").fetchall())
    return parts, [batch for batch in batches if whole.get(batch) in stops]


def runs_of(body: Mapping[str, Any]) -> list[Run]:
    """The ``runs`` of a record's body. Raises ValueError or TypeError where they are none."""
    runs = [Run(str(s), int(first), int(last)) for s, first, last in body.get("runs", ())]
    if any(not 0 <= run.first <= run.last <= U32 for run in runs):
        raise ValueError("a run goes from a part number to a higher one")
    return runs


def _stops(standing: Standing) -> bool:
    return standing.disposition is not Disposition.RELEASE


def _standing(row: tuple[str, int, int, str, int]) -> Standing:
    stream, first, last, disposition, position = row
    return Standing(Disposition(disposition), position, Run(stream, first, last))


def _apply(index: sqlite3.Connection, position: int, record: DeskRecord) -> None:
    if record.kind != KIND:
        return
    disposition = Disposition(record.body["disposition"])
    runs = runs_of(record.body)
    for run in runs:
        _cover(index, run, disposition, position)
    batches = list(record.body.get("batches", ()))
    if record.body.get("batch") and not runs:
        batches.append(record.body["batch"])
    for batch in batches:
        index.execute(
            "INSERT INTO batch VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET"
            " disposition = excluded.disposition, position = excluded.position"
            " WHERE disposition <> 'scrap'",
            (str(batch), disposition, position),
        )


def overlapping(index: sqlite3.Connection, columns: str, table: str, run: Run) -> list[Any]:
    """The rows of a table of runs that share a part with ``run``, in order. Its runs never overlap
    each other, so at most one that begins before this one reaches into it."""
    return index.execute(
        f"SELECT {columns} FROM {table} WHERE stream = :s AND first >= coalesce("
        f"(SELECT max(first) FROM {table} WHERE stream = :s AND first <= :f), 0)"
        " AND first <= :l AND last >= :f ORDER BY first",
        {"s": run.stream, "f": run.first, "l": run.last},
    ).fetchall()


def _overlapping(index: sqlite3.Connection, run: Run) -> list[tuple[str, int, int, str, int]]:
    return overlapping(index, "stream, first, last, disposition, position", "part", run)


def _cover(index: sqlite3.Connection, run: Run, disposition: Disposition, position: int) -> None:
    """Lay ``run`` over what is there; what sticks out stays, and so does scrap."""
    free = run.first
    pieces: list[tuple[str, int, int, str, int]] = []
    for stream, first, last, was, at in _overlapping(index, run):
        if was == Disposition.SCRAP:
            if free < first:
                pieces.append((stream, free, first - 1, disposition, position))
            free = max(free, last + 1)
            continue
        index.execute("DELETE FROM part WHERE stream = ? AND first = ?", (stream, first))
        if first < run.first:
            pieces.append((stream, first, run.first - 1, was, at))
        if last > run.last:
            pieces.append((stream, run.last + 1, last, was, at))
    if free <= run.last:
        pieces.append((run.stream, free, run.last, disposition, position))
    index.executemany("INSERT INTO part VALUES (?, ?, ?, ?, ?)", pieces)


PROJECTION = Projection("holds.db", VERSION, _TABLES, _apply)
