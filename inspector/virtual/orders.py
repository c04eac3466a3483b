"""What the PLC makes of the station's block: heartbeat, ready, and decisions in their sequence.

Registers come in as they are written; decisions come out once each, in order, and only those
that a careful PLC accepts (layout, run, check value, no gap). Only ``plc.py`` imports it.
"""

from __future__ import annotations

from collections import Counter

from inspector.registers import (
    DECISIONS,
    HEARTBEAT_TIMEOUT_MS,
    LAYOUT,
    OUTPUTS,
    STATION_REGISTERS,
    U32,
    Decision,
    StationBit,
    station_run,
)

HEADER_BYTES = 12
"""Layout, heartbeat, bits, mode and the run (two registers); then the ring of decisions."""
LONG_AGO = -(1 << 62)


class Orders:
    """The station's block, and how far its decisions have been taken."""

    def __init__(self) -> None:
        self.image = bytes(2 * STATION_REGISTERS)
        """The block as the station wrote it last."""
        self._heartbeat = -1
        self._beat_ns = LONG_AGO
        self._fits = False
        self._bits = StationBit(0)
        self._outputs = 0
        self.switched: Counter[int] = Counter()
        """How often each process output was switched on."""
        self.begin(0)

    def begin(self, run: int) -> None:
        """A new run of the part counter: sequences start again, old decisions are void."""
        self._run = run
        self._for_us = False
        self._slots = [bytes(12)] * DECISIONS
        self.acknowledged = 0
        self.check_failures = 0

    @property
    def stop(self) -> bool:
        """The station asks for a standstill."""
        return self._fits and StationBit.STOP in self._bits

    def outputs(self, now_ns: int) -> int:
        """The process outputs that are on, output 1 in bit 0; none while the heartbeat is stale."""
        fresh = now_ns - self._beat_ns <= HEARTBEAT_TIMEOUT_MS * 1_000_000
        return int(self._bits) >> 8 if self._fits and fresh else 0

    def ready(self, now_ns: int) -> bool:
        """Ready is set, layout and run fit and the heartbeat is fresh."""
        fresh = now_ns - self._beat_ns <= HEARTBEAT_TIMEOUT_MS * 1_000_000
        return self._fits and self._for_us and fresh and StationBit.READY in self._bits

    def write(self, offset: int, data: bytes) -> None:
        """Registers from ``offset`` (in bytes) of the block."""
        self.image = self.image[:offset] + data + self.image[offset + len(data) :]

    def take(self, now_ns: int) -> tuple[list[Decision], bool]:
        """New decisions in their order, and whether one is lost for ever (a gap)."""
        image = self.image
        layout, heartbeat, bits = (int.from_bytes(image[i : i + 2], "big") for i in (0, 2, 4))
        self._fits = layout == LAYOUT
        if not self._fits:
            return [], False
        self._bits = StationBit(bits & 0xFF0F)
        if heartbeat != self._heartbeat:
            # The first one after power-up may be a dead station's: only a change is a beat.
            self._beat_ns = now_ns if self._heartbeat >= 0 else LONG_AGO
            self._heartbeat = heartbeat
        outputs = self.outputs(now_ns)
        for bit in range(OUTPUTS):
            if outputs >> bit & 1 > self._outputs >> bit & 1:
                self.switched[bit + 1] += 1
        self._outputs = outputs
        self._for_us = station_run(image) in (0, self._run)
        if not self._for_us:
            return [], False
        return self._decisions(image)

    def _decisions(self, image: bytes) -> tuple[list[Decision], bool]:
        fresh: dict[int, Decision] = {}
        for slot in range(DECISIONS):
            raw = image[HEADER_BYTES + 12 * slot : HEADER_BYTES + 12 * (slot + 1)]
            if raw == self._slots[slot]:
                continue
            decision = Decision.unpack(raw)
            if decision is None:
                self._slots[slot] = raw
                self.check_failures += any(raw)
            elif 0 < (decision.sequence - self.acknowledged & U32) < 1 << 31:
                fresh[decision.sequence] = decision
        taken: list[Decision] = []
        while decision := fresh.pop(_after(self.acknowledged), None):
            self.acknowledged = decision.sequence
            self._slots[(decision.sequence - 1) % DECISIONS] = decision.pack()
            taken.append(decision)
        # A later one in the slot of the next means that the next will never come.
        slot = (_after(self.acknowledged) - 1) % DECISIONS
        return taken, any((sequence - 1) % DECISIONS == slot for sequence in fresh)


def _after(sequence: int) -> int:
    """The decision that follows; 0 is no decision, so the wrap leaves it out."""
    return sequence + 1 & U32 or 1
