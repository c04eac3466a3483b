"""A gate's PLC as its programmer would write it from docs/modbus.md, on pymodbus' server.

The station's own end of the line is a plain socket, so the same library is never at both ends.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from plc_blocks import plc_status
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from inspector.registers import (
    LAYOUT,
    PLC_BLOCK,
    PLC_REGISTERS,
    STATION_BLOCK,
    STATION_REGISTERS,
    TRIGGERS,
    U32,
    Action,
    Decision,
    StationBit,
    Trigger,
    station_run,
    unpack_station,
)


def wait_for(condition: Callable[[], Any], limit_s: float = 3.0) -> Any:
    """What ``condition`` gives once it is true; fails after ``limit_s``."""
    until = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.002)
    return value


class Plc:
    """Holds the registers, obeys decisions in their order, and counts what it saw."""

    def __init__(self) -> None:
        self.status = plc_status()
        self.lock = threading.RLock()
        self.obeyed: list[Decision] = []
        self.heartbeats: list[int] = []
        self.bits = StationBit(0)
        self.mode = 0
        self.run_seen = 0
        self.delay_s = 0.0
        self.acknowledges = True
        self.busy = False
        self.counts_per_ms = 0
        """Of a belt that runs: the encoder and the PLC's clock then follow the machine's."""
        self.on_belt: list[tuple[int, int]] = []
        self.contrary = False
        """The gate does the opposite of what it was told."""
        self.port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: ModbusTcpServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        started = threading.Event()

        async def serve() -> None:
            block = SimData(
                PLC_BLOCK, count=STATION_BLOCK + STATION_REGISTERS, datatype=DataType.REGISTERS
            )
            device = SimDevice(1, [block], action=self._action)
            self._server = ModbusTcpServer(device, address=("127.0.0.1", self.port))
            await self._server.serve_forever(background=True)
            self.port = self._server.transport.sockets[0].getsockname()[1]
            started.set()

        loop = self._loop = asyncio.new_event_loop()

        def work() -> None:
            loop.run_until_complete(serve())
            loop.run_forever()
            loop.run_until_complete(bury(asyncio.all_tasks(loop)))
            loop.close()

        async def bury(tasks: set[asyncio.Task[Any]]) -> None:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()
        assert started.wait(5)

    def stop(self) -> None:
        """As if its power was cut; ``start`` brings it back on the same port."""
        loop, thread, self._thread = self._loop, self._thread, None
        if thread is None or loop is None:
            return

        async def end() -> None:
            assert self._server is not None
            await self._server.shutdown()

        asyncio.run_coroutine_threadsafe(end(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)

    def trigger(self, plc_ms: int, encoder: int) -> int:
        """A part at the eye; its number."""
        with self.lock:
            return self._trigger(plc_ms, encoder)

    def _trigger(self, plc_ms: int, encoder: int) -> int:
        old = self.status
        number = old.part_counter + 1
        triggers = (*old.triggers, Trigger(number, encoder, plc_ms))[-TRIGGERS:]
        self.status = replace(
            old, part_counter=number, infeed=old.infeed + 1, triggers=triggers,
            encoder=encoder, plc_ms=plc_ms,
        )  # fmt: skip
        return number

    def part(self) -> int:
        """A part at the eye of the running belt; its number."""
        now_ms = time.monotonic_ns() // 1_000_000
        self.on_belt.append((self.status.part_counter + 1, now_ms))
        return self.trigger(now_ms & 0xFFFF_FFFF, now_ms * self.counts_per_ms & 0xFFFF_FFFF)

    def _run_belt(self) -> None:
        now_ms = time.monotonic_ns() // 1_000_000
        gone = [part for part, at_ms in self.on_belt if now_ms - at_ms > 1000]
        fresh = [part for part in gone if part > self.status.gate_part]
        permitted = self.permits() if StationBit.READY in self.bits and fresh else set()
        rejects = sum((part in permitted) == self.contrary for part in fresh)
        self.status = replace(
            self.status,
            encoder=now_ms * self.counts_per_ms & 0xFFFF_FFFF,
            plc_ms=now_ms & 0xFFFF_FFFF,
            gate_part=max([self.status.gate_part, *gone]),
            rejects_commanded=self.status.rejects_commanded + rejects,
            rejects_confirmed=self.status.rejects_confirmed + rejects,
        )

    def permits(self) -> set[int]:
        """Part numbers that may pass now."""
        permitted: dict[int, bool] = {}
        for decision in self.obeyed:
            permitted[decision.part] = decision.action is Action.PERMIT
        return {part for part, may in permitted.items() if may}

    async def _action(
        self, function: int, start: int, address: int, count: int,
        registers: list[int], values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:  # fmt: skip
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.busy:
            return ExcCodes.DEVICE_BUSY
        if values and address == STATION_BLOCK:
            with self.lock:
                self._take(b"".join(int(v).to_bytes(2, "big") for v in values))
        elif not values and address == PLC_BLOCK:
            if self.counts_per_ms:
                with self.lock:
                    self._run_belt()
            raw = self.status.pack()
            registers[:PLC_REGISTERS] = [
                int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)
            ]
        return None

    def _take(self, raw: bytes) -> None:
        layout, heartbeat, self.bits, self.mode, decisions, _ = unpack_station(raw)
        assert layout == LAYOUT
        self.heartbeats.append(heartbeat)
        self.run_seen = station_run(raw)
        if self.run_seen != self.status.run or not self.acknowledges:
            return
        by_sequence = {d.sequence: d for d in decisions if d}
        acknowledged = self.status.acknowledged
        while decision := by_sequence.get(acknowledged + 1 & U32 or 1):
            self.obeyed.append(decision)
            acknowledged = decision.sequence
        self.status = replace(self.status, acknowledged=acknowledged)


@pytest.fixture
def plc() -> Iterator[Plc]:
    """A PLC that listens."""
    plc = Plc()
    plc.start()
    yield plc
    plc.stop()
