"""Complaints: from a serial that after-sales heard of to the part's record, and into the next model
(S21).

Enters: a serial, the defect that the customer found. Leaves: a complaint traced to its part, marked
as an escape if the station had let it pass, and its pictures as samples: at once where they are
here, asked of the station where they are not. Pages and the command line import this.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, insert, select, update

from training.hub import tables
from training.hub.index import plain
from training.hub.records import find_serial

REASON = "complaint"
_WAITING = select(tables.Complaint.id, tables.Complaint.serial).where(
    tables.Complaint.part.is_(None)
)


def file_complaint(
    connection: Connection, serial: str, label: str, words: str, principal: str, utc_ns: int
) -> int:
    """Notes a complaint in somebody's name and traces it; gives its number."""
    added = connection.execute(
        insert(tables.Complaint).values(
            serial=plain(serial.strip()),
            label=plain(label.strip()),
            text=plain(words.strip()),
            escape=0,
            made_by=principal,
            made_utc_ns=utc_ns,
        )
    )
    assert added.inserted_primary_key is not None
    number: int = added.inserted_primary_key[0]
    trace(connection, number, utc_ns)
    return number


def trace(connection: Connection, number: int, utc_ns: int) -> bool:
    """Looks for the complaint's part; whether it is found. What is found already stays."""
    complaint = connection.execute(
        select(tables.Complaint).where(tables.Complaint.id == number)
    ).one()
    if complaint.part is not None:
        return True
    for place in find_serial(connection, complaint.serial):
        verdict = connection.execute(
            select(tables.Verdict.part, tables.Verdict.outcome).where(
                tables.Verdict.station_id == place.station_id,
                tables.Verdict.position == place.position,
            )
        ).one()
        escape = tables.OUTCOMES[verdict.outcome] in ("pass", "not_inspected")
        connection.execute(
            update(tables.Complaint)
            .where(tables.Complaint.id == number)
            .values(station_id=place.station_id, part=verdict.part, escape=int(escape))
        )
        _make_samples(connection, place.station_id, verdict.part, complaint, utc_ns)
        return True
    return False


def trace_all(connection: Connection, utc_ns: int) -> int:
    """Traces what could not be traced before, because a station was behind; how many now are."""
    waiting = connection.execute(
        select(tables.Complaint.id).where(tables.Complaint.part.is_(None)).limit(1000)
    ).scalars()
    return sum(trace(connection, number, utc_ns) for number in waiting.all())


def trace_arrived(connection: Connection, serials: Collection[str], utc_ns: int) -> None:
    """Traces the complaints that waited for these serials, whose records have just come."""
    for number, serial in connection.execute(_WAITING).all() if serials else ():
        if serial in serials:
            trace(connection, number, utc_ns)


def _make_samples(
    connection: Connection, station_id: int, part: bytes, complaint: Any, utc_ns: int
) -> None:
    image, blob, sample, wish = tables.Image, tables.Blob, tables.Sample, tables.Wish
    rows = connection.execute(
        select(image.view, image.digest, image.size, blob.digest.label("here"))
        .outerjoin(blob, blob.digest == image.digest)
        .where(image.station_id == station_id, image.part == part)
    ).all()
    detail = {"complaint": complaint.id, "label": complaint.label, "serial": complaint.serial}
    for row in rows:
        if row.here is None:
            known = connection.execute(
                select(wish.digest).where(wish.station_id == station_id, wish.digest == row.digest)
            ).first()
            if known is None:
                connection.execute(
                    insert(wish).values(
                        station_id=station_id,
                        digest=row.digest,
                        part=part,
                        why=REASON,
                        made_by=complaint.made_by,
                        made_utc_ns=utc_ns,
                    )
                )
            continue
        same = (sample.station_id == station_id) & (sample.part == part) & (sample.view == row.view)
        known = connection.execute(select(sample.id, sample.detail).where(same)).first()
        if known is not None:  # it was chosen before: now it is known what is on it
            connection.execute(
                update(sample)
                .where(sample.id == known.id)
                .values(detail={**(known.detail or {}), **detail})
            )
        else:
            connection.execute(
                insert(sample).values(
                    station_id=station_id,
                    part=part,
                    view=row.view,
                    digest=row.digest,
                    size=row.size,
                    reason=REASON,
                    stratum="",
                    probability=None,
                    chosen_utc_ns=utc_ns,
                    detail=detail,
                )
            )
