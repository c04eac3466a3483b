"""Proof that one part's records are in the ledger, for whoever has the public key and no database.

Enters: ``<data>`` and a part. Leaves: a JSON document with the records' exact bytes, their words,
the audit path of each (RFC 6962, section 2.1.1) and the signed checkpoint above them; and the
check of such a document. The command line, the plant and the web may import this.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from inspector.part import PartId, Verdict
from inspector.store import layout, schema
from inspector.store.checkpoint import Checkpoint, Signed, check, read_body
from inspector.store.errors import ProofRefused, RecordError, StoreDamaged, StoreError
from inspector.store.merkle import inclusion_proofs, leaf_hash, proves_inclusion
from inspector.store.query import History
from inspector.store.readable import iso_utc, readable, spelled
from inspector.store.records import BatchChange, Event, Lookup, Record
from inspector.store.related import body_at, lookup_in, part_positions, reading
from inspector.store.subtrees import proven_by

FORMAT = "inspector-proof"
VERSION = 1
MAX_FILE = 64 << 20
"""A longer file is no proof of one part."""


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof shows once it is checked."""

    station: str
    checkpoint: int
    """The checkpoint's number."""
    utc_ns: int
    """When it was signed."""
    records: int
    """How many records are proven."""
    part_id: PartId
    outcome: str
    batch: str
    serial: str | None

    def __str__(self) -> str:
        serial = f", serial {self.serial}" if self.serial else ""
        return (
            f"part {self.part_id}{serial}, batch {self.batch}: {self.outcome}\n"
            f"{self.records} records proven under checkpoint {self.checkpoint} of station"
            f" {self.station}, signed {iso_utc(self.utc_ns)}\nok"
        )

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "ok": True,
            "station": self.station,
            "checkpoint": self.checkpoint,
            "signed": iso_utc(self.utc_ns),
            "records": self.records,
            "part": str(self.part_id),
            "outcome": self.outcome,
            "batch": self.batch,
            "serial": self.serial,
        }


def prove_part(
    data_dir: Path | str, *, part: PartId | None = None, serial: str | None = None
) -> dict[str, Any]:
    """The proof of one part, by its id or its serial, as a document for JSON.

    The first one reads every record under the checkpoint (3 s for a million); later ones read
    what is new, since `subtrees` remembers.

    Raises:
        StoreError: no such part, several with this serial, or it is not signed yet.
        StoreDamaged: the records are not those that were signed.
    """
    data_dir = Path(data_dir)
    position = _find(data_dir, part, serial)
    with reading(data_dir / schema.LINE_FILE) as line:
        signed, checkpoint = newest_checkpoint(line)
        wanted = part_positions(line, position, lookup_in(lambda at: body_at(line, at)))
        if position >= checkpoint.line_size:
            raise StoreError(
                f"record {position} is not signed yet: a running line signs within 10 s, a"
                " stopping one at its end"
            )
        # its gate's answer or its image may be younger than the checkpoint: they are left out
        wanted = {at for at in wanted if at < checkpoint.line_size}
        paths = proven_by(
            inclusion_proofs, data_dir, line, checkpoint.line_size, checkpoint.line_root, wanted
        )
        bodies = {at: body_at(line, at) for at in sorted(wanted)}
    lookup = lookup_in(bodies.__getitem__)
    return {
        "format": FORMAT,
        "version": VERSION,
        "part": str(_verdict(bodies[position], lookup).part_id),
        "checkpoint": checkpoint_words(signed, checkpoint),
        "records": [
            {
                "position": at,
                "body": body.hex(),
                "path": [node.hex() for node in paths[at]],
                "record": readable(layout.decode_record(body, lookup)),
            }
            for at, body in bodies.items()
        ],
    }


def check_proof(path: Path, key: Ed25519PublicKey) -> Proven:
    """Checks a proof's file with nothing but the station's public key.

    Raises:
        ProofRefused: it does not prove what it says; the text names the first thing that is wrong.
    """
    document = read_document(path, MAX_FILE)
    if document.get("format") != FORMAT or document.get("version") != VERSION:
        raise ProofRefused(f"{path}: no proof that this software reads ({FORMAT}, {VERSION})")
    checkpoint = check_checkpoint(document.get("checkpoint"), key)
    listed = document.get("records")
    if not isinstance(listed, list) or not listed:
        raise ProofRefused("records: there are none")
    bodies: dict[int, bytes] = {}
    for number, entry in enumerate(listed):
        position, body = position_and_body(entry, f"records[{number}]")
        if position in bodies or set(entry) != {"position", "body", "path", "record"}:
            raise ProofRefused(f"record {position}: is there twice, or has more than it should")
        bodies[position] = body
        nodes = hashes(entry.get("path"), f"record {position}")
        size, root = checkpoint.line_size, checkpoint.line_root
        if not proves_inclusion(leaf_hash(body), position, size, nodes, root):
            raise ProofRefused(
                f"record {position}: is not what checkpoint {checkpoint.number} signed: its bytes,"
                " place or path were changed"
            )
    verdicts = []
    decode = decoder(bodies)
    for position, entry in zip(bodies, listed, strict=True):
        record = decode(position)
        if spelled(readable(record)) != spelled(entry.get("record")):
            raise ProofRefused(f"record {position}: its words are not those of its bytes")
        if isinstance(record, Verdict):
            verdicts.append(record)
    if len(verdicts) != 1 or document.get("part") != str(verdicts[0].part_id):
        raise ProofRefused("part: is not the one whose verdict is in the records")
    _all_of_the_part(verdicts[0], bodies)
    extra = set(document) - {"format", "version", "part", "checkpoint", "records"}
    if extra:
        raise ProofRefused(f"{min(extra)}: nothing proves it")
    verdict = verdicts[0]
    return Proven(
        checkpoint.station,
        checkpoint.number,
        checkpoint.utc_ns,
        len(bodies),
        verdict.part_id,
        verdict.outcome.value,
        verdict.batch,
        verdict.serial,
    )


# What a package's check needs too.


def newest_checkpoint(line: sqlite3.Connection) -> tuple[Signed, Checkpoint]:
    """The newest checkpoint of line.db.

    Raises:
        StoreError: there is none yet.
        StoreDamaged: it is none.
    """
    row = line.execute(
        "SELECT body, signature FROM checkpoint ORDER BY number DESC LIMIT 1"
    ).fetchone()
    if row is None:
        raise StoreError("no checkpoint is signed yet: a line signs within 10 s of its first part")
    try:
        return Signed(*row), read_body(row[0])
    except (RecordError, TypeError) as error:
        raise StoreDamaged(f"the newest checkpoint: {error}; run: inspector verify") from error


def newest_words(data_dir: Path | str) -> dict[str, Any]:
    """`checkpoint_words` of the newest checkpoint of a store; empty where nothing is signed yet."""
    try:
        with reading(Path(data_dir) / schema.LINE_FILE) as line:
            return checkpoint_words(*newest_checkpoint(line))
    except StoreError:
        return {}


def checkpoint_words(signed: Signed, checkpoint: Checkpoint) -> dict[str, Any]:
    """A signed checkpoint for JSON: its bytes, its signature, and the same in words."""
    return {
        "body": signed.body.hex(),
        "signature": signed.signature.hex(),
        "number": checkpoint.number,
        "station": checkpoint.station,
        "signed": iso_utc(checkpoint.utc_ns),
        "line": {"records": checkpoint.line_size, "root": checkpoint.line_root.hex()},
        "desk": {"records": checkpoint.desk_size, "root": checkpoint.desk_root.hex()},
        "key": checkpoint.key.hex(),
    }


def check_checkpoint(words: Any, key: Ed25519PublicKey) -> Checkpoint:
    """The checkpoint in ``words``, if this key signed it and the words are true.

    Raises:
        ProofRefused: otherwise.
    """
    try:
        signed = Signed(bytes.fromhex(words["body"]), bytes.fromhex(words["signature"]))
        checkpoint = check(signed, key)
    except RecordError as error:
        raise ProofRefused(f"checkpoint: {error}") from error
    except (TypeError, KeyError, ValueError) as error:
        raise ProofRefused("checkpoint: is none") from error
    if spelled(words) != spelled(checkpoint_words(signed, checkpoint)):
        raise ProofRefused("checkpoint: its words are not those of its bytes")
    return checkpoint


def held_checkpoint(path: Path) -> Signed:
    """The signed checkpoint in a proof, or in a package's ``checkpoint.json``, as it was kept
    elsewhere; `verify` checks it and what it shows.

    Raises:
        ProofRefused: there is none in this file.
    """
    document = read_document(path, MAX_FILE)
    words = document.get("checkpoint", document)
    try:
        return Signed(bytes.fromhex(words["body"]), bytes.fromhex(words["signature"]))
    except (TypeError, KeyError, ValueError) as error:
        raise ProofRefused(f"{path}: holds no checkpoint") from error


def read_document(path: Path, limit: int) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        ProofRefused: there is none, or it is longer than ``limit`` bytes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ProofRefused(f"{path}: {error.strerror}") from error
    if len(content) > limit:
        raise ProofRefused(f"{path}: longer than {limit} bytes")
    return parse_object(content, str(path))


def parse_object(content: bytes, where: str) -> dict[str, Any]:
    """The JSON object in these bytes, in which no name stands twice.

    Raises:
        ProofRefused: there is none.
    """
    try:
        document = json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ProofRefused(f"{where}: is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ProofRefused(f"{where}: is no JSON object")
    return document


def position_and_body(entry: Any, where: str) -> tuple[int, bytes]:
    """Where a listed record stands, and its bytes.

    Raises:
        ProofRefused: the entry is none.
    """
    try:
        position, body = entry["position"], bytes.fromhex(entry["body"])
    except (TypeError, KeyError, ValueError) as error:
        raise ProofRefused(f"{where}: is no record") from error
    if type(position) is not int or body.hex() != entry["body"]:
        raise ProofRefused(f"{where}: is no record")
    return position, body


def hashes(value: Any, where: str) -> list[bytes]:
    """A list of hashes in hex.

    Raises:
        ProofRefused: it is none.
    """
    try:
        nodes = [bytes.fromhex(node) for node in value]
    except (TypeError, ValueError) as error:
        raise ProofRefused(f"{where}: its path is no list of hashes") from error
    if any(len(node) != 32 for node in nodes) or [node.hex() for node in nodes] != value:
        raise ProofRefused(f"{where}: its path is no list of hashes")
    return nodes


def decoder(bodies: dict[int, bytes]) -> Callable[[int], Record]:
    """Gives the record at a position, with its definitions among the same records.

    What it gives raises ProofRefused where it is none, or a definition is missing.
    """

    def body_of(at: int) -> bytes:
        if at not in bodies:
            raise RecordError(f"needs record {at}, which is not here")
        return bodies[at]

    lookup = lookup_in(body_of)

    def decode(position: int) -> Record:
        try:
            return layout.decode_record(bodies[position], lookup)
        except (RecordError, TypeError) as error:
            raise ProofRefused(f"record {position}: {error}") from error

    return decode


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _find(data_dir: Path, part: PartId | None, serial: str | None) -> int:
    with History(data_dir) as history:
        if part is not None:
            one = history.part(part)
            found = [] if one is None else [one]
            who = f"part {part}"
        else:
            found = list(history.by_serial(serial or ""))
            who = f"part with serial {serial}"
    if not found:
        raise StoreError(f"{data_dir}: no {who}")
    if len(found) > 1:
        ids = ", ".join(
            f"{one.verdict.part_id} ({iso_utc(one.verdict.times.utc_ns)})" for one in found[:10]
        )
        raise StoreError(f"{len(found)} parts carried serial {serial}; choose one by --part: {ids}")
    return found[0].position


def _verdict(body: bytes, lookup: Lookup) -> Verdict:
    record = layout.decode_record(body, lookup)
    assert isinstance(record, Verdict)
    return record


def _all_of_the_part(verdict: Verdict, bodies: dict[int, bytes]) -> None:
    # A true record of another part beside this verdict would be read as this part's.
    decode = decoder(bodies)
    for position in bodies:
        record = decode(position)
        owner = getattr(record, "part_id", verdict.part_id)
        if owner != verdict.part_id or isinstance(record, Event | BatchChange):
            raise ProofRefused(f"record {position}: is not about part {verdict.part_id}")
