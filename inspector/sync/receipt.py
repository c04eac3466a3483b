"""What the centre signs: how far it has a station's ledgers, its name on checkpoints, challenges.

Enters: sizes and roots, a key. Leaves: bytes and their Ed25519 signatures, and their checks. The
station's sync and the centre import this; each signature begins with what it is for, so that none
can stand for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from inspector.store.cbor import decode, encode
from inspector.store.checkpoint import Signed
from inspector.store.errors import RecordError
from inspector.store.keys import is_signed, key_id

_RECEIPT = b"inspector-receipt\0"
_COUNTERSIGNED = b"inspector-countersigned\0"
_CHALLENGE = b"inspector-challenge\0"
_SESSION = b"inspector-session\0"


@dataclass(frozen=True, slots=True)
class Receipt:
    """How far the centre has a station's ledgers: durable there, checked, indexed."""

    station: str
    line: int
    """Records of line.db at positions 0 … line - 1."""
    line_root: bytes
    desk: int
    desk_root: bytes
    utc_ns: int
    """By the centre's clock."""
    checkpoint: int
    """The highest checkpoint that it has countersigned; -1 if none."""

    def of(self, ledger: str) -> tuple[int, bytes]:
        """Size and root of one ledger."""
        return (self.line, self.line_root) if ledger == "line" else (self.desk, self.desk_root)


def sign_receipt(receipt: Receipt, key: Ed25519PrivateKey) -> dict[str, str]:
    """The receipt as it travels: its body and the centre's signature, in hex."""
    body = encode(
        [
            receipt.station,
            receipt.line,
            receipt.line_root,
            receipt.desk,
            receipt.desk_root,
            receipt.utc_ns,
            receipt.checkpoint,
            key_id(key.public_key()),
        ]
    )
    return {"body": body.hex(), "signature": key.sign(_RECEIPT + body).hex()}


def check_receipt(document: Any, station: str, key: Ed25519PublicKey) -> Receipt:
    """The receipt, if this key signed it for this station.

    Raises:
        RecordError: it did not; the text says what is wrong.
    """
    try:
        body, signature = bytes.fromhex(document["body"]), bytes.fromhex(document["signature"])
    except (TypeError, KeyError, ValueError) as error:
        raise RecordError("the centre's answer holds no receipt") from error
    if not is_signed(key, signature, _RECEIPT + body):
        raise RecordError("the receipt is not signed by the centre that this station enrolled with")
    fields = decode(body)
    types = [str, int, bytes, int, bytes, int, int, bytes]
    if not isinstance(fields, list) or [type(field) for field in fields] != types:
        raise RecordError("the centre's receipt is not what one holds")
    receipt = Receipt(*fields[:7])
    if receipt.station != station:
        raise RecordError(f"a receipt for station {receipt.station!r:.40}, not for {station}")
    return receipt


def countersign(signed: Signed, key: Ed25519PrivateKey) -> bytes:
    """The centre's signature over a station's checkpoint and the station's signature."""
    return key.sign(_COUNTERSIGNED + signed.signature + signed.body)


def is_countersigned(signed: Signed, countersignature: bytes, key: Ed25519PublicKey) -> bool:
    """Whether the centre of this key countersigned it."""
    return is_signed(key, countersignature, _COUNTERSIGNED + signed.signature + signed.body)


def challenge(station: str, expires_utc_ns: int, chance: bytes, key: Ed25519PrivateKey) -> str:
    """What a station must sign to be let in, before it expires by the centre's clock. The centre
    keeps nothing: it knows its own signature again."""
    body = encode([station, expires_utc_ns, chance])
    return (key.sign(_CHALLENGE + body) + body).hex()


def check_challenge(text: str, station: str, utc_ns: int, key: Ed25519PublicKey) -> None:
    """Returns if it is a challenge that the centre made for this station and not too long ago.

    Raises:
        RecordError: it is not.
    """
    try:
        raw = bytes.fromhex(text)
    except ValueError as error:
        raise RecordError("this is no challenge of this centre") from error
    signature, body = raw[:64], raw[64:]
    if not is_signed(key, signature, _CHALLENGE + body):
        raise RecordError("this is no challenge of this centre")
    whose, expires, _ = decode(body)
    if whose != station or utc_ns > expires:
        raise RecordError("this challenge is another station's or has expired")


def answer(text: str, key: Ed25519PrivateKey) -> str:
    """A station's answer to a challenge."""
    return key.sign(_SESSION + text.encode()).hex()


def is_answer(text: str, signature: str, key: Ed25519PublicKey) -> bool:
    """Whether the station of this key answered this challenge."""
    try:
        raw = bytes.fromhex(signature)
    except ValueError:
        return False
    return is_signed(key, raw, _SESSION + text.encode())
