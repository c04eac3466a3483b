"""The centre's service: stations under ``/api/v1``, people at ``/``.

Enters: a `Hub`. Leaves: a FastAPI app without a memory of its own, so that any number of them may
stand behind a balancer. `serve` runs it; tests and benches do too.

What a station may do, its session says: every row that a request writes carries the id of the
station that asked, so none can write what is another's. Refusals are JSON: ``{"code", "detail"}``.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response

from inspector.identity import Forbidden
from training.hub import channels, giving_back, pages, stations
from training.hub.blobs import BlobError
from training.hub.door import Door
from training.hub.enrolment import Unknown
from training.hub.hub import Hub
from training.hub.ingest import Refused

STATUS = {"gap": 409, "fork": 409, "changed": 409}
"""HTTP's number for a refusal; 422 for all others."""


def create_app(hub: Hub) -> FastAPI:
    """The app of one hub."""
    app = FastAPI(title="Centre", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.hub = hub
    for room in (stations, giving_back, channels):
        app.include_router(room.router, prefix="/api/v1")
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=pages.STATIC), name="static")
    for error, answer in (
        (Refused, _refused),
        (Unknown, _unknown),
        (BlobError, _blob),
        (SQLAlchemyError, _away),
        (RequestValidationError, _malformed),
        (Forbidden, pages.forbidden),
        (pages.SignedOut, pages.signed_out),
    ):
        app.add_exception_handler(error, answer)
    app.add_middleware(Door)
    app.middleware("http")(_safe)
    return app


async def _safe(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers.setdefault(
        "Content-Security-Policy", "default-src 'self'; img-src 'self' data:; form-action 'self'"
    )
    return response


def _answer(status: int, code: str, detail: str) -> JSONResponse:
    return JSONResponse({"code": code, "detail": detail}, status)


async def _refused(request: Request, error: Any) -> Response:
    return _answer(STATUS.get(error.code, 422), error.code, str(error))


async def _unknown(request: Request, error: Any) -> Response:
    return _answer(401, "unknown", str(error))


async def _blob(request: Request, error: Any) -> Response:
    return _answer(503, "blobs", str(error))


async def _away(request: Request, error: Any) -> Response:
    return _answer(503, "database", str(getattr(error, "orig", error)).strip())


async def _malformed(request: Request, error: Any) -> Response:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return _answer(422, "malformed", f"{where}: {first['msg']}")
