"""The PLC's Modbus TCP side: pymodbus' server in front of the program's two blocks.

Station blocks come in over the wire and go to a function, the PLC's block goes out from another;
both are called once per request, under the caller's lock, so every FC23 exchange is atomic. Only
the world imports it.

Served: FC3 and FC4 (the PLC's block; FC3 also reads the station's own back), FC16, FC6 and FC23
(the station's block), FC2 (the sixteen signals), FC1 (the station's bits). Anything else is
refused with the exception that the Modbus specification names. Runs in the loop that calls it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import time
from collections.abc import Callable

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from inspector.registers import PLC_BLOCK, PLC_REGISTERS, STATION_BLOCK, STATION_REGISTERS

_PLC = struct.Struct(f">{PLC_REGISTERS}H")
_SIGNALS = 2
"""Register of the signals in the PLC's block."""
_BITS = 2
"""Register of the station's bits in its block."""
READS = (3, 4, 23)
WRITES = (6, 16, 23)

# A client that goes away in the middle of an answer is daily life here, not an error to print.
logging.getLogger("pymodbus_logging").setLevel(logging.CRITICAL)


class Slave:
    """The server and its mishaps; ``status`` and ``station`` are the PLC's two ends.

    ``station(offset, data)`` gets big-endian registers, ``offset`` in bytes of its block.
    """

    def __init__(
        self, host: str, port: int, status: Callable[[], bytes],
        station: Callable[[int, bytes], None],
    ) -> None:  # fmt: skip
        self.host, self.port = host, port
        self._status = status
        self._station = station
        self._server: ModbusTcpServer | None = None
        self._delay_s = 0.0
        self.exchanges = 0
        """Requests that wrote to the station's block."""
        self.cpu_s = 0.0
        """CPU time of the loop's thread so far."""

    async def open(self) -> None:
        """Listens; a port of 0 becomes the one that the kernel gave. Raises ``OSError``."""
        server = ModbusTcpServer(self._device(), address=(self.host, self.port))
        if not await server.listen():
            raise OSError(f"cannot listen on {self.host}:{self.port}; is another world running?")
        self._server = server
        self.port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def close(self) -> None:
        """Drops every connection and stops listening."""
        server, self._server = self._server, None
        if server:
            # asyncio forgets a connection that it is just accepting when the listener closes:
            # stop listening first, and let what has begun come to its end.
            for listener in server.transport.sockets:  # type: ignore[attr-defined]
                asyncio.get_running_loop().remove_reader(listener.fileno())
            await asyncio.sleep(0.005)
            await server.shutdown()  # type: ignore[no-untyped-call]

    async def cut(self, ms: float) -> None:
        """Pulls the cable for ``ms``: connections drop, new ones are refused."""
        await self.close()
        await asyncio.sleep(ms / 1e3)
        for _ in range(50):  # the port may still be held by a connection that is closing
            with contextlib.suppress(OSError):
                await self.open()
                return
            await asyncio.sleep(0.02)

    def slow(self, ms: float) -> None:
        """Every request waits so long before it is looked at."""
        self._delay_s = ms / 1e3

    def _device(self) -> SimDevice:
        def block() -> list[SimData]:
            return [
                SimData(PLC_BLOCK, count=PLC_REGISTERS, datatype=DataType.REGISTERS),
                SimData(STATION_BLOCK, count=STATION_REGISTERS, datatype=DataType.REGISTERS),
            ]

        coils, inputs = (
            [SimData(0, values=[False] * 16, datatype=DataType.BITS)] for _ in range(2)
        )
        self._coils = 0
        return SimDevice(0, simdata=(coils, inputs, block(), block()), action=self._action)

    async def _action(
        self, function: int, start: int, address: int, count: int, registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:  # fmt: skip
        """pymodbus calls this before it touches its registers, which then hold what is read."""
        if values is not None:
            if function not in WRITES:
                return ExcCodes.ILLEGAL_FUNCTION
            if not STATION_BLOCK <= address <= STATION_BLOCK + STATION_REGISTERS - count:
                return ExcCodes.ILLEGAL_ADDRESS
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            data = struct.pack(f">{count}H", *values)
            self._station(2 * (address - STATION_BLOCK), data)
            self.exchanges += 1
            self.cpu_s = time.thread_time()
            offset = _BITS + STATION_BLOCK - address
            if 0 <= offset < count:
                self._coils = int(values[offset])
        elif function in READS:
            registers[PLC_BLOCK : PLC_BLOCK + PLC_REGISTERS] = _PLC.unpack(self._status())
        elif function == 2:
            registers[0] = _PLC.unpack(self._status())[_SIGNALS]
        elif function == 1:
            registers[0] = self._coils
        return None
