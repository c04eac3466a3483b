"""What the plant process owes to others, on disk, and how far each of its readers has come.

Enters: messages, their receiver, and the key within which they must keep their order (a batch).
Leaves: those that are due, the oldest of each receiver and key first; what was delivered goes, what
failed waits longer each time. ``<data>/outbox/plant.db``: a message is in it before its place in
the ledgers is passed, so nothing is lost, and one that was sent just before the process died is
sent again under the same id. The plant's modules import it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector.store import StoreError

BACK_OFF_S = (1, 2, 4, 8, 15, 30, 60, 120, 300)
"""Waits after the 1st, 2nd … failure; the last one repeats …"""
GIVEN_UP_S = 3 * 86_400
"""… until a message is so old; then it is put aside, and those behind it go on …"""
TRIED = 20
"""… once it has been tried so often, which takes an hour: a station that was off over a long
weekend, or whose clock leapt, gives up nothing because its receiver is a minute behind it."""
_TABLES = """
CREATE TABLE IF NOT EXISTS reader (name TEXT PRIMARY KEY, line INTEGER, desk INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message (number INTEGER PRIMARY KEY AUTOINCREMENT, receiver TEXT,
  key TEXT, id TEXT, kind TEXT, body TEXT, made REAL, attempts INTEGER DEFAULT 0, due REAL,
  dead INTEGER DEFAULT 0, error TEXT DEFAULT '', UNIQUE (receiver, id));
CREATE INDEX IF NOT EXISTS message_order ON message (dead, receiver, key, number);
"""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that somebody is to be told."""

    receiver: str
    key: str
    """Messages of one receiver and key arrive in their order."""
    id: str
    """Unique to the receiver; the same message has the same id for ever."""
    kind: str
    body: Mapping[str, Any]
    number: int = 0
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Owed:
    """What one receiver is owed."""

    waiting: int
    given_up: int
    error: str
    """Of the last failure that still stands."""


class Outbox:
    """One outbox. Any thread may call it."""

    def __init__(self, data: Path) -> None:
        """Raises ``StoreError`` where the disk does not let us."""
        folder = data / "outbox"
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(
                folder / "plant.db", isolation_level=None, timeout=5.0, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_TABLES)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{folder}: {error}") from error

    def place(self, reader: str) -> tuple[int, int] | None:
        """How far a reader has come in the line's and the desk's ledger."""
        with self._sound():
            row = self._db.execute(
                "SELECT line, desk FROM reader WHERE name = ?", (reader,)
            ).fetchone()
        return None if row is None else (row[0], row[1])

    def read(
        self, reader: str, line: int, desk: int, messages: Iterable[Message] = (), now: float = 0.0
    ) -> None:
        """A reader has come so far, and owes ``messages`` for it; both or neither is kept."""
        with self._sound():
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT OR IGNORE INTO message (receiver, key, id, kind, body, made, due)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (m.receiver, m.key, m.id, m.kind, json.dumps(m.body, default=str), now, now)
                    for m in messages
                ],
            )
            self._db.execute("INSERT OR REPLACE INTO reader VALUES (?, ?, ?)", (reader, line, desk))
            self._db.execute("COMMIT")

    def leave(self, reader: str) -> None:
        """A reader reads no more; should it come again, it begins with what is new then."""
        with self._sound():
            self._db.execute("DELETE FROM reader WHERE name = ?", (reader,))

    def receivers(self) -> list[str]:
        """Who is owed anything."""
        with self._sound():
            rows = self._db.execute("SELECT DISTINCT receiver FROM message WHERE dead = 0")
            return [receiver for (receiver,) in rows]

    def due(
        self, now: float, limit: int = 32, receiver: str | None = None
    ) -> tuple[list[Message], float | None]:
        """The oldest message of each receiver (or of this one) and key that may be sent now; and,
        if there is none, when the next one may."""
        with self._sound():
            rows = self._db.execute(
                "SELECT receiver, key, id, kind, body, number, attempts, due FROM message"
                " WHERE number IN (SELECT min(number) FROM message WHERE dead = 0"
                " AND (:r IS NULL OR receiver = :r)"
                " GROUP BY receiver, key) ORDER BY due, number LIMIT :n",
                {"r": receiver, "n": limit},
            ).fetchall()
        ready = [
            Message(receiver, key, id, kind, json.loads(body), number, attempts)
            for receiver, key, id, kind, body, number, attempts, due in rows
            # further ahead than anything waits: the clock was set back
            if due <= now or due > now + BACK_OFF_S[-1]
        ]
        return ready, None if ready or not rows else rows[0][7]

    def delivered(self, message: Message) -> None:
        """It has arrived."""
        with self._sound():
            self._db.execute("DELETE FROM message WHERE number = ?", (message.number,))

    def failed(self, message: Message, error: str, now: float) -> bool:
        """It has not arrived: it waits, and those behind it; whether it is given up."""
        wait = BACK_OFF_S[min(message.attempts, len(BACK_OFF_S) - 1)]
        with self._sound():
            self._db.execute(
                "UPDATE message SET attempts = attempts + 1, due = ?, error = ?,"
                " dead = made < ? AND attempts + 1 >= ? WHERE number = ?",
                (now + wait, error[:500], now - GIVEN_UP_S, TRIED, message.number),
            )
            row = self._db.execute(
                "SELECT dead FROM message WHERE number = ?", (message.number,)
            ).fetchone()
            if given_up := bool(row and row[0]):  # those behind it waited as long: once is enough
                self._db.execute(
                    "UPDATE message SET attempts = max(attempts, ?)"
                    " WHERE dead = 0 AND receiver = ? AND key = ? AND made < ?",
                    (TRIED, message.receiver, message.key, now - GIVEN_UP_S),
                )
        return given_up

    def forget(self, receiver: str) -> None:
        """Nothing is owed to a receiver any more."""
        with self._sound():
            self._db.execute("DELETE FROM message WHERE receiver = ?", (receiver,))

    def owed(self, receiver: str) -> Owed:
        """What a receiver is owed."""
        with self._sound():
            waiting, dead = self._db.execute(
                "SELECT count(*) FILTER (WHERE NOT dead), count(*) FILTER (WHERE dead)"
                " FROM message WHERE receiver = ?",
                (receiver,),
            ).fetchone()
            row = self._db.execute(
                "SELECT error FROM message WHERE receiver = ? AND error <> ''"
                " ORDER BY due DESC LIMIT 1",
                (receiver,),
            ).fetchone()
        return Owed(waiting, dead, row[0] if row else "")

    def close(self) -> None:
        """Lets go of the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _sound(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise StoreError(f"outbox/plant.db: {error}") from error
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
