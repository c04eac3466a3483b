"""What lies where in the ledger: where a batch was made, what happened there, what the desk said.

Enters: a `History`, and a batch, a kind or a place. Leaves: positions, records. Every room may
import this; `tail` follows the line for as long as it grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from sqlite3 import Connection

from inspector.store import layout, schema
from inspector.store.errors import StoreError
from inspector.store.export import PartOf, parts_of
from inspector.store.layout import desk_record
from inspector.store.query import History
from inspector.store.records import (
    BatchChange,
    Definition,
    DeskRecord,
    Event,
    Kind,
    Lookup,
    Record,
)
from inspector.store.related import batch_range, reading
from inspector.store.skim import number

AHEAD = 20_000
"""Positions within which a batch that begins, or goes on, has a part."""
PORTION = 1000
"""Of the desk's records that are read in one go."""


def records_after(
    history: History, after: int, limit: int = 1000
) -> tuple[list[tuple[int, Record]], int]:
    """Up to ``limit`` records behind position ``after`` with their positions, oldest first, and
    the position up to which the ledger was read. Definitions are left out: they say nothing by
    themselves."""
    with history.line() as line:
        rows = line.execute(
            "SELECT position, body FROM record WHERE position > ? ORDER BY position LIMIT ?",
            (after, limit),
        ).fetchall()
        found = [
            (position, layout.decode_record(body, history.definition)) for position, body in rows
        ]
    upto = rows[-1][0] if rows else after
    return [(at, record) for at, record in found if not isinstance(record, Definition)], upto


def batch_began(history: History) -> int:
    """Position of the newest beginning of a batch; 0 if there is none."""
    newest = "SELECT position FROM batch ORDER BY position DESC LIMIT 100"
    found = history.found(BatchChange, newest)
    return next((position for position, change in found if change.action == "begin"), 0)


def newest_desk(
    history: History, kind: str, limit: int = 100, before: int = 1 << 62
) -> list[tuple[int, DeskRecord]]:
    """The desk's newest records of a kind with their positions, newest first."""
    path = history.data_dir / schema.DESK_FILE
    if not path.exists():
        return []
    with reading(path) as desk:
        rows = desk.execute(
            "SELECT position, body FROM record WHERE position IN (SELECT position FROM event"
            " WHERE kind = ? AND position < ? ORDER BY position DESC LIMIT ?)"
            " ORDER BY position DESC",
            (kind, before, limit),
        ).fetchall()
    return [(position, desk_record(body)) for position, body in rows]


def desk_since(history: History, kind: str, since: int = 0) -> list[tuple[int, DeskRecord]]:
    """The desk's records of a kind with their positions, oldest first; with ``since`` all that were
    written when the line's record at that position was there, and some from before."""
    found: list[tuple[int, DeskRecord]] = []
    while portion := newest_desk(history, kind, PORTION, found[-1][0] if found else 1 << 62):
        found += portion
        if 0 <= portion[-1][1].line.newest < since:
            break
    return found[::-1]


def ever_gated(history: History) -> bool:
    """Whether any part's word to a gate is on record: a station that only watches has none."""
    with history.line() as line:
        return line.execute("SELECT 1 FROM gate LIMIT 1").fetchone() is not None


def batch_span(history: History, batch: str) -> tuple[int, int] | None:
    """Position of the first record of a batch, its beginning or a part, and of the last one; None
    if it has neither."""
    with history.line() as line:
        first, last = line.execute(
            "SELECT min(first), max(last) FROM (SELECT first, last FROM tally WHERE batch = ?1"
            " UNION ALL SELECT position, position FROM batch WHERE id = ?1)",
            (batch,),
        ).fetchone()
    return None if first is None else (first, last)


def batch_stretches(history: History, batch: str) -> list[tuple[int, int]]:
    """The same of each stretch in which it was made (`stretches_of`); none if it has neither."""
    span = batch_span(history, batch)
    with history.line() as line:
        return [] if span is None else stretches_of(line, history.definition, batch, span)


def stretches_of(
    line: Connection, definition: Lookup, batch: str, span: tuple[int, int]
) -> list[tuple[int, int]]:
    """First and last position of each stretch of ``span`` in which a batch was made: several where
    it went on after another one. What was under way when that one's first part came is with it."""
    found, since = [], span[0]
    left: int | None = None
    changes = "SELECT position, id FROM batch WHERE position BETWEEN ? AND ? ORDER BY position"
    for position, id in line.execute(changes, span).fetchall():
        if id == batch:
            if left is not None and left < position:
                found.append((since, left))
                since = position
            left = None
        elif left is None:
            came = first_part(line, definition, id, position, span[1])
            left = None if came is None else came - 1
    return [*found, (since, span[1])]


def first_part(
    line: Connection, definition: Lookup, batch: str, begin: int, end: int
) -> int | None:
    """Position of the first verdict of a batch from ``begin`` to ``end``; None where it has none
    within `AHEAD`."""
    for at, head in line.execute(
        f"SELECT position, substr(body, 1, 24) FROM record WHERE position BETWEEN ? AND ?"
        f" AND substr(body, 2, 1) = x'{Kind.VERDICT:02x}' ORDER BY position",
        (begin, min(end, begin + AHEAD)),
    ):
        if definition(number(head, 3)[0]).value[3] == batch:
            return int(at)
    return None


def events_within(history: History, kind: str, span: tuple[int, int]) -> list[Event]:
    """The line's events of a kind between two positions, both included, oldest first."""
    within = (
        "SELECT position FROM event WHERE position BETWEEN ? AND ? AND kind = ? ORDER BY position"
    )
    return [event for _, event in history.found(Event, within, *span, kind)]


def parts_of_batch(history: History, batch: str) -> Iterator[PartOf]:
    """Every part of a batch with the last word to its gate, in the order of the ledger, for as
    long as it takes. Raises ``StoreError`` if it has no part."""
    with reading(history.data_dir / schema.LINE_FILE) as line:
        where = batch_range(line, batch)
        if where is None:
            raise StoreError(f"{history.data_dir}: no part of a batch {batch!r}")
        yield from parts_of(line, where)
