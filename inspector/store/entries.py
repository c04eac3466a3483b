"""Nouns in, encoded records and their index rows out: the part of the ledger that knows no disk.

Enters: verdicts, gate decisions, events, batches, image records, in the order of the ledger.
Leaves: `rows.Rows` for a commit. Only `ledger` imports this.
"""

from __future__ import annotations

from typing import Any

from inspector.part import Finding, GateDecision, Outcome, Verdict
from inspector.store import layout
from inspector.store.cbor import plain
from inspector.store.errors import RecordError
from inspector.store.layout_finding import shape_of
from inspector.store.records import OUTCOME_NUMBER, BatchChange, Defined, Event, ImageRecord
from inspector.store.resume import State
from inspector.store.rows import Rows, add_gate_rows, add_verdict_rows, part_prefix

MAX_DEFINITIONS = 4096
"""Contexts and shapes kept in memory; beyond, they are forgotten and defined again when met."""


class Entries:
    """Gives each record its position and refers to what was defined before."""

    __slots__ = ("_contexts", "_rows", "_shapes", "next", "streams")

    def __init__(self, state: State) -> None:
        self.next = state.size
        """The position of the next record."""
        self.streams = state.streams
        """Position of each stream's definition, by name, oldest first."""
        self._contexts = state.contexts
        self._shapes = state.shapes
        self._rows = Rows()

    def take(self) -> Rows:
        """What was added since the last call."""
        rows, self._rows = self._rows, Rows()
        return rows

    def verdict(self, verdict: Verdict) -> int:
        """Adds a verdict; gives its position."""
        _countable(verdict.sequence)
        _countable(verdict.times.utc_ns)
        stream = self._stream(verdict.stream)
        value = layout.context_of(verdict, stream)
        context = self._contexts.get(value)
        if context is None:
            context = self._define(self._contexts, Defined.CONTEXT, value)
        shapes = [self._shape(finding) for finding in verdict.findings]
        position = self._append(layout.encode_verdict(verdict, context, shapes))
        defects: dict[int, None] = {}
        if verdict.outcome is not Outcome.PASS:
            pairs = zip(verdict.findings, shapes, strict=True)
            defects = {shape: None for finding, shape in pairs if not finding.ok}
        keys = (
            verdict.sequence,
            OUTCOME_NUMBER[verdict.outcome],
            verdict.part_id.bytes,
            verdict.times.utc_ns,
            verdict.serial,
            defects,
        )
        add_verdict_rows(self._rows, position, stream, value, keys)
        return position

    def gate(self, decision: GateDecision) -> int:
        """Adds a gate decision; gives its position."""
        _countable(decision.sequence)
        stream = self._stream(decision.stream)
        position = self._append(layout.encode_gate(decision, stream))
        heard = decision.acknowledged_ns != 0
        add_gate_rows(self._rows, position, stream, decision.sequence, heard)
        return position

    def event(self, event: Event) -> int:
        """Adds an event; gives its position."""
        position = self._append(layout.encode_event(event))
        self._rows.add("event", position, plain(event.kind))
        return position

    def batch(self, change: BatchChange) -> int:
        """Adds the beginning or end of a batch; gives its position."""
        position = self._append(layout.encode_batch(change))
        self._rows.add("batch", position, plain(change.id))
        return position

    def image(self, image: ImageRecord) -> int:
        """Adds an image's digest; gives its position."""
        position = self._append(layout.encode_image(image))
        self._rows.add("image", part_prefix(image.part_id.bytes), position)
        return position

    def _append(self, body: bytes) -> int:
        position = self.next
        self._rows.records.append((position, body))
        self.next = position + 1
        return position

    def _stream(self, name: str) -> int:
        position = self.streams.get(name)
        return self._define(self.streams, Defined.STREAM, (name,)) if position is None else position

    def _shape(self, finding: Finding) -> int:
        value = shape_of(finding)
        shape = self._shapes.get(value)
        return self._define(self._shapes, Defined.SHAPE, value) if shape is None else shape

    def _define(self, known: dict[Any, int], what: Defined, value: tuple[Any, ...]) -> int:
        if what is not Defined.STREAM and len(known) >= MAX_DEFINITIONS:
            known.clear()
        position = self._append(layout.encode_definition(what, value))
        self._rows.add("definition", position, int(what))
        known[value[0] if what is Defined.STREAM else value] = position
        return position


def _countable(number: int) -> None:
    # Refused here, and not by SQLite in the middle of a commit with other parts in it.
    if not 0 <= number < 1 << 63:
        raise RecordError(f"neither a sequence number nor a time: {number}")
