"""What the line is doing, and until when. No I/O.

Enters: a mode with its principal and reason. Leaves: what the mode means for a part. Imports part;
the line imports it.
"""

from __future__ import annotations

from dataclasses import dataclass

from inspector.part import Mode

INDEX = {mode: index for index, mode in enumerate(Mode)}
"""The mode's number in the register map."""
BYPASS_MAX_NS = 8 * 3600 * 1_000_000_000
"""No by-pass is longer than a shift: a longer one is not a by-pass but a line without a station."""

PERMITS = frozenset({Mode.AUTO, Mode.CHALLENGE, Mode.BYPASS, Mode.REINSPECT})
"""Modes in which a part may reach the good side. What is on the belt during setup and cleaning is
no product: it is judged and recorded, and rejected."""


class ModeError(Exception):
    """The mode cannot be had like this; ``str()`` says why."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A mode as somebody set it."""

    mode: Mode
    principal: str
    reason: str = ""
    until_ns: int = 0
    """By-pass only: when it ends by itself, monotonic ns; else 0."""


class Modes:
    """The line's mode. By-pass ends by itself; what was before it comes back."""

    def __init__(self, mode: Mode) -> None:
        """Starts in ``mode``. A by-pass does not outlive the process that was told of it."""
        start = Mode.AUTO if mode is Mode.BYPASS else mode
        self.now = Setting(start, "line")
        self._before = self.now

    @property
    def lasting(self) -> Mode:
        """The mode without the by-pass: what is left when that ends."""
        return self._before.mode if self.now.mode is Mode.BYPASS else self.now.mode

    def set(
        self, mode: Mode, principal: str, reason: str = "", for_ns: int = 0, *, at_ns: int
    ) -> Setting:
        """Change to ``mode`` at ``at_ns``. Raises ``ModeError``: by-pass needs a reason and a
        time limit of at most ``BYPASS_MAX_NS``."""
        until_ns = 0
        if mode is Mode.BYPASS:
            if not reason.strip():
                raise ModeError("by-pass needs a reason")
            if not 0 < for_ns <= BYPASS_MAX_NS:
                raise ModeError(
                    f"by-pass needs a time limit in `minutes`, up to {BYPASS_MAX_NS // 60 // 10**9}"
                )
            until_ns = at_ns + for_ns
            if self.now.mode is not Mode.BYPASS:
                self._before = self.now
        self.now = Setting(mode, principal, reason, until_ns)
        return self.now

    def expire(self, at_ns: int) -> Setting | None:
        """The by-pass that has just ended, if one has."""
        ended = self.now
        if not ended.until_ns or at_ns < ended.until_ns:
            return None
        self.now = self._before
        return ended
