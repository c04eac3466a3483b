"""Under what a kept part was judged, for whoever judges it again: its batch, and the day.

A batch that was ended goes on with other texts where somebody has begun it anew, as after a lot
that was typed wrong: each part is of the beginning before it. The day was the station's, which
another machine, or a shell on the same one, may not share. Imported by `retry`, `heat`, `teach` and
by who builds data sets.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, tzinfo
from zoneinfo import ZoneInfo

from inspector.part import Batch
from inspector.store.query import History, PartHistory
from inspector.store.records import BatchChange


def batch_of(history: History, part: PartHistory) -> Batch:
    """The batch of a part with what was to be made and printed then."""
    id = part.verdict.batch
    before = (
        "SELECT position FROM batch WHERE id = ? AND position < ? ORDER BY position DESC LIMIT 1"
    )
    for _, begun in history.found(BatchChange, before, id, part.position):
        return Batch(id, begun.product, begun.recipe, begun.texts)
    return Batch(id)


def zone_of(history: History) -> tzinfo | None:
    """The time zone by which the line knew the day when it was started last; None, which is this
    machine's, where that is not on record."""
    for started in history.events("line_started", 1):
        with suppress(OSError, ValueError, KeyError):
            return ZoneInfo(str(started.body.get("zone", "")))
    return None


def day_of(part: PartHistory, zone: tzinfo | None) -> date:
    """The day on which a part was judged, by the clock of ``zone``."""
    at = datetime.fromtimestamp(part.verdict.times.utc_ns / 1e9, UTC)
    return at.astimezone(zone).date()
