"""A camera's numbers of its pictures, without the end that some transports put to them.

Enters: numbers as they come. Leaves: numbers that go on counting. Imports nothing of ours;
``genicam.py`` uses it.

GigE Vision 1 counts blocks in 16 bits and leaves 0 out: 1 follows on 65535, every 18 minutes at 60
parts/s. CoaXPress tags images in 16 bits, 0 among them. Whoever took that for a camera that counts
anew would have to find out again which picture shows which part, and two or three good ones would
be errors each time.
"""

from __future__ import annotations

LAST = 0xFFFF
NEAR = 1000
"""So many pictures may be lost where the count begins again."""


class FrameIds:
    """Of one camera, since it was opened."""

    def __init__(self) -> None:
        self._told = 0
        self._before = 0
        self._round = LAST
        """How many numbers there are before one comes again."""

    def count(self, told: int) -> int:
        """The number of the picture that came as ``told``."""
        if told == 0:
            self._round = LAST + 1
        if LAST - NEAR < self._told <= LAST and told <= NEAR:
            self._before += self._round
        self._told = told
        return self._before + told
