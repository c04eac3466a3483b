"""Which records belong together: those of one part, those of one batch.

Enters: a read-only connection to line.db, a part or a batch. Leaves: positions, and records by
position. Proofs, packages and exports use it; only `inspector.store` imports this.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector.part import Verdict
from inspector.store import layout, schema
from inspector.store.errors import StoreDamaged
from inspector.store.records import Defined, Definition, DeskRecord, Kind, Lookup
from inspector.store.rows import part_prefix
from inspector.store.stretch import onwards, read_records


@dataclass(frozen=True, slots=True)
class BatchRange:
    """Where a batch lies in line.db."""

    batch: str
    contexts: frozenset[int]
    """Positions of the contexts that name it."""
    first: int
    """Position of its first verdict …"""
    last: int
    """… and of its last."""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A ledger file, read-only, for as long as it takes.

    Raises:
        StoreError: it is not there.
        StoreDamaged: it cannot be read.
    """
    connection = schema.open_reader(path)
    try:
        yield connection
    except (sqlite3.Error, UnicodeError) as error:
        raise StoreDamaged(f"{path}: {error}; run: inspector verify") from error
    finally:
        connection.close()


def body_at(line: sqlite3.Connection, position: int) -> bytes:
    """The bytes of one record.

    Raises:
        StoreDamaged: it is not there.
    """
    row = line.execute("SELECT body FROM record WHERE position = ?", (position,)).fetchone()
    if row is None or not isinstance(row[0], bytes):
        raise StoreDamaged(f"record {position} is not here; run: inspector verify")
    return row[0]


def lookup_in(body_of: Callable[[int], bytes]) -> Lookup:
    """A lookup of definitions among records that ``body_of`` gives by position."""
    known: dict[int, Definition] = {}

    def lookup(position: int) -> Definition:
        found = known.get(position)
        if found is None:
            found = known[position] = layout.definition(body_of(position))
        return found

    return lookup


def definitions_of(fields: list[Any], lookup: Lookup) -> set[int]:
    """The positions of the definitions that a record (`layout.fields_of`) refers to."""
    if fields[0] == Kind.VERDICT:
        context = fields[2]
        return {context, lookup(context).value[0], *(finding[0] for finding in fields[10])}
    return {fields[2]} if fields[0] == Kind.GATE else set()


def part_positions(line: sqlite3.Connection, verdict: int, lookup: Lookup) -> set[int]:
    """A part's verdict, its gate decisions, its images, and the definitions that they refer to."""
    fields = layout.fields_of(body_at(line, verdict))
    stream = lookup(fields[2]).value[0]
    found = {verdict, *definitions_of(fields, lookup)}
    found.update(_column(line, _GATES, (stream, fields[3])))
    for position in _column(line, _IMAGES, (part_prefix(fields[5]),)):
        if layout.fields_of(body_at(line, position))[2] == fields[5]:
            found.add(position)
    return found


_GATES = "SELECT position FROM gate WHERE stream = ? AND sequence = ?"
_IMAGES = "SELECT position FROM image WHERE prefix = ?"


def batch_range(line: sqlite3.Connection, batch: str) -> BatchRange | None:
    """Where a batch lies; None if it has no part."""
    first, last = line.execute(
        "SELECT min(first), max(last) FROM tally WHERE batch = ?", (batch,)
    ).fetchone()
    if first is None:
        return None
    contexts = set()
    for (position,) in line.execute(
        "SELECT position FROM definition WHERE what = ? AND position < ?",
        (int(Defined.CONTEXT), last),
    ).fetchall():
        if layout.fields_of(body_at(line, position))[3][3] == batch:
            contexts.add(position)
    return BatchRange(batch, frozenset(contexts), first, last)


def batch_verdicts(
    line: sqlite3.Connection, where: BatchRange
) -> Iterator[tuple[int, list[Any], bytes]]:
    """Position, plain fields and bytes of each verdict of a batch, in order."""
    for position, _, body in read_records(line, where.first, where.last + 1):
        if body[1] == Kind.VERDICT:
            fields = layout.fields_of(body)
            if fields[2] in where.contexts:
                yield position, fields, body


def batch_positions(line: sqlite3.Connection, where: BatchRange, lookup: Lookup) -> set[int]:
    """All that the ledger holds of a batch: every record from its beginning to its last part but
    those of other batches' parts; what came later about its parts; the definitions they need.

    What lies between and belongs to no part (events, batches' beginnings and ends) is always
    there, so that a package shows what happened to the line meanwhile.
    """
    changes = _column(line, "SELECT position FROM batch WHERE id = ?", (where.batch,))
    first, last = min([where.first, *changes]), max([where.last, *changes])
    found: set[int] = set(changes)
    for position, fields, _ in batch_verdicts(line, where):
        found |= part_positions(line, position, lookup)
        found.update(definitions_of(fields, lookup))
    for position, _, body in read_records(line, first, last + 1):
        if body[1] in (Kind.EVENT, Kind.BATCH):
            found.add(position)
    return found


def desk_positions(
    desk: sqlite3.Connection, batch: str, verdicts: Iterable[Verdict]
) -> dict[int, bytes]:
    """The desk's records about a batch, by position: those whose body names it, the id or serial
    of one of its parts, or (``runs`` of ``[stream, first, last]``) one of its numbers."""
    names = {batch}
    numbers: dict[str, list[int]] = {}
    for verdict in verdicts:
        names.add(str(verdict.part_id))
        if verdict.serial:
            names.add(verdict.serial)
        numbers.setdefault(verdict.stream, []).append(verdict.sequence)
    for sequences in numbers.values():
        sequences.sort()
    found = {}
    for position, _, body in read_records(desk, 0, 1 << 62):
        about = layout.fields_of(body)[5]
        if not names.isdisjoint(texts_in(about)) or _runs_into(about, numbers):
            found[position] = body
    return found


def _runs_into(body: Any, numbers: dict[str, list[int]]) -> bool:
    runs = body.get("runs") if isinstance(body, dict) else None
    for run in runs if isinstance(runs, list) else ():
        if isinstance(run, list) and [type(item) for item in run] == [str, int, int]:
            sequences = numbers.get(run[0], [])
            at = bisect_left(sequences, run[1])
            if at < len(sequences) and sequences[at] <= run[2]:
                return True
    return False


def desk_records(data_dir: Path, kind: str | None) -> Iterator[DeskRecord]:
    """The desk's records of a kind (None: all), oldest first; none if there is no desk yet."""
    path = data_dir / schema.DESK_FILE
    if not path.exists():
        return
    with reading(path) as desk:
        after = -1
        while rows := desk.execute(
            "SELECT position, body FROM event JOIN record USING (position)"
            " WHERE position > ? AND (? IS NULL OR kind = ?) ORDER BY position LIMIT 1000",
            (after, kind, kind),
        ).fetchall():
            for _, body in rows:
                record = layout.desk_record(body)
                if isinstance(record.body, dict):
                    yield record
            after = onwards(after, rows[-1][0])


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a body, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item)


def _column(line: sqlite3.Connection, query: str, values: tuple[Any, ...]) -> list[int]:
    return [int(position) for (position,) in line.execute(query, values)]
