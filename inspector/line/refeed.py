"""Parts that come back: one item, one code, counted once (I1, S13).

Enters: the serial that was read on a part. Leaves: whether the ledger, or this minute, knows it. A
part whose serial is known is in mode ``reinspect``: its serial links it to what was judged before,
and production counts it no second time. While the first one is still before the gate the code is on
two items, and the second is a reject. Imports store and part; ``line.py`` calls it.

The ledger is asked in a thread of its own while the part is on its way: the line waits `WAIT_S` at
most for the answer, and a disk that is slower costs a count, never a decision.
"""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path
from typing import Protocol

from inspector.display import AlarmCode
from inspector.line.alarms import Alarms
from inspector.line.matching import Candidate
from inspector.line.tracking import Zone
from inspector.part import Mode, Outcome, PartId
from inspector.registers import U32
from inspector.store import History, LineLedger, StoreError

WAIT_S = 0.005
RECENT = 4096
"""Serials kept in memory: those whose records may not be on the disk yet, and more."""


class Serials:
    """Which serials are known. `ask` and `known` are the loop's; the thread is its own."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._asked: dict[PartId, Future[bool]] = {}
        self._queue: queue.SimpleQueue[tuple[str, Future[bool]] | None] = queue.SimpleQueue()
        self._recent: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._thread: threading.Thread | None = None

    def ask(self, part: PartId, serial: str) -> None:
        """Begin to look for a part's serial."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="serials", daemon=True)
            self._thread.start()
        future: Future[bool] = Future()
        self._asked[part] = future
        self._queue.put((serial, future))

    def known(self, part: PartId) -> bool | None:
        """Whether the ledger knows the serial of this part; None where it does not answer."""
        future = self._asked.pop(part, None)
        if future is None:
            return False
        try:
            return future.result(WAIT_S)
        except (NotYet, StoreError):
            return None

    def recent(self, serial: str) -> tuple[str, int] | None:
        """Stream and number of the part that carried it last, of the newest ones."""
        return self._recent.get(serial)

    def carried(self, serial: str, stream: str, number: int) -> None:
        """A part carried this serial."""
        self._recent[serial] = (stream, number)
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
                future.set_result(bool(history.by_serial(serial, 1)))
            except StoreError as error:
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
    stream: str


def judged(line: Line, candidate: Candidate) -> tuple[Outcome, tuple[str, ...]]:
    """A judged part's outcome and reasons, once its serial has been looked for."""
    part, judgement = candidate.part, candidate.judgement
    assert judgement is not None
    outcome, reasons, serial = judgement.outcome, judgement.reasons, judgement.serial
    if serial is None:
        return outcome, reasons
    known = line.serials.known(part.id)
    before = line.serials.recent(serial)
    line.serials.carried(serial, part.stream, part.sequence)
    if part.mode is not Mode.AUTO:
        return outcome, reasons
    if before is not None and _is_before_gate(line, *before) and before[1] != part.sequence:
        detail = f"serial {serial} is on part {before[1]} too"
        line.alarms.happened(AlarmCode.OTHER, detail)
        return Outcome.REJECT, (detail, *reasons)
    if known or before is not None:
        part.mode = Mode.REINSPECT
    elif known is None:
        line.ledger.add_event(
            "refeed_unknown", "line", stream=part.stream, part=part.sequence, serial=serial
        )
    return outcome, reasons


def _is_before_gate(line: Line, stream: str, number: int) -> bool:
    status = line.zone.status
    if status is None or stream != line.stream:
        return False
    return (status.gate_part - number & U32) >= 1 << 31
