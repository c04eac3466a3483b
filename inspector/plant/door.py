"""Who comes in, how often, and with how much: everything before a request is read.

Enters: requests. Leaves: those of a known API key, within its rate, small enough, with the
principal in ``scope["state"]``, and ``still`` there for an answer that goes on and on: it raises
`Problem` once the key is known no more. All others are answered here. ``app.py`` puts it before
FastAPI.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio.to_thread
import structlog
from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inspector.identity import IdentityError, Principal, Unauthenticated, Users
from inspector.plant.problems import Problem

log = structlog.get_logger()

BODY_MAX = 64 << 10
"""Bytes of a request; the largest sensible one has some hundred."""
KEY_MAX = 256
OPEN = frozenset({"/api/v1/openapi.json"})
"""What is answered without a key: it says nothing about the plant."""
SETTLED_NS = 100_000_000
"""A file's time moves in steps of a tick of the kernel, 1 to 10 ms."""
STRANGERS_PER_S = 20.0
"""Wrong keys that one address may try. 256 random bits need no lock-out; the log does."""


class Buckets:
    """A token bucket for each of many, the least recently seen forgotten. For one thread."""

    def __init__(
        self, per_s: float, burst: int, *, most: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._per_s, self._burst, self._most, self._clock = per_s, burst, most, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, who: str) -> float:
        """0 and one token less; or how long until there is one."""
        now = self._clock()
        left, at = self._left.pop(who, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._per_s)
        wait = 0.0 if left >= 1.0 else (1.0 - left) / self._per_s
        self._left[who] = (left if wait else left - 1.0, now)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return wait


class Keys:
    """Whose key it is, remembered for as long as ``users.db`` is the file it was: a revoked key is
    refused at once, and a known one costs one ``stat``. For the event loop."""

    def __init__(self, data: Path, users: Users) -> None:
        self._file, self._users = data / "users.db", users
        self._version: tuple[int, ...] = ()
        self._known: dict[bytes, Principal] = {}

    async def verify(self, key: str) -> Principal:
        """Raises ``Unauthenticated``."""
        digest = sha256(key.encode()).digest()
        version = self._look()
        if version != self._version:
            self._known.clear()
            self._version = version
        found = self._known.get(digest)
        if found is None:
            found = await anyio.to_thread.run_sync(self._users.verify_key, key)
            # A file that changed this very moment may change again within its clock's tick.
            settled = time.time_ns() - version[0] > SETTLED_NS
            if settled and version == self._version == self._look():
                self._known[digest] = found
        return found

    def _look(self) -> tuple[int, ...]:
        entry = self._file.stat()
        return entry.st_mtime_ns, entry.st_size, entry.st_ino


class Door:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, keys: Keys, per_s: float, burst: int) -> None:
        self._app, self._known_keys = app, keys
        self._keys = Buckets(per_s, burst)
        self._strangers = Buckets(STRANGERS_PER_S, int(STRANGERS_PER_S))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        try:
            principal, key = await self._known(scope)
            self._spend(self._keys, f"{principal.id}:{key}")
            receive = _limited(Headers(scope=scope), receive)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["principal"], state["still"] = principal, partial(self._known, scope)
        await self._app(scope, receive, send)

    async def _known(self, scope: Scope) -> tuple[Principal, str]:
        key = _key_of(Headers(scope=scope))
        try:
            if not key:
                raise Unauthenticated("an API key is needed")
            return await self._known_keys.verify(key), key
        except Unauthenticated as error:
            self._spend(self._strangers, (scope.get("client") or ("?",))[0])
            raise Problem(
                401,
                "unauthenticated",
                f"{error}; send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`",
                headers={"WWW-Authenticate": "Bearer"},
            ) from None
        except (IdentityError, OSError) as error:
            log.error("nobody is known: the users cannot be read", why=str(error))
            what = "the station's users cannot be read; its log says why"
            raise Problem(503, "no-users", what, headers={"Retry-After": "5"}) from None

    def _spend(self, buckets: Buckets, who: str) -> None:
        if wait := buckets.wait_s(who):
            raise Problem(
                429,
                "too-many-requests",
                f"come back in {wait:.3f} s",
                headers={"Retry-After": str(max(1, round(wait)))},
            )


def _key_of(headers: Headers) -> str:
    """The one key of a request; empty where there is none, or two that differ."""
    found = set(headers.getlist("x-api-key"))
    for value in headers.getlist("authorization"):
        scheme, _, key = value.partition(" ")
        if scheme.lower() == "bearer":
            found.add(key.strip())
    key = found.pop() if len(found) == 1 else ""
    return key if len(key) <= KEY_MAX else ""


def _limited(headers: Headers, receive: Receive) -> Receive:
    """``receive`` that ends a body which grows beyond ``BODY_MAX``."""
    announced = headers.get("content-length", "0")
    if not announced.isascii() or not announced.isdigit() or int(announced) > BODY_MAX:
        raise Problem(413, "too-large", f"a request has at most {BODY_MAX} bytes")
    size = 0

    async def counted() -> Message:
        nonlocal size
        message: Any = await receive()
        size += len(message.get("body", b""))
        if size > BODY_MAX:
            raise HTTPException(413, f"a request has at most {BODY_MAX} bytes")
        return dict(message)

    return counted
