"""When the line's ledger writes: at once in the caller's thread, or soon in one of its own.

Enters: rows in their order, as they are handed over. Leaves: futures that tell when they are
durable, a WAL that stays short. Only `ledger` has one; `writer` does the writing.

A disk that took nothing is left alone for `REST_S`, however often it is asked for: each verdict of
a line asks, what waits grows, and to try it all again at once would cost the line a processor.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from inspector.pace import Pace
from inspector.store import schema
from inspector.store.errors import StoreError
from inspector.store.rows import Rows
from inspector.store.writer import Writer

BIG_WAL = 4 << 20
"""Bytes of WAL that are worth shortening in an idle second."""
HUGE_WAL = 256 << 20
"""Bytes of WAL at which the line shortens it though it is not idle: nobody else does, and the disk
would fill. At 50 commits/s that is after four minutes."""
LOOK_COMMITS = 64
"""The WAL's size is asked for once in so many commits."""
REST_S = 0.1
"""What is asked for in the moment in which there is room again waits so much longer at most: a
tenth of the time between eye and gate. Asked 50 times a second with 100,000 records waiting, a full
disk costs 6 % of a processor so; tried whole and at once it cost 83 %."""


PACE_NS, BURST = 12_000_000, 2
"""Commits in our thread: a line at up to 80 parts/s has one for each part, at once; what is faster
shares them, and waits 12 ms at most. At 400 parts/s that is 0.13 CPU-ms a part instead of 0.3, and
fewer decisions go to the PLC one by one."""
NEVER = 1 << 62
"""An instant that does not come, in ns."""
URGENT_NS = 40_000_000
"""A part that must have its decision within this time does not wait for others."""


class Commits:
    """Has a `Writer` write. One thread hands over; it may write itself, or leave it to ours."""

    def __init__(self, path: Path, writer: Writer, idle_s: float) -> None:
        """``path``: of line.db; ``idle_s``: after so long without a commit there is time to tidy
        up."""
        self.undurable: set[tuple[int, int]] = set()
        """(stream, sequence) of verdicts; each leaves only after its commit."""
        self._path = path
        self._writer = writer
        self._idle_s = idle_s
        self._backlog: deque[tuple[Rows, int, Future[int]]] = deque()
        self._flushing = threading.Lock()
        self._wake: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        """By when each is wanted; None is the end."""
        self._commits = 0
        self._shortening: threading.Thread | None = None
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._pace = Pace(PACE_NS, BURST)
        self._thread.start()

    def now(self, rows: Rows, end: int) -> int:
        """Writes all up to ``rows``, whose last record stands before position ``end``; gives the
        number of durable records. Raises what the disk said."""
        future = self._hand_over(rows, end)
        self._flush()
        return future.result()

    def soon(self, rows: Rows, end: int, by_ns: int) -> Future[int]:
        """The same in our thread; callbacks of the future run there. What is wanted within
        `URGENT_NS` of the monotonic instant ``by_ns`` keeps no pace."""
        future = self._hand_over(rows, end)
        self._wake.put(by_ns)
        return future

    def checkpoint(self) -> None:
        """Signs what is durable."""
        with self._flushing:
            self._writer.checkpoint()

    def end(self) -> None:
        """Ends our threads; what waits still does."""
        self._wake.put(None)
        self._thread.join()
        if self._shortening is not None:
            self._shortening.join()

    def _hand_over(self, rows: Rows, end: int) -> Future[int]:
        future: Future[int] = Future()
        self._backlog.append((rows, end, future))
        return future

    def _flush(self) -> bool:
        """Whether the disk has taken all that was handed over."""
        with self._flushing:
            futures = []
            while self._backlog:
                rows, end, future = self._backlog.popleft()
                self._writer.take(rows)
                if future.set_running_or_notify_cancel():
                    futures.append((end, future))
            failed: Exception | None = None
            try:
                self._write()
            except Exception as error:  # whatever it is, nobody may wait for ever
                failed = error
            size = self._writer.size
            for end, future in futures:
                if failed is None or end <= size:
                    future.set_result(size)
                else:
                    future.set_exception(failed)
        self._commits += 1
        if self._commits % LOOK_COMMITS == 0 and self._writer.wal_bytes() > HUGE_WAL:
            self._shorten()
        return failed is None

    def _write(self) -> None:
        while self._writer.waits:
            self.undurable.difference_update(self._writer.write())

    def _run(self) -> None:
        while True:
            try:
                by_ns = self._wake.get(timeout=self._idle_s)
            except queue.Empty:
                self._idle()
                continue
            if by_ns is None:
                return
            if not (self._backlog or self._writer.waits):
                continue  # went with the one before
            self._keep_pace(by_ns)
            while not self._flush():
                if not self._rest():
                    return

    def _keep_pace(self, by_ns: int) -> None:
        if by_ns - time.monotonic_ns() <= URGENT_NS:
            return
        while (early_ns := self._pace.put_off_ns(time.monotonic_ns())) > 0:
            time.sleep(early_ns / 1e9)

    def _rest(self) -> bool:
        """Whoever asks meanwhile is served by the next try. False: it ends."""
        until = time.monotonic() + REST_S
        while (left := until - time.monotonic()) > 0:
            with suppress(queue.Empty):
                if self._wake.get(timeout=left) is None:
                    return False
        return True

    def _idle(self) -> None:
        # A commit in the caller's thread may have failed: what waits is tried again here.
        with self._flushing, suppress(StoreError):
            self._write()
            self._writer.idle()
        if self._writer.wal_bytes() > BIG_WAL:
            self._shorten()

    def _shorten(self) -> None:
        # On a connection and in a thread of its own, so that no commit waits for it.
        if self._shortening is None or not self._shortening.is_alive():
            self._shortening = threading.Thread(target=self._move_pages, name="wal", daemon=True)
            self._shortening.start()

    def _move_pages(self) -> None:
        with suppress(sqlite3.Error):  # tried again in the next idle second
            schema.shorten_wal(self._path)
