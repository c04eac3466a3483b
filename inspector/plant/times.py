"""Times as the interface has them: RFC 3339 outside, nanoseconds since the epoch inside.

The plant's modules import it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime


def _of_our_time(at: datetime) -> datetime:
    if not 1970 < at.year < 2200:
        raise ValueError("expected a time between 1971 and 2199")
    return at


Moment = Annotated[AwareDatetime, AfterValidator(_of_our_time)]
"""A time that somebody names; the ledger's nanoseconds hold any of these."""


def now() -> datetime:
    """UTC, for answers."""
    return datetime.now(UTC)


def moment(utc_ns: int) -> datetime:
    """UTC of nanoseconds since the epoch, to the microsecond."""
    return datetime.fromtimestamp(utc_ns // 1000 / 1e6, UTC)


def utc_ns(at: datetime) -> int:
    """Nanoseconds since the epoch, to the microsecond."""
    since = at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
