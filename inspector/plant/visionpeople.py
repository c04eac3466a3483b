"""Who opens a session of the OPC UA server, and in whose name a method runs.

Enters: a name with a password or an API key. Leaves: sessions of the station's users, whose every
call is made by the person as the users' file has that person *now*: a session may stay open for
weeks, and whose key was revoked meanwhile is nobody any more. Such a session calls nothing at once,
and is soon closed, because it reads and hears too. ``opcua.py`` starts the server with these.
"""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio.to_thread
import structlog
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession

from inspector.identity import IdentityError, Principal, Unauthenticated, Users

log = structlog.get_logger()

KEY = "insp_"
"""What every API key begins with."""

CALLER: ContextVar[Principal | None] = ContextVar("caller", default=None)
"""Who calls the method that runs."""


class People:
    """Who may open a session: the station's users."""

    def __init__(self, data: Path) -> None:
        self._users = Users(data)

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None,
        certificate: Any = None,
    ) -> User | None:  # fmt: skip
        """The user with this password or API key; None, which refuses the session, if not."""
        if not username or not password:
            return None
        try:
            if password.startswith(KEY):
                principal = self._users.verify_key(password)
                if principal.id != username:
                    return None
            else:
                principal = self._users.verify_password(username, password)
        except IdentityError as error:
            log.warning("an OPC UA session was refused", user=username, why=str(error))
            return None
        user = User(role=UserRole.User, name=username)
        user.key = password if password.startswith(KEY) else ""
        return user

    def still(self, user: User) -> Principal | None:
        """Who this is, with the roles that hold now; None if the key or the user is no more."""
        try:
            return self._now(user)
        except IdentityError as error:
            log.warning("an OPC UA call was refused", user=user.name, why=str(error))
            return None

    def gone(self, user: User) -> bool:
        """Whether the key or the user is no more; not where the users' file cannot be read now."""
        try:
            return self._now(user) is None
        except Unauthenticated:
            return True
        except IdentityError:
            return False

    def _now(self, user: User) -> Principal | None:
        key = getattr(user, "key", None)
        if key is None:  # a session of the server's own
            return None
        return self._users.verify_key(key) if key else self._users.find(str(user.name))


class Session(InternalSession):  # type: ignore[misc]
    """A client's session, whose calls know who makes them."""

    async def call(self, params: list[Any]) -> list[Any]:
        people: People = self.iserver.user_manager
        token = CALLER.set(await anyio.to_thread.run_sync(people.still, self.user))
        try:
            return list(await super().call(params))
        finally:
            CALLER.reset(token)


class Core(InternalServer):  # type: ignore[misc]
    """The server's inside, whose sessions are of the kind above."""

    def create_session(
        self, name: str, user: User | None = None, external: bool = False
    ) -> InternalSession:
        user = user or User(role=UserRole.Anonymous)
        return Session(
            self, self.aspace, self.subscription_service, name, user=user, external=external
        )

    async def see_out(self) -> None:
        """Close the sessions of whoever is nobody any more, with what they had subscribed to."""
        for session in tuple(self._external_sessions.values()):
            opened = session.is_activated()
            if opened and await anyio.to_thread.run_sync(self.user_manager.gone, session.user):
                log.warning("an OPC UA session is closed: no such user", user=session.user.name)
                await session.close_session(True)
