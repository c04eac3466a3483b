"""ETags: a JSON answer that the client has already is not sent again (RFC 9110, 13.1.2).

ASGI middleware; ``app.py`` puts it around FastAPI. It saves the line and the MES's parser, not the
station's work: the answer is made either way.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def matches(header: str | None, etag: str) -> bool:
    """Whether an ``If-None-Match`` names ``etag`` (weak comparison)."""
    if header is None:
        return False
    names = {name.strip().removeprefix("W/") for name in header.split(",")}
    return "*" in names or etag in names


class Etag:
    """Names every JSON answer to a GET by its content."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        wanted = Headers(scope=scope).get("if-none-match")
        start: Any = None
        body = bytearray()

        async def named(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                headers = Headers(raw=message["headers"])
                plain = headers.get("content-type") == "application/json"
                if message["status"] == 200 and plain and "etag" not in headers:
                    start = message
                else:
                    await send(message)
                return
            if start is None:
                await send(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            etag = f'"{sha256(body).hexdigest()[:32]}"'
            headers_out = MutableHeaders(raw=start["headers"])
            headers_out["ETag"] = etag
            headers_out["Cache-Control"] = "private, no-cache"
            if matches(wanted, etag):
                start["status"] = 304
                del headers_out["content-length"], headers_out["content-type"]
                body.clear()
            await send(start)
            await send({"type": "http.response.body", "body": bytes(body)})

        await self._app(scope, receive, named)
