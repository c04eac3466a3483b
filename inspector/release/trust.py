"""Whom this station believes: public keys of builders and approvers, and what they signed.

Enters: PEM files that an administrator lets in, a release's signatures. Leaves: nothing, or who did
not sign what (four eyes: two keys, two people, both known here for just that role). Imports
``bundle`` and the store's keys; ``installed`` and the command line import this.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from inspector.identity import Action, Principal, authorise
from inspector.release.bundle import (
    SIGNATURE,
    SIGNERS,
    Release,
    ReleaseRefused,
    Signature,
    canonical,
)
from inspector.store import DeskLedger, public_key
from inspector.store.files import refuse_stranger, write_whole

FOLDER = Path("keys") / "releases"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


class NotTrusted(Exception):
    """A key that cannot be let in; ``str()`` says why."""


def trust(data: Path, pem: Path, role: str, name: str, principal: Principal) -> Path:
    """Let ``name``'s key in as that of a ``builder`` or an ``approver``; recorded on the desk.

    Raises ``NotTrusted``, ``Forbidden`` or ``StoreError``.
    """
    authorise(principal, Action.CONFIGURE)
    refuse_stranger(data)
    if role not in SIGNERS:
        raise NotTrusted(f"{role!r} is no role of a signer; there are {', '.join(SIGNERS)}")
    if not NAME.fullmatch(name):
        raise NotTrusted(f"{name!r} is no user name: 1-64 letters, digits or . _ - @")
    raw, content = _raw(public_key(pem)), pem.read_bytes()
    for other in SIGNERS:
        if other != role and raw in {k for k, _ in _known(data, other)}:
            raise NotTrusted(f"{pem} is already a key of a {other}: four eyes need two keys")
    folder = data / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = folder / f"{role}-{name}.pub"
    with DeskLedger.open(data) as desk:
        desk.add("release_key", {"as": role, "name": name, "key": raw.hex()}, principal.id)
    write_whole(target, content)
    return target


def known_signers(data: Path) -> frozenset[tuple[str, int]]:
    """The files of the keys that were let in, and when: to ask whether any has come or gone."""
    return frozenset((path.name, path.stat().st_mtime_ns) for path in (data / FOLDER).glob("*.pub"))


def check_signatures(release: Release, data: Path) -> tuple[str, str]:
    """``(builder, approver)`` of a release that both have signed. Raises ``ReleaseRefused``."""
    title = release.manifest.title
    people, keys = [], []
    for role in SIGNERS:
        signature = release.signatures.get(role)
        if signature is None:
            raise ReleaseRefused(title, f"has no signature of its {role}; have it signed")
        _check(release, role, signature, data)
        people.append(signature.principal)
        keys.append(signature.key)
    if people[0] == people[1] or keys[0] == keys[1]:
        raise ReleaseRefused(title, f"{people[0]} built and approved it: four eyes are needed")
    return people[0], people[1]


def _check(release: Release, role: str, signature: Signature, data: Path) -> None:
    title, statement = release.manifest.title, signature.statement
    where = f"signatures/{role}.json"
    try:
        raw = base64.b64decode(signature.key, validate=True)
        key = Ed25519PublicKey.from_public_bytes(raw)
        key.verify(base64.b64decode(signature.signature, validate=True), canonical(statement))
    except (ValueError, binascii.Error, InvalidSignature):
        raise ReleaseRefused(title, f"{where} does not hold; fetch it again") from None
    if statement.get("release") != release.digest:
        raise ReleaseRefused(
            title, f"manifest.json is not the one that the {role} signed; fetch it again"
        )
    if statement.get("schema") != SIGNATURE or statement.get("as") != role:
        raise ReleaseRefused(title, f"{where} is no signature of a {role}")
    known = _known(data, role)
    if (raw, signature.principal) not in known:
        names = ", ".join(sorted(name for _, name in known)) or "nobody"
        raise ReleaseRefused(
            title,
            f"this station does not know the key of {role} {signature.principal!r} (known: "
            f"{names}); let it in by `inspector release trust`, or refuse the release",
        )


def _known(data: Path, role: str) -> set[tuple[bytes, str]]:
    found = set()
    for path in (data / FOLDER).glob(f"{role}-*.pub"):
        found.add((_raw(public_key(path)), path.stem.removeprefix(f"{role}-")))
    return found


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
