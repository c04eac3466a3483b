"""What the gate is told, and whether it heard: the interface of every gate, and the PLC's one.

Enters: decisions about part numbers, from any thread. Leaves: what the gate reports, in order, by
``take()``. A new output joins with one file: a class with ``Gate``'s methods, named in
``process.open_gate``. Imports registers, config, part and ``line/modbus.py``; the line imports it.

The resting state is *reject* (I2): silence, a lost link, a hung line and an unknown part all end
in the reject bin. A permit is for exactly one number of one run.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

from inspector.config import Plc
from inspector.line.modbus import LinkLost, Master, SlaveRefused
from inspector.registers import (
    DECISIONS,
    EMPTY_SLOT,
    LAYOUT,
    PLC_BLOCK,
    PLC_REGISTERS,
    STATION_BLOCK,
    U32,
    Action,
    Decision,
    GateReason,
    PlcStatus,
    StationBit,
    pack_station,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """The PLC's block, and when the station had it (monotonic ns)."""

    status: PlcStatus
    at_ns: int


@dataclass(frozen=True, slots=True)
class Told:
    """One decision's end: acknowledged, or given up with ``acknowledged_ns`` 0 (an alarm)."""

    run: int
    part: int
    action: Action
    reason: GateReason
    decided_ns: int
    deadline_ns: int
    acknowledged_ns: int


@dataclass(frozen=True, slots=True)
class Link:
    """The connection to the gate came up or went down."""

    up: bool
    why: str = ""


GateEvent = Seen | Told | Link


class Gate(Protocol):
    """Where decisions go. Every method may be called from any thread and none waits."""

    def decide(
        self, run: int, part: int, action: Action, reason: GateReason, deadline_ns: int
    ) -> None:
        """Permit or reject ``part``. A permit for a refused part becomes a reject."""

    def refuse(self, run: int, parts: Iterable[int], reason: GateReason) -> None:
        """``parts`` must not pass: revoke permits that were given, turn later ones to rejects."""

    def hurry(self) -> None:
        """Look at the gate's signals now rather than at the next poll."""

    def show(self, bits: StationBit, mode: int) -> None:
        """What the station reports: its bits, and the index of its mode."""

    def alive(self) -> None:
        """The line's loop has come round; without this *ready* and the heartbeat drop."""

    def take(self) -> list[GateEvent]:
        """What happened since the last call, oldest first. Never blocks."""

    def fileno(self) -> int:
        """Readable when ``take`` has something."""

    def close(self) -> None:
        """Drop *ready* and let go of the gate."""


REMEMBERED = 4096
"""Parts whose decision or refusal is kept: far more than fit between eye and gate."""
GRACE_NS = 250_000_000
"""A decision not acknowledged this long after its deadline never was."""
HUNG_NS = 600_000_000
"""A line whose loop has not come round for this long is not judging. The slowest judgement that
ships, finding and reading a date on a whole pack, takes 180 ms on a quiet machine."""
RETRY_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
FOLLOW_UP_S = (0.001, 0.002, 0.004, 0.008)
"""Waits before looking again for an acknowledgement that the answer itself did not hold."""


@dataclass(slots=True)
class _Order:
    run: int
    part: int
    action: Action
    reason: GateReason
    deadline_ns: int
    decided_ns: int
    sequence: int = 0
    settled: bool = False


@dataclass(frozen=True, slots=True)
class _Refuse:
    run: int
    parts: tuple[int, ...]
    reason: GateReason


class PlcGate:
    """The gate behind a PLC: one thread that owns the connection and exchanges whole blocks.

    An exchange happens for every decision, for every ``hurry``, and every ``poll_ms``. A lost one
    is repaired by the next, because the ring still holds what was not acknowledged.
    """

    def __init__(self, plc: Plc, hung_ns: int = HUNG_NS) -> None:
        self._master = Master(plc.host, plc.port, plc.unit, plc.timeout_ms / 1e3)
        self._poll_s = plc.poll_ms / 1e3
        self._hung_ns = hung_ns
        self._inbox: SimpleQueue[_Order | _Refuse | None] = SimpleQueue()
        self._events: deque[GateEvent] = deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._bits, self._mode = StationBit(0), 0
        self._alive_ns = 0
        self._closing = False
        self.exchanges = 0
        """Completed transactions, for the metrics."""

        self._run: int | None = None
        self._heartbeat = 0
        self._sequence = 0
        self._acknowledged = 0
        self._ring = [EMPTY_SLOT] * DECISIONS
        self._sent: deque[_Order] = deque()
        self._waiting: deque[_Order] = deque()
        self._decided: OrderedDict[int, _Order] = OrderedDict()
        self._refused: OrderedDict[int, GateReason] = OrderedDict()
        self._last: PlcStatus | None = None
        self._impatience = 0
        self._told_down = False
        self._thread = threading.Thread(target=self._work, name="gate", daemon=True)
        self._thread.start()

    def decide(
        self, run: int, part: int, action: Action, reason: GateReason, deadline_ns: int
    ) -> None:
        self._inbox.put(_Order(run, part, action, reason, deadline_ns, time.monotonic_ns()))

    def refuse(self, run: int, parts: Iterable[int], reason: GateReason) -> None:
        self._inbox.put(_Refuse(run, tuple(parts), reason))

    def hurry(self) -> None:
        self._inbox.put(None)

    def show(self, bits: StationBit, mode: int) -> None:
        self._bits, self._mode = bits, mode

    def alive(self) -> None:
        self._alive_ns = time.monotonic_ns()

    def take(self) -> list[GateEvent]:
        if self._event >= 0:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._event)
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def fileno(self) -> int:
        return self._event

    def close(self) -> None:
        self._closing = True
        self._inbox.put(None)
        self._thread.join(5.0)
        if not self._thread.is_alive() and self._event >= 0:
            os.close(self._event)
            self._event = -1

    # Everything below runs in the gate's own thread.

    def _work(self) -> None:
        failures = 0
        wait_s = 0.0
        while not self._closing:
            self._collect(wait_s)
            if not self._master.connected and failures:
                # Orders must not turn a dead PLC into a storm of connection attempts.
                self._rest(RETRY_S[min(failures, len(RETRY_S)) - 1])
            try:
                status = self._exchange()
                if self._told_down or not self.exchanges:
                    self._told_down = False
                    self._tell(Link(True))
                wait_s = self._settle(status)
            except (LinkLost, SlaveRefused) as error:
                self._master.close()
                failures += 1
                if not self._told_down:
                    self._told_down = True
                    self._tell(Link(False, str(error)))
                self._give_up(time.monotonic_ns())
                wait_s = 0.0
                continue
            failures = 0
            self.exchanges += 1
        self._say_goodbye()

    def _collect(self, wait_s: float) -> None:
        """Wait for work at most ``wait_s``, then take all there is."""
        inbox = self._inbox
        try:
            self._accept(inbox.get(timeout=wait_s) if wait_s > 0 else inbox.get_nowait())
            while True:
                self._accept(inbox.get_nowait())
        except Empty:
            return

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._closing and (left := until - time.monotonic()) > 0:
            self._collect(left)

    def _exchange(self) -> PlcStatus:
        if not self._master.connected or self._run is None:
            # Look before writing: the PLC may have restarted and count from 1 again.
            status = PlcStatus.unpack(self._master.read(PLC_BLOCK, PLC_REGISTERS))
            _understand(status)
            self._join(status)
        self._fill()
        now_ns = time.monotonic_ns()
        bits = self._bits
        if now_ns - self._alive_ns > self._hung_ns:
            bits &= ~StationBit.READY
        elif bits & StationBit.READY:
            self._heartbeat += 1
        block = pack_station(self._heartbeat, bits, self._mode, self._ring, self._run or 0)
        raw = self._master.exchange(PLC_BLOCK, PLC_REGISTERS, STATION_BLOCK, block)
        status = self._last = PlcStatus.unpack(raw, self._last)
        _understand(status)
        if status.run != self._run:
            self._join(status)
        return status

    def _join(self, status: PlcStatus) -> None:
        """Begin, or begin again, with a PLC whose state has just been read."""
        ahead = status.acknowledged - self._acknowledged & U32
        lost = ahead > (self._sequence - self._acknowledged & U32)
        if status.run == self._run and not lost:
            return
        for order in (*self._sent, *self._waiting):
            if order.run != status.run or order in self._sent:
                self._end(order, 0)
        self._waiting = deque(o for o in self._waiting if not o.settled)
        self._sent.clear()
        self._decided.clear()
        if status.run != self._run:
            self._refused.clear()
        self._run = status.run
        self._sequence = self._acknowledged = status.acknowledged
        self._ring = [EMPTY_SLOT] * DECISIONS

    def _accept(self, work: _Order | _Refuse | None) -> None:
        if isinstance(work, _Order):
            if self._run is not None and work.run != self._run:
                self._end(work, 0)
                return
            if work.action is Action.PERMIT and work.part in self._decided:
                return  # a part that was rejected, because its record came too late, stays so
            if work.action is Action.PERMIT and work.part in self._refused:
                work.action, work.reason = Action.REJECT, self._refused[work.part]
            self._waiting.append(work)
            if work.part:
                self._decided[work.part] = work
                _forget_oldest(self._decided)
        elif isinstance(work, _Refuse) and work.run == self._run:
            for part in work.parts:
                self._take_back(part, work.reason)

    def _take_back(self, part: int, reason: GateReason) -> None:
        self._refused[part] = reason
        _forget_oldest(self._refused)
        order = self._decided.get(part)
        if order is None or order.action is not Action.PERMIT:
            return
        if order.sequence == 0:
            order.action, order.reason = Action.REJECT, reason
            return
        revoke = _Order(
            order.run, part, Action.REVOKE, reason, order.deadline_ns, time.monotonic_ns()
        )
        self._waiting.append(revoke)
        self._decided[part] = revoke

    def _fill(self) -> None:
        """Put waiting orders into slots whose decision has been acknowledged."""
        while self._waiting and self._sequence - self._acknowledged & U32 < DECISIONS:
            order = self._waiting.popleft()
            if order.action is Action.PERMIT and time.monotonic_ns() > order.deadline_ns:
                order.action, order.reason = Action.REJECT, GateReason.LATE
            self._sequence = self._sequence + 1 & U32 or 1
            order.sequence = self._sequence
            decision = Decision(order.sequence, order.part, order.action, order.reason)
            self._ring[(order.sequence - 1) % DECISIONS] = decision.pack()
            self._sent.append(order)

    def _settle(self, status: PlcStatus) -> float:
        """Take what the PLC said; how long to wait before the next look."""
        now_ns = time.monotonic_ns()
        progress = status.acknowledged - self._acknowledged & U32
        if progress > len(self._sent):
            raise LinkLost("the PLC acknowledges what was never decided; is there another master?")
        self._acknowledged = status.acknowledged
        for _ in range(progress):
            self._end(self._sent.popleft(), now_ns)
        self._give_up(now_ns)
        self._tell(Seen(status, now_ns))
        if not self._sent:
            self._impatience = 0
            return self._poll_s
        if self._waiting and len(self._sent) < DECISIONS:
            return 0.0
        self._impatience = 0 if progress else self._impatience + 1
        follow_up = FOLLOW_UP_S[min(self._impatience, len(FOLLOW_UP_S) - 1)]
        return min(follow_up, self._poll_s)

    def _give_up(self, now_ns: int) -> None:
        """Report what is too late to matter; what was written stays in its slot."""
        for order in self._sent:
            if now_ns > order.deadline_ns + GRACE_NS:
                self._end(order, 0)
        while self._waiting and now_ns > self._waiting[0].deadline_ns + GRACE_NS:
            self._end(self._waiting.popleft(), 0)

    def _end(self, order: _Order, acknowledged_ns: int) -> None:
        if order.settled:
            return
        order.settled = True
        self._tell(
            Told(
                order.run, order.part, order.action, order.reason,
                order.decided_ns, order.deadline_ns, acknowledged_ns,
            )
        )  # fmt: skip

    def _tell(self, event: GateEvent) -> None:
        self._events.append(event)
        os.eventfd_write(self._event, 1)

    def _say_goodbye(self) -> None:
        """Drop ready at once, instead of leaving the PLC to find out by the heartbeat."""
        if self._master.connected and self._run is not None:
            bits = self._bits & ~StationBit.READY
            block = pack_station(self._heartbeat, bits, self._mode, self._ring, self._run)
            # Where this fails, the PLC's own heartbeat time-out does the same, 250 ms later.
            with contextlib.suppress(LinkLost, SlaveRefused):
                self._master.exchange(PLC_BLOCK, PLC_REGISTERS, STATION_BLOCK, block)
        self._master.close()


def _understand(status: PlcStatus) -> None:
    """Of a block whose layout is another nothing is believed, whenever it comes."""
    if status.layout != LAYOUT:
        raise LinkLost(f"the PLC has register layout {status.layout}, the station {LAYOUT}")


def _forget_oldest(memory: OrderedDict[int, _Order] | OrderedDict[int, GateReason]) -> None:
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
