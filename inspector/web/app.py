"""The web application: a station and its run directory enter, a FastAPI app leaves.

Rooms of pages join by ``app.include_router`` or ``app.mount``; ``layout.html`` is their frame and
``tokens.css`` their look. Imported by ``web/process.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

from inspector import __version__
from inspector.config import Station
from inspector.web.feed import FRESH_S, Feed, Page
from inspector.web.metrics import exposition
from inspector.web.words import LANGUAGES, WORDS, preferred

HERE = Path(__file__).parent

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-cache",
}


def create_app(station: Station, run: Path) -> FastAPI:
    """The pages of ``station``, whose line shows itself in run directory ``run``."""
    feed = Feed(run)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        feed.start()
        yield
        await feed.stop()

    # FastAPI's own documentation pages load scripts from elsewhere.
    app = FastAPI(title="inspector", openapi_url=None, lifespan=lifespan)
    app.state.feed = feed
    templates = Jinja2Templates(HERE / "templates")
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")

    @app.middleware("http")
    async def secure(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await call_next(request)
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.get("/", response_class=HTMLResponse)
    async def live(request: Request) -> Response:
        language = preferred(request.headers.get("accept-language", ""))
        return templates.TemplateResponse(
            request,
            "live.html",
            {
                "station": station,
                "version": __version__,
                "language": language,
                "languages": LANGUAGES,
                "words": WORDS[language],
                "catalogue": WORDS,
                "settings": {"freshMs": int(FRESH_S * 1000)},
            },
        )

    @app.get("/healthz")
    async def healthz() -> JSONResponse:
        alive = feed.age_s < FRESH_S
        body = {
            "line": "alive" if alive else "lost",
            "ready": bool(alive and feed.status.get("ready")),
            "station": station.station,
            "version": __version__,
        }
        return JSONResponse(body, 200 if alive else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(exposition(feed), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.websocket("/ws/live")
    async def live_socket(socket: WebSocket) -> None:
        if not _same_origin(socket):
            await socket.close(1008)
            return
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

    return app


async def _send(socket: WebSocket, page: Page) -> None:
    while True:
        await socket.send_bytes(await page.next())


async def _receive(socket: WebSocket, page: Page) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()
            page.drawn()


def _same_origin(socket: WebSocket) -> bool:
    """Another site's page must not read the line through the operator's browser."""
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")
