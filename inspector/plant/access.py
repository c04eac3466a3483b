"""What every route takes: who asks, under which key, and where to go on reading; a write is
answered once.

Enters: a request that `door` has let in. Leaves: annotated parameters for FastAPI, and the OpenAPI
document's security. The plant's routes import it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.security import APIKeyHeader, HTTPBearer
from pydantic import BaseModel

from inspector.identity import Action, Principal, authorise
from inspector.plant.problems import MEDIA_TYPE, Problem, ProblemBody
from inspector.plant.requests import Done, Once, Requests

S = TypeVar("S", bound=BaseModel)
REPLAYED = "Idempotent-Replayed"
"""Header of an answer that was given before."""

_bearer = HTTPBearer(auto_error=False, description="An API key, by `inspector user key`.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key.")


async def _principal(
    request: Request, bearer: Any = Depends(_bearer), header: Any = Depends(_header)
) -> Principal:
    principal: Principal = request.state.principal
    return principal


async def _viewer(principal: Annotated[Principal, Depends(_principal)]) -> Principal:
    authorise(principal, Action.VIEW)
    return principal


async def _position(cursor: Annotated[str | None, Query(max_length=40)] = None) -> int | None:
    if cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"==").decode("ascii")
        if raw[:1] != "p" or not raw[1:].isdigit() or int(raw[1:]) > 1 << 62:
            raise ValueError
    except (ValueError, binascii.Error):
        raise Problem(
            422, "invalid-cursor", "take `cursor` from `next` of the page before"
        ) from None
    return int(raw[1:])


async def only_known(request: Request) -> None:
    """A filter that does not exist is refused, and one that is given twice: a typo would be
    answered with everything, as if it had been asked for."""
    asked = [name for name, _ in request.query_params.multi_items()]
    known = _query(request.scope["route"].dependant) if asked else frozenset()
    wrong = next((name for name in asked if name not in known or asked.count(name) > 1), None)
    if wrong is not None:
        there = ", ".join(sorted(known)) or "none"
        detail = f"`{wrong}` is given twice" if wrong in known else f"no parameter is `{wrong}`"
        raise Problem(422, "invalid-request", f"query: {detail}; there are: {there}")


def _query(dependant: Dependant) -> frozenset[str]:
    """The query parameters of a route."""
    own = frozenset(field.alias for field in dependant.query_params)
    return own.union(*(_query(inner) for inner in dependant.dependencies))


def cursor(position: int | None) -> str | None:
    """The opaque name of a place in a listing."""
    if position is None:
        return None
    return base64.urlsafe_b64encode(f"p{position}".encode()).decode().rstrip("=")


class Write:
    """A write: who asks for it, and under which key it may be repeated."""

    def __init__(self, who: Principal, key: str | None, response: Response) -> None:
        self.who, self._key, self._response = who, key, response

    def once(
        self, requests: Requests, asked: Mapping[str, Any], act: Callable[[], Done], said: type[S]
    ) -> S:
        """Do ``act`` and record it, or give again what was answered to the same request."""
        status, answer, again = requests.once(Once(self.who, self._key, asked), act)
        self._response.status_code = status
        self._response.headers["Cache-Control"] = "no-store"
        if again:
            self._response.headers[REPLAYED] = "true"
        return said.model_validate(answer)


Someone = Annotated[Principal, Depends(_principal)]
"""Whoever holds the key; the route authorises."""
Viewer = Annotated[Principal, Depends(_viewer)]
"""Somebody who may read."""
Before = Annotated[int | None, Depends(_position)]
"""A cursor, as a position."""
Limit = Annotated[int, Query(ge=1, le=200)]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=128,
        pattern=r"^[\x21-\x7e]+$",
        description="Any text that is new for a new request; the same text repeats this one.",
    ),
]


async def _write(who: Someone, response: Response, key: Key = None) -> Write:
    return Write(who, key, response)


Writer = Annotated[Write, Depends(_write)]
"""Whoever holds the key, to write; the route authorises."""

_PROBLEM: dict[str, Any] = {MEDIA_TYPE: {"schema": ProblemBody.model_json_schema()}}
_MEANING = {
    400: "no JSON",
    401: "no such API key",
    403: "the key's user may not",
    404: "not known here",
    409: "not in this state; `detail` says why",
    413: "too large",
    422: "not understood; `errors` names the fields",
    429: "too often; `Retry-After` says when",
    500: "a failure of the station",
    503: "the line or the disk does not answer",
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": _PROBLEM} for status, text in _MEANING.items()
}
"""Every route may answer with these."""
ETAGGED: dict[int | str, dict[str, Any]] = {304: {"description": "as `If-None-Match` named it"}}
