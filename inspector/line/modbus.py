"""A Modbus TCP master of its own, small because it stands in the hot path.

Enters: register blocks as big-endian bytes. Leaves: the PLC's block, or ``LinkLost``. Imports
nothing of ours; only ``line/plcgate.py`` imports it.

Source: MODBUS Application Protocol V1.1b3 and MODBUS Messaging on TCP/IP V1.0b. Why not pymodbus'
client: one exchange of our two blocks (102 registers out, 104 in) costs 0.03 ms of CPU, nearly all
of it the kernel's (a bare socket takes 0.024 to 0.032), and 0.08 to 0.11 ms with
``pymodbus.client.ModbusTcpClient`` 3.16.1 (``tests/line/test_modbus.py`` measures all three), twice
per part; and one stalled peer must not hold us longer than the limit, however slowly it trickles.
"""

from __future__ import annotations

import socket
import struct
import time

_MBAP = struct.Struct(">HHHB")
_READ_WRITE = struct.Struct(">HHHBBHHHHB")
_READ = struct.Struct(">HHHBBHH")

READ, READ_WRITE = 3, 23
MAX_PDU = 253
EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
    10: "gateway path unavailable",
    11: "gateway target failed to respond",
}


class LinkLost(Exception):
    """The exchange failed and the connection is closed; whether the slave wrote is unknown."""


class SlaveRefused(Exception):
    """The slave answered with an exception; nothing was written, the connection stands."""

    def __init__(self, function: int, code: int) -> None:
        self.function, self.code = function, code
        super().__init__(f"function {function}: {EXCEPTIONS.get(code, f'exception {code}')}")


class Master:
    """One connection to one slave, opened at the first exchange and after every failure.

    Not for several threads. Every exchange takes at most ``timeout_s``, connecting included.
    """

    def __init__(self, host: str, port: int, unit: int, timeout_s: float) -> None:
        self._address = (host, port)
        self._unit = unit
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._transaction = 0
        self._until = 0.0
        self._answer = b""
        self._asked = 0

    def fileno(self) -> int:
        """Of the connection, readable when ``answer`` may have something; -1 without one."""
        return -1 if self._socket is None else self._socket.fileno()

    def read(self, address: int, count: int) -> bytes:
        """``count`` holding registers from ``address`` (FC3), ``2 * count`` bytes."""
        self._send(_READ.pack(self._next(), 0, 6, self._unit, READ, address, count))
        self._complete(wait=True)
        return self._registers(READ, count)

    def ask(self, read_at: int, count: int, write_at: int, registers: bytes) -> None:
        """Have ``registers`` written at ``write_at``, then ``count`` read from ``read_at`` (FC23):
        ``answer`` has what comes back."""
        size = len(registers)
        head = _READ_WRITE.pack(
            self._next(), 0, 11 + size, self._unit, READ_WRITE,
            read_at, count, write_at, size // 2, size,
        )  # fmt: skip
        self._asked = count
        self._send(head + registers)

    def answer(self) -> bytes | None:
        """The registers that ``ask`` asked for, or None while they have not all come."""
        return self._registers(READ_WRITE, self._asked) if self._complete(wait=False) else None

    def close(self) -> None:
        """Close the connection; the next exchange opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _next(self) -> int:
        self._transaction = self._transaction + 1 & 0xFFFF
        return self._transaction

    def _send(self, request: bytes) -> None:
        self._until = time.monotonic() + self._timeout_s
        self._answer = b""
        if self._socket is None:
            self._connect()
        assert self._socket is not None
        try:
            self._socket.sendall(request)
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from None

    def _complete(self, *, wait: bool) -> bool:
        """Whether the whole answer is there; ``wait`` for it as long as the limit allows."""
        if self._socket is None:
            raise LinkLost("closed")
        flags = 0 if wait else socket.MSG_DONTWAIT
        answer = self._answer
        try:
            while len(answer) < 7 or len(answer) < 6 + (answer[4] << 8 | answer[5]):
                # A slave that trickles renews the socket's own time-out with every byte.
                if answer and (time.monotonic() > self._until or len(answer) > 6 + MAX_PDU + 1):
                    raise OSError("incomplete answer")
                more = self._socket.recv(512, flags)
                if not more:
                    raise OSError("closed in the middle of an answer" if answer else "closed")
                answer += more
        except BlockingIOError:
            if wait or time.monotonic() > self._until:
                raise self._lost(f"no answer in {self._timeout_s * 1e3:.0f} ms") from None
            self._answer = answer
            return False
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from None
        self._answer = answer
        return True

    def _registers(self, function: int, count: int) -> bytes:
        """What the answer to ``function`` holds, ``2 * count`` bytes."""
        answer = self._answer
        transaction, protocol, length, unit = _MBAP.unpack_from(answer)
        if (
            transaction != self._transaction
            or protocol
            or unit != self._unit
            or not 3 <= length <= MAX_PDU + 1
            or len(answer) != 6 + length
        ):
            raise self._lost("an answer that does not fit the request")
        if answer[7] == function | 0x80 and length == 3:
            raise SlaveRefused(function, answer[8])
        if answer[7] != function:
            raise self._lost(f"answer to function {answer[7]} instead of {function}")
        if len(answer) != 9 + 2 * count or answer[8] != 2 * count:
            raise self._lost(f"{len(answer) - 7} bytes where {2 + 2 * count} were asked for")
        return answer[9:]

    def _connect(self) -> None:
        try:
            connection = socket.create_connection(self._address, self._timeout_s)
        except OSError as error:
            raise LinkLost(error.strerror or str(error)) from None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The kernel's time-out instead of Python's: that one costs a poll() for every recv().
        connection.settimeout(None)
        seconds = int(self._timeout_s)
        limit = struct.pack("@ll", seconds, int((self._timeout_s - seconds) * 1e6))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._socket = connection

    def _lost(self, why: str) -> LinkLost:
        self.close()
        return LinkLost(why)
