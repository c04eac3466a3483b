"""Process values on their way to the centre: those that the desk has sealed, under their seal.

Enters: the desk's ``tags`` records that the centre has already. Leaves: the sealed samples at the
centre, which checks them against the very record. Only `inspector.sync` imports this.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import zstandard

from inspector.store import layout, schema
from inspector.store.errors import RecordError
from inspector.store.records import Definition, DeskRecord
from inspector.store.related import reading
from inspector.store.tags import KIND, are_lost, digest_of, sealed_rows
from inspector.sync.centre import Link
from inspector.sync.enrol import RefusedByCentre
from inspector.sync.tail import Spoilt


def seals(data_dir: Path, after: int, before: int) -> Iterator[tuple[int, dict[str, int | str]]]:
    """Positions and bodies of the desk's seals between two positions, neither included."""
    path = data_dir / schema.DESK_FILE
    if not path.is_file():
        return
    with reading(path) as desk:
        rows = desk.execute(
            "SELECT position, body FROM event JOIN record USING (position)"
            " WHERE kind = ? AND position > ? AND position < ? ORDER BY position LIMIT 1000",
            (KIND, after, before),
        ).fetchall()
    for position, body in rows:
        record = layout.decode_record(body, _nothing)
        if isinstance(record, DeskRecord) and isinstance(record.body, dict):
            yield position, record.body


def send_sealed(link: Link, data_dir: Path, position: int, seal: dict[str, int | str]) -> None:
    """Sends the samples of one seal, unless they went with a disk. Sent again they change nothing.

    Raises:
        Spoilt: they are not those that were sealed, here or for the centre.
        Away, RefusedByCentre: the centre does not answer, or not this station.
    """
    first, last = int(seal["first"]), int(seal["last"])
    rows = sealed_rows(data_dir, first, last)
    count, _, digest = digest_of(rows)
    if (count, digest) != (seal["count"], seal["sha256"]):
        if are_lost(data_dir, first, last):
            return
        raise Spoilt("tags", f"tags.db samples {first} to {last} are not those that were sealed")
    content = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    try:
        link.ask(
            "POST",
            "/api/v1/tags",
            content=zstandard.ZstdCompressor(level=3).compress(content),
            seal=position,
        )
    except RefusedByCentre as refused:
        if refused.of_the_station:
            raise
        raise Spoilt(
            "tags", f"the centre refuses samples {first} to {last}: {refused}"
        ) from refused


def _nothing(position: int) -> Definition:
    raise RecordError(f"a desk record refers to record {position}; none does")
