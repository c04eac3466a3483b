"""Process values that a station's desk sealed: taken in if they are what the seal says.

Enters: samples, the position of the desk's record that sealed them. Leaves: rows of `tables.Tag`.
`stations` imports this.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import zstandard
from sqlalchemy import Connection, insert, select

from inspector.store.tags import KIND, QUALITIES, digest_of
from training.hub import tables
from training.hub.index import plain
from training.hub.ingest import Refused, Sender

MOST = 64 << 20
"""Bytes of samples under one seal."""


def take_tags(connection: Connection, sender: Sender, seal: int, content: bytes) -> int:
    """Takes the samples of one seal in; how many were new.

    Raises:
        Refused: ``seal`` (no such record here), ``tags`` (other samples than it sealed).
    """
    event = tables.Event
    sealed = connection.execute(
        select(event.body).where(
            event.station_id == sender.id,
            event.ledger == "desk",
            event.position == seal,
            event.kind == KIND,
        )
    ).scalar()
    if sealed is None:
        raise Refused("seal", f"desk record {seal} seals no process values here")
    try:
        with zstandard.ZstdDecompressor().stream_reader(content) as reader:
            raw = reader.read(MOST + 1)
        rows = [_row(row) for row in json.loads(raw)] if len(raw) <= MOST else []
        count, _, digest = digest_of(rows)
    except (zstandard.ZstdError, ValueError, TypeError, OverflowError, struct.error) as error:
        raise Refused("tags", f"what was sent for desk record {seal} are no samples") from error
    if (count, digest) != (sealed.get("count"), sealed.get("sha256")):
        raise Refused(
            "tags", f"samples {sealed.get('first')} to {sealed.get('last')} are not those sealed"
        )
    tag = tables.Tag
    have = set(
        connection.execute(
            select(tag.position).where(
                tag.station_id == sender.id, tag.position.between(rows[0][0], rows[-1][0])
            )
        ).scalars()
    )
    fresh = [
        {
            "station_id": sender.id,
            "position": position,
            "name": plain(name)[:200],
            "utc_ns": utc_ns,
            "value": value,
            "text": QUALITIES[quality].value,
            "unit": plain(unit),
        }
        for position, name, unit, utc_ns, value, quality, _ in rows
        if position not in have
    ]
    if fresh:
        connection.execute(insert(tag), fresh)
    return len(fresh)


def _row(row: Any) -> Any:
    position, name, unit, utc_ns, value, quality, principal = row
    if type(quality) is not int or not 0 <= quality < len(QUALITIES):
        raise ValueError("no quality")
    number = None if value is None else float(value)
    return int(position), str(name), str(unit), int(utc_ns), number, quality, str(principal)
