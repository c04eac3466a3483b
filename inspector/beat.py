"""What a process and its supervisor say to each other: that it lives, and that it is to end.

The sign of life is the monotonic time in eight bytes; the word to end is SIGTERM or SIGINT.
Imports nothing of ours; every process of the station may import it.
"""

from __future__ import annotations

import asyncio
import ctypes
import mmap
import os
import select
import signal
import time
from pathlib import Path

_SIZE = ctypes.sizeof(ctypes.c_int64)
BEAT_S = 0.5


class Beat:
    """One file of eight bytes in the run directory. ``beat`` costs no system call."""

    def __init__(self, path: Path) -> None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(handle, _SIZE)
            # One aligned store, which nobody sees half: `struct` clears the bytes before it sets
            # them, and a supervisor that looked in between killed a line that was well.
            self._instant = ctypes.c_int64.from_buffer(mmap.mmap(handle, _SIZE))
        finally:
            os.close(handle)

    def beat(self) -> None:
        """Say that the process's loop has come round."""
        self._instant.value = time.monotonic_ns()

    async def go_on(self) -> None:
        """Say so for as long as the event loop comes round; until cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(BEAT_S)

    def age_s(self) -> float | None:
        """Seconds since the last beat; None before the first."""
        instant = self._instant.value
        return None if instant == 0 else (time.monotonic_ns() - instant) / 1e9

    def clear(self) -> None:
        """Forget the last beat: the process is about to be started anew."""
        self._instant.value = 0


class Ending:
    """Whether this process has been asked to end. Made in the main thread, once."""

    def __init__(self) -> None:
        self._asked = False
        self._word = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.listen()

    def listen(self) -> None:
        """Take the signals; to be said again after a library has taken them for itself."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)

    def is_set(self) -> bool:
        """Whether it is time."""
        return self._asked

    def wait(self, seconds: float | None = None) -> bool:
        """Rest for so long, or until it is time; whether it is."""
        if not self._asked:
            select.select([self._word], [], [], seconds)
        return self._asked

    def _hear(self, *_: object) -> None:
        # No lock: a handler that waited for one that its own thread holds would wait for ever.
        self._asked = True
        os.eventfd_write(self._word, 1)
