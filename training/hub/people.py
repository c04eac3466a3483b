"""People at the centre: who they are, and a session once they have said so.

Enters: names and passwords. Leaves: `inspector.identity.Principal`s; what one may do,
`identity.authorise` says, as at a station. `pages` and the command line import this.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError

from inspector.identity import PASSWORD_MIN, USER_PATTERN, Principal, Role
from training.hub.database import HubError
from training.hub.enrolment import add_session, end_sessions, session_name
from training.hub.tables import Person

SESSION_S = 12 * 3600
ATTEMPTS = 5
"""Wrong passwords in a row before a person waits …"""
LOCK_S = 30.0
"""… so long, and twice as long with each further one, at most a day."""

# RFC 9106's second recommendation, as at a station: about 0.1 s.
_hasher = PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4)


class NotIn(Exception):
    """Name or password is wrong; or it was wrong too often, and ``wait_s`` is how long it waits."""

    def __init__(self, why: str, wait_s: int = 0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


def add_person(
    connection: Connection,
    name: str,
    roles: Iterable[Role],
    password: str,
    principal: str,
    utc_ns: int,
) -> None:
    """Makes a person, or gives one that is there new roles and a new password: whoever is signed
    in by the old one is not any more.

    Raises:
        HubError: a name or password that will not do.
    """
    named = ",".join(sorted({Role(role) for role in roles} - {Role.SYSTEM}))
    if not USER_PATTERN.fullmatch(name) or not named:
        raise HubError(f"{name!r}: a person has 1-64 letters, digits or . _ - @, and a role")
    if not PASSWORD_MIN <= len(password) <= 1024:
        raise HubError(f"a password has at least {PASSWORD_MIN} characters")
    values = {
        "roles": named,
        "password": _hasher.hash(password),
        "disabled": 0,
        "wrong": 0,
        "locked_until_ns": 0,
        "made_by": principal,
        "made_utc_ns": utc_ns,
    }
    known = connection.execute(select(Person.name).where(Person.name == name)).first()
    if known is None:
        try:
            connection.execute(insert(Person).values(name=name, **values))
        except IntegrityError as error:
            raise HubError(f"there is a person {name} already") from error
    else:
        connection.execute(update(Person).where(Person.name == name).values(**values))
        end_sessions(connection, "person", name)


def log_in(engine: Engine, name: str, password: str, utc_ns: int) -> str:
    """A session's token for whoever has the password. Raises ``NotIn``.

    The attempt is counted before the slow check, so that guesses made side by side, at several
    hubs, cannot all pass under the limit; the right password takes its count back.
    """
    with engine.begin() as connection:
        row = connection.execute(
            select(Person).where(Person.name == name).with_for_update()
        ).first()
        if row is not None:
            if row.locked_until_ns > utc_ns:
                wait = max(1, round((row.locked_until_ns - utc_ns) / 1e9))
                raise NotIn(f"too many wrong passwords; try again in {wait} s", wait)
            over = min(row.wrong + 1 - ATTEMPTS, 12)
            lock = min(LOCK_S * 2.0**over, 86_400.0) if over >= 0 else 0.0
            connection.execute(
                update(Person)
                .where(Person.name == name)
                .values(
                    wrong=row.wrong + 1,
                    locked_until_ns=utc_ns + int(lock * 1e9) if lock else 0,
                )
            )
    known = row is not None and not row.disabled
    # an unknown name costs the same time and gets the same words as a wrong password
    if not _matches(row.password if row is not None else _nobodys(), password) or not known:
        raise NotIn("name or password is wrong")
    token = secrets.token_urlsafe(32)
    with engine.begin() as connection:
        connection.execute(
            update(Person).where(Person.name == name).values(wrong=0, locked_until_ns=0)
        )
        add_session(connection, token, "person", name, utc_ns, SESSION_S)
    return token


def principal_of(connection: Connection, token: str, utc_ns: int) -> Principal | None:
    """The person whose session this is; None if nobody's."""
    name = session_name(connection, token, "person", utc_ns) if token else None
    row = (
        None
        if name is None
        else connection.execute(
            select(Person.roles).where(Person.name == name, Person.disabled == 0)
        ).first()
    )
    if row is None or name is None:
        return None
    return Principal(name, frozenset(Role(role) for role in row.roles.split(",")))


def _matches(stored: str, password: str) -> bool:
    try:
        return len(password) <= 1024 and _hasher.verify(stored, password)
    except VerificationError:
        return False


@cache
def _nobodys() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))
