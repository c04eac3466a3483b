"""What the routes answer with: the ledger's readers, the line's ear and voice, the desk's records.

Enters: a station and its run directory. Leaves: one `Desk` for all requests, safe between threads.
The plant's modules import it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import zmq.asyncio

from inspector.bus import Answer, CommandClient, NoAnswer
from inspector.config import Station
from inspector.display import Topic, subscriber, unpack
from inspector.identity import Action, Principal, authorise
from inspector.plant.problems import Problem
from inspector.plant.requests import Requests
from inspector.store import History, NoLedger
from inspector.store.batches import Batches
from inspector.store.genealogy import Genealogy
from inspector.store.holds import Holds
from inspector.store.pages import tail
from inspector.store.records import Record
from inspector.store.reviews import Reviews
from inspector.store.tags import Tags

FRESH_S = 0.8
"""A heartbeat older than this is a lost line; it comes every 200 ms."""
COMMAND_S = 2.0
"""How long the line may take to obey and record."""
LOST_S = 0.1
"""How long one is tried whose heartbeat is lost."""
HISTORY_S = 2.0
LOOK_S, PORTION = 0.1, 200
"""How often who follows the ledger looks at its end, and how much is read at once."""


class Closes(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=Closes)


class Pool(Generic[T]):
    """Things that one thread at a time may use, made as needed, the warmest first."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._idle: queue.LifoQueue[T] = queue.LifoQueue()

    @contextmanager
    def take(self) -> Iterator[T]:
        """One for this thread alone."""
        try:
            thing = self._idle.get_nowait()
        except queue.Empty:
            thing = self._make()
        try:
            yield thing
        finally:
            self._idle.put(thing)

    def close(self) -> None:
        """Close all that nobody uses."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()


class Heartbeat:
    """The line's newest word about itself."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._task: asyncio.Task[None] | None = None
        self._sent_ns = 0
        self.body: Mapping[str, Any] = {}
        """`inspector.display.Status` as JSON; empty before the first."""

    @property
    def age_s(self) -> float:
        """How old it is; infinite before the first."""
        return (time.monotonic_ns() - self._sent_ns) / 1e9 if self._sent_ns else float("inf")

    @property
    def alive(self) -> bool:
        """Whether the line's loop comes round."""
        return self.age_s < FRESH_S

    def start(self) -> None:
        """Listen, on the running event loop."""
        self._task = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        context = zmq.asyncio.Context()
        socket = subscriber(self._run, Topic.STATUS, context)
        try:
            while True:
                with contextlib.suppress(ValueError):
                    message = unpack(await socket.recv())
                    self.body, self._sent_ns = message.body, message.sent_ns
        finally:
            context.destroy(linger=0)


class Line:
    """One station's line, read and spoken to, for as long as the process runs. Any number of
    processes may have one."""

    def __init__(self, station: Station, run: Path) -> None:
        self.station = station
        self.data = station.data
        self.heartbeat = Heartbeat(run)
        self._histories = Pool(lambda: History(station.data, bound_s=HISTORY_S))
        self._clients = Pool(lambda: CommandClient(run))
        self._began = time.monotonic()

    @contextmanager
    def history(self) -> Iterator[History]:
        """A reader of the ledger. Raises ``Problem`` 503 where there is none yet, ``StoreError``
        where it cannot be read."""
        with contextlib.ExitStack() as stack:
            try:
                history = stack.enter_context(self._histories.take())
            except NoLedger:
                raise Problem(
                    503, "no-ledger", "the line has never run here", headers={"Retry-After": "5"}
                ) from None
            yield history

    def recorded(self, after: int | None) -> tuple[list[tuple[int, Record]], int]:
        """What was recorded behind position ``after`` (None: from now on), and how far it was read.

        A ledger that came back from a back-up is shorter than what was read of it: what is recorded
        from now on is news all the same. Raises ``StoreError``.
        """
        try:
            with self.history() as history:
                end = history.size() - 1
                if after is None or after > end:
                    return [], end
                return tail(history, after, PORTION, passes=True)
        except Problem:  # no ledger yet
            return [], -1 if after is None else after

    def ask(self, action: Action, args: Mapping[str, Any], principal: Principal) -> Answer:
        """Have the line do it, and wait for its answer.

        Raises:
            Forbidden: ``principal`` may not.
            NoAnswer: the line is not running, or has not answered; it may yet have obeyed.
        """
        authorise(principal, action)
        young = time.monotonic() - self._began < COMMAND_S
        patient = self.heartbeat.alive or young
        with self._clients.take() as client:
            return client.send(action, args, principal, COMMAND_S if patient else LOST_S)

    def close(self) -> None:
        """Let go of everything; what was recorded is durable already."""
        self._clients.close()
        self._histories.close()


class Desk(Line):
    """What the MES's requests are answered with; one process of a station has it."""

    def __init__(self, station: Station, run: Path) -> None:
        """Raises ``StoreError`` where the data folder cannot be used."""
        super().__init__(station, run)
        self.requests = Requests(station.data)
        self.holds = Holds(station.data)
        self.reviews = Reviews(station.data)
        self.batches = Batches(station.data)
        self.genealogy = Genealogy(station.data)
        self.tags = Tags(station.data)

    def command(
        self, action: Action, args: Mapping[str, Any], principal: Principal
    ) -> Mapping[str, Any]:
        """`ask`, where only obedience will do. Raises ``Problem`` 409 or 503 besides."""
        try:
            answer = self.ask(action, args, principal)
        except NoAnswer as error:
            raise Problem(
                503,
                "no-line",
                f"{error}; look at /api/v1/status, then repeat it with the same Idempotency-Key",
                headers={"Retry-After": "2"},
            ) from None
        if not answer.ok:
            raise Problem(409, "refused-by-line", answer.error)
        return answer.body

    def close(self) -> None:
        """Let go of everything; what was recorded is durable already."""
        super().close()
        self.holds.close()
        self.reviews.close()
        self.batches.close()
        self.genealogy.close()
        self.tags.close()
        self.requests.close()
