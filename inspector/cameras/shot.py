"""What every camera gives, whatever it is made of: a shot, counters, and how it fails.

Enters: nothing. Leaves: the few nouns that ``genicam.py``, ``folder.py`` and ``process.py`` share.
Imports part and config only; this room imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray


class CameraLost(Exception):
    """The camera is gone or its producer fails: close it, look for it, open it anew."""


class CameraRefused(Exception):
    """The station file asks for what is not there or not possible; ``str()`` says what would be."""


@dataclass(slots=True, eq=False)
class Shot:
    """One picture, borrowed from the camera until ``Source.give_back`` (I6)."""

    data: NDArray[np.uint8]
    """Flat bytes in ``pixel_format``, without padding."""
    width: int
    height: int
    pixel_format: int
    """PFNC code."""
    frame_id: int
    edge: int
    """Edges of the trigger line so far, -1 where they are not counted."""
    device_ns: int
    """Exposure start on the camera's clock, …"""
    exposed_ns: int = 0
    """… and on the host's monotonic one; 0 where that is not known."""


@dataclass(slots=True)
class Counters:
    """Since the camera was opened."""

    frames: int = 0
    incomplete: int = 0
    wrong_size: int = 0
    frozen: int = 0
    lost_frames: int = 0
    missed_triggers: int = 0
    underruns: int = 0
    """Pictures for which the host had no buffer ready."""
    lost_packets: int = 0
    """Packets that did not come, resent or not, where the producer or the camera counts them."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A picture that came and cannot be used."""

    kind: str
    """``incomplete``, ``wrong_size`` or ``frozen``."""
    message: str
    frame_id: int
    edge: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Which camera was opened, and how it was set."""

    device: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[Mapping[str, Any], ...] = ()
    node_map: Mapping[str, Any] = field(default_factory=dict)
    features: tuple[Mapping[str, Any], ...] = ()
    """Every feature with its range and help text, as ``inspector cameras --features`` has them."""


class Source(Protocol):
    """A camera that is open and acquiring."""

    identity: Identity
    slot_bytes: int
    """Bytes of its largest picture."""

    @property
    def counters(self) -> Counters:
        """Since it was opened."""

    def grab(self, timeout_ms: int) -> Shot | Bad | None:
        """The next picture, or None after ``timeout_ms``. ``CameraLost`` when it is gone."""

    def give_back(self) -> None:
        """Return the last picture's buffer to the camera."""

    def trigger(self) -> None:
        """Expose one picture (software trigger)."""

    def statistics(self) -> Mapping[str, Any]:
        """Counters of the camera and its stream, temperature; asking proves that it is there.

        ``CameraLost`` when it does not answer.
        """

    def signals(self) -> Mapping[str, bool]:
        """What its input lines say now, by ``config.SignalName``; empty where none is wired.

        ``CameraLost`` when it does not answer.
        """

    def close(self) -> None:
        """Stop and let go of it; never raises."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...
