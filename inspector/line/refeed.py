"""Parts that come back: one item, one code, counted once (I1, S13).

Enters: the serial that was read on a part. Leaves: whether the ledger, or this minute, knows it as
produced. A part whose serial is known is in mode ``reinspect``: its serial links it to what was
judged before, and production counts it no second time. What was only tried before, in a set-up or
a challenge, has not been counted and is not known. While the first one is still before the gate
the code is on two items, and the second is a reject. Imports store and part; ``line.py`` calls it.

The ledger is asked in a thread of its own while the part is on its way: the line waits `WAIT_S` at
most for the answer, and for no other until it has come. A disk that is slower costs a count, never
a decision.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from inspector.display import AlarmCode
from inspector.line.alarms import Alarms
from inspector.line.eye import Eye
from inspector.line.matching import Candidate
from inspector.line.tracking import Zone
from inspector.part import Mode, Outcome, PartId
from inspector.registers import U32
from inspector.store import History, LineLedger

WAIT_S = 0.005
RECENT = 4096
"""Serials kept in memory: those whose records may not be on the disk yet, and more."""
SAID = 200
"""Characters of a serial that an event or a reason carries: a code may hold thousands."""
PRODUCED = frozenset({Mode.AUTO, Mode.BYPASS})
"""Modes that count as production."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A part that carried a serial."""

    stream: str
    number: int
    counted: bool
    """It, or one with this serial before it, was produced."""


class Serials:
    """Which serials are known. `ask` and `known` are the loop's; the thread is its own."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._asked: dict[PartId, Future[bool]] = {}
        self._queue: queue.SimpleQueue[tuple[str, Future[bool]] | None] = queue.SimpleQueue()
        self._late: Future[bool] | None = None
        """The answer that was waited for in vain."""
        self._recent: OrderedDict[str, Carried] = OrderedDict()
        self._thread: threading.Thread | None = None

    def ask(self, part: PartId, serial: str) -> None:
        """Begin to look for a part's serial."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="serials", daemon=True)
            self._thread.start()
        future: Future[bool] = Future()
        self._asked[part] = future
        if len(self._asked) > RECENT:  # of parts that were concluded for another reason
            del self._asked[next(iter(self._asked))]
        self._queue.put((serial, future))

    def known(self, part: PartId) -> bool | None:
        """Whether the ledger knows the serial of this part as produced; None where it does not
        answer."""
        future = self._asked.pop(part, None)
        if future is None:
            return False
        stalls = self._late is not None and not self._late.done()
        try:
            return future.result(0 if stalls else WAIT_S)
        except Exception:  # not in time, or not to be found out: it costs a count, and is recorded
            self._late = self._late if stalls else future
            return None

    def recent(self, serial: str) -> Carried | None:
        """The part that carried it last, of the newest ones."""
        return self._recent.get(serial)

    def carried(self, serial: str, part: Carried) -> None:
        """A part carried this serial."""
        before = self._recent.get(serial)
        if before is not None and before.counted:
            part = replace(part, counted=True)
        self._recent[serial] = part
        self._recent.move_to_end(serial)
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(2.0)

    def _work(self) -> None:
        history: History | None = None
        while (asked := self._queue.get()) is not None:
            serial, future = asked
            try:
                if history is None:
                    history = History(self._data_dir, bound_s=0.5)
                before = history.by_serial(serial)
                future.set_result(any(p.verdict.mode in PRODUCED for p in before))
            except Exception as error:  # one serial must not end the search for those that follow
                future.set_exception(error)
                history = None
        if history is not None:
            history.close()


class Line(Protocol):
    """What this needs of the line."""

    ledger: LineLedger
    alarms: Alarms
    serials: Serials
    zone: Zone
    eye: Eye
    stream: str
    run: int | None


def judged(line: Line, candidate: Candidate) -> tuple[Outcome, tuple[str, ...]]:
    """A judged part's outcome and reasons, once its serial has been looked for."""
    part, judgement = candidate.part, candidate.judgement
    assert judgement is not None
    outcome, reasons, serial = judgement.outcome, judgement.reasons, judgement.serial
    if serial is None:
        return outcome, reasons
    known = line.serials.known(part.id)
    before = line.serials.recent(serial)
    carried = Carried(part.stream, part.sequence, part.mode in PRODUCED)
    line.serials.carried(serial, carried)
    if part.mode is not Mode.AUTO:
        return outcome, reasons
    if (
        before is not None
        and _is_before_gate(line, before.stream, before.number)
        and before.number != part.sequence
    ):
        detail = f"serial {serial[:SAID]} is on part {before.number} too"
        line.alarms.happened(AlarmCode.OTHER, detail)
        return Outcome.REJECT, (detail, *reasons)
    if known or (before is not None and before.counted):
        part.mode = Mode.REINSPECT
    elif known is None:
        line.ledger.add_event(
            "refeed_unknown", "line", stream=part.stream, part=part.sequence, serial=serial[:SAID]
        )
    return outcome, reasons


def _is_before_gate(line: Line, stream: str, number: int) -> bool:
    status = line.zone.status
    if line.run is None or stream != line.stream:
        return False
    if status is None:  # a gate on an output, timed from the eye
        return number > line.eye.gone(time.monotonic_ns())
    return (status.gate_part - number & U32) >= 1 << 31
