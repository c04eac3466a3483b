"""A picture's way from the camera process to the line: slots of shared memory, each a seqlock.

Enters: bytes of a picture, from the one writer. Leaves: a view of them, for the one reader, and
the answer to "is it still that picture?". Imports nothing of ours; only this room imports it.

The file: at 0 ``u64 magic``, ``u32 ring`` (its identity), ``u32 slots``, ``u64 slot_bytes``; from
64 on one ``u64`` generation per slot (odd while the slot is written); from the next 4096-byte
boundary the slots. A writer never waits: when the reader is ``slots`` pictures behind, the oldest
is overwritten, its generation tells, and the reader reports it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAGIC = int.from_bytes(b"INSPRING", "little")
_HEADER = struct.Struct("=QIIQ")
_GENERATIONS = 64
_PAGE = 4096
BUFFERS = 16
"""Where the station file names no number."""
LEAST_BYTES, MOST_BYTES = 16 << 20, 40 << 20
"""A ring that has more than `BUFFERS` slots stays within a quarter of the free memory, and between
these: two cameras' fit into the 64 MB that a container's /dev/shm has."""


class Place(NamedTuple):
    """Where a picture was written."""

    slot: int
    generation: int


def slots_for(parts: int, slot_bytes: int, free_bytes: int) -> int:
    """Slots for pictures of ``slot_bytes`` where ``parts`` parts can be on their way to the gate
    and ``free_bytes`` are left for all rings.

    A part may be judged until it comes there, and its picture should last as long: of 16, at 190
    parts/s, the oldest is overwritten after 84 ms, and a machine that was busy elsewhere for 100
    had lost up to 32 parts that had 300 ms to go. At 420 parts/s of 640x480 the 54 of 16 MiB were
    overwritten after 130 ms, the 136 of 40 after 320.
    """
    most_bytes = min(MOST_BYTES, max(LEAST_BYTES, free_bytes // 4))
    return max(BUFFERS, min(parts + BUFFERS, most_bytes // slot_bytes, 256))


class _Ring:
    """What both ends hold."""

    def __init__(self, handle: int, path: Path) -> None:
        self.path = path
        self._map = mmap.mmap(handle, 0)
        magic, self.id, self.slots, self.slot_bytes = _HEADER.unpack_from(self._map)
        if magic != MAGIC or len(self._map) < _size(self.slots, self.slot_bytes):
            self._map.close()
            raise ValueError(f"{path} is not a ring")
        whole = np.frombuffer(self._map, np.uint8)
        self._generation = whole[_GENERATIONS : _GENERATIONS + 8 * self.slots].view(np.uint64)
        first, stride = _first(self.slots), _stride(self.slot_bytes)
        self._slot = [whole[at : at + self.slot_bytes] for at in range(first, len(whole), stride)]

    def close(self) -> None:
        """Let go of the memory; views that are still out keep it alive."""
        self._slot.clear()
        del self._generation
        with contextlib.suppress(BufferError):
            self._map.close()


class RingWriter(_Ring):
    """The camera's end. Creates the ring, replacing (never reusing) what lies at ``path``."""

    def __init__(self, path: Path, slots: int, slot_bytes: int) -> None:
        path.unlink(missing_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            size = _size(slots, slot_bytes)
            # reserved now: a full /dev/shm is an error here and not a SIGBUS at a picture
            os.posix_fallocate(handle, 0, size)
            os.pwrite(handle, _HEADER.pack(MAGIC, secrets.randbits(32), slots, slot_bytes), 0)
            super().__init__(handle, path)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        self._next = 0
        self._last: NDArray[np.uint8] | None = None
        self._sample = b""

    def repeats(self, picture: NDArray[np.uint8]) -> bool:
        """Whether ``picture`` is the one asked about before, and written, byte by byte.

        One byte in 4999 tells nearly every time (0.006 ms, as each is a cache line of its own);
        4999 is prime, so that no line length puts these into one column.
        """
        sample = picture[::4999].tobytes()
        before, self._sample = self._sample, sample
        if sample != before or self._last is None:
            return False
        return np.array_equal(self._last, picture)

    def write(self, picture: NDArray[np.uint8]) -> Place:
        """Copy a picture, flat and at most ``slot_bytes`` long, into the next slot."""
        slot = self._next
        self._next = (slot + 1) % self.slots
        generation = int(self._generation[slot]) + 2
        self._generation[slot] = generation - 1
        last = self._last = self._slot[slot][: picture.size]
        last[:] = picture
        self._generation[slot] = generation
        return Place(slot, generation)

    def remove(self) -> None:
        """Close the ring and take its name away."""
        self._last = None
        self.close()
        self.path.unlink(missing_ok=True)


class RingReader(_Ring):
    """The line's end. ``OSError`` or ``ValueError`` when there is no ring at ``path``."""

    def __init__(self, path: Path) -> None:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # frames are views; nothing here writes
        try:
            super().__init__(handle, path)
        finally:
            os.close(handle)

    def view(self, place: Place, size: int) -> NDArray[np.uint8] | None:
        """The ``size`` bytes at ``place``, not copied; None when they were overwritten."""
        if place.slot >= self.slots or size > self.slot_bytes or not self.holds(place):
            return None
        return self._slot[place.slot][:size]

    def holds(self, place: Place) -> bool:
        """Whether the slot still holds that picture: ask again after using it."""
        return int(self._generation[place.slot]) == place.generation


def _first(slots: int) -> int:
    return -(-(_GENERATIONS + 8 * slots) // _PAGE) * _PAGE


def _stride(slot_bytes: int) -> int:
    return -(-slot_bytes // 64) * 64


def _size(slots: int, slot_bytes: int) -> int:
    return _first(slots) + slots * _stride(slot_bytes)
