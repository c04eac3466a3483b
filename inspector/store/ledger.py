"""The line's ledger: what the line decided, durable before a permit leaves.

Enters: verdicts, gate decisions, batches, events and image records, from the line process alone.
Leaves: records in ``<data>/line.db``, each in one Merkle chain, signed checkpoints every so many
records or seconds. The line imports this; everyone else reads through `query` and `verify`.

Adding costs no disk: records are encoded and wait. A commit writes all that wait in one transaction
with one fsync. `commit` does it in the caller's thread; `commit_soon` in a thread of the ledger, so
that a line which must meet deadlines can go on, and what is added while one fsync runs goes
together with the next. When the disk is full or fails, what waits stays waiting, in its order, and
goes with the next commit: nothing is lost, nothing is written twice. `commits` has the thread, and
the patience.

The WAL is not checkpointed while the line works (it would cost a second and third fsync inside a
commit): `shorten_wal` does that from another process every few seconds. The ledger itself does it
at opening, at closing, and beside the line when nothing was committed for `idle_s`.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inspector.part import Batch, GateDecision, Verdict
from inspector.store import schema
from inspector.store.commits import NEVER, Commits
from inspector.store.entries import Entries
from inspector.store.errors import (
    DuplicateVerdict,
    RecordError,
    StoreError,
    StoreFull,
    StoreStalled,
)
from inspector.store.files import refuse_half, refuse_stranger
from inspector.store.keys import signing_key
from inspector.store.layout import encode_event
from inspector.store.records import BatchChange, Event, ImageRecord
from inspector.store.resume import Past, State, lock_line, resume
from inspector.store.writer import Writer

SPARE = 50_000
"""So many more may wait than verdicts and gate decisions: a line whose disk is full goes on, and
what happens meanwhile, a few records a minute, must not end it."""


class LineLedger:
    """The one writer of line.db. One thread adds; commits may come from another."""

    def __init__(
        self,
        data_dir: Path,
        station: str,
        writer: Writer,
        past: Past,
        state: State,
        lock: int,
        *,
        idle_s: float,
        max_waiting: int,
        utc_ns: Callable[[], int],
        monotonic_ns: Callable[[], int],
    ) -> None:
        """Use `LineLedger.open`."""
        self.data_dir = data_dir
        self.station = station
        self._writer = writer
        self._past = past
        self._lock = lock
        self._entries = Entries(state)
        self._last: dict[str, int] = {}
        self._commits = Commits(data_dir / schema.LINE_FILE, writer, idle_s)
        self._max_waiting = max_waiting
        self._utc_ns = utc_ns
        self._monotonic_ns = monotonic_ns
        self._closed = False

    @classmethod
    def open(
        cls,
        data_dir: Path | str,
        *,
        station: str,
        key: Ed25519PrivateKey | None = None,
        checkpoint_records: int = 1000,
        checkpoint_s: float = 10.0,
        idle_s: float = 1.0,
        busy_s: float = 1.0,
        max_waiting: int = 100_000,
        utc_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> LineLedger:
        """Opens the ledger in ``<data>``, or begins one.

        Args:
            key: signs checkpoints; the station's own from ``<data>/keys`` if none is given.
            checkpoint_records: a checkpoint at the latest after so many records,
            checkpoint_s: and at the latest so many seconds after a record.
            busy_s: how long a commit waits for someone else's lock on line.db.
            max_waiting: so many records may wait for a disk that does not take them (about 400
                bytes of memory each); a verdict or gate decision more raises StoreFull.

        Raises:
            StoreInUse: another process has it open for writing.
            StoreDamaged: the file contradicts its own checkpoints; `inspector verify` tells more.
            StoreFull, StoreError: the disk does not let us.
        """
        data_dir = Path(data_dir)
        refuse_half(data_dir)
        refuse_stranger(data_dir)
        lock = -1
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            lock = lock_line(data_dir)
            key = key or signing_key(data_dir)
            path = data_dir / schema.LINE_FILE
            schema.create_line(path)
            schema.shorten_wal(path)
            schema.create_desk(data_dir / schema.DESK_FILE)
            state = resume(data_dir, key.public_key())
            writer = Writer(
                data_dir,
                station,
                key,
                state,
                checkpoint_records=checkpoint_records,
                checkpoint_s=checkpoint_s,
                busy_s=busy_s,
                utc_ns=utc_ns,
            )
            return cls(
                data_dir,
                station,
                writer,
                Past(path),
                state,
                lock,
                idle_s=idle_s,
                max_waiting=max_waiting,
                utc_ns=utc_ns,
                monotonic_ns=monotonic_ns,
            )
        except BaseException as error:
            if lock >= 0:
                os.close(lock)
            if isinstance(error, OSError):
                raise StoreError(f"{data_dir}: {error.strerror}") from error
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"{data_dir}: {error}") from error
            raise

    # What is added waits for a commit.

    def add_verdict(self, verdict: Verdict) -> int:
        """Adds a part's verdict; gives its position in the ledger.

        Raises:
            DuplicateVerdict: this sequence number of this stream has one already (I1).
            RecordError: it cannot be encoded.
            StoreFull: too many records wait already.
        """
        self._room()
        name, sequence = verdict.stream, verdict.sequence
        last = self.last_sequence(name)
        if last is not None and sequence <= last:
            self._refuse_second(name, sequence)
        position = self._entries.verdict(verdict)
        self._commits.undurable.add((self._entries.streams[name], sequence))
        if last is None or sequence > last:
            self._last[name] = sequence
        return position

    def add_gate(self, decision: GateDecision) -> int:
        """Adds a gate decision; a later one of the same part (its acknowledgement, a revocation)
        is a record of its own and takes its place in `unacknowledged`.

        Raises:
            StoreFull: too many records wait already.
        """
        self._room()
        return self._entries.gate(decision)

    def add_event(self, kind: str, principal: str, /, **body: Any) -> int:
        """Adds an event: what happened, who did it (never empty, I9), and what CBOR can hold."""
        self._room(SPARE)
        event = Event(kind, principal, self._utc_ns(), self._monotonic_ns(), body)
        return self._entries.event(event)

    def unfit(self, **body: Any) -> str:
        """Why `add_event` would not take ``body``; empty where it would."""
        try:
            encode_event(Event("event", "line", 0, 0, body))
        except RecordError as error:
            return str(error)
        return ""

    def add_batch(self, batch: Batch, action: str, principal: str) -> int:
        """Adds the beginning (``begin``) or the end (``end``) of a batch."""
        self._room(SPARE)
        change = BatchChange(
            batch.id,
            action,
            principal,
            batch.product,
            batch.recipe,
            dict(batch.texts),
            self._utc_ns(),
            self._monotonic_ns(),
        )
        return self._entries.batch(change)

    def add_image(self, image: ImageRecord) -> int:
        """Adds the digest of an image that `ImageArchive` has written."""
        self._room(SPARE)
        return self._entries.image(image)

    # Commits.

    def commit(self, timeout_s: float | None = None) -> int:
        """Makes all that was added durable; gives the number of durable records.

        Without a time-out it runs in this thread and costs least. With one it runs in the
        ledger's thread, and a disk that has not answered in time raises StoreStalled while the
        commit goes on: the caller rejects the part and raises an alarm (I5).

        Raises:
            StoreFull: no space; what was added waits for the next commit.
            StoreStalled: not in time, or somebody else holds the lock on line.db.
            StoreError: the disk failed.
        """
        if timeout_s is not None:
            try:
                return self.commit_soon().result(timeout_s)
            except TimeoutError:
                raise StoreStalled(
                    f"{self.data_dir}: the disk has not answered within {timeout_s:g} s"
                ) from None
        return self._commits.now(self._entries.take(), self._entries.next)

    def commit_soon(self, by_ns: int = NEVER) -> Future[int]:
        """Like `commit`, in the ledger's thread: the future carries what `commit` returns or
        raises. Its callbacks run in that thread. Where commits follow each other fast, it goes
        together with others, unless the monotonic instant ``by_ns`` is near."""
        return self._commits.soon(self._entries.take(), self._entries.next, by_ns)

    def checkpoint(self, timeout_s: float = 10.0) -> None:
        """Commits, and signs a checkpoint of all of it now."""
        self.commit(timeout_s)
        self._commits.checkpoint()

    def close(self) -> None:
        """Commits what waits, signs a last checkpoint, lets go of the file.

        Raises ``StoreError`` when something that was added could not be made durable.
        """
        if self._closed:
            return
        self._closed = True
        self._commits.end()
        try:
            self.commit()
            self._commits.checkpoint()
        finally:
            self._past.close()  # first: the last to close, if it may write, removes the WAL
            self._writer.close()
            os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # What a line wants to know at its start, and while it runs.

    @property
    def size(self) -> int:
        """Durable records."""
        return self._writer.size

    @property
    def waiting(self) -> int:
        """Records that were added and are not durable yet."""
        return self._entries.next - self._writer.size

    @property
    def trouble(self) -> str:
        """Why the last commit or checkpoint copy failed, in words; empty when it went well."""
        return self._writer.trouble

    @property
    def full(self) -> bool:
        """Whether that was for want of space."""
        return self._writer.full

    @property
    def wal_bytes(self) -> int:
        """How long line.db's write-ahead log is: it shows whether someone shortens it."""
        return self._writer.wal_bytes()

    def streams(self) -> tuple[str, ...]:
        """Every stream that has ever had a record, oldest first."""
        return tuple(self._entries.streams)

    def last_sequence(self, stream: str) -> int | None:
        """The highest sequence number that has a verdict, durable or waiting; None if none has."""
        known = self._last.get(stream)
        if known is None and stream in self._entries.streams:
            known = self._past.last_sequence(self._entries.streams[stream])
            if known is not None:
                self._last[stream] = known
        return known

    def missing(self, stream: str, up_to: int, first: int | None = None) -> list[range]:
        """The numbers ≤ ``up_to`` without a durable verdict, from ``first`` on, or from the lowest
        that has one: what a restart turns into ``error`` records (I1). Ranges, lowest first."""
        position = self._entries.streams.get(stream)
        return [] if position is None else self._past.missing(position, up_to, first)

    def unacknowledged(self, limit: int = 64) -> tuple[GateDecision, ...]:
        """The newest durable gate decisions that no gate has acknowledged, oldest first."""
        return self._past.unacknowledged(limit)

    def _room(self, spare: int = 0) -> None:
        if self._closed:
            raise StoreError(f"{self.data_dir}: this ledger is closed")
        waiting = self._entries.next - self._writer.size
        if waiting >= self._max_waiting + spare:
            raise StoreFull(
                f"{self.data_dir}: {waiting} records wait for the disk ({self.trouble or 'slow'})"
            )

    def _refuse_second(self, stream: str, sequence: int) -> None:
        position = self._entries.streams[stream]
        # A key leaves `undurable` only after its commit, so one of the two has it.
        known = (position, sequence) in self._commits.undurable
        if known or self._past.has_verdict(position, sequence):
            raise DuplicateVerdict(
                f"part {sequence} of stream {stream} has its verdict already; it never changes"
            )
