"""The gate of the virtual line: a flap that a spring holds on *reject*.

Enters: what the PLC drives, and items that come into its window and leave it. Leaves: which way
each went. Imports the belt's items; ``rig.py`` calls it.
"""

from __future__ import annotations

from inspector.virtual.conveyor import NEVER, Item


class Flap:
    """The gate: a spring holds it on *reject*; energised, it swings to *pass* in ``switch_ms``."""

    def __init__(self, switch_ms: float) -> None:
        self._swing_ns = switch_ms * 1e6
        self._open = False
        self._from = 0.0
        self._since_ns = -NEVER
        self.inside: dict[int, Item] = {}

    def drive(self, now_ns: int, open_: bool) -> None:
        """Energises or releases; whatever is in the window then is caught by a moving flap."""
        if open_ == self._open:
            return
        self._from, self._since_ns, self._open = self._angle(now_ns), now_ns, open_
        for item in self.inside.values():
            item.steered = None

    def enter(self, now_ns: int, item: Item) -> None:
        """The item's leading edge enters the window."""
        angle = self._angle(now_ns)
        item.steered = True if angle >= 1 else False if angle <= 0 else None
        item.entered = True
        self.inside[item.id] = item

    def leave(self, item: Item) -> bool | None:
        """The item leaves the window: True passed, False rejected, None hit by the flap."""
        self.inside.pop(item.id, None)
        return item.steered if item.entered else None

    def back_out(self, item: Item) -> None:
        """The belt ran back and took the item out of the window."""
        self.inside.pop(item.id, None)
        item.entered = False

    def _angle(self, now_ns: int) -> float:
        if not self._swing_ns:
            return float(self._open)
        swung = (now_ns - self._since_ns) / self._swing_ns
        return min(1.0, self._from + swung) if self._open else max(0.0, self._from - swung)
