"""Content by its SHA-256: segments, pictures, releases. A folder by default, S3 by URL.

Enters: bytes and the digest that they must have. Leaves: the same bytes, or a refusal by name.
The hub, data sets and releases import this.

``open_blobs("…/folder")`` or ``open_blobs("s3://bucket/prefix")``; where the S3 API is and who may
use it, boto3's own variables say (``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID`` …). What arrives in
pieces waits as pieces, each an object of its own, so that any hub of a group can take the next one.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from inspector.store.files import sync_folder

DIGEST = re.compile("[0-9a-f]{64}")
PIECE = 256 << 10
"""Bytes of a large one that are in memory at once."""


class BlobError(Exception):
    """The content is not there, not what its digest says, or the store cannot be reached."""


class WrongContent(BlobError):
    """What came is not what its digest says."""


class WrongPiece(BlobError):
    """A piece that leaves a gap before it, or goes beyond the whole."""


class Place(Protocol):
    """Where objects lie, by key. A key has ``/`` and is safe as a relative path."""

    def write(self, key: str, content: bytes) -> None:
        """Durable and whole when it returns."""

    def read(self, key: str) -> bytes | None:
        """None if there is none."""

    def pieces(self, key: str) -> Iterator[bytes] | None:
        """The same, `PIECE` bytes at a time; None if there is none."""

    def size(self, key: str) -> int | None:
        """Bytes; None if there is none."""

    def list(self, prefix: str) -> list[tuple[str, int]]:
        """Keys that begin so, sorted, with their sizes."""

    def delete(self, key: str) -> None:
        """Gone, or it was not there."""


class Blobs:
    """Content by digest in one place."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def put(self, content: bytes, digest: str | None = None) -> str:
        """Keeps content and gives its digest.

        Raises:
            WrongContent: it has another digest than the one it should have.
            BlobError: there is no room for it, or the store cannot be reached.
        """
        found = sha256(content).hexdigest()
        if digest is not None and found != _checked(digest):
            raise WrongContent(f"{digest} was changed: these bytes are {found}")
        key = _key(found)
        if self._place.size(key) != len(content):
            self._place.write(key, content)
        return found

    def get(self, digest: str) -> bytes:
        """The content, checked.

        Raises:
            BlobError: it is not here, or it was changed.
        """
        content = self._place.read(_key(digest))
        if content is None:
            raise BlobError(f"{digest} is not here")
        if sha256(content).hexdigest() != digest:
            raise BlobError(f"{digest} was changed where it lies")
        return content

    def pieces(self, digest: str) -> tuple[int, Iterator[bytes]]:
        """How many bytes, and the content in pieces, which whoever gets it checks.

        Raises:
            BlobError: it is not here.
        """
        key = _key(digest)
        size, pieces = self._place.size(key), self._place.pieces(key)
        if size is None or pieces is None:
            raise BlobError(f"{digest} is not here")
        return size, pieces

    def size(self, digest: str) -> int | None:
        """Bytes, or None if it is not here whole."""
        return self._place.size(_key(digest))

    def __contains__(self, digest: str) -> bool:
        return self.size(digest) is not None

    def __iter__(self) -> Iterator[str]:
        return (key.rsplit("/", 1)[1] for key, _ in self._place.list("blob/"))

    def received(self, owner: str, digest: str) -> int:
        """How many bytes of it have come from ``owner`` so far, without a gap."""
        end = 0
        for offset, size, _ in self._pieces(owner, digest):
            if offset > end:
                break
            end = max(end, offset + size)
        return end

    def add(self, owner: str, digest: str, size: int, offset: int, piece: bytes) -> int:
        """Keeps a piece; gives how many bytes have come. At ``size`` the content is whole.

        Raises:
            WrongPiece: a gap before the piece, or more than ``size``.
            WrongContent: the whole is not what the digest says; its pieces are dropped, and it
                may be sent again from 0.
            BlobError: there is no room for it, or the store cannot be reached.
        """
        if offset == 0 and len(piece) == size:
            self.put(piece, digest)
            self._drop(owner, digest)
            return size
        have = self.received(owner, digest)
        if offset > have or offset + len(piece) > size:
            raise WrongPiece(f"{digest}: a piece at {offset}, {have} of {size} bytes are here")
        self._place.write(f"{_piece_folder(owner, digest)}/{offset:012d}", piece)
        have = max(have, offset + len(piece))
        if have == size:
            whole = bytearray()
            for at, _, key in self._pieces(owner, digest):
                whole[at:] = self._place.read(key) or b""
            try:
                if len(whole) < size:  # another request has put them together meanwhile
                    return size if digest in self else 0
                self.put(bytes(whole), digest)
            finally:
                self._drop(owner, digest)
        return have

    def _pieces(self, owner: str, digest: str) -> list[tuple[int, int, str]]:
        folder = _piece_folder(owner, digest)
        return [
            (int(key.rsplit("/", 1)[1]), size, key) for key, size in self._place.list(f"{folder}/")
        ]

    def _drop(self, owner: str, digest: str) -> None:
        for _, _, key in self._pieces(owner, digest):
            self._place.delete(key)


def open_blobs(url: str | Path) -> Blobs:
    """The blobs in a folder, or in ``s3://bucket/prefix``.

    Raises:
        BlobError: the address is neither, or there is no such bucket.
    """
    text = str(url)
    if text.startswith("s3://"):
        bucket, _, prefix = text.removeprefix("s3://").partition("/")
        return Blobs(_S3(bucket, prefix.strip("/")))
    if "://" in text:
        raise BlobError(f"{text}: images lie in a folder or at s3://bucket/prefix")
    return Blobs(_Folder(Path(text)))


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BlobError(f"{root}: {error.strerror}") from error

    def write(self, key: str, content: bytes) -> None:
        path = self._root / key
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            self._make(path.parent)
            with fresh.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            raise BlobError(f"{path}: {error.strerror}") from error

    def _make(self, folder: Path) -> None:
        """Each folder's name is durable too: what lies in it is acknowledged soon."""
        if not folder.is_dir():
            self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)

    def read(self, key: str) -> bytes | None:
        try:
            return (self._root / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BlobError(f"{self._root / key}: {error.strerror}") from error

    def pieces(self, key: str) -> Iterator[bytes] | None:
        path = self._root / key
        return _read(path) if path.is_file() else None

    def size(self, key: str) -> int | None:
        try:
            return (self._root / key).stat().st_size
        except OSError:
            return None

    def list(self, prefix: str) -> list[tuple[str, int]]:
        folder = self._root / prefix
        found = [
            (path.relative_to(self._root).as_posix(), path.stat().st_size)
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        ]
        return sorted(found)

    def delete(self, key: str) -> None:
        path = self._root / key
        with suppress(OSError):
            path.unlink()
            path.parent.rmdir()


class _S3:
    def __init__(self, bucket: str, prefix: str) -> None:
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError as error:
            raise BlobError("S3 needs boto3: pip install 'inspector[scale]'") from error
        self._errors = (BotoCoreError, ClientError)
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        settings = Config(connect_timeout=5, read_timeout=30, retries={"max_attempts": 3})
        self._client: Any = boto3.client("s3", config=settings)
        self._ask("head_bucket")

    def write(self, key: str, content: bytes) -> None:
        self._ask("put_object", Key=self._prefix + key, Body=content)

    def read(self, key: str) -> bytes | None:
        found = self._ask("get_object", Key=self._prefix + key)
        if found is None:
            return None
        try:
            content: bytes = found["Body"].read()
        except self._errors as error:
            raise BlobError(f"s3://{self._bucket}: {error}") from error
        return content

    def pieces(self, key: str) -> Iterator[bytes] | None:
        found = self._ask("get_object", Key=self._prefix + key)
        return None if found is None else iter(found["Body"].iter_chunks(PIECE))

    def size(self, key: str) -> int | None:
        found = self._ask("head_object", Key=self._prefix + key)
        return None if found is None else int(found["ContentLength"])

    def list(self, prefix: str) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        more: dict[str, str] = {}
        while True:
            page = self._ask("list_objects_v2", Prefix=self._prefix + prefix, **more) or {}
            found += [
                (entry["Key"].removeprefix(self._prefix), entry["Size"])
                for entry in page.get("Contents", ())
            ]
            if not page.get("IsTruncated"):
                return sorted(found)
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def delete(self, key: str) -> None:
        self._ask("delete_object", Key=self._prefix + key)

    def _ask(self, what: str, **given: Any) -> Any:
        try:
            return getattr(self._client, what)(Bucket=self._bucket, **given)
        except self._errors as error:
            code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
            if what != "head_bucket" and code in ("404", "NoSuchKey", "NotFound"):
                return None
            raise BlobError(f"s3://{self._bucket}: {error}") from error


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(partial(file.read, PIECE), b"")


def _checked(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise BlobError(f"{digest!r:.80} is no SHA-256 in hex")
    return digest


def _key(digest: str) -> str:
    return f"blob/{_checked(digest)[:2]}/{digest[2:4]}/{digest}"


def _piece_folder(owner: str, digest: str) -> str:
    return f"piece/{sha256(owner.encode()).hexdigest()[:16]}/{_checked(digest)}"
