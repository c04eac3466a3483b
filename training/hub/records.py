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
from inspector.store.records import Definition, Record
from training.hub import tables
from training.hub.blobs import Blobs
from training.hub.trees import records_of

OPEN = 8
"""Segments that stay unpacked."""


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


class Records:
    """Exact records out of the segments that stations signed; the last few stay unpacked."""

    def __init__(self, connection: Connection, blobs: Blobs) -> None:
        self._connection, self._blobs = connection, blobs
        self._open: dict[str, list[bytes]] = {}
        self._definitions: dict[tuple[int, int], Definition] = {}

    def body(self, station_id: int, position: int) -> bytes:
        """The exact bytes of a record of a station's line.

        Raises:
            RecordError: the centre has none at this position.
            BlobError: its segment is not here, or was changed where it lies.
        """
        first, digest = segment_with(self._connection, station_id, "line", position)
        if digest not in self._open:
            while len(self._open) >= OPEN:
                del self._open[next(iter(self._open))]
            self._open[digest] = records_of(self._connection, self._blobs, station_id, digest)
        return self._open[digest][position - first]

    def record(self, station_id: int, position: int) -> Record:
        """What it says. Raises as `body` does."""
        return self.read(station_id, self.body(station_id, position))

    def read(self, station_id: int, body: bytes) -> Record:
        """What the bytes of such a record say.

        Raises:
            RecordError: they are none, or refer to nothing that is here.
        """
        return decode_record(body, lambda at: self._definition(station_id, at))

    def _definition(self, station_id: int, at: int) -> Definition:
        if (station_id, at) not in self._definitions:
            table = tables.Definition
            body = self._connection.execute(
                select(table.body).where(table.station_id == station_id, table.position == at)
            ).scalar()
            found = None if body is None else self.read(station_id, bytes(body))
            if not isinstance(found, Definition):
                raise RecordError(f"refers to record {at}, which defines nothing")
            self._definitions[station_id, at] = found
        return self._definitions[station_id, at]


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


def part_at(connection: Connection, blobs: Blobs, place: Place) -> Part:
    """All that the centre has of the part there. Raises as `Records.body` does."""
    verdict = Records(connection, blobs).record(place.station_id, place.position)
    if not isinstance(verdict, Verdict):
        raise RecordError(f"record {place.position} is no verdict")
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
