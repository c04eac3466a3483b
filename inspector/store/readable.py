"""A record as plain JSON values, so that people and other programs can read what was hashed.

Enters: a record's noun. Leaves: dicts of text, numbers, lists, with the field names of the noun.
Proofs, packages and exports use it; every room may. The same record always gives the same values,
so whoever holds the bytes can check the words.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from inspector.part import GateDecision, Verdict
from inspector.store.records import (
    BatchChange,
    Definition,
    DeskRecord,
    Event,
    ImageRecord,
    Record,
)

KINDS: dict[type, str] = {
    Definition: "definition",
    Verdict: "verdict",
    GateDecision: "gate",
    Event: "event",
    BatchChange: "batch",
    ImageRecord: "image",
    DeskRecord: "desk",
}


def readable(record: Record) -> dict[str, Any]:
    """``{"kind": …, …}``; bytes and ids as text in hex, a float that is no number as its name.

    A desk record's or an event's own kind is ``name`` here. Times in nanoseconds stay integers, and
    ``utc`` says the same in ISO 8601.
    """
    fields: dict[str, Any] = asdict(record)
    if "kind" in fields:
        fields["name"] = fields.pop("kind")
    if isinstance(record, Definition):
        fields["what"] = record.what.name.lower()
    if isinstance(record, Verdict):
        for finding in fields["findings"]:
            if not finding["outline"]:  # words of records from before outlines stay what they were
                del finding["outline"]
        fields["utc"] = iso_utc(record.times.utc_ns)
    elif isinstance(record, Event | BatchChange | DeskRecord):
        fields["utc"] = iso_utc(record.utc_ns)
    return {"kind": KINDS[type(record)], **_plain(fields)}


def iso_utc(utc_ns: int) -> str:
    """ISO 8601 in UTC, to the millisecond; empty for a time that no calendar has."""
    try:
        when = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC)
    except (ValueError, OverflowError, OSError, TypeError):
        return ""
    return f"{when:%Y-%m-%dT%H:%M:%S}.{utc_ns // 1_000_000 % 1000:03d}Z"


def spelled(value: Any) -> str:
    """JSON in one spelling: equal values, equal text."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str):
        return str(value)  # an enum's value, without its class
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value
