"""Decisions on their way to a PLC: 16 slots, each free again when its decision is acknowledged.

Enters: what the line decides and what the PLC says. Leaves: the slots, as the next block carries
them, and what became of each decision. No I/O and no lock: ``line/plcgate.py``, which has both,
calls. Imports ``line/gate.py``, ``line/modbus.py`` for what it raises, and registers.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from inspector.line.gate import NEVER_NS, REMEMBERED, Told
from inspector.line.modbus import LinkLost
from inspector.registers import (
    DECISIONS,
    EMPTY_SLOT,
    U32,
    Action,
    Decision,
    GateReason,
    PlcStatus,
)

GRACE_NS = 250_000_000
"""A decision not acknowledged this long after its deadline never was."""
FOLLOW_UP_NS = 1_000_000
"""The least wait before looking again for an acknowledgement that the answer did not hold."""


@dataclass(slots=True)
class Order:
    """One decision about one part."""

    run: int
    part: int
    action: Action
    reason: GateReason
    deadline_ns: int
    decided_ns: int
    sequence: int = 0
    settled: bool = False


class Orders:
    """What waits for a slot, what stands in one, and what was decided of which part."""

    def __init__(self, tell: Callable[[Told], None]) -> None:
        """``tell`` hears what became of each order."""
        self._tell = tell
        self.run: int | None = None
        """The PLC's; None before its first word."""
        self.slots = [EMPTY_SLOT] * DECISIONS
        self._sequence = 0
        self._acknowledged = 0
        self._sent: deque[Order] = deque()
        self._waiting: deque[Order] = deque()
        self._decided: OrderedDict[int, Order] = OrderedDict()
        self._refused: OrderedDict[int, GateReason] = OrderedDict()

    @property
    def sendable(self) -> bool:
        """Whether an order waits and there is a slot for it."""
        return bool(self._waiting) and len(self._sent) < DECISIONS

    def urgent(self, by_ns: int) -> bool:
        """Whether an order that waits takes a permit back, or one that waits or is not acknowledged
        yet is due at the gate by ``by_ns``."""
        if self._sent and self._sent[0].deadline_ns < by_ns:
            return True
        return any(o.action is Action.REVOKE or o.deadline_ns < by_ns for o in self._waiting)

    def join(self, status: PlcStatus) -> None:
        """Begin, or begin again, with a PLC whose state has just been read."""
        ahead = _decisions(self._acknowledged, status.acknowledged)
        lost = ahead > _decisions(self._acknowledged, self._sequence)
        if status.run == self.run and not lost:
            return
        held, self._waiting = (*self._sent, *self._waiting), deque()
        self._sent.clear()
        for order in held:
            # What was sent counts as lost, but a permit may stand there that must be taken back.
            if order.run == status.run and (not order.sequence or order.action is Action.REVOKE):
                order.sequence = 0
                self._waiting.append(order)
            else:
                self._end(order, 0)
        if status.run != self.run:
            self._decided.clear()
            self._refused.clear()
        self.run = status.run
        self._sequence = self._acknowledged = status.acknowledged
        self.slots = [EMPTY_SLOT] * DECISIONS

    def accept(self, order: Order) -> None:
        """Have it wait for a slot. A part that was refused, or decided before, gets no permit."""
        if self.run is not None and order.run != self.run:
            self._end(order, 0)
            return
        if order.action is Action.PERMIT and order.part in self._decided:
            return  # a part that was rejected, because its record came too late, stays so
        if order.action is Action.PERMIT and order.part in self._refused:
            order.action, order.reason = Action.REJECT, self._refused[order.part]
        self._waiting.append(order)
        if order.part:
            self._decided[order.part] = order
            _forget_oldest(self._decided)

    def take_back(self, part: int, reason: GateReason) -> None:
        """``part`` must not pass: a permit that waits becomes a reject, one that was sent is
        revoked, and one that is still to come will be none."""
        self._refused[part] = reason
        _forget_oldest(self._refused)
        order = self._decided.get(part)
        if order is None or order.action is not Action.PERMIT:
            return
        if order.sequence == 0:
            order.action, order.reason = Action.REJECT, reason
            return
        # A belt that stands has let the permit's deadline pass, and the part is still to come.
        now_ns = time.monotonic_ns()
        deadline_ns = max(order.deadline_ns, now_ns)
        revoke = Order(order.run, part, Action.REVOKE, reason, deadline_ns, now_ns)
        self._waiting.append(revoke)
        self._decided[part] = revoke

    def fill(self, now_ns: int) -> None:
        """Put waiting orders into slots whose decision has been acknowledged."""
        # The plain difference counts 0 too, which is no decision: at the wrap its slot stays out.
        while self._waiting and _after(self._sequence) - self._acknowledged & U32 <= DECISIONS:
            order = self._waiting.popleft()
            if order.action is Action.PERMIT and now_ns > order.deadline_ns:
                order.action, order.reason = Action.REJECT, GateReason.LATE
            order.sequence = self._sequence = _after(self._sequence)
            decision = Decision(order.sequence, order.part, order.action, order.reason)
            self.slots[(order.sequence - 1) % DECISIONS] = decision.pack()
            self._sent.append(order)

    def settle(self, status: PlcStatus, now_ns: int) -> None:
        """Take what the PLC said. Raises ``LinkLost`` if it cannot be ours that it has heard."""
        progress = _decisions(self._acknowledged, status.acknowledged)
        if progress > len(self._sent):
            raise LinkLost("the PLC acknowledges what was never decided; is there another master?")
        self._acknowledged = status.acknowledged
        for _ in range(progress):
            self._end(self._sent.popleft(), now_ns)
        self.give_up(now_ns)

    def follow_up_ns(self, now_ns: int) -> int:
        """When to look for the next acknowledgement: the next exchange tells, and mostly is soon
        enough; near a deadline it is hastened."""
        if not self._sent:
            return NEVER_NS
        return now_ns + max(FOLLOW_UP_NS, (self._sent[0].deadline_ns - now_ns) // 8)

    def give_up(self, now_ns: int) -> None:
        """Report what is too late; what was written stays in its slot. A permit that was not sent
        is none, but one that was is never left standing: to take it back is tried for ever."""
        late_ns = now_ns - GRACE_NS
        for order in (*self._sent, *self._waiting):
            if order.deadline_ns < late_ns:
                self._end(order, 0)
        if self._waiting:
            self._waiting = deque(
                o for o in self._waiting if o.deadline_ns >= late_ns or o.action is Action.REVOKE
            )

    def _end(self, order: Order, acknowledged_ns: int) -> None:
        """Tell what became of ``order``, once; of a revoke that was given up and heard, twice."""
        if order.settled and not (acknowledged_ns and order.action is Action.REVOKE):
            return
        order.settled = True
        self._tell(
            Told(
                order.run, order.part, order.action, order.reason,
                order.decided_ns, order.deadline_ns, acknowledged_ns,
            )
        )  # fmt: skip


def _after(sequence: int) -> int:
    """The decision that follows; 0 is no decision, so the wrap leaves it out."""
    return sequence + 1 & U32 or 1


def _decisions(after: int, upto: int) -> int:
    """How many decisions there are from the one after ``after`` up to ``upto``."""
    return (upto - after & U32) - (upto < after)


def _forget_oldest(memory: OrderedDict[int, Order] | OrderedDict[int, GateReason]) -> None:
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
