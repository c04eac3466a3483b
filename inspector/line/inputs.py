"""Signals that come over the cameras' input lines, beside or instead of a PLC's.

Enters: what each camera process says of its lines. Leaves: the PLC's signals made worse by them, so
that every rule about signals has one place to look; without a PLC, parts refused while the belt
stands. Imports config, display and registers; the line imports it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inspector.config import Camera
from inspector.registers import Signal

FINE = (
    Signal.LINE_RUNNING | Signal.ESTOP_CLEAR | Signal.AIR_OK | Signal.LIGHT_OK | Signal.ENCODER_OK
)
"""What a station takes for given that has neither a PLC nor a line for it."""
HALTS = {
    Signal.LINE_RUNNING: "the conveyor does not run",
    Signal.ESTOP_CLEAR: "an e-stop",
    Signal.JAM: "a jam",
}
"""Signals after which a gate that is timed by the belt's speed knows no part's place."""
_BIT = {str(signal.name).lower(): signal for signal in Signal}


class Inputs:
    """The input lines of all cameras of a station."""

    def __init__(self, cameras: Sequence[Camera]) -> None:
        self.unknown = {camera.name for camera in cameras if camera.signals}
        """Cameras whose lines are wired, and have not said a word since they were connected."""
        self.wired = bool(self.unknown)
        halting = {str(signal.name).lower() for signal in HALTS}
        self._halting = {camera.name for camera in cameras if halting & camera.signals.keys()}
        self.fresh = self.wired
        """Something has changed that `watch.heed` has not seen."""
        self._stood = ""
        """Why no part's place was known at some time since somebody looked."""
        self._off = self._on = Signal(0)
        self._told: dict[str, Mapping[str, bool]] = {}

    def told(self, view: str, signals: Mapping[str, bool]) -> None:
        """What the lines of ``view`` say now."""
        self.unknown.discard(view)
        self._told[view] = signals
        self.fresh = True
        self._weigh()

    def forget(self, view: str) -> None:
        """The camera is gone, or has been opened anew: what its lines say is not known."""
        if self._told.pop(view, None) is not None:
            self.unknown.add(view)
            self.fresh = True
            self._weigh()

    @property
    def blind(self) -> bool:
        """Whether a line is not heard that would tell of a belt that stands: it may have stood
        meanwhile, so no part's place is known."""
        return not self._halting.isdisjoint(self.unknown)

    def worse(self, signals: Signal) -> Signal:
        """``signals``, or what a line says where that is worse."""
        return signals & ~self._off | self._on

    def halted(self) -> str:
        """Why no part's place is known, in words; empty while the belt runs."""
        now = self.worse(FINE)
        wrong = [why for bit, why in HALTS.items() if bool(bit & now) != bool(bit & FINE)]
        if self.blind:
            wrong.append("an input line is not heard")
        return ", ".join(wrong)

    def stood(self) -> str:
        """Why no part's place is known that was under way when this was asked before: a belt may
        stand and run again between two looks. In words; empty while it ran all the time."""
        stood, self._stood = self._stood or self.halted(), ""
        return stood

    def _weigh(self) -> None:
        self._off = self._on = Signal(0)
        for signals in self._told.values():
            for name, is_so in signals.items():
                bit = _BIT[name]
                if bit & FINE and not is_so:
                    self._off |= bit
                elif not bit & FINE and is_so:
                    self._on |= bit
        self._stood = self._stood or self.halted()
