"""A small, honest PLC program: eye, shift register, decisions of the station, gate, alarms.

Sensor edges (with the encoder count captured by the fast input), the input image of each scan and
the station's block come in; the motor and gate outputs and the PLC block go out. It knows
nothing of the truth: only what a PLC's inputs can tell. Only the virtual line imports it.

The program follows ``inspector/registers.py``. Positions are encoder counts modulo 2³², compared
by their signed difference, so a rollover is no event. Instants are int nanoseconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from inspector.registers import (
    LAYOUT,
    TRIGGERS,
    U32,
    Action,
    Decision,
    PlcStatus,
    Signal,
    Trigger,
)
from inspector.virtual.conveyor import NEVER
from inspector.virtual.machine import Machine, Program
from inspector.virtual.orders import Orders

MS = 1_000_000
STANDING = 5.0
"""mm/s below which the belt stands."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The input image of one scan."""

    encoder: int
    speed_mm_s: float
    """The drive's own feedback, negative backwards."""
    overload: bool = False
    """The drive's motor protection: something is jammed."""
    estop_clear: bool = True
    air_ok: bool = True
    bin_full: bool = False
    light_ok: bool = True
    start: bool = True
    """The operator wants the belt to run."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the program drives."""

    motor: bool
    gate_open: bool


@dataclass(slots=True)
class Tracked:
    """One part in the shift register."""

    number: int
    encoder: int
    t_ns: int
    plc_ms: int
    permit: bool = False
    refused: bool = False
    """Rejected or revoked; a permit that comes later does not count."""
    bad: bool = False
    """Double trigger or touching parts: never let through."""
    lost: bool = False
    """Its place is not known: never let through."""
    seen: bool = False
    """The gate's eye saw it where it should be."""
    latched: bool | None = None
    """Decided at the gate: True let through. None before its arrival."""


class Plc:
    """The program with its memory. Calls come in the order of time."""

    def __init__(self, machine: Machine, program: Program, run: int, encoder: int) -> None:
        self.machine = machine
        self.program = program
        self.accepted: deque[tuple[int, Decision]] = deque()
        """Decisions as they are accepted, with the instant; whoever watches empties it."""
        self.zone_losses: dict[str, int] = {}
        """How often each cause lost the zone."""
        self._epoch = 0
        self._orders = Orders()
        self._in = Inputs(encoder, 0.0)
        self._encoder = encoder
        self._furthest = encoder
        self._clock_ns = 0
        self._history: deque[tuple[int, int]] = deque(maxlen=8)
        self._driven = 0.0
        """The drive's own odometer, in mm: what the encoder is checked against."""
        self._checked: tuple[float, float] = 0.0, 0.0
        """Odometer when the comparison began anew, and by how much the encoder leads since."""
        self._encoder_bad_until_ns = -NEVER
        self._confirmation_fault = False
        self._reversed = False
        self._reverse_until_ns = -NEVER
        self._clear_from = encoder
        self._heartbeat = 0
        self.power_up(run)

    def power_up(self, run: int) -> None:
        """Memory is gone: a new run of the part counter, and nothing in the zone is known."""
        self._run = run
        self._parts = 0
        self._infeed = 0
        self._commanded = 0
        self._confirmed = 0
        self._orders.begin(run)
        self._gate_part, self._gate_passed = 0, False
        self._register: deque[Tracked] = deque()
        self._triggers: deque[Trigger] = deque(maxlen=TRIGGERS)
        self._due: deque[int] = deque()
        self._gate_shadow: int | None = None
        self._last: dict[str, tuple[int, float]] = {}
        self._lose("power-up")

    # -- fast inputs ------------------------------------------------------------------------

    def eye(self, now_ns: int, encoder: int, blocked: bool) -> int | None:
        """An edge of the trigger eye. Returns the number of a newly counted part."""
        if not blocked:
            newest = self._register[-1] if self._register else None
            if newest and self._mm(encoder, newest.encoder) > self.program.longest_mm:
                newest.bad = True
            return None
        before = self._last.get("eye")
        if not self._is_new("eye", encoder):
            return None
        self._parts = self._parts + 1 & U32
        part = Tracked(self._parts, encoder, now_ns, now_ns // MS & U32, lost=self._encoder_bad)
        if before and self._mm(encoder, before[0]) < self.program.pitch_min_mm:
            part.bad = True
            if self._register:
                self._register[-1].bad = True
        self._register.append(part)
        self._triggers.append(Trigger(part.number, encoder, part.plc_ms))
        self._encoder, self._clock_ns = encoder, now_ns
        return part.number

    def infeed(self, now_ns: int, encoder: int) -> None:
        """The infeed sensor's beam is newly blocked."""
        if self._is_new("infeed", encoder):
            self._infeed += 1

    def gate_eye(self, now_ns: int, encoder: int, blocked: bool) -> None:
        """An edge of the gate's eye: what comes must be what was tracked."""
        self._gate_shadow = encoder if blocked else None
        if not blocked or not self._is_new("gate", encoder):
            return
        place = self.machine.gate_mm - self.machine.gate_eye_mm
        near, off = None, self.program.tolerance_mm
        for part in self._register:
            ahead = self._mm(encoder, part.encoder) - place
            if ahead < -off:
                break  # the rest stands farther back
            if abs(ahead) <= off and not part.lost and part.latched is None:
                near, off = part, abs(ahead)
        if near:
            near.seen = True
            # From here on the gate's eye is the better witness of its place.
            near.encoder = encoder - round(place / self.machine.mm_per_count) & U32
        elif not self._blind():
            self._lose("stranger")

    def confirmed(self, encoder: int) -> None:
        """The sensor in the reject lane saw a part."""
        self._confirmed += self._is_new("confirmation", encoder)
        near = min(self._due, key=lambda due: abs(self._mm(encoder, due)), default=None)
        if near is not None and abs(self._mm(encoder, near)) <= 2 * self.program.tolerance_mm:
            self._due.remove(near)

    def reset(self) -> None:
        """The operator acknowledges a failed confirmation."""
        self._confirmation_fault = False

    # -- communication ----------------------------------------------------------------------

    def station(self, now_ns: int, offset: int, data: bytes) -> None:
        """Registers that the station wrote, from ``offset`` (in bytes) of its block."""
        self._orders.write(offset, data)
        if self.program.acknowledge == "event":
            self._obey(now_ns)

    def status(self) -> bytes:
        """The PLC block as it stands: the outputs of the last scan and the newest triggers."""
        return PlcStatus(
            LAYOUT, self._heartbeat, self._signals(), self._epoch, self._parts, self._encoder,
            self._infeed, self._commanded, self._confirmed, self._orders.acknowledged,
            self._orders.check_failures, self._gate_part, int(self._gate_passed),
            self._clock_ns // MS & U32, self._run, tuple(self._triggers),
        ).pack()  # fmt: skip

    @property
    def switched(self) -> dict[int, int]:
        """How often the station has switched each process output on."""
        return dict(self._orders.switched)

    def listening(self, now_ns: int) -> bool:
        """The station is ready and alive: permits count."""
        return self._orders.ready(now_ns)

    # -- the cycle --------------------------------------------------------------------------

    def scan(self, now_ns: int, inputs: Inputs) -> Outputs:
        """One cycle of the program."""
        self._heartbeat = self._heartbeat + 1 & 0xFFFF
        if self.program.acknowledge == "scan":
            self._obey(now_ns)
        before, self._in = self._in, inputs
        self._watch_encoder(now_ns, before, inputs)
        if abs(inputs.speed_mm_s) > STANDING >= abs(before.speed_mm_s):
            self._confirmation_fault = False  # whoever started the belt again has looked
        if before.estop_clear and not inputs.estop_clear:
            self._lose("e-stop")
        if inputs.overload and not before.overload:
            self._lose("jam")
        self._clock_ns = now_ns
        gate_open = self._steer(now_ns)
        self._watch_rejects()
        stop = self._orders.stop
        motor = inputs.start and inputs.estop_clear and not inputs.overload and not stop
        safe = inputs.estop_clear and inputs.air_ok and not self._encoder_bad
        return Outputs(motor, gate_open and safe)

    # -- inside -----------------------------------------------------------------------------

    def _mm(self, a: int, b: int) -> float:
        """Belt from count ``b`` to count ``a``, negative when ``a`` lies before ``b``."""
        counts = a - b & U32
        return (counts - (counts >> 31 << 32)) * self.machine.mm_per_count

    def _is_new(self, sensor: str, encoder: int) -> bool:
        """Debounce by belt: an edge behind the furthest point, or too near the last, is old."""
        last = self._last.get(sensor)
        near = self.program.debounce_mm
        # A dead encoder cannot debounce; the drive's odometer keeps the counter true.
        stuck = last is not None and encoder == last[0] and self._driven - last[1] >= near
        if not stuck:
            if self._mm(encoder, self._furthest) < -2 * self.machine.mm_per_count:
                return False
            if last is not None and self._mm(encoder, last[0]) < near:
                return False
        self._last[sensor] = encoder, self._driven
        return True

    @property
    def _encoder_bad(self) -> bool:
        return self._encoder_bad_until_ns > self._clock_ns

    def _watch_encoder(self, now_ns: int, before: Inputs, inputs: Inputs) -> None:
        seconds = (now_ns - self._history[-1][0]) / 1e9 if self._history else 0.0
        driven = (before.speed_mm_s + inputs.speed_mm_s) / 2 * seconds
        moved = self._mm(inputs.encoder, before.encoder) if seconds else 0.0
        self._driven += driven
        self._encoder = inputs.encoder
        self._history.append((now_ns, inputs.encoder))
        start, lead = self._checked
        lead += moved - driven
        way = abs(self._driven - start)
        if abs(lead) > self.program.slack_mm + self.program.slip_fraction * way:
            jumped = abs(moved - driven) > 2 * self.program.slack_mm
            cause = "encoder jump" if jumped else "slip" if moved else "encoder dead"
            self._encoder_fault(now_ns, cause)
        elif way > 200.0:
            self._checked = self._driven, 0.0
        else:
            self._checked = start, lead
        if inputs.speed_mm_s < -STANDING:
            self._reverse_until_ns = now_ns + 100 * MS  # long enough for a slow poll to see it
        behind = self._mm(self._furthest, inputs.encoder)
        if behind < 0:
            self._furthest = inputs.encoder
            self._reversed = False
        elif behind > self.program.reverse_limit_mm and not self._reversed:
            self._reversed = True
            self._lose("reverse")
        if self._encoder_bad or self._reversed:
            self._clear_from = inputs.encoder

    def _encoder_fault(self, now_ns: int, cause: str) -> None:
        if not self._encoder_bad:
            self._lose(cause)
        self._encoder_bad_until_ns = now_ns + 200 * MS
        self._checked = self._driven, 0.0
        self._history.clear()
        self._history.append((now_ns, self._encoder))
        self._furthest = self._encoder
        self._last.clear()

    def _lose(self, cause: str) -> None:
        """Nothing between eye and gate is known any more, until the belt has carried it out."""
        self._epoch = self._epoch + 1 & 0xFFFF
        self.zone_losses[cause] = self.zone_losses.get(cause, 0) + 1
        for part in self._register:
            part.lost = part.lost or part.latched is None
        self._clear_from = self._encoder
        self._due.clear()

    def _blind(self) -> bool:
        """The zone still holds parts from before it was lost."""
        way = self.machine.gate_mm + self.program.tolerance_mm
        return self._mm(self._encoder, self._clear_from) < way

    def _speed(self) -> float:
        """The highest speed in mm/s that the belt may have within the next cycles."""
        mean = 0.0
        if len(self._history) > 1:
            (t0, e0), (t1, e1) = self._history[0], self._history[-1]
            mean = max(0.0, self._mm(e1, e0) / max(1e-3, (t1 - t0) / 1e9))
        # The mean lags by half of its eight cycles, and the belt may go on ramping up.
        return mean + self.machine.accel_mm_s2 * 8 * self.program.scan_ms / 1e3

    def _steer(self, now_ns: int) -> bool:
        """Latches what each part's gate will be and says whether it is open now."""
        m, half = self.machine, self.machine.window_mm / 2 + self.program.slack_mm
        lead_s = (m.switch_ms + 1.5 * self.program.scan_ms) / 1e3
        opens_at = m.gate_mm - half - self._speed() * lead_s
        eye_end = m.gate_mm - m.gate_eye_mm + self.program.tolerance_mm
        for part in self._register:
            if self._mm(self._encoder, part.encoder) <= eye_end:
                break  # the rest stands farther back
            if not (part.seen or part.lost or part.bad):
                self._lose("vanished")
        shadow = self._gate_shadow
        if shadow is not None and self._mm(self._encoder, shadow) > self.program.longest_mm:
            self._gate_shadow = None
            touching = any(p.bad and p.seen and p.latched is None for p in self._register)
            if not (touching or self._blind()):
                self._lose("too long")
        flush = not self._blind()
        inside: list[bool] = []
        gone = 0
        for part in self._register:
            x = self._mm(self._encoder, part.encoder)
            left_over = part.lost and flush
            if x < opens_at and not left_over:
                break
            if part.latched is None:
                self._arrive(now_ns, part)
            if x < m.gate_mm + half and not left_over:
                inside.append(bool(part.latched))
            elif not inside:
                gone += 1
        for _ in range(gone):
            self._register.popleft()
        return bool(inside) and all(inside)

    def _arrive(self, now_ns: int, part: Tracked) -> None:
        known = part.seen and not part.lost and not part.bad and not self._encoder_bad
        part.latched = bool(part.permit and known and self.listening(now_ns))
        self._gate_part, self._gate_passed = part.number, part.latched
        if part.latched:
            return
        self._commanded += 1
        if known:
            way = (self.machine.gate_mm + self.machine.confirm_mm) / self.machine.mm_per_count
            self._due.append(part.encoder + round(way) & U32)

    def _watch_rejects(self) -> None:
        tolerance = 2 * self.program.tolerance_mm
        while self._due and self._mm(self._encoder, self._due[0]) > tolerance:
            self._due.popleft()
            self._confirmation_fault = True

    def _obey(self, now_ns: int) -> None:
        decisions, gap = self._orders.take(now_ns)
        for decision in decisions:
            self.accepted.append((now_ns, decision))
            for part in reversed(self._register):
                if part.number == decision.part:
                    part.refused |= decision.action is not Action.PERMIT
                    part.permit = not part.refused
                    break
        if gap:
            # What was lost may have been a revoke: without it no permit can be trusted.
            for part in self._register:
                part.permit = False

    def _signals(self) -> Signal:
        i, s = self._in, Signal
        return (
            (s.LINE_RUNNING if abs(i.speed_mm_s) > STANDING else s(0))
            | (s.ESTOP_CLEAR if i.estop_clear else s(0))
            | (s.AIR_OK if i.air_ok else s(0))
            | (s.BIN_FULL if i.bin_full else s(0))
            | (s.LIGHT_OK if i.light_ok else s(0))
            | (s.ENCODER_OK if not self._encoder_bad else s(0))
            | (s.JAM if i.overload else s(0))
            | (s.REVERSE if self._reverse_until_ns > self._clock_ns else s(0))
            | (s.CONFIRMATION_FAULT if self._confirmation_fault else s(0))
        )
