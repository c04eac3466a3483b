"""What changes what is made is obeyed in the order in which it was asked.

Enters: commands that begin, change, release, end or resume a batch, or its recipe. Leaves: each at
its turn, with the reason why the desk refuses it, or with none. Imports bus, store and
``lives.py``, which asks the desk; ``commands.py`` has one.

The desk takes its time about one command and is not asked about the next, so without turns an
older command could be obeyed after a newer one, and win. To wait was chosen, and not to refuse the
older one, because each of the four who ask expects what he asked to be done:

- the operator, that the line makes what was asked for last, whoever asked;
- quality, that the records of batches stand in the ledger in the order of what was asked, and that
  the desk was asked about the batch which ran then, not about the one before it;
- the engineer, that his change-over falls on the batch that was started before it;
- the MES, that what it was told was done stays done until a newer command, and that a batch which
  it had the line start is not refused because a person touched a recipe meanwhile.

A stop, a reject, a mode or a test waits for nobody's turn. Whoever has given up before his turn has
come is refused, in words: nobody would know that it was obeyed. A release takes its turn when it is
asked for; it comes into service once it is loaded, and ``champions.py`` sees to it that none does
after a roll-back that is newer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future

from inspector.bus import Command
from inspector.identity import Action
from inspector.line.lives import Lives
from inspector.store.batches import Step

ORDERED = frozenset({
    Action.START_BATCH, Action.CHANGE_OVER, Action.END_BATCH, Action.RESUME, Action.RELEASE_LINE,
    Action.INSTALL_RELEASE,
})  # fmt: skip
"""Commands about what is made."""
TOO_LATE = "the answer of the desk came too late; ask again"


class Turns:
    """Commands in a row, of which the desk is asked about one at a time. The loop calls it."""

    def __init__(self, lives: Lives, running: Callable[[], str]) -> None:
        """``running`` tells the batch that is made, or will be."""
        self._lives, self._running = lives, running
        self._row: deque[Command] = deque()
        self._asked: Future[str] | None = None
        """The desk's answer about the first of the row."""
        self._written: Future[int] | None = None

    @property
    def waiting(self) -> bool:
        """Whether a command waits for its turn, or for the desk."""
        return bool(self._row)

    def add(self, command: Command) -> None:
        """``command`` comes last."""
        self._row.append(command)

    def obeyed(self, written: Future[int]) -> None:
        """A command of the row was obeyed; once it is ``written`` the desk can know of it."""
        self._written = written

    def due(self) -> Iterator[tuple[Command, str]]:
        """Commands whose turn has come, each with why it is refused; empty where it is not. Obey
        each before you take the next: what the desk is asked about that one depends on it."""
        while self._row:
            command, why = self._row[0], ""
            late = time.monotonic_ns() > command.expiry_ns
            if self._asked is None and not late and (asked := step(command, self._running())):
                if self._written is not None and not self._written.done():
                    return
                self._asked = self._lives.ask(*asked)
                return  # what comes meanwhile and waits for no turn is obeyed before it
            if self._asked is not None:
                if not self._asked.done():
                    return
                why, self._asked = self._asked.result(), None
            self._row.popleft()
            yield command, why or (TOO_LATE if late else "")


def step(command: Command, running: str) -> tuple[str, Step] | None:
    """The batch that ``command`` is about and the step in its life; None where there is none, or
    where the command names its batch wrongly, which whoever obeys it will say."""
    args = command.args
    match command.command:
        case Action.START_BATCH:
            named, taken = args.get("id"), Step.START
        case Action.CHANGE_OVER:
            batch = args.get("batch")
            named, taken = batch.get("id") if isinstance(batch, Mapping) else batch, Step.START
            if named == running:
                return None
        case Action.END_BATCH:
            named, taken = args.get("id") or running, Step.CLOSE
        case Action.RESUME:
            named, taken = running, Step.GO_ON
        case _:
            return None
    return (named.strip(), taken) if isinstance(named, str) and named.strip() else None
