"""What the gate did with each part, beside what it was told: differences, part by part (I1, I2).

Enters: what the gate was told and when it heard, the PLC's counters as they are read. Leaves: how
many parts the gate rejected though the station had not refused them, and how many it let through
though it had, each with its number where one exchange tells of one part. No I/O. Imports registers
and ``gate.py``; ``periods.py`` imports it.

The PLC rejects what it has no permit for, so a reject of its own is no fault: a permit came too
late, or the station was not *ready*. Both are counted under their names. What is left is a
difference: a permit that was heard in time and did not count (a check value, a part that touched
another, a program that is wrong), or a gate that does not obey. An answer may be told later than
the part arrives, so nothing is a difference before it has settled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

from inspector.line.gate import Told
from inspector.registers import HEARTBEAT_TIMEOUT_MS, U32, Action, PlcStatus

SETTLE_NS = 2_000_000_000
"""What was decided at a part's deadline is answered long before this."""
GAP_NS = HEARTBEAT_TIMEOUT_MS * 1_000_000 * 2 // 5
"""Two exchanges farther apart than this: the PLC may have missed the heartbeat in between, …"""
DOUBT_NS = 300_000_000
"""… and for so long after the last such gap, or after *ready* was down, it may reject by itself."""
FAR = 4096
"""A gate that has gone on by more parts than this at once was not watched."""
KEPT = 1024


@dataclass(frozen=True, slots=True)
class Differences:
    """Parts of a period, by what the gate did with them that it was not told."""

    late: int = 0
    """Rejected, or perhaps: the decision came too late, of which an alarm told."""
    withheld: int = 0
    """Rejected while the station was not *ready* or its heartbeat was not heard."""
    alone: int = 0
    """Rejected, and nobody had refused them."""
    through: int = 0
    """Let through, and they had been refused in time."""


NAMES = tuple(field.name for field in fields(Differences))


@dataclass(slots=True)
class _Untold:
    """Parts that arrived together, ``n`` of which were rejected without having been refused."""

    numbers: list[int]
    upto: int
    n: int
    withheld: bool
    at_ns: int


class AtGate:
    """Compares. One thread, the loop's, calls it."""

    def __init__(self, settle_ns: int = SETTLE_NS) -> None:
        self._settle_ns = settle_ns
        self.found: list[str] = []
        """Differences that are certain now, in words; the line empties it."""
        self._known: deque[tuple[int, str, int]] = deque()
        """Part number, name and count of what is certain, the oldest first."""
        self._untold: deque[_Untold] = deque()
        self._refused: set[int] = set()
        self._late: set[int] = set()
        self._pulses = 0
        self._gate = self._commanded = 0
        self._heard_ns = self._doubt_until_ns = 0

    def begin(self, status: PlcStatus, at_ns: int) -> None:
        """The first word of a PLC, or of its new run. What the run before left is forgotten."""
        self._known.clear()
        self._untold.clear()
        self._refused.clear()
        self._late.clear()
        self._pulses = 0
        self._gate, self._commanded = status.gate_part, status.rejects_commanded
        # The PLC needs to see the heartbeat change before it listens.
        self._heard_ns, self._doubt_until_ns = at_ns, at_ns + 3 * DOUBT_NS

    def told(self, told: Told) -> None:
        """The gate heard a decision, or never did."""
        number = told.part
        if not number:
            self._pulses += 1
            return
        timely = 0 < told.acknowledged_ns <= told.deadline_ns
        if told.action is Action.PERMIT and timely:
            return
        if self._resolves(number, timely):
            return
        (self._refused if timely else self._late).add(number)
        if timely:
            self._late.discard(number)

    def status(self, status: PlcStatus, at_ns: int, ready: bool) -> None:
        """The PLC's counters, read at ``at_ns`` in an exchange that said *ready* or did not."""
        if not ready or at_ns - self._heard_ns > GAP_NS:
            self._doubt_until_ns = at_ns + DOUBT_NS
        self._heard_ns = at_ns
        arrived = status.gate_part - self._gate & U32
        rejected = status.rejects_commanded - self._commanded & U32
        if arrived < 1 << 31 and (arrived or rejected):
            self._gate, self._commanded = status.gate_part, status.rejects_commanded
            if arrived <= FAR and rejected <= FAR:
                numbers = [status.gate_part - i & U32 for i in range(arrived - 1, -1, -1)]
                self._compare(numbers, rejected, at_ns)
        while self._untold and at_ns - self._untold[0].at_ns >= self._settle_ns:
            self._conclude(self._untold.popleft())

    def before(self, first: int | None) -> Differences:
        """What is certain of the parts before ``first`` (None: of all), which are then forgotten:
        they belong to a period that is over."""
        gone: list[tuple[int, str, int]] = []
        left: deque[tuple[int, str, int]] = deque()
        for entry in self._known:
            mine = first is None or (entry[0] - first & U32) >= 1 << 31
            (gone if mine else left).append(entry)
        self._known = left
        return _sum(gone)

    @property
    def now(self) -> Differences:
        """What is certain of the period that runs."""
        return _sum(self._known)

    def _compare(self, numbers: Sequence[int], rejected: int, at_ns: int) -> None:
        refused = [n for n in numbers if n in self._refused]
        late = [n for n in numbers if n in self._late]
        self._refused.difference_update(refused)
        self._late.difference_update(late)
        upto = self._gate
        excess = rejected - len(refused)
        if excess < 0:
            self._note(upto, "through", -excess)
            self.found.append(_said(refused, -excess, "was refused, and the gate let it pass",
                                    "were refused, and the gate let them pass"))  # fmt: skip
            return
        if doubtful := min(excess, len(late)):
            self._note(upto, "late", doubtful)
        excess -= doubtful
        if pulses := min(excess, self._pulses) if not numbers else 0:
            self._pulses -= pulses
            excess -= pulses
        if excess:
            known = {*refused, *late}
            self._untold.append(
                _Untold(
                    [n for n in numbers if n not in known], upto, excess,
                    at_ns < self._doubt_until_ns, at_ns,
                )
            )  # fmt: skip
            if len(self._untold) > KEPT:
                self._conclude(self._untold.popleft())

    def _resolves(self, number: int, timely: bool) -> bool:
        """Whether a part that has arrived already is explained by what is told now."""
        if (self._gate - number & U32) >= 1 << 31:
            return False  # it is still to come
        for untold in self._untold:
            if number in untold.numbers and untold.n:
                untold.numbers.remove(number)
                untold.n -= 1
                if not timely:
                    self._note(number, "late", 1)
        return True

    def _conclude(self, untold: _Untold) -> None:
        if not untold.n:
            return
        self._note(untold.upto, "withheld" if untold.withheld else "alone", untold.n)
        if not untold.withheld:
            self.found.append(_said(
                untold.numbers, untold.n,
                "was rejected at the gate, and nobody had refused it",
                "were rejected at the gate, and nobody had refused them",
            ))  # fmt: skip

    def _note(self, number: int, name: str, n: int) -> None:
        if self._known and self._known[-1][:2] == (number, name):
            n += self._known.pop()[2]
        self._known.append((number, name, n))
        if len(self._known) > KEPT:
            self._merge()

    def _merge(self) -> None:
        """The older half in one entry of each name: a line that was paused all night."""
        old = [self._known.popleft() for _ in range(KEPT // 2)]
        total = _sum(old)
        for name in reversed(NAMES):
            if n := getattr(total, name):
                self._known.appendleft((old[-1][0], name, n))


def _sum(entries: Iterable[tuple[int, str, int]]) -> Differences:
    counted = dict.fromkeys(NAMES, 0)
    for _, name, n in entries:
        counted[name] += n
    return Differences(**counted)


def _said(numbers: Sequence[int], n: int, one: str, several: str) -> str:
    if n == 1 and len(numbers) == 1:
        return f"part {numbers[0]} {one}"
    if n == len(numbers) and n:
        return f"parts {', '.join(_runs(numbers))} {several}"
    if not numbers:
        nameless = "without a number"
        return f"{n} parts {nameless} {several}" if n > 1 else f"a part {nameless} {one}"
    of = f"of parts {', '.join(_runs(numbers))}"
    return f"{n} {of} {several}" if n > 1 else f"one {of} {one}"


def _runs(numbers: Sequence[int]) -> Iterator[str]:
    """``3``, ``5 to 7``."""
    first = last = numbers[0]
    for number in (*numbers[1:], None):
        if number is not None and number == last + 1:
            last = number
            continue
        yield str(first) if first == last else f"{first} to {last}"
        if number is not None:
            first = last = number
