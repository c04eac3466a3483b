"""The PLC: what it accepts from a station, when its gate opens, and its Modbus side."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from pymodbus.client import ModbusTcpClient

from inspector.registers import (
    DECISIONS,
    EMPTY_SLOT,
    LAYOUT,
    PLC_BLOCK,
    PLC_REGISTERS,
    STATION_BLOCK,
    STATION_REGISTERS,
    Action,
    Decision,
    GateReason,
    PlcStatus,
    Signal,
    StationBit,
    pack_station,
)
from inspector.virtual.machine import Machine, Program
from inspector.virtual.plc import Inputs, Outputs, Plc
from inspector.virtual.slave import Slave

MS = 1_000_000
RUN = 77
SPEED = 500.0
MACHINE = Machine(gate_mm=300, item_mm=15, window_mm=8, gate_eye_mm=60)


class Bench:
    """A PLC on the workbench: its inputs are ours, parts pass at 500 mm/s, one every 0.1 s."""

    def __init__(self, **program: Any) -> None:
        settings = Program(**{"scan_ms": 4, "longest_mm": 18} | program)
        self.plc = Plc(MACHINE, settings, RUN, 0)
        self.t_ms = 0
        self.ring = [EMPTY_SLOT] * DECISIONS
        self.heartbeat = 0
        self.sequence = 0
        self.run = RUN
        self.layout = LAYOUT
        self.bits = StationBit.READY
        self.alive = True
        self.open_at: dict[int, bool] = {}
        """Part number → whether the gate was open when it stood in the middle of the flap."""
        self.out = Outputs(False, False)
        self.count = 0
        self._placed: list[float] = []
        while self.mm < 320:  # what power-up left unknown has gone
            self.tick()

    @property
    def mm(self) -> float:
        return self.t_ms * SPEED / 1e3

    @property
    def status(self) -> PlcStatus:
        return PlcStatus.unpack(self.plc.status())

    def tick(self) -> None:
        """4 ms: the sensors, the scan, and now and then an exchange."""
        self.t_ms += 4
        for number, start in enumerate(self._placed, 1):
            x = self.mm - start
            if 240 <= x < 242:
                self.plc.gate_eye(self.t_ms * MS, self.encoder, True)
            if 256 <= x < 258:
                self.plc.gate_eye(self.t_ms * MS, self.encoder, False)
            if 299 <= x < 301:
                self.open_at[number] = self.out.gate_open
        self.out = self.plc.scan(self.t_ms * MS, Inputs(self.encoder, SPEED))
        if self.alive and self.t_ms % 20 == 0:
            self.heartbeat += 1
            self.exchange()

    @property
    def encoder(self) -> int:
        return round(self.mm * 10)

    def exchange(self) -> None:
        block = pack_station(self.heartbeat, self.bits, 0, self.ring, self.run)
        self.plc.station(self.t_ms * MS, 0, struct.pack(">H", self.layout) + block[2:])

    def wait(self, ms: int) -> None:
        until = self.t_ms + ms
        while self.t_ms < until:
            self.tick()

    def part(self) -> int:
        """A part at the eye; its number."""
        number = self.plc.eye(self.t_ms * MS, self.encoder, True)
        assert number is not None
        self._placed.append(self.mm)
        self.wait(28)
        self.plc.eye(self.t_ms * MS, self.encoder, False)
        self.wait(72)
        return number

    def tell(self, part: int, action: Action, sequence: int | None = None) -> None:
        self.sequence = self.sequence + 1 if sequence is None else sequence
        packed = Decision(self.sequence, part, action, GateReason.NONE).pack()
        self.ring[(self.sequence - 1) % DECISIONS] = packed
        self.exchange()

    def finish(self) -> dict[int, bool]:
        """Lets every part pass the gate; which of them found it open."""
        self.wait(700)
        return self.open_at


def test_a_permit_opens_the_gate_for_that_part_alone() -> None:
    bench = Bench()
    for _ in range(3):
        bench.part()
    bench.tell(2, Action.PERMIT)

    assert bench.finish() == {1: False, 2: True, 3: False}
    assert bench.status.acknowledged == 1
    assert (bench.status.gate_part, bench.status.rejects_commanded) == (3, 2)


def test_the_exchange_that_brings_a_decision_acknowledges_it() -> None:
    bench = Bench()
    bench.tell(bench.part(), Action.PERMIT)
    assert bench.status.acknowledged == 1


def test_a_plc_that_looks_once_a_cycle_acknowledges_one_cycle_later() -> None:
    bench = Bench(acknowledge="scan")
    bench.tell(bench.part(), Action.PERMIT)
    assert bench.status.acknowledged == 0
    bench.tick()
    assert bench.status.acknowledged == 1
    assert bench.finish() == {1: True}


def test_a_revoked_permit_is_none_and_cannot_come_back() -> None:
    bench = Bench()
    bench.part()
    for action in (Action.PERMIT, Action.REVOKE, Action.PERMIT):
        bench.tell(1, action)

    assert bench.finish() == {1: False}
    assert bench.status.acknowledged == 3


def test_a_decision_with_a_wrong_check_value_is_refused_and_counted_once() -> None:
    bench = Bench()
    bench.part()
    bench.ring[0] = Decision(1, 1, Action.PERMIT).pack()[:-1] + b"\x00"
    bench.wait(200)

    assert (bench.status.acknowledged, bench.status.check_failures) == (0, 1)
    assert bench.finish() == {1: False}


def test_decisions_wait_for_the_one_that_is_missing_and_are_taken_in_order() -> None:
    bench = Bench()
    bench.part()
    bench.part()
    bench.tell(2, Action.PERMIT, sequence=2)
    assert bench.status.acknowledged == 0
    bench.tell(1, Action.PERMIT, sequence=1)
    assert bench.status.acknowledged == 2
    assert bench.finish() == {1: True, 2: True}


def test_a_decision_that_is_lost_for_ever_takes_every_permit_with_it() -> None:
    bench = Bench()
    bench.part()
    bench.tell(1, Action.PERMIT)
    bench.tell(1, Action.REVOKE, sequence=2 + DECISIONS)  # number 2 was overwritten

    assert bench.status.acknowledged == 1
    assert bench.finish() == {1: False}


def test_another_layout_is_not_understood() -> None:
    bench = Bench()
    bench.layout = LAYOUT + 1
    bench.part()
    bench.tell(1, Action.PERMIT)

    assert bench.status.acknowledged == 0
    assert bench.finish() == {1: False}


def test_a_restarted_counter_takes_no_permit_of_the_run_before() -> None:
    bench = Bench()
    bench.plc.power_up(RUN + 1)
    bench.wait(700)
    bench.part()
    bench.tell(1, Action.PERMIT)
    assert bench.status.acknowledged == 0

    bench.run = RUN + 1
    bench.exchange()
    assert bench.status.acknowledged == 1
    assert (bench.status.run, bench.status.zone_epoch) == (RUN + 1, 2)


@pytest.mark.parametrize("how", ["heartbeat", "ready"])
def test_without_heartbeat_or_ready_a_permit_is_worth_nothing(how: str) -> None:
    bench = Bench()
    bench.part()
    bench.tell(1, Action.PERMIT)
    bench.wait(200)
    if how == "heartbeat":
        bench.alive = False  # 300 ms to the gate, 250 ms of patience
        bench.wait(40)
    else:
        bench.bits = StationBit(0)

    assert bench.finish() == {1: False}


def test_a_heartbeat_that_only_repeats_itself_is_none() -> None:
    bench = Bench()
    bench.part()
    bench.tell(1, Action.PERMIT)
    bench.alive = False
    for _ in range(15):
        bench.wait(20)
        bench.exchange()

    assert bench.finish() == {1: False}


def test_the_station_stops_the_belt_and_lets_it_go() -> None:
    bench = Bench()
    assert bench.out.motor
    bench.bits |= StationBit.STOP
    bench.wait(40)
    assert not bench.out.motor
    bench.bits &= ~StationBit.STOP
    bench.wait(40)
    assert bench.out.motor


def test_a_part_that_the_gates_eye_does_not_find_loses_the_zone() -> None:
    bench = Bench()
    bench.part()
    bench.part()
    for part in (1, 2):
        bench.tell(part, Action.PERMIT)
    bench._placed[0] = 1e9  # taken off the belt

    assert bench.finish() == {2: False}
    assert bench.status.zone_epoch == 2


def test_the_ring_holds_the_newest_twelve_triggers() -> None:
    bench = Bench()
    for _ in range(14):
        bench.part()

    triggers = bench.status.triggers
    assert [t.part for t in triggers] == list(range(3, 15))
    steps = {b.encoder - a.encoder for a, b in itertools.pairwise(triggers)}
    assert steps == {500}


# -- over the wire --------------------------------------------------------------------------


class Running:
    """A slave in a loop of its own, in front of a bench's PLC."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.lock = threading.Lock()
        self.slave = Slave("127.0.0.1", 0, self._status, self._station)
        self.loop = asyncio.new_event_loop()
        self.written: list[bytes] = []

    def _status(self) -> bytes:
        with self.lock:
            return self.bench.plc.status()

    def _station(self, offset: int, data: bytes) -> None:
        with self.lock:
            self.written.append(data)
            self.bench.plc.station(time.monotonic_ns(), offset, data)

    def do(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(5)


@pytest.fixture
def running() -> Iterator[Running]:
    it = Running()
    thread = threading.Thread(target=it.loop.run_forever)
    thread.start()
    try:
        it.do(it.slave.open())
        yield it
        it.do(it.slave.close())
    finally:
        it.loop.call_soon_threadsafe(it.loop.stop)
        thread.join()
        it.loop.close()


def registers(raw: bytes) -> list[int]:
    return list(struct.unpack(f">{len(raw) // 2}H", raw))


def raw_exchange(line: socket.socket, pdu: bytes, transaction: int = 7) -> bytes:
    """A Modbus request by hand; the answer's PDU."""
    line.sendall(struct.pack(">HHHB", transaction, 0, len(pdu) + 1, 1) + pdu)
    head = b""
    while len(head) < 7:
        head += line.recv(7 - len(head))
    got, protocol, length, unit = struct.unpack(">HHHB", head)
    assert (got, protocol, unit) == (transaction, 0, 1)
    body = b""
    while len(body) < length - 1:
        body += line.recv(length - 1 - len(body))
    return body


def station_pdu(block: bytes) -> bytes:
    return (
        struct.pack(">BHHHHB", 23, PLC_BLOCK, PLC_REGISTERS, STATION_BLOCK, STATION_REGISTERS, 204)
        + block
    )


def test_one_exchange_by_a_raw_socket_writes_and_reads_both_blocks(running: Running) -> None:
    part = running.bench.part()
    ring = [Decision(1, part, Action.PERMIT).pack(), *[EMPTY_SLOT] * (DECISIONS - 1)]
    block = pack_station(1, StationBit.READY, 0, ring, RUN)

    with closing(socket.create_connection(("127.0.0.1", running.slave.port), 5)) as line:
        answer = raw_exchange(line, station_pdu(block))

    assert answer[:2] == bytes((23, 2 * PLC_REGISTERS))
    status = PlcStatus.unpack(answer[2:])
    assert (status.layout, status.part_counter, status.acknowledged) == (LAYOUT, 1, 1)


def test_pymodbus_reads_the_blocks_the_signals_and_the_bits(running: Running) -> None:
    block = pack_station(5, StationBit.READY | StationBit.ALARM, 0, [EMPTY_SLOT] * DECISIONS, RUN)
    with ModbusTcpClient("127.0.0.1", port=running.slave.port) as client:
        wrote = client.write_registers(STATION_BLOCK, registers(block))
        back = client.read_holding_registers(STATION_BLOCK, count=STATION_REGISTERS)
        holding = client.read_holding_registers(PLC_BLOCK, count=PLC_REGISTERS)
        inputs = client.read_input_registers(PLC_BLOCK, count=PLC_REGISTERS)
        signals = client.read_discrete_inputs(0, count=16)
        bits = client.read_coils(0, count=16)

    assert not wrote.isError()
    assert back.registers == registers(block)
    raw = struct.pack(f">{PLC_REGISTERS}H", *holding.registers)
    assert raw == struct.pack(f">{PLC_REGISTERS}H", *inputs.registers)
    status = PlcStatus.unpack(raw)
    assert status.run == RUN
    assert sum(on << i for i, on in enumerate(signals.bits)) == status.signals
    assert status.signals & Signal.LINE_RUNNING
    assert sum(on << i for i, on in enumerate(bits.bits)) == StationBit.READY | StationBit.ALARM


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        (struct.pack(">BHH", 3, 150, 2), 2),
        (struct.pack(">BHH", 3, STATION_BLOCK + STATION_REGISTERS - 1, 2), 2),
        (struct.pack(">BHHBH", 16, PLC_BLOCK, 1, 2, 9), 2),
        (struct.pack(">BHHBHH", 16, STATION_BLOCK + STATION_REGISTERS - 1, 2, 4, 9, 9), 2),
        (struct.pack(">BHH", 6, PLC_BLOCK, 1), 2),
        (struct.pack(">BHH", 5, 0, 0xFF00), 1),
        (struct.pack(">B", 99), 1),
    ],
)
def test_what_is_not_in_the_map_is_refused_by_name(running: Running, pdu: bytes, code: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", running.slave.port), 5)) as line:
        answer = raw_exchange(line, pdu)
    assert answer[1:] == bytes((code,))
    assert not running.written


def test_one_register_may_be_written_alone(running: Running) -> None:
    with ModbusTcpClient("127.0.0.1", port=running.slave.port) as client:
        client.write_register(STATION_BLOCK, LAYOUT)
        client.write_register(STATION_BLOCK + 2, int(StationBit.STOP))
    out = running.bench.plc.scan(running.bench.t_ms * MS, Inputs(running.bench.encoder, SPEED))
    assert not out.motor


def test_two_masters_never_see_or_write_half_a_block(running: Running) -> None:
    torn: list[str] = []

    def hammer(value: int) -> None:
        block = struct.pack(">H", 0) + struct.pack(">H", value) * (STATION_REGISTERS - 1)
        with closing(socket.create_connection(("127.0.0.1", running.slave.port), 5)) as line:
            for _ in range(150):
                answer = raw_exchange(line, station_pdu(block))
                status = PlcStatus.unpack(answer[2:])
                if status.layout != LAYOUT or status.run != RUN:
                    torn.append("answer")

    threads = [threading.Thread(target=hammer, args=(v,)) for v in (0x1111, 0x2222)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not torn
    assert len(running.written) == 300
    assert all(len(set(data[2:])) == 1 for data in running.written)


def test_a_cut_link_drops_the_master_and_comes_back(running: Running) -> None:
    port = running.slave.port
    with closing(socket.create_connection(("127.0.0.1", port), 5)) as line:
        cut = asyncio.run_coroutine_threadsafe(running.slave.cut(150), running.loop)
        line.settimeout(2)
        assert line.recv(1) == b""
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), 0.05).close()
    cut.result(5)
    with closing(socket.create_connection(("127.0.0.1", port), 5)) as line:
        assert raw_exchange(line, struct.pack(">BHH", 3, 0, 1))[0] == 3


def test_a_slow_link_answers_late(running: Running) -> None:
    running.slave.slow(80)
    block = pack_station(1, StationBit.READY, 0, [EMPTY_SLOT] * DECISIONS, RUN)
    with closing(socket.create_connection(("127.0.0.1", running.slave.port), 5)) as line:
        begun = time.monotonic()
        raw_exchange(line, station_pdu(block))
        assert time.monotonic() - begun >= 0.08


def test_an_exchange_costs_at_most_half_a_millisecond_of_cpu(running: Running) -> None:
    with closing(socket.create_connection(("127.0.0.1", running.slave.port), 5)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        costs = []
        for part in range(5):
            before, done = running.slave.cpu_s, running.slave.exchanges
            for i in range(100):
                block = pack_station(part * 100 + i, StationBit.READY, 0, [EMPTY_SLOT] * 16, RUN)
                raw_exchange(line, station_pdu(block))
            costs.append((running.slave.cpu_s - before) / (running.slave.exchanges - done))
    assert min(costs) * 1e3 <= 0.5
