"""Releases at the centre: signed files enter, stations of a channel find them.

The centre keeps the file by its content and a row that names it; what it says is believed by no
station, which checks both signatures itself. ``app`` serves the router, ``training release put``
calls ``put``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Path as Part
from sqlalchemy import Connection, select
from starlette.responses import Response, StreamingResponse

from training.hub import tables
from training.hub.database import reading
from training.hub.enrolment import Unknown
from training.hub.hub import Hub
from training.hub.stations import TheHub, TheStation
from training.release import NotMade, inspect

router = APIRouter()
CHANNEL = "[a-z0-9][a-z0-9-]{0,15}"
Channel = Annotated[str, Part(pattern=f"^{CHANNEL}$")]
Digest = Annotated[str, Part(pattern="^[0-9a-f]{64}$")]


def put(hub: Hub, path: Path, channel: str, who: str, stations: list[str] | None = None) -> str:
    """Keeps the release in ``path`` and makes it the newest of ``channel``; its digest.

    ``stations`` are those that it is for; none: all of the channel. Raises ``NotMade`` or
    ``ReleaseRefused``.
    """
    release = inspect(path)
    missing = [role for role in ("builder", "approver") if role not in release.signatures]
    if missing:
        raise NotMade(f"{path}: not signed by its {' and '.join(missing)}")
    if not re.fullmatch(CHANNEL, channel):
        raise NotMade(f"{channel!r} is no channel: 1 to 16 of a-z, 0-9 and -")
    content = path.read_bytes()
    archive = hub.blobs.put(content)
    manifest = release.manifest
    with hub.engine.begin() as connection:
        row = _row_of(connection, manifest.name, manifest.version)
        table = tables.Release.__table__
        file = {
            "digest": archive, "size": len(content),
            "signatures": [s.model_dump(mode="json") for s in release.signatures.values()],
        }  # fmt: skip
        if row is None:
            row = connection.execute(
                table.insert().values(
                    name=manifest.name, version=manifest.version, made_by=who,
                    made_utc_ns=hub.utc_ns(),
                    card={"release": release.digest, "number": manifest.number}, **file,
                )
            ).inserted_primary_key[0]  # fmt: skip
        elif _card(connection, row)["release"] != release.digest:
            raise NotMade(f"{manifest.title} is here already, with other content; count it up")
        else:  # perhaps others have signed it since
            connection.execute(table.update().where(table.c.id == row).values(**file))
        table = tables.Channel.__table__
        connection.execute(
            table.delete().where(table.c.name == manifest.name, table.c.stage == channel)
        )
        connection.execute(
            table.insert().values(
                name=manifest.name, stage=channel, release_id=row, stations=stations or [],
                set_by=who, set_utc_ns=hub.utc_ns(),
            )
        )  # fmt: skip
    return release.digest


@router.get("/channels/{channel}")
def channel(channel: Channel, hub: TheHub, station: TheStation) -> list[dict[str, Any]]:
    """The newest release of each recipe on a channel, for the station that asks."""
    with reading(hub.engine) as connection:
        rows = connection.execute(
            select(
                tables.Release.name, tables.Release.version, tables.Release.card,
                tables.Release.signatures, tables.Channel.stations,
            )
            .join(tables.Channel, tables.Channel.release_id == tables.Release.id)
            .where(tables.Channel.stage == channel)
        ).all()  # fmt: skip
        mine = connection.execute(
            select(tables.Station.name).where(tables.Station.id == station.id)
        ).scalar()
    return [
        {
            "release": row.card["release"],
            "name": row.name,
            "version": row.version,
            "number": row.card["number"],
            "signed": [one["signature"] for one in row.signatures],
        }
        for row in rows
        if not row.stations or mine in row.stations
    ]


@router.get("/releases/{digest}")
def release(digest: Digest, hub: TheHub, station: TheStation) -> Response:
    """A release's file, in pieces: every station of a channel asks for it within a minute."""
    with reading(hub.engine) as connection:
        rows = connection.execute(select(tables.Release.digest, tables.Release.card)).all()
    archive = next((row.digest for row in rows if row.card["release"] == digest), None)
    if archive is None:
        raise Unknown(f"the centre has no release {digest[:16]}")
    size, pieces = hub.blobs.pieces(archive)
    return StreamingResponse(
        pieces, media_type="application/octet-stream", headers={"Content-Length": str(size)}
    )


def _row_of(connection: Connection, name: str, version: str) -> int | None:
    found: int | None = connection.execute(
        select(tables.Release.id).where(
            tables.Release.name == name, tables.Release.version == version
        )
    ).scalar()
    return found


def _card(connection: Connection, row: int) -> dict[str, Any]:
    card: dict[str, Any] = connection.execute(
        select(tables.Release.card).where(tables.Release.id == row)
    ).scalar_one()
    return card
