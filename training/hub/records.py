"""One part at the centre: its verdict whole, its gate, pictures and reviews, out of the segments.

Enters: a part's id, a serial. Leaves: nouns and rows. Pages, complaints, data sets import this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from inspector.part import Verdict
from inspector.store.errors import RecordError
from inspector.store.layout import decode_record
from inspector.store.records import Definition
from training.hub import tables
from training.hub.blobs import Blobs
from training.hub.trees import records_of


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part's verdict is: a station, a position in its line's ledger."""

    station_id: int
    station: str
    position: int


@dataclass(frozen=True, slots=True)
class Part:
    """All that the centre has of a part."""

    place: Place
    verdict: Verdict
    gates: list[Any] = field(default_factory=list)
    """Rows of `tables.Gate`."""
    images: list[Any] = field(default_factory=list)
    """Rows of `tables.Image`, each with ``here``: whether the picture is at the centre."""
    reviews: list[Any] = field(default_factory=list)
    samples: list[Any] = field(default_factory=list)
    checkpoint: int | None = None
    """The first checkpoint that was countersigned over its record; None if none was yet."""


def find_part(connection: Connection, part: bytes) -> Place | None:
    """Where the part of this id is."""
    return _place(connection, tables.Verdict.part == part)


def find_serial(connection: Connection, serial: str) -> list[Place]:
    """Where the parts of this serial are, the newest first."""
    table = tables.Verdict
    rows = connection.execute(
        select(table.station_id, tables.Station.name, table.position)
        .join(tables.Station, tables.Station.id == table.station_id)
        .where(table.serial == serial)
        .order_by(table.utc_ns.desc())
        .limit(100)
    )
    return [Place(*row) for row in rows]


def record_at(
    connection: Connection, blobs: Blobs, station_id: int, ledger: str, position: int
) -> bytes:
    """One record's exact bytes.

    Raises:
        RecordError: the centre has none at this position.
        BlobError: its segment is not here, or was changed where it lies.
    """
    first, digest = segment_with(connection, station_id, ledger, position)
    return records_of(connection, blobs, station_id, digest)[position - first]


def segment_with(
    connection: Connection, station_id: int, ledger: str, position: int
) -> tuple[int, str]:
    """Where the segment with this record begins, and its key in the blob store.

    Raises:
        RecordError: the centre has none at this position.
    """
    table = tables.Segment
    row = connection.execute(
        select(table.first, table.count, table.digest)
        .where(table.station_id == station_id, table.ledger == ledger, table.first <= position)
        .order_by(table.first.desc())
        .limit(1)
    ).first()
    if row is None or position >= row.first + row.count:
        raise RecordError(f"the centre has no {ledger} record {position} of this station")
    return row.first, row.digest


def verdict_at(connection: Connection, blobs: Blobs, station_id: int, position: int) -> Verdict:
    """The verdict at a position of a station's line. Raises as `record_at` does."""
    known: dict[int, Definition] = {}

    def lookup(at: int) -> Definition:
        if at not in known:
            table = tables.Definition
            body = connection.execute(
                select(table.body).where(table.station_id == station_id, table.position == at)
            ).scalar()
            found = None if body is None else decode_record(body, lookup)
            if not isinstance(found, Definition):
                raise RecordError(f"refers to record {at}, which defines nothing")
            known[at] = found
        return known[at]

    record = decode_record(record_at(connection, blobs, station_id, "line", position), lookup)
    if not isinstance(record, Verdict):
        raise RecordError(f"record {position} is no verdict")
    return record


def part_at(connection: Connection, blobs: Blobs, place: Place) -> Part:
    """All that the centre has of the part there. Raises as `record_at` does."""
    verdict = verdict_at(connection, blobs, place.station_id, place.position)
    part, station_id = verdict.part_id.bytes, place.station_id
    context = connection.execute(
        select(tables.Context.stream_at)
        .join(
            tables.Verdict,
            (tables.Verdict.station_id == tables.Context.station_id)
            & (tables.Verdict.context == tables.Context.position),
        )
        .where(tables.Verdict.station_id == station_id, tables.Verdict.position == place.position)
    ).scalar_one()
    gate, image, review, sample = tables.Gate, tables.Image, tables.Review, tables.Sample
    signed = tables.Checkpoint
    return Part(
        place,
        verdict,
        list(
            connection.execute(
                select(gate)
                .where(
                    gate.station_id == station_id,
                    gate.stream_at == context,
                    gate.sequence == verdict.sequence,
                )
                .order_by(gate.position)
            )
        ),
        list(
            connection.execute(
                select(image, tables.Blob.digest.label("here"))
                .outerjoin(tables.Blob, tables.Blob.digest == image.digest)
                .where(image.station_id == station_id, image.part == part)
                .order_by(image.view)
            )
        ),
        list(
            connection.execute(
                select(review)
                .where(review.station_id == station_id, review.part == part)
                .order_by(review.position)
            )
        ),
        list(
            connection.execute(
                select(sample).where(sample.station_id == station_id, sample.part == part)
            )
        ),
        connection.execute(
            select(signed.number)
            .where(signed.station_id == station_id, signed.line_size > place.position)
            .order_by(signed.number)
            .limit(1)
        ).scalar(),
    )


def id_of(part: bytes) -> str:
    """A part's id as people write it."""
    return str(UUID(bytes=part))


def _place(connection: Connection, where: Any) -> Place | None:
    table = tables.Verdict
    row = connection.execute(
        select(table.station_id, tables.Station.name, table.position)
        .join(tables.Station, tables.Station.id == table.station_id)
        .where(where)
        .limit(1)
    ).first()
    return None if row is None else Place(*row)
