"""The Modbus register map between the station (master) and the gate's PLC (slave).

Nothing of ours is imported here. One FC23 transaction writes the whole station block (header and
a ring of 16 decisions) and reads the whole PLC block, so every exchange is atomic, and a lost one
is repaired by the next. 32-bit values are two registers, high word first. ``docs/modbus.md`` is
the same map for the PLC's programmer.

The gate's resting state is *reject*: the PLC lets a part through only if it holds a permit for
exactly that part's number, whose check value fits, while *ready* is set and the station's
heartbeat is younger than ``HEARTBEAT_TIMEOUT_MS``.
"""

from __future__ import annotations

import struct
from binascii import crc_hqx
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

LAYOUT = 1
"""The version of this map; both sides write theirs and refuse another."""

PLC_BLOCK = 0
"""First register that the PLC writes and the station reads."""
STATION_BLOCK = 200
"""First register that the station writes and the PLC reads."""
HEARTBEAT_TIMEOUT_MS = 250
"""A station heartbeat older than this counts as *not ready*."""
DECISIONS = 16
TRIGGERS = 12

U32 = 0xFFFF_FFFF


class Signal(IntFlag):
    """What the PLC reports, one bit each. Read only: the station is no safety function."""

    LINE_RUNNING = 1 << 0
    ESTOP_CLEAR = 1 << 1
    AIR_OK = 1 << 2
    BIN_FULL = 1 << 3
    LIGHT_OK = 1 << 4
    ENCODER_OK = 1 << 5
    JAM = 1 << 6
    REVERSE = 1 << 7
    CONFIRMATION_FAULT = 1 << 8
    """A commanded reject was not seen by the sensor behind the gate."""


class StationBit(IntFlag):
    """What the station reports, one bit each."""

    READY = 1 << 0
    """Judging. Dropped whenever the station is not."""
    BYPASS = 1 << 1
    """Beacon: parts go by uninspected, by a signed decision."""
    STOP = 1 << 2
    """Asks the PLC to stop the conveyor."""
    ALARM = 1 << 3
    OUTPUT_1 = 1 << 8
    """Process outputs: what the PLC does with each is agreed in the plant …"""
    OUTPUT_2 = 1 << 9
    OUTPUT_3 = 1 << 10
    OUTPUT_4 = 1 << 11
    OUTPUT_5 = 1 << 12
    OUTPUT_6 = 1 << 13
    OUTPUT_7 = 1 << 14
    OUTPUT_8 = 1 << 15
    """… and void while the heartbeat is stale."""


OUTPUTS = 8


def output_bit(number: int) -> StationBit:
    """The bit of process output ``number``, from 1."""
    return StationBit(1 << 7 + number)


class Action(IntEnum):
    """One decision about one part."""

    NONE = 0
    PERMIT = 1
    REJECT = 2
    REVOKE = 3


class GateReason(IntEnum):
    """Why, as one byte beside the action."""

    NONE = 0
    DEFECT = 1
    ERROR = 2
    LATE = 3
    TRACKING = 4
    """The tracking zone is not known."""
    COMMAND = 5
    """A person or the MES asked for it."""
    BYPASS = 6
    STORE = 7
    """The verdict could not be made durable in time."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One entry of the station's ring: 6 registers, the last a CRC-16/XMODEM of the first five."""

    sequence: int
    """Counts decisions from 1; the slot is ``(sequence - 1) % DECISIONS``."""
    part: int
    action: Action
    reason: GateReason = GateReason.NONE

    def pack(self) -> bytes:
        body = _DECISION.pack(self.sequence & U32, self.part & U32, self.action << 8 | self.reason)
        return body + crc_hqx(body, 0xFFFF).to_bytes(2, "big")

    @classmethod
    def unpack(cls, raw: bytes) -> Decision | None:
        """The decision in 12 bytes, or None where the slot is empty or its check value is wrong."""
        body, check = raw[:10], int.from_bytes(raw[10:12], "big")
        sequence, part, word = _DECISION.unpack(body)
        if sequence == 0 or crc_hqx(body, 0xFFFF) != check:
            return None
        try:
            return cls(sequence, part, Action(word >> 8), GateReason(word & 0xFF))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Trigger:
    """One part seen by the trigger eye: 6 registers of the PLC's ring."""

    part: int
    """The part number: the PLC counts from 1 in each run."""
    encoder: int
    """Encoder count at the trigger, modulo 2³²."""
    plc_ms: int
    """The PLC's clock at the trigger, modulo 2³²."""


@dataclass(frozen=True, slots=True)
class PlcStatus:
    """The PLC block: what the station reads."""

    layout: int
    heartbeat: int
    signals: Signal
    zone_epoch: int
    """Raised whenever the PLC itself lost track of what stands between eye and gate."""
    part_counter: int
    """Number of the newest part at the trigger eye."""
    encoder: int
    infeed: int
    """Parts counted by an independent sensor before the eye."""
    rejects_commanded: int
    rejects_confirmed: int
    acknowledged: int
    """The highest decision sequence up to which every decision was accepted."""
    check_failures: int
    """Decisions refused because their check value was wrong."""
    gate_part: int
    """Number of the last part that arrived at the gate."""
    gate_passed: int
    """1 if that part went to the good side, 0 if it was rejected."""
    plc_ms: int
    run: int
    """Random at each start of the PLC's part counter; a new run is a new stream."""
    triggers: tuple[Trigger, ...]
    """The newest ``TRIGGERS`` parts, oldest first."""

    def pack(self) -> bytes:
        """The block as big-endian registers; at most ``TRIGGERS`` triggers."""
        head = _STATUS.pack(
            self.layout,
            self.heartbeat & 0xFFFF,
            self.signals,
            self.zone_epoch & 0xFFFF,
            *(
                value & U32
                for value in (
                    self.part_counter,
                    self.encoder,
                    self.infeed,
                    self.rejects_commanded,
                    self.rejects_confirmed,
                    self.acknowledged,
                )
            ),
            self.check_failures & 0xFFFF,
            self.gate_passed,
            *(value & U32 for value in (self.gate_part, self.plc_ms, self.run)),
        )
        ring = bytearray(TRIGGERS * _TRIGGER.size)
        for trigger in self.triggers:
            slot = (trigger.part - 1) % TRIGGERS
            fields = (trigger.part & U32, trigger.encoder & U32, trigger.plc_ms & U32)
            _TRIGGER.pack_into(ring, slot * _TRIGGER.size, *fields)
        return head.ljust(PLC_HEAD_BYTES, b"\0") + bytes(ring)

    @classmethod
    def unpack(cls, raw: bytes, before: PlcStatus | None = None) -> PlcStatus:
        """The block from its ``PLC_REGISTERS`` registers (big-endian bytes). ``before`` is the
        block read last: while no part has come since, its triggers are not read again."""
        (layout, heartbeat, signals, epoch, parts, encoder, infeed, commanded, confirmed, acked,
         failures, passed, gate_part, plc_ms, run) = _STATUS.unpack_from(raw)  # fmt: skip
        if before is not None and before.run == run and before.part_counter == parts:
            triggers = before.triggers
        else:
            ring = [Trigger(*entry) for entry in _TRIGGER.iter_unpack(raw[PLC_HEAD_BYTES:])]
            known = [t for t in ring if t.part]
            triggers = tuple(sorted(known, key=lambda t: (t.part - parts - 1) & U32))
        # Signals change rarely, and making the flags costs as much as the rest.
        unchanged = before is not None and before.signals == signals
        flags = before.signals if before is not None and unchanged else Signal(signals)
        return cls(
            layout, heartbeat, flags, epoch, parts, encoder, infeed, commanded,
            confirmed, acked, failures, gate_part, passed, plc_ms, run, triggers,
        )  # fmt: skip


def pack_station(
    heartbeat: int, bits: StationBit, mode: int, ring: Sequence[bytes], run: int = 0
) -> bytes:
    """The station block: header of 6 registers, then ``DECISIONS`` packed decisions.

    ``heartbeat`` counts only while the station judges; ``mode`` is the index of ``part.Mode``;
    ``ring`` holds ``Decision.pack()`` or 12 zero bytes by slot; ``run`` is the PLC run that the
    decisions are meant for (see ``station_run``).
    """
    run_words = (run >> 16 & 0xFFFF, run & 0xFFFF)
    return _STATION.pack(LAYOUT, heartbeat & 0xFFFF, bits, mode, *run_words) + b"".join(ring)


def station_run(raw: bytes) -> int:
    """The PLC run that the station block's decisions are meant for; 0 is "not said".

    A PLC whose part counter has restarted refuses decisions for another run: without this, a
    permit for part 17 of the old run could let part 17 of the new one through.
    """
    return int.from_bytes(raw[8:12], "big")


def unpack_station(
    raw: bytes,
) -> tuple[int, int, StationBit, int, tuple[Decision | None, ...], int]:
    """``(layout, heartbeat, bits, mode, decisions by slot, slots whose check value is wrong)``."""
    layout, heartbeat, bits, mode, _, _ = _STATION.unpack_from(raw)
    slots = [raw[_STATION.size + 12 * i : _STATION.size + 12 * (i + 1)] for i in range(DECISIONS)]
    decisions = tuple(Decision.unpack(slot) for slot in slots)
    wrong = sum(d is None and any(slot) for d, slot in zip(decisions, slots, strict=True))
    return layout, heartbeat, StationBit(bits), mode, decisions, wrong


_DECISION = struct.Struct(">IIH")
_TRIGGER = struct.Struct(">III")
_STATION = struct.Struct(">6H")
_STATUS = struct.Struct(">4H6I2H3I")

PLC_HEAD_BYTES = 2 * 32
PLC_REGISTERS = PLC_HEAD_BYTES // 2 + TRIGGERS * 6
STATION_REGISTERS = 6 + DECISIONS * 6
EMPTY_SLOT = bytes(12)
