"""What a camera process tells the line: a picture is in the ring, or something happened.

Enters and leaves: bytes of one message on a Unix socket. May import part and config; the line reads
these through ``receiver.py`` and imports no other module of this room.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple


class EventKind(StrEnum):
    """What happened to a camera."""

    CONNECTED = "connected"
    """Opened and acquiring; ``detail`` holds ``device``, ``set`` (what the station file asked
    for, and what was read back), and ``node_map`` (every readable feature)."""
    REFUSED = "refused"
    """The station file asks for what is not there or not possible. Tried again, as plugs move."""
    LOST = "lost"
    """Disconnect, pulled cable, producer error: torn down, and being looked for."""
    INCOMPLETE = "incomplete"
    """A buffer came with part of its picture only; the part has no frame."""
    WRONG_SIZE = "wrong_size"
    """A picture of another size or format than at the start; the part has no frame."""
    FROZEN = "frozen"
    """A picture equal to the one before it, byte by byte; the part has no frame."""
    LOST_FRAMES = "lost_frames"
    """The camera exposed ``count`` pictures that never came."""
    MISSED_TRIGGERS = "missed_triggers"
    """``count`` edges on the trigger line exposed nothing."""
    OVERRUN = "overrun"
    """The line was so late that the picture was overwritten before it was read."""
    SIGNALS = "signals"
    """Input lines have changed, or are told for the first time: ``detail`` holds each signal."""
    STATISTICS = "statistics"
    """Every few seconds: ``detail`` holds counters since the connection, and the temperature."""


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """One thing that happened to one camera."""

    view: str
    kind: EventKind
    message: str = ""
    """In words that a person understands."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able. For an event about one part: ``frame_id`` and ``edge``."""
    host_ns: int = field(default_factory=time.monotonic_ns)


class Descriptor(NamedTuple):
    """Where a picture lies in the ring, and what it is."""

    ring: int
    """The ring's identity: another number means that its camera process started anew."""
    camera: int
    """Its place in the station file's list."""
    slot: int
    generation: int
    frame_id: int
    edge: int
    """-1 when the camera has no edge counter."""
    device_ns: int
    exposed_ns: int
    host_ns: int
    width: int
    height: int
    pixel_format: int
    """PFNC code."""
    size: int
    """Bytes of pixels."""


_DESCRIPTOR = struct.Struct("=IHHQQqQQQIIII")
_FRAME, _EVENT, _NAME = b"F"[0], b"E"[0], b"N"[0]
MESSAGE_MAX = 1 << 18
"""Bytes. The longest is an event with a camera's whole node map: compressed, some 20 kB."""


def pack_frame(descriptor: Descriptor) -> bytes:
    """A picture's message: 69 bytes."""
    return b"F" + _DESCRIPTOR.pack(*descriptor)


def pack_name(view: str) -> bytes:
    """The first message of a connection: whose it is."""
    return b"N" + view.encode()


def pack_event(event: CameraEvent) -> bytes:
    """An event's message: JSON, compressed."""
    body = {
        "view": event.view,
        "kind": event.kind,
        "message": event.message,
        "detail": dict(event.detail),
        "host_ns": event.host_ns,
    }
    return b"E" + zlib.compress(json.dumps(body, ensure_ascii=False, default=str).encode(), 1)


def unpack(message: bytes | memoryview) -> Descriptor | CameraEvent | str:
    """What was packed; a name as text. ``ValueError`` if the message is none of them."""
    kind = message[0] if message else -1
    if kind == _FRAME and len(message) == 1 + _DESCRIPTOR.size:
        return Descriptor(*_DESCRIPTOR.unpack_from(message, 1))
    if kind == _EVENT:
        body = json.loads(zlib.decompress(message[1:]))
        body["kind"] = EventKind(body["kind"])
        return CameraEvent(**body)
    if kind == _NAME:
        return str(message[1:], "utf-8")
    raise ValueError("not a message of a camera process")


def frames_endpoint(run: Path) -> str:
    """The path of the socket where the line of run directory ``run`` hears its cameras."""
    return str(run / "frames")


def ring_path(endpoint: str, view: str) -> Path:
    """Where the ring of ``view`` is, for both ends of ``endpoint``.

    In memory where the system has ``/dev/shm``: a ring on a disk would be written back to it,
    15 MB/s a camera.
    """
    memory = Path("/dev/shm")
    folder = memory if os.access(memory, os.W_OK) else Path.home() / ".cache"
    line = hashlib.sha256(endpoint.encode()).hexdigest()[:12]
    return folder / f"inspector-{os.getuid()}-{line}-{view}.ring"
