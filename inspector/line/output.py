"""Gates without a PLC: one digital output, timed by the part's travel; or none at all.

Enters: decisions, as every gate takes them. Leaves: the output's level, high while a permitted part
is at the gate; two more, for the conveyor and the by-pass beacon, where they are wired. Imports
``line/gate.py``, config and registers; ``process.py`` opens it, and drivers (``driver.py``) may.

The resting level is low, and low rejects: a cut wire and an unknown part end in the reject bin, and
so does all that comes once the process is dead, for its supervisor then writes the level. There is
no acknowledgement to wait for: a decision that was scheduled before its deadline has been heard,
unless the output does not take its level.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from pathlib import Path

from inspector.config import Station
from inspector.line.gate import CLOSING_S, HUNG_NS, NEVER_NS, REMEMBERED, GateEvent, Link, Told
from inspector.registers import Action, GateReason, StationBit

TICK_S = 0.2
"""The thread looks at least this often whether the line still lives, and sets each line anew."""

Write = Callable[[bool], None]
"""Sets a line's level, high or low. It may raise what it likes: the line is then not set."""


def write_level(path: Path) -> Write:
    """Writes ``1`` or ``0`` to ``path``, such as a GPIO line's ``value``. Raises ``OSError``."""
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)

    def write(level: bool) -> None:
        os.pwrite(handle, b"1\n" if level else b"0\n", 0)

    return write


def timed(
    station: Station, write: Write, conveyor: Write | None = None, beacon: Write | None = None
) -> OutputGate:
    """The gate of ``station`` on an output that ``write`` sets, in a thread of the gate's, at each
    change and every 0.4 s at the latest. Raises ``OSError`` if it cannot."""
    assert station.output is not None
    lead_ns = round(station.travel.lead_ms * 1e6)
    window_ns = round(station.output.window_ms * 1e6)
    return OutputGate(write, lead_ns, window_ns, conveyor=conveyor, beacon=beacon)


class _Wire:
    """One line, and when it was last set: a card that wants to hear from us falls low without."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._level: bool | None = None
        self._set_ns = 0

    def set(self, level: bool) -> str:
        """Why it does not take ``level``; empty when it has it."""
        now_ns = time.monotonic_ns()
        if level == self._level and now_ns - self._set_ns < TICK_S * 1e9:
            return ""
        self._level = None
        try:
            self._write(level)
        except Exception as error:  # a driver that breaks must not leave the gate as it stands
            return str(error) or type(error).__name__
        self._level, self._set_ns = level, now_ns
        return ""


class OutputGate:
    """A gate on one output. Tracked by time: the belt has one speed, or stands."""

    def __init__(
        self,
        write: Write,
        lead_ns: int,
        window_ns: int,
        hung_ns: int = HUNG_NS,
        conveyor: Write | None = None,
        beacon: Write | None = None,
    ) -> None:
        """``lead_ns`` after its deadline a part is at the gate; ``window_ns`` is how long it takes
        to pass, half before and half after. ``conveyor`` is high while the belt may run, ``beacon``
        while parts go by uninspected."""
        self.stops_belt = conveyor is not None
        """Whether the belt stands when the station asks for a stop."""
        self._gate = _Wire(write)
        self._conveyor = _Wire(conveyor or (lambda level: None))
        self._beacon = _Wire(beacon or (lambda level: None))
        self._lead_ns, self._half_ns, self._hung_ns = lead_ns, window_ns // 2, hung_ns
        self._lock = threading.Condition()
        self._plan: OrderedDict[int, tuple[int, bool | None]] = OrderedDict()
        """Arrival and permission, by part; None until it is decided."""
        self._refused: OrderedDict[int, GateReason] = OrderedDict()
        self._events: deque[GateEvent] = deque()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._bits = StationBit(0)
        self._closing = self._stirred = False
        self._alive_ns = 0
        self._broken = ""
        """Why a line does not take its level."""
        self._since_ns = 0
        """When the lines began to be set that are being set now; 0: none is."""
        if why := self._gate.set(False):
            raise OSError(f"the gate's output does not take its level: {why}")
        self._tell(Link(True))
        self._thread = threading.Thread(target=self._work, name="gate", daemon=True)
        self._thread.start()

    def expect(self, parts: Iterable[int], deadline_ns: int) -> None:
        """``parts`` are on their way: in a window that one of them shares it must not pass, until
        it is decided."""
        with self._lock:
            arrival_ns = deadline_ns + self._lead_ns
            for part in parts:
                self._plan.setdefault(part, (arrival_ns, None))
            if arrival_ns - self._half_ns < time.monotonic_ns() + int(TICK_S * 1e9):
                self._stir()

    def under_way(self) -> list[int]:
        """The parts that are expected and have not passed yet, decided or not."""
        with self._lock:
            return list(self._plan)

    def decide(
        self, run: int, part: int, action: Action, reason: GateReason, deadline_ns: int
    ) -> None:
        """Schedule the part."""
        now_ns = time.monotonic_ns()
        with self._lock:
            if action is Action.PERMIT and self._plan.get(part, (0, None))[1] is not None:
                return
            if action is Action.PERMIT and part in self._refused:
                action, reason = Action.REJECT, self._refused[part]
            if action is Action.PERMIT and now_ns > deadline_ns:
                action, reason = Action.REJECT, GateReason.LATE
            if part:  # a test pulse is none, and an output rests where it rejects
                self._plan[part] = (deadline_ns + self._lead_ns, action is Action.PERMIT)
            heard_ns = 0 if self._broken else now_ns
            self._tell(Told(run, part, action, reason, now_ns, deadline_ns, heard_ns))
            self._stir()

    def refuse(self, run: int, parts: Iterable[int], reason: GateReason) -> None:
        """Take permits back, and give none later."""
        now_ns = time.monotonic_ns()
        with self._lock:
            for part in parts:
                self._refused[part] = reason
                if len(self._refused) > REMEMBERED:
                    self._refused.popitem(last=False)
                arrival_ns, permitted = self._plan.get(part, (0, False))
                if permitted:
                    self._plan[part] = (arrival_ns, False)
                    deadline_ns = arrival_ns - self._lead_ns
                    heard_ns = 0 if self._broken else now_ns
                    told = Told(run, part, Action.REVOKE, reason, now_ns, deadline_ns, heard_ns)
                    self._tell(told)
            self._stir()

    def hurry(self) -> None:
        """There is nothing to look at."""

    def show(self, bits: StationBit, mode: int) -> None:
        """Without *ready* the output stays low."""
        with self._lock:
            self._bits = bits
            self._stir()

    def alive(self, at_ns: int) -> None:
        """The line was judging at this time."""
        self._alive_ns = at_ns

    def take(self) -> list[GateEvent]:
        """What was told since the last call."""
        with self._lock:
            if self._since_ns and time.monotonic_ns() - self._since_ns > self._hung_ns:
                self._hear(f"no answer in {self._hung_ns // 1_000_000} ms")
            events = list(self._events)
            self._events.clear()
            if events and self._event >= 0:
                os.eventfd_read(self._event)
        return events

    def fileno(self) -> int:
        """Readable when ``take`` has something."""
        return self._event

    def due_ns(self) -> int:
        """Its thread keeps the time."""
        return NEVER_NS

    def close(self) -> None:
        """Low, and no more. The conveyor stays as it was asked for. An output that does not take
        its level yet is tried until it does, for as long as the process lives."""
        with self._lock:
            self._closing = True
            self._stir()
        self._thread.join(CLOSING_S)
        with self._lock:
            if self._event >= 0:
                os.close(self._event)
                self._event = -1

    def _stir(self) -> None:
        """Something is another than it was, whatever the thread is about."""
        self._stirred = True
        self._lock.notify()

    def _work(self) -> None:
        wait_s = 0.0
        while True:
            with self._lock:
                if not self._stirred:
                    self._lock.wait(wait_s)
                self._stirred = False
                if self._closing:
                    break
                now_ns = time.monotonic_ns()
                level, until_ns = self._due(now_ns)
                bits = self._bits
                judging = StationBit.READY in bits and self._lives(now_ns)
            # Not under the lock: nobody who decides waits for a card that does not answer.
            self._set(level and judging, bits)
            left_s = (until_ns - time.monotonic_ns()) / 1e9
            wait_s = max(0.0, min(TICK_S, left_s))
        while not self._set(False, self._bits):
            time.sleep(TICK_S)

    def _lives(self, now_ns: int) -> bool:
        return now_ns - self._alive_ns <= self._hung_ns

    def _set(self, level: bool, bits: StationBit) -> bool:
        """Whether every line has its level; one that has not is tried again in the next round."""
        self._since_ns = time.monotonic_ns()
        whys = (
            self._gate.set(level),
            self._conveyor.set(StationBit.STOP not in bits),
            self._beacon.set(StationBit.BYPASS in bits),
        )
        why = next(filter(None, whys), "")
        with self._lock:
            self._since_ns = 0
            self._hear(why)
        return not why

    def _hear(self, why: str) -> None:
        """Why a line does not take its level, or that each does; told when that changes."""
        if bool(why) != bool(self._broken):
            self._tell(Link(not why, why and f"an output does not take its level: {why}"))
        self._broken = why

    def _due(self, now_ns: int) -> tuple[bool, int]:
        """The level now, as the plan wants it, and when it may change."""
        inside: list[bool | None] = []
        until_ns = now_ns + int(TICK_S * 1e9)
        for part, (arrival_ns, permitted) in list(self._plan.items()):
            begin_ns, end_ns = arrival_ns - self._half_ns, arrival_ns + self._half_ns
            if now_ns >= end_ns:
                del self._plan[part]
            elif now_ns >= begin_ns:
                inside.append(permitted)
                until_ns = min(until_ns, end_ns)
            else:
                until_ns = min(until_ns, begin_ns)
        # Where two parts share the gate's window, the one that must not pass decides.
        return bool(inside) and all(inside), until_ns

    def _tell(self, event: GateEvent) -> None:
        self._events.append(event)
        if self._event >= 0:
            os.eventfd_write(self._event, 1)


def let_fall(path: Path) -> None:
    """Sets the output at ``path`` low for a process that has ended and cannot. Never waits."""
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "wb", buffering=0) as output:
            output.write(b"0\n")


class NoGate:
    """A station that watches and records only: nothing is told, nobody answers."""

    def __init__(self) -> None:
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def decide(
        self, run: int, part: int, action: Action, reason: GateReason, deadline_ns: int
    ) -> None:
        pass

    def refuse(self, run: int, parts: Iterable[int], reason: GateReason) -> None:
        pass

    def hurry(self) -> None:
        pass

    def show(self, bits: StationBit, mode: int) -> None:
        pass

    def alive(self, at_ns: int) -> None:
        pass

    def take(self) -> list[GateEvent]:
        return []

    def fileno(self) -> int:
        return self._event

    def due_ns(self) -> int:
        return NEVER_NS

    def close(self) -> None:
        os.close(self._event)
