"""Who may report to the centre: tokens for one station once, then each station's own key.

Enters: tokens, public keys, answers to challenges. Leaves: stations, sessions, `ingest.Sender`.
`app` and the command line import this.

A token is ``SECRET.FINGERPRINT``: the second half names the centre's key, so that a station knows
the centre at once, whatever stands between. A session is a random token that any hub of the group
believes for an hour; it is opened by signing a challenge, which needs no clock at the station.
"""

from __future__ import annotations

import secrets
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from inspector.store.errors import RecordError
from inspector.sync.enrol import fingerprint, is_enrolment, raw_key
from inspector.sync.receipt import challenge, check_challenge, is_answer
from training.hub import tables
from training.hub.alarms import raise_alarm
from training.hub.database import HubError
from training.hub.ingest import Sender

CHALLENGE_NS = 60_000_000_000
SESSION_S = 3600
TOKEN_DAYS = 7.0
DAY_NS = 86_400_000_000_000


class Unknown(Exception):
    """Nobody that the centre lets in; the answer says no more than that."""


def own_key(connection: Connection, key: Ed25519PrivateKey) -> None:
    """Returns if the database was begun with this key, or notes that it is begun with it now.

    Raises:
        HubError: it was begun with another one; stations would not believe this hub.
    """
    raw = raw_key(key.public_key())
    found = connection.execute(select(tables.Key.public)).scalar()
    if found is None:
        connection.execute(insert(tables.Key).values(one=1, public=raw))
    elif found != raw:
        raise HubError(
            "this database belongs to a centre with another key"
            f" ({sha256(found).hexdigest()[:16]}): give every hub of a group the same keys/hub.key"
        )


def make_token(
    connection: Connection,
    key: Ed25519PrivateKey,
    principal: str,
    utc_ns: int,
    *,
    station: str = "",
    days: float = TOKEN_DAYS,
) -> str:
    """A token by which one station may enrol once; shown this once, stored as SHA-256."""
    token = f"{secrets.token_urlsafe(24)}.{fingerprint(key.public_key())}"
    connection.execute(
        insert(tables.Enrolment).values(
            sha256=_digest(token),
            station=station,
            made_by=principal,
            made_utc_ns=utc_ns,
            expires_utc_ns=utc_ns + int(days * DAY_NS),
            used_utc_ns=0,
            used_by="",
        )
    )
    return token


def enrol(
    connection: Connection,
    token: str,
    name: str,
    site: str,
    line: str,
    public: bytes,
    signature: str,
    utc_ns: int,
) -> Sender:
    """Takes a station in. The same station with the same token and key is answered again, because
    an answer may be lost.

    Raises:
        Unknown: no such token, or not for this station any more, or no proof of the key.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
    except ValueError as error:
        raise Unknown("the key that was sent is no Ed25519 key") from error
    if not is_enrolment(token, name, signature, key):
        raise Unknown("the station has not shown that the key is its own")
    table = tables.Enrolment
    row = connection.execute(
        select(table).where(table.sha256 == _digest(token)).with_for_update()
    ).first()
    if row is None or (row.station and row.station != name):
        raise Unknown("this token is unknown, or for another station")
    station = tables.Station
    known = connection.execute(select(station).where(station.name == name)).first()
    if row.used_utc_ns:
        if row.used_by == name and known is not None and known.public_key == public:
            return Sender(known.id, name, key)
        raise Unknown("this token has been used")
    if utc_ns > row.expires_utc_ns:
        raise Unknown("this token has expired")
    if known is not None:
        if known.public_key != public:
            raise Unknown(
                f"there is a station {name} already, with another key: a station that was set up"
                " anew keeps its keys and ledger from its back-up, or takes another name"
            )
        number = known.id
        connection.execute(update(station).where(station.id == number).values(revoked=0))
    else:
        number = _add_station(connection, name, site, line, public, utc_ns)
    connection.execute(
        update(table).where(table.sha256 == row.sha256).values(used_utc_ns=utc_ns, used_by=name)
    )
    return Sender(number, name, key)


def _add_station(
    connection: Connection, name: str, site: str, line: str, public: bytes, utc_ns: int
) -> int:
    try:
        added = connection.execute(
            insert(tables.Station).values(
                name=name,
                site=site,
                line=line,
                public_key=public,
                enrolled_utc_ns=utc_ns,
                seen_utc_ns=utc_ns,
                revoked=0,
                report={},
            )
        )
    except IntegrityError as error:
        raise Unknown(f"there is a station {name} already") from error
    assert added.inserted_primary_key is not None
    number: int = added.inserted_primary_key[0]
    for ledger in ("line", "desk"):
        connection.execute(
            insert(tables.Ledger).values(
                station_id=number, name=ledger, size=0, edge=b"", root=b"", utc_ns=0
            )
        )
    return number


def new_challenge(station: str, key: Ed25519PrivateKey, utc_ns: int) -> str:
    """A challenge for whoever says that it is this station."""
    return challenge(station, utc_ns + CHALLENGE_NS, secrets.token_bytes(16), key)


def open_session(
    connection: Connection,
    key: Ed25519PrivateKey,
    name: str,
    text: str,
    signature: str,
    utc_ns: int,
) -> tuple[str, Sender]:
    """A session's token for a station that answered its challenge.

    Raises:
        Unknown: it did not; an alarm stands if there is such a station.
    """
    sender, revoked = _station(connection, name)
    try:
        check_challenge(text, name, utc_ns, key.public_key())
    except RecordError as error:
        raise Unknown(str(error)) from error
    if sender is None or revoked or not is_answer(text, signature, sender.key):
        if sender is not None:
            why = "its key is revoked" if revoked else "signed with another key than it enrolled"
            raise_alarm(connection, sender.id, "key", f"somebody asked to be let in: {why}", utc_ns)
        raise Unknown("the station is unknown here, or this is not its key")
    token = secrets.token_urlsafe(32)
    add_session(connection, token, "station", name, utc_ns, SESSION_S)
    return token, sender


def add_session(
    connection: Connection, token: str, kind: str, name: str, utc_ns: int, seconds: int
) -> None:
    """Notes a session, and forgets those that are over."""
    table = tables.Session
    connection.execute(delete(table).where(table.expires_utc_ns < utc_ns))
    connection.execute(
        insert(table).values(
            sha256=_digest(token),
            kind=kind,
            name=name,
            expires_utc_ns=utc_ns + seconds * 1_000_000_000,
        )
    )


def session_name(connection: Connection, token: str, kind: str, utc_ns: int) -> str | None:
    """Whose session this token opens; None if nobody's."""
    table = tables.Session
    name: str | None = connection.execute(
        select(table.name).where(
            table.sha256 == _digest(token), table.kind == kind, table.expires_utc_ns >= utc_ns
        )
    ).scalar()
    return name


def end_session(connection: Connection, token: str) -> None:
    """Forgets a session."""
    connection.execute(delete(tables.Session).where(tables.Session.sha256 == _digest(token)))


def end_sessions(connection: Connection, kind: str, name: str) -> None:
    """Forgets every session of this name."""
    table = tables.Session
    connection.execute(delete(table).where(table.kind == kind, table.name == name))


def sender_of(connection: Connection, token: str, utc_ns: int) -> Sender:
    """The station whose session this is. Raises ``Unknown``."""
    name = session_name(connection, token, "station", utc_ns)
    sender, revoked = (None, False) if name is None else _station(connection, name)
    if sender is None or revoked:
        raise Unknown("no session: it has expired, or the station's key was revoked")
    return sender


def revoke(connection: Connection, name: str) -> None:
    """Believes a station's key no longer. Raises ``HubError`` if there is no such station."""
    table = tables.Station
    if not connection.execute(update(table).where(table.name == name).values(revoked=1)).rowcount:
        raise HubError(f"there is no station {name!r}")


def _station(connection: Connection, name: str) -> tuple[Sender | None, bool]:
    row = connection.execute(
        select(tables.Station.id, tables.Station.public_key, tables.Station.revoked).where(
            tables.Station.name == name
        )
    ).first()
    if row is None:
        return None, False
    key = Ed25519PublicKey.from_public_bytes(row.public_key)
    return Sender(row.id, name, key), bool(row.revoked)


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
