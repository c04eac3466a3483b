"""The few numbers of a record that many are asked for, read where they stand.

Enters: a record's exact bytes. Leaves: a verdict's or gate decision's keys, in a quarter of the
time that decoding it whole takes, and the figures of a verdict's findings. Sync, the centre's index
and `tail` import this; `layout` says what all of the bytes mean.
"""

from __future__ import annotations

import struct

from inspector.store.errors import RecordError

_WIDTHS = {24: 1, 25: 2, 26: 4, 27: 8}
_SCORE = struct.Struct(">f").unpack_from
_VALUE = struct.Struct(">d").unpack_from
Numbers = tuple[int, float, float | None]
"""Of a finding: the position of its shape, its score, its value."""


def _head(record: bytes) -> tuple[int, int, int, bytes, int]:
    """Context, sequence, outcome, part id, and where the verdict's times begin."""
    context, at = number(record, 3)
    sequence, at = number(record, at)
    outcome = record[at]
    if record[at + 1] != 0x50 or outcome > 3:
        raise RecordError("a verdict that does not hold what one holds")
    return context, sequence, outcome, record[at + 2 : at + 18], at + 18


def verdict_keys(record: bytes) -> tuple[int, int, int, bytes, int, str | None]:
    """Context, sequence, outcome, part id, UTC and serial of a verdict's bytes."""
    context, sequence, outcome, part, at = _head(record)
    utc_ns, at = number(record, after(record, at, 3))
    if (sequence | utc_ns) >> 63:
        raise RecordError("neither a sequence number nor a time")
    if record[-1] == 0xF6:  # null: no UTF-8 ends in this byte
        return context, sequence, outcome, part, utc_ns, None
    at = after(record, at, 2)
    length, at = number(record, at, 3)
    return context, sequence, outcome, part, utc_ns, record[at : at + length].decode()


def verdict_ms(record: bytes) -> int:
    """When a verdict's part triggered, UTC ms, as its id says; the first 48 bytes will do."""
    return int.from_bytes(_head(record)[3][:6], "big")


def verdict_numbers(
    record: bytes,
) -> tuple[int, int, int, bytes, int, int, list[Numbers]]:
    """Context, sequence, outcome, part id, trigger, UTC and findings' `Numbers` of a verdict's
    bytes. Raises ``RecordError``, ``IndexError`` or ``struct.error`` where they are none."""
    context, sequence, outcome, part, at = _head(record)
    trigger_ns, at = number(record, at)
    utc_ns, at = number(record, after(record, at, 2))
    count, at = number(record, at, 4)
    found: list[Numbers] = []
    for _ in range(count):
        # Written out, because twenty of them stand on a part: a call for each item costs twice
        # what all of this does.
        items = record[at] - 0x80
        first = record[at + 1]
        if first == 0x19:
            shape, at = record[at + 2] << 8 | record[at + 3], at + 4
        else:
            shape, at = number(record, at + 1)
        if not 2 <= items <= 7 or record[at] != 0xFA:
            raise RecordError("a finding that does not hold what one holds")
        score: float = _SCORE(record, at + 1)[0]
        value: float | None = None
        at += 5
        if items > 2:
            first = record[at]
            if first == 0xF6:
                at += 1
            elif first == 0x50:
                at += 17
            else:
                raise RecordError("a box that is none")
        if items > 3:
            first = record[at]
            if first == 0xF6:
                at += 1
            elif 0x60 <= first < 0x78:
                at += first - 0x5F
            else:
                length, at = number(record, at, 3)
                at += length
        if items > 4:
            if record[at] == 0xFB:
                value = _VALUE(record, at + 1)[0]
                at += 9
            elif record[at] == 0xF6:
                at += 1
            else:
                raise RecordError("a value that is none")
            if items > 5:
                at = after(record, at, items - 5)
        found.append((shape, score, value))
    return context, sequence, outcome, part, trigger_ns, utc_ns, found


def gate_keys(record: bytes) -> tuple[int, int, int, bool]:
    """Stream's position, sequence, action, and whether it was acknowledged, of a gate's bytes."""
    stream, at = number(record, 3)
    sequence, at = number(record, at)
    action = record[at]
    if record[at + 1] != 0x50 or sequence >> 63 or action > 2:
        raise RecordError("a gate decision that does not hold what one holds")
    _, at = number(record, at + 18)
    return stream, sequence, action, record[at] != 0xF6


def number(record: bytes, at: int, major: int = 0) -> tuple[int, int]:
    """The argument of a CBOR item of a major type, and where the next byte is."""
    first = record[at] - (major << 5)
    if 0 <= first < 24:
        return first, at + 1
    width = _WIDTHS.get(first)
    if width is None:
        raise RecordError(f"byte {at}: another item stands here")
    return int.from_bytes(record[at + 1 : at + 1 + width], "big"), at + 1 + width


def after(record: bytes, at: int, items: int) -> int:
    """Where the byte after so many CBOR items is, whatever they hold."""
    while items:
        first = record[at]
        major, info = first >> 5, first & 31
        if info < 24:
            argument, at = info, at + 1
        else:
            width = _WIDTHS[info]
            argument, at = int.from_bytes(record[at + 1 : at + 1 + width], "big"), at + 1 + width
        items -= 1
        if major in (2, 3):
            at += argument
        elif major == 4:
            items += argument
        elif major == 5:
            items += 2 * argument
    return at
