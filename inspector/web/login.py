"""Signing in and out: a name with its secret, or a provider's word, enters; a session leaves.

A PIN is taken from touchscreens alone; guesses are slowed down by `identity.Users` (each user) and
here (each address). Every sign-in, refusal and sign-out is a record of the desk. `app` mounts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from inspector.config import Web
from inspector.identity import (
    MAY,
    USER_PATTERN,
    LockedOut,
    Principal,
    Role,
    Unauthenticated,
)
from inspector.web.desk import Desk
from inspector.web.door import cookie_name
from inspector.web.oidc import FLIGHT_S, Provider
from inspector.web.sessions import How, Session, Sessions
from inspector.web.templates_of import PAGES
from inspector.web.words import WORDS

TRIES = 10
"""Sign-ins that one address may try …"""
TRIES_S = 60.0
"""… in this time."""
AT_ONCE = 2
"""Secrets that are checked side by side: each takes 64 MiB and 0.1 s of a core."""
HANDED_ON = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
"""A proxy's marks: whose address is the peer's own then is not known."""
UNKNOWN = Principal("unknown", frozenset())
FLIGHT = "inspector-flight"


class Attempts:
    """How often each address has tried lately. For one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tried: OrderedDict[str, deque[float]] = OrderedDict()

    def spend(self, address: str) -> None:
        """One more try. Raises ``LockedOut`` for the one too many."""
        now = self._clock()
        tried = self._tried.setdefault(address, deque(maxlen=TRIES))
        self._tried.move_to_end(address)
        if len(self._tried) > 1024:
            self._tried.popitem(last=False)
        if len(tried) == TRIES and now - tried[0] < TRIES_S:
            raise LockedOut(TRIES_S - (now - tried[0]))
        tried.append(now)

    def forgive(self, address: str) -> None:
        """That was somebody who may."""
        self._tried.pop(address, None)


class SignIn(BaseModel):
    """A name and its secret."""

    user: str = Field(max_length=64)
    secret: str = Field(max_length=1024)
    by: Literal["pin", "password"]


def router(desk: Desk, sessions: Sessions) -> APIRouter:
    """``/login``, ``/logout``, ``/session``."""
    routes = APIRouter()
    web = desk.web
    cookie = cookie_name(web.secure)
    provider = Provider(web.oidc) if web.oidc else None
    attempts, checking = Attempts(), asyncio.Semaphore(AT_ONCE)

    async def begin(request: Request, principal: Principal, how: How, answer: Response) -> Response:
        body = {"how": str(how), "client": _address(request), "roles": sorted(principal.roles)}
        await anyio.to_thread.run_sync(desk.record, "sign_in", body, principal)
        old = request.cookies.get(cookie, "")
        if old:
            await anyio.to_thread.run_sync(sessions.end, old)
        token = await anyio.to_thread.run_sync(sessions.begin, principal, how, _address(request))
        answer.set_cookie(
            cookie, token, httponly=True, secure=web.secure, samesite="lax", path="/",
            max_age=int(web.longest_s),
        )  # fmt: skip
        return answer

    async def refused(request: Request, who: str, how: str, why: str) -> None:
        name = who if USER_PATTERN.fullmatch(who) else ""
        body = {"user": name, "how": how, "client": _address(request), "why": why}
        await anyio.to_thread.run_sync(desk.record, "sign_in_refused", body, UNKNOWN)

    def said(request: Request, session: Session | None) -> dict[str, Any]:
        touch = at_touchscreen(web, request)
        people = {
            "touchscreen": touch,
            "people": desk.users.with_pin() if touch else [],
            "provider": web.oidc.name if web.oidc else "",
        }
        if session is None:
            return {"user": None} | people
        roles = session.principal.roles
        return people | {
            "user": session.principal.id,
            "roles": sorted(roles),
            "may": sorted(action for action, who in MAY.items() if who & roles),
            "how": session.how,
            "csrf": session.csrf,
            "left_s": round(session.left_s, 1),
        }

    @routes.get("/login", response_class=HTMLResponse)
    def page(request: Request, next: str = "/", why: str = "") -> Response:
        return PAGES.TemplateResponse(
            request,
            "login.html",
            {
                "station": desk.station,
                "next": _inside(next),
                "why": why if f"sign_in.{why}" in WORDS["en"] else "",
                "said": said(request, None),
            },
        )

    @routes.post("/login")
    async def sign_in(request: Request, asked: SignIn) -> Response:
        attempts.spend(_address(request))
        take(web, request, asked.by)
        check = desk.users.verify_pin if asked.by == "pin" else desk.users.verify_password
        try:
            async with checking:
                principal = await anyio.to_thread.run_sync(check, asked.user, asked.secret)
        except Unauthenticated as error:
            await refused(request, asked.user, asked.by, type(error).__name__)
            raise
        if principal.roles <= {Role.MACHINE}:
            raise Unauthenticated("a machine signs in with its API key, not here")
        attempts.forgive(_address(request))
        answer = JSONResponse({"user": principal.id})
        return await begin(request, principal, How(asked.by), answer)

    @routes.post("/logout")
    async def sign_out(request: Request) -> Response:
        session: Session | None = request.state.session
        if session is not None:
            await anyio.to_thread.run_sync(desk.record, "sign_out", {}, session.principal)
            await anyio.to_thread.run_sync(sessions.end, session.token)
        answer = JSONResponse({"user": None})
        answer.delete_cookie(cookie, path="/", secure=web.secure, httponly=True, samesite="lax")
        return answer

    @routes.get("/session")
    def who(request: Request) -> Response:
        return JSONResponse(said(request, request.state.session))

    @routes.post("/session/touch")
    def touch(request: Request) -> Response:
        session: Session | None = request.state.session
        if session is not None:
            session = sessions.find(session.token, touch=True)
        return JSONResponse(said(request, session))

    @routes.get("/login/oidc")
    async def leave(request: Request, next: str = "/") -> Response:
        if provider is None:
            return RedirectResponse("/login", 303)
        base = web.address.rstrip("/") or str(request.base_url).rstrip("/")
        try:
            url, state = await provider.leave(f"{base}/login/oidc/back", _inside(next))
        except Unauthenticated:
            return RedirectResponse("/login?why=no_provider", 303)
        answer = RedirectResponse(url, 303)
        answer.set_cookie(
            FLIGHT, state, max_age=int(FLIGHT_S), httponly=True, secure=web.secure, samesite="lax",
            path="/login/oidc",
        )  # fmt: skip
        return answer

    @routes.get("/login/oidc/back")
    async def come_back(
        request: Request, state: str = "", code: str = "", error: str = ""
    ) -> Response:
        if provider is None:
            return RedirectResponse("/login", 303)
        try:
            if error or not code:
                raise Unauthenticated(f"the provider says {error[:80] or 'nothing'}")
            bound = request.cookies.get(FLIGHT, "")
            principal, back = await provider.come_back(state, bound, code)
            if desk.users.known(principal.id) and desk.users.find(principal.id) is None:
                raise Unauthenticated(f"{principal.id} is disabled at this station")
        except Unauthenticated as failed:
            with contextlib.suppress(LockedOut):  # a flood does not fill the ledger
                attempts.spend(_address(request))
                await refused(request, "", "oidc", str(failed)[:300])
            return RedirectResponse("/login?why=provider_refused", 303)
        attempts.forgive(_address(request))
        answer = await begin(request, principal, How.OIDC, RedirectResponse(back, 303))
        answer.delete_cookie(FLIGHT, path="/login/oidc")
        return answer

    return routes


def at_touchscreen(web: Web, request: Request) -> bool:
    """Whether this comes from a screen at which a PIN is taken; what a proxy hands on does not,
    however near the proxy stands."""
    if any(mark in request.headers for mark in HANDED_ON):
        return False
    address = ipaddress.ip_address(_address(request))
    return any(address in ipaddress.ip_network(network) for network in web.touchscreens)


def take(web: Web, request: Request, by: str) -> None:
    """Raises ``Unauthenticated`` for a PIN from elsewhere than a touchscreen."""
    if by == "pin" and not at_touchscreen(web, request):
        raise Unauthenticated("a PIN is taken at the touchscreen only; use the password")


def _inside(path: str) -> str:
    """``path`` if it is a page of this station; an address that leads elsewhere is not followed."""
    try:
        elsewhere = urlsplit(path).netloc
    except ValueError:  # no address at all
        return "/"
    fine = path.startswith("/") and not path.startswith(("//", "/\\")) and not elsewhere
    return quote(path, safe="/?&=%:,+-._~") if fine and path.isprintable() else "/"


def _address(request: Request) -> str:
    """Where this comes from; a socket for IPv6 names an IPv4 address in its own way."""
    host = request.client.host if request.client else "0.0.0.0"
    return host.removeprefix("::ffff:") if "." in host else host
