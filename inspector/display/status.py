"""What the line says of itself: its heartbeat with counts, health and alarms.

Only nouns; `channel` sends them, screens and ``/metrics`` read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from inspector.part import Mode


class State(StrEnum):
    """How something the line depends on is doing."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    ABSENT = "absent"
    """Not part of this station."""


class AlarmCode(StrEnum):
    """What can be wrong; the pages say in every language what happened and what to do."""

    CAMERA_LOST = "camera_lost"
    CAMERA_FRAMES = "camera_frames"
    """Frames are late, incomplete or missing."""
    CAMERA_FROZEN = "camera_frozen"
    LIGHT = "light"
    PLC_LOST = "plc_lost"
    NO_ACKNOWLEDGEMENT = "no_acknowledgement"
    NOT_CONFIRMED = "not_confirmed"
    """A commanded reject was not seen behind the gate."""
    REJECTS_IN_A_ROW = "rejects_in_a_row"
    BIN_FULL = "bin_full"
    AIR_LOW = "air_low"
    JAM = "jam"
    ESTOP = "estop"
    ENCODER = "encoder"
    TRACKING_LOST = "tracking_lost"
    COUNT_MISMATCH = "count_mismatch"
    COUNTER_FELL = "counter_fell"
    """The PLC counts parts anew in the run that it has, so that two parts have one number."""
    PART_VANISHED = "part_vanished"
    TOO_LATE = "too_late"
    """Decisions miss their deadline."""
    DISK_LOW = "disk_low"
    DISK_FULL = "disk_full"
    DISK_SLOW = "disk_slow"
    UNRECORDED = "unrecorded"
    """Nothing can be recorded, and the disk is not full."""
    CLOCK = "clock"
    MODEL = "model"
    RECIPE = "recipe"
    BYPASS = "bypass"
    UNSIGNED = "unsigned"
    CHALLENGE_DUE = "challenge_due"
    CHALLENGE_FAILED = "challenge_failed"
    DRIFT = "drift"
    OUT_OF_CONTROL = "out_of_control"
    MAINTENANCE = "maintenance"
    CENTRE = "centre"
    """What was sent to the centre, or should be, does not agree with what it has."""
    ON_HOLD = "on_hold"
    """Parts that have passed the gate were put on hold and are to be looked for."""
    COMMANDS_REFUSED = "commands_refused"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that is wrong now."""

    code: AlarmCode
    detail: str = ""
    """Which one: a camera's name, a count."""
    stops: bool = True
    """Whether the station does not judge, or asks for the line to stop, because of it."""
    since_utc_ns: int = 0
    acknowledged: bool = False
    acknowledged_by: str = ""
    """Who has seen it, as a user id."""


@dataclass(frozen=True, slots=True)
class Health:
    """One thing the line depends on."""

    name: str
    """``plc``, ``store``, ``clock``, or the camera's name."""
    kind: str
    """``camera``, ``plc``, ``store``, ``clock``, ``models`` …"""
    state: State
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Of the running batch."""

    parts: int = 0
    passed: int = 0
    rejected: int = 0
    errors: int = 0
    not_inspected: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """The line's heartbeat, with everything a screen or ``/metrics`` says about it."""

    station: str
    ready: bool
    """Judging: the gate may be given permits."""
    running: bool
    """The conveyor moves, as far as the PLC tells; else whether parts come."""
    mode: Mode
    batch: str
    product: str
    recipe: str
    """``name@revision``."""
    line: str = ""
    paused: bool = False
    awaits: str = ""
    """Under which id ``needs`` must be signed before parts may pass; empty: it is released."""
    needs: tuple[str, ...] = ()
    counts: Counts = Counts()
    parts_per_s: float = 0.0
    """Over the last ten seconds or so."""
    takt_ms: float = 0.0
    """Mean time between parts over the same span; 0 without parts."""
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    """Trigger to acknowledged decision: ``p50``, ``p95``, ``p99``, ``max`` of the last minute."""
    deadline_ms: float = 0.0
    """What the latency has to stay below; 0 is unknown."""
    since_part_ms: float = -1.0
    """How long ago the last part came; negative: none yet."""
    health: tuple[Health, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    """More for ``/metrics``, by Prometheus name without the prefix ``inspector_``; a name that
    ends in ``_total`` is a counter, ``name{label="x"}`` carries labels."""
