"""The centre's pages for people: stations, one station, one part, complaints, alarms.

Enters: requests at ``/``. Leaves: HTML, rendered here, without a script. `app` includes this
router. Who has not signed in sees the sign-in page alone; forms are taken from the centre's own
pages only (the cookie is SameSite=Strict, and `own` looks at Origin as well).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import cv2
import numpy as np
from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import insert, select
from starlette.responses import Response

from inspector.identity import Action, Forbidden, Principal, authorise
from inspector.store.errors import RecordError
from training.hub import tables
from training.hub.alarms import close_alarm
from training.hub.blobs import DIGEST, BlobError
from training.hub.complaints import file_complaint, trace_all
from training.hub.database import reading
from training.hub.enrolment import end_session
from training.hub.fleet import defects, fleet, hourly, newest_rejects
from training.hub.index import HOUR_NS, part_of
from training.hub.people import NotIn, log_in, principal_of
from training.hub.records import find_part, find_serial, id_of, part_at
from training.hub.stations import TheHub
from training.hub.words import LANGUAGES, WORDS, language_of

HERE = Path(__file__).parent
STATIC = HERE / "static"
COOKIE = "hub_session"
LANGUAGE = "hub_language"

router = APIRouter(default_response_class=HTMLResponse)
_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined
)


class SignedOut(Exception):
    """Nobody has signed in, or nobody has any more."""


class Foreign(Forbidden):
    """A form that was not sent from a page of this centre."""


def person_of(request: Request, hub: TheHub) -> Principal:
    """Who has signed in. Raises ``SignedOut``."""
    token = request.cookies.get(COOKIE, "")
    with reading(hub.engine) as connection:
        person = principal_of(connection, token, hub.utc_ns())
    if person is None:
        raise SignedOut
    return person


def own(request: Request) -> None:
    """Raises ``Foreign`` unless the form came from a page of this centre."""
    origin = request.headers.get("origin")
    try:
        ours = not origin or urlsplit(origin).netloc == request.headers.get("host", "")
    except ValueError:  # no address at all
        ours = False
    if not ours:
        raise Foreign("this form was not sent from a page of the centre")


Person = Annotated[Principal, Depends(person_of)]
OWN = [Depends(own)]


def show(request: Request, name: str, person: Principal | None, **given: Any) -> HTMLResponse:
    """A page in the reader's language."""
    language = language_of(
        request.query_params.get("lang") or request.cookies.get(LANGUAGE, ""),
        request.headers.get("accept-language", ""),
    )
    words = WORDS[language]
    status = given.pop("status", 200)
    page = HTMLResponse(
        _templates.get_template(name).render(
            t=words.__getitem__,
            lang=language,
            languages=LANGUAGES,
            person=person,
            utc=_utc,
            outcomes=tables.OUTCOMES,
            id_of=id_of,
            may=lambda action: _may(person, action),
            **given,
        ),
        status,
    )
    if request.query_params.get("lang") in WORDS:
        page.set_cookie(LANGUAGE, language, max_age=365 * 86_400, samesite="strict")
    page.headers["Cache-Control"] = "no-store"
    return page


@router.get("/sign-in")
def sign_in_page(request: Request) -> Response:
    """Name and password."""
    return show(request, "sign_in.html", None, wrong=None)


@router.post("/sign-in", dependencies=OWN)
def sign_in(
    request: Request,
    hub: TheHub,
    name: Annotated[str, Form(max_length=64)],
    password: Annotated[str, Form(max_length=1024)],
) -> Response:
    """In, or told why not."""
    try:
        token = log_in(hub.engine, name, password, hub.utc_ns())
    except NotIn as error:
        return show(request, "sign_in.html", None, wrong=error, status=403)
    answer = RedirectResponse("/", 303)
    answer.set_cookie(
        COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    return answer


@router.post("/sign-out", dependencies=OWN)
def sign_out(request: Request, hub: TheHub) -> Response:
    """The session is over at every hub."""
    with hub.engine.begin() as connection:
        end_session(connection, request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/")
def fleet_page(request: Request, hub: TheHub, person: Person, site: str = "") -> Response:
    """Every station, or those of a site."""
    now = hub.utc_ns()
    with reading(hub.engine) as connection:
        rows = fleet(connection, now)
    sites = sorted({row.site for row in rows})
    shown = [row for row in rows if not site or row.site == site]
    return show(request, "fleet.html", person, rows=shown, sites=sites, site=site)


@router.get("/station/{name}")
def station_page(request: Request, name: str, hub: TheHub, person: Person) -> Response:
    """One station: its hours, its defects, its newest rejects, its alarms."""
    now = hub.utc_ns()
    with reading(hub.engine) as connection:
        row = connection.execute(select(tables.Station).where(tables.Station.name == name)).first()
        if row is None:
            return show(request, "nothing.html", person, status=404)
        state = next(one for one in fleet(connection, now) if one.name == name)
        given = {
            "row": state,
            "hours": hourly(connection, row.id, now),
            "defects": defects(connection, row.id, now - 24 * HOUR_NS),
            "rejects": newest_rejects(connection, row.id),
            "alarms": _alarms(connection, row.id),
        }
    return show(request, "station.html", person, hour_ns=HOUR_NS, **given)


@router.get("/find")
def find(request: Request, hub: TheHub, person: Person, q: str = "") -> Response:
    """A serial or part id leads to its part."""
    wanted = q.strip()
    part = part_of(wanted)
    with reading(hub.engine) as connection:
        place = find_part(connection, part) if part is not None else None
        places = [place] if place else find_serial(connection, wanted)
        if places:
            newest = connection.execute(
                select(tables.Verdict.part).where(
                    tables.Verdict.station_id == places[0].station_id,
                    tables.Verdict.position == places[0].position,
                )
            ).scalar_one()
            return RedirectResponse(f"/part/{id_of(newest)}", 303)
    return show(request, "nothing.html", person, status=404)


@router.get("/part/{part}")
def part_page(request: Request, part: str, hub: TheHub, person: Person) -> Response:
    """All that the centre has of one part, with its pictures."""
    raw = part_of(part)
    with reading(hub.engine) as connection:
        place = None if raw is None else find_part(connection, raw)
        if place is None:
            return show(request, "nothing.html", person, status=404)
        try:
            found = part_at(connection, hub.blobs, place)
        except (RecordError, BlobError) as error:
            return show(request, "nothing.html", person, status=503, why=str(error))
        wish = tables.Wish
        wishes = connection.execute(
            select(wish.digest, wish.why).where(wish.station_id == place.station_id)
        ).all()
        asked = {one.digest: one.why for one in wishes}
    sizes = {
        image.digest: _pixels(hub.blobs.get(image.digest))
        for image in found.images
        if image.here is not None
    }
    return show(request, "part.html", person, part=found, sizes=sizes, asked=asked)


@router.post("/part/{part}/wish", dependencies=OWN)
def wish(request: Request, part: str, hub: TheHub, person: Person) -> Response:
    """The station is asked for the part's pictures."""
    authorise(person, Action.VIEW)
    raw = part_of(part)
    with hub.engine.begin() as connection:
        image, table = tables.Image, tables.Wish
        rows = connection.execute(
            select(image.station_id, image.digest)
            .outerjoin(tables.Blob, tables.Blob.digest == image.digest)
            .where(image.part == (raw or b""), tables.Blob.digest.is_(None))
        ).all()
        for row in rows:
            known = connection.execute(
                select(table.digest).where(
                    table.station_id == row.station_id, table.digest == row.digest
                )
            ).first()
            if known is None:
                connection.execute(
                    insert(table).values(
                        station_id=row.station_id,
                        digest=row.digest,
                        part=raw,
                        why="asked",
                        made_by=person.id,
                        made_utc_ns=hub.utc_ns(),
                    )
                )
    return RedirectResponse(f"/part/{quote(part)}", 303)


@router.get("/picture/{digest}")
def picture(digest: str, hub: TheHub, person: Person) -> Response:
    """A picture's bytes, for who has signed in."""
    if not DIGEST.fullmatch(digest) or digest not in hub.blobs:
        return Response("no such picture", 404)
    return Response(
        hub.blobs.get(digest),
        media_type="image/jpeg",
        headers={"Cache-Control": "private, max-age=31536000, immutable"},
    )


@router.get("/complaints")
def complaints_page(request: Request, hub: TheHub, person: Person) -> Response:
    """What after-sales heard, and where it led."""
    with hub.engine.begin() as connection:
        trace_all(connection, hub.utc_ns())
        complaint = tables.Complaint
        rows = connection.execute(
            select(complaint, tables.Station.name.label("station"))
            .outerjoin(tables.Station, tables.Station.id == complaint.station_id)
            .order_by(complaint.id.desc())
            .limit(200)
        ).all()
    return show(request, "complaints.html", person, rows=rows)


@router.post("/complaints", dependencies=OWN)
def complain(
    request: Request,
    hub: TheHub,
    person: Person,
    serial: Annotated[str, Form(min_length=1, max_length=200)],
    label: Annotated[str, Form(max_length=100)] = "",
    words: Annotated[str, Form(max_length=4000)] = "",
) -> Response:
    """Notes one in the person's name, and traces it."""
    authorise(person, Action.FILE_COMPLAINT)
    with hub.engine.begin() as connection:
        file_complaint(connection, serial, label, words, person.id, hub.utc_ns())
    return RedirectResponse("/complaints", 303)


@router.get("/alarms")
def alarms_page(request: Request, hub: TheHub, person: Person) -> Response:
    """What stands, of every station."""
    with reading(hub.engine) as connection:
        return show(request, "alarms.html", person, alarms=_alarms(connection, None))


@router.post("/alarms/{number}/close", dependencies=OWN)
def close(request: Request, number: int, hub: TheHub, person: Person) -> Response:
    """Somebody has dealt with it."""
    authorise(person, Action.CLOSE_ALARM)
    with hub.engine.begin() as connection:
        close_alarm(connection, number, person.id)
    return RedirectResponse("/alarms", 303)


def forbidden(request: Request, error: Any) -> Response:
    """A person who may look and not do, or a form from elsewhere."""
    why = "foreign" if isinstance(error, Foreign) else "forbidden"
    person = None if why == "foreign" else person_of(request, request.app.state.hub)
    return show(request, "nothing.html", person, status=403, said=why)


def signed_out(request: Request, error: Any) -> Response:
    """Whoever has not signed in does so first."""
    return RedirectResponse("/sign-in", 303)


def _alarms(connection: Any, station_id: int | None) -> list[Any]:
    alarm = tables.Alarm
    query = (
        select(alarm, tables.Station.name.label("station"))
        .join(tables.Station, tables.Station.id == alarm.station_id)
        .where(alarm.closed_by == "")
        .order_by(alarm.last_utc_ns.desc())
        .limit(200)
    )
    if station_id is not None:
        query = query.where(alarm.station_id == station_id)
    return list(connection.execute(query))


def _may(person: Principal | None, action: str) -> bool:
    try:
        if person is not None:
            authorise(person, Action(action))
            return True
    except Forbidden:
        pass
    return False


def _utc(utc_ns: int) -> str:
    if not utc_ns:
        return "–"
    try:
        return datetime.fromtimestamp(utc_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(utc_ns)


def _pixels(content: bytes) -> tuple[int, int]:
    """Width and height of a picture; 0, 0 for what is none."""
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return (0, 0) if decoded is None else (decoded.shape[1], decoded.shape[0])
