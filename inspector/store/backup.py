"""Back-up of a station's data while it runs, and restore onto a bare machine; both are verified.

Enters: ``<data>`` and a folder on another disk. Leaves: a copy of one moment of both ledgers, of
every image they name and of everything else in ``<data>`` (keys, users, recipes), and the way
back. The command line and sync's process import this; the line never waits for it.

Layout of the folder: ``ledger-<time>/`` is one moment (a whole data folder but for its images),
``images/`` is shared by all moments, since an image never changes, and loses those that retention
let go on the station; ``backup.json`` names the newest whole moment and the digest of each of its
files. A back-up that is cut short leaves the one before as it was. The folder holds the station's
private key: it is made with mode 0700.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inspector.store import layout, schema
from inspector.store.desk import DeskLedger
from inspector.store.errors import RecordError, StoreDamaged, StoreError
from inspector.store.files import (
    HALF_RESTORED,
    copy_file,
    digest_of_file,
    refuse_half,
    sync_folder,
    write_whole,
)
from inspector.store.images import image_files
from inspector.store.keys import PUBLIC_NAME, public_key
from inspector.store.moment import copy_database, copy_ledgers, is_database
from inspector.store.records import Kind
from inspector.store.regain import Regained
from inspector.store.report import Report, Told, untold
from inspector.store.retention import retention_lock, unlink_image
from inspector.store.tags import FILE as TAGS_FILE
from inspector.store.tombstone import Graves
from inspector.store.verify import verify

MANIFEST = "backup.json"
FORMAT = "inspector-backup"
VERSION = 1
LEFT_OUT = frozenset({
    "images", "checkpoints", "run", "line.lock", "retain.lock", "holds.db", "plant.db",
    "signatures.db", "reviews.db", "batches.db", "genealogy.db", "tree.cache",
})  # fmt: skip
"""What is copied in a way of its own, what a running station makes anew, indexes of the desk."""
_ENDINGS = ("-wal", "-shm", "-journal", ".part")
RESTORED = "store.restored"


@dataclass(frozen=True, slots=True)
class Backup:
    """What was copied or restored."""

    folder: str
    taken: str
    """UTC of the moment."""
    records: int
    verdicts: int
    images: int
    new_images: int
    bytes: int
    """Copied this time."""
    notes: tuple[str, ...]
    """What is wrong with it, and what cannot be known."""
    regained: dict[str, int] = field(default_factory=dict)
    """What was taken back from the centre (`Regained.as_dict`); empty where nobody was asked."""

    @classmethod
    def of(cls, folder: Path, taken: str, report: Report, new_images: int, copied: int) -> Backup:
        """Of what was copied and then verified."""
        notes = (*map(str, report.problems), *report.unknown)
        return cls(
            str(folder), taken, report.records, report.verdicts, report.images, new_images, copied,
            notes,
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self) | {"notes": list(self.notes)}


def back_up(
    data_dir: Path | str,
    folder: Path | str,
    *,
    even_damaged: bool = False,
    told: Told = untold,
) -> Backup:
    """Copies a station's data into a folder while the station runs, then verifies the copy.

    A second back-up into the same folder copies only new images.

    Args:
        even_damaged: keep the copy though it does not verify; what is wrong is in the notes, and
            the last one that did stays beside it.
        told: hears how far it is.

    Raises:
        StoreError: there is no ledger, the folder lies inside the data, or a disk refuses.
        StoreDamaged: the copy does not verify; the back-up before it still stands.
    """
    data_dir, folder = Path(data_dir), Path(folder)
    if folder.resolve().is_relative_to(data_dir.resolve()):
        raise StoreError(f"{folder}: a back-up belongs on another disk, not into the data itself")
    refuse_half(data_dir)
    try:
        with retention_lock(data_dir, shared=True), _alone(folder):
            return _back_up(data_dir, folder, even_damaged, told)
    except OSError as error:
        raise StoreError(f"{error.filename or folder}: {error.strerror or error}") from error
    except sqlite3.Error as error:
        raise StoreError(f"{data_dir}: {error}") from error


def restore(
    folder: Path | str,
    data_dir: Path | str,
    principal: str,
    *,
    even_damaged: bool = False,
    regained: Callable[[], Regained] | None = None,
    told: Told = untold,
) -> Backup:
    """Makes a data folder from a back-up, verifies it, and records that it was restored.

    What the station recorded after the back-up is lost here, and the centre's checkpoints show it,
    unless ``regained`` takes it back from there.

    Args:
        even_damaged: go on though it does not verify; what is wrong is in the notes.
        regained: adds to the new folder what was recorded later and is kept elsewhere.
        told: hears how far it is.

    Raises:
        RecordError: no principal.
        StoreError: there is no whole back-up, the data folder is not empty, or a disk refuses.
        StoreDamaged: a file of the back-up was changed, or what was restored does not verify.
    """
    folder, data_dir = Path(folder), Path(data_dir)
    if not principal.strip():
        raise RecordError("every write names its principal (I9): it is empty here")
    refuse_half(data_dir)
    if data_dir.exists() and any(data_dir.iterdir()):
        raise StoreError(f"{data_dir}: is not empty; restore into a new folder, or move it away")
    manifest = _manifest(folder)
    if manifest is None:
        raise StoreError(f"{folder}: there is no whole back-up here ({MANIFEST} is missing)")
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(data_dir / HALF_RESTORED, b"")
        size = _bring_back(folder / manifest["moment"], manifest["files"], data_dir)
        wanted = _pictures(data_dir, folder).live
        images, copied = _copy_pictures(folder, data_dir, wanted, told)
    except OSError as error:
        raise StoreError(f"{error.filename or folder}: {error.strerror or error}") from error
    more = regained().as_dict() if regained is not None else {}
    report = _sound(data_dir, verify(data_dir, told=told), even_damaged)
    with DeskLedger.open(data_dir) as desk:
        body = {"taken": manifest["taken"], "records": report.records, "images": report.images}
        body |= {"regained": more} if more else {}
        desk.add(RESTORED, body, principal)
    os.sync()  # all of it, with the names of its folders, before it is said to be whole
    (data_dir / HALF_RESTORED).unlink()
    done = Backup.of(data_dir, manifest["taken"], report, images, size + copied)
    return replace(done, regained=more)


def _bring_back(moment: Path, files: Mapping[str, Mapping[str, Any]], data_dir: Path) -> int:
    """The moment's files, if they are those that were backed up; gives the bytes copied."""
    copied = 0
    for name, entry in files.items():
        if digest_of_file(moment / name) != (entry["sha256"], entry["size"]):
            raise StoreDamaged(f"{moment / name}: was changed since it was backed up")
        copied += copy_file(moment / name, data_dir / name)
    (data_dir / "keys").chmod(0o700)
    return copied


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / "backup.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StoreError(f"{folder}: another back-up is being written here") from None
    finally:
        os.close(descriptor)


def _back_up(data_dir: Path, folder: Path, even_damaged: bool, told: Told) -> Backup:
    before = _manifest(folder)
    for leftover in folder.glob(f".{MANIFEST}.*"):  # of one that was killed
        leftover.unlink()
    taken = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    moment = folder / f"ledger-{taken.translate(str.maketrans('', '', '-:.'))}"
    moment.mkdir(mode=0o700)
    try:
        _copy_moment(data_dir, moment)
        (folder / "images").mkdir(mode=0o700, exist_ok=True)
        pictures = _pictures(moment, data_dir)
        new, copied = _copy_pictures(data_dir, folder, pictures.live, told)
        (moment / "images").symlink_to("../images")
        report = verify(moment, told=told)
        bad = pictures.live.keys() & {p.where for p in report.problems}
        again = [name for name in bad if (data_dir / name).is_file()]
        if again:  # they went bad on the back-up's disk
            copied += sum(copy_file(data_dir / name, folder / name) for name in again)
            report = verify(moment)
        _sound(moment, report, even_damaged)
        (moment / "images").unlink()
        files = _listed(moment)
        copied += sum(entry["size"] for entry in files.values())
    except BaseException:
        shutil.rmtree(moment, ignore_errors=True)
        raise
    # what verified last stays beside those that do not, however many follow it
    good = None if report.ok or before is None else before.get("good", before["moment"])
    words = {
        "format": FORMAT,
        "version": VERSION,
        "moment": moment.name,
        "taken": taken,
        "records": report.records,
        "files": files,
    } | ({"good": good} if good else {})
    sync_folder(moment)
    write_whole(folder / MANIFEST, json.dumps(words, indent=1).encode())
    for old in folder.glob("ledger-*"):
        if old != moment and old.name != good:
            shutil.rmtree(old, ignore_errors=True)
    if report.ok:
        for name in pictures.buried.intersection(image_files(folder)):
            unlink_image(folder, name)
    return Backup.of(folder, taken, report, new, copied)


def _copy_moment(data_dir: Path, moment: Path) -> None:
    """All of the station but its images, as it is at one moment."""
    copy_ledgers(data_dir, moment)
    for name in _others(data_dir):
        if is_database(data_dir / name):
            copy_database(data_dir / name, moment / name)
        else:
            copy_file(data_dir / name, moment / name)


def _listed(moment: Path) -> dict[str, dict[str, Any]]:
    """Digest and size of each file of a moment; those that reading a database made go."""
    files = {}
    for path in sorted(path for path in moment.rglob("*") if path.is_file()):
        if path.name.endswith(_ENDINGS):
            path.unlink()
            continue
        digest, size = digest_of_file(path)
        files[path.relative_to(moment).as_posix()] = {"sha256": digest, "size": size}
    return files


def _others(data_dir: Path) -> Iterator[str]:
    """Everything in the data folder that is neither ledger nor image nor made anew at a start."""
    ledgers = {schema.LINE_FILE, schema.DESK_FILE, schema.SEGMENTS}
    if is_database(data_dir / TAGS_FILE):
        ledgers.add(TAGS_FILE)  # copied at the ledgers' moment
    for top in sorted(data_dir.iterdir()):
        if top.name in LEFT_OUT | ledgers:
            continue
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and not path.is_symlink() and not path.name.endswith(_ENDINGS):
                yield path.relative_to(data_dir).as_posix()


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Those that a ledger names, by path; one that leads out of the archive is none."""

    live: dict[str, int]
    """Bytes of each that is still to be there."""
    buried: set[str]
    """Those that retention let go."""


def _pictures(data_dir: Path, found_in: Path) -> _Pictures:
    """Where the ledger can no longer say which there are, all that are in ``found_in`` live."""
    root = (data_dir / "images").resolve()
    live: dict[str, int] = {}
    buried: set[str] = set()
    try:
        graves = Graves(data_dir, public_key(data_dir / "keys" / PUBLIC_NAME)).read()
        with closing(schema.open_reader(data_dir / schema.LINE_FILE)) as line:
            for position, body in line.execute(
                "SELECT position, body FROM image JOIN record USING (position)"
            ):
                kind, _, _, _, digest, path, size = layout.fields_of(body)
                if kind != Kind.IMAGE or not (data_dir / path).resolve().is_relative_to(root):
                    continue
                if graves.get(position) == digest:
                    buried.add(path)
                else:
                    live[path] = size
    except (sqlite3.DatabaseError, StoreDamaged, RecordError, ValueError, TypeError):
        # `verify` says so
        for file in sorted((found_in / "images").rglob("*.jpg")):
            live.setdefault(file.relative_to(found_in).as_posix(), file.stat().st_size)
    return _Pictures(live, buried - live.keys())


def _copy_pictures(
    source: Path, target: Path, wanted: Mapping[str, int], told: Told
) -> tuple[int, int]:
    """Those that are not there yet with their size; gives how many were copied, and their bytes."""
    new, copied = 0, 0
    for number, (path, size) in enumerate(wanted.items(), 1):
        told("pictures", number, len(wanted))
        there = target / path
        if (source / path).is_file() and not (there.is_file() and there.stat().st_size == size):
            copied += copy_file(source / path, there)
            new += 1
    return new, copied


def _sound(data_dir: Path, report: Report, even_damaged: bool) -> Report:
    if not report.ok and not even_damaged:
        raise StoreDamaged(
            f"{data_dir}: does not verify: {report.problems[0]}; run: inspector verify on the"
            " station's data, or keep it as it is with --even-damaged"
        )
    return report


def _manifest(folder: Path) -> dict[str, Any] | None:
    path = folder / MANIFEST
    try:
        words = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreDamaged(f"{path}: cannot be read: {error}") from error
    if (
        not isinstance(words, dict)
        or (words.get("format"), words.get("version")) != (FORMAT, VERSION)
        or Path(str(words.get("moment"))).name != words.get("moment")
        or not isinstance(words.get("files"), dict)
        or any(Path(name).is_absolute() or ".." in Path(name).parts for name in words["files"])
    ):
        raise StoreDamaged(f"{path}: is not what a back-up has")
    return words
