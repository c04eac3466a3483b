"""A camera's clock: its times in ns, and what the host's clock showed at the same instants.

Enters: buffers, and the node map of an open camera. Leaves: when an exposure began, on the camera's
clock and on the host's. ``genicam.py`` uses it.

A picture comes long after its exposure: readout and cable take 40 ms of a large one, and who takes
its arrival for its exposure cannot tell which part it shows where parts follow each other faster.
So the camera's clock is latched now and then (SFNC ``TimestampLatch``, in GigE Vision's older
cameras ``GevTimestampControlLatch``) between two looks at the host's.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from genicam import gentl

from inspector.cameras import features
from inspector.cameras.features import GENTL_ERRORS

_LATCHES = (
    ("TimestampLatch", "TimestampLatchValue", ""),
    ("GevTimestampControlLatch", "GevTimestampValue", "GevTimestampTickFrequency"),
)
"""Command, value, and where the value counts no ns, the ticks in a second."""
FIRST_LOOKS = 3
KEPT_NS = 10_000_000_000
"""A look that took less time than the later ones is believed for so long: quartzes drift by less
than 50 µs a second."""
UNKNOWN = (
    gentl.NotAvailableException, gentl.NotImplementedException,
    gentl.InvalidParameterException, gentl.InvalidValueException,
)  # fmt: skip
"""What producers answer to a question that they do not understand: the standard names the first
two, and not all keep to it."""
DRIFT_NS = 500_000
"""So far apart they are then, at the most. Two looks that disagree by more: the camera's clock was
set meanwhile, by PTP or by hand."""
LONGEST_NS = 10_000_000_000
"""No picture is longer under way; who seems to be has its time from another clock."""


class CameraClock:
    """The clock of one open camera."""

    def __init__(self, nodes: Any, device: Any) -> None:
        """``nodes``: its node map. ``device``: the GenTL device, for the unit of its ticks."""
        self._device = device
        self._source: str | None = None
        self._tick_ns = 1.0
        self._latch: Any = None
        self._value: Any = None
        self._value_ns = 1.0
        for latch, value, frequency in _LATCHES:
            if features.has(nodes, latch, writable=True) and nodes.has_node(value):
                self._latch, self._value = nodes.get_node(latch), nodes.get_node(value)
                if frequency and (ticks := features.read(nodes, frequency)):
                    self._value_ns = 1e9 / float(ticks)
                break
        self._ahead_ns: int | None = None
        self._width_ns = self._looked_ns = 0
        for _ in range(FIRST_LOOKS):
            self.look()

    def look(self) -> None:
        """Compare the two clocks; does nothing where the camera's cannot be read."""
        if self._latch is None:
            return
        try:
            before_ns = time.monotonic_ns()
            self._latch.execute()
            after_ns = time.monotonic_ns()
            value_ns = round(int(self._value.get_value(False, True)) * self._value_ns)
        except GENTL_ERRORS:  # whoever asks the camera for its pictures will tell that it is gone
            return
        width_ns = after_ns - before_ns
        # Its end, so that an exposure may seem late by a look's length, but never early.
        ahead_ns = after_ns - value_ns
        stale = after_ns - self._looked_ns > KEPT_NS
        if stale or width_ns <= self._width_ns or self._was_set(ahead_ns, width_ns):
            self._ahead_ns, self._width_ns, self._looked_ns = ahead_ns, width_ns, after_ns

    def _was_set(self, ahead_ns: int, width_ns: int) -> bool:
        """Whether no clock that only drifts is seen so now and was seen before as it was."""
        if self._ahead_ns is None:
            return True
        later_ns = ahead_ns - self._ahead_ns
        return later_ns > width_ns + DRIFT_NS or -later_ns > self._width_ns + DRIFT_NS

    def ns(self, buffer: Any) -> int:
        """When ``buffer``'s exposure began on the camera's clock; where it has none, the host's
        now."""
        if self._source is None:
            self._source = self._of(buffer)
        if not self._source:
            return time.monotonic_ns()
        ticks = int(getattr(buffer, self._source))
        return ticks if self._tick_ns == 1.0 else round(ticks * self._tick_ns)

    def here(self, camera_ns: int) -> int:
        """The host's monotonic clock at ``camera_ns``; 0 where that is not known."""
        if self._ahead_ns is None:
            return 0
        here_ns, now_ns = camera_ns + self._ahead_ns, time.monotonic_ns()
        fits = -self._width_ns <= now_ns - here_ns < LONGEST_NS
        return min(here_ns, now_ns) if fits else 0

    def _of(self, buffer: Any) -> str:
        """Where ``buffer`` tells its time; a producer need not know ns, nor any time at all."""
        if _has(buffer, "timestamp_ns"):
            return "timestamp_ns"
        if not _has(buffer, "timestamp"):
            return ""
        self._tick_ns = self._value_ns  # the clock that is latched, where the device names no unit
        with suppress(*GENTL_ERRORS):
            if frequency := self._device.timestamp_frequency:
                self._tick_ns = 1e9 / frequency
        return "timestamp"


def _has(buffer: Any, name: str) -> bool:
    with suppress(*UNKNOWN):
        getattr(buffer, name)
        return True
    return False
