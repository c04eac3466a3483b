"""The records of a ledger file between two positions, in order.

Enters: a connection to line.db or desk.db. Leaves: what stands there, unread. Whoever walks a
ledger from end to end may import this.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

_SLICE = 2000


def read_records(
    connection: sqlite3.Connection, start: int, end: int
) -> Iterator[tuple[int, int, bytes]]:
    """Position, mark and body of what is there between two positions, in order.

    In slices, so that no long-lived reader keeps the line's WAL from being shortened.
    """
    after = start - 1
    while rows := connection.execute(
        "SELECT position, mark, body FROM record WHERE position > ? AND position < ?"
        " ORDER BY position LIMIT ?",
        (after, end, _SLICE),
    ).fetchall():
        yield from rows
        after = onwards(after, rows[-1][0])


def onwards(before: Any, now: Any) -> Any:
    """``now``, where reading goes on, if it lies beyond ``before``.

    Raises ``sqlite3.DatabaseError`` where it does not: a damaged file gives rows out of their
    order, and who goes on behind the last of them reads for ever.
    """
    try:
        if now > before:
            return now
    except TypeError:
        pass
    raise sqlite3.DatabaseError(f"database disk image is malformed: {now!r} comes after {before!r}")
