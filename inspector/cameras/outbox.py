"""The camera's end of its connection to the line: what it tells, and what it is asked.

Enters: descriptors and events, from the camera's one thread. Leaves: messages on a Unix socket that
keeps their bounds (``SOCK_SEQPACKET``), where ``receiver.py`` listens. Imports the room's messages.

Why not ZeroMQ, as between the other processes: its I/O thread costs this process and the line
0.06 ms of processor time a picture each, a third of all that a camera's process needs.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque
from dataclasses import replace

from inspector.cameras.messages import (
    MESSAGE_MAX,
    CameraEvent,
    Descriptor,
    EventKind,
    pack_event,
    pack_frame,
    pack_name,
)

HOW = {
    EventKind.CONNECTED: "here",
    EventKind.LOST: "here",
    EventKind.REFUSED: "here",
    EventKind.SIGNALS: "signals",
}
"""Events that say how the camera is, and not what happened: the newest of each sort holds on."""
RETRY_S = 0.05
"""A line that is away is looked for this often."""


class Outbox:
    """Never waits: pictures for a line that is away are counted and dropped, events are kept until
    it is back. A line that starts anew is told again how the camera is, as it cannot know."""

    def __init__(self, endpoint: str, name: str, camera: int) -> None:
        """``camera``: its place in the station file's list."""
        self.endpoint = endpoint
        self.camera = camera
        self.undelivered = 0
        self._name = name
        self._events: deque[bytes] = deque(maxlen=256)
        self._how: dict[str, bytes] = {}
        self._socket: socket.socket | None = None
        self._retry = 0.0

    def frame(self, descriptor: Descriptor) -> None:
        """Tell the line of a picture."""
        if self._events:
            self.flush()
        if not self._send(pack_frame(descriptor)):
            self.undelivered += 1

    def event(self, event: CameraEvent) -> None:
        """Tell the line of an event, now or when it is there."""
        message = pack_event(event)
        if len(message) > MESSAGE_MAX:  # a node map beyond reason must not hold up what follows it
            message = pack_event(replace(event, detail={}))
        if (sort := HOW.get(event.kind)) is not None:
            if sort == "here":
                self._how.clear()
            self._how[sort] = message
        self._events.append(message)
        self.flush()

    def flush(self) -> None:
        """Send the events that wait."""
        while self._events and self._send(self._events[0]):
            self._events.popleft()

    def asked_to_trigger(self, timeout_ms: int) -> bool:
        """Whether the line asks for a picture within ``timeout_ms``."""
        line = self._connected()
        if line is None:
            time.sleep(min(timeout_ms / 1e3, RETRY_S))
            return False
        asked = select.poll()
        asked.register(line, select.POLLIN)
        if not asked.poll(timeout_ms):
            return False
        with contextlib.suppress(OSError):
            if line.recv(64):
                return True
        self._hang_up()
        return False

    def close(self) -> None:
        """Send what can be sent, and close; what was sent is there for the line to read."""
        self.flush()
        self._hang_up()

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: bytes) -> bool:
        line = self._connected()
        if line is None:
            return False
        try:
            line.send(message, socket.MSG_DONTWAIT)
        except BlockingIOError:  # it is there and does not read
            return False
        except OSError:
            self._hang_up()
            return False
        return True

    def _connected(self) -> socket.socket | None:
        if self._socket is None and time.monotonic() >= self._retry:
            self._retry = time.monotonic() + RETRY_S
            line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * MESSAGE_MAX)
            try:
                line.connect(self.endpoint)
                line.send(pack_name(self._name))
                for message in self._how.values():
                    if message not in self._events:
                        line.send(message)
                self._socket = line
            except OSError:
                line.close()
        return self._socket
