"""What the ledger must know of the clock that its times come from.

Enters: UTC and its state (``clock.py``), monotonic time. Leaves: the body of a ``clock`` event
whenever there is something to tell: at the start, when UTC becomes disciplined or no longer is,
when it jumps, and every ten minutes how far it is off. Each record of this process is read with the
newest such event before it: times in ``monotonic`` mean nothing without their boot, and what has no
UTC of its own, as a gate decision, gets one from the event's pair of times. The line imports it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from inspector.line.clock import UtcClock

KIND = "clock"
EVERY_NS = 600_000_000_000
JUMP_NS = 500_000_000
"""Between two looks, a second apart. chrony slews by 83 ms/s at the most."""
LOOK_NS = 10_000_000
"""Reading both clocks takes microseconds; who was interrupted in between looks another time."""


class Timekeeper:
    """Watches UTC. One thread, the loop's, calls it about once a second."""

    def __init__(
        self,
        clock: UtcClock,
        utc_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._clock, self._utc_ns, self._monotonic_ns = clock, utc_ns, monotonic_ns
        self._epoch_ns: int | None = None
        """UTC at monotonic 0, as it was at the last look."""
        self._told_ns = 0
        self._synced: bool | None = None
        self.lost = False
        """UTC was disciplined, and is not any more."""

    def look(self) -> dict[str, Any] | None:
        """What the ledger must be told now; None where there is nothing to tell."""
        before_ns = self._monotonic_ns()
        utc_ns = self._utc_ns()
        now_ns = self._monotonic_ns()
        if now_ns - before_ns > LOOK_NS and self._epoch_ns is not None:
            return None
        epoch_ns, synced = utc_ns - now_ns, self._clock.synced(now_ns)
        jumped_ns = 0 if self._epoch_ns is None else epoch_ns - self._epoch_ns
        jumped_ns = jumped_ns if abs(jumped_ns) > JUMP_NS else 0
        self._epoch_ns = epoch_ns
        if not jumped_ns and synced is self._synced and now_ns - self._told_ns < EVERY_NS:
            return None
        self.lost = not synced and (self.lost or bool(self._synced))
        self._synced, self._told_ns = synced, now_ns
        return {
            "boot": self._clock.boot_id,
            "synchronised": synced,
            "offset_us": self._clock.offset_us,
            "error_us": self._clock.error_us,
            "jumped_us": jumped_ns // 1000,
        }


def words_of(jumped_us: int) -> str:
    """A jump of UTC, for an alarm."""
    way = "forwards" if jumped_us > 0 else "back"
    return f"UTC went {way} by {abs(jumped_us) / 1e6:.1f} s"
