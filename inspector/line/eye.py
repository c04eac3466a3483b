"""Without a PLC the first camera is the trigger eye, and its edges count the parts. No I/O.

Enters: that camera's frames, each with the part that it is taken to show. Leaves: new parts with
trigger time and deadline, and those that must not pass. Imports part, config and the cameras'
messages; the line imports it.

Who follows another closer than the minimum pitch is a double trigger or touches it: both are
refused, the one before by taking its permit back. An edge without a picture was one that the
camera ignored while it read out, so its neighbours are refused too: how near it was, nobody knows.
Nor where a part is whose exposure is not told while others' are: the camera's clock is being set.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inspector.cameras.messages import CameraEvent, EventKind
from inspector.config import Camera, Travel
from inspector.part import Frame

JITTER_NS = 2_000_000
"""A legal pitch is not to become an illegal one by so much: cameras tell their times in turns."""
UNTIMED_NS = 60_000_000_000
"""Who only watches has all the time that it takes."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one frame of the eye has counted."""

    numbers: Sequence[int]
    """The new parts; the frame shows the last one."""
    trigger_ns: int
    deadline_ns: int
    refused: Sequence[int] = ()
    """Parts, new or older, that must not pass, …"""
    why: str = ""
    """… and why."""


class Eye:
    """Counts. One thread, the loop's, calls it."""

    def __init__(self, camera: Camera, travel: Travel, gated: bool) -> None:
        """``gated``: whether anything is told to a gate, so that parts have a deadline."""
        self.view = camera.name
        # A camera that runs free has no edges that could be double.
        self._triggered = _triggered(camera)
        self._travel_ns = round(travel.gate_mm / travel.speed_mm_s * 1e9 - travel.lead_ms * 1e6)
        if not gated:
            self._travel_ns = UNTIMED_NS
        self._pitch_ns = round(travel.pitch_min_mm / travel.speed_mm_s * 1e9) - JITTER_NS
        self.newest = 0
        """The number of the newest part."""
        self._newest_ns: int | None = None
        self.stood_ns = 0
        """Until when the belt stood, as far as it did."""
        self._tells = False
        """The camera has told when a picture was exposed."""
        self._due: deque[tuple[int, int]] = deque(maxlen=travel.most_parts + 1)
        """Parts that may stand before the gate, and until when each can be decided."""

    def timed(self, cameras: Iterable[Camera]) -> tuple[str, ...]:
        """The other cameras that expose with the belt as the eye does, or that are asked for each
        part of it: always so much before or after it, so that a picture that is another part's
        shows."""
        others = (c for c in cameras if c.name != self.view)
        return tuple(c.name for c in others if _asked(c) or (self._triggered and _triggered(c)))

    def told(self, event: CameraEvent) -> None:
        """What a camera says; one that was opened anew may be another, whose clock nobody reads."""
        if event.view == self.view and event.kind is EventKind.CONNECTED:
            self._tells = False

    def see(self, number: int, frame: Frame) -> Counted:
        """``frame`` came, which shows part ``number``."""
        # By when it was exposed: a large picture is longer on its way than a part before the gate.
        trigger_ns = frame.exposed_ns or frame.host_ns
        self._tells = self._tells or frame.exposed_ns > 0
        numbers = range(self.newest + 1, number + 1)
        before, before_ns = self.newest, self._newest_ns
        if not numbers:
            return Counted((), trigger_ns, trigger_ns + self._travel_ns)
        self.newest, self._newest_ns = number, trigger_ns
        self._due.append((number, trigger_ns + self._travel_ns))
        refused: Sequence[int] = ()
        why = ""
        if self._triggered and before_ns is not None:
            if len(numbers) > 1:
                refused = range(before, number + 1)
                why = f"edges without a picture between parts {before} and {number}"
            elif trigger_ns - before_ns < self._pitch_ns:
                refused, why = (before, number), f"parts {before} and {number} are too close"
        if self._tells and not frame.exposed_ns and number not in refused:
            refused, why = (number,), f"part {number} does not tell when it was exposed"
        if trigger_ns < self.stood_ns and not refused:
            refused, why = numbers, f"part {number} was exposed before the belt stood"
        return Counted(numbers, trigger_ns, trigger_ns + self._travel_ns, refused, why)

    def gone(self, at_ns: int) -> int:
        """The newest part that has come too near the gate to be decided at ``at_ns``; 0: none."""
        return next((number for number, due_ns in reversed(self._due) if due_ns < at_ns), 0)


def _asked(camera: Camera) -> bool:
    return camera.source == "genicam" and camera.trigger == "software"


def _triggered(camera: Camera) -> bool:
    return camera.source == "genicam" and camera.trigger in ("hardware", "encoder")
