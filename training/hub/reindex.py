"""Making the index again from the segments: after a change of its tables, or when it was damaged.

Enters: a station. Leaves: the same acknowledged records, indexed anew. The command line imports
this. One transaction: pages show the old index until the new one is whole, and what the station
sends meanwhile waits at the station.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, delete, select

from inspector.store.records import Definition
from training.hub import tables
from training.hub.blobs import Blobs
from training.hub.index import COLUMNS, Rows
from training.hub.ingest import last_before
from training.hub.trees import records_of
from training.hub.weeks import Weeks
from training.hub.write import write


def reindex(
    connection: Connection,
    blobs: Blobs,
    station_id: int,
    progress: Callable[[int], None] = lambda records: None,
) -> int:
    """Empties the index of one station and fills it from its segments; gives how many records.

    Raises:
        BlobError, RecordError: a segment is not here or not what the station signed; the caller's
            transaction leaves the old index.
    """
    ledger = tables.Ledger
    connection.execute(  # in the order in which `ingest` does
        select(ledger.name)
        .where(ledger.station_id == station_id)
        .order_by(ledger.name.desc())
        .with_for_update()
    )
    for name in COLUMNS:
        table = tables.Base.metadata.tables[name]
        connection.execute(delete(table).where(table.c.station_id == station_id))
    segment = tables.Segment
    known: dict[int, Definition] = {}
    weeks = Weeks(connection.engine)
    done = 0
    for which in ("line", "desk"):
        rows = connection.execute(
            select(segment.first, segment.digest)
            .where(segment.station_id == station_id, segment.ledger == which)
            .order_by(segment.first)
        ).all()
        for row in rows:
            records = records_of(connection, blobs, station_id, row.digest)
            made = Rows(
                station_id,
                known.get,
                lambda first=row.first: last_before(connection, station_id, first),
            )
            made.add_all(which, row.first, records)
            known.update(made.fresh)
            weeks.ready(made.hours)
            for name, values in made.tables.items():
                write(connection, name, values)
            done += len(records)
            progress(done)
    return done
