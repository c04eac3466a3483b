"""The belt, what lies on it and its sensors: pure physics with an injected clock.

A speed command and items go in; crossings of sensors and encoder counts come out, each
with its exact instant, so a run in simulated time and a run in real time are the same run.
Only the virtual line and its tests import it.

Coordinates: x in mm along the belt, 0 at the trigger eye, positive towards the gate. The belt's
own coordinate ``mm`` grows with forward movement; an item whose leading edge has the belt
coordinate ``lead_mm`` is at ``x = mm - lead_mm``. Instants are int nanoseconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import takewhile

from inspector.virtual.machine import Machine

U32 = 0xFFFF_FFFF
NEVER = 1 << 62
"""An instant that does not come, in ns."""

BEAM_MM = 1.0
"""A light barrier does not resolve a gap narrower than its beam."""


class Point(IntEnum):
    """Where an item's edge is noticed."""

    INFEED = 0
    EYE = 1
    GATE_EYE = 2
    GATE_IN = 3
    """The leading edge enters the flap's window."""
    GATE_OUT = 4
    """The leading edge leaves the flap's window: the item has gone one way or the other."""
    CONFIRM = 5


BEAMS = (Point.INFEED, Point.EYE, Point.GATE_EYE)


@dataclass(eq=False, slots=True)
class Item:
    """One physical thing on the belt. Its number is the world's own and no PLC ever learns it."""

    id: int
    film: int
    """Index into the film and its truth."""
    lead_mm: float
    """Belt coordinate of its leading edge."""
    length_mm: float
    steered: bool | None = None
    """In the flap's window: True open all the while, False closed all the while, None moving."""
    entered: bool = False
    passed: bool | None = None
    """Set when it leaves the window; None while it is on the belt."""
    clashed: bool = False
    """The flap moved while the item was in its window."""
    binned: bool = False
    """It has come by the sensor in the reject lane, wherever the belt takes it then."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """One edge of one item at one point; beams carry whether they are blocked afterwards."""

    t_ns: int
    point: Point
    item: Item
    forward: bool
    blocked: bool
    changed: bool
    """Whether the beam's state changed; always True for points that are no beams."""
    encoder: int


@dataclass(slots=True)
class _Segment:
    """Constant acceleration; the speed does not change its sign inside."""

    start_ns: int
    end_ns: int
    mm: float
    speed: float
    accel: float

    def mm_at(self, t_ns: int) -> float:
        dt = (t_ns - self.start_ns) * 1e-9
        return self.mm + self.speed * dt + 0.5 * self.accel * dt * dt

    def speed_at(self, t_ns: int) -> float:
        return self.speed + self.accel * (t_ns - self.start_ns) * 1e-9

    def reaches(self, mm: float) -> int:
        """When the belt stands at ``mm``, or ``NEVER`` in this segment."""
        way = mm - self.mm
        sign = math.copysign(1.0, self.speed or self.accel)
        if way * sign <= 0:
            return self.start_ns  # crossings fall on whole ns, so a neighbour may be just behind
        square = self.speed * self.speed + 2 * self.accel * way
        if square < 0:
            return NEVER
        t_ns = self.start_ns + math.ceil(2 * way / (self.speed + sign * math.sqrt(square)) * 1e9)
        return t_ns if t_ns <= self.end_ns else NEVER


class Conveyor:
    """The belt with everything on it. ``advance`` moves it and yields what its sensors saw.

    The order of calls is the order of time: no instant may be earlier than one given before.
    """

    def __init__(self, machine: Machine, start_ns: int = 0) -> None:
        self.machine = machine
        self.items: dict[int, Item] = {}
        self._edges: list[tuple[float, int, int, Point]] = []
        """Belt coordinates at which something happens, sorted: (mm, 0 leading or 1 trailing,
        item, point). Everything before ``_at`` has been crossed."""
        self._at = 0
        self._next_crossing_ns: int | None = None
        """Reckoned when it is asked for; None when edges or movement have changed since."""
        self._blocking = dict.fromkeys(BEAMS, 0)
        self._segment = _Segment(start_ns, NEVER, 0.0, 0.0, 0.0)
        self._plan: deque[tuple[float, float, float]] = deque()
        """Segments to come: (seconds, speed at start, acceleration)."""
        self._now_ns = start_ns
        self._next_id = 1
        self._encoder_mm = 0.0
        self._encoder_from = 0.0
        self._encoder_scale = 1.0
        self._encoder_lost = False

    # -- drive ------------------------------------------------------------------------------

    def run(self, speed_mm_s: float, accel_mm_s2: float | None = None) -> None:
        """Ramps from the present speed to ``speed_mm_s`` and stays there."""
        speed = self.speed()
        self._start([*_ramp(speed, speed_mm_s, accel_mm_s2 or self.machine.accel_mm_s2)])

    def move(self, by_mm: float, speed_mm_s: float) -> int:
        """Stops, then moves by ``by_mm`` (negative: back) and stands. Returns when it will."""
        accel = self.machine.accel_mm_s2
        way, top = abs(by_mm), min(abs(speed_mm_s), math.sqrt(abs(by_mm) * accel))
        ramp_s = top / accel
        v = math.copysign(top, by_mm)
        a = math.copysign(accel, by_mm)
        cruise_s = max(0.0, way / top - ramp_s) if top else 0.0
        plan = [*_ramp(self.speed(), 0.0, accel), (ramp_s, 0.0, a)]
        plan += [(cruise_s, v, 0.0), (ramp_s, v, -a)]
        self._start(plan)
        return self._now_ns + math.ceil(sum(step[0] for step in plan) * 1e9)

    def block(self) -> None:
        """A jam: the belt stands at once."""
        self._start([])

    def mm(self) -> float:
        """The belt's own coordinate now."""
        return self._segment.mm_at(self._now_ns)

    def speed(self) -> float:
        """mm/s now."""
        return self._segment.speed_at(self._now_ns)

    # -- encoder ----------------------------------------------------------------------------

    def encoder(self, mm: float | None = None) -> int:
        """The encoder's count (modulo 2³²) now, or when the belt stands at ``mm``."""
        where = self.mm() if mm is None else mm
        turned = self._encoder_mm
        if not self._encoder_lost:
            turned += (where - self._encoder_from) * self._encoder_scale
        # The epsilon keeps a count that is reached exactly from flickering by float rounding.
        count = math.floor(turned / self.machine.mm_per_count + 1e-6)
        return (count + self.machine.encoder_start) & U32

    def encoder_fault(self, *, lost: bool = False, slip: float = 0.0, jump_counts: int = 0) -> None:
        """From now on the encoder is dead, or turns ``slip`` (fraction) more than the belt."""
        here = self.mm()
        if not self._encoder_lost:
            self._encoder_mm += (here - self._encoder_from) * self._encoder_scale
        self._encoder_mm += jump_counts * self.machine.mm_per_count
        self._encoder_from, self._encoder_scale, self._encoder_lost = here, 1.0 + slip, lost

    # -- items ------------------------------------------------------------------------------

    def place(self, x_mm: float, film: int, length_mm: float | None = None) -> Item:
        """Puts an item with its leading edge at ``x_mm``; no sensor notices the hand."""
        length = self.machine.item_mm if length_mm is None else length_mm
        item = Item(self._next_id, film, self.mm() - x_mm, length)
        self._next_id += 1
        self.items[item.id] = item
        here = self.mm()
        self._next_crossing_ns = None
        for edge in self._edges_of(item):
            insort(self._edges, edge)
            if edge[0] <= here:
                self._at += 1
                self._pass(edge, forward=True)
        return item

    def remove(self, item: Item) -> None:
        """Takes an item off the belt by hand."""
        self._next_crossing_ns = None
        for edge in self._edges_of(item):
            index = bisect_right(self._edges, edge) - 1
            del self._edges[index]
            if index < self._at:
                self._at -= 1
                self._pass(edge, forward=False)
        del self.items[item.id]

    def nearest(self, x_mm: float, within_mm: float = math.inf) -> Item | None:
        """The item whose leading edge is nearest to ``x_mm``, if it is within ``within_mm``."""
        at = self.mm() - x_mm
        item = min(self.items.values(), key=lambda i: abs(at - i.lead_mm), default=None)
        return item if item and abs(at - item.lead_mm) < within_mm else None

    def at_eye(self, within_mm: float) -> Item | None:
        """The item whose leading edge is nearest to the trigger eye, if it is within
        ``within_mm``: what `nearest` says, found without a look at the whole belt."""
        here, found, off = self.mm(), None, within_mm
        for indices in (range(self._at, len(self._edges)), range(self._at - 1, -1, -1)):
            for index in indices:
                mm, trailing, item, point = self._edges[index]
                if abs(mm - here) >= off:
                    break
                if point is Point.EYE and not trailing:
                    found, off = self.items[item], abs(mm - here)
        return found

    def x(self, item: Item) -> float:
        """Where the item's leading edge is, in mm from the trigger eye."""
        return self.mm() - item.lead_mm

    def blocked(self, point: Point) -> bool:
        return self._blocking[point] > 0

    # -- time -------------------------------------------------------------------------------

    def next_ns(self) -> int:
        """When something happens on the belt next, as it moves now."""
        return min(self._segment.end_ns, self._crossing_ns())

    def advance(self, to_ns: int) -> Iterator[Crossing]:
        """Moves the belt to ``to_ns`` and yields each crossing in the order of time.

        Between two crossings the caller may act on the belt: time then stands at the crossing.
        """
        while True:
            crossing_ns = self._crossing_ns()
            if crossing_ns <= min(to_ns, self._segment.end_ns):
                self._now_ns = max(self._now_ns, crossing_ns)
                if crossing := self._cross():
                    yield crossing
            elif self._segment.end_ns <= to_ns:
                self._now_ns = self._segment.end_ns
                self._advance_plan()
            else:
                self._now_ns = max(self._now_ns, to_ns)
                return

    def retire(self) -> None:
        """Forgets items that have left both lanes."""
        limit = self.machine.gate_mm + self.machine.confirm_mm + 2 * self.machine.item_mm
        for item in list(takewhile(lambda i: i.passed is not None, self.items.values())):
            if self.x(item) > limit:
                self.remove(item)

    # -- inside -----------------------------------------------------------------------------

    def _start(self, plan: list[tuple[float, float, float]]) -> None:
        here = self.mm()
        self._plan = deque(plan)
        self._segment = _Segment(self._now_ns, self._now_ns, here, 0.0, 0.0)
        self._advance_plan()

    def _advance_plan(self) -> None:
        here, now = self._segment.mm_at(self._segment.end_ns), self._segment.end_ns
        self._next_crossing_ns = None
        while self._plan:
            seconds, speed, accel = self._plan.popleft()
            if seconds > 0:
                end = NEVER if math.isinf(seconds) else now + max(1, round(seconds * 1e9))
                self._segment = _Segment(now, end, here, speed, accel)
                return
        self._segment = _Segment(now, NEVER, here, 0.0, 0.0)

    def _direction(self) -> float:
        """The sign of the movement in this segment; 0 at standstill."""
        segment = self._segment
        return segment.speed or segment.accel

    def _crossing_ns(self) -> int:
        if self._next_crossing_ns is None:
            self._next_crossing_ns = self._find_crossing_ns()
        return self._next_crossing_ns

    def _find_crossing_ns(self) -> int:
        direction = self._direction()
        if direction > 0 and self._at < len(self._edges):
            return self._segment.reaches(self._edges[self._at][0])
        if direction < 0 and self._at > 0:
            return self._segment.reaches(self._edges[self._at - 1][0])
        return NEVER

    def _cross(self) -> Crossing | None:
        forward = self._direction() > 0
        edge = self._edges[self._at if forward else self._at - 1]
        self._at += 1 if forward else -1
        self._next_crossing_ns = None
        changed = self._pass(edge, forward)
        mm, trailing, item_id, point = edge
        item = self.items[item_id]
        if point in BEAMS:
            if not changed:
                return None
        elif trailing:
            return None
        return Crossing(
            self._now_ns, point, item, forward, self._blocking.get(point, 0) > 0, changed,
            self.encoder(mm),
        )  # fmt: skip

    def _pass(self, edge: tuple[float, int, int, Point], forward: bool) -> bool:
        """Keeps count of what blocks a beam; True when the beam's state changed."""
        _, trailing, _, point = edge
        if point not in self._blocking:
            return True
        before = self._blocking[point] > 0
        self._blocking[point] += 1 if forward != bool(trailing) else -1
        return before != (self._blocking[point] > 0)

    def _edges_of(self, item: Item) -> list[tuple[float, int, int, Point]]:
        edges = [(item.lead_mm + self._x(point), 0, item.id, point) for point in Point]
        body = item.length_mm + BEAM_MM
        edges += [(item.lead_mm + self._x(point) + body, 1, item.id, point) for point in BEAMS]
        return edges

    def _x(self, point: Point) -> float:
        m = self.machine
        match point:
            case Point.INFEED:
                return -m.infeed_mm
            case Point.EYE:
                return 0.0
            case Point.GATE_EYE:
                return m.gate_mm - m.gate_eye_mm
            case Point.GATE_IN:
                return m.gate_mm - m.window_mm / 2
            case Point.GATE_OUT:
                return m.gate_mm + m.window_mm / 2
            case Point.CONFIRM:
                return m.gate_mm + m.confirm_mm


def _ramp(speed: float, to: float, accel: float) -> Iterator[tuple[float, float, float]]:
    """Segments from one speed to another, split where the belt turns, then for ever."""
    if speed * to < 0:
        yield abs(speed) / accel, speed, math.copysign(accel, -speed)
        speed = 0.0
    if speed != to:
        yield abs(to - speed) / accel, speed, math.copysign(accel, to - speed)
    if to:
        yield math.inf, to, 0.0
