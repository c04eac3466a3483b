"""The line's cameras as they come, go and complain: what is recorded of it, and what is done.

Enters: a camera's events. Leaves: their records in the ledger, an alarm, pictures that nobody may
trust, and which cameras are there. Imports the cameras' messages, store and the line's own
modules; ``line.py`` calls it.
"""

from __future__ import annotations

import time
from typing import Any

from inspector.cameras.messages import CameraEvent, EventKind
from inspector.display import AlarmCode
from inspector.line.alarms import Alarms
from inspector.line.counters import Counters
from inspector.line.inputs import Inputs
from inspector.line.matching import Matching
from inspector.store import LineLedger

SPOILED = {
    EventKind.INCOMPLETE: AlarmCode.CAMERA_FRAMES,
    EventKind.WRONG_SIZE: AlarmCode.CAMERA_FRAMES,
    EventKind.OVERRUN: AlarmCode.CAMERA_FRAMES,
    EventKind.LOST_FRAMES: AlarmCode.CAMERA_FRAMES,
    EventKind.MISSED_TRIGGERS: AlarmCode.CAMERA_FRAMES,
    EventKind.FROZEN: AlarmCode.CAMERA_FROZEN,
}


class Connected:
    """Which cameras are there, and how each was recorded last."""

    def __init__(
        self, ledger: LineLedger, inputs: Inputs, matching: Matching, alarms: Alarms,
        counters: Counters,
    ) -> None:  # fmt: skip
        self.heard_ns: dict[str, int] = {}
        """When each camera that is connected was last heard."""
        self._ledger, self._inputs, self._matching = ledger, inputs, matching
        self._alarms, self._counters = alarms, counters
        self._known: dict[str, tuple[Any, Any]] = {}

    def told(self, event: CameraEvent) -> None:
        """What a camera says beside its pictures."""
        now_ns, view = time.monotonic_ns(), event.view
        if event.kind is EventKind.STATISTICS:
            self.heard_ns[view] = now_ns
            self._counters.statistics[view] = event.detail
            return
        if event.kind is EventKind.SIGNALS:
            self._ledger.add_event("signals", "line", view=view, signals=dict(event.detail))
            self._inputs.told(view, event.detail)
            return
        how = self._set_up(event) if event.kind is EventKind.CONNECTED else {}
        self._ledger.add_event(
            "camera", "line", view=view, what=str(event.kind), why=event.message, **how
        )
        if event.kind is EventKind.CONNECTED:
            self.heard_ns[view] = now_ns
            self._inputs.forget(view)
            self._matching.camera_reset(view, now_ns)
            self._alarms.holds(AlarmCode.CAMERA_LOST, False, key=view)
        elif event.kind in (EventKind.LOST, EventKind.REFUSED):
            self.heard_ns.pop(view, None)
            self._inputs.forget(view)
            self._matching.camera_reset(view, now_ns, there=False)
            self._alarms.holds(AlarmCode.CAMERA_LOST, True, f"{view}: {event.message}", key=view)
        else:
            if "frame_id" in event.detail:
                edge = event.detail.get("edge")
                self._matching.spoil(view, edge, event.message, now_ns)
            self._alarms.happened(SPOILED[event.kind], f"{view}: {event.message}")

    def _set_up(self, event: CameraEvent) -> dict[str, Any]:
        """The device and its settings; its whole node map too where they are others than before:
        a camera with a loose plug comes and comes again."""
        names = ("device", "set", "node_map")
        body = {name: event.detail[name] for name in names if name in event.detail}
        chosen = (body.get("device"), body.get("set"))
        if self._known.get(event.view) == chosen:
            body.pop("node_map", None)
        self._known[event.view] = chosen
        return body
