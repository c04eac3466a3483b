"""What the gate is told, and whether it heard: the interface of every gate.

Enters: decisions about part numbers, from any thread. Leaves: what the gate reports, in order, by
``take()``. A new output joins with one file, which the station file names (``driver.py``,
``docs/outputs.md``). Imports registers; the line imports it.

The resting state is *reject* (I2): silence, a lost link, a hung line and an unknown part all end
in the reject bin. A permit is for exactly one number of one run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from inspector.registers import Action, GateReason, PlcStatus, StationBit


@dataclass(frozen=True, slots=True)
class Seen:
    """The PLC's block, and when the station had it (monotonic ns)."""

    status: PlcStatus
    at_ns: int
    ready: bool = True
    """What the station said of itself in the same exchange."""


@dataclass(frozen=True, slots=True)
class Told:
    """One decision's end: acknowledged, or given up with ``acknowledged_ns`` 0 (an alarm)."""

    run: int
    part: int
    action: Action
    reason: GateReason
    decided_ns: int
    deadline_ns: int
    acknowledged_ns: int


@dataclass(frozen=True, slots=True)
class Link:
    """The connection to the gate came up or went down."""

    up: bool
    why: str = ""


GateEvent = Seen | Told | Link


class Gate(Protocol):
    """Where decisions go. Every method may be called from any thread and none waits."""

    def decide(
        self, run: int, part: int, action: Action, reason: GateReason, deadline_ns: int
    ) -> None:
        """Permit or reject ``part``. A permit for a refused part becomes a reject."""

    def refuse(self, run: int, parts: Iterable[int], reason: GateReason) -> None:
        """``parts`` must not pass: revoke permits that were given, turn later ones to rejects."""

    def hurry(self) -> None:
        """Look at the gate's signals now rather than at the next poll. A caller that asks twice
        waits for them: only then will ``fileno`` tell that they are there."""

    def show(self, bits: StationBit, mode: int) -> None:
        """What the station reports: its bits, and the index of its mode."""

    def alive(self, at_ns: int) -> None:
        """The line's loop came round, and its judges did not hang, at ``at_ns`` (monotonic); when
        that is too long ago *ready* and the heartbeat drop."""

    def take(self) -> list[GateEvent]:
        """What happened since the last call, oldest first. Never blocks."""

    def fileno(self) -> int:
        """Readable when ``take`` has something."""

    def due_ns(self) -> int:
        """When ``take`` is to be called (monotonic ns) even though ``fileno`` is silent."""

    def close(self) -> None:
        """Drop *ready* and let go of the gate."""


REMEMBERED = 4096
"""Parts whose decision or refusal is kept: far more than fit between eye and gate."""
HUNG_NS = 600_000_000
"""A line whose loop has not come round for this long is not judging; nor is one whose judge has
been at one part for it. The slowest judgement that ships, finding and reading a date on a whole
pack, takes 180 ms on a quiet machine."""
NEVER_NS = 1 << 62
CLOSING_S = 1.0
"""Who closes the gate waits so long for it to be low, or not *ready*: the ledger is closed after
it, and a process that has not ended after 5 s is killed."""
