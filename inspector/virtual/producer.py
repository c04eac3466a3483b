"""The list of virtual cameras: what our GenTL producer finds when it looks for devices.

Enters: which film each camera plays, and on which wire. Leaves: the text file that the
environment variable ``INSPECTOR_VIRTUAL_DEVICES`` names. Imports nothing of ours; the world, the
demo and tests write such lists. (Where the producer itself is: ``inspector/cameras/producers.py``.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

DEVICES = "INSPECTOR_VIRTUAL_DEVICES"
"""The environment variable; the producer reads it in the process that opens the camera."""


@dataclass(frozen=True, slots=True)
class Device:
    """One virtual camera."""

    serial: str
    user_id: str
    film: Path
    wire: Path | None = None
    """Without a wire the camera runs free or on software triggers only."""
    ip: str = ""
    """The IPv4 address that it pretends to have."""


def write_devices(path: Path, devices: Iterable[Device]) -> Path:
    """Write the list to ``path``, one device a line; its order is the faults' mask on the wire.

    ``ValueError`` for what the format cannot hold: white space, an empty or a doubled serial.
    """
    lines, serials = [], set()
    for device in devices:
        words = {"serial": device.serial, "user_id": device.user_id, "film": device.film.resolve()}
        if device.wire is not None:
            words["wire"] = device.wire.resolve()
        if device.ip:
            words["ip"] = device.ip
        for name, value in words.items():
            if any(c.isspace() for c in str(value)):
                raise ValueError(f"{name}={value}: the list of devices cannot hold white space")
        if not device.serial or device.serial in serials:
            raise ValueError(f"serial={device.serial}: each device needs its own")
        serials.add(device.serial)
        lines.append(" ".join(f"{name}={value}" for name, value in words.items() if str(value)))
    path.write_text("\n".join(lines) + "\n")
    return path
