"""What people and machines ask of the line, obeyed between two parts; what changes batch or recipe
in the order in which it was asked (``turns.py``).

Enters: commands that the bus has verified and authorised. Leaves: the line changed, an event in
the ledger that names the principal (I9), and then the answer. What each does is in ``acts.py``.
Imports bus, identity, and the line's own modules; ``process.py`` calls it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from inspector.bus import Command, CommandServer, Refusal
from inspector.display import AlarmCode
from inspector.identity import Action, Forbidden
from inspector.line import setting
from inspector.line.acts import Acts, Refused
from inspector.line.champions import Champions, NoRelease
from inspector.line.changeover import Recipe
from inspector.line.line import Line
from inspector.line.lives import Lives
from inspector.line.modes import ModeError
from inspector.line.turns import ORDERED, Turns

SETS = frozenset({
    Action.START_BATCH, Action.END_BATCH, Action.CHANGE_OVER, Action.SET_MODE, Action.BYPASS,
    Action.PAUSE, Action.RESUME, Action.RELEASE_LINE,
    Action.INSTALL_RELEASE,
})  # fmt: skip
"""What a restarted line goes on with."""


class Commands:
    """Takes commands, obeys, records, and answers once the record is durable."""

    def __init__(
        self,
        line: Line,
        server: CommandServer,
        recipes: Mapping[str, Recipe],
        champions: Champions,
    ) -> None:
        """``recipes``: those that are loaded and warm, by name; ``champions`` replaces them."""
        self._champions = champions
        self._line = line
        self._server = server
        self._acts = Acts(line, recipes, champions)
        self._owed: list[tuple[Future[int], Command, Mapping[str, Any]]] = []
        self._before: dict[str, int] = {}
        """How often the line had been halted when a command came that waits for its turn, by its
        id."""
        self._lives = Lives(line.ledger.data_dir)
        self._turns = Turns(self._lives, lambda: line.plan.newest.batch.id)

    @property
    def owing(self) -> bool:
        """Whether somebody waits for the disk, so that the loop should come round soon."""
        return bool(self._owed) or self._champions.loading or self._turns.waiting

    def take(self) -> None:
        """Obey what has come, and answer what is durable by now. Never waits."""
        while (command := self._server.receive()) is not None:
            self._consider(command)
        self._take_turns()
        for command, answer in self._champions.finished():
            if isinstance(answer, str):
                self._refuse(command, answer)
            else:
                self._done(command, answer)
        owed, self._owed = self._owed, []
        for future, command, body in owed:
            if not future.done():
                self._owed.append((future, command, body))
            elif (error := future.exception()) is not None:
                self._server.answer(command, False, f"done, but not recorded: {error}")
            else:
                self._server.answer(command, True, body)

    def close(self) -> None:
        """Ask nobody any more."""
        self._lives.close()

    def _consider(self, command: Command) -> None:
        """Obey at once what may come between others; the rest has its turn (``turns.py``). What
        cannot be recorded is not obeyed (I9)."""
        if why := self._line.ledger.unfit(args=dict(command.args)):
            self._refuse(replace(command, args={}), f"it cannot be recorded: {why}")
        elif command.command in ORDERED:
            self._before[command.id] = self._acts.halts
            self._turns.add(command)
            self._take_turns()
        else:
            self._obey(command)

    def _take_turns(self) -> None:
        for command, why in self._turns.due():
            if (
                self._before.pop(command.id) != self._acts.halts
                and command.command is Action.RESUME
            ):
                why = why or "the line was stopped after that; look, and resume it again"
            if why:
                self._refuse(command, why)
            else:
                self._obey(command)

    def _obey(self, command: Command) -> None:
        try:
            body = self._acts.do(command)
        except (Refused, NoRelease, ModeError, Forbidden, ValueError) as error:
            self._refuse(command, str(error))
            return
        if body is not None:
            self._done(command, body)

    def _refuse(self, command: Command, why: str) -> None:
        self._record(command, refused=why)
        self._server.answer(command, False, why)

    def _done(self, command: Command, body: dict[str, Any]) -> None:
        line = self._line
        self._record(command, **body)
        if command.command in SETS or body.get("stopped"):
            setting.keep(
                line.ledger, line.station, line.plan, line.stream, line.modes, line.paused,
                command.principal.id,
            )  # fmt: skip
        # Somebody waits for the answer: a machine that rejects 200 parts a second waits for each.
        written = line.ledger.commit_soon(time.monotonic_ns())
        self._owed.append((written, command, body))
        if command.command in ORDERED:
            self._turns.obeyed(written)

    def _record(self, command: Command, **body: Any) -> None:
        self._line.ledger.add_event(
            "command", command.principal.id, command=str(command.command), id=command.id,
            args=dict(command.args), roles=sorted(command.principal.roles), result=body,
        )  # fmt: skip


def refused(line: Line, refusal: Refusal) -> None:
    """A message that the bus did not let through: recorded, and an alarm."""
    line.ledger.add_event(
        "command_refused", refusal.principal or "unknown", what=refusal.kind,
        why=refusal.message, command=refusal.command,
    )  # fmt: skip
    line.alarms.happened(AlarmCode.COMMANDS_REFUSED, refusal.kind)
