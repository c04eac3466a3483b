"""Checkpoints: one signature over everything the ledger held at a moment.

Enters: the heads of both files, a key. Leaves: signed bytes, kept in line.db, and a copy of each in
``<data>/checkpoints/line.jsonl`` so that a ledger that was cut or replaced is found out; the centre
keeps another. Only `inspector.store` and whoever sends or checks checkpoints import this.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from inspector.store.cbor import decode, encode
from inspector.store.errors import RecordError
from inspector.store.keys import is_signed, key_id
from inspector.store.records import VERSION, Kind

COPY_FILE = "checkpoints/line.jsonl"
HELD_FILE = "checkpoints/centre.json"
"""The newest checkpoint that the centre countersigned: it holds another copy."""
MARK_BYTES = 8
"""How much of each leaf hash a checkpoint carries: enough to name the record that was changed by
someone who also mended the unsigned mark beside it (a second preimage costs 2**64)."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed."""

    number: int
    """0, 1, 2 …"""
    station: str
    line_size: int
    """Records in line.db that this checkpoint covers: positions 0 … line_size - 1."""
    line_root: bytes
    desk_size: int
    desk_root: bytes
    utc_ns: int
    previous: bytes
    """SHA-256 of the previous checkpoint's body; 32 zero bytes for the first."""
    marks_digest: bytes
    """SHA-256 over the first `MARK_BYTES` of each leaf hash since the previous checkpoint."""
    key: bytes
    """`keys.key_id` of the signing key."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint's exact bytes and their Ed25519 signature."""

    body: bytes
    signature: bytes


FIRST = bytes(32)


def body_of(checkpoint: Checkpoint) -> bytes:
    """``[7, version, number, station, line size, line root, desk size, desk root, utc, previous,
    marks digest, key id]`` in CBOR."""
    return encode(
        [
            Kind.CHECKPOINT,
            VERSION,
            checkpoint.number,
            checkpoint.station,
            checkpoint.line_size,
            checkpoint.line_root,
            checkpoint.desk_size,
            checkpoint.desk_root,
            checkpoint.utc_ns,
            checkpoint.previous,
            checkpoint.marks_digest,
            checkpoint.key,
        ]
    )


def read_body(body: bytes) -> Checkpoint:
    """The way back.

    Raises:
        RecordError: these bytes are no checkpoint.
    """
    fields = decode(body)
    types = (int, str, int, bytes, int, bytes, int, bytes, bytes, bytes)
    if (
        not isinstance(fields, list)
        or len(fields) != 12
        or fields[:2] != [Kind.CHECKPOINT, VERSION]
        or not all(isinstance(f, t) for f, t in zip(fields[2:], types, strict=True))
    ):
        raise RecordError("these bytes are no checkpoint")
    return Checkpoint(*fields[2:])


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> Signed:
    """The checkpoint under the station's signature."""
    body = body_of(checkpoint)
    return Signed(body, key.sign(body))


def check(signed: Signed, key: Ed25519PublicKey) -> Checkpoint:
    """The checkpoint, if this key signed it.

    Raises:
        RecordError: it did not, or these bytes are no checkpoint; the text says which.
    """
    checkpoint = read_body(signed.body)
    if checkpoint.key != key_id(key):
        raise RecordError(
            f"signed by key {checkpoint.key.hex()}, not by {key_id(key).hex()} that is given"
        )
    if not is_signed(key, signed.signature, signed.body):
        raise RecordError("the signature is not the station's")
    return checkpoint


def digest_of(body: bytes) -> bytes:
    """What the next checkpoint names as its previous."""
    return sha256(body).digest()


def append_copy(data_dir: Path, signed: list[Signed]) -> None:
    """Adds lines to the copy. Not fsynced: the ledger is; a line lost with the power only moves
    the point up to which a cut is found here.

    Raises:
        OSError: the disk refuses.
    """
    path = data_dir / COPY_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        file.truncate(_whole_lines(file))  # a line that a crash or a full disk cut short goes
        file.write(b"".join([_line(one) for one in signed]))


def _line(signed: Signed) -> bytes:
    fields = {"body": signed.body.hex(), "signature": signed.signature.hex()}
    return json.dumps(fields).encode() + b"\n"


def _whole_lines(file: BinaryIO) -> int:
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 4096)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def copy_bytes(data_dir: Path) -> int:
    """How long the copy is now."""
    try:
        return (data_dir / COPY_FILE).stat().st_size
    except OSError:
        return 0


def read_copies(data_dir: Path, *, tail: int = 0) -> Iterator[tuple[int, Signed | None]]:
    """The copies in their order, each with the byte it begins at; None for a line that is none.

    With ``tail``, only those in the last bytes.

    Raises:
        OSError: the file is there and cannot be read.
    """
    path = data_dir / COPY_FILE
    if not path.exists():
        return
    if not path.is_file():
        raise OSError(f"{path}: is no file")  # a pipe would be waited for
    with path.open("rb") as file:
        if tail and file.seek(0, os.SEEK_END) > tail:
            file.seek(-tail, os.SEEK_END)
            file.readline()
        else:
            file.seek(0)
        end = file.tell()
        for line in file:
            start, end = end, end + len(line)
            try:
                fields = json.loads(line)
                signed = Signed(bytes.fromhex(fields["body"]), bytes.fromhex(fields["signature"]))
            except (ValueError, TypeError, KeyError, RecursionError):
                yield start, None
            else:
                yield start, signed if line == _line(signed) else None


def read_held(data_dir: Path) -> Signed | None:
    """The checkpoint that the centre countersigned last; None if the file holds none.

    Raises:
        OSError: it cannot be read.
    """
    try:
        words = json.loads((data_dir / HELD_FILE).read_bytes())["checkpoint"]
        return Signed(bytes.fromhex(words["body"]), bytes.fromhex(words["signature"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def last_copy(data_dir: Path, key: Ed25519PublicKey) -> Checkpoint | None:
    """The newest copy that this key signed, among the last hundred."""
    for _, signed in reversed(list(read_copies(data_dir, tail=1 << 16))):
        if signed is not None:
            with suppress(RecordError):
                return check(signed, key)
    return None
