"""From the line's display to the open pages: display messages enter, the same bytes leave.

Passes travel newest-only; rejects one by one, because the page keeps the last ones; the heartbeat
always. A page that reads slowly misses passes, never sees old ones. Only ``web/app.py`` imports it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
import zmq
import zmq.asyncio

from inspector.display import HEADER, Topic, subscriber, unpack

KEPT = 8
"""Rejects that a page shows in its strip."""
FRESH_S = 0.8
"""A heartbeat older than this is a lost line."""
IN_FLIGHT = 2
"""Pictures sent to a page that it has not drawn yet; the next one waits, or is dropped."""
STALLED_S = 2.0
"""A page that has drawn nothing for this long gets its pictures anew."""

log = structlog.get_logger()


class Page:
    """What waits for one open page."""

    def __init__(self, rejects: deque[bytes], desk: bytes | None = None) -> None:
        self._rejects = deque(
            (Topic.HISTORY.encode() + message[2:] for message in rejects), maxlen=rejects.maxlen
        )
        self._pass: bytes | None = None
        self._status: bytes | None = None
        self._desk = desk
        self._news = asyncio.Event()
        self._unseen = 0
        self._sent_s = 0.0
        self._news.set()

    def offer(self, message: bytes) -> None:
        """Take ``message`` for the page; what it replaces is never sent."""
        topic = message[:2]
        if topic == Topic.STATUS.encode():
            self._status = message
        elif topic == Topic.DESK.encode():
            self._desk = message
        elif topic == Topic.PASS.encode():
            self._pass = message
        else:
            self._rejects.append(message)
        self._news.set()

    def drawn(self) -> None:
        """The page has drawn one picture."""
        self._unseen = max(0, self._unseen - 1)
        self._news.set()

    async def next(self) -> bytes:
        """The next message to send: the heartbeat first, then rejects, then the newest pass."""
        while True:
            self._news.clear()
            if self._status is not None:
                message, self._status = self._status, None
                return message
            if self._desk is not None:
                message, self._desk = self._desk, None
                return message
            if self._unseen < IN_FLIGHT or time.monotonic() - self._sent_s > STALLED_S:
                if self._rejects:
                    message = self._rejects.popleft()
                elif self._pass is not None:
                    message, self._pass = self._pass, None
                else:
                    message = b""
                if message:
                    self._unseen = min(self._unseen + 1, IN_FLIGHT)
                    self._sent_s = time.monotonic()
                    return message
            await self._news.wait()


class Feed:
    """The line as the web process hears it. Passes are subscribed to only while a page is open,
    so that the line encodes none for nobody."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._context = zmq.asyncio.Context()
        self._pages: set[Page] = set()
        self._rejects: deque[bytes] = deque(maxlen=KEPT)
        self._tasks: list[asyncio.Task[None]] = []
        self._passes: asyncio.Task[None] | None = None
        self._body: Mapping[str, Any] = {}
        self._sent_ns = 0
        self._desk: bytes | None = None

    @property
    def body(self) -> Mapping[str, Any]:
        """What the last heartbeat said; empty before the first."""
        return self._body

    @property
    def alive(self) -> bool:
        """Whether the last heartbeat is fresh."""
        return bool(self._sent_ns) and time.monotonic_ns() - self._sent_ns < FRESH_S * 1e9

    @property
    def now(self) -> Mapping[str, Any]:
        """What the line says now; empty where it is lost."""
        return self._body if self.alive else {}

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return len(self._pages)

    def start(self) -> None:
        """Listen, on the running event loop."""
        self._tasks = [
            asyncio.create_task(self._listen(Topic.STATUS, conflate=True)),
            asyncio.create_task(self._listen(Topic.REJECT, conflate=False)),
        ]

    async def stop(self) -> None:
        """Listen no more."""
        tasks = [*self._tasks, *([self._passes] if self._passes else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._context.destroy(linger=0)

    def join(self) -> Page:
        """A page has been opened; it gets the last rejects for its strip."""
        page = Page(self._rejects, self._desk)
        self._pages.add(page)
        if self._passes is None:
            self._passes = asyncio.create_task(self._listen(Topic.PASS, conflate=True))
        return page

    def tell(self, message: bytes) -> None:
        """A message of the desk for every page, those to come included."""
        self._desk = message
        for page in self._pages:
            page.offer(message)

    def leave(self, page: Page) -> None:
        """A page has been closed."""
        self._pages.discard(page)
        if not self._pages and self._passes is not None:
            self._passes.cancel()
            self._passes = None

    async def _listen(self, topic: Topic, conflate: bool) -> None:
        socket = subscriber(self._run, topic, self._context, conflate)
        try:
            while True:
                message: bytes = await socket.recv()
                with contextlib.suppress(ValueError):
                    self._take(topic, message)
        finally:
            socket.close()

    def _take(self, topic: Topic, message: bytes) -> None:
        if len(message) < HEADER.size:
            return
        if topic is Topic.STATUS:
            status = unpack(message)
            self._body, self._sent_ns = status.body, status.sent_ns
        elif topic is Topic.REJECT:
            self._rejects.append(message)
        for page in self._pages:
            page.offer(message)
