"""A PLC block to start from, for every test that plays one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from inspector.registers import LAYOUT, PlcStatus, Signal

GOOD = (
    Signal.LINE_RUNNING | Signal.ESTOP_CLEAR | Signal.AIR_OK | Signal.LIGHT_OK | Signal.ENCODER_OK
)


def plc_status(**changes: Any) -> PlcStatus:
    """A PLC's block with nothing wrong."""
    status = PlcStatus(LAYOUT, 1, GOOD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xBEEF, ())
    return replace(status, **changes)
