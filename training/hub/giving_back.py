"""What a station whose disk is gone takes back: its records, its checkpoints, its pictures.

Enters: requests under ``/api/v1`` with a station's session. Leaves: what came from this very
station. `app` includes this router; the station's half is `inspector.sync.regain`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy import select

from inspector.store.errors import RecordError
from training.hub import tables
from training.hub.database import reading
from training.hub.ingest import Refused
from training.hub.records import segment_with
from training.hub.stations import ASKED_MAX, Digest, TheHub, TheStation, has_blob, recorded_size

router = APIRouter()
Position = Annotated[int, Field(ge=0, lt=1 << 62)]


@router.get("/segments/{ledger}/{position}")
def segment(
    ledger: Literal["line", "desk"], position: Position, hub: TheHub, station: TheStation
) -> Response:
    """The segment with this record, as it came: for a station whose disk is gone."""
    try:
        with reading(hub.engine) as connection:
            _, digest = segment_with(connection, station.id, ledger, position)
    except RecordError as error:
        raise Refused("gap", str(error)) from error
    return Response(hub.blobs.get(digest), media_type="application/octet-stream")


@router.get("/checkpoints")
def checkpoints(first: Position, hub: TheHub, station: TheStation) -> list[dict[str, str]]:
    """This station's checkpoints from a number on, likewise."""
    table = tables.Checkpoint
    with reading(hub.engine) as connection:
        rows = connection.execute(
            select(table.body, table.signature)
            .where(table.station_id == station.id, table.number >= first)
            .order_by(table.number)
            .limit(ASKED_MAX)
        ).all()
    return [{"body": row.body.hex(), "signature": row.signature.hex()} for row in rows]


@router.get("/blobs/{digest}")
def picture(digest: Digest, hub: TheHub, station: TheStation) -> Response:
    """A picture that a record of this station names: for a station whose disk is gone."""
    with reading(hub.engine) as connection:
        named = recorded_size(connection, station, digest) is not None
        if not named or has_blob(connection, hub, digest) is None:
            raise Refused("image", f"there is no picture {digest} of {station.name} here")
    return Response(hub.blobs.get(digest), media_type="image/jpeg")
