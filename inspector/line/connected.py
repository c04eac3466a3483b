"""Which camera came, and how it was set: what the record of a run keeps of it.

Enters: a camera's ``connected`` event. Leaves: what its record in the ledger holds. Imports the
cameras' messages; ``line.py`` calls it.
"""

from __future__ import annotations

from typing import Any

from inspector.cameras.messages import CameraEvent


class Connected:
    """Remembers how each camera was recorded last."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Any, Any]] = {}

    def told(self, event: CameraEvent) -> dict[str, Any]:
        """The device and its settings; its whole node map too where they are others than before:
        a camera with a loose plug comes and comes again."""
        names = ("device", "set", "node_map")
        body = {name: event.detail[name] for name in names if name in event.detail}
        chosen = (body.get("device"), body.get("set"))
        if self._known.get(event.view) == chosen:
            body.pop("node_map", None)
        self._known[event.view] = chosen
        return body
