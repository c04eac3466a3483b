"""What a packing station has read is told to the stations that made the parts: this is in that.

Enters: this station's verdicts whose picture showed a unit (a case or pallet with its SSCC) and the
serials of what is inside. Leaves: one request a unit to each station that the file names, as the
MES would make it (``POST /links``), from the outbox on disk: under an idempotency key, so that a
unit is packed once however often it is sent, and again until it has arrived. A part that could not
be judged, or whose codes were not all read, tells nothing. ``app.py`` imports it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from fnmatch import fnmatchcase

from inspector.config import Packs
from inspector.part import INSIDE, Mode, Outcome, Verdict
from inspector.plant.desk import Desk
from inspector.plant.events import taken_up
from inspector.plant.outbox import Message, Outbox
from inspector.plant.tasks import look
from inspector.store.pages import tail

READER = "packing"
LOOK_S = 0.2
PORTION = 500


class Packing:
    """Follows the line's ledger. One process of a station has it."""

    def __init__(self, desk: Desk, packs: Iterable[Packs], outbox: Outbox) -> None:
        self._desk, self._packs, self._outbox = desk, tuple(packs), outbox
        self._at: int | None = None

    async def run(self) -> None:
        """Read until cancelled; the webhooks' courier delivers."""
        await look(self.step, "packing waits", LOOK_S)

    def step(self) -> bool:
        """Put into the outbox what has been packed; whether there may be more."""
        if self._at is None:
            at = taken_up(self._desk, self._outbox.place(READER))
            self._outbox.read(READER, at.line, at.desk)
            self._at = at.line
        with self._desk.history() as history:
            records, upto = tail(history, self._at, PORTION, passes=True)
        messages = [
            message
            for _, record in records
            if isinstance(record, Verdict)
            for message in self._told(record)
        ]
        if messages:
            self._outbox.read(READER, upto, -1, messages, time.time())
        self._at = upto
        return bool(records)

    def _told(self, verdict: Verdict) -> Iterable[Message]:
        if verdict.outcome is not Outcome.PASS or verdict.mode not in (Mode.AUTO, Mode.REINSPECT):
            return
        inside = [f.text for f in verdict.findings if f.label == INSIDE and f.text]
        if not verdict.serial or not inside:
            return
        for one in self._packs:
            serials = [s for s in dict.fromkeys(inside) if fnmatchcase(s, one.serials)]
            if serials:
                body = {"relation": "packed", "unit": verdict.serial, "level": one.level,
                        "serials": serials}  # fmt: skip
                # A unit waits for no other one: each has a key of its own.
                yield Message(one.name, verdict.serial, str(verdict.part_id), "packed", body)
