"""The Modbus master against pymodbus' server, and against a foreign slave of bare bytes."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable

import pytest

from inspector.line.modbus import LinkLost, Master, SlaveRefused
from inspector.registers import (
    PLC_BLOCK,
    PLC_REGISTERS,
    STATION_BLOCK,
    STATION_REGISTERS,
    PlcStatus,
    StationBit,
    pack_station,
)


def slave(answer: Callable[[bytes], list[bytes]]) -> int:
    """A foreign slave for one connection: what it answers to each request, piece by piece."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as peer:
            while request := peer.recv(512):
                for piece in answer(request):
                    try:
                        peer.sendall(piece)
                    except OSError:
                        return
                    time.sleep(0.02)

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def registers(request: bytes, *values: int) -> bytes:
    """A proper answer to a FC3 or FC23 request."""
    body = struct.pack(">BB", request[7], 2 * len(values))
    body += b"".join(v.to_bytes(2, "big") for v in values)
    return request[:4] + struct.pack(">HB", len(body) + 1, request[6]) + body


def exchange(master: Master, read_at: int, block: bytes) -> bytes:
    """As the gate has it: the answer is taken when it is there."""
    master.ask(read_at, PLC_REGISTERS, STATION_BLOCK, block)
    while True:
        select.select([master], [], [])
        if (answer := master.answer()) is not None:
            return answer


def test_one_transaction_writes_the_station_block_and_reads_the_plc_block(plc) -> None:
    master = Master("127.0.0.1", plc.port, 1, 1.0)
    plc.trigger(1234, 99)

    block = pack_station(7, StationBit.READY, 2, [bytes(12)] * 16, 0xBEEF)
    raw = exchange(master, PLC_BLOCK, block)

    assert len(block) == 2 * STATION_REGISTERS
    assert PlcStatus.unpack(raw) == plc.status
    assert (plc.heartbeats, plc.bits, plc.mode, plc.run_seen) == ([7], StationBit.READY, 2, 0xBEEF)
    master.close()


def test_an_exception_of_the_slave_is_told_and_the_connection_stands(plc) -> None:
    master = Master("127.0.0.1", plc.port, 1, 1.0)
    with pytest.raises(SlaveRefused, match="illegal data address"):
        master.read(5000, 1)
    plc.busy = True
    with pytest.raises(SlaveRefused, match="busy"):
        master.read(0, 1)
    assert master.fileno() >= 0
    master.close()


def test_a_slow_slave_is_given_up_after_the_limit_and_the_link_opened_anew(plc) -> None:
    master = Master("127.0.0.1", plc.port, 1, 0.1)
    master.read(0, 1)
    plc.delay_s = 0.5
    began = time.monotonic()
    with pytest.raises(LinkLost, match="no answer in 100 ms"):
        master.read(0, 1)
    assert 0.09 < time.monotonic() - began < 0.3
    assert master.fileno() < 0
    plc.delay_s = 0.0
    assert len(master.read(0, 1)) == 2
    master.close()


def test_a_dead_slave_refuses_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(LinkLost, match="refused"):
        Master("127.0.0.1", port, 1, 0.2).read(0, 1)


def test_an_answer_in_pieces_is_put_together() -> None:
    port = slave(
        lambda r: [registers(r, 1, 2)[:5], registers(r, 1, 2)[5:9], registers(r, 1, 2)[9:]]
    )
    master = Master("127.0.0.1", port, 1, 1.0)
    assert master.read(0, 2) == bytes.fromhex("00010002")
    master.close()


def test_a_slave_that_trickles_does_not_hold_the_line() -> None:
    port = slave(lambda r: [bytes([b]) for b in registers(r, *range(50))])
    master = Master("127.0.0.1", port, 1, 0.1)
    began = time.monotonic()
    with pytest.raises(LinkLost):
        master.read(0, 50)
    assert time.monotonic() - began < 0.4


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda r: b"\xff\xff" + registers(r, 1)[2:], id="another transaction"),
        pytest.param(lambda r: registers(r, 1)[:2] + b"\0\1" + registers(r, 1)[4:], id="protocol"),
        pytest.param(lambda r: registers(r, 1, 2), id="too many registers"),
        pytest.param(lambda r: registers(r, 1)[:6] + b"\x09" + registers(r, 1)[7:], id="unit"),
        pytest.param(lambda r: registers(r, 1)[:7] + b"\x04" + registers(r, 1)[8:], id="function"),
        pytest.param(lambda r: registers(r, 1) * 2, id="two answers"),
        pytest.param(lambda r: b"HTTP/1.1 400 Bad Request\r\n\r\n", id="not modbus"),
    ],
)
def test_a_wrong_answer_is_never_taken(answer: Callable[[bytes], bytes]) -> None:
    master = Master("127.0.0.1", slave(lambda r: [answer(r)]), 1, 0.2)
    with pytest.raises(LinkLost):
        master.read(0, 1)
    assert master.fileno() < 0


@pytest.mark.slow
def test_costs_a_fraction_of_pymodbus_client(capsys) -> None:
    """The figure in the module's docstring: CPU of this process's thread per exchange."""
    from pymodbus.client import ModbusTcpClient

    block = bytes(2 * STATION_REGISTERS)
    answer: list[bytes] = []

    def fixed(request: bytes) -> list[bytes]:
        if not answer:
            answer.append(registers(request, *range(PLC_REGISTERS)))
        return [request[:2] + answer[0][2:]]

    def quick(port_of: list[int]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port_of.append(listener.getsockname()[1])
            for _ in range(3):
                with listener.accept()[0] as peer:
                    while request := peer.recv(512):
                        peer.sendall(fixed(request)[0])

    ports: list[int] = []
    server = threading.Thread(target=quick, args=(ports,))
    server.start()
    while not ports:
        time.sleep(0.001)

    def cost(exchange: Callable[[], object]) -> float:
        for _ in range(100):
            exchange()
        began = time.thread_time()
        for _ in range(1000):
            exchange()
        return time.thread_time() - began  # s per 1000 = ms each

    master = Master("127.0.0.1", ports[0], 1, 1.0)
    ours = cost(lambda: exchange(master, 0, block))
    master.close()
    client = ModbusTcpClient("127.0.0.1", port=ports[0])
    client.connect()
    words = list(range(STATION_REGISTERS))
    theirs = cost(
        lambda: client.readwrite_registers(
            read_address=0, read_count=PLC_REGISTERS, address=STATION_BLOCK, values=words,
            device_id=1,
        )
    )  # fmt: skip
    client.close()
    with socket.create_connection(("127.0.0.1", ports[0])) as plain:
        request = bytes(13 + 4 + len(block))

        def bare() -> None:
            plain.sendall(request)
            plain.recv(512)

        wire = cost(bare)
    server.join(5)
    with capsys.disabled():
        print(f"\nCPU ms per exchange: wire {wire:.3f}, ours {ours:.3f}, pymodbus {theirs:.3f}")
    # Both pay the kernel for the way, many times as much where each wake-up ends a halt.
    assert ours - wire < (theirs - wire) / 3
