"""Days and moments as people give them in an address: text enters, UTC nanoseconds leave."""

from __future__ import annotations

from datetime import datetime, timedelta


def moment_of(text: str, later_days: int = 0) -> int | None:
    """A day, or a day and a time, by the station's clock; None where it is neither.

    ``later_days`` is added to a day without a time: an end's day counts whole.
    """
    try:
        when = datetime.fromisoformat(text)
        if len(text) <= 10:
            when += timedelta(days=later_days)
        return int(when.astimezone().timestamp() * 1e9)
    except (ValueError, OverflowError):
        return None
