"""Who judges the parts: threads of their own, so that the loop never waits for a model.

Enters: parts whose pictures are all there, each with what judges it. Leaves: the same parts, judged
or failed, in the order in which they became so. Imports the line's own modules;
``line.py`` calls it.

Two judges of one thread each get more parts through two cores than one judge of two threads: a
model of a few milliseconds splits badly (bottle-line-int8, 256x480, on two cores: 2 x 236 against
290 a second), and while one part is judged, the loop records and permits the one before it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from inspector.line.changeover import Judgement
from inspector.line.matching import Candidate

WAITING = 1
"""Parts that may wait for a judge, so that none is idle while the loop does something else."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A part's judgement, or why there is none."""

    candidate: Candidate
    judgement: Judgement | Exception
    began_ns: int
    ended_ns: int


class Judges:
    """``count`` threads. The loop's thread calls every method."""

    def __init__(self, count: int) -> None:
        self._room = count + WAITING
        self._work: queue.SimpleQueue[tuple[Candidate, Callable[[], Judgement]] | None]
        self._work = queue.SimpleQueue()
        self._done: deque[Judged] = deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._since_ns: dict[int, int] = {}
        self.under_way = 0
        """Parts that have been given and not been taken back."""
        self._threads = [
            threading.Thread(target=self._judge, args=(n,), name="judge", daemon=True)
            for n in range(count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def free(self) -> bool:
        """Whether another part may be given."""
        return self.under_way < self._room

    def give(self, candidate: Candidate, judge: Callable[[], Judgement]) -> None:
        """Have ``candidate`` judged; what ``judge`` answers or raises will be taken."""
        candidate.given = True
        self.under_way += 1
        self._work.put((candidate, judge))

    def take(self) -> list[Judged]:
        """What was judged since the last call, in the order in which it was. Never waits."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        taken = []
        while self._done:
            taken.append(self._done.popleft())
        self.under_way -= len(taken)
        return taken

    def since_ns(self, now_ns: int) -> int:
        """When the part began that has been with its judge for the longest; ``now_ns`` if none
        is."""
        return min(list(self._since_ns.values()), default=now_ns)

    def fileno(self) -> int:
        """Readable when ``take`` has something."""
        return self._event

    def close(self) -> None:
        """Let the judges go; one that hangs is left behind."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads:
            thread.join(1.0)
        if not any(thread.is_alive() for thread in self._threads):
            os.close(self._event)

    def _judge(self, number: int) -> None:
        while (work := self._work.get()) is not None:
            candidate, judge = work
            began_ns = self._since_ns[number] = time.monotonic_ns()
            judgement: Judgement | Exception
            try:
                judgement = judge()
            except Exception as error:  # a recipe that breaks must not take the line with it
                judgement = error
            self._done.append(Judged(candidate, judgement, began_ns, time.monotonic_ns()))
            del self._since_ns[number]
            os.eventfd_write(self._event, 1)
