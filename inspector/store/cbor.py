"""The bytes of a record: a deterministic subset of CBOR (RFC 8949, section 4.2).

Enters: ``None``, bool, int (64 bit), float, str, bytes, list or tuple, dict with text keys.
Leaves: bytes, and the way back. Only `inspector.store` imports this.

Why CBOR and not JSON: a UUID, a digest, a time in nanoseconds and a float32 take 17, 34, 9 and 5
bytes instead of 38, 66, 19 and up to 20, which is the difference between a pass that fits in
250 bytes and one that does not; and any CBOR reader of the next decades reads it without this code.
Why not a library: the hot path writes fixed layouts faster than a general encoder can, and what is
left is small enough to be strict about. The decoder refuses what the encoder would not have
written (long forms of short integers, unsorted keys, trailing bytes), so a record has one spelling.
"""

from __future__ import annotations

import struct
from typing import Any

from inspector.store.errors import RecordError

MAX_DEPTH = 16
"""Deeper nesting is refused: nothing of ours nests deeper than 6."""

_f32 = struct.Struct(">f")
_f64 = struct.Struct(">d")
_pack_u16 = struct.Struct(">BH").pack
_pack_u32 = struct.Struct(">BI").pack
_pack_u64 = struct.Struct(">BQ").pack
_pack_f32 = struct.Struct(">Bf").pack
_pack_f64 = struct.Struct(">Bd").pack
_SHORT = tuple(bytes([n]) if n < 24 else bytes([24, n]) for n in range(256))

NULL = b"\xf6"


def head(major: int, number: int) -> bytes:
    """The initial bytes of an item of a major type (0..7), in their shortest form."""
    first = major << 5
    if number < 24:
        return bytes((first | number,))
    if number < 0x100:
        return bytes((first | 24, number))
    if number < 0x10000:
        return _pack_u16(first | 25, number)
    if number < 0x100000000:
        return _pack_u32(first | 26, number)
    if number < 0x10000000000000000:
        return _pack_u64(first | 27, number)
    raise RecordError(f"{number} does not fit in 64 bits")


def integer(number: int) -> bytes:
    """An integer in -2**64 .. 2**64-1."""
    if number < 0:
        return head(1, -1 - number)
    if number < 256:
        return _SHORT[number]
    return head(0, number)


def plain(value: str) -> str:
    """Text that UTF-8 can hold: a lone surrogate (of a damaged code) becomes its escape."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


def text(value: str) -> bytes:
    """UTF-8 of `plain` text: no verdict is lost to a code that was read wrongly."""
    raw = value.encode("utf-8", "backslashreplace")
    return head(3, len(raw)) + raw


def float32(value: float) -> bytes:
    """A float at 24 bits of precision: what models compute in. Too large becomes infinity."""
    try:
        return _pack_f32(0xFA, value)
    except OverflowError:
        return _pack_f32(0xFA, float("inf") if value > 0 else float("-inf"))


def float64(value: float) -> bytes:
    """A float at full precision."""
    return _pack_f64(0xFB, value)


def encode(value: Any, depth: int = 0) -> bytes:
    """Any value of the subset.

    Raises:
        RecordError: a type outside the subset, a key that is no text, nesting beyond `MAX_DEPTH`.
    """
    if depth > MAX_DEPTH:
        raise RecordError(f"nested deeper than {MAX_DEPTH}")
    if value is None:
        return NULL
    if value is True:
        return b"\xf5"
    if value is False:
        return b"\xf4"
    if isinstance(value, int):
        return integer(int(value))
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return float64(value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, list | tuple):
        return head(4, len(value)) + b"".join([encode(item, depth + 1) for item in value])
    if isinstance(value, dict):
        pairs = []
        for key, item in value.items():
            if not isinstance(key, str):
                raise RecordError(f"the key {key!r} is no text")
            pairs.append((text(key), encode(item, depth + 1)))
        pairs.sort()
        return head(5, len(pairs)) + b"".join([key + item for key, item in pairs])
    raise RecordError(f"a {type(value).__name__} cannot be recorded: {value!r:.60}")


def decode(data: bytes) -> Any:
    """The value of exactly these bytes.

    Raises:
        RecordError: for anything that `encode` would not have written; never another exception.
    """
    if not isinstance(data, bytes | bytearray):  # what a spoiled row of a database may give instead
        raise RecordError("there are no bytes here")
    value, end = _item(data, 0, 0)
    if end != len(data):
        raise RecordError(f"{len(data) - end} bytes after the end of the record")
    return value


def _argument(data: bytes, at: int, info: int) -> tuple[int, int]:
    if info < 24:
        return info, at
    if info > 27:
        raise RecordError(f"byte {at - 1}: a form that records do not use")
    width = 1 << (info - 24)
    if at + width > len(data):
        raise RecordError("the record ends in the middle of a number")
    number = int.from_bytes(data[at : at + width], "big")
    if number < (24, 0x100, 0x10000, 0x100000000)[info - 24]:
        raise RecordError(f"byte {at - 1}: a number longer than it needs to be")
    return number, at + width


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if at >= len(data):
        raise RecordError("the record ends too early")
    if depth > MAX_DEPTH:
        raise RecordError(f"nested deeper than {MAX_DEPTH}")
    first = data[at]
    major, info = first >> 5, first & 31
    if major == 7:
        return _simple(data, at, info)
    number, at = _argument(data, at + 1, info)
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if number > len(data) - at:
        raise RecordError("a length that goes beyond the record")
    if major == 2:
        return data[at : at + number], at + number
    if major == 3:
        try:
            return data[at : at + number].decode(), at + number
        except UnicodeDecodeError as error:
            raise RecordError(f"byte {at}: text that is not UTF-8") from error
    if major == 4:
        items = []
        for _ in range(number):
            item, at = _item(data, at, depth + 1)
            items.append(item)
        return items, at
    if major == 5:
        return _map(data, at, number, depth)
    raise RecordError(f"byte {at}: a form that records do not use")


def _map(data: bytes, at: int, number: int, depth: int) -> tuple[dict[str, Any], int]:
    result: dict[str, Any] = {}
    before = b""
    for _ in range(number):
        start = at
        key, at = _item(data, at, depth + 1)
        spelled = data[start:at]
        if not isinstance(key, str) or spelled <= before:
            raise RecordError(f"byte {start}: keys that are no text, twice there or out of order")
        before = spelled
        result[key], at = _item(data, at, depth + 1)
    return result, at


def _simple(data: bytes, at: int, info: int) -> tuple[Any, int]:
    if info in (20, 21, 22):
        return (False, True, None)[info - 20], at + 1
    if info in (26, 27):
        form = _f32 if info == 26 else _f64
        if at + 1 + form.size > len(data):
            raise RecordError("the record ends in the middle of a number")
        return form.unpack_from(data, at + 1)[0], at + 1 + form.size
    raise RecordError(f"byte {at}: a form that records do not use")
