"""Whether a batch may begin, go on or end, as the desk has decided: its life is enforced here too.

Enters: a step in a batch's life. Leaves: the reason why it is refused, or none. Imports store;
``turns.py`` and ``process.py`` ask it.

The MES's interface looks at the same table before it gives a command, and answers with a status of
its own. Pages, SCADA and scripts give theirs on the bus as they are, so the line looks itself. It
does so in a thread of its own: the desk's index may have to catch up, and the line waits for no
disk.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from inspector.store import History
from inspector.store.batches import Batches, Refused, State, Step, after
from inspector.store.holds import Holds

BOUND_S = 2.0
"""How long the ledger may take to answer; by then whoever asked has given up."""


class Lives:
    """Asks in a thread of its own, which begins with the first question."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._pool = ThreadPoolExecutor(1, "lives")
        self._held = ExitStack()
        self._desk: Desk | None = None
        """The thread's."""

    def ask(self, batch: str, step: Step) -> Future[str]:
        """Why ``batch`` may not take ``step``; empty if it may."""
        return self._pool.submit(self._refusal, batch, step)

    def close(self) -> None:
        """End the thread, as soon as it has its answer."""
        self._pool.submit(self._held.close)
        self._pool.shutdown(wait=False)

    def _refusal(self, batch: str, step: Step) -> str:
        try:
            if self._desk is None:
                self._desk = self._held.enter_context(Desk(self._data_dir))
            return self._desk.refusal(batch, step)
        except Exception as error:  # what breaks here must not hold up all that follow
            return f"whether batch {batch!r} may {step} cannot be read: {error}"


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
