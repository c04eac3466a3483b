"""The line's ledger: what the line decided, durable before a permit leaves.

Enters: verdicts, gate decisions, batches, events and image records, from the line process alone.
Leaves: records in ``<data>/line.db``, each in one Merkle chain, signed checkpoints every so many
records or seconds. The line imports this; everyone else reads through `query` and `verify`.

Adding costs no disk: records are encoded and wait. A commit writes all that wait in one transaction
with one fsync. `commit` does it in the caller's thread; `commit_soon` in a thread of the ledger, so
that a line which must meet deadlines can go on, and what is added while one fsync runs goes
together with the next. When the disk is full or fails, what waits stays waiting, in its order, and
goes with the next commit: nothing is lost, nothing is written twice.

The WAL is not checkpointed while the line works (it would cost a second and third fsync inside a
commit): `maintenance.shorten_wal` does that from another process every few seconds. The ledger
itself does it at opening, at closing, and when nothing was committed for `idle_s`.
"""

from __future__ import annotations

import fcntl
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inspector.part import Batch, GateDecision, Outcome, Verdict
from inspector.store import layout, schema
from inspector.store.errors import (
    DuplicateVerdict,
    StoreError,
    StoreFull,
    StoreInUse,
    StoreStalled,
)
from inspector.store.keys import station_key
from inspector.store.records import (
    OUTCOME_NUMBER,
    BatchChange,
    Defined,
    Event,
    ImageRecord,
)
from inspector.store.resume import Past, State, resume
from inspector.store.writer import Writer

MAX_DEFINITIONS = 4096
"""Contexts and shapes kept in memory; beyond, they are forgotten and defined again when met."""


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
        self._next = state.size
        self._streams = state.streams
        self._contexts = state.contexts
        self._shapes = state.shapes
        self._last: dict[str, int] = {}
        self._rows = schema.Rows()
        self._keys: set[tuple[int, int]] = set()
        self._backlog: deque[tuple[schema.Rows, Future[int]]] = deque()
        self._flushing = threading.Lock()
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._idle_s = idle_s
        self._max_waiting = max_waiting
        self._utc_ns = utc_ns
        self._monotonic_ns = monotonic_ns
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

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
                bytes of memory each); adding more raises StoreFull.

        Raises:
            StoreInUse: another process has it open for writing.
            StoreDamaged: the file contradicts its own checkpoints; `inspector verify` tells more.
            StoreFull, StoreError: the disk does not let us.
        """
        data_dir = Path(data_dir)
        lock = -1
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            lock = lock_line(data_dir)
            key = key or station_key(data_dir)
            path = data_dir / schema.LINE_FILE
            schema.create_line(path)
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
            writer.shorten_wal()
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
        stream = self._stream(verdict.stream)
        sequence = verdict.sequence
        self._refuse_second(verdict.stream, stream, sequence)
        value = layout.context_of(verdict, stream)
        context = self._contexts.get(value)
        if context is None:
            context = self._define(self._contexts, Defined.CONTEXT, value)
        shapes = [self._shape(finding) for finding in verdict.findings]
        body = layout.encode_verdict(verdict, context, shapes)
        position = self._append(body)
        outcome = OUTCOME_NUMBER[verdict.outcome]
        defects: dict[int, None] = {}
        if verdict.outcome is not Outcome.PASS:
            pairs = zip(verdict.findings, shapes, strict=True)
            defects = {shape: None for finding, shape in pairs if not finding.ok}
        schema.add_verdict_rows(
            self._rows,
            position,
            stream,
            value,
            (
                sequence,
                outcome,
                verdict.part_id.bytes,
                verdict.times.utc_ns,
                verdict.serial,
                defects,
            ),
        )
        self._keys.add((stream, sequence))
        last = self._last.get(verdict.stream)
        if last is None or sequence > last:
            self._last[verdict.stream] = sequence
        return position

    def add_gate(self, decision: GateDecision) -> int:
        """Adds a gate decision; a later one of the same part (its acknowledgement, a revocation)
        is a record of its own and takes its place in `unacknowledged`."""
        self._room()
        stream = self._stream(decision.stream)
        position = self._append(layout.encode_gate(decision, stream))
        heard = decision.acknowledged_ns != 0
        schema.add_gate_rows(self._rows, position, stream, decision.sequence, heard)
        return position

    def add_event(self, kind: str, principal: str, /, **body: Any) -> int:
        """Adds an event: what happened, who did it (never empty, I9), and what CBOR can hold."""
        self._room()
        event = Event(kind, principal, self._utc_ns(), self._monotonic_ns(), body)
        position = self._append(layout.encode_event(event))
        self._rows.add("event", position, kind)
        return position

    def add_batch(self, batch: Batch, action: str, principal: str) -> int:
        """Adds the beginning (``begin``) or the end (``end``) of a batch."""
        self._room()
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
        position = self._append(layout.encode_batch(change))
        self._rows.add("batch", position, batch.id)
        return position

    def add_image(self, image: ImageRecord) -> int:
        """Adds the digest of an image that `ImageArchive` has written."""
        self._room()
        position = self._append(layout.encode_image(image))
        self._rows.add("image", schema.part_prefix(image.part_id.bytes), position)
        return position

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
        future = self._hand_over()
        self._flush()
        return future.result()

    def commit_soon(self) -> Future[int]:
        """Like `commit`, in the ledger's thread: the future carries what `commit` returns or
        raises. Its callbacks run in that thread."""
        future = self._hand_over()
        self._wake.put(True)
        return future

    def checkpoint(self, timeout_s: float = 10.0) -> None:
        """Commits, and signs a checkpoint of all of it now."""
        self.commit(timeout_s)
        with self._flushing:
            self._writer.checkpoint()

    def close(self) -> None:
        """Commits what waits, signs a last checkpoint, lets go of the file.

        Raises:
            StoreError: something that was added could not be made durable.
        """
        if self._closed:
            return
        self._closed = True
        self._wake.put(False)
        self._thread.join()
        try:
            future = self._hand_over()
            self._flush()
            future.result()
            with self._flushing:
                self._writer.checkpoint()
        finally:
            self._writer.close()
            self._past.close()
            os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # What a line wants to know at its start, and while it runs.

    @property
    def size(self) -> int:
        """Durable records."""
        return self._writer.size

    @property
    def waiting(self) -> int:
        """Records that were added and are not durable yet."""
        return self._next - self._writer.size

    @property
    def trouble(self) -> str:
        """Why the last commit or checkpoint copy failed, in words; empty when it went well."""
        return self._writer.trouble

    @property
    def wal_bytes(self) -> int:
        """How long line.db's write-ahead log is: it shows whether someone shortens it."""
        return self._writer.wal_bytes()

    def streams(self) -> tuple[str, ...]:
        """Every stream that has ever had a record, oldest first."""
        return tuple(self._streams)

    def last_sequence(self, stream: str) -> int | None:
        """The highest sequence number that has a verdict, durable or waiting; None if none has."""
        known = self._last.get(stream)
        if known is None and stream in self._streams:
            known = self._past.last_sequence(self._streams[stream])
            if known is not None:
                self._last[stream] = known
        return known

    def missing(self, stream: str, up_to: int, limit: int = 1000) -> list[int]:
        """The lowest sequence numbers ≤ ``up_to`` without a durable verdict, from the stream's
        first verdict on: what a restart turns into ``error`` records (I1)."""
        position = self._streams.get(stream)
        return [] if position is None else self._past.missing(position, up_to, limit)

    def unacknowledged(self, limit: int = 64) -> tuple[GateDecision, ...]:
        """The newest durable gate decisions that no gate has acknowledged, oldest first."""
        return self._past.unacknowledged(limit)

    # Inside.

    def _room(self) -> None:
        if self._closed:
            raise StoreError(f"{self.data_dir}: this ledger is closed")
        waiting = self._next - self._writer.size
        if waiting >= self._max_waiting:
            raise StoreFull(
                f"{self.data_dir}: {waiting} records wait for the disk ({self.trouble or 'slow'})"
            )

    def _append(self, body: bytes) -> int:
        position = self._next
        self._rows.records.append((position, body))
        self._next = position + 1
        return position

    def _stream(self, name: str) -> int:
        position = self._streams.get(name)
        if position is None:
            position = self._append(layout.encode_definition(Defined.STREAM, (name,)))
            self._rows.add("definition", position, int(Defined.STREAM))
            self._streams[name] = position
        return position

    def _shape(self, finding: Any) -> int:
        value = layout.shape_of(finding)
        shape = self._shapes.get(value)
        return self._define(self._shapes, Defined.SHAPE, value) if shape is None else shape

    def _define(self, known: dict[tuple[Any, ...], int], what: Defined, value: Any) -> int:
        if len(known) >= MAX_DEFINITIONS:
            known.clear()
        position = self._append(layout.encode_definition(what, value))
        self._rows.add("definition", position, int(what))
        known[value] = position
        return position

    def _refuse_second(self, name: str, stream: int, sequence: int) -> None:
        last = self.last_sequence(name)
        if last is None or sequence > last:
            return
        # A key leaves `_keys` only after its commit, so one of the two has it.
        if (stream, sequence) in self._keys or self._past.has_verdict(stream, sequence):
            raise DuplicateVerdict(
                f"part {sequence} of stream {name} has its verdict already; a verdict never changes"
            )

    def _hand_over(self) -> Future[int]:
        future: Future[int] = Future()
        rows, self._rows = self._rows, schema.Rows()
        self._backlog.append((rows, future))
        return future

    def _flush(self) -> None:
        with self._flushing:
            futures = []
            while self._backlog:
                rows, future = self._backlog.popleft()
                self._writer.take(rows)
                if future.set_running_or_notify_cancel():
                    futures.append(future)
            try:
                self._keys.difference_update(self._writer.write())
            except Exception as error:  # whatever it is, nobody may wait for ever
                for future in futures:
                    future.set_exception(error)
                return
            for future in futures:
                future.set_result(self._writer.size)

    def _run(self) -> None:
        while True:
            try:
                if not self._wake.get(timeout=self._idle_s):
                    return
                self._flush()
            except queue.Empty:
                self._idle()

    def _idle(self) -> None:
        # The first commit after a full disk may be long in coming: what waits is tried again here.
        with self._flushing, suppress(StoreError):
            self._keys.difference_update(self._writer.write())
            self._writer.idle()


def lock_line(data_dir: Path) -> int:
    """Takes the one writer's place; gives the descriptor that holds it.

    Raises:
        StoreInUse: another process has it.
    """
    path = data_dir / "line.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip() or "another process"
        os.close(descriptor)
        raise StoreInUse(
            f"{path.parent}: process {holder} has this ledger open; it has one writer"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
