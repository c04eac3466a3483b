"""A command of ours that a page has asked for: ``inspector …`` in a process of its own.

Enters: the command's words. Leaves: its JSON lines as they come, or why it failed, in its own
sentence. It yields to the line: lowest but four priority, one thread. What needs the tools, which
the pages may not import, is done this way. Pages of the engineer import this.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import Any

from inspector.web.access import Refused

NICE = 15
SAID_MAX = 2000
"""Characters of what a command says when it fails."""


class Errand:
    """A command that is running, or has ended."""

    def __init__(
        self, words: Sequence[str], heard: Callable[[dict[str, Any]], None] = lambda row: None
    ) -> None:
        """``heard`` is told each JSON line, in a thread of its own."""
        self.error = ""
        """Why it failed; empty while it runs and where it did not."""
        self._heard = heard
        # a file, for a pipe that nobody empties would stop it; closed when the command has ended
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        self._stopped = False
        self._process = subprocess.Popen(
            ["nice", "-n", str(NICE), sys.executable, "-m", "inspector", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            process_group=0,
            env=os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
        )
        self._thread = threading.Thread(target=self._follow, name=f"errand {words[0]}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End it and what it has started itself; what it has done so far stays."""
        self._stopped = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Until it has ended. Raises ``Refused`` with its sentence, or when it takes too long."""
        self._thread.join(seconds)
        if self.running:
            self.stop()
            raise Refused(f"it was not done within {seconds:.0f} s; try again")
        if self.error:
            raise Refused(self.error)

    def _follow(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.startswith(("{", "[")):
                    self._heard(json.loads(line))
        status = self._process.wait()
        if status and not self._stopped:
            self._said.seek(0)
            text = self._said.read().decode(errors="replace").strip()
            self.error = text[-SAID_MAX:] or f"the command ended with status {status}"
        self._said.close()


def answer_of(words: Sequence[str], seconds: float = 60.0) -> Any:
    """What a short command answers in JSON. Raises ``Refused`` with its sentence."""
    rows: list[Any] = []
    Errand(words, rows.append).wait(seconds)
    return rows[-1] if rows else {}
