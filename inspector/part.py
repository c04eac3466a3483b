"""The nouns that flow down the street: a part, its frames, its findings, its verdict, its gate.

Nothing of ours is imported here; every other room may import this one.
Boxes are ``(x1, y1, x2, y2)`` in pixels of the view's full frame, x to the right, y down.
Durations and instants in nanoseconds are on the machine's monotonic clock unless named ``utc``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NewType, Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""An image: ``(height, width)`` grey or ``(height, width, 3)`` BGR, uint8, C-contiguous."""

Box = tuple[float, float, float, float]
"""``(x1, y1, x2, y2)`` in pixels, ``x1 <= x2`` and ``y1 <= y2``."""

Outline = tuple[tuple[tuple[int, int], ...], ...]
"""Where something is, to the pixel: rings of ``(x, y)`` through the pixels of its rim, in pixels of
the view's full frame; the first ring is its outside, further ones are holes. At most 65,535."""

Area = tuple[int, int, int, int]
"""``(x1, y1, x2, y2)`` in whole pixels of a frame."""

PartId = NewType("PartId", UUID)


class Outcome(StrEnum):
    """What a part's inspection ended in. Every trigger ends in exactly one (I1)."""

    PASS = "pass"
    REJECT = "reject"
    ERROR = "error"
    """Not judged: frame lost, model late, queue full, station not ready."""
    NOT_INSPECTED = "not_inspected"
    """By-pass only: the part went by without being judged, by a person's signed decision."""


class Mode(StrEnum):
    """What the line was doing when the part went by. Only ``auto`` counts as production."""

    AUTO = "auto"
    SETUP = "setup"
    CLEANING = "cleaning"
    CHALLENGE = "challenge"
    BYPASS = "bypass"
    REINSPECT = "reinspect"
    """Parts that come back, to be judged again: each counted as production before."""


class Severity(StrEnum):
    """How bad a defect is, after ISO 2859-1's usage."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"


class Disposition(StrEnum):
    """What people or the MES decided to do with a part after the gate."""

    REWORK = "rework"
    SCRAP = "scrap"
    RELEASE = "release"
    HOLD = "hold"


class GateAction(StrEnum):
    """What the station tells the gate about one part. The gate's resting state is reject (I2)."""

    PERMIT = "permit"
    REJECT = "reject"
    REVOKE = "revoke"
    """A permit withdrawn before the part reached the gate."""


class Pictures(Protocol):
    """A part's pictures by view, BGR or grey, uint8. A dict will do."""

    def __len__(self) -> int:
        """How many it has."""

    def items(self) -> Iterable[tuple[str, Pixels]]:
        """Those that are there still; perhaps made only now."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A lot in production: what is being made, and what each part should carry."""

    id: str
    product: str = ""
    recipe: str = ""
    """The recipe's name."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Expected print by name, such as ``{"lot": "L2417A", "date": "16 NOV 26"}``."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of one part, as its camera tells of it. Its pixels lie in shared memory for as
    long as others of that camera leave them there: ``FrameReceiver.pixels`` has them (I6)."""

    view: str
    """Which view of the part this is: the camera's name in the station file."""
    frame_id: int
    """The camera's own frame counter."""
    edge: int | None
    """The camera's count of trigger edges, ignored ones included; None if it has none."""
    device_ns: int
    """Exposure start on the camera's clock."""
    host_ns: int
    """When the host received the frame."""
    exposed_ns: int = 0
    """Exposure start on the host's monotonic clock; 0 where the camera's clock cannot be read."""


INSIDE = "inside"
"""Label of a finding that carries the serial of what is inside the part: of an item in a case."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that one tool saw, or missed, on one part."""

    tool: str
    """The step's name in the recipe."""
    kind: str
    """The tool's kind: ``detect``, ``read``, ``code`` …"""
    label: str
    """What was found or missed: a class name, ``text``, a code's symbology …"""
    ok: bool = True
    """False when this finding alone makes the part a reject."""
    score: float = 1.0
    """Confidence in 0..1."""
    box: Box | None = None
    view: str = ""
    severity: Severity = Severity.MAJOR
    """How bad it is when it is not ok."""
    text: str | None = None
    value: float | None = None
    unit: str | None = None
    """The UCUM unit of ``value``."""
    reason: str = ""
    """When not ok: what is wrong, in words that a person understands."""
    outline: Outline = ()
    """Its form, from tools that see one."""


@dataclass(frozen=True, slots=True)
class Times:
    """When it happened, in nanoseconds; 0 is "did not happen"."""

    trigger_ns: int
    frame_ns: int
    verdict_ns: int
    utc_ns: int
    """UTC of the verdict, since the Unix epoch."""
    boot_id: str
    clock_synced: bool
    """Whether UTC was disciplined (NTP or PTP) at the verdict."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The station's judgement of one part, with everything that made it (I3). It never changes."""

    part_id: PartId
    station: str
    stream: str
    """The trigger stream the part was counted in: a new one opens when its counter restarts."""
    sequence: int
    """The part number in its stream, as the trigger authority counts (I1)."""
    outcome: Outcome
    mode: Mode
    batch: str
    times: Times
    recipe: str
    """``name@revision``."""
    recipe_digest: str
    model_digests: tuple[str, ...]
    software: str
    reasons: tuple[str, ...] = ()
    """Why it is not a pass, worst first; empty for a pass."""
    findings: tuple[Finding, ...] = ()
    serial: str | None = None


@dataclass(frozen=True, slots=True)
class GateDecision:
    """What the gate was told about one part, and whether it heard."""

    part_id: PartId
    stream: str
    sequence: int
    action: GateAction
    reason: str
    decided_ns: int
    acknowledged_ns: int = 0
    """When the gate acknowledged it; 0 if it never did, which is an alarm."""


@dataclass(slots=True)
class Part:
    """One item on the conveyor, from its trigger to its gate. The one noun that flows."""

    stream: str
    sequence: int
    trigger_ns: int
    deadline_ns: int
    """When its decision must be acknowledged: arrival at the gate less the actuator's lead."""
    mode: Mode = Mode.AUTO
    batch: str = ""
    id: PartId = field(default_factory=lambda: new_part_id())
    frames: dict[str, Frame] = field(default_factory=dict)
    """By view."""


def boot_id() -> str:
    """The kernel's name for this boot: monotonic times compare only within it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"unknown-{time.time_ns() - time.monotonic_ns() >> 30}"


def new_part_id(utc_ns: int | None = None) -> PartId:
    """A UUIDv7 (RFC 9562): 48 bits of UTC milliseconds, then 74 random bits."""
    ms = (time.time_ns() if utc_ns is None else utc_ns) // 1_000_000
    value = (ms & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return PartId(UUID(int=value))
