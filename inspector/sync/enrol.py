"""Becoming a station of a centre: once, by a token, and knowing the centre's key ever after.

Enters: a token, the centre's address. Leaves: ``<data>/keys/centre.json`` with the centre's public
key, without which sync sends nothing. The command line and the centre import this.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from inspector.store.files import write_whole
from inspector.store.keys import is_signed, signing_key

if TYPE_CHECKING:
    from inspector.config import Station, Sync

CENTRE_FILE = "keys/centre.json"
_ENROLMENT = b"inspector-enrolment\0"


class SyncError(Exception):
    """What keeps the station from its centre, and how to mend it."""


class Away(SyncError):
    """The centre does not answer; it is tried again."""


class RefusedByCentre(SyncError):
    """The centre refuses what was sent; ``code`` names why."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        super().__init__(detail)

    @property
    def of_the_station(self) -> bool:
        """Whether it is the station that was refused, and not what it sent."""
        return self.code == "unknown"


@dataclass(frozen=True, slots=True)
class Centre:
    """The centre that this station has enrolled with."""

    hub: str
    key: Ed25519PublicKey


def shown_by(plan: Sync) -> tuple[Path, Path] | None:
    """The certificate that the station shows, and its key."""
    if plan.certificate is None or plan.private_key is None:
        return None
    return plan.certificate, plan.private_key


def raw_key(key: Ed25519PublicKey) -> bytes:
    """A public key's 32 bytes."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def fingerprint(key: Ed25519PublicKey) -> str:
    """The first half of a key's SHA-256 in hex: what a token says of its centre."""
    return sha256(raw_key(key)).hexdigest()[:32]


def sign_enrolment(token: str, station: str, key: Ed25519PrivateKey) -> str:
    """The station's proof that the key which it enrols is its own."""
    return key.sign(_ENROLMENT + f"{token}\0{station}".encode()).hex()


def is_enrolment(token: str, station: str, signature: str, key: Ed25519PublicKey) -> bool:
    """The check of `sign_enrolment`."""
    try:
        raw = bytes.fromhex(signature)
    except ValueError:
        return False
    return is_signed(key, raw, _ENROLMENT + f"{token}\0{station}".encode())


def enrol(
    station: Station,
    hub: str,
    token: str,
    ca: Path | None,
    shown: tuple[Path, Path] | None = None,
) -> Centre:
    """Enrols the station with the centre at ``hub``, and remembers the centre's key.

    Raises:
        SyncError: the token is spoilt, the centre refuses, or it is not the token's centre.
    """
    from inspector.sync.centre import post

    expected = token.rpartition(".")[2]
    if len(expected) != 32:
        raise SyncError("this is no whole token: it ends in a dot and 32 digits")
    signer = signing_key(station.data)
    answer = post(
        hub,
        ca,
        "/api/v1/enrol",
        {
            "token": token,
            "station": station.station,
            "site": station.site,
            "line": station.line,
            "public_key": raw_key(signer.public_key()).hex(),
            "signature": sign_enrolment(token, station.station, signer),
        },
        shown,
    )
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(answer["hub_key"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SyncError(f"{hub}: its answer holds no key of a centre") from error
    if fingerprint(key) != expected:
        raise SyncError(
            f"{hub} is not the centre that made this token: its key is {fingerprint(key)}, the"
            f" token's is {expected}"
        )
    document = {"hub": hub, "key": raw_key(key).hex()}
    write_whole(station.data / CENTRE_FILE, json.dumps(document, indent=1).encode())
    return Centre(hub, key)


def enrolled(data_dir: Path) -> Centre | None:
    """The centre that this station has enrolled with; None if it has not.

    Raises:
        SyncError: the file is damaged.
    """
    path = data_dir / CENTRE_FILE
    try:
        document = json.loads(path.read_bytes())
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(document["key"]))
        return Centre(str(document["hub"]), key)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SyncError(f"{path}: damaged; enrol the station again with a new token") from error
