"""Stretches of production whose counts are compared, each begun by a record (I1).

Enters: the PLC's counters as they are read, the batch that begins at a part number, what the gate
was told. Leaves: one ``period`` event per beginning: a batch, the line's start, a PLC that counts
anew, a person who resets the counts; and what the gate did of its own (``atgate.py``). What
happened in a period is the difference between its event and the next; `inspector.store.periods`
reads them. Imports registers, ``gate.py`` and ``atgate.py``; the line imports it.

A batch begins at the eye before it begins at the gate: its infeed and triggers are read when its
first part stands at the eye, its rejects when the last part before it has passed the gate. Its
event follows when all that was told of that part has settled.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Protocol

from inspector.line.atgate import SETTLE_NS, AtGate
from inspector.line.gate import REMEMBERED, Told
from inspector.registers import U32, Action, PlcStatus, Signal

KIND = "period"
IN_LANE = 6
"""Rejected parts that may stand between the gate and the sensor that confirms them."""


class Record(Protocol):
    """Writes an event of the line's ledger."""

    def __call__(self, kind: str, principal: str, /, **body: object) -> object: ...


@dataclass(slots=True)
class _Beginning:
    batch: str
    first: int
    why: str
    principal: str
    infeed: int | None = None
    gate: PlcStatus | None = None
    """The PLC's word when the last part before it had passed the gate, …"""
    at_ns: int = 0
    """… when that was, …"""
    alarmed: int = 0
    """… and how many rejects had been alarmed by then."""


class Periods:
    """Counts by stretches. One thread, the loop's, calls it."""

    def __init__(self, record: Record, settle_ns: int = SETTLE_NS) -> None:
        self._record = record
        self._settle_ns = settle_ns
        self.at_gate = AtGate(settle_ns)
        self._stream = ""
        self._coming: deque[_Beginning] = deque()
        self._last: PlcStatus | None = None
        self._base = (0, 0)
        self._alarmed = 0
        self._told: set[int] = set()
        self._refused: int | None = None
        """Parts of this period that the gate was told to refuse; None where this process has not
        seen all of it."""

    def open(
        self, stream: str, status: PlcStatus, batch: str, unseen: int = 0, at_ns: int = 0
    ) -> None:
        """The first word of a PLC, or of its new run, at ``at_ns``. ``unseen``: parts of the
        stream that went by before and get their record now."""
        before, anew = self._last, self._stream != ""
        self._coming.clear()
        self._write(
            _Beginning(
                batch, status.part_counter + 1 - unseen & U32,
                "the PLC counts anew" if anew else "the line started", "line",
                status.infeed - unseen & U32,
            ),
            status, stream, closes=before if anew else None,
        )  # fmt: skip
        self._last = status
        self.at_gate.begin(status, at_ns)

    def begin(self, batch: str, first: int, why: str, principal: str) -> None:
        """``batch`` goes on, or begins, with part ``first``. Before the PLC's first word there
        is nothing to compare; `open` will name the batch."""
        if not self._stream:
            return
        while self._coming and self._coming[-1].first >= first:
            self._coming.pop()
        self._coming.append(_Beginning(batch, first, why, principal))

    def told(self, told: Told, run: int | None) -> None:
        """The gate was told something; ``run`` is the PLC's now."""
        if told.run == run:
            self.at_gate.told(told)
        if told.action is not Action.PERMIT and told.part and told.run == run:
            self.refused(told.part)

    def refused(self, number: int) -> None:
        """The gate was told not to let this part through."""
        self._told.add(number)
        if len(self._told) > REMEMBERED and self._last is not None:
            self._settle(self._last.gate_part + 1 & U32)

    def status(self, status: PlcStatus, standing: int, at_ns: int = 0, ready: bool = True) -> None:
        """The PLC's counters at ``at_ns``, read in an exchange that said *ready* or did not;
        ``standing``: parts between eye and gate."""
        self._last = status
        self.at_gate.status(status, at_ns, ready)
        for coming in self._coming:
            if coming.infeed is None and _reached(status.part_counter, coming.first - 1 & U32):
                coming.infeed = status.infeed
            passed = _reached(status.gate_part, coming.first - 1 & U32) or not standing
            if coming.gate is None and coming.infeed is not None and passed:
                coming.gate, coming.at_ns, coming.alarmed = status, at_ns, self._alarmed
        while self._coming:
            coming = self._coming[0]
            if coming.gate is None or at_ns - coming.at_ns < self._settle_ns:
                return
            self._coming.popleft()
            self._write(coming, coming.gate, self._stream)

    def unconfirmed(self, lost: bool) -> str:
        """What is wrong between the rejects that the PLC commanded and those that were seen behind
        the gate; empty where nothing is. ``lost``: an alarm says already that parts got lost."""
        status = self._last
        if status is None:
            return ""
        commanded = status.rejects_commanded - self._base[0] & U32
        confirmed = status.rejects_confirmed - self._base[1] & U32
        excess = commanded - confirmed
        if lost or status.signals & Signal.CONFIRMATION_FAULT:
            self._alarmed = max(self._alarmed, excess)
        if -IN_LANE <= excess - self._alarmed <= IN_LANE:
            return ""
        return f"rejects commanded {commanded}, confirmed {confirmed}"

    def _settle(self, first: int) -> None:
        """What was refused before part ``first`` belongs to the period that runs."""
        gone = {number for number in self._told if not _reached(number, first)}
        self._told -= gone
        if self._refused is not None:
            self._refused += len(gone)

    def _write(
        self, coming: _Beginning, status: PlcStatus, stream: str, closes: PlcStatus | None = None
    ) -> None:
        self._settle(coming.first)
        alarmed = coming.alarmed if coming.gate is not None else self._alarmed
        more: dict[str, object] = {}
        if closes is not None:
            more["closes"] = _counters(closes, closes.infeed)
        if self._refused is not None:
            more |= asdict(self.at_gate.before(None if closes is not None else coming.first))
        self._record(
            KIND, coming.principal, batch=coming.batch, stream=stream, first=coming.first,
            why=coming.why, counters=_counters(status, coming.infeed or 0) | {
                "triggers": coming.first - 1 & U32},
            refused=self._refused, alarmed=None if self._refused is None else alarmed, **more,
        )  # fmt: skip
        if stream != self._stream:
            self._told.clear()
        self._stream, self._refused = stream, 0
        self._alarmed = max(0, self._alarmed - alarmed)
        self._base = (status.rejects_commanded, status.rejects_confirmed)


def _counters(status: PlcStatus, infeed: int) -> dict[str, int]:
    return {
        "infeed": infeed,
        "triggers": status.part_counter,
        "commanded": status.rejects_commanded,
        "confirmed": status.rejects_confirmed,
    }


def _reached(counter: int, number: int) -> bool:
    return (counter - number & U32) < 1 << 31
