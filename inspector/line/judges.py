"""Who judges the parts: threads of their own, so that the loop never waits for a model.

Enters: parts whose pictures are all there, each with what judges it. Leaves: the same parts, judged
or failed, in the order in which they became so. Imports the line's own modules;
``judging.py`` calls it.

Two judges of one thread each get more parts through two cores than one judge of two threads: a
model of a few milliseconds splits badly (bottle-line-int8, 256x480, on two cores: 2 x 236 against
290 a second), and while one part is judged, the loop records and permits the one before it.

Each judge rests at a bell of its own. A queue that all wait at wakes them all for every part, and
who finds nothing has taken the interpreter's lock from who did.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from inspector.line.changeover import Judgement
from inspector.line.matching import Candidate

LATE = "late"
"""How the reasons of a part begin that was not judged in time."""
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
        self.count = count
        """How many parts are judged at once."""
        self._room = count + WAITING
        self._work: deque[tuple[Candidate, Callable[[], Judgement]] | None] = deque()
        self._resting: list[threading.Lock] = []
        """The bells of the judges that have nothing to do, the last one to rest at the end."""
        self._done: deque[Judged] = deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._since_ns: dict[int, int] = {}
        self.under_way = 0
        """Parts that have been given and not been taken back."""
        self.takes_ns = 0
        """How long a judgement takes, as the newest ones did."""
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
        """Have ``candidate`` judged, once ``wake`` is called; what ``judge`` answers or raises will
        be taken."""
        candidate.given = True
        self.under_way += 1
        self._work.append((candidate, judge))

    def wake(self) -> None:
        """Ring for a judge for each part that was given."""
        for _ in range(len(self._work)):
            try:
                bell = self._resting.pop()
            except IndexError:  # all are at work; who has done looks for more by himself
                return
            bell.release()

    def take(self) -> list[Judged]:
        """What was judged since the last call, in the order in which it was. Never waits."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        taken = []
        while self._done:
            judged = self._done.popleft()
            self.takes_ns += (judged.ended_ns - judged.began_ns - self.takes_ns) // 8
            taken.append(judged)
        self.under_way -= len(taken)
        return taken

    def passed_over(self) -> None:
        """A part was not given, as a judgement takes too long: or one such would shut all out."""
        self.takes_ns -= self.takes_ns // 8

    def since_ns(self, now_ns: int) -> int:
        """When the part began that has been with its judge for the longest; ``now_ns`` if none
        is."""
        return min(list(self._since_ns.values()), default=now_ns)

    def fileno(self) -> int:
        """Readable when ``take`` has something."""
        return self._event

    def close(self) -> None:
        """Let the judges go; one that hangs is left behind."""
        self._work.extend([None] * len(self._threads))
        self.wake()
        for thread in self._threads:
            thread.join(1.0)
        if not any(thread.is_alive() for thread in self._threads):
            os.close(self._event)

    def _next(self, bell: threading.Lock) -> tuple[Candidate, Callable[[], Judgement]] | None:
        """The next part, as soon as there is one. Whoever gives leaves the part first and looks
        for a bell then; here it is the other way round, so that nobody rests beside a part."""
        while True:
            with contextlib.suppress(IndexError):
                return self._work.popleft()
            self._resting.append(bell)
            if self._work:
                with contextlib.suppress(ValueError):  # it was taken: it is about to ring
                    self._resting.remove(bell)
                    continue
            bell.acquire()

    def _judge(self, number: int) -> None:
        bell = threading.Lock()
        bell.acquire()
        while (work := self._next(bell)) is not None:
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
