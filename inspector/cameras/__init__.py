"""Cameras: a GenTL producer or a folder enters, pictures leave through a shared-memory ring.

One process per camera (``process.py``) writes; the line reads (``receiver.py``). May import part,
config, beat and logs; the line imports ``receiver`` and ``messages``, the command line the lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["list_devices", "node_map"]


def list_devices(producers: Sequence[str] = ("path", "virtual")) -> list[dict[str, Any]]:
    """Every device that the producers see, JSON-able: serial, user_id, model, ip, state …"""
    # deferred: the line imports this package, and the GenICam binding is 40 MB it does not need
    from inspector.cameras import devices

    return devices.list_devices(producers)


def node_map(producers: Sequence[str], device: str) -> list[dict[str, Any]]:
    """Every feature of one device, JSON-able; ``CameraRefused`` if it is not there or in use."""
    from inspector.cameras import devices

    return devices.node_map(producers, device)
