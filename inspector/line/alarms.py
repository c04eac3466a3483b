"""What is wrong now, and when the line must stop for it. No I/O.

Enters: conditions that come and go, things that happened once, outcomes, the PLC's signals.
Leaves: the alarms that stand, each new one for the ledger, and whether to ask for a stop. Imports
display (its names), config, registers and part; the line imports it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from inspector.config import StopRules
from inspector.display import Alarm, AlarmCode
from inspector.part import Outcome
from inspector.registers import Signal

STANDS_NS = 60_000_000_000
"""Something that happened once is shown for a minute, or until somebody acknowledges it."""
TRACKING = {
    "vanished": AlarmCode.PART_VANISHED,
    "appeared": AlarmCode.PART_VANISHED,
    "jam": AlarmCode.JAM,
    "estop": AlarmCode.ESTOP,
    "encoder": AlarmCode.ENCODER,
    "standstill": AlarmCode.ENCODER,
    "triggers_lost": AlarmCode.COUNT_MISMATCH,
    "counter": AlarmCode.COUNT_MISMATCH,
}
"""What tracking found, by the alarm that it is."""
LIGHT_FAULTS = 3
"""Parts in a row whose reference patch is wrong: one may be a strobe's hiccup, three are not."""


class Alarms:
    """The alarms that stand."""

    def __init__(
        self,
        clock: Callable[[], int] = time.monotonic_ns,
        utc: Callable[[], int] = time.time_ns,
    ) -> None:
        self._clock, self._utc = clock, utc
        self._standing: dict[tuple[AlarmCode, str], tuple[Alarm, int]] = {}
        self.fresh: list[Alarm] = []
        """Raised since the line last looked; it empties the list."""

    def happened(self, code: AlarmCode, detail: str = "", *, key: str = "") -> None:
        """Something happened; it stands for a while. Many of a code and ``key`` stand as one."""
        self._raise(code, key, detail, False, self._clock() + STANDS_NS)

    def holds(
        self, code: AlarmCode, wrong: bool, detail: str = "", *, stops: bool = True, key: str = "-"
    ) -> None:
        """A condition holds, or does not any more. ``key`` tells conditions of a code apart."""
        if wrong:
            self._raise(code, key, detail, stops, 0)
        else:
            self._standing.pop((code, key), None)

    def acknowledge(self, code: AlarmCode | None = None, who: str = "") -> int:
        """``who`` has seen ``code``, or all. What happened goes, what holds stays and is marked;
        how many there were."""
        met = [entry for entry in self._standing if code in (None, entry[0])]
        for entry in met:
            alarm, until_ns = self._standing[entry]
            if until_ns:
                del self._standing[entry]
            else:
                self._standing[entry] = (replace(alarm, acknowledged=True, acknowledged_by=who), 0)
        return len(met)

    def standing(self) -> tuple[Alarm, ...]:
        """All that stand, those that stop the line first, then the oldest."""
        now_ns = self._clock()
        over = [entry for entry, (_, until) in self._standing.items() if 0 < until <= now_ns]
        for entry in over:
            del self._standing[entry]
        alarms = [alarm for alarm, _ in self._standing.values()]
        return tuple(sorted(alarms, key=lambda a: (not a.stops, a.since_utc_ns)))

    def _raise(self, code: AlarmCode, key: str, detail: str, stops: bool, until_ns: int) -> None:
        known = self._standing.get((code, key))
        if known is None:
            alarm = Alarm(code, detail, stops, self._utc())
            self.fresh.append(alarm)
        else:
            alarm = replace(known[0], detail=detail)
        self._standing[code, key] = (alarm, until_ns)


class Stop:
    """Asks for the conveyor to stop, and goes on asking until a person has reset it."""

    def __init__(self, rules: StopRules) -> None:
        self._rules = rules
        self._in_a_row = 0
        self._dark = 0
        self._fine: Signal | None = None
        """Signals that are known to be no reason for a stop."""
        self.why: dict[AlarmCode, str] = {}
        """What the line is stopped for; empty when it may run."""
        self.kept: frozenset[AlarmCode] = frozenset()
        """What of that is on record; a line that starts again is stopped for it still."""

    def judged(self, outcome: Outcome, light_fault: bool, seeded: bool = False) -> None:
        """A part was judged; one whose defect is ``seeded`` is no reason for a stop."""
        rules = self._rules
        good = outcome in (Outcome.PASS, Outcome.NOT_INSPECTED)
        if not seeded:
            self._in_a_row = 0 if good else self._in_a_row + 1
        self._dark = self._dark + 1 if light_fault else 0
        if rules.rejects_in_a_row and self._in_a_row >= rules.rejects_in_a_row:
            self.why[AlarmCode.REJECTS_IN_A_ROW] = f"{self._in_a_row} in a row"
        if rules.light_fault and self._dark >= LIGHT_FAULTS:
            self.why[AlarmCode.LIGHT] = "the reference patch is wrong"

    def signals(self, signals: Signal) -> None:
        """The PLC's signals as they are now."""
        if signals == self._fine:
            return
        before, rules = len(self.why), self._rules
        if rules.bin_full and signals & Signal.BIN_FULL:
            self.why[AlarmCode.BIN_FULL] = ""
        if rules.air_low and not signals & Signal.AIR_OK:
            self.why[AlarmCode.AIR_LOW] = ""
        if rules.confirmation_failed and signals & Signal.CONFIRMATION_FAULT:
            self.why[AlarmCode.NOT_CONFIRMED] = "a reject was not seen behind the gate"
        if rules.light_fault and not signals & Signal.LIGHT_OK:
            self.why[AlarmCode.LIGHT] = "the PLC reports it"
        if not self.why and not before:
            self._fine = signals

    def reset(self, code: AlarmCode | None = None) -> None:
        """A person has looked at what ``code`` stands for, or at all. What is still wrong stops the
        line again at once, and what he has not looked at stops it still."""
        for seen in (code,) if code is not None else tuple(self.why):
            self.why.pop(seen, None)
        if code in (None, AlarmCode.REJECTS_IN_A_ROW):
            self._in_a_row = 0
        if code in (None, AlarmCode.LIGHT):
            self._dark = 0
