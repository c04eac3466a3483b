"""A snapshot: rows and their pictures enter, an immutable folder leaves, named by its content.

``<home>/<name>/<version>/manifest.parquet`` and ``card.json``; pictures, shared by all snapshots,
in ``<home>/blobs`` by their SHA-256. The version is the beginning of the snapshot's digest, which
is over the rows in one spelling: the same rows are the same version, a changed row is another.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspector.part import Pixels
from training.dataset.card import describe
from training.dataset.row import Draft, Row
from training.hub.blobs import BlobError, Blobs, open_blobs

SCHEMA = "inspector-dataset/1"
MANIFEST, CARD, BLOBS = "manifest.parquet", "card.json", "blobs"


class SnapshotError(ValueError):
    """A snapshot that is not there, not whole or not what it was; ``str()`` says which and how."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of a data set."""

    folder: Path
    name: str
    digest: str
    rows: tuple[Row, ...]
    card: dict[str, Any]
    blobs: Blobs

    @property
    def version(self) -> str:
        return self.digest[:12]

    @property
    def ref(self) -> str:
        return f"{self.name}/{self.version}"

    def of(self, *splits: str, view: str = "") -> list[Row]:
        """The rows of these splits (all when none is named), of one view if it is given."""
        return [
            row for row in self.rows
            if (not splits or row.split in splits) and (not view or row.view == view)
        ]  # fmt: skip

    def content(self, row: Row) -> bytes:
        """The encoded picture, its digest checked. Raises ``SnapshotError``."""
        try:
            return self.blobs.get(row.image)
        except BlobError as error:
            raise SnapshotError(f"{self.ref}: picture {error}") from None

    def picture(self, row: Row) -> Pixels:
        """The picture, grey ``(h, w)`` if it is stored so, else BGR ``(h, w, 3)``."""
        return decode(self.content(row), row.image)

    def parts(self, *splits: str) -> Iterator[list[Row]]:
        """The views of each part together, in the order of the ledger."""
        by_part: dict[str, list[Row]] = {}
        for row in self.of(*splits):
            by_part.setdefault(row.part or row.image, []).append(row)
        yield from by_part.values()

    def classes(self) -> list[str]:
        """Every label there is, most frequent first."""
        counts = Counter(label.label for row in self.rows for label in row.labels)
        return [name for name, _ in counts.most_common()]


def write(
    home: Path, name: str, drafts: Iterable[Draft], *, made_from: dict[str, Any], by: str
) -> Snapshot:
    """Keeps a snapshot. The same content again is the same snapshot, untouched.

    ``made_from`` says what it was built from (stations, heads of ledgers, filters), ``by`` who.
    """
    _is_name(name)
    blobs = open_blobs(str(home / BLOBS))
    rows = []
    for draft in drafts:
        blobs.put(draft.content, draft.row.image)
        rows.append(draft.row)
    if not rows:
        raise SnapshotError(f"{name}: no labelled picture; review parts first, or widen the filter")
    return keep(home, name, rows, made_from=made_from, by=by)


def keep(
    home: Path, name: str, rows: Sequence[Row], *, made_from: dict[str, Any], by: str
) -> Snapshot:
    """A snapshot of rows whose pictures are in the store already."""
    _is_name(name)
    rows = sorted(
        rows, key=lambda r: (r.station, r.position, r.stream, r.sequence, r.view, r.image)
    )
    digest = digest_of(rows)
    folder = home / name / digest[:12]
    if not folder.exists():
        card = {
            "schema": SCHEMA, "name": name, "version": digest[:12], "digest": digest,
            "created": datetime.now(UTC).isoformat(timespec="seconds"), "by": by,
            "made_from": made_from, **describe(rows),
        }  # fmt: skip
        draft = folder.with_name(f".{folder.name}.{os.getpid()}")
        draft.mkdir(parents=True, exist_ok=True)
        _write_parquet(draft / MANIFEST, rows, digest)
        (draft / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False))
        draft.rename(folder)
    return open_snapshot(home, f"{name}/{digest[:12]}")


def open_snapshot(home: Path, ref: str) -> Snapshot:
    """The snapshot ``name/version``, or the newest of ``name``. Raises ``SnapshotError``."""
    import pyarrow.parquet as pq

    name, _, version = ref.partition("/")
    folder = home / name
    if not version:
        there = [p for p in folder.glob("*/card.json") if not p.parent.name.startswith(".")]
        if not there:
            known = ", ".join(sorted({p.parent.parent.name for p in home.glob("*/*/card.json")}))
            raise SnapshotError(f"no data set {name!r} in {home}; there are: {known or 'none'}")
        newest = max(there, key=lambda p: (json.loads(p.read_text())["created"], str(p)))
        version = newest.parent.name
    folder = folder / version
    try:
        table = pq.read_table(folder / MANIFEST)
        card = json.loads((folder / CARD).read_text())
    except (OSError, ValueError) as error:
        raise SnapshotError(f"{ref}: cannot be read in {folder}: {error}") from None
    rows = tuple(
        Row.of({**entry, "labels": json.loads(entry["labels"])}) for entry in table.to_pylist()
    )
    digest = digest_of(rows)
    if digest != card.get("digest") or not digest.startswith(version):
        raise SnapshotError(f"{ref}: its rows are not those that were written; build it again")
    return Snapshot(folder, name, digest, rows, card, open_blobs(str(home / BLOBS)))


def difference(old: Snapshot, new: Snapshot) -> dict[str, Any]:
    """What ``new`` has that ``old`` had not, what went, and what is labelled otherwise."""
    before = {(r.image, r.view): r for r in old.rows}
    after = {(r.image, r.view): r for r in new.rows}
    both = before.keys() & after.keys()
    changed = [k for k in both if _said(before[k]) != _said(after[k])]
    moved = [k for k in both if before[k].split != after[k].split]
    counts = {
        side: Counter(label.label for row in snap.rows for label in row.labels)
        for side, snap in (("old", old), ("new", new))
    }
    labels = sorted({*counts["old"], *counts["new"]})
    return {
        "old": old.ref,
        "new": new.ref,
        "added": len(after.keys() - before.keys()),
        "removed": len(before.keys() - after.keys()),
        "relabelled": sorted(image for image, _ in changed),
        "moved": len(moved),
        "labels": {name: [counts["old"][name], counts["new"][name]] for name in labels},
    }


def digest_of(rows: Sequence[Row]) -> str:
    """SHA-256 over the rows in one spelling."""
    found = hashlib.sha256()
    for row in rows:
        text = json.dumps(row.as_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        found.update(text.encode() + b"\n")
    return found.hexdigest()


def decode(content: bytes, name: str = "") -> Pixels:
    """An encoded picture's pixels. Raises ``SnapshotError``."""
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_ANYCOLOR)
    if pixels is None:
        raise SnapshotError(f"{name}: no picture that can be decoded")
    return np.ascontiguousarray(pixels, np.uint8)


def _is_name(name: str) -> None:
    if not name or "/" in name or name.startswith(".") or name == BLOBS:
        raise SnapshotError(
            f"{name!r} is no name of a data set: it has no `/`, begins with no `.`, and is not "
            f"{BLOBS!r}"
        )


def _said(row: Row) -> tuple[Any, ...]:
    return row.truth, row.labels


def _write_parquet(path: Path, rows: Sequence[Row], digest: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    entries = []
    for row in rows:
        entry = row.as_dict()
        entry["labels"] = json.dumps(entry["labels"], ensure_ascii=False)
        entries.append(entry)
    table = pa.Table.from_pylist(entries)
    meta = {b"schema": SCHEMA.encode(), b"digest": digest.encode()}
    pq.write_table(table.replace_schema_metadata(meta), path, compression="zstd")
