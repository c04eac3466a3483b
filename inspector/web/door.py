"""Who comes in: every request and every WebSocket passes here before a route sees it.

Enters: requests. Leaves: those that may be looked at, with ``session`` in their state (None where
nobody is signed in), and with the headers that keep other sites out. What changes something must
come from our own page (``Origin``) and repeat the session's token; a WebSocket must come from our
own page, and ends when its person is signed out, but for one that is everybody's. `app` puts it
before all else.
"""

from __future__ import annotations

import asyncio
import time
from http.cookies import CookieError, SimpleCookie
from secrets import compare_digest
from urllib.parse import urlsplit

import anyio.to_thread
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inspector.web.sessions import Session, Sessions

DESK = "/desk"
"""Where NiceGUI's pages are; they need a laxer policy for scripts than ours."""
OPEN = frozenset({
    "/login", "/login/oidc", "/login/oidc/back", "/logout", "/session", "/session/touch",
    "/healthz", "/metrics",
})  # fmt: skip
"""What is answered to those who have not signed in."""
LIVE = frozenset({"/", "/ws/live"})
"""And this too where the station file says ``open``."""
WITHOUT_TOKEN = frozenset({"/login", f"{DESK}/_nicegui_ws/socket.io/"})
"""Sign-in has no session yet, and NiceGUI's socket sends no header; both check the origin."""
LOOK_S = 2.0
"""How often a desk page's socket looks whether its person is still signed in."""
BODY_MAX = 256 << 10
"""Bytes of a request."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-cache",
}
# Vue compiles templates in the browser, and NiceGUI's frame is an inline script.
DESK_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self' data:; worker-src 'self' blob:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


def cookie_name(secure: bool) -> str:
    """The session cookie's name; ``__Host-`` has the browser insist on TLS and on this host."""
    return "__Host-inspector" if secure else "inspector"


class Door:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, sessions: Sessions, *, secure: bool, live_open: bool) -> None:
        self.app, self._sessions = app, sessions
        self._cookie, self._live_open = cookie_name(secure), live_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        token = _cookie(headers, self._cookie)
        session = await self._session(token) if token else None
        scope.setdefault("state", {})["session"] = session
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send, headers, token, session)
            return
        why = self._refuses(scope, headers, session)
        if why:
            status, code, text = why
            answer = JSONResponse({"error": text, "code": code}, status)
            await answer(scope, receive, _secured(send, scope["path"]))
            return
        await self.app(scope, receive, _secured(send, scope["path"]))

    def _refuses(
        self, scope: Scope, headers: Headers, session: Session | None
    ) -> tuple[int, str, str] | None:
        path = scope["path"]
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > BODY_MAX:
            return 413, "too_large", f"a request has at most {BODY_MAX} bytes"
        if scope["method"] not in SAFE:
            if "transfer-encoding" in headers:
                return 411, "too_large", "say how long the request is"
            if not _ours(headers, strict=True):
                return 403, "other_site", "this came from another site's page"
            given = headers.get("x-csrf-token", "")
            needs = session is not None and path not in WITHOUT_TOKEN
            if session is not None and needs and not same(given, session.csrf):
                return 403, "old_page", "this page is out of date; load it again"
        # A desk page's own scripts are nobody's secret, but nobody needs them who may not see it.
        if session is None and path.startswith(f"{DESK}/_nicegui"):
            return 401, "sign_in", "sign in first"
        return None

    async def _socket(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers, token: str,
        session: Session | None,
    ) -> None:  # fmt: skip
        everybodys = self._live_open and scope["path"] in LIVE
        if not _ours(headers, strict=False) or (session is None and not everybodys):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive if everybodys else self._watched(receive, token), send)

    def _watched(self, receive: Receive, token: str) -> Receive:
        """``receive`` that ends once the person is signed out, though nothing is sent to it."""
        looked = time.monotonic()
        coming: asyncio.Future[Message] | None = None

        async def watched() -> Message:
            nonlocal looked, coming
            while True:
                # kept where the wait ends first, so that no message is lost
                coming = coming or asyncio.ensure_future(receive())
                await asyncio.wait({coming}, timeout=LOOK_S)
                if time.monotonic() - looked >= LOOK_S:
                    looked = time.monotonic()
                    if await self._session(token) is None:
                        coming.cancel()
                        return {"type": "websocket.disconnect", "code": 1008}
                if coming.done():
                    message, coming = coming.result(), None
                    return message

        return watched

    async def _session(self, token: str) -> Session | None:
        return await anyio.to_thread.run_sync(self._sessions.find, token)


def _cookie(headers: Headers, name: str) -> str:
    try:
        jar = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return jar[name].value if name in jar else ""


def _ours(headers: Headers, *, strict: bool) -> bool:
    """Whether a page of this station sent it. A browser names the page's origin with everything
    that is not a plain GET; without it, ``strict`` refuses."""
    origin = headers.get("origin")
    if origin is None:
        return not strict
    try:
        return urlsplit(origin).netloc == headers.get("host")
    except ValueError:  # no address at all
        return False


def same(given: str, kept: str) -> bool:
    """Whether ``given`` is the secret that is kept, told in the same time however much of it is
    right; what is sent need not be ASCII."""
    return compare_digest(given.encode(), kept.encode())


def _secured(send: Send, path: str) -> Send:
    async def secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            if path == DESK or path.startswith(f"{DESK}/"):
                headers["Content-Security-Policy"] = DESK_POLICY
        await send(message)

    return secured
