"""Questions to the ledger, each bounded in time.

Enters: ``<data>``. Leaves: parts with their gate decisions and images, counts, batches, events.
Every room may import this; it opens the files read-only and never delays the line. Parts are in the
order they were recorded; no answer is ordered by a clock.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self, TypeVar

from inspector.part import GateDecision, Mode, Outcome, PartId, Verdict
from inspector.store import layout, schema
from inspector.store.aside import DEFECT_AMONG, Aside, among
from inspector.store.cbor import plain
from inspector.store.errors import QueryTimeout, StoreDamaged
from inspector.store.records import (
    MODE_NUMBER,
    MODES,
    OUTCOMES,
    BatchChange,
    Defined,
    Definition,
    DeskRecord,
    Event,
    ImageRecord,
    Kind,
    Record,
)
from inspector.store.related import body_at, reading
from inspector.store.rows import part_prefix

BATCH_SPAN = "SELECT coalesce(min(first), 0), coalesce(max(last), -1) FROM tally WHERE batch = ?"
"""Position of the first part of a batch and of the last; 0 and -1 if it has none."""
_COUNT_DEFECT = "SELECT count(*) FROM defect WHERE shape = ? AND position BETWEEN ? AND ?"
_GATES = "SELECT position FROM gate WHERE stream = ? AND sequence = ? ORDER BY position"
_IMAGES = "SELECT position FROM image WHERE prefix = ? ORDER BY position"
# From shape to shape, without looking at what lies between: few shapes stand before many parts.
_DEFECT_SHAPES = (
    "WITH RECURSIVE s(shape) AS (SELECT min(shape) FROM defect UNION ALL"
    " SELECT (SELECT min(d.shape) FROM defect d WHERE d.shape > s.shape) FROM s"
    " WHERE s.shape IS NOT NULL) SELECT shape FROM s WHERE shape IS NOT NULL"
)

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class PartHistory:
    """Everything the line recorded about one part."""

    position: int
    """Of its verdict in the ledger."""
    verdict: Verdict
    gates: tuple[GateDecision, ...]
    images: tuple[ImageRecord, ...]


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """One batch in figures. Only mode ``auto`` counts as production."""

    id: str
    counts: dict[Outcome, int]
    """Of parts in mode ``auto``, and of those in by-pass that were not inspected; every outcome is
    there."""
    others: int
    """All other parts."""
    first_utc_ns: int
    last_utc_ns: int


class History:
    """A reader of both ledger files. One thread at a time."""

    def __init__(self, data_dir: Path | str, *, bound_s: float = 2.0) -> None:
        """
        Args:
            bound_s: a question that takes longer raises QueryTimeout.

        Raises:
            StoreError: there is no ledger, or it cannot be read.
        """
        self.data_dir = Path(data_dir)
        self._bound_s = bound_s
        self._line = schema.open_reader(self.data_dir / schema.LINE_FILE, busy_s=bound_s)
        self.definition = lru_cache(4096)(self._read_definition)
        """Gives the definition at a position."""
        self._stream_positions: dict[str, list[int]] = {}
        self._streams_upto = -1

    def close(self) -> None:
        """Lets go of the file."""
        self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def size(self) -> int:
        """Records in the line's ledger."""
        with self.line() as line:
            newest = line.execute("SELECT max(position) FROM main.record").fetchone()[0]
        return 0 if newest is None else newest + 1

    def counts(self, batch: str | None = None, mode: Mode = Mode.AUTO) -> dict[Outcome, int]:
        """Parts by outcome, of one batch or of all; from running totals, however many there are."""
        query = "SELECT outcome, sum(parts) FROM tally WHERE mode = ?"
        values: list[Any] = [MODE_NUMBER[mode]]
        if batch is not None:
            query += " AND batch = ?"
            values.append(batch)
        with self.line() as line:
            rows = line.execute(f"{query} GROUP BY outcome", values).fetchall()
        return dict.fromkeys(Outcome, 0) | {OUTCOMES[outcome]: parts for outcome, parts in rows}

    def gated(self) -> tuple[int, int]:
        """``(parts the gate was told about, those of them that it never acknowledged)``."""
        with self.line() as line:
            told = "SELECT count(*) FROM (SELECT DISTINCT stream, sequence FROM gate)"
            unheard = "SELECT count(*) FROM unacknowledged"
            return line.execute(told).fetchone()[0], line.execute(unheard).fetchone()[0]

    def batches(self, limit: int = 100) -> tuple[BatchSummary, ...]:
        """The batches that had parts last, newest first."""
        with self.line() as line:
            ids = line.execute(
                "SELECT batch FROM tally GROUP BY batch ORDER BY max(last) DESC LIMIT ?", (limit,)
            ).fetchall()
            return tuple([self._summary(line, batch) for (batch,) in ids])

    def batch(self, id: str) -> BatchSummary:
        """One batch; all counts are 0 where it had no part."""
        with self.line() as line:
            return self._summary(line, id)

    def batch_changes(self, limit: int = 100) -> tuple[BatchChange, ...]:
        """The newest beginnings and ends of batches, newest first."""
        newest = "SELECT position FROM batch ORDER BY position DESC LIMIT ?"
        return tuple([change for _, change in self.found(BatchChange, newest, limit)])

    def last(
        self, count: int = 1, *, faulty: bool = False, before: int | None = None
    ) -> tuple[PartHistory, ...]:
        """The newest parts, newest first.

        Args:
            faulty: only those that are no pass.
            before: only those recorded before this position, to page on.
        """
        table = "faulty" if faulty else "record"
        kind = "" if faulty else f" AND substr(body, 2, 1) = x'{Kind.VERDICT:02x}'"
        with self.line() as line:
            rows = line.execute(
                f"SELECT position FROM {table} WHERE position < ?{kind}"
                " ORDER BY position DESC LIMIT ?",
                (1 << 62 if before is None else before, count),
            ).fetchall()
            return self._parts(rows)

    def part(self, part_id: PartId) -> PartHistory | None:
        """The part with this id."""
        with self.line() as line:
            rows = line.execute(
                "SELECT position FROM part WHERE prefix = ? ORDER BY position",
                (part_prefix(part_id.bytes),),
            ).fetchall()
            for found in self._parts(rows):
                if found.verdict.part_id == part_id:
                    return found
        return None

    def by_sequence(self, stream: str, sequence: int) -> PartHistory | None:
        """The part with this number in this stream."""
        with self.line() as line:
            for at in self.streams().get(stream, ()):
                rows = line.execute(
                    "SELECT position FROM verdict WHERE stream = ? AND sequence = ?",
                    (at, sequence),
                ).fetchall()
                if rows:
                    return self._parts(rows)[0]
        return None

    def by_serial(self, serial: str, limit: int = 100) -> tuple[PartHistory, ...]:
        """Every part that carried this serial, newest first: two are a finding in themselves."""
        with self.line() as line:
            rows = line.execute(
                "SELECT position FROM serial WHERE serial = ? ORDER BY position DESC LIMIT ?",
                (plain(serial), limit),
            ).fetchall()
            return self._parts(rows)

    def defects(self, batch: str | None = None) -> dict[str, int]:
        """How many faulty parts had each label among what was wrong, most frequent first: of a
        batch those that were produced, else all.

        A part that has a label in two views, or from two tools, counts twice.
        """
        with self.line() as line:
            low, high = 0, 1 << 62
            apart: list[int] = []
            if batch is not None:
                low, high = line.execute(BATCH_SPAN, (batch,)).fetchone()
                aside = Aside(line, self.definition, low)
                apart = aside.besides(batch, (low, high))
            rows = [
                (
                    shape,
                    line.execute(_COUNT_DEFECT, (shape, low, high)).fetchone()[0]
                    - among(line, DEFECT_AMONG, (shape,), apart),
                )
                for (shape,) in line.execute(_DEFECT_SHAPES).fetchall()
            ]
        found: dict[str, int] = {}
        for shape, parts in rows:
            label = str(self.definition(shape).value[2])
            if parts:
                found[label] = found.get(label, 0) + parts
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def with_defect(
        self,
        label: str,
        batch: str | None = None,
        *,
        before: int | None = None,
        limit: int = 50,
    ) -> tuple[PartHistory, ...]:
        """The newest faulty parts that had this label among what was wrong, newest first.

        Args:
            batch: only this batch's parts.
            before: only those recorded before this position, to page on.
        """
        found: list[PartHistory] = []
        with self.line() as line:
            low, high = 0, 1 << 62
            if batch is not None:
                low, high = line.execute(BATCH_SPAN, (batch,)).fetchone()
            at = high + 1 if before is None else min(before, high + 1)
            shapes = [
                shape
                for (shape,) in line.execute(_DEFECT_SHAPES).fetchall()
                if self.definition(shape).value[2] == label
            ]
            while len(found) < limit:
                newest = {
                    position
                    for shape in shapes
                    for (position,) in line.execute(
                        "SELECT position FROM defect WHERE shape = ? AND position BETWEEN ? AND ?"
                        " ORDER BY position DESC LIMIT ?",
                        (shape, low, at - 1, limit),
                    )
                }
                # each shape's newest ``limit`` together hold the newest ``limit`` of all
                portion = sorted(newest, reverse=True)[:limit]
                for part in self._parts([(position,) for position in portion]):
                    if batch is None or part.verdict.batch == batch:
                        found.append(part)
                if len(portion) < limit:
                    break
                at = portion[-1]
        return tuple(found[:limit])

    def events(self, kind: str | None = None, limit: int = 100) -> tuple[Event, ...]:
        """The line's newest events, newest first."""
        where, values = ("", ()) if kind is None else (" WHERE kind = ?", (kind,))
        newest = f"SELECT position FROM event{where} ORDER BY position DESC LIMIT ?"
        found = self.found(Event, newest, *values, limit)
        return tuple([event for _, event in found])

    def desk(self, kind: str | None = None, limit: int = 100) -> tuple[DeskRecord, ...]:
        """The desk's newest records, newest first."""
        path = self.data_dir / schema.DESK_FILE
        if not path.exists():
            return ()
        where, values = ("", ()) if kind is None else (" WHERE kind = ?", (kind,))
        with reading(path) as desk, self._bounded(desk):
            rows = desk.execute(
                "SELECT body FROM record WHERE position IN (SELECT position FROM event"
                f"{where} ORDER BY position DESC LIMIT ?) ORDER BY position DESC",
                (*values, limit),
            ).fetchall()
        return tuple([layout.desk_record(body) for (body,) in rows])

    # For rooms of the store that ask in words of their own: what is read, is within `line`.

    @contextmanager
    def line(self) -> Iterator[sqlite3.Connection]:
        """The line's ledger, for questions that take no longer than ``bound_s``.

        Raises:
            QueryTimeout: they do.
            StoreDamaged: it cannot be read.
        """
        with self._bounded(self._line):
            yield self._line

    def found(self, of: type[R], query: str, *values: Any) -> list[tuple[int, R]]:
        """The records of a kind at the positions that a query of the indexes gives, with these."""
        with self.line():
            return self._found(of, query, *values)

    def streams(self) -> dict[str, list[int]]:
        """The positions of each stream's definition, oldest first; what was read once is not read
        again."""
        for position, what in self._line.execute(
            "SELECT position, what FROM definition WHERE position > ? ORDER BY position",
            (self._streams_upto,),
        ).fetchall():
            self._streams_upto = position
            if what == Defined.STREAM:
                name = str(self.definition(position).value[0])
                self._stream_positions.setdefault(name, []).append(position)
        return self._stream_positions

    def part_at(self, position: int) -> PartHistory:
        """The part whose verdict stands at a position."""
        body = self.body(position)
        verdict = layout.decode_record(body, self.definition)
        if not isinstance(verdict, Verdict):
            raise StoreDamaged(f"record {position} is no verdict; run: inspector verify")
        stream = self.definition(layout.fields_of(body)[2]).value[0]
        gates = self._found(GateDecision, _GATES, stream, verdict.sequence)
        images = self._found(ImageRecord, _IMAGES, part_prefix(verdict.part_id.bytes))
        return PartHistory(
            position,
            verdict,
            tuple([gate for _, gate in gates]),
            tuple([image for _, image in images if image.part_id == verdict.part_id]),
        )

    def record(self, position: int) -> Record:
        """The record at a position."""
        return layout.decode_record(self.body(position), self.definition)

    def body(self, position: int) -> bytes:
        """Its bytes. Raises ``StoreDamaged`` if there are none."""
        return body_at(self._line, position)

    # Inside.

    @contextmanager
    def _bounded(self, connection: sqlite3.Connection) -> Iterator[None]:
        end = time.monotonic() + self._bound_s
        connection.set_progress_handler(lambda: time.monotonic() > end, 2000)
        try:
            yield
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
                raise QueryTimeout(
                    f"{self.data_dir}: not answered within {self._bound_s:g} s; ask for less"
                ) from None
            raise StoreDamaged(f"{self.data_dir}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StoreDamaged(f"{self.data_dir}: {error}; run: inspector verify") from error
        finally:
            connection.set_progress_handler(None, 0)

    def _summary(self, line: sqlite3.Connection, batch: str) -> BatchSummary:
        counts = dict.fromkeys(Outcome, 0)
        others = 0
        first, last = 1 << 62, 0
        for mode, outcome, parts, first_utc, last_utc in line.execute(
            "SELECT mode, outcome, parts, first_utc, last_utc FROM tally WHERE batch = ?", (batch,)
        ):
            if MODES[mode] is Mode.AUTO or OUTCOMES[outcome] is Outcome.NOT_INSPECTED:
                counts[OUTCOMES[outcome]] += parts
            else:
                others += parts
            first, last = min(first, first_utc), max(last, last_utc)
        return BatchSummary(batch, counts, others, first, last)

    def _found(self, of: type[R], query: str, *values: Any) -> list[tuple[int, R]]:
        rows = self._line.execute(query, values).fetchall()
        records = [(position, self.record(position)) for (position,) in rows]
        return [(position, record) for position, record in records if isinstance(record, of)]

    def _parts(self, rows: Sequence[tuple[int]]) -> tuple[PartHistory, ...]:
        return tuple([self.part_at(position) for (position,) in rows])

    def _read_definition(self, position: int) -> Definition:
        return layout.definition(self.body(position))
