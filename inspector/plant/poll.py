"""The Modbus TCP server for PLCs that poll: how the station is, in registers that can only be read.

Enters: the line's heartbeat. Leaves: `REGISTERS` registers, the same by function codes 3 and 4,
made anew for every request, so that one request is one moment. The map stands in ``docs/scada.md``;
``tests/plant/test_poll.py`` checks that page against this file. ``scada.py`` runs it.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from inspector.bus import publish
from inspector.config import Scada, Station
from inspector.part import Mode
from inspector.plant.desk import Line

log = structlog.get_logger()

LAYOUT = 1
REGISTERS = 54
TEXT = 32
"""Bytes of a text in UTF-8; longer ones are cut behind a whole character, shorter end in zeros."""
MODES = tuple(Mode)
"""As in the gate's map: a mode's number is its place here; 255 is another."""
_BLOCK = struct.Struct(f">4H6I2H8x{TEXT}s{TEXT}s")
U16, U32 = 0xFFFF, 0xFFFF_FFFF


def pack(status: Mapping[str, Any], alive: bool, requests: int) -> bytes:
    """The registers for a heartbeat, big-endian; a lost line shows no count as if it were new."""
    counts = status.get("counts", {})
    alarms = status.get("alarms", ())
    bits = sum(
        bool(is_set) << place
        for place, is_set in enumerate(
            (
                alive,
                alive and status.get("ready"),
                alive and status.get("running"),
                status.get("paused"),
                alarms,
                any(alarm.get("stops") for alarm in alarms),
            )
        )
    )
    mode = next((n for n, each in enumerate(MODES) if each == status.get("mode")), 255)
    latency = status.get("latency_ms", {})
    return _BLOCK.pack(
        LAYOUT,
        requests & U16,
        bits,
        mode,
        *(int(counts.get(n, 0)) & U32 for n in ("parts", "passed", "rejected", "errors")),
        int(counts.get("not_inspected", 0)) & U32,
        round(float(status.get("parts_per_s", 0.0)) * 600) & U32,
        min(round(float(latency.get("p99", 0.0)) * 10), U16),
        min(len(alarms), U16),
        _text(status.get("batch")),
        _text(str(status.get("recipe", "")).partition("@")[0]),
    )


async def serve_poll(station: Station, scada: Scada, line: Line, run: Path) -> None:
    """Answer until cancelled. Raises ``OSError`` when the port is taken."""
    assert scada.poll is not None
    requests = 0

    async def answer(
        function: int, start: int, address: int, count: int, registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:  # fmt: skip
        nonlocal requests
        if values:
            return ExcCodes.ILLEGAL_FUNCTION
        requests += 1
        raw = pack(line.heartbeat.body, line.heartbeat.alive, requests)
        registers[:REGISTERS] = struct.unpack(f">{REGISTERS}H", raw)
        return None

    block = SimData(0, count=REGISTERS, datatype=DataType.REGISTERS)
    server = ModbusTcpServer(
        SimDevice(1, [block], action=answer), address=(scada.poll.host, scada.poll.port)
    )
    await server.serve_forever(background=True)
    try:
        port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        publish(run / "poll.url", f"modbus://{scada.poll.host}:{port}")
        log.info("PLCs may poll", port=port)
        await asyncio.Event().wait()
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


def _text(value: Any) -> bytes:
    # A character that does not fit goes whole: half of one is no UTF-8.
    cut = str(value or "").encode("utf-8", "replace")[:TEXT].decode("utf-8", "ignore")
    return cut.encode().ljust(TEXT, b"\0")
