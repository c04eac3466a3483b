"""The zone between trigger eye and gate, as a shift register that the belt pushes. No I/O.

Enters: the PLC's block each time it was read. Leaves: an ``Update``: new parts with their trigger
times and deadlines, numbers that were lost, parts that must not pass, alarms. Imports registers
and config; the line imports it.

A part that was seen at the eye is trusted until something makes its place doubtful; then it and
all that stand in the zone are refused, and so is what triggers before the belt has moved on by the
slip allowance. What was there before the station looked was never seen, so it has no permit.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace

from inspector.config import Travel
from inspector.registers import TRIGGERS, U32, PlcStatus, Signal, Trigger

STANDSTILL_NS = 500_000_000
"""A belt that is reported running but whose encoder rests for so long has lost its encoder."""
RUNAWAY = 4.0
"""An encoder that counts faster than this many times the nominal speed is not believed."""
CLOCK_WINDOW_NS = 500_000_000
CLOCK_REST_NS = 10_000_000_000
"""Two quartzes of 50 ppm drift 1 ms apart meanwhile; what was read before tells too little."""
SPEED_NS = 10_000_000
"""The belt's speed is measured over at least this long: the PLC's clock counts in ms."""
_ESTOP_CLEAR, _JAM = int(Signal.ESTOP_CLEAR), int(Signal.JAM)
_LINE_RUNNING, _REVERSE = int(Signal.LINE_RUNNING), int(Signal.REVERSE)
_ENCODER_OK = int(Signal.ENCODER_OK)
KEPT_LOST = 100_000
"""Numbers that one update may report as lost; a longer gap is a counter gone mad, not parts."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A new part at the trigger eye."""

    number: int
    trigger_ns: int
    deadline_ns: int
    own_ns: int
    """The trigger by the PLC's clock."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something a person must know; ``kind`` is a stable name."""

    kind: str
    detail: str = ""


@dataclass(slots=True)
class Update:
    """What one reading of the PLC's block changed."""

    new_run: bool = False
    """The part counter began again, or this is the first reading: a new stream."""
    fell: int | None = None
    """It began again though its run did not change: so many parts have come since it did …"""
    stood: list[int] = field(default_factory=list)
    """… and these, numbers of the count before, stand in the zone."""
    seen: list[Seen] = field(default_factory=list)
    lost: range = range(0)
    """Numbers that went by without a trigger time: the ring had forgotten them."""
    refused: list[int] = field(default_factory=list)
    """Parts that must not pass; the reason is the newest alarm's."""
    alarms: list[Alarm] = field(default_factory=list)


@dataclass(slots=True)
class _Place:
    number: int
    at: int
    """Unwrapped belt position at the trigger eye, in counts (or ns when tracked by time)."""
    trigger_ns: int
    refused: bool = False


class ClockMap:
    """Maps a clock that counts up onto ours, from pairs of readings that may be late, never early.

    The smallest difference in the last second or so is the truest (the freshest reading), which
    takes out the jitter of the way here; two windows in turn let it follow drift.
    """

    def __init__(self, unit_ns: int = 1, modulus: int = 0) -> None:
        self._unit_ns = unit_ns
        self._modulus = modulus
        self.reset()

    def reset(self) -> None:
        """Forget all readings: the other clock began anew."""
        self._ticks: int | None = None
        self._best: int | None = None
        self._before: int | None = None
        self._until_ns = 0

    def read(self, ticks: int, at_ns: int) -> None:
        """The other clock showed ``ticks`` (perhaps a little before) our ``at_ns``."""
        ticks = self.unwrap(ticks)
        if self._ticks is None or ticks > self._ticks:
            self._ticks = ticks
        if at_ns >= self._until_ns:
            old = at_ns >= self._until_ns + CLOCK_REST_NS
            self._before, self._best = None if old else self._best, None
            self._until_ns = at_ns + CLOCK_WINDOW_NS
        difference = at_ns - ticks * self._unit_ns
        self._best = difference if self._best is None else min(self._best, difference)

    def unwrap(self, ticks: int) -> int:
        """``ticks`` beyond its modulus, taken as near to the newest reading."""
        if not self._modulus or self._ticks is None:
            return ticks
        half = self._modulus >> 1
        return self._ticks + ((ticks - self._ticks + half) % self._modulus - half)

    def own(self, ticks: int) -> int:
        """The other clock's ns; no jitter of the way here is in it."""
        return self.unwrap(ticks) * self._unit_ns

    def here(self, ticks: int) -> int:
        """Our monotonic ns when the other clock showed ``ticks``. Needs one reading at least."""
        known = [d for d in (self._best, self._before) if d is not None]
        return self.own(ticks) + min(known)


class Zone:
    """What stands between eye and gate. Not for several threads."""

    def __init__(self, travel: Travel) -> None:
        self._by_time = travel.tracking == "time"
        counts = (
            1e9 / travel.speed_mm_s if self._by_time else 1.0 / travel.mm_per_count
        )  # belt units per mm: ns at nominal speed, or encoder counts
        self._gate = round(travel.gate_mm * counts)
        self._slip = round(travel.slip_mm * counts)
        self._slack = round((travel.slip_mm + travel.pitch_min_mm / 2) * counts)
        # Jitter of one count, or 1 ms of the PLC's clock, at either trigger must not make a
        # legal pitch an illegal one.
        self._pitch = travel.pitch_min_mm * counts - (2e6 if self._by_time else 1.0)
        self._standing = travel.most_parts + 1
        """More parts do not stand between eye and gate."""
        self._lead_ns = round(travel.lead_ms * 1e6)
        self._speed = 1.0 if self._by_time else travel.speed_mm_s * counts / 1e9
        """Nominal belt units per ns."""
        self.clock = ClockMap(1_000_000, 1 << 32)
        self._run: int | None = None
        self._parts: OrderedDict[int, _Place] = OrderedDict()
        """By number, in the order of the belt."""
        self._counter = self._encoder = self._epoch = self._belt = 0
        self._front = self._back = 0
        """How far the belt has come, and how far it had run back when that was told."""
        self._clear_at = 0
        """Belt position up to which triggers are not trusted."""
        self._now_ns = self._moved_ns = self._ticks = self._last_at = 0
        self._measured = 0.0
        self._anchor = (0, 0)
        self._trouble = ""
        self.blind = False
        """A signal that would make the zone doubtful is not heard; an alarm says so already."""
        self._gate_lags, self._gate_part = False, 0
        """Whether the part that arrived last is one of the count before, and its number."""
        self.status: PlcStatus | None = None
        """The newest reading; its ``gate_part`` is 0 until one of this count has arrived."""

    @property
    def trusted(self) -> bool:
        """Whether a part that triggers now may pass."""
        return not self._trouble and self._belt >= self._clear_at

    @property
    def speed_mm_s(self) -> float:
        """The belt's speed as measured, relative to nominal where tracked by time."""
        return self._measured

    def __len__(self) -> int:
        return len(self._parts)

    def deadline_ns(self, number: int) -> int | None:
        """When ``number``'s decision must be acknowledged, as far as is known now; None: gone.

        Reckoned at nominal speed where the belt is slower or stands: it may start at any moment.
        """
        place = self._parts.get(number)
        return None if place is None else self._deadline(place)

    def update(self, status: PlcStatus, at_ns: int) -> Update:
        """Take a reading of the PLC's block that arrived at ``at_ns`` (monotonic)."""
        update = Update()
        anew = status.run != self._run
        fell = not anew and status.part_counter < self._counter  # it never runs over
        status = self._of_this_count(status, anew or fell)
        if anew:
            self._begin(status, at_ns, update)
        elif fell:
            self._fall(status, at_ns, update)
        else:
            self.clock.read(status.plc_ms, at_ns)
            self._advance(status, at_ns, update)
        self._watch(status, update)
        self._take_triggers(status, update)
        self._arrive(status, update)
        self.status = status
        return update

    def _of_this_count(self, status: PlcStatus, begins: bool) -> PlcStatus:
        """``status`` without the number that a PLC may keep at its gate from the count before."""
        beyond = status.gate_part > status.part_counter
        same = not begins and status.gate_part == self._gate_part
        self._gate_lags = (begins or self._gate_lags) and (beyond or same)
        self._gate_part = status.gate_part
        return replace(status, gate_part=0) if self._gate_lags else status

    def _begin(self, status: PlcStatus, at_ns: int, update: Update) -> None:
        update.new_run = True
        self._run = status.run
        self.clock.reset()
        self.clock.read(status.plc_ms, at_ns)
        self._parts.clear()
        self._counter = status.part_counter
        self._encoder, self._epoch = status.encoder, status.zone_epoch
        self._belt = self._front = self._back = at_ns if self._by_time else 0
        self._clear_at = self._belt
        self._now_ns = self._moved_ns = at_ns
        newest = next((t for t in status.triggers if t.part == status.part_counter), None)
        self._last_at = self._belt - self._gate if newest is None else self._at(newest)
        self._trouble = ""
        self._ticks, self._measured = status.plc_ms, 0.0
        self._anchor = (self._ticks * 1_000_000, self._belt)
        standing = status.part_counter - status.gate_part & U32
        if self._gate_lags or standing >= KEPT_LOST:  # nobody tells who has come to the gate
            standing = min(self._standing, status.part_counter)
        first = status.part_counter - standing + 1
        update.refused.extend(range(first, status.part_counter + 1))

    def _fall(self, status: PlcStatus, at_ns: int, update: Update) -> None:
        """The PLC counts anew in the run that it has. Of the parts since then the ring tells."""
        update.stood.extend(self._parts)
        known = self.status.triggers if self.status is not None else ()
        fresh = sum(t.part <= status.part_counter and t not in known for t in status.triggers)
        update.fell = status.part_counter if fresh == TRIGGERS else fresh
        self._begin(status, at_ns, update)

    def _advance(self, status: PlcStatus, at_ns: int, update: Update) -> None:
        # When the belt was where it is said to be: the answer may have waited for its reader.
        at_ns = self._now_ns = self.clock.here(status.plc_ms)
        if self._by_time:
            self._belt = self._front = self._back = at_ns
            self._measured = 1.0
            return
        moved = (status.encoder - self._encoder + (1 << 31) & U32) - (1 << 31)
        self._encoder = status.encoder
        self._belt += moved
        # By the PLC's clock: an answer that was held up on its way makes no belt run fast.
        ticks = self.clock.unwrap(status.plc_ms)
        elapsed = max(0, ticks - self._ticks) * 1_000_000
        self._ticks = ticks
        since_ns, since_belt = self._anchor
        if (span_ns := ticks * 1_000_000 - since_ns) >= SPEED_NS:
            self._measured = (self._belt - since_belt) / span_ns
            self._anchor = (ticks * 1_000_000, self._belt)
        if moved:
            self._moved_ns = at_ns
        if abs(moved) > RUNAWAY * self._speed * elapsed + self._slack:
            # All that was known in counts is void; who stands where, too.
            self._front = self._back = self._last_at = self._belt
            self._lose(update, Alarm("encoder", f"jumped by {moved} counts"))
        if self._belt > self._front:
            self._front = self._back = self._belt
        elif self._back - self._belt > self._slip:
            how_far = f"the belt ran {self._front - self._belt} counts back"
            self._lose(update, Alarm("reverse", how_far))
            self._back = self._belt

    def _watch(self, status: PlcStatus, update: Update) -> None:
        """Signals that make the zone doubtful for as long as they last."""
        signals = int(status.signals)  # plain numbers: enum arithmetic costs 20 µs a reading
        trouble = ""
        if self.blind:
            self._distrust(update)
        if status.zone_epoch != self._epoch:
            self._epoch = status.zone_epoch
            self._lose(update, Alarm("zone", "the PLC lost track of its zone"))
        if not signals & _ESTOP_CLEAR:
            trouble = "estop"
        elif signals & _JAM:
            trouble = "jam"
        elif self._by_time:
            if not signals & _LINE_RUNNING or signals & _REVERSE:
                trouble = "stopped"
        elif not signals & _ENCODER_OK:
            trouble = "encoder"
        elif signals & _LINE_RUNNING:
            if self._now_ns - self._moved_ns > STANDSTILL_NS:
                trouble = "standstill"
        else:
            self._moved_ns = self._now_ns
        if trouble and trouble != self._trouble:
            self._lose(update, Alarm(trouble, "the tracking zone is not known"))
        elif trouble:
            self._clear_at = max(self._belt, self._front) + self._slip
        self._trouble = trouble

    def _take_triggers(self, status: PlcStatus, update: Update) -> None:
        fresh = status.part_counter - self._counter & U32
        if fresh == 0:
            return
        if fresh > KEPT_LOST:
            self._lose(update, Alarm("counter", f"the part counter jumped by {fresh}"))
            self._counter = status.part_counter
            return
        first = self._counter + 1
        known = [t for t in status.triggers if 0 < (t.part - self._counter & U32) <= fresh]
        while known and known[0].part + len(known) != status.part_counter + 1:
            del known[0]  # a later one is not in the ring: each number is either told or lost
        if len(known) < fresh:
            update.lost = range(first, status.part_counter - len(known) + 1)
            how_many = f"{fresh - len(known)} parts went by unobserved"
            update.alarms.append(Alarm("triggers_lost", how_many))
            # How near the one after them is to them, nobody has seen.
            if known:
                self._clear_at = max(self._clear_at, self._at(known[0]) + 1)
            else:
                self._last_at = self._belt
        for trigger in known:
            self._place(trigger, update)
        self._counter = status.part_counter

    def _place(self, trigger: Trigger, update: Update) -> None:
        at, trigger_ns = self._at(trigger), self.clock.here(trigger.plc_ms)
        # No part stands ahead of the belt: this one was counted before the encoder jumped back.
        ahead = at > self._belt + self._slip
        at = self._belt if ahead else at
        place = _Place(trigger.part, at, trigger_ns)
        if ahead:
            self._refuse(place, update)
        elif at - self._last_at < self._pitch:
            which = f"parts {trigger.part - 1} and {trigger.part} are too close"
            update.alarms.append(Alarm("pitch", which))
            if (before := self._parts.get(trigger.part - 1)) is not None:
                self._refuse(before, update)
            self._refuse(place, update)
        elif self._trouble or at < self._clear_at:
            self._refuse(place, update)
        self._last_at = at
        self._parts[place.number] = place
        own_ns = self.clock.own(trigger.plc_ms)
        update.seen.append(Seen(trigger.part, trigger_ns, self._deadline(place), own_ns))

    def _at(self, trigger: Trigger) -> int:
        """Where the belt was then."""
        if self._by_time:
            return self.clock.here(trigger.plc_ms)
        return self._belt - ((self._encoder - trigger.encoder + (1 << 31) & U32) - (1 << 31))

    def _arrive(self, status: PlcStatus, update: Update) -> None:
        """Let go of parts that reached the gate; miss those that did not."""
        if (gone := status.gate_part) and 0 < (gone - status.part_counter & U32) < 1 << 31:
            update.alarms.append(Alarm("appeared", f"part {gone} is at the gate, never triggered"))
        while self._parts:
            place = next(iter(self._parts.values()))
            travelled = self._belt - place.at
            arrived = gone and (gone - place.number & U32) < 1 << 31
            if arrived:
                # The PLC latches its gate an actuator's lead before the part is there.
                lead = self._lead_ns * max(self._measured, self._speed)
                if gone == place.number and travelled < self._gate - self._slack - lead:
                    why = f"part {gone} reached the gate before it could"
                    update.alarms.append(Alarm("appeared", why))
            elif travelled > self._gate + self._slack:
                why = f"part {place.number} did not reach the gate"
                update.alarms.append(Alarm("vanished", why))
                self._refuse(place, update)
            else:
                return
            del self._parts[place.number]

    def _lose(self, update: Update, alarm: Alarm) -> None:
        update.alarms.append(alarm)
        self._distrust(update)

    def _distrust(self, update: Update) -> None:
        for place in self._parts.values():
            self._refuse(place, update)
        self._clear_at = max(self._belt, self._front) + self._slip

    def _refuse(self, place: _Place, update: Update) -> None:
        if not place.refused:
            place.refused = True
            update.refused.append(place.number)

    def _deadline(self, place: _Place) -> int:
        left = place.at + self._gate - self._belt
        return self._now_ns + round(left / max(self._measured, self._speed)) - self._lead_ns
