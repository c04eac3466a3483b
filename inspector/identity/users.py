"""The users of a station and their secrets: in comes a PIN, a password or an API key, out a
``Principal``.

Secrets live in ``<data>/users.db`` (mode 0600), people's as argon2id, keys as SHA-256.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerificationError

from inspector.identity.roles import Action, IdentityError, Principal, Role, authorise


class Unauthenticated(IdentityError):
    """The user, PIN, password or key is wrong, or the user is disabled."""


class LockedOut(Unauthenticated):
    """Too many wrong secrets; ``seconds`` is how long to wait."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"too many wrong attempts; try again in {max(1, round(seconds))} s")


# RFC 9106's second recommendation: 64 MiB, 3 passes; 97 ms on the 2-core machine it was chosen on.
_hasher = PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4, type=Type.ID)

PIN_PATTERN = re.compile(r"[0-9]{4,12}")
PASSWORD_MIN = 10
USER_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
ATTEMPTS = 5
"""Wrong secrets in a row before a user is locked out. With the doubling wait below, guessing
half of the 10,000 four-digit PINs takes longer than ten years."""
LOCK_SECONDS = 30.0
"""The first lock-out; every further wrong secret doubles it …"""
LOCK_MAX_SECONDS = 86_400.0
"""… up to this."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS user (
  id TEXT PRIMARY KEY, roles TEXT NOT NULL, pin TEXT, password TEXT,
  disabled INTEGER NOT NULL DEFAULT 0, wrong INTEGER NOT NULL DEFAULT 0,
  locked_until REAL NOT NULL DEFAULT 0, made_by TEXT NOT NULL, made REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS key (
  sha256 TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES user(id), note TEXT NOT NULL,
  made_by TEXT NOT NULL, made REAL NOT NULL) STRICT;
"""


class Users:
    """The users of a station, in ``<data>/users.db``. Several processes may hold it open.

    A connection is made for each call: calls are rare and come from any thread.
    """

    def __init__(self, data: Path, clock: Callable[[], float] = time.time) -> None:
        """Open, or make with mode 0600, the users of data directory ``data``.

        ``clock`` gives UTC in seconds; lock-outs outlive a restart, so it is not monotonic.
        """
        data.mkdir(parents=True, exist_ok=True)
        self._file = data / "users.db"
        self._clock = clock
        os.close(os.open(self._file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        self._file.chmod(0o600)
        with self._open() as db:
            db.executescript(_SCHEMA)

    def add_user(
        self,
        user: str,
        roles: Iterable[Role],
        *,
        pin: str | None = None,
        password: str | None = None,
        principal: Principal,
    ) -> None:
        """Make a user. Raises ``Forbidden``, or ``IdentityError`` if the name is taken or unfit."""
        authorise(principal, Action.MANAGE_USERS)
        if not USER_PATTERN.fullmatch(user):
            raise IdentityError(f"{user!r} is no user name: 1-64 letters, digits or . _ - @")
        row = (user, _stored(roles), _pin_hash(pin), _password_hash(password))
        with self._open() as db:
            try:
                db.execute(
                    "INSERT INTO user (id, roles, pin, password, made_by, made)"
                    " VALUES (?,?,?,?,?,?)",
                    (*row, principal.id, self._clock()),
                )
            except sqlite3.IntegrityError:
                raise IdentityError(f"there is already a user {user!r}") from None

    def set_roles(self, user: str, roles: Iterable[Role], *, principal: Principal) -> None:
        """Replace the roles of ``user``."""
        self._change(user, "roles = ?", _stored(roles), principal)

    def set_pin(self, user: str, pin: str | None, *, principal: Principal) -> None:
        """Replace or (None) remove the PIN, and lift a lock-out."""
        self._change(user, "wrong = 0, locked_until = 0, pin = ?", _pin_hash(pin), principal)

    def set_password(self, user: str, password: str | None, *, principal: Principal) -> None:
        """Replace or (None) remove the password, and lift a lock-out."""
        value = _password_hash(password)
        self._change(user, "wrong = 0, locked_until = 0, password = ?", value, principal)

    def disable(self, user: str, *, principal: Principal) -> None:
        """Refuse ``user`` from now on. The name stays taken: the ledger refers to it."""
        self._change(user, "disabled = ?", 1, principal)

    def enable(self, user: str, *, principal: Principal) -> None:
        """Let a disabled ``user`` in again."""
        self._change(user, "disabled = ?", 0, principal)

    def add_key(self, user: str, note: str = "", *, principal: Principal) -> str:
        """A new API key for ``user``: 256 random bits, shown this once and stored as SHA-256."""
        authorise(principal, Action.MANAGE_USERS)
        key = "insp_" + secrets.token_urlsafe(32)
        if not self.known(user):
            raise IdentityError(f"there is no user {user!r}")
        with self._open() as db:
            values = (_digest(key), user, note, principal.id, self._clock())
            db.execute("INSERT INTO key VALUES (?,?,?,?,?)", values)
        return key

    def revoke_keys(self, user: str, *, principal: Principal) -> int:
        """Forget every API key of ``user``; how many there were."""
        authorise(principal, Action.MANAGE_USERS)
        with self._open() as db:
            return db.execute("DELETE FROM key WHERE user = ?", (user,)).rowcount

    def all(self) -> list[Principal]:
        """Every enabled user, by name."""
        with self._open() as db:
            rows = db.execute("SELECT id, roles FROM user WHERE disabled = 0 ORDER BY id")
            return [_principal(*row) for row in rows]

    def find(self, user: str) -> Principal | None:
        """The enabled user of this name, with the roles that hold now."""
        with self._open() as db:
            row = db.execute(
                "SELECT id, roles FROM user WHERE id = ? AND disabled = 0", (user,)
            ).fetchone()
        return _principal(*row) if row else None

    def with_pin(self) -> list[str]:
        """The enabled users that have a PIN, by name."""
        with self._open() as db:
            rows = db.execute(
                "SELECT id FROM user WHERE disabled = 0 AND pin IS NOT NULL ORDER BY id"
            )
            return [user for (user,) in rows]

    def known(self, user: str) -> bool:
        """Whether there is such a user, disabled or not."""
        with self._open() as db:
            return db.execute("SELECT 1 FROM user WHERE id = ?", (user,)).fetchone() is not None

    def verify_pin(self, user: str, pin: str) -> Principal:
        """Who ``user`` is, if the PIN is right. Raises ``Unauthenticated`` or ``LockedOut``."""
        return self._verify(user, pin, "pin")

    def verify_password(self, user: str, password: str) -> Principal:
        """Who ``user`` is, if the password is right. Raises as ``verify_pin`` does."""
        return self._verify(user, password, "password")

    def verify_key(self, key: str) -> Principal:
        """Whose key this is. Raises ``Unauthenticated``. 256 random bits need no lock-out."""
        with self._open() as db:
            row = db.execute(
                "SELECT id, roles FROM user JOIN key ON user.id = key.user"
                " WHERE sha256 = ? AND disabled = 0",
                (_digest(key),),
            ).fetchone()
        if row is None:
            raise Unauthenticated("this API key is unknown, revoked, or its user is disabled")
        return _principal(*row)

    def _verify(self, user: str, secret: str, column: str) -> Principal:
        # The attempt is counted before the slow check, so that guesses made side by side cannot
        # all pass under the limit; the right secret takes its count back.
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            row = db.execute(
                f"SELECT roles, {column}, wrong, locked_until, disabled FROM user WHERE id = ?",
                (user,),
            ).fetchone()
            if row is not None:
                roles, stored, wrong, until, disabled = row
                # A clock that was set back must not lock anybody out for years.
                left = min(until - self._clock(), LOCK_MAX_SECONDS)
                if left > 0:
                    raise LockedOut(left)
                wrong += 1
                over = min(wrong - ATTEMPTS, 32)
                wait = min(LOCK_SECONDS * 2.0**over, LOCK_MAX_SECONDS) if over >= 0 else 0.0
                db.execute(
                    "UPDATE user SET wrong = ?, locked_until = ? WHERE id = ?",
                    (wrong, self._clock() + wait if wait else 0.0, user),
                )
        # An unknown user costs the same time and gets the same words as a wrong secret.
        known = row is not None and stored is not None and not disabled
        if not _matches(stored if known else _nobodys_hash(), secret) or not known:
            raise Unauthenticated(f"user or {'PIN' if column == 'pin' else column} is wrong")
        with self._open() as db:
            db.execute("UPDATE user SET wrong = 0, locked_until = 0 WHERE id = ?", (user,))
        return _principal(user, roles)

    def _change(self, user: str, setter: str, value: object, principal: Principal) -> None:
        authorise(principal, Action.MANAGE_USERS)
        with self._open() as db:
            if not db.execute(f"UPDATE user SET {setter} WHERE id = ?", (value, user)).rowcount:
                raise IdentityError(f"there is no user {user!r}")

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return opened(self._file)


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """One transaction on a file of people or of their sessions. Raises ``IdentityError`` where it
    cannot be read: nobody is let in by a file that is spoiled."""
    try:
        with closing(sqlite3.connect(file, timeout=5.0)) as db, db:
            yield db
    except sqlite3.OperationalError as error:
        raise IdentityError(f"{file}: {error}") from error
    except sqlite3.DatabaseError as error:
        what = f"{file}: {error}; bring it back from the back-up, or move it away"
        raise IdentityError(what) from error


def _stored(roles: Iterable[Role]) -> str:
    names = sorted({Role(role) for role in roles})
    if not names or Role.SYSTEM in names:
        raise IdentityError("a user needs at least one role, and `system` is not for users")
    return ",".join(names)


def _principal(user: str, roles: str) -> Principal:
    return Principal(user, frozenset(Role(role) for role in roles.split(",")))


def _pin_hash(pin: str | None) -> str | None:
    if pin is None:
        return None
    if not PIN_PATTERN.fullmatch(pin):
        raise IdentityError("a PIN is 4 to 12 digits")
    if len(set(pin)) == 1 or pin in "01234567890" or pin in "09876543210":
        raise IdentityError("this PIN is the first that anybody would try; choose another")
    return _hasher.hash(pin)


def _password_hash(password: str | None) -> str | None:
    if password is None:
        return None
    if not PASSWORD_MIN <= len(password) <= 1024:
        raise IdentityError(f"a password has at least {PASSWORD_MIN} characters")
    return _hasher.hash(password)


def _matches(stored: str, secret: str) -> bool:
    try:
        return len(secret) <= 1024 and _hasher.verify(stored, secret)
    except VerificationError:
        return False


@functools.cache
def _nobodys_hash() -> str:
    return _hasher.hash(secrets.token_urlsafe(32))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
