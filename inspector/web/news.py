"""What the desk has to say to the open pages: calls for help, the order's target, quality's steps.

Enters: the desk's records and the quality process's state. Leaves: one ``DESK`` message for
`feed`, anew whenever something of it has changed. `live` runs it beside the feed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio.to_thread
import structlog

from inspector.display import Topic, pack
from inspector.quality.process import state as quality_state
from inspector.store import History, StoreError
from inspector.store.batches import Batches
from inspector.store.cursor import newest_desk
from inspector.store.signatures import Signatures
from inspector.web.desk import Desk
from inspector.web.feed import Feed

HELP = "help"
"""Kind of the desk's records of calls: ``action`` is ``call`` (with ``reason``) or ``come``."""
LOOK_S = 0.5

log = structlog.get_logger()


class News:
    """For one event loop; `called` and `come` from any thread."""

    def __init__(self, desk: Desk, feed: Feed, run: Path) -> None:
        self._desk, self._feed, self._run = desk, feed, run
        self._help: dict[str, Any] | None = None
        self._said: dict[str, Any] | None = None
        self._batches: Batches | None = None
        self._signatures: Signatures | None = None

    def called(self, who: str, reason: str) -> None:
        """Somebody calls for help."""
        self._help = {"by": who, "reason": reason, "at_ms": time.time_ns() // 1_000_000}

    def come(self) -> None:
        """Somebody has come."""
        self._help = None

    async def run(self) -> None:
        """Look, and say what is new, for ever."""
        with contextlib.suppress(StoreError):
            await anyio.to_thread.run_sync(self._recall)
        while True:
            try:
                said = await anyio.to_thread.run_sync(self._look)
                if said != self._said:
                    self._said = said
                    self._feed.tell(pack(Topic.DESK, 0, time.monotonic_ns(), said))
            except StoreError as error:
                log.error("the desk cannot be read", why=str(error))
            await asyncio.sleep(LOOK_S)

    def close(self) -> None:
        """Let go of the files."""
        if self._batches is not None:
            self._batches.close()
        if self._signatures is not None:
            self._signatures.close()

    def _recall(self) -> None:
        with History(self._desk.data) as history:
            newest = newest_desk(history, HELP, 1)
        if newest and newest[0][1].body.get("action") == "call":
            record = newest[0][1]
            self.called(record.principal, str(record.body.get("reason", "")))

    def _look(self) -> dict[str, Any]:
        status = self._feed.body
        id = str(status.get("batch", ""))
        target, order = self._target(id)
        quality = quality_state(self._run)
        return {
            "help": self._help,
            "target": target,
            "order": order,
            "signed": self._signed(str(status.get("awaits") or ""), status.get("needs") or ()),
            "article": quality.get("first_article") or quality.get("article"),
            "challenge": quality.get("challenge"),
            "can": {
                "article": bool(self._desk.station.quality and
                                self._desk.station.quality.first_article),
                "challenge": bool(self._desk.station.quality and
                                  self._desk.station.quality.challenge),
            },
        }  # fmt: skip

    def _signed(self, awaits: str, needs: Sequence[str]) -> list[str]:
        """Of what the line awaits, what it has: it is told once all of it is signed."""
        if not awaits:
            return []
        if self._signatures is None:
            self._signatures = Signatures(self._desk.data)
        return [kind for kind in needs if self._signatures.of(kind, awaits)]

    def _target(self, id: str) -> tuple[int | None, str]:
        if self._batches is None:
            self._batches = Batches(self._desk.data)
        plan = self._batches.plan(id) if id else None
        return (plan.target, plan.order) if plan else (None, "")
