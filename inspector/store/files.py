"""Files that are there whole or not at all.

Enters: a path and its content. Leaves: a durable file, or the one that was there before. What the
store writes for others (proofs, packages, exports, back-ups) goes through here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from inspector.store import schema
from inspector.store.errors import StoreError

HALF_RESTORED = "restore.unfinished"
"""Lies in a data folder until all of a back-up is there and was verified."""


def refuse_half(data_dir: Path) -> None:
    """Raises ``StoreError`` where a restore was interrupted: no station is there."""
    if (data_dir / HALF_RESTORED).exists():
        raise StoreError(
            f"{data_dir}: a restore was interrupted here; empty the folder and restore again"
        )


def refuse_stranger(data_dir: Path) -> None:
    """Raises ``StoreError`` where the machine's administrator would write to a station's ledger
    that is another account's: what it makes there (a segment, a lock, an index) the station could
    not read, and no line would begin."""
    try:
        owner = (data_dir / schema.LINE_FILE).stat().st_uid
    except OSError:
        return  # whoever needs it says what is wrong
    if os.geteuid() == 0 and owner != 0:
        raise StoreError(
            f"{data_dir}: is another account's; run this as that one: sudo -u '#{owner}' inspector"
        )


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file under another name, then gives it its own.

    Raises:
        StoreError: the disk refuses; what was there before is untouched.
    """
    with fresh_file(path) as fresh:
        fresh.write_bytes(content)


@contextmanager
def fresh_file(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """A name to write to; at the end of the block it becomes ``path``, durable.

    Raises:
        StoreError: the disk refuses, or a folder or a device is there; what was there before is
            untouched.
    """
    fresh = path.parent / f".{path.name}.{os.getpid()}.part"
    try:
        if path.exists() and not path.is_file():  # such as /dev/null: it would take its place
            raise StoreError(f"{path}: is no file that can be written anew; name one")
        fresh.unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode))
        yield fresh
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error
    finally:
        fresh.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable: fsync of a file alone does not (see fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest_of_file(path: Path) -> tuple[str, int]:
    """SHA-256 in hex, and bytes."""
    digest, size = sha256(), 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def copy_file(source: Path, target: Path) -> int:
    """Copies one file with its mode, durably; gives its size, 0 if it went meanwhile."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.part")
    try:
        shutil.copy2(source, fresh)
    except FileNotFoundError:
        if not source.exists():
            return 0
        raise
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    fresh.replace(target)
    return size
