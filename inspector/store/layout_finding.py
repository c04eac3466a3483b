"""A finding's bytes inside a verdict's record, and the way back.

Only `layout` imports the two codecs, `entries` what findings share; ``docs/ledger.md`` has every
field.
"""

from __future__ import annotations

import struct
from typing import Any

from inspector.part import Finding, Severity
from inspector.store.cbor import NULL, encode, float32, float64, head, integer, text
from inspector.store.errors import RecordError

_box = struct.Struct(">B4f").pack
_unbox = struct.Struct(">4f").unpack


def shape_of(finding: Finding) -> tuple[Any, ...]:
    """What a finding shares with its like on other parts."""
    return (
        finding.tool,
        finding.kind,
        finding.label,
        finding.ok,
        finding.view,
        finding.severity.value,
        finding.unit,
    )


def encode_finding(parts: list[bytes], finding: Finding, shape: int) -> None:
    """Appends ``[shape, score, box, text, value, reason, outline]``, cut after the last that says
    something; ``shape`` is its definition's position."""
    items = 2
    if finding.outline:
        items = 7
    elif finding.reason:
        items = 6
    elif finding.value is not None:
        items = 5
    elif finding.text is not None:
        items = 4
    elif finding.box is not None:
        items = 3
    parts.append(head(4, items))
    parts.append(integer(shape))
    parts.append(float32(finding.score))
    if items >= 3:
        parts.append(NULL if finding.box is None else _packed_box(finding.box))
    if items >= 4:
        parts.append(NULL if finding.text is None else text(finding.text))
    if items >= 5:
        parts.append(NULL if finding.value is None else float64(finding.value))
    if items >= 6:
        parts.append(text(finding.reason))
    if items == 7:
        parts.append(encode([_packed_ring(ring) for ring in finding.outline]))


def _packed_box(box: tuple[float, float, float, float]) -> bytes:
    # a byte string of four big-endian float32: 17 bytes, where four CBOR floats take 21
    try:
        return _box(0x50, *box)
    except (struct.error, OverflowError, TypeError) as error:
        raise RecordError(f"a box that is no four numbers of pixels: {box!r:.80}") from error


def _packed_ring(ring: tuple[tuple[int, int], ...]) -> bytes:
    # a byte string of big-endian uint16: x, y of each corner
    try:
        return struct.pack(f">{2 * len(ring)}H", *(side for corner in ring for side in corner))
    except (struct.error, TypeError) as error:
        raise RecordError(f"an outline that has no pixels for corners: {ring!r:.80}") from error


def decode_finding(fields: list[Any], shape: tuple[Any, ...]) -> Finding:
    """The finding of these fields; raises what ``layout`` turns into a ``RecordError``."""
    absent: list[Any] = [None] * (7 - len(fields))
    _, score, box, said, value, reason, rings = fields + absent
    tool, kind, label, ok, view, severity, unit = shape
    return Finding(
        tool=tool,
        kind=kind,
        label=label,
        ok=ok,
        score=score,
        box=None if box is None else _unbox(box),
        view=view,
        severity=Severity(severity),
        text=said,
        value=value,
        unit=unit,
        reason=reason or "",
        outline=tuple([_ring(ring) for ring in rings or ()]),
    )


def _ring(packed: bytes) -> tuple[tuple[int, int], ...]:
    sides = struct.unpack(f">{len(packed) // 2}H", packed)
    return tuple(zip(sides[::2], sides[1::2], strict=True))
