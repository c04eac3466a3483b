"""What goes wrong, as the MES reads it: ``application/problem+json`` after RFC 9457.

Enters: a `Problem`, or whatever FastAPI or a room raised. Leaves: the one shape of error that this
interface has. The plant's modules import it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from inspector.identity import Forbidden
from inspector.store import QueryTimeout, StoreError, StoreFull, StoreStalled

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:inspector:problem:"


class Problem(Exception):
    """An answer that is not what was asked for; ``detail`` says what to mend."""

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.name, self.detail = status, name, detail
        self.headers, self.more = dict(headers or {}), more

    def response(self) -> Response:
        """As it goes over the wire."""
        return Response(
            problem_body(self.status, self.name, self.detail, **self.more),
            self.status,
            {**self.headers, "Cache-Control": "no-store"},
            MEDIA_TYPE,
        )


class FieldError(BaseModel):
    """One mistake in a request."""

    field: str
    """Dotted path, such as ``body.sequences.last``."""
    message: str


class ProblemBody(BaseModel):
    """RFC 9457."""

    type: str = Field(examples=[f"{PREFIX}unknown-part"])
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


def problem_body(status: int, name: str, detail: str, **more: Any) -> bytes:
    """The JSON of a problem; ASCII, because a request may have held half a character."""
    body = {
        "type": PREFIX + name,
        "title": name.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
        **more,
    }
    return json.dumps(body).encode()


def install(app: FastAPI) -> None:
    """Every error of ``app`` is a problem."""

    @app.exception_handler(Problem)
    def ours(request: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [
            {
                "field": ".".join(str(part) for part in item["loc"]),
                "message": str(item["msg"]).removeprefix("Value error, "),
            }
            for item in error.errors()[:20]
        ]
        broken = any(item["type"] == "json_invalid" for item in error.errors())
        detail = "; ".join(f"{e['field']}: {e['message']}" for e in errors[:3])
        name, status = ("no-json", 400) if broken else ("invalid-request", 422)
        return Problem(status, name, detail, errors=errors).response()

    @app.exception_handler(HTTPException)
    def standard(request: Request, error: HTTPException) -> Response:
        phrase = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        name = "too-large" if error.status_code == 413 else phrase  # as where its size was said
        detail = f"{request.method} {request.url.path}: {error.detail}"
        return Problem(error.status_code, name, detail, headers=error.headers).response()

    @app.exception_handler(Forbidden)
    def forbidden(request: Request, error: Forbidden) -> Response:
        return Problem(403, "forbidden", str(error)).response()

    @app.exception_handler(StoreError)
    def store(request: Request, error: StoreError) -> Response:
        if isinstance(error, QueryTimeout):
            return Problem(422, "too-much", "the ledger was asked for too much at once").response()
        log.error("the store failed", why=str(error))
        name = "disk-full" if isinstance(error, StoreFull) else "store-failed"
        again = {"Retry-After": "1"} if isinstance(error, StoreStalled) else None
        detail = "nothing was recorded; the station's log says why"
        return Problem(503, name, detail, headers=again).response()

    @app.exception_handler(Exception)
    def unforeseen(request: Request, error: Exception) -> Response:
        log.exception("a request failed", path=request.url.path, exc_info=error)
        return Problem(500, "failed", "the station's log says why").response()
