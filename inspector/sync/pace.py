"""How fast sync may go: so many bytes of network a second, such a share of a core.

Enters: bytes about to be sent, seconds that were worked. Leaves: waits, in short pieces, so that
the process's sign of life goes on. Only `inspector.sync` imports this.
"""

from __future__ import annotations

import time
from collections.abc import Callable

BURST_S = 0.25
"""So much of a second's bytes may go at once."""
PIECE_S = 0.5


def _nothing() -> None:
    pass


class Pace:
    """Waits when sync is ahead of what it may take."""

    def __init__(
        self,
        kbit_s: float = 0.0,
        cpu_share: float = 1.0,
        *,
        beat: Callable[[], None] = _nothing,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """``kbit_s``: 0 is no limit. ``sleep`` ends early, and says so, when sync is to stop: then
        nothing is waited for any more."""
        self._bytes_s = kbit_s * 125.0
        self._share = cpu_share
        self._beat, self._clock, self._cpu, self._sleep = beat, clock, cpu, sleep
        self._free_at = clock()
        self._worked = cpu()

    def send(self, count: int) -> None:
        """Waits until so many bytes may go."""
        self._beat()
        if not self._bytes_s:
            return
        now = self._clock()
        self._free_at = max(self._free_at, now - BURST_S) + count / self._bytes_s
        self.wait(self._free_at - now)

    def rest(self) -> None:
        """Waits as long as the work since the last call asks for."""
        self._beat()
        worked = self._cpu()
        spent, self._worked = worked - self._worked, worked
        if self._share < 1.0:
            self.wait(spent * (1.0 / self._share - 1.0))

    def wait(self, seconds: float) -> None:
        """Waits, beating."""
        end = self._clock() + seconds
        while True:
            self._beat()
            left = end - self._clock()
            if left <= 0 or self._sleep(min(left, PIECE_S)):
                return
