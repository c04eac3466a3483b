"""A cable between a station and its centre that can be cut: a real TCP proxy."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Cable:
    """Forwards bytes both ways, until its plan says that a connection is cut after so many."""

    def __init__(self, target: Callable[[], int], cut_after: Callable[[], int | None]) -> None:
        """
        Args:
            target: the port to forward to, asked for each connection.
            cut_after: bytes of a connection, both ways together, before it is cut; None: never.
        """
        self._target = target
        self._cut_after = cut_after
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.cuts = 0
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No more connections."""
        self._closed = True
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target()), timeout=5)
        except OSError:
            near.close()
            return
        left = [self._cut_after()]
        ends = (near, far)
        ways = [
            threading.Thread(target=self._copy, args=(a, b, ends, left), daemon=True)
            for a, b in ((near, far), (far, near))
        ]
        for way in ways:
            way.start()

    def _copy(self, source: socket.socket, sink: socket.socket, ends: Any, left: Any) -> None:
        with suppress(OSError):
            while data := source.recv(16384):
                if left[0] is not None:
                    data = data[: max(0, left[0])]  # half an answer, half a segment
                    left[0] -= len(data)
                sink.sendall(data)
                if left[0] is not None and left[0] <= 0:
                    self.cuts += 1
                    break
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def sometimes(seed: int, most: int, never: float = 0.2) -> Callable[[], int | None]:
    """Cuts most connections, each after another number of bytes up to ``most``; some, never."""
    draw = random.Random(seed)

    def plan() -> int | None:
        return None if draw.random() < never else int(most ** draw.random())

    return plan
