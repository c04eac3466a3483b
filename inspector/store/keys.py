"""The station's signing key: made at the first start, used for checkpoints and approvals.

Enters: a folder. Leaves: an Ed25519 key (RFC 8032) in ``station.key`` (PKCS #8 PEM, mode 0600), its
public half in ``station.pub`` (PEM), and signatures. Whoever signs or checks may import this.
"""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from inspector.store.errors import StoreDamaged, StoreError
from inspector.store.files import sync_folder, write_whole

PUBLIC_NAME = "station.pub"


def signing_key(data_dir: Path, name: str = "station") -> Ed25519PrivateKey:
    """The key of this station (or of the centre, by its ``name``) in ``<data>/keys``, made if there
    is none yet.

    Raises:
        StoreDamaged: the file is no Ed25519 key, or the public file is another key's.
        StoreError: others may read the key, or the folder cannot be written.
    """
    folder = data_dir / "keys"
    path = folder / f"{name}.key"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _make(path)
        mode = stat.S_IMODE(path.stat().st_mode)
        content = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}: the {name} needs its signing key") from error
    if mode & 0o077:
        raise StoreError(f"{path}: others may read it (mode {mode:04o}); run: chmod 600 {path}")
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise StoreDamaged(f"{path}: not a PEM private key; restore it from its backup") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreDamaged(f"{path}: not an Ed25519 key")
    _publish(folder / f"{name}.pub", key.public_key())
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file.

    Raises:
        StoreDamaged: the file is absent or no Ed25519 public key.
    """
    try:
        return key_in(path.read_bytes())
    except OSError as error:
        raise StoreDamaged(f"{path}: {error.strerror}: no key to check signatures with") from error
    except ValueError as error:
        raise StoreDamaged(f"{path}: {error}") from error


def key_in(pem: bytes) -> Ed25519PublicKey:
    """The public key in PEM. Raises ``ValueError`` if there is none, or one of another kind."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("not a PEM public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an Ed25519 key")
    return key


def pem_of(key: Ed25519PublicKey) -> bytes:
    """The way back."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def key_id(key: Ed25519PublicKey) -> bytes:
    """8 bytes that name a key: the beginning of the SHA-256 of its raw form."""
    return sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).digest()[:8]


def is_signed(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Whether this key signed this message."""
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _make(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)  # fails where two processes start at once: the first key stays
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    sync_folder(path.parent)


def _publish(path: Path, key: Ed25519PublicKey) -> None:
    pem = pem_of(key)
    if path.is_file() and (there := path.read_bytes()):  # empty: the power went as it was written
        if there != pem:
            raise StoreDamaged(
                f"{path}: belongs to another key than {path.stem}.key beside it; restore the pair"
            )
        return
    write_whole(path, pem)
