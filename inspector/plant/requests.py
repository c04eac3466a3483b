"""What a machine has asked for, once: requests at the desk, and the answers they got.

Enters: a write with its ``Idempotency-Key``. Leaves: a durable record at the desk that holds
request and answer together, so that no crash parts them; the same request again gets the same
answer. The memory of keys, ``<data>/plant.db``, is an index of those records (`DeskIndex`).
The plant's modules import it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector.identity import Principal
from inspector.plant.problems import Problem
from inspector.store import DeskLedger, DeskRecord, RecordError, StoreInUse
from inspector.store.deskindex import DeskIndex, Projection

GROUP = 64
"""Records that one fsync carries at most."""
_TABLES = """
CREATE TABLE request (id TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE key (principal TEXT, key TEXT, digest TEXT, position INTEGER,
  PRIMARY KEY (principal, key)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a write did: the record to keep, and the answer to give."""

    kind: str
    """Of the desk's record."""
    status: int
    answer: dict[str, Any]
    """JSON; it has the request's ``id``."""
    record: dict[str, Any]
    """The record's body, less what is the same for every request."""


@dataclass(frozen=True, slots=True)
class Once:
    """The name that a client gave its request, to be able to repeat it."""

    principal: Principal
    key: str | None
    asked: Mapping[str, Any]
    """Method, path and body as they were understood."""

    @property
    def digest(self) -> str:
        """SHA-256 of what was asked."""
        text = json.dumps(self.asked, sort_keys=True, ensure_ascii=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


class Requests:
    """Every write of the plant goes through here. Any thread may call it."""

    def __init__(self, data: Path) -> None:
        """Raises ``StoreInUse`` if another plant process works on ``data``."""
        data.mkdir(parents=True, exist_ok=True)
        self._lock_file = os.open(data / "plant.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            # Two processes would each think that they are the first to see a key.
            fcntl.lockf(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock_file)
            raise StoreInUse(f"{data}: another plant process works here") from None
        self._ledger = DeskLedger.open(data)
        self._index = DeskIndex(data, PROJECTION)
        self._waiting: deque[_Job] = deque()
        self._writing = threading.Lock()
        self._under_way: dict[tuple[str, str], tuple[threading.Lock, int]] = {}
        self._guard = threading.Lock()

    def once(self, once: Once, act: Callable[[], Done]) -> tuple[int, dict[str, Any], bool]:
        """``act`` and record it, unless this request was answered before.

        Returns:
            Status, answer, and whether it is the answer of before.

        Raises:
            Problem: 422, the key was used for another request. Errors of ``act`` pass, and the
                key stays free: mend the request and send it again.
        """
        if once.key is None:
            return (*self._do(once, act), False)
        with self._alone((once.principal.id, once.key)):
            known = self._known(once)
            if known is not None:
                return (*known, True)
            return (*self._do(once, act), False)

    def find(self, id: str) -> DeskRecord | None:
        """The record of the request with this id."""
        with self._index.current() as index:
            row = index.execute("SELECT position FROM request WHERE id = ?", (id,)).fetchone()
        return None if row is None else self._index.record(row[0])

    def close(self) -> None:
        """Let go of the files."""
        with self._writing:
            self._ledger.close()
        self._index.close()
        os.close(self._lock_file)

    def _do(self, once: Once, act: Callable[[], Done]) -> tuple[int, dict[str, Any]]:
        done = act()
        body = {
            **done.record,
            "asked": dict(once.asked),
            "status": done.status,
            "answer": done.answer,
        }
        if once.key is not None:
            body |= {"key": once.key, "digest": once.digest}
        job = _Job(done.kind, json.loads(json.dumps(body, default=str)), once.principal.id)
        self._write(job)
        job.position.result()
        return done.status, done.answer

    def _known(self, once: Once) -> tuple[int, dict[str, Any]] | None:
        with self._index.current() as index:
            row = index.execute(
                "SELECT digest, position FROM key WHERE principal = ? AND key = ?",
                (once.principal.id, once.key),
            ).fetchone()
        if row is None:
            return None
        if row[0] != once.digest:
            raise Problem(
                422,
                "key-reused",
                "this Idempotency-Key was given to another request; take a new one",
            )
        body = self._index.record(row[1]).body
        return int(body["status"]), dict(body["answer"])

    @contextmanager
    def _alone(self, name: tuple[str, str]) -> Iterator[None]:
        """Of several requests with one key, sent at once, the others wait for the first."""
        with self._guard:
            lock, waiting = self._under_way.get(name, (threading.Lock(), 0))
            self._under_way[name] = (lock, waiting + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, waiting = self._under_way[name]
                if waiting == 1:
                    del self._under_way[name]
                else:
                    self._under_way[name] = (lock, waiting - 1)

    def _write(self, job: _Job) -> None:
        """Make ``job`` durable. Whoever comes first writes for all that wait, with one fsync: no
        thread but the caller's has to be woken, which on a busy machine takes longer than the
        disk."""
        self._waiting.append(job)
        with self._writing:
            if job.position.done():
                return
            jobs: list[_Job] = []
            while self._waiting and len(jobs) < GROUP:
                jobs.append(self._waiting.popleft())
            self._commit(jobs)
            while not job.position.done():  # more than a group waited before it
                self._commit([self._waiting.popleft()])

    def _commit(self, jobs: list[_Job]) -> None:
        try:
            entries = [(job.kind, job.body, job.principal) for job in jobs]
            for job, position in zip(jobs, self._ledger.add_all(entries), strict=True):
                job.position.set_result(position)
        except RecordError as error:
            if len(jobs) > 1:  # one that cannot be encoded must not take the others with it
                for job in jobs:
                    self._commit([job])
            else:
                jobs[0].position.set_exception(error)
        except Exception as error:  # every caller raises it in its own thread
            for job in jobs:
                job.position.set_exception(error)


class _Job:
    __slots__ = ("body", "kind", "position", "principal")

    def __init__(self, kind: str, body: dict[str, Any], principal: str) -> None:
        self.kind, self.body, self.principal = kind, body, principal
        self.position: Future[int] = Future()


def _apply(index: sqlite3.Connection, position: int, record: DeskRecord) -> None:
    answer = record.body.get("answer")
    if isinstance(answer, Mapping) and isinstance(answer.get("id"), str):
        index.execute("INSERT OR REPLACE INTO request VALUES (?, ?)", (answer["id"], position))
        if "key" in record.body:
            index.execute(
                "INSERT OR IGNORE INTO key VALUES (?, ?, ?, ?)",
                (record.principal, record.body["key"], record.body["digest"], position),
            )


PROJECTION = Projection("plant.db", 1, _TABLES, _apply)
