"""A segment: a run of exact records on its way to the centre, signed and compressed.

Enters: records in their order, the Merkle root before them, the station's key. Leaves: bytes, and
the way back, checked. The station's sync and the centre's ingest import this.

``ISEG``, a version byte, the head's length (u32, big-endian), the head in the ledger's CBOR, an
Ed25519 signature over ``inspector-segment\\0`` and the head, then one zstd frame: the length of
each record (u32), then the records. The head names station, ledger, first position, count, the
length and SHA-256 of what is in the frame, the roots before and after, and the checkpoints that
come with it: so the signature covers every record, and the centre builds the root from the
records alone.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from inspector.store.cbor import decode, encode
from inspector.store.checkpoint import Signed
from inspector.store.errors import RecordError
from inspector.store.keys import is_signed, key_id

MAGIC = b"ISEG\x01"
PURPOSE = b"inspector-segment\0"
LEDGERS = ("line", "desk")
MAX_RECORDS = 65_536
MAX_RAW = 32 << 20
"""Bytes of records in one segment."""
MAX_BYTES = MAX_RAW + (1 << 20)
"""A longer file is no segment."""
LEVEL = 3
"""Of zstd."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the station signs of a segment."""

    station: str
    ledger: str
    """``line`` or ``desk``."""
    first: int
    """Position of the first record."""
    count: int
    raw: int
    """Bytes in the frame once it is decompressed."""
    digest: bytes
    """Their SHA-256."""
    before: bytes
    """Root of records 0 … first - 1."""
    root: bytes
    """Root of records 0 … first + count - 1."""
    checkpoints: tuple[Signed, ...]
    """Of the line, oldest first, none beyond ``first + count``."""
    key: bytes
    """`keys.key_id` of the signing key."""


def pack(
    station: str,
    ledger: str,
    first: int,
    records: Sequence[bytes],
    roots: tuple[bytes, bytes],
    checkpoints: Sequence[Signed],
    key: Ed25519PrivateKey,
) -> bytes:
    """The segment's bytes; ``roots`` are those before and after."""
    raw = struct.pack(f">{len(records)}I", *map(len, records)) + b"".join(records)
    head = encode(
        [
            station,
            ledger,
            first,
            len(records),
            len(raw),
            sha256(raw).digest(),
            *roots,
            [[one.body, one.signature] for one in checkpoints],
            key_id(key.public_key()),
        ]
    )
    frame = zstandard.ZstdCompressor(level=LEVEL).compress(raw)
    return b"".join((MAGIC, struct.pack(">I", len(head)), head, key.sign(PURPOSE + head), frame))


def unpack(content: bytes, key: Ed25519PublicKey) -> tuple[Head, list[bytes]]:
    """The records of a segment that this key signed, in their order.

    Raises:
        RecordError: it did not, or these bytes are no whole segment; the text says which.
    """
    head, signed, signature, frame = _split(content)
    if head.key != key_id(key):
        raise RecordError(f"signed by key {head.key.hex()}, not by the station's")
    if not is_signed(key, signature, PURPOSE + signed):
        raise RecordError("the signature is not the station's")
    try:
        if zstandard.frame_content_size(frame) != head.raw:
            raise RecordError("its records are not as long as its head says")
        raw = zstandard.ZstdDecompressor().decompress(frame, max_output_size=head.raw)
    except zstandard.ZstdError as error:
        raise RecordError(f"its records cannot be decompressed: {error}") from error
    if len(raw) != head.raw or sha256(raw).digest() != head.digest:
        raise RecordError("its records are not those that were signed")
    at = 4 * head.count
    lengths = struct.unpack(f">{head.count}I", raw[:at])
    if at + sum(lengths) != len(raw):
        raise RecordError("its records are not as long as they say")
    records = []
    for length in lengths:
        records.append(raw[at : at + length])
        at += length
    return head, records


def _split(content: bytes) -> tuple[Head, bytes, bytes, bytes]:
    if len(content) > MAX_BYTES or content[:5] != MAGIC or len(content) < 9:
        raise RecordError("these bytes are no segment")
    end = 9 + int.from_bytes(content[5:9], "big")
    signed, signature, frame = content[9:end], content[end : end + 64], content[end + 64 :]
    if len(signature) != 64:
        raise RecordError("the segment ends in its head")
    fields = decode(signed)
    types = (str, str, int, int, int, bytes, bytes, bytes, list, bytes)
    if (
        not isinstance(fields, list)
        or len(fields) != len(types)
        or not all(type(f) is t for f, t in zip(fields, types, strict=True))
    ):
        raise RecordError("these bytes are no segment")
    station, ledger, first, count, raw, digest, before, root, checkpoints, key = fields
    if (
        ledger not in LEDGERS
        or not 0 <= first < 1 << 62
        or not 0 <= count <= MAX_RECORDS
        or not 4 * count <= raw <= MAX_RAW
        or not all(
            isinstance(one, list) and [type(part) for part in one] == [bytes, bytes]
            for one in checkpoints
        )
    ):
        raise RecordError("the segment's head says what none may say")
    signs = tuple(Signed(*one) for one in checkpoints)
    head = Head(station, ledger, first, count, raw, digest, before, root, signs, key)
    return head, signed, signature, frame
