"""What the pages ask and write: the ledger's reader, the line's ear, the desk's records.

Enters: a station and its run directory. Leaves: one `Desk` for all pages, safe between threads; its
calls block, so a route runs them in a thread. The web room's pages import it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inspector.bus import Answer, CommandClient
from inspector.config import Station, Web
from inspector.identity import Action, Principal, Users, authorise
from inspector.store import DeskLedger, History
from inspector.store.holds import Holds
from inspector.web.access import Refused
from inspector.web.said import words_of

COMMAND_S = 3.0
"""How long the line may take to obey and record."""
LOST_S = 0.1
"""How long one is tried whose heartbeat is lost."""
HISTORY_S = 2.0


class Desk:
    """One station's, for as long as the process runs."""

    def __init__(
        self, station: Station, run: Path, alive: Callable[[], bool], file: Path | None = None
    ) -> None:
        """``alive``: whether the line's heartbeat is fresh. ``file``: where the station is from.

        Raises ``StoreError`` where the data folder cannot be used.
        """
        self.alive = alive
        self.station = station
        self.run = run
        self.web = station.web or Web()
        self._file = file
        self.data = station.data
        self.users = Users(station.data)
        self.holds = Holds(station.data)
        self._client = CommandClient(run)
        self._ledger = DeskLedger.open(station.data)
        self._writing = threading.Lock()

    @property
    def file(self) -> Path:
        """The station's file. Raises ``Refused`` where nobody has said which it is."""
        if self._file is None:
            raise Refused("the pages do not know the station's file; start them by `inspector run`")
        return self._file

    def words(self, language: str) -> Mapping[str, str]:
        """What the recipes' authors have named, in ``language``."""
        return words_of(self.station.recipes).get(language, {})

    @contextmanager
    def history(self) -> Iterator[History]:
        """A reader of the ledger. Raises ``StoreError`` where there is none yet."""
        with History(self.data, bound_s=HISTORY_S) as history:
            yield history

    def ask(
        self,
        action: Action,
        args: Mapping[str, Any],
        principal: Principal,
        patience_s: float = COMMAND_S,
    ) -> Answer:
        """Have the line do it, and wait for its answer.

        Raises:
            Forbidden: ``principal`` may not.
            NoAnswer: the line is not running, or has not answered; it may yet have obeyed.
        """
        authorise(principal, action)
        patience = patience_s if self.alive() else LOST_S
        return self._client.send(action, args, principal, patience)

    def record(self, kind: str, body: Mapping[str, Any], principal: Principal) -> int:
        """Add a record to the desk's ledger; its position. Durable when this returns (I9).

        Raises ``StoreError`` if it was not written. Authorise first.
        """
        with self._writing:
            return self._ledger.add(kind, dict(body), principal.id)

    def close(self) -> None:
        """Let go of everything; what was recorded is durable already."""
        self._client.close()
        self._ledger.close()
        self.holds.close()
