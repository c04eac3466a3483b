"""Under what a kept part was judged, for whoever judges it again: a part enters, its batch leaves.

A batch that was ended goes on with other texts where somebody has begun it anew, as after a lot
that was typed wrong: each part is of the beginning before it. Imported by `retry`, `heat` and by
who builds data sets.
"""

from __future__ import annotations

from inspector.part import Batch
from inspector.store.query import History, PartHistory
from inspector.store.records import BatchChange


def batch_of(history: History, part: PartHistory) -> Batch:
    """The batch of a part with what was to be made and printed then."""
    id = part.verdict.batch
    with history._bounded(history._line) as line:
        before = line.execute(
            "SELECT position FROM batch WHERE id = ? AND position < ?"
            " ORDER BY position DESC LIMIT 1",
            (id, part.position),
        ).fetchone()
        found = history._record(line, before[0]) if before else None
    if not isinstance(found, BatchChange):
        return Batch(id)
    return Batch(id, found.product, found.recipe, found.texts)
