"""Who is signed in: a cookie's token enters, the person and what is left of the time leave.

``<data>/sessions.db`` (mode 0600) holds the SHA-256 of each token, so that a restart of the web
process signs nobody out and a copy of the file signs nobody in. The roles of the station's own
users are looked up anew each time: who is disabled, or loses a role, loses it at once. Only the
web room imports this.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from inspector.config import Web
from inspector.identity import Principal, Role, Users
from inspector.identity.users import opened

SEEN_S = 5.0
"""How often at most a session's last touch is written."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS session (
  sha256 TEXT PRIMARY KEY, user TEXT NOT NULL, roles TEXT NOT NULL, how TEXT NOT NULL,
  csrf TEXT NOT NULL, made REAL NOT NULL, seen REAL NOT NULL, client TEXT NOT NULL) STRICT;
"""


class How(StrEnum):
    """By what somebody has signed in."""

    PIN = "pin"
    PASSWORD = "password"
    OIDC = "oidc"


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in."""

    principal: Principal
    how: How
    csrf: str
    """What every request that changes something repeats in its header ``X-CSRF-Token``."""
    left_s: float
    """Until the person is signed out if nothing is touched."""
    token: str = ""
    """The cookie's; what asks again later needs it."""


class Sessions:
    """The sessions of a station. A connection for each call: calls come from any thread."""

    def __init__(
        self, data: Path, users: Users, rules: Web, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock`` gives UTC in seconds: sessions outlive the process."""
        data.mkdir(parents=True, exist_ok=True)
        self._file = data / "sessions.db"
        self._users, self._rules, self._clock = users, rules, clock
        os.close(os.open(self._file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._file.chmod(0o600)
        with self._open() as db:
            db.executescript(_SCHEMA)

    def begin(self, principal: Principal, how: How, client: str) -> str:
        """Sign somebody in; the token, 256 random bits, is the cookie's. Who is over goes."""
        token = secrets.token_urlsafe(32)
        now = self._clock()
        roles = ",".join(sorted(principal.roles)) if how is How.OIDC else ""
        row = (_digest(token), principal.id, roles, how, secrets.token_urlsafe(24), now, now)
        with self._open() as db:
            db.execute("DELETE FROM session WHERE made < ?", (now - self._rules.longest_s,))
            db.execute("INSERT INTO session VALUES (?,?,?,?,?,?,?,?)", (*row, client))
        return token

    def find(self, token: str, *, touch: bool = False) -> Session | None:
        """Whose token it is. ``touch``: the person has just done something."""
        if not 0 < len(token) <= 64:
            return None
        digest, now = _digest(token), self._clock()
        with self._open() as db:
            row = db.execute(
                "SELECT user, roles, how, csrf, made, seen FROM session WHERE sha256 = ?", (digest,)
            ).fetchone()
        if row is None:
            return None
        user, roles, how, csrf, made, seen = row
        idle = self._rules.pin_idle_s if how == How.PIN else self._rules.idle_s
        left = min(seen + idle, made + self._rules.longest_s) - now
        principal = self._principal(user, roles)
        # a clock that was set back must not lengthen anybody's session
        if left <= 0 or now < seen - SEEN_S or principal is None:
            self.end(token)
            return None
        if touch:
            left = min(idle, made + self._rules.longest_s - now)
            if now - seen >= min(SEEN_S, idle / 4):
                with self._open() as db:
                    db.execute("UPDATE session SET seen = ? WHERE sha256 = ?", (now, digest))
        return Session(principal, How(how), csrf, left, token)

    def end(self, token: str) -> None:
        """Sign out."""
        with self._open() as db:
            db.execute("DELETE FROM session WHERE sha256 = ?", (_digest(token),))

    def end_all(self, user: str, *, but: str = "") -> None:
        """Sign ``user`` out everywhere, save where the token is ``but``: who has a new PIN, or is
        disabled, may have been known to somebody else."""
        with self._open() as db:
            values = (user, _digest(but))
            db.execute("DELETE FROM session WHERE user = ? AND sha256 != ?", values)

    def _principal(self, user: str, roles: str) -> Principal | None:
        if not roles:
            return self._users.find(user)
        found = self._users.find(user)
        if found is None and self._users.known(user):
            return None  # disabled here, whatever the provider says
        return Principal(user, frozenset(Role(role) for role in roles.split(",")))

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return opened(self._file)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
