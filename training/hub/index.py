"""A segment's records as rows of the index: what can be asked for without opening a segment.

Enters: exact records in their order, the definitions before them. Leaves: rows by table, in the
order of `COLUMNS`. Only `ingest` imports this; nothing here knows a database.

Of a pass only the numbers at its beginning and its serial are read (`skim`); what is wrong with a
part is decoded whole. Every record is kept whole in its segment in any case.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from inspector.store.errors import RecordError
from inspector.store.layout import decode_record, fields_of
from inspector.store.records import (
    MODE_NUMBER,
    Defined,
    Definition,
    DeskRecord,
    Kind,
)
from inspector.store.skim import gate_keys, verdict_keys

COLUMNS: dict[str, tuple[str, ...]] = {
    "definition": ("station_id", "position", "what", "body"),
    "context": (
        "station_id", "position", "stream_at", "stream", "mode", "batch", "recipe",
        "recipe_digest", "models", "software",
    ),
    "verdict": (
        "station_id", "position", "context", "sequence", "outcome", "utc_ns", "part", "serial",
    ),
    "finding": (
        "station_id", "position", "number", "tool", "kind", "label", "view", "severity", "score",
        "box", "text", "value", "reason", "utc_ns",
    ),
    "gate": (
        "station_id", "stream_at", "sequence", "position", "action", "acknowledged", "utc_ns",
    ),
    "tally": ("station_id", "hour", "context", "outcome", "parts"),
    "batch": (
        "station_id", "position", "batch", "action", "principal", "product", "recipe", "utc_ns",
    ),
    "event": ("station_id", "ledger", "position", "kind", "principal", "utc_ns", "body"),
    "image": ("station_id", "position", "part", "view", "digest", "size"),
    "review": (
        "station_id", "position", "part", "view", "decision", "outcome", "labels", "reason",
        "principal", "utc_ns",
    ),
}  # fmt: skip
"""Tables that a segment fills, and the columns of a row."""

HOUR_NS = 3_600_000_000_000
REVIEW = "review"
"""The kind of desk records that have a table of their own."""


class Rows:
    """What one segment adds to the index."""

    def __init__(
        self,
        station_id: int,
        lookup: Callable[[int], Definition | None],
        before: Callable[[], int],
    ) -> None:
        """``lookup`` gives definitions of earlier segments by position, or None; ``before`` the
        instant of the last verdict of earlier segments, or 0."""
        self.tables: dict[str, list[tuple[Any, ...]]] = {name: [] for name in COLUMNS}
        self.fresh: dict[int, Definition] = {}
        """Definitions of this segment, by position."""
        self.newest_utc_ns = 0
        self.hours: set[int] = set()
        """Every hour since 1970 in which a row of `weeks.SLICED` lies."""
        self._station = station_id
        self._earlier = lookup
        self._before = before
        self._last: int | None = None
        self._tally: dict[tuple[int, int, int], int] = {}

    def add_all(self, ledger: str, first: int, records: Sequence[bytes]) -> None:
        """Takes the records in.

        Raises:
            RecordError: one is none; the text says at which position.
        """
        one = self._line if ledger == "line" else self._desk
        position = first
        try:
            for position, record in enumerate(records, first):
                one(position, record)
        except (RecordError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            raise RecordError(f"record {position}: {error}") from error
        self.tables["tally"] = [(self._station, *key, n) for key, n in self._tally.items()]
        self.hours.update(hour for hour, _, _ in self._tally)

    def definition(self, position: int) -> Definition:
        """Raises RecordError if there is none at this position."""
        found = self.fresh.get(position) or self._earlier(position)
        if found is None:
            raise RecordError(f"refers to record {position}, which defines nothing")
        return found

    def _line(self, position: int, record: bytes) -> None:
        kind = record[1]
        if kind == Kind.VERDICT:
            self._verdict(position, record)
        elif kind == Kind.GATE:
            stream, sequence, action, heard = gate_keys(record)
            if self._last is None:  # its verdict is in an earlier segment
                self._last = self._before()
                self.hours.add(self._last // HOUR_NS)
            self.tables["gate"].append(
                (self._station, stream, sequence, position, action, int(heard), self._last)
            )
        else:
            self._other(position, record)

    def _verdict(self, position: int, record: bytes) -> None:
        context, sequence, outcome, part, utc_ns, serial = verdict_keys(record)
        serial = None if serial is None else plain(serial)
        if self.definition(context).what is not Defined.CONTEXT:
            raise RecordError(f"refers to record {context} for its context; it is none")
        self.tables["verdict"].append(
            (self._station, position, context, sequence, outcome, utc_ns, part, serial)
        )
        key = (utc_ns // HOUR_NS, context, outcome)
        self._tally[key] = self._tally.get(key, 0) + 1
        self.newest_utc_ns = max(self.newest_utc_ns, utc_ns)
        self._last = utc_ns
        if outcome:
            self._findings(position, utc_ns, record)

    def _findings(self, position: int, utc_ns: int, record: bytes) -> None:
        verdict: Any = decode_record(record, self.definition)
        for number, finding in enumerate(f for f in verdict.findings if not f.ok):
            self.tables["finding"].append(
                (
                    self._station,
                    position,
                    number,
                    plain(finding.tool),
                    plain(finding.kind),
                    plain(finding.label),
                    plain(finding.view),
                    finding.severity.value,
                    finding.score if math.isfinite(finding.score) else 0.0,
                    jsonable(finding.box),
                    None if finding.text is None else plain(finding.text),
                    finding.value,
                    plain(finding.reason),
                    utc_ns,
                )
            )

    def _other(self, position: int, record: bytes) -> None:
        fields = fields_of(record)
        kind = fields[0]
        if kind == Kind.DEFINITION:
            self._definition(position, record)
        elif kind == Kind.EVENT:
            _, _, name, principal, utc_ns, _, body = fields
            self._event("line", position, name, principal, utc_ns, body)
        elif kind == Kind.BATCH:
            _, _, batch, action, principal, product, recipe, _, utc_ns, _ = fields
            texts = [plain(text) for text in (batch, action, principal, product, recipe)]
            self.tables["batch"].append((self._station, position, *texts, _instant(utc_ns)))
        elif kind == Kind.IMAGE:
            _, _, part, view, digest, _, size = fields
            self.tables["image"].append(
                (self._station, position, part, plain(view), digest.hex(), _instant(size))
            )
        else:
            raise RecordError(f"a record of kind {kind} is not the line's")

    def _definition(self, position: int, record: bytes) -> None:
        found = decode_record(record, self.definition)
        assert isinstance(found, Definition)
        self.fresh[position] = found
        self.tables["definition"].append((self._station, position, int(found.what), record))
        if found.what is Defined.CONTEXT:
            stream_at, _, mode, batch, recipe, digest, models, software, _, _ = found.value
            stream = self.definition(stream_at).value[0]
            mode_number = mode if isinstance(mode, int) else MODE_NUMBER[mode]
            self.tables["context"].append(
                (
                    self._station,
                    position,
                    stream_at,
                    plain(stream),
                    mode_number,
                    plain(batch),
                    plain(recipe),
                    plain(digest),
                    [plain(model) for model in models],
                    plain(software),
                )
            )

    def _desk(self, position: int, record: bytes) -> None:
        found = decode_record(record, _defines_nothing)
        if not isinstance(found, DeskRecord):
            raise RecordError("is no record of the desk")
        body = found.body if isinstance(found.body, dict) else {}
        self._event("desk", position, found.kind, found.principal, found.utc_ns, body)
        self.newest_utc_ns = max(self.newest_utc_ns, found.utc_ns)
        if found.kind == REVIEW:
            self._review(position, found, body)

    def _event(
        self, ledger: str, position: int, kind: str, who: str, utc_ns: int, body: Any
    ) -> None:
        self.tables["event"].append(
            (
                self._station,
                ledger,
                position,
                plain(kind),
                plain(who),
                _instant(utc_ns),
                jsonable(body),
            )
        )

    def _review(self, position: int, record: DeskRecord, body: dict[str, Any]) -> None:
        part = part_of(body.get("part"))
        if part is None:
            return  # a review of a serial or a number alone: the event has it
        self.tables["review"].append(
            (
                self._station,
                position,
                part,
                *(plain(str(body.get(name) or "")) for name in ("view", "decision", "outcome")),
                jsonable(body.get("labels") or []),
                plain(str(body.get("reason") or "")),
                plain(record.principal),
                record.utc_ns,
            )
        )


def plain(text: str) -> str:
    """Text that PostgreSQL takes: it has no place for NUL."""
    return text.replace("\0", "\\0") if "\0" in text else text


def jsonable(value: Any) -> Any:
    """A record's value as JSON: bytes in hex, what is no number as null."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {plain(str(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return value


def part_of(text: Any) -> bytes | None:
    """The 16 bytes of a part's id as people and machines write it; None if it is none."""
    try:
        return UUID(text).bytes
    except (ValueError, TypeError, AttributeError):
        return None


def _instant(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 63:
        raise RecordError(f"neither a time nor a size: {value!r:.40}")
    return value


def _defines_nothing(position: int) -> Definition:
    raise RecordError(f"refers to record {position}; the desk's records define nothing")
