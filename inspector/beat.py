"""A process's sign of life: the monotonic time in eight bytes that its supervisor reads.

Imports nothing of ours; every process of the station may import it.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

_INSTANT = struct.Struct("=q")


class Beat:
    """One file of eight bytes in the run directory. ``beat`` costs no system call."""

    def __init__(self, path: Path) -> None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(handle, _INSTANT.size)
            self._page = mmap.mmap(handle, _INSTANT.size)
        finally:
            os.close(handle)

    def beat(self) -> None:
        """Say that the process's loop has come round."""
        _INSTANT.pack_into(self._page, 0, time.monotonic_ns())

    def age_s(self) -> float | None:
        """Seconds since the last beat; None before the first."""
        (instant,) = _INSTANT.unpack_from(self._page)
        return None if instant == 0 else (time.monotonic_ns() - instant) / 1e9

    def clear(self) -> None:
        """Forget the last beat: the process is about to be started anew."""
        _INSTANT.pack_into(self._page, 0, 0)
