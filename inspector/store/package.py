"""A batch as one signed file that explains and proves itself, for whoever has no access here.

Enters: ``<data>``, a batch, the station's key. Leaves: a ZIP archive with every record of the batch
(exact bytes and words), its pictures, one proof for all of them (`merkle.subset_proof`) under the
signed checkpoint, the public key, and a signed manifest of all files. `package_check` is the way
back. The command line, the plant and the web may import this.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inspector.part import Verdict
from inspector.store import layout, schema
from inspector.store.checkpoint import Checkpoint
from inspector.store.desk import DeskLedger
from inspector.store.errors import RecordError, StoreDamaged, StoreError
from inspector.store.files import fresh_file
from inspector.store.keys import key_id, pem_of, signing_key
from inspector.store.merkle import subset_proof
from inspector.store.proof import checkpoint_words, newest_checkpoint
from inspector.store.readable import iso_utc, readable
from inspector.store.records import ImageRecord, Lookup, Record
from inspector.store.related import (
    batch_positions,
    batch_range,
    body_at,
    desk_positions,
    lookup_in,
    reading,
)
from inspector.store.retention import retention_lock
from inspector.store.subtrees import proven_by

FORMAT = "inspector-package"
VERSION = 1
MANIFEST, SIGNATURE, PUBLIC = "manifest.json", "manifest.sig", "station.pub"
CHECKPOINT, RECORDS, PROOF = "checkpoint.json", "records.jsonl", "proof.json"
SUMMARY, README = "summary.json", "README.txt"
OURS = frozenset({PUBLIC, CHECKPOINT, RECORDS, PROOF, SUMMARY, README})
EXPORTED = "package.exported"

_README = """Batch {batch} of station {station}, as its ledger holds it.

records.jsonl    one record a line: where it stands in the ledger ("line" or "desk"), its exact
                 bytes (base64 of CBOR, RFC 8949), and the same in words
images/          the pictures; a picture's name is its SHA-256, which a record names
checkpoint.json  what the station signed: the root of a Merkle tree over all its records
proof.json       the hashes that lead from these records to that root (RFC 6962)
summary.json     the batch in figures, counted from the records
manifest.json    SHA-256 of every file here; manifest.sig is the station's Ed25519 signature of it
station.pub      the station's public key. Compare it with the key that you were given otherwise.

To check all of it:  inspector verify --package FILE --key station.pub
"""


@dataclass(frozen=True, slots=True)
class Packed:
    """What a package holds."""

    batch: str
    parts: int
    records: int
    images: int
    missing_images: int
    """Recorded pictures whose files are not here any more."""
    unsigned: int
    """Records about the batch that no checkpoint covers yet, and that were left out."""
    sha256: str
    """Of the package."""


def pack_batch(
    data_dir: Path | str,
    batch: str,
    out: Path,
    principal: str,
    *,
    key: Ed25519PrivateKey | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> Packed:
    """Writes the package of a batch and records in the desk's ledger that it left.

    Args:
        key: signs the manifest; the station's own if none is given.
        extra: more files by name, such as a report as PDF; the manifest's signature covers them.

    Raises:
        StoreError: no such batch, none of it signed yet, or the disk refuses.
        StoreDamaged: the records are not those that were signed.
    """
    data_dir = Path(data_dir)
    if not principal.strip():
        raise RecordError("every write names its principal (I9): it is empty here")
    with retention_lock(data_dir, shared=True):  # no picture goes while it is being packed
        return _pack(data_dir, batch, out, principal, key or signing_key(data_dir), extra or {})


def _pack(
    data_dir: Path,
    batch: str,
    out: Path,
    principal: str,
    key: Ed25519PrivateKey,
    extra: Mapping[str, bytes],
) -> Packed:
    with reading(data_dir / schema.LINE_FILE) as line:
        signed, checkpoint = newest_checkpoint(line)
        where = batch_range(line, batch)
        if where is None:
            raise StoreError(f"{data_dir}: no part of a batch {batch!r}")
        lookup = lookup_in(lambda at: body_at(line, at))
        found = batch_positions(line, where, lookup)
        size = checkpoint.line_size
        wanted = sorted(at for at in found if at < size)
        bodies = {at: body_at(line, at) for at in wanted}
        if not wanted or where.first >= size:
            raise StoreError(f"{data_dir}: nothing of batch {batch!r} is signed yet; try in 10 s")
        line_nodes = proven_by(subset_proof, data_dir, line, size, checkpoint.line_root, wanted)
    lookup = lookup_in(bodies.__getitem__)
    records = {at: layout.decode_record(body, lookup) for at, body in bodies.items()}
    verdicts = [record for record in records.values() if isinstance(record, Verdict)]
    desk, desk_nodes = _desk(data_dir, checkpoint, batch, verdicts)
    images, missing = _images(data_dir, records.values())
    files = {
        PUBLIC: pem_of(key.public_key()),
        CHECKPOINT: _json(checkpoint_words(signed, checkpoint)),
        RECORDS: _lines(bodies, records, desk, lookup),
        PROOF: _json({"line": _hex(line_nodes), "desk": _hex(desk_nodes)}),
        SUMMARY: _json(summary_of(batch, verdicts)),
        README: _README.format(batch=batch, station=checkpoint.station).encode(),
    }
    if clash := (OURS | {MANIFEST, SIGNATURE}) & set(extra):
        raise StoreError(f"{min(clash)}: a package has a file of its own by this name")
    packed = _write(
        out,
        files | {f"extra/{name}": content for name, content in extra.items()},
        images,
        {
            "format": FORMAT,
            "version": VERSION,
            "batch": batch,
            "station": checkpoint.station,
            "made": iso_utc(checkpoint.utc_ns),
            "made_by": principal,
            "missing_images": sorted(missing),
        },
        key,
        checkpoint,
    )
    with DeskLedger.open(data_dir) as ledger:
        ledger.add(EXPORTED, {"batch": batch, "sha256": packed, "records": len(bodies)}, principal)
    return Packed(
        batch,
        len(verdicts),
        len(bodies) + len(desk),
        len(images),
        len(missing),
        len(found) - len(wanted),
        packed,
    )


def summary_of(batch: str, verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """A batch in figures: parts by mode and outcome, faulty parts by label, first and last UTC."""
    counts: dict[str, Counter[str]] = {}
    labels: Counter[str] = Counter()
    first, last = "", ""
    for verdict in verdicts:
        counts.setdefault(verdict.mode.value, Counter())[verdict.outcome.value] += 1
        labels.update({f.label for f in verdict.findings if not f.ok and verdict.outcome != "pass"})
        last = iso_utc(verdict.times.utc_ns)
        first = first or last
    return {
        "batch": batch,
        "parts": {mode: dict(sorted(found.items())) for mode, found in sorted(counts.items())},
        "defects": dict(sorted(labels.items())),
        "first": first,
        "last": last,
    }


def _desk(
    data_dir: Path, checkpoint: Checkpoint, batch: str, verdicts: Iterable[Verdict]
) -> tuple[dict[int, bytes], list[bytes]]:
    # What the desk wrote after the checkpoint is there too, under the manifest's signature alone.
    path = data_dir / schema.DESK_FILE
    if not path.exists():
        return {}, []
    with reading(path) as desk:
        found = desk_positions(desk, batch, verdicts)
        covered = [at for at in found if at < checkpoint.desk_size]
        if not covered:
            return found, []
        size, root = checkpoint.desk_size, checkpoint.desk_root
        nodes = proven_by(subset_proof, None, desk, size, root, covered)
    return found, nodes


def _images(data_dir: Path, records: Iterable[Record]) -> tuple[dict[str, Path], set[str]]:
    root = (data_dir / "images").resolve()
    here: dict[str, Path] = {}
    missing: set[str] = set()
    for record in records:
        if isinstance(record, ImageRecord):
            path = (data_dir / record.path).resolve()
            if path.is_relative_to(root) and path.is_file():
                here[record.digest] = path
            else:
                missing.add(record.digest)
    return here, missing


def _lines(
    bodies: dict[int, bytes], records: dict[int, Record], desk: dict[int, bytes], lookup: Lookup
) -> bytes:
    lines = io.StringIO()
    for ledger, position, body, record in (
        *(("line", at, body, records[at]) for at, body in bodies.items()),
        *(("desk", at, body, layout.decode_record(body, lookup)) for at, body in desk.items()),
    ):
        entry = {
            "ledger": ledger,
            "position": position,
            "body": base64.b64encode(body).decode(),
            "record": readable(record),
        }
        lines.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return lines.getvalue().encode("utf-8", "backslashreplace")


def _write(
    out: Path,
    files: Mapping[str, bytes],
    images: Mapping[str, Path],
    manifest: dict[str, Any],
    key: Ed25519PrivateKey,
    checkpoint: Checkpoint,
) -> str:
    when = datetime.fromtimestamp(checkpoint.utc_ns // 1_000_000_000, UTC).timetuple()[:6]
    listed: dict[str, dict[str, Any]] = {}
    with fresh_file(out) as fresh:
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:

            def add(name: str, content: bytes, how: int = zipfile.ZIP_DEFLATED) -> None:
                info = zipfile.ZipInfo(name, (max(when[0], 1980), *when[1:]))
                info.compress_type = how
                info.external_attr = 0o644 << 16
                archive.writestr(info, content)

            for name, content in files.items():
                listed[name] = {"sha256": sha256(content).hexdigest(), "size": len(content)}
                add(name, content)
            for digest, path in images.items():
                content = path.read_bytes()
                if sha256(content).hexdigest() != digest:
                    raise StoreDamaged(f"{path}: was changed; run: inspector verify")
                listed[f"images/{digest}.jpg"] = {"sha256": digest, "size": len(content)}
                add(f"images/{digest}.jpg", content, zipfile.ZIP_STORED)
            key_name = key_id(key.public_key()).hex()
            body = _json(
                {**manifest, "checkpoint": checkpoint.number, "key": key_name, "files": listed}
            )
            add(MANIFEST, body)
            add(SIGNATURE, key.sign(body).hex().encode())
        return sha256(fresh.read_bytes()).hexdigest()


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


def _hex(nodes: Iterable[bytes]) -> list[str]:
    return [node.hex() for node in nodes]
