"""The check of a batch's package: that each file is the signed one, each record in the ledger.

Enters: a ZIP archive that `package.pack_batch` wrote, and better the station's public key as kept
elsewhere. Leaves: what it proves, or `ProofRefused` with the name of what is wrong. Nothing is
unpacked to the disk. The command line and the centre may import this.
"""

from __future__ import annotations

import base64
import binascii
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from inspector.part import Verdict
from inspector.store.checkpoint import Checkpoint
from inspector.store.errors import ProofRefused
from inspector.store.keys import is_signed, key_in
from inspector.store.merkle import leaf_hash, proves_subset
from inspector.store.package import (
    CHECKPOINT,
    FORMAT,
    MANIFEST,
    OURS,
    PROOF,
    PUBLIC,
    RECORDS,
    SIGNATURE,
    SUMMARY,
    VERSION,
    summary_of,
)
from inspector.store.proof import check_checkpoint, decoder, hashes, parse_object
from inspector.store.readable import iso_utc, readable, spelled
from inspector.store.records import ImageRecord

MAX_MANIFEST = 256 << 20
MAX_FILE = 4 << 30
"""Of one file inside; what claims to be longer is refused before it is read."""


@dataclass(frozen=True, slots=True)
class PackageReport:
    """What a package proves."""

    batch: str
    station: str
    made_by: str
    checkpoint: int
    signed_utc_ns: int
    parts: int
    records: int
    images: int
    notes: tuple[str, ...]
    """What the package alone cannot show."""

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "ok": True,
            "batch": self.batch,
            "station": self.station,
            "made_by": self.made_by,
            "checkpoint": self.checkpoint,
            "signed": iso_utc(self.signed_utc_ns),
            "parts": self.parts,
            "records": self.records,
            "images": self.images,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = [
            f"batch {self.batch} of station {self.station}, exported by {self.made_by}",
            f"{self.parts} parts, {self.records} records and {self.images} images proven under"
            f" checkpoint {self.checkpoint}, signed {iso_utc(self.signed_utc_ns)}",
            *[f"NOTE  {note}" for note in self.notes],
            "ok",
        ]
        return "\n".join(lines)


def check_package(path: Path, key: Ed25519PublicKey | None = None) -> PackageReport:
    """Checks a package with nothing but the station's public key.

    Raises:
        ProofRefused: it does not prove what it says; the text names the first thing that is wrong.
    """
    notes = []
    with _opened(path) as archive:
        enclosed = _public(archive)
        if key is None:
            key = enclosed
            notes.append(
                "the public key came with the package: only a key that you know from elsewhere"
                " shows whose signature it is"
            )
        elif key != enclosed:
            raise ProofRefused(f"{PUBLIC}: is not the key that is given")
        manifest = _manifest(archive, key)
        listed = manifest["files"]
        contents = _contents(archive, listed)
    checkpoint = check_checkpoint(parse_object(contents[CHECKPOINT], CHECKPOINT), key)
    line, desk, words = _records(contents[RECORDS])
    _proven(checkpoint, line, desk, parse_object(contents[PROOF], PROOF))
    bodies = {("line", at): body for at, body in line.items()}
    bodies |= {("desk", at): body for at, body in desk.items()}
    verdicts: dict[int, Verdict] = {}
    digests: set[str] = set()
    decode = {"line": decoder(line), "desk": decoder(desk)}
    for ledger, position in bodies:
        record = decode[ledger](position)
        if spelled(readable(record)) != spelled(words[ledger, position]):
            raise ProofRefused(f"{ledger} record {position}: its words are not those of its bytes")
        if isinstance(record, Verdict):
            verdicts[position] = record
            if record.batch != manifest["batch"]:
                raise ProofRefused(f"record {position}: is of another batch")
        elif isinstance(record, ImageRecord):
            digests.add(record.digest)
    _images(listed, manifest, digests)
    if spelled(parse_object(contents[SUMMARY], SUMMARY)) != spelled(
        summary_of(manifest["batch"], verdicts.values())
    ):
        raise ProofRefused(f"{SUMMARY}: is not what the records add up to")
    notes += _notes(checkpoint, line, desk, verdicts, manifest, listed)
    return PackageReport(
        str(manifest["batch"]),
        checkpoint.station,
        str(manifest.get("made_by")),
        checkpoint.number,
        checkpoint.utc_ns,
        len(verdicts),
        len(bodies),
        sum(name.startswith("images/") for name in listed),
        tuple(notes),
    )


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise ProofRefused(f"{path}: {error.strerror or error}") from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OverflowError,
    ) as error:
        raise ProofRefused(f"{path}: is no whole ZIP archive: {error}") from error


def _read(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    try:
        with archive.open(name) as file:
            content = file.read(limit + 1)
    except KeyError:
        raise ProofRefused(f"{name}: is not in the package") from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ProofRefused(f"{name}: was changed: {error}") from error
    if len(content) > limit:
        raise ProofRefused(f"{name}: is longer than it says")
    return content


def _public(archive: zipfile.ZipFile) -> Ed25519PublicKey:
    try:
        return key_in(_read(archive, PUBLIC, 4096))
    except ValueError as error:
        raise ProofRefused(f"{PUBLIC}: {error}") from error


def _manifest(archive: zipfile.ZipFile, key: Ed25519PublicKey) -> dict[str, Any]:
    body = _read(archive, MANIFEST, MAX_MANIFEST)
    try:
        signature = bytes.fromhex(_read(archive, SIGNATURE, 4096).decode())
    except ValueError as error:
        raise ProofRefused(f"{SIGNATURE}: is no signature") from error
    if not is_signed(key, signature, body):
        raise ProofRefused(f"{MANIFEST}: was not signed by the station")
    manifest = parse_object(body, MANIFEST)
    if manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
        raise ProofRefused(f"{MANIFEST}: no package that this software reads ({FORMAT}, {VERSION})")
    return manifest


def _contents(archive: zipfile.ZipFile, listed: dict[str, Any]) -> dict[str, bytes]:
    """Each of `OURS`, once every file of the package was found to be as it is listed."""
    names = archive.namelist()
    if len(set(names)) != len(names):
        raise ProofRefused(f"{archive.filename}: a file is in it twice")
    strange = set(names) - set(listed) - {MANIFEST, SIGNATURE}
    if strange or not set(listed) >= OURS or len(names) != len(listed) + 2:
        gone = (set(listed) | OURS) - set(names)
        which = min(strange) if strange else min(gone, default=MANIFEST)
        raise ProofRefused(f"{which}: is not in the manifest, or not in the package")
    for name in sorted(set(listed) - OURS):
        _listed(archive, name, listed[name])
    return {name: _listed(archive, name, listed[name]) for name in sorted(OURS)}


def _listed(archive: zipfile.ZipFile, name: str, entry: dict[str, Any]) -> bytes:
    if entry["size"] > MAX_FILE:
        raise ProofRefused(f"{name}: is longer than {MAX_FILE} bytes")
    content = _read(archive, name, entry["size"])
    if len(content) != entry["size"] or sha256(content).hexdigest() != entry["sha256"]:
        raise ProofRefused(f"{name}: is not the file that was signed")
    return content


def _records(
    content: bytes,
) -> tuple[dict[int, bytes], dict[int, bytes], dict[tuple[str, int], Any]]:
    ledgers: dict[str, dict[int, bytes]] = {"line": {}, "desk": {}}
    words: dict[tuple[str, int], Any] = {}
    for number, text in enumerate(content.splitlines(), 1):
        where = f"{RECORDS} line {number}"
        entry = parse_object(text, where)
        try:
            ledger, position = entry["ledger"], entry["position"]
            body = base64.b64decode(entry["body"], validate=True)
            bodies = ledgers[ledger]
        except (KeyError, TypeError, binascii.Error, ValueError) as error:
            raise ProofRefused(f"{where}: is no record") from error
        if type(position) is not int or position in bodies:
            raise ProofRefused(f"{where}: its position is none, or there twice")
        bodies[position] = body
        words[ledger, position] = entry.get("record")
    return ledgers["line"], ledgers["desk"], words


def _proven(
    checkpoint: Checkpoint, line: dict[int, bytes], desk: dict[int, bytes], proof: dict[str, Any]
) -> None:
    for name, bodies, size, root in (
        ("line", line, checkpoint.line_size, checkpoint.line_root),
        ("desk", desk, checkpoint.desk_size, checkpoint.desk_root),
    ):
        leaves = [(at, leaf_hash(bodies[at])) for at in sorted(bodies)]
        if name == "desk":
            leaves = [leaf for leaf in leaves if leaf[0] < size]
            if not leaves:
                continue
        nodes = hashes(proof.get(name), PROOF)
        if not proves_subset(leaves, size, nodes, root):
            raise ProofRefused(
                f"{RECORDS}: its {name} records are not what checkpoint {checkpoint.number} signed"
            )


def _images(listed: dict[str, Any], manifest: dict[str, Any], digests: set[str]) -> None:
    there = {Path(name).stem for name in listed if name.startswith("images/")}
    if there - digests:
        raise ProofRefused(f"images/{min(there - digests)}.jpg: no record names it")
    for name, entry in listed.items():
        if name.startswith("images/") and Path(name).stem != entry["sha256"]:
            raise ProofRefused(f"{name}: is not the picture that the record names")
    unsaid = digests - there - set(manifest.get("missing_images") or ())
    if unsaid:
        raise ProofRefused(f"images/{min(unsaid)}.jpg: a record names it, and it is not here")


def _notes(
    checkpoint: Checkpoint,
    line: dict[int, bytes],
    desk: dict[int, bytes],
    verdicts: dict[int, Verdict],
    manifest: dict[str, Any],
    listed: dict[str, Any],
) -> list[str]:
    notes = []
    gaps = 0
    if verdicts:
        first, last = min(verdicts), max(verdicts)
        gaps = last - first + 1 - sum(first <= at <= last for at in line)
    if gaps:
        notes.append(
            f"{gaps} records between the first and the last one here are not in the package; that"
            " they belong to other batches is the exporter's word"
        )
    young = sum(at >= checkpoint.desk_size for at in desk)
    if young:
        notes.append(f"{young} desk records are younger than the checkpoint: signed as files only")
    missing = manifest.get("missing_images") or ()
    if missing:
        notes.append(f"{len(missing)} recorded images are not kept any more")
    extras = sorted(name for name in listed if name.startswith("extra/"))
    if extras:
        notes.append(f"{', '.join(extras)}: signed as they are, not derived from the records")
    return notes
