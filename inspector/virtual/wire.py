"""The cable from the photo-eye and the encoder to the cameras of the virtual line: a shared page.

In come pulses and the encoder's turns, from the one process that plays the world; out they go to
every virtual camera (``virtual_camera.c`` and ``virtual_encoder.c``, which read the same page)
without a copy or a server. Imports nothing of ours; the world, the demo and tests may import it.

The page is 8192 bytes, native endian. At 0 ``u64 magic``, at 8 ``u32 futex``, at 12 ``u32 inputs``
(the level of the cameras' Line n in bit n, Line2 to Line7), at 16 ``u64 head`` (the newest pulse's
number, 1-based; 0 is none yet), at 24 ``u64 turns`` (the newest turn's), at 32 ``u32 turn_futex``.
From 64 on 64 entries of 64 bytes: ``u64 pulse, u64 frame_index, u64 t_ns, u32 fault, u32
argument``; pulse *n* is in entry ``(n - 1) % 64``, written before ``head``, and ``head`` before
``futex``. From 4160 on 128 turns of 24 bytes, alike: ``u64 turn, u64 t_ns, u32 count, u32
frame_index`` (2³² - 1 is an empty belt).
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import platform
import struct
import time
from enum import IntEnum
from pathlib import Path
from types import TracebackType

MAGIC = 0x0045_5249_5750_4E49
"""``INPWIRE`` and a zero, little-endian."""
SIZE = 8192
ENTRIES = 64
TURNS = 128

_FUTEX, _INPUTS, _HEAD, _FIRST, _STRIDE = 8, 12, 16, 64, 64
_ENTRY = struct.Struct("=QQQII")
_TURNS, _TURN_FUTEX, _FIRST_TURN = 24, 32, 64 + 64 * 64
_TURN = struct.Struct("=QQII")
_NO_PICTURE = 0xFFFF_FFFF
_SYS_FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98}.get(platform.machine(), 0)
_FUTEX_WAKE = 1
_EVERYBODY = 2**31 - 1


class Fault(IntEnum):
    """How a pulse goes wrong; the camera's ``FaultMode`` has the same numbers."""

    NONE = 0
    DROP = 1
    """Exposed, but no buffer comes."""
    INCOMPLETE = 2
    """Half of the picture comes."""
    DELAY = 3
    """The picture comes ``argument`` ms late."""
    FREEZE = 4
    """The previous picture comes again."""
    DISCONNECT = 5
    """The camera is gone for ``argument`` ms, and its stream says so."""
    WRONG_SIZE = 6
    """Half of the lines, as if the camera had been reconfigured."""
    MISS_TRIGGER = 7
    """The edge is counted, nothing is exposed."""
    VANISH = 8
    """The camera is gone for ``argument`` ms without a word, as a pulled network cable is."""


class Wire:
    """The writing end: one writer, any number of cameras.

    >>> wire = Wire.create(path)
    >>> wire.pulse(frame_index=7)
    1
    """

    def __init__(self, path: Path) -> None:
        """Opens the wire at ``path``; ``ValueError`` if that is not one."""
        self.path = path
        with path.open("r+b") as file:
            if os.fstat(file.fileno()).st_size != SIZE:
                raise ValueError(f"{path} is not a wire: {SIZE} bytes expected")
            self._map = mmap.mmap(file.fileno(), SIZE)
        if self._map[:8] != struct.pack("=Q", MAGIC):
            self._map.close()
            raise ValueError(f"{path} is not a wire: its magic is wrong")
        # ctypes cells, because each store must be one aligned store that a camera cannot see half
        self._head = ctypes.c_uint64.from_buffer(self._map, _HEAD)
        self._futex = ctypes.c_uint32.from_buffer(self._map, _FUTEX)
        self._inputs = ctypes.c_uint32.from_buffer(self._map, _INPUTS)
        self._turns = ctypes.c_uint64.from_buffer(self._map, _TURNS)
        self._turn_futex = ctypes.c_uint32.from_buffer(self._map, _TURN_FUTEX)
        self._count: int | None = None
        self._libc = ctypes.CDLL(None, use_errno=True)

    @classmethod
    def create(cls, path: Path) -> Wire:
        """A new wire, without a pulse; an old one at ``path`` is replaced, not reused."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.write_bytes(struct.pack("=Q", MAGIC).ljust(SIZE, b"\0"))
        new.replace(path)
        return cls(path)

    @property
    def head(self) -> int:
        """The newest pulse's number; 0 before the first."""
        return int(self._head.value)

    def hold(self, line: int, high: bool) -> None:
        """Line ``line``, 2 to 7, of every camera on this wire is high or low from now on."""
        if not 2 <= line <= 7:
            raise ValueError(f"Line{line} is no input that can be held; Line2 to Line7 are")
        bit = 1 << line
        self._inputs.value = self._inputs.value & ~bit | (bit if high else 0)

    def pulse(
        self,
        frame_index: int,
        fault: Fault = Fault.NONE,
        argument: int = 0,
        cameras: int = 0,
        t_ns: int = 0,
    ) -> int:
        """One edge on Line0: every camera in hardware trigger exposes its film's ``frame_index``.

        ``argument`` is the fault's duration in ms; ``cameras`` a mask of the devices that the
        fault befalls, bit 0 for the first of the list, 0 for all. ``t_ns`` is when the edge was
        (monotonic), 0 for now: cameras stamp their exposure with it, so that a busy machine does
        not look like a camera that exposes late. Returns the pulse's number.
        """
        number = int(self._head.value) + 1
        at = _FIRST + (number - 1) % ENTRIES * _STRIDE
        # number last, so that an entry that is being overwritten does not pass for the old one
        when_ns = t_ns or time.monotonic_ns()
        _ENTRY.pack_into(self._map, at, 0, frame_index, when_ns, fault | cameras << 8, argument)
        struct.pack_into("=Q", self._map, at, number)
        self._head.value = number
        self._wake(self._futex)
        return number

    def turn(self, count: int, frame_index: int | None = None, t_ns: int = 0) -> None:
        """The belt's encoder stands at ``count`` (modulo 2³²), the film's ``frame_index`` lies
        before the cameras; None is an empty belt. From the turn before, the belt has moved there
        steadily: so tell a standing belt's turns too. ``t_ns`` is when that was (monotonic), 0 for
        now.
        """
        number = int(self._turns.value) + 1
        at = _FIRST_TURN + (number - 1) % TURNS * _TURN.size
        picture = _NO_PICTURE if frame_index is None else frame_index
        _TURN.pack_into(self._map, at, 0, t_ns or time.monotonic_ns(), count, picture)
        struct.pack_into("=Q", self._map, at, number)
        self._turns.value = number
        if count != self._count:
            self._count = count
            self._wake(self._turn_futex)

    def _wake(self, futex: ctypes.c_uint32) -> None:
        futex.value = (futex.value + 1) & 0xFFFF_FFFF
        if _SYS_FUTEX:  # elsewhere the cameras look when their wait of 200 ms ends
            self._libc.syscall(
                _SYS_FUTEX, ctypes.byref(futex), _FUTEX_WAKE, _EVERYBODY, None, None, 0
            )

    def close(self) -> None:
        """Lets go of the page; the cameras keep theirs."""
        del self._head, self._futex, self._inputs, self._turns, self._turn_futex
        with contextlib.suppress(BufferError):
            self._map.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()
