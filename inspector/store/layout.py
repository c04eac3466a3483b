"""A record's bytes, and the way back to the noun it came from.

Enters: verdicts, gate decisions, events, batches, images, desk records. Leaves: the exact bytes
that are stored and hashed (I4), and nouns from such bytes. Only `inspector.store` imports this;
`records` says what a definition is, ``docs/ledger.md`` has every field.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from inspector.part import Finding, GateDecision, PartId, Times, Verdict
from inspector.store.cbor import NULL, decode, encode, head, integer, text
from inspector.store.errors import RecordError
from inspector.store.layout_finding import decode_finding, encode_finding
from inspector.store.records import (
    ACTION_NUMBER,
    ACTIONS,
    MAX_BYTES,
    MODE_NUMBER,
    MODES,
    OUTCOME_NUMBER,
    OUTCOMES,
    OUTLINED,
    VERSION,
    BatchChange,
    Defined,
    Definition,
    DeskRecord,
    Event,
    ImageRecord,
    Kind,
    LineHead,
    Lookup,
    Record,
)

_VERDICT_HEAD = head(4, 13) + bytes((Kind.VERDICT, VERSION))
_OUTLINED_HEAD = head(4, 13) + bytes((Kind.VERDICT, OUTLINED))
_GATE_HEAD = head(4, 9) + bytes((Kind.GATE, VERSION))
_ID = head(2, 16)
_NOTHING = head(4, 0)
_EMPTY = head(3, 0)


def context_of(verdict: Verdict, stream: int) -> tuple[Any, ...]:
    """What a verdict shares with its neighbours; ``stream`` is its definition's position."""
    return (
        stream,
        verdict.station,
        MODE_NUMBER[verdict.mode],
        verdict.batch,
        verdict.recipe,
        verdict.recipe_digest,
        verdict.model_digests,
        verdict.software,
        verdict.times.boot_id,
        verdict.times.clock_synced,
    )


def encode_definition(what: Defined, value: tuple[Any, ...]) -> bytes:
    """``[0, version, what, value]``."""
    return _bounded(encode([Kind.DEFINITION, VERSION, what, value]))


def encode_verdict(verdict: Verdict, context: int, shapes: Sequence[int]) -> bytes:
    """``[1, version, context, sequence, outcome, part id, trigger, frame - trigger or null,
    verdict - trigger or null, utc, findings, reasons, serial or null]``."""
    times = verdict.times
    trigger = times.trigger_ns
    parts = [
        _OUTLINED_HEAD if any(f.outline for f in verdict.findings) else _VERDICT_HEAD,
        integer(context),
        integer(verdict.sequence),
        integer(OUTCOME_NUMBER[verdict.outcome]),
        _ID,
        verdict.part_id.bytes,
        integer(trigger),
        integer(times.frame_ns - trigger) if times.frame_ns else NULL,
        integer(times.verdict_ns - trigger) if times.verdict_ns else NULL,
        integer(times.utc_ns),
    ]
    if verdict.findings:
        parts.append(head(4, len(verdict.findings)))
        for finding, shape in zip(verdict.findings, shapes, strict=True):
            encode_finding(parts, finding, shape)
    else:
        parts.append(_NOTHING)
    if verdict.reasons:
        parts.append(head(4, len(verdict.reasons)))
        parts.extend([text(reason) for reason in verdict.reasons])
    else:
        parts.append(_NOTHING)
    parts.append(NULL if verdict.serial is None else text(verdict.serial))
    return _bounded(b"".join(parts))


def encode_gate(decision: GateDecision, stream: int) -> bytes:
    """``[2, version, stream, sequence, action, part id, decided, acknowledged - decided or null,
    reason]``."""
    decided, acknowledged = decision.decided_ns, decision.acknowledged_ns
    return _bounded(
        b"".join(
            (
                _GATE_HEAD,
                integer(stream),
                integer(decision.sequence),
                integer(ACTION_NUMBER[decision.action]),
                _ID,
                decision.part_id.bytes,
                integer(decided),
                integer(acknowledged - decided) if acknowledged else NULL,
                text(decision.reason) if decision.reason else _EMPTY,
            )
        )
    )


def encode_event(event: Event) -> bytes:
    """``[3, version, kind, principal, utc, monotonic, body]``."""
    return _bounded(
        encode(
            [
                Kind.EVENT,
                VERSION,
                event.kind,
                _someone(event.principal),
                event.utc_ns,
                event.monotonic_ns,
                event.body,
            ]
        )
    )


def encode_batch(change: BatchChange) -> bytes:
    """``[4, version, id, action, principal, product, recipe, texts, utc, monotonic]``."""
    return _bounded(
        encode(
            [
                Kind.BATCH,
                VERSION,
                change.id,
                change.action,
                _someone(change.principal),
                change.product,
                change.recipe,
                change.texts,
                change.utc_ns,
                change.monotonic_ns,
            ]
        )
    )


def encode_image(image: ImageRecord) -> bytes:
    """``[5, version, part id, view, digest, path, size]``."""
    if not re.fullmatch("[0-9a-f]{64}", image.digest):
        raise RecordError(f"no SHA-256 in hex: {image.digest!r:.80}")
    digest = bytes.fromhex(image.digest)
    return _bounded(
        encode(
            [
                Kind.IMAGE,
                VERSION,
                image.part_id.bytes,
                image.view,
                digest,
                image.path,
                image.size,
            ]
        )
    )


def encode_desk(record: DeskRecord) -> bytes:
    """``[6, version, kind, principal, utc, body, [line size, root, newest, its leaf]]``."""
    line = record.line
    return _bounded(
        encode(
            [
                Kind.DESK,
                VERSION,
                record.kind,
                _someone(record.principal),
                record.utc_ns,
                record.body,
                [line.size, line.root, line.newest, line.newest_leaf],
            ]
        )
    )


def _someone(principal: str) -> str:
    if not isinstance(principal, str) or not principal.strip():
        raise RecordError("every write names its principal (I9): it is empty here")
    return principal


def _bounded(body: bytes) -> bytes:
    if len(body) > MAX_BYTES:
        raise RecordError(f"a record of {len(body)} bytes; at most {MAX_BYTES} are stored")
    return body


def fields_of(body: bytes) -> list[Any]:
    """The plain CBOR array of a record of a known kind and version.

    Raises:
        RecordError: no array, or a kind or version that this software does not know.
    """
    fields = decode(body)
    if not isinstance(fields, list) or len(fields) < 3:
        raise RecordError("these bytes are no record")
    number, version = fields[:2]
    if type(number) is not int or number not in Kind.__members__.values():
        raise RecordError(f"a record of unknown kind {number!r:.40}")
    if version != VERSION and (number, version) != (Kind.VERDICT, OUTLINED):
        raise RecordError(f"a record of version {version!r:.40}; this software reads {VERSION}")
    return fields


def decode_record(body: bytes, lookup: Lookup) -> Record:
    """The noun that these bytes stand for.

    Raises:
        RecordError: they stand for none; never another exception, whatever the bytes.
    """
    return record_of(fields_of(body), lookup)


def definition(body: bytes) -> Definition:
    """The definition that these bytes are. Raises ``RecordError`` if they are none."""
    record = decode_record(body, _nothing)
    if not isinstance(record, Definition):
        raise RecordError("is referred to, and defines nothing")
    return record


def desk_record(body: bytes) -> DeskRecord:
    """The desk's record that these bytes are. Raises ``RecordError`` if they are none."""
    record = decode_record(body, _nothing)
    if not isinstance(record, DeskRecord):
        raise RecordError("is no record of the desk")
    return record


def _nothing(position: int) -> Definition:
    raise RecordError(f"refers to record {position}; neither a definition nor the desk does")


def record_of(fields: list[Any], lookup: Lookup) -> Record:
    """The noun that the plain array of a record (`fields_of`) stands for.

    Raises:
        RecordError: it stands for none; never another exception.
    """
    try:
        return _DECODERS[Kind(fields[0])](fields, lookup)
    except RecordError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, struct.error) as error:
        name = Kind(fields[0]).name.lower()
        raise RecordError(f"a {name} record that does not hold what one holds: {error}") from error


def _decode_definition(fields: list[Any], lookup: Lookup) -> Definition:
    _, _, what, value = fields
    return Definition(Defined(what), tuple(tuple(v) if isinstance(v, list) else v for v in value))


def _decode_verdict(fields: list[Any], lookup: Lookup) -> Verdict:
    (_, _, context, sequence, outcome, part_id, trigger, frame, judged, utc) = fields[:10]
    findings, reasons, serial = fields[10:]
    (stream, station, mode, batch, recipe, recipe_digest, models, software, boot_id, synced) = (
        _defined(lookup, context, Defined.CONTEXT)
    )
    return Verdict(
        part_id=PartId(UUID(bytes=part_id)),
        station=station,
        stream=_defined(lookup, stream, Defined.STREAM)[0],
        sequence=sequence,
        outcome=_nth(OUTCOMES, outcome),
        mode=_nth(MODES, mode),
        batch=batch,
        times=Times(
            trigger_ns=trigger,
            frame_ns=0 if frame is None else trigger + frame,
            verdict_ns=0 if judged is None else trigger + judged,
            utc_ns=utc,
            boot_id=boot_id,
            clock_synced=synced,
        ),
        recipe=recipe,
        recipe_digest=recipe_digest,
        model_digests=tuple(models),
        software=software,
        reasons=tuple(reasons),
        findings=tuple([_decode_finding(finding, lookup) for finding in findings]),
        serial=serial,
    )


def _decode_finding(fields: list[Any], lookup: Lookup) -> Finding:
    return decode_finding(fields, _defined(lookup, fields[0], Defined.SHAPE))


def _nth(values: tuple[Any, ...], number: int) -> Any:
    if number < 0:
        raise RecordError(f"a number that stands for nothing: {number}")
    return values[number]


def _defined(lookup: Lookup, position: int, what: Defined) -> tuple[Any, ...]:
    definition = lookup(position)
    if definition.what is not what:
        raise RecordError(f"refers to record {position} for its {what.name.lower()}; it is none")
    return definition.value


def _decode_gate(fields: list[Any], lookup: Lookup) -> GateDecision:
    _, _, stream, sequence, action, part_id, decided, acknowledged, reason = fields
    return GateDecision(
        part_id=PartId(UUID(bytes=part_id)),
        stream=_defined(lookup, stream, Defined.STREAM)[0],
        sequence=sequence,
        action=_nth(ACTIONS, action),
        reason=reason,
        decided_ns=decided,
        acknowledged_ns=0 if acknowledged is None else decided + acknowledged,
    )


def _decode_event(fields: list[Any], lookup: Lookup) -> Event:
    return Event(*fields[2:])


def _decode_batch(fields: list[Any], lookup: Lookup) -> BatchChange:
    return BatchChange(*fields[2:])


def _decode_image(fields: list[Any], lookup: Lookup) -> ImageRecord:
    _, _, part_id, view, digest, path, size = fields
    return ImageRecord(PartId(UUID(bytes=part_id)), view, digest.hex(), path, size)


def _decode_desk(fields: list[Any], lookup: Lookup) -> DeskRecord:
    _, _, kind, principal, utc_ns, body, line = fields
    if [type(item) for item in line] != [int, bytes, int, bytes]:
        raise RecordError("a desk record that names no head of the line")
    return DeskRecord(kind, principal, utc_ns, body, LineHead(*line))


_DECODERS: dict[Kind, Callable[[list[Any], Lookup], Record]] = {
    Kind.DEFINITION: _decode_definition,
    Kind.VERDICT: _decode_verdict,
    Kind.GATE: _decode_gate,
    Kind.EVENT: _decode_event,
    Kind.BATCH: _decode_batch,
    Kind.IMAGE: _decode_image,
    Kind.DESK: _decode_desk,
}
