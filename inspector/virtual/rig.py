"""The virtual line as one machine that can be stepped: belt, flap, PLC, judge and its mishaps.

An instant and acts (stop, jog, low air, a lost frame …) come in; camera pulses, the PLC's block
and counts go out. Time is injected: ``world.py`` steps it by the wall clock, tests as fast as
they can. Only the virtual line and its tests import it.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Literal

from pydantic import Field, model_validator

from inspector.config import Settings
from inspector.virtual.conveyor import NEVER, Conveyor, Crossing, Item, Point
from inspector.virtual.flap import Flap
from inspector.virtual.judge import Judge
from inspector.virtual.machine import Machine, Program
from inspector.virtual.plc import MS, Inputs, Plc
from inspector.virtual.wire import Fault

Pulse = Callable[[int, int, Fault, int, int], int]
"""``(t_ns, film index, fault, its argument, mask of cameras)`` → when the edge really went out."""
Turn = Callable[[int, int, int | None], None]
"""``(t_ns, encoder count, film index of the part at the eye or None)``, every PLC cycle."""

FRAME_FAULTS = {
    "drop": Fault.DROP,
    "incomplete": Fault.INCOMPLETE,
    "delay": Fault.DELAY,
    "freeze": Fault.FREEZE,
    "disconnect": Fault.DISCONNECT,
    "wrong_size": Fault.WRONG_SIZE,
    "missed": Fault.MISS_TRIGGER,
    "vanish": Fault.VANISH,
}


class Act(Settings):
    """One thing that happens to the line. What a field means depends on ``do``."""

    do: Literal[
        "start", "stop", "speed", "jog", "reverse", "jam", "estop", "air_low", "bin_full",
        "empty_bin", "light_fault", "eye_blind", "confirm_blind", "flap_stuck", "encoder_lost",
        "encoder_jump", "slip", "bounce", "touch", "remove", "insert", "reset", "restart_plc",
        "drop", "incomplete", "delay", "freeze", "disconnect", "wrong_size", "missed", "vanish",
        "cut", "slow", "feed",
    ]  # fmt: skip
    """start, stop, speed (``mm_s``), jog and reverse (``mm``, then as before): the belt.
    jam, estop, air_low, bin_full, light_fault, eye_blind (the trigger's cable is off),
    confirm_blind, flap_stuck, encoder_lost, cut: for ``ms``, or until the same act with
    ``on: false``. slow: each answer late by ``ms``.
    encoder_jump (``mm``), slip (``fraction``). bounce: the eye sees the next part twice, ``mm``
    apart. touch: the next part touches the one before. remove, insert: by hand at ``mm``.
    drop … vanish: the next picture of the ``cameras``, for ``ms`` where that has a meaning.
    feed: ``count`` more parts. restart_plc: its counter begins anew. reset: alarms looked at."""
    ms: float = Field(0.0, ge=0)
    mm: float = 0.0
    mm_s: float = Field(0.0, ge=0)
    fraction: float = Field(0.0, gt=-1, lt=10)
    on: bool = True
    cameras: int = Field(0, ge=0, le=255)
    """Mask of the cameras that a picture's fault befalls; 0 is all."""
    film: int = Field(0, ge=0)
    """insert: which part of the film."""
    count: int = Field(0, ge=0)


class Scheduled(Act):
    """An act with its moment."""

    at_part: int | None = Field(None, ge=1)
    """When this part number is at the eye; a picture's fault is that part's."""
    at_s: float | None = Field(None, ge=0)
    """Seconds after the belt first started."""

    @model_validator(mode="after")
    def _has_one_moment(self) -> Scheduled:
        if (self.at_part is None) == (self.at_s is None):
            raise ValueError("give either `at_part` or `at_s`")
        return self


class Feed(Settings):
    """What lies on the belt, and how close."""

    pitch_mm: float = Field(50.0, gt=0)
    """Leading edge to leading edge."""
    jitter_mm: float = Field(0.0, ge=0)
    """Each part lies up to so much off its place."""
    count: int = Field(0, ge=0)
    """Parts to feed; 0 is without end."""
    order: Literal["film", "shuffled"] | list[int] = "film"
    """Film indices in turn, each round shuffled by the seed, or in the order of a list."""


SIGNALS = (
    "jam", "estop", "air_low", "bin_full", "light_fault", "eye_blind", "confirm_blind",
    "flap_stuck",
)  # fmt: skip


class Rig:
    """Everything that moves. Call ``step`` with instants that do not go back."""

    def __init__(
        self, machine: Machine, program: Program, feed: Feed, judge: Judge, pulse: Pulse, *,
        speed_mm_s: float, schedule: list[Scheduled], seed: int, start_ns: int,
        camera_trigger: Literal["plc", "eye"] = "plc",
    ) -> None:  # fmt: skip
        self.machine = machine
        self.program = program
        self.judge = judge
        self.belt = Conveyor(machine, start_ns)
        self.flap = Flap(machine.switch_ms)
        self._random = random.Random(seed)
        self.plc = Plc(machine, program, self._random.getrandbits(32) | 1, self.belt.encoder())
        self.feed = feed
        self.speed_mm_s = speed_mm_s
        self.want_run = False
        """The operator's switch."""
        self.started_ns: int | None = None
        self.fed = 0
        self.left = 0
        """Items that have left the flap or were taken off."""
        self.to_feed: float = feed.count or float("inf")
        self.link: Callable[[Act], None] = lambda act: None
        """Takes the acts that befall the Modbus link."""
        self.turn: Turn | None = None
        """Takes what the encoder says to cameras that are wired to it."""
        self._pulse = pulse
        self._pulse_at_eye = camera_trigger == "eye"
        self._films = self._order()
        self._next_lead = machine.infeed_mm + 60.0
        self._on = dict.fromkeys(SIGNALS, False)
        self._newest: dict[str, Act] = {}
        self._bin = 0
        self._pictures: deque[Act] = deque()
        self._touch_next = False
        self._bounce_mm = 0.0
        self._motor = False
        self._busy_until_ns = -NEVER
        """A jog or reverse is under way."""
        self._at_part = sorted(
            (s for s in schedule if s.at_part is not None), key=lambda s: s.at_part or 0
        )
        self._at_s = sorted((s for s in schedule if s.at_s is not None), key=lambda s: s.at_s or 0)
        self._timers: list[tuple[int, int, Callable[[int], object]]] = []
        self._ids = count()
        self._scan_ns = round(program.scan_ms * MS)
        self._next_scan_ns = start_ns

    # -- time -------------------------------------------------------------------------------

    def step(self, now_ns: int) -> int:
        """Lets everything happen up to ``now_ns``; returns when the next thing will."""
        while (next_ns := self._next_ns()) <= now_ns:
            for crossing in self.belt.advance(next_ns):
                self._sense(crossing)
            while self._timers and self._timers[0][0] <= next_ns:
                heapq.heappop(self._timers)[2](next_ns)
            if self._next_scan_ns <= next_ns:
                self._scan(self._next_scan_ns)
                self._next_scan_ns += self._scan_ns
        return next_ns

    def _next_ns(self) -> int:
        timer_ns = self._timers[0][0] if self._timers else NEVER
        return min(self._next_scan_ns, timer_ns, self.belt.next_ns())

    def after(self, at_ns: int, what: Callable[[int], object]) -> None:
        """Calls ``what(now_ns)`` once at ``at_ns``."""
        heapq.heappush(self._timers, (at_ns, next(self._ids), what))

    @property
    def done(self) -> bool:
        """All that was to be fed has left the gate, one way or the other."""
        return self.fed >= self.to_feed and self.left >= self.fed

    # -- acts -------------------------------------------------------------------------------

    def start(self, now_ns: int) -> None:
        """The operator starts the belt; scheduled seconds count from the first time."""
        self.want_run = True
        if self.started_ns is None:
            self.started_ns = now_ns
            for act in self._at_s:
                at_ns = now_ns + round((act.at_s or 0) * 1e9)
                self.after(at_ns, lambda t, act=act: self.do(act, t))  # type: ignore[misc]

    def do(self, act: Act, now_ns: int) -> None:
        """One act, now."""
        if act.do in FRAME_FAULTS:
            self._pictures.append(act)
            return
        if act.do in SIGNALS:
            self._on[act.do] = act.on
            if act.do == "jam":
                self._drive(now_ns)
            self._end_later(act, now_ns)
            return
        match act.do:
            case "start":
                self.start(now_ns)
            case "stop":
                self.want_run = False
                self._end_later(act, now_ns)
            case "speed":
                self.speed_mm_s = act.mm_s
                if self._motor and now_ns >= self._busy_until_ns:
                    self.belt.run(self.speed_mm_s)
            case "jog" | "reverse":
                mm = abs(act.mm) if act.do == "jog" else -abs(act.mm)
                until_ns = self.belt.move(mm, act.mm_s or min(200.0, self.speed_mm_s))
                self._busy_until_ns = until_ns + round(act.ms * MS)
                self.after(self._busy_until_ns, self._drive)
            case "empty_bin":
                self._bin = 0
            case "encoder_lost":
                self.belt.encoder_fault(lost=act.on)
                self._end_later(act, now_ns)
            case "encoder_jump":
                self.belt.encoder_fault(jump_counts=round(act.mm / self.machine.mm_per_count))
            case "slip":
                self.belt.encoder_fault(slip=act.fraction)
            case "bounce":
                self._bounce_mm = act.mm or 12.0
            case "touch":
                self._touch_next = True
            case "remove":
                item = self.belt.nearest(act.mm)
                if item and item.passed is None:
                    self.belt.remove(item)
                    self.flap.inside.pop(item.id, None)
                    self.judge.removed(item)
                    self.left += 1
            case "insert":
                self._insert(act.mm, act.film % len(self.judge.truth))
            case "feed":
                self.to_feed = self.fed + act.count
            case "reset":
                self.plc.reset()
            case "restart_plc":
                self.judge.forget_numbers()
                self.plc.power_up(self._random.getrandbits(32) | 1)
            case "cut" | "slow":
                self.link(act)

    # -- inside -----------------------------------------------------------------------------

    def _end_later(self, act: Act, now_ns: int) -> None:
        """Ends ``act`` when its time is up, unless the same has been ordered again by then."""
        self._newest[act.do] = act
        if act.on and act.ms:
            self.after(now_ns + round(act.ms * MS), lambda then_ns: self._end(act, then_ns))

    def _end(self, act: Act, now_ns: int) -> None:
        if self._newest[act.do] is act:
            end = {"do": "start"} if act.do == "stop" else {"on": False, "ms": 0.0}
            self.do(act.model_copy(update=end), now_ns)

    def _order(self) -> Iterator[int]:
        films = list(range(len(self.judge.truth)))
        order = self.feed.order
        if isinstance(order, list):
            films = [i % len(films) for i in order]
        while True:
            if order == "shuffled":
                last = films[-1]
                self._random.shuffle(films)
                if films[0] == last and len(films) > 1:
                    # No two parts give the very same picture: a camera that does is frozen.
                    films[0], films[-1] = films[-1], films[0]
            yield from films

    def _insert(self, x_mm: float, film: int) -> None:
        """Puts a part, or as much of one as there is room for, between those on the belt."""
        parts = [(self.belt.x(item), item.length_mm) for item in self.belt.items.values()]
        behind = max((x for x, _ in parts if x <= x_mm), default=-1e9)
        before = min((x - length for x, length in parts if x > x_mm), default=1e9)
        length = min(self.machine.item_mm, before - behind)
        if length > 2.0:
            self.belt.place(min(max(x_mm, behind + length), before), film, length)
            self.fed += 1
            self.to_feed += 1

    def _lay(self) -> None:
        """Lays parts on the belt well before the infeed sensor."""
        mm = self.belt.mm()
        horizon = self.machine.infeed_mm + 60.0 + max(50.0, self.feed.pitch_mm)
        while self.fed < self.to_feed and mm - self._next_lead >= -horizon:
            jitter = self._random.uniform(-1, 1) * self.feed.jitter_mm
            self.belt.place(mm - self._next_lead + jitter, next(self._films))
            self.fed += 1
            touch, self._touch_next = self._touch_next, False
            self._next_lead += self.machine.item_mm if touch else self.feed.pitch_mm
            self.belt.retire()
        if self.fed >= self.to_feed:
            # An empty stretch of belt goes by; whatever is fed later lies behind it.
            self._next_lead = max(self._next_lead, mm + self.machine.infeed_mm + 60.0)

    def _scan(self, now_ns: int) -> None:
        self._lay()
        on = self._on
        encoder = self.belt.encoder()
        if self.turn is not None:
            item = self.belt.at_eye(self.feed.pitch_mm / 2)
            self.turn(now_ns, encoder, item.film if item else None)
        out = self.plc.scan(
            now_ns,
            Inputs(
                encoder, self.belt.speed(),
                on["jam"], not on["estop"], not on["air_low"],
                on["bin_full"] or self._bin >= self.machine.bin_size,
                not on["light_fault"], self.want_run,
            ),
        )  # fmt: skip
        if not on["flap_stuck"]:
            self.flap.drive(now_ns, out.gate_open)
        if out.motor != self._motor:
            self._motor = out.motor
            self._drive(now_ns)
        self.judge.hear(self.plc.accepted)

    def _drive(self, now_ns: int) -> None:
        if self._on["jam"]:
            self.belt.block()
        elif not self._motor:
            hard = 5 * self.machine.accel_mm_s2 if self._on["estop"] else None
            self.belt.run(0.0, hard)
        elif now_ns >= self._busy_until_ns:
            self.belt.run(self.speed_mm_s)

    def _sense(self, c: Crossing) -> None:
        match c.point:
            case Point.INFEED:
                if c.blocked:
                    self.plc.infeed(c.t_ns, c.encoder)
            case Point.EYE:
                if not self._on["eye_blind"]:
                    self._eye(c)
            case Point.GATE_EYE:
                self.plc.gate_eye(c.t_ns, c.encoder, c.blocked)
            case Point.GATE_IN:
                if c.forward:
                    self.flap.enter(c.t_ns, c.item)
                else:
                    self.flap.back_out(c.item)
            case Point.GATE_OUT:
                if c.forward and c.item.passed is None:
                    self.judge.hear(self.plc.accepted)
                    self.judge.exit(c.item, self.flap.leave(c.item))
                    self.left += 1
            case Point.CONFIRM:
                if c.forward and c.item.passed is False:
                    self._bin += not c.item.binned
                    c.item.binned = True
                    if not self._on["confirm_blind"]:
                        self.plc.confirmed(c.encoder)

    def _eye(self, c: Crossing) -> None:
        counted = self._edge(c.t_ns, c.encoder, c.blocked, c.item)
        if counted and self._bounce_mm:
            at_ns = c.t_ns + round(self._bounce_mm / max(1.0, self.belt.speed()) * 1e9)
            self._bounce_mm = 0.0
            self.after(at_ns, lambda t: self._edge(t, self.belt.encoder(), True, c.item))

    def _edge(self, t_ns: int, encoder: int, blocked: bool, item: Item) -> bool:
        """An edge of the trigger eye, at ``item``; whether the PLC counts a part by it."""
        number = self.plc.eye(t_ns, encoder, blocked)
        while number is not None and self._at_part and (self._at_part[0].at_part or 0) <= number:
            self.do(act := self._at_part.pop(0), t_ns)
            if act.do in FRAME_FAULTS:
                self._pictures.rotate()  # it is this part's, whatever waits for a picture
        sent_ns = t_ns
        if blocked if self._pulse_at_eye else number is not None:
            sent_ns = self._expose(t_ns, item)
        if number is not None:
            self.judge.trigger(number, item, t_ns if self._pulse_at_eye else sent_ns)
        return number is not None

    def _expose(self, t_ns: int, item: Item) -> int:
        if not self._pictures:
            return self._pulse(t_ns, item.film, Fault.NONE, 0, 0)
        act = self._pictures.popleft()
        return self._pulse(t_ns, item.film, FRAME_FAULTS[act.do], round(act.ms), act.cameras)

    def report(self) -> dict[str, Any]:
        """The judge's counts with the machine's."""
        return {
            **self.judge.report(),
            "fed": self.fed,
            "in_bin": self._bin,
            "outputs": self.plc.switched,
            "zone_losses": dict(self.plc.zone_losses),
            "speed_mm_s": round(self.belt.speed(), 1),
        }
