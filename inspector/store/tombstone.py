"""Tombstones: signed records that say which images were deleted, by which rule, in whose name.

Enters: image records that a rule lets go. Leaves: desk records of kind ``image.deleted``, written
and durable before any file goes (I8), and the answer to whether an absent file has one. `retention`
writes them; `verify` reads them, and sync, which has no use for what is gone.

A body has ``images``, a list of ``[position of the image record, SHA-256 of the file]``, ``class``,
``rule``, and ``signature``: the station's Ed25519 signature over the CBOR of the rest, so that a
tombstone is known even before a checkpoint covers the desk's record.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from inspector.store import layout, schema
from inspector.store.cbor import encode
from inspector.store.errors import RecordError, StoreError
from inspector.store.keys import is_signed

KIND = "image.deleted"
PORTION = 500
"""Images in one tombstone: 20 kB."""


def tombstone(
    images: Iterable[tuple[int, bytes]], kept_as: str, rule: str, key: Ed25519PrivateKey
) -> dict[str, Any]:
    """The body of a tombstone for these (position, SHA-256)."""
    body: dict[str, Any] = {
        "images": [[position, digest] for position, digest in images],
        "class": kept_as,
        "rule": rule,
    }
    return body | {"signature": key.sign(encode(body))}


def is_tombstone(body: dict[str, Any], key: Ed25519PublicKey) -> bool:
    """Whether the station signed this."""
    rest = dict(body)
    signature = rest.pop("signature", None)
    try:
        return isinstance(signature, bytes) and is_signed(key, signature, encode(rest))
    except RecordError:
        return False


class Graves:
    """The images that have a tombstone, as far as the desk has come when one is asked for."""

    def __init__(self, data_dir: Path, key: Ed25519PublicKey | None) -> None:
        """Without a key no tombstone is believed."""
        self._path = data_dir / schema.DESK_FILE
        self._key = key
        self._next = 0
        self._digests: dict[int, bytes] = {}

    def has(self, position: int, digest: str) -> bool:
        """Whether the image record at ``position``, with this SHA-256 in hex, has a tombstone."""
        if position not in self._digests:
            self.read()
        return self.known(position, digest)

    def known(self, position: int, digest: str) -> bool:
        """The same, as far as the desk had come when it was last read."""
        return self._digests.get(position, b"").hex() == digest

    def read(self) -> dict[int, bytes]:
        """Every tombstone now: SHA-256 by the position of the image record."""
        if self._key is None or not self._path.exists():
            return self._digests
        try:
            desk = schema.open_reader(self._path)
        except StoreError:
            return self._digests  # the desk's own walk says what is wrong with it
        try:
            for position, body in desk.execute(
                "SELECT position, body FROM event JOIN record USING (position)"
                " WHERE kind = ? AND position >= ? ORDER BY position",
                (KIND, self._next),
            ).fetchall():
                self._next = position + 1
                self._take(body)
        except (sqlite3.Error, UnicodeError):
            pass
        finally:
            desk.close()
        return self._digests

    def _take(self, body: bytes) -> None:
        assert self._key is not None
        try:
            fields = layout.fields_of(body)
            said = fields[5]
            if isinstance(said, dict) and is_tombstone(said, self._key):
                self._digests.update({int(at): bytes(digest) for at, digest in said["images"]})
        except (RecordError, ValueError, TypeError, KeyError, IndexError):
            return
