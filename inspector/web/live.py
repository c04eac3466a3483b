"""The live page, its WebSocket, the station's health and metrics.

Enters: what the line shows (`feed`). Leaves: HTML, the same bytes over a WebSocket, Prometheus
text. `app` mounts it; who may see it without signing in, the station file says.
"""

from __future__ import annotations

import asyncio
import contextlib

from fastapi import APIRouter, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, JSONResponse

from inspector import __version__
from inspector.identity import Action
from inspector.web.access import session_of
from inspector.web.desk import Desk
from inspector.web.feed import FRESH_S, Feed, Page
from inspector.web.frame import entries
from inspector.web.metrics import exposition
from inspector.web.said import given
from inspector.web.sessions import Session
from inspector.web.templates_of import PAGES


def router(desk: Desk, feed: Feed) -> APIRouter:
    """``/``, ``/ws/live``, ``/healthz``, ``/metrics``."""
    routes = APIRouter()
    station = desk.station
    is_open = desk.web.open

    @routes.get("/", response_class=HTMLResponse)
    def live(request: Request) -> Response:
        session: Session | None = request.state.session
        if session is not None or not is_open:
            session = session_of(request, Action.VIEW)
        return PAGES.TemplateResponse(
            request,
            "live.html",
            {
                "station": station,
                "settings": {
                    "freshMs": int(FRESH_S * 1000),
                    "views": [camera.name for camera in station.cameras],
                },
                "user": session.principal.id if session else "",
                "closed": not is_open,
                "entries": entries(session.principal if session else None),
                "here": "/",
                "facts": True,
                "said": given(station.recipes),
            },
        )

    @routes.get("/healthz")
    async def healthz() -> JSONResponse:
        alive = feed.alive
        body = {
            "line": "alive" if alive else "lost",
            "ready": bool(feed.now.get("ready")),
            "station": station.station,
            "version": __version__,
        }
        return JSONResponse(body, 200 if alive else 503)

    @routes.get("/metrics")
    async def metrics() -> Response:
        return Response(exposition(feed), media_type="text/plain; version=0.0.4; charset=utf-8")

    @routes.websocket("/ws/live")
    async def live_socket(socket: WebSocket) -> None:
        await socket.accept()
        page = feed.join()
        sending = asyncio.create_task(_send(socket, page))
        receiving = asyncio.create_task(_receive(socket, page))
        try:
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            feed.leave(page)
            sending.cancel()
            receiving.cancel()
            await asyncio.gather(sending, receiving, return_exceptions=True)

    return routes


async def _send(socket: WebSocket, page: Page) -> None:
    while True:
        await socket.send_bytes(await page.next())


async def _receive(socket: WebSocket, page: Page) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()
            page.drawn()
