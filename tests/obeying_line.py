"""The line's end of the bus, which obeys everything or refuses it with a sentence."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from inspector.bus import Command, CommandServer


class Obeying:
    """Keeps what it was told, in its order."""

    def __init__(self, run: Path) -> None:
        self.commands: list[Command] = []
        self.refuses = ""
        self._server = CommandServer(run)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._obey)
        self._thread.start()

    def _obey(self) -> None:
        while not self._ends.is_set():
            self._server.socket.poll(20)
            command = self._server.receive()
            if command is not None:
                self.commands.append(command)
                self._server.answer(command, not self.refuses, self.refuses or {})
        self._server.close()

    def close(self) -> None:
        self._ends.set()
        self._thread.join()

    def next(self) -> Command:
        until = time.monotonic() + 10
        while not self.commands:
            assert time.monotonic() < until, "no command came"
            time.sleep(0.02)
        return self.commands.pop(0)
