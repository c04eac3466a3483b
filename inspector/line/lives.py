"""Whether a batch may begin, go on or end, as the desk has decided: its life is enforced here too.

Enters: a command that takes a step in a batch's life. Leaves: the same command with the reason why
it is refused, or with none. Imports bus and store; ``turns.py`` and ``process.py`` ask it.

The MES's interface looks at the same table before it gives a command, and answers with a status of
its own. Pages, SCADA and scripts give theirs on the bus as they are, so the line looks itself. It
does so in a thread of its own: the desk's index may have to catch up, and the line waits for no
disk.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from inspector.bus import Command
from inspector.store import History
from inspector.store.batches import Batches, Refused, State, Step, after
from inspector.store.holds import Holds

BOUND_S = 2.0
"""How long the ledger may take to answer; by then whoever asked has given up."""
TOO_LATE = "the answer of the desk came too late; ask again"


class Lives:
    """Asks about one batch after the other. `ask` and `finished` are the loop's; the thread is its
    own, and begins with the first question."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._queue: queue.SimpleQueue[tuple[Command, str, Step] | None] = queue.SimpleQueue()
        self._answers: deque[tuple[Command, str]] = deque()
        self._thread: threading.Thread | None = None
        self._asked = 0

    @property
    def asking(self) -> bool:
        """Whether a command waits for its answer."""
        return self._asked > 0

    def ask(self, command: Command, batch: str, step: Step) -> None:
        """Begin to find out whether ``command`` may take ``step`` with ``batch``."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="lives", daemon=True)
            self._thread.start()
        self._asked += 1
        self._queue.put((command, batch, step))

    def finished(self) -> Iterator[tuple[Command, str]]:
        """Commands whose answer is there, each with why it is refused; empty where it is not."""
        while self._answers:
            command, why = self._answers.popleft()
            self._asked -= 1
            if not why and time.monotonic_ns() > command.expiry_ns:
                why = TOO_LATE
            yield command, why

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(BOUND_S)

    def _work(self) -> None:
        with ExitStack() as held:
            desk: Desk | None = None
            while (asked := self._queue.get()) is not None:
                command, batch, step = asked
                try:
                    if desk is None:
                        desk = held.enter_context(Desk(self._data_dir))
                    why = desk.refusal(batch, step)
                except Exception as error:  # what breaks here must not hold up all that follow
                    why = f"whether batch {batch!r} may {step} cannot be read: {error}"
                self._answers.append((command, why))


class Desk:
    """What is known of batches, held open. One thread has it."""

    def __init__(self, data_dir: Path) -> None:
        """Raises ``StoreError`` where the line has never run or the disk does not let us."""
        with ExitStack() as opened:
            self._history = opened.enter_context(History(data_dir, bound_s=BOUND_S))
            self._batches = opened.enter_context(Batches(data_dir))
            self._holds = opened.enter_context(Holds(data_dir))
            self._opened = opened.pop_all()

    def refusal(self, batch: str, step: Step) -> str:
        """Why ``batch`` may not take ``step``; empty if it may. Raises ``StoreError``."""
        life = self._batches.life(self._history, self._holds, batch)
        if life.state is None and step in (Step.GO_ON, Step.CLOSE):
            return ""  # of the batch that the line makes: its beginning is not on the disk yet
        try:
            after(batch, life, step)
        except Refused as error:
            return str(error)
        return ""

    def unfit(self, batch: str) -> str:
        """Why a line that has just started must not produce ``batch``, which its station file
        names; empty if it may. Raises ``StoreError``."""
        if self._batches.life(self._history, self._holds, batch).state is State.RUNNING:
            return ""
        return self.refusal(batch, Step.START)

    def ended(self, batch: str) -> bool:
        """Whether the newest that the line recorded of any batch is the end of this one."""
        newest = next(iter(self._history.batch_changes(1)), None)
        return newest is not None and (newest.id, newest.action) == (batch, "end")

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()
