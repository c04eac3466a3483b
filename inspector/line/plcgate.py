"""The gate behind a PLC, over Modbus TCP.

Enters and leaves: what every gate does, see ``line/gate.py``. Imports that, ``line/orders.py``,
``line/modbus.py``, registers and config; ``process.py`` opens it.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Iterable

from inspector.config import Plc
from inspector.line.gate import CLOSING_S, HUNG_NS, NEVER_NS, GateEvent, Link, Seen
from inspector.line.modbus import LinkLost, Master, SlaveRefused
from inspector.line.orders import Order, Orders
from inspector.pace import Pace
from inspector.registers import (
    LAYOUT,
    PLC_BLOCK,
    PLC_REGISTERS,
    STATION_BLOCK,
    Action,
    GateReason,
    PlcStatus,
    StationBit,
    pack_station,
)

RETRY_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
STAND_IN_NS = 40_000_000
"""A loop that has not taken for this long does something slow: the keeper takes in its place."""
PACE_NS, BURST = 8_000_000, 3
"""Exchanges: a part at 60/s has two, each at once; what is faster shares them. At 400 parts/s that
is 0.3 of one a part instead of 1.2, and 0.3 CPU-ms less in the station and 0.2 in the PLC."""
URGENT_NS = 20_000_000
"""A decision that must be at the gate within this time waits for no others, nor holds them up."""


class PlcGate:
    """The gate behind a PLC: whole blocks are exchanged, one at a time.

    An exchange happens for every decision, for every ``hurry``, and every ``poll_ms``; of many in
    a row each takes along what came in ``PACE_NS``. A lost one is repaired by the next, because the
    ring still holds what was not acknowledged.

    Whoever has something to say sends it, from his own thread: waking another to do it costs more
    than the exchange. A permit leaves from the thread that learnt of the commit, the answers are
    taken by the loop. The *keeper*, a thread of its own, opens the link, and stands in for the loop
    while that is away for long.

    An answer wakes the loop, but not that to the first ``hurry``: it is there when the judge has
    done, and would have taken the interpreter's lock from him before.
    """

    def __init__(self, plc: Plc, hung_ns: int = HUNG_NS) -> None:
        self._master = Master(plc.host, plc.port, plc.unit, plc.timeout_ms / 1e3)
        self._poll_ns = plc.poll_ms * 1_000_000
        self._hung_ns = hung_ns
        self._lock = threading.Lock()
        self._events: list[GateEvent] = []
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._event, select.EPOLLIN)
        self._rung = False
        self._bits, self._mode = StationBit(0), 0
        self._alive_ns, self._taken_ns = 0, time.monotonic_ns()
        self._closing = False
        self.exchanges = 0
        """Completed transactions, for the metrics."""

        self._up = self._asking = False
        """The link is open; a request is on its way."""
        self._listening = False
        """Its answer wakes the loop."""
        self._asked_ready = False
        """Whether that request says that the station is ready."""
        self._due_ns = 0
        self._pace = Pace(min(PACE_NS, self._poll_ns), BURST)
        self._failures = 0
        self._heartbeat = 0
        self._orders = Orders(lambda told: self._events.append(told))
        self._last: PlcStatus | None = None
        self._told_down = False
        self._keeper = threading.Thread(target=self._keep, name="gate", daemon=True)
        self._keeper.start()

    def decide(
        self, run: int, part: int, action: Action, reason: GateReason, deadline_ns: int
    ) -> None:
        order = Order(run, part, action, reason, deadline_ns, time.monotonic_ns())
        with self._lock:
            self._orders.accept(order)
            self._say()

    def refuse(self, run: int, parts: Iterable[int], reason: GateReason) -> None:
        with self._lock:
            if self._orders.run == run:
                for part in parts:
                    self._orders.take_back(part, reason)
                self._say()

    def hurry(self) -> None:
        with self._lock:
            self._due_ns = 0
            if self._asking:
                # That answer may be older than what is looked for; it brings the next request.
                self._listen(True)
            else:
                self._turn(wakes=False)
            self._call()

    def show(self, bits: StationBit, mode: int) -> None:
        self._bits, self._mode = bits, mode

    def alive(self, at_ns: int) -> None:
        self._alive_ns = at_ns

    def take(self) -> list[GateEvent]:
        with self._lock:
            self._taken_ns = time.monotonic_ns()
            self._turn()
            if self._rung and self._event >= 0:
                self._rung = False
                os.eventfd_read(self._event)
            events, self._events = self._events, []
        return events

    def fileno(self) -> int:
        return self._epoll.fileno()

    def due_ns(self) -> int:
        return self._due_ns if self._up and not self._asking else NEVER_NS

    def close(self) -> None:
        self._closing = True
        self._keeper.join(CLOSING_S)
        with self._lock:
            if self._up:  # else the keeper may have the link still
                self._say_goodbye()
            if self._event >= 0:
                self._epoll.close()
                os.close(self._event)
                self._event = -1

    # The keeper's thread.

    def _keep(self) -> None:
        while not self._closing:
            if not self._up:
                self._open()
            elif time.monotonic_ns() - self._taken_ns < STAND_IN_NS:
                time.sleep(STAND_IN_NS / 1e9)
            else:
                self._stand_in()

    def _open(self) -> None:
        if self._failures:
            # Orders must not turn a dead PLC into a storm of connection attempts.
            self._rest(RETRY_S[min(self._failures, len(RETRY_S)) - 1])
        try:
            # Look before writing: the PLC may have restarted and count from 1 again.
            status = PlcStatus.unpack(self._master.read(PLC_BLOCK, PLC_REGISTERS))
            _understand(status)
        except (LinkLost, SlaveRefused) as error:
            with self._lock:
                self._lose(str(error))
            return
        with self._lock:
            if self._closing:  # who closes has not waited for it
                self._master.close()
                return
            self._look_back(status)
            self._orders.join(status)
            self._epoll.register(self._master.fileno(), select.EPOLLIN)
            self._up = self._listening = True
            self._due_ns = 0
            self._say()

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._closing and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.02))

    def _stand_in(self) -> None:
        answer = select.poll()
        with self._lock:
            if not self._up:
                return
            answer.register(self._master.fileno(), select.POLLIN)
        answer.poll(5)
        with self._lock:
            self._turn()
            self._call()

    # Everything below is called with the lock held.

    def _say(self) -> None:
        """Send what waits, unless a request is on its way: then its answer brings it along."""
        if self._asking:
            self._listen(True)
        else:
            self._turn()
        self._call()

    def _listen(self, wakes: bool) -> None:
        """Whether the answer that is on its way wakes who waits at ``fileno``."""
        if wakes != self._listening and self._up:
            self._listening = wakes
            self._epoll.modify(self._master.fileno(), select.EPOLLIN if wakes else 0)

    def _call(self) -> None:
        """Let the loop know that there is something to take."""
        if self._events and not self._rung and self._event >= 0:
            self._rung = True
            os.eventfd_write(self._event, 1)

    def _turn(self, *, wakes: bool = True) -> None:
        """Take the answer if it is there, then ask again if something is due; ``wakes``: the
        loop shall know when that is answered."""
        if not self._up:
            return
        try:
            if self._asking:
                raw = self._master.answer()
                if raw is None:
                    return
                self._asking = False
                self._hear(raw)
            now_ns = time.monotonic_ns()
            if self._orders.sendable or now_ns >= self._due_ns:
                hurry = self._orders.urgent(now_ns + URGENT_NS)
                if not hurry and (early_ns := self._pace.put_off_ns(now_ns)):
                    self._due_ns = now_ns + early_ns
                    return
                self._ask(now_ns)
                self._listen(wakes)
        except (LinkLost, SlaveRefused) as error:
            self._lose(str(error))

    def _ask(self, now_ns: int) -> None:
        self._orders.fill(now_ns)
        bits = self._bits
        if now_ns - self._alive_ns > self._hung_ns:
            bits &= ~StationBit.READY
        elif bits & StationBit.READY:
            self._heartbeat += 1
        self._asked_ready = StationBit.READY in bits
        block = pack_station(
            self._heartbeat, bits, self._mode, self._orders.slots, self._orders.run or 0
        )
        self._master.ask(PLC_BLOCK, PLC_REGISTERS, STATION_BLOCK, block)
        self._asking = True
        self._due_ns = now_ns + self._poll_ns

    def _hear(self, raw: bytes) -> None:
        status = PlcStatus.unpack(raw, self._last)
        _understand(status)
        self._look_back(status)
        self._last = status
        if status.run != self._orders.run:
            self._orders.join(status)
        if self._told_down or not self.exchanges:
            self._told_down = False
            self._events.append(Link(True))
        self._failures = 0
        self.exchanges += 1
        now_ns = time.monotonic_ns()
        self._orders.settle(status, now_ns)
        self._events.append(Seen(status, now_ns, self._asked_ready))
        self._due_ns = min(self._due_ns, self._orders.follow_up_ns(now_ns))

    def _look_back(self, status: PlcStatus) -> None:
        """A PLC that counts anew and keeps its run may hold a permit for a number that comes again:
        the station is not ready until the line has seen it and shows otherwise."""
        last = self._last
        if last and status.run == last.run and status.part_counter < last.part_counter:
            self._bits &= ~StationBit.READY

    def _lose(self, why: str) -> None:
        self._up = self._asking = False
        self._master.close()
        self._failures += 1
        if not self._told_down:
            self._told_down = True
            self._events.append(Link(False, why))
        self._orders.give_up(time.monotonic_ns())
        self._call()

    def _say_goodbye(self) -> None:
        """Drop ready at once, instead of leaving the PLC to find out by the heartbeat."""
        until = time.monotonic() + CLOSING_S
        # Where this fails, the PLC's own heartbeat time-out does the same, 250 ms later.
        with contextlib.suppress(LinkLost, SlaveRefused):
            self._await(until)
            if not self._asking and self._orders.run is not None:
                bits = self._bits & ~StationBit.READY
                block = pack_station(
                    self._heartbeat, bits, self._mode, self._orders.slots, self._orders.run
                )
                self._master.ask(PLC_BLOCK, PLC_REGISTERS, STATION_BLOCK, block)
                self._asking = True
                self._await(until)
        self._up = False
        self._master.close()

    def _await(self, until: float) -> None:
        """Hear the answer that is on its way, if it comes in time."""
        while self._asking and time.monotonic() < until:
            if (raw := self._master.answer()) is None:
                time.sleep(0.001)
                continue
            self._asking = False
            self._hear(raw)


def _understand(status: PlcStatus) -> None:
    """Of a block whose layout is another nothing is believed, whenever it comes."""
    if status.layout != LAYOUT:
        raise LinkLost(f"the PLC has register layout {status.layout}, the station {LAYOUT}")
