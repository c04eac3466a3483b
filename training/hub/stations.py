"""What stations ask of the centre: to be let in, to hand over segments, pictures and samples.

Enters: requests under ``/api/v1``. Leaves: JSON. `app` includes this router; the station's half is
`inspector.sync.centre`.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, Field
from sqlalchemy import Connection, insert, select, update
from starlette.concurrency import run_in_threadpool

from inspector.sync.enrol import raw_key
from inspector.sync.segment import MAX_BYTES
from training.hub import tables
from training.hub.alarms import raise_alarm
from training.hub.blobs import WrongContent, WrongPiece
from training.hub.database import reading
from training.hub.enrolment import SESSION_S, Unknown, enrol, new_challenge, open_session, sender_of
from training.hub.hub import Hub
from training.hub.index import part_of, plain
from training.hub.ingest import Refused, Sender
from training.hub.sealed import take_tags

router = APIRouter()
PIECE_MAX = 8 << 20
IMAGE_MAX = 256 << 20
ASKED_MAX = 1000
"""Pictures that a station is asked for at once."""
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$")]
Words = Annotated[str, Field(max_length=2000)]


def hub_of(request: Request) -> Hub:
    """The hub that answers."""
    hub: Hub = request.app.state.hub
    return hub


def station_of(request: Request, authorization: Annotated[str, Header()] = "") -> Sender:
    """The station whose session the request carries. Raises ``Unknown``."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unknown("no session: sign a challenge first")
    hub = hub_of(request)
    with reading(hub.engine) as connection:
        return sender_of(connection, token, hub.utc_ns())


TheHub = Annotated[Hub, Depends(hub_of)]
TheStation = Annotated[Sender, Depends(station_of)]


class Enrol(BaseModel):
    """A station that wants in."""

    token: Annotated[str, Field(max_length=200)]
    station: Name
    site: Annotated[str, Field(max_length=128)] = ""
    line: Annotated[str, Field(max_length=128)] = ""
    public_key: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    signature: Annotated[str, Field(max_length=128)]


class Knock(BaseModel):
    """Who says that it is at the door."""

    station: Name


class Answer(BaseModel):
    """A challenge, answered."""

    station: Name
    challenge: Annotated[str, Field(max_length=1000)]
    answer: Annotated[str, Field(max_length=128)]


class Trouble(BaseModel):
    """What a station has found wrong with itself."""

    code: Annotated[str, Field(pattern="^[a-z_]{1,32}$")]
    detail: Words


class Picture(BaseModel):
    """One picture that a station would send."""

    digest: Digest
    size: Annotated[int, Field(ge=0, le=IMAGE_MAX)]


class Chosen(BaseModel):
    """One sample, its picture already here."""

    part: str
    view: Annotated[str, Field(max_length=64)]
    digest: Digest
    size: int
    reason: Annotated[str, Field(max_length=64)]
    stratum: Annotated[str, Field(max_length=200)] = ""
    probability: Annotated[float, Field(gt=0, le=1)] | None = None
    chosen_utc_ns: Annotated[int, Field(ge=0, lt=1 << 63)]
    detail: dict[str, Any] = Field(default_factory=dict)


@router.get("/alive")
def alive(hub: TheHub) -> dict[str, str]:
    """For a balancer: this hub reaches its database."""
    with reading(hub.engine) as connection:
        connection.execute(select(tables.Key.one))
    return {"state": "ok"}


@router.post("/enrol")
def enrolling(asked: Enrol, hub: TheHub) -> dict[str, str]:
    """A token and a key in; the centre's own key out."""
    with hub.engine.begin() as connection:
        enrol(
            connection,
            asked.token,
            asked.station,
            plain(asked.site),
            plain(asked.line),
            bytes.fromhex(asked.public_key),
            asked.signature,
            hub.utc_ns(),
        )
    return {"hub_key": raw_key(hub.key.public_key()).hex(), "station": asked.station}


@router.post("/challenge")
def challenging(asked: Knock, hub: TheHub) -> dict[str, str]:
    """Something to sign, whoever asks."""
    return {"challenge": new_challenge(asked.station, hub.key, hub.utc_ns())}


@router.post("/session")
def opening(asked: Answer, hub: TheHub) -> dict[str, Any]:
    """A session for a station that has shown its key."""
    refused: Unknown | None = None
    with hub.engine.begin() as connection:  # the alarm stays though the session does not come
        try:
            token, _ = open_session(
                connection, hub.key, asked.station, asked.challenge, asked.answer, hub.utc_ns()
            )
        except Unknown as error:
            refused = error
    if refused is not None:
        raise refused
    return {"token": token, "expires_s": SESSION_S}


@router.get("/state")
def state(hub: TheHub, station: TheStation) -> dict[str, Any]:
    """How far this station's ledgers are here, signed."""
    return hub.ingest.state(station)


@router.post("/segments")
async def segments(request: Request, hub: TheHub, station: TheStation) -> dict[str, Any]:
    """A segment in; a signed receipt and countersignatures out."""
    content = await _body(request, MAX_BYTES)
    return await run_in_threadpool(hub.ingest.take, station, content)


@router.post("/tags")
async def tags(request: Request, seal: int, hub: TheHub, station: TheStation) -> dict[str, int]:
    """The process values that one desk record sealed."""
    content = await _body(request, PIECE_MAX)
    return {"tags": await run_in_threadpool(_tags, hub, station, seal, content)}


@router.post("/trouble")
def trouble(said: Trouble, hub: TheHub, station: TheStation) -> dict[str, str]:
    """A station's own alarm about what it would send."""
    with hub.engine.begin() as connection:
        raise_alarm(connection, station.id, said.code, said.detail, hub.utc_ns())
    return {"state": "noted"}


@router.post("/report")
def report(said: dict[str, Any], hub: TheHub, station: TheStation) -> dict[str, Any]:
    """How a station is; out goes what the centre would like of it."""
    gone = said.pop("gone", None)
    where = {name: plain(str(said[name]))[:128] for name in ("site", "line") if name in said}
    with hub.engine.begin() as connection:
        connection.execute(
            update(tables.Station)
            .where(tables.Station.id == station.id)
            .values(report=said, seen_utc_ns=hub.utc_ns(), **where)
        )
        of_station = tables.Wish.station_id == station.id
        if isinstance(gone, list) and gone:
            connection.execute(
                update(tables.Wish)
                .where(of_station, tables.Wish.digest.in_([str(one) for one in gone[:ASKED_MAX]]))
                .values(why=tables.GONE)
            )
        wishes = connection.execute(
            select(tables.Wish.digest, tables.Wish.part, tables.Wish.why)
            .where(of_station, tables.Wish.why != tables.GONE)
            .limit(ASKED_MAX)
        ).all()
    return {
        "wishes": [
            {"digest": wish.digest, "part": str(UUID(bytes=wish.part)), "why": wish.why}
            for wish in wishes
        ]
    }


@router.post("/blobs")
def blobs(pictures: list[Picture], hub: TheHub, station: TheStation) -> dict[str, int]:
    """Asked first: of each picture, how many bytes are here already. Where all are and the whole
    is not, a hub was killed between the two: the first piece, sent again, puts it together."""
    with reading(hub.engine) as connection:
        whole = set(
            connection.execute(
                select(tables.Blob.digest).where(
                    tables.Blob.digest.in_([picture.digest for picture in pictures])
                )
            ).scalars()
        )
    found = {}
    for picture in pictures:
        if picture.digest in whole:
            found[picture.digest] = picture.size
        else:
            received = hub.blobs.received(station.name, picture.digest)
            found[picture.digest] = received if received < picture.size else 0
    return found


@router.put("/blobs/{digest}")
async def blob(
    request: Request, digest: str, offset: int, size: int, hub: TheHub, station: TheStation
) -> dict[str, int]:
    """A piece of a picture that a record of this station names; what has come so far goes out."""
    piece = await _body(request, PIECE_MAX)
    return {"received": await run_in_threadpool(_add, hub, station, digest, offset, size, piece)}


@router.post("/samples")
def samples(chosen: list[Chosen], hub: TheHub, station: TheStation) -> dict[str, int]:
    """Why which pictures were sent, and how likely that was. Said again it changes nothing."""
    with hub.engine.begin() as connection:
        for sample in chosen:
            part = part_of(sample.part)
            if part is None or not _recorded(connection, station, sample.digest, part):
                raise Refused("sample", f"{sample.part}: no record names this picture of it")
            if has_blob(connection, hub, sample.digest) != sample.size:
                raise Refused("sample", f"picture {sample.digest} is not here yet")
            _add_sample(connection, station, part, sample)
    return {"samples": len(chosen)}


def _tags(hub: Hub, station: Sender, seal: int, content: bytes) -> int:
    try:
        with hub.engine.begin() as connection:
            return take_tags(connection, station, seal, content)
    except Refused as refused:
        raise hub.ingest.refuse(station, refused.code, str(refused)) from refused


def _add(hub: Hub, station: Sender, digest: str, offset: int, size: int, piece: bytes) -> int:
    with reading(hub.engine) as connection:
        recorded = recorded_size(connection, station, digest)
    if recorded is None:
        raise Refused("image", f"no record of {station.name} names picture {digest}")
    if recorded != size:
        raise hub.ingest.refuse(
            station, "image", f"picture {digest} has {size} bytes; its record says {recorded}"
        )
    try:
        received = hub.blobs.add(station.name, digest, size, offset, piece)
    except WrongContent as error:
        raise hub.ingest.refuse(station, "image", f"picture {error}") from error
    except WrongPiece as error:
        raise Refused("piece", str(error)) from error
    if received == size:
        with hub.engine.begin() as connection:
            if has_blob(connection, hub, digest) is None:
                connection.execute(
                    insert(tables.Blob).values(
                        digest=digest, size=size, received_utc_ns=hub.utc_ns()
                    )
                )
    return received


def recorded_size(connection: Connection, station: Sender, digest: str) -> int | None:
    """The bytes of a picture by the record of this station that names it; None if none does."""
    table = tables.Image
    return connection.execute(
        select(table.size).where(table.station_id == station.id, table.digest == digest)
    ).scalar()


def has_blob(connection: Connection, hub: Hub, digest: str) -> int | None:
    """The bytes of a picture that is here whole; None if it is not."""
    size: int | None = connection.execute(
        select(tables.Blob.size).where(tables.Blob.digest == digest)
    ).scalar()
    return size


def _recorded(connection: Connection, station: Sender, digest: str, part: bytes) -> bool:
    table = tables.Image
    return (
        connection.execute(
            select(table.position).where(
                table.station_id == station.id, table.digest == digest, table.part == part
            )
        ).first()
        is not None
    )


def _add_sample(connection: Connection, station: Sender, part: bytes, chosen: Chosen) -> None:
    table = tables.Sample
    same = (
        (table.station_id == station.id) & (table.part == part) & (table.view == plain(chosen.view))
    )
    known = connection.execute(select(table.id, table.probability).where(same)).first()
    if known is not None and known.probability is None:  # a person asked before it was chosen too
        connection.execute(
            update(table).where(table.id == known.id).values(probability=chosen.probability)
        )
    elif known is None:
        connection.execute(
            insert(table).values(
                station_id=station.id,
                part=part,
                view=plain(chosen.view),
                digest=chosen.digest,
                size=chosen.size,
                reason=chosen.reason,
                stratum=plain(chosen.stratum),
                probability=chosen.probability,
                chosen_utc_ns=chosen.chosen_utc_ns,
                detail=chosen.detail,
            )
        )
    wish = tables.Wish
    connection.execute(
        wish.__table__.delete().where(wish.station_id == station.id, wish.digest == chosen.digest)
    )


async def _body(request: Request, limit: int) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit:
            raise Refused("size", f"more than {limit} bytes at once")
    return bytes(content)
