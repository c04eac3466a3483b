"""The size of what is asked: nobody fills the centre's memory, least of all who has no session.

Enters: requests before anything reads them. Leaves: those that say no more than anybody has to say.
`app` puts it before all; segments, pictures and process values have limits of their own
(`stations`), and are read only for a station that has shown who it is.
"""

from __future__ import annotations

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ASKED_MAX = 1 << 20
"""Bytes of JSON or of a form: the longest, a report with a thousand pictures that are gone, has a
fifteenth of it."""
LARGE = ("/api/v1/segments", "/api/v1/tags", "/api/v1/blobs/")


class Door:
    """Before the app: ends a request that is too long."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["path"].startswith(LARGE):
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isascii() or not announced.isdigit() or int(announced) > ASKED_MAX:
            answer = JSONResponse({"code": "size", "detail": _WHY}, 413)
            await answer(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > ASKED_MAX:
                raise HTTPException(413, _WHY)
            return message

        await self._app(scope, counted, send)


_WHY = f"a request has at most {ASKED_MAX} bytes"
