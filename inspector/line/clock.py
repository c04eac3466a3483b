"""The time as the ledger wants it: UTC, whether anyone disciplines it, and which boot this is.

Enters: the kernel's word. Leaves: plain numbers. The line imports it.
"""

from __future__ import annotations

import ctypes
from datetime import UTC, date, datetime

from inspector.part import boot_id

STA_UNSYNC = 0x40
TIME_ERROR = 5
"""From ``<sys/timex.h>``: the status bit, and the state, of a clock that nobody disciplines."""
STA_NANO = 0x2000
"""The status bit that says that ``offset`` is in ns and not in µs."""
ASK_EVERY_NS = 1_000_000_000


class _Timex(ctypes.Structure):
    """``struct timex`` of Linux, as far as it is read here, and its whole size."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


class UtcClock:
    """UTC and its state. Asking costs a system call once a second."""

    def __init__(self, trusted: bool) -> None:
        """``trusted`` takes the clock as synchronised without asking the kernel."""
        self._trusted = trusted
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._asked_ns = -ASK_EVERY_NS
        self._synced = trusted
        self._day = date.min
        self._midnight_ns = 0
        self.boot_id = boot_id()
        self.error_us = 0
        """The kernel's estimate of how wrong UTC is, in µs."""
        self.offset_us = 0
        """How far NTP or PTP last found UTC off, as far as the kernel has still to correct it."""

    @property
    def known_synced(self) -> bool:
        """What was known when it was last asked."""
        return self._synced

    def synced(self, now_ns: int) -> bool:
        """Whether UTC was disciplined (NTP or PTP) at ``now_ns`` (monotonic), within a second."""
        if now_ns - self._asked_ns >= ASK_EVERY_NS:
            self._asked_ns = now_ns
            timex = _Timex()
            state = self._libc.adjtimex(ctypes.byref(timex))
            self.error_us = timex.esterror
            self.offset_us = timex.offset // (1000 if timex.status & STA_NANO else 1)
            kernel = 0 <= state < TIME_ERROR and not timex.status & STA_UNSYNC
            self._synced = self._trusted or kernel
        return self._synced

    def today(self, utc_ns: int) -> date:
        """The station's calendar day (its local time zone) at ``utc_ns``."""
        # Asked for every part; the day is worked out anew only when it may have changed.
        if not self._midnight_ns - 900_000_000_000 <= utc_ns < self._midnight_ns:
            quarter = utc_ns // 900_000_000_000
            self._day = datetime.fromtimestamp(utc_ns / 1e9, UTC).astimezone().date()
            self._midnight_ns = (quarter + 1) * 900_000_000_000
        return self._day
