"""What every route takes: who asks, and that they may; what those get who may not.

Enters: a request that `door` has looked at. Leaves: ``May(action)`` for a route's signature, and
answers to those who may not: a person goes to the sign-in page, a script gets JSON. Every route of
the web room either takes ``May(…)`` or stands in `door.OPEN`; a test walks all of them.
"""

from __future__ import annotations

import errno
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response

from inspector.bus import NoAnswer
from inspector.identity import Action, Forbidden, IdentityError, LockedOut, Unauthenticated
from inspector.identity import authorise as _authorise
from inspector.quality.errors import QualityError
from inspector.store import StoreError
from inspector.store.batches import Refused as BatchRefused
from inspector.web.said import said
from inspector.web.sessions import Session
from inspector.web.templates_of import PAGES
from inspector.web.words import language_of

log = structlog.get_logger()


class NotSignedIn(Unauthenticated):
    """Nobody is signed in, or is no more."""


class Refused(Exception):
    """This cannot be done now; ``str()`` says why and what would do."""


class Needs:
    """A dependency: the session of somebody who may do ``action``."""

    def __init__(self, action: Action) -> None:
        self.action = action

    def __call__(self, request: Request) -> Session:
        return session_of(request, self.action)


def May(action: Action) -> Any:
    """For a route's signature: ``who: Annotated[Session, May(Action.VIEW)]``."""
    return Depends(Needs(action))


def session_of(request: Request, action: Action) -> Session:
    """Whose request this is. Raises ``NotSignedIn`` or ``Forbidden``."""
    session: Session | None = getattr(request.state, "session", None)
    if session is None:
        raise NotSignedIn("sign in first")
    _authorise(session.principal, action)
    return session


_STATUS: tuple[tuple[type[Exception], int, str], ...] = (
    (LockedOut, 429, "locked_out"),
    (NotSignedIn, 401, "sign_in"),
    (Unauthenticated, 401, "wrong_secret"),
    (Forbidden, 403, "forbidden"),
    (IdentityError, 422, "not_understood"),
    (RequestValidationError, 422, "not_understood"),
    (UnicodeEncodeError, 422, "not_understood"),
    (Refused, 409, "refused"),
    (QualityError, 409, "refused"),
    (BatchRefused, 409, "refused"),
    (NoAnswer, 503, "no_line"),
    (StoreError, 503, "store"),
    (OSError, 503, "store"),
)


def install(app: FastAPI) -> None:
    """Have ``app`` answer every one of these errors; NiceGUI's own app needs it too."""
    for kind, _, _ in _STATUS:
        app.add_exception_handler(kind, answer)


def answer(request: Request, error: Exception) -> Response:
    """What somebody gets who ran into ``error``, in their page's language."""
    status, code = next((s, c) for kind, s, c in _STATUS if isinstance(error, kind))
    page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
    why = told(request, _sentence(error))
    if page and isinstance(error, NotSignedIn):
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(path, safe='')}", 303)
    if page:
        return PAGES.TemplateResponse(request, "refused.html", {"code": code, "why": why}, status)
    headers = {"Retry-After": str(max(1, round(error.seconds)))} if isinstance(
        error, LockedOut
    ) else {}  # fmt: skip
    return JSONResponse({"error": why, "code": code}, status, headers)


def _sentence(error: Exception) -> str:
    """What is wrong; what was sent is not said again, for it may be a secret, or no text at all."""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        blank = first["type"] in ("string_pattern_mismatch", "string_too_short")
        what = "it is empty, or holds signs that cannot be kept" if blank else first["msg"]
        return f"{where or first['loc'][0]} does not fit: {what}"
    if isinstance(error, UnicodeEncodeError):
        return "a text has a character that is none; type it again"
    if isinstance(error, OSError):
        log.error("a request has failed", error=repr(error))
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        said = f"no space left on the disk ({name})" if full else f"{error.strerror} ({name})"
        return f"{error.filename or 'the data folder'}: {said}"
    return str(error)


def told(request: Request, why: str) -> str:
    """Why something was refused, in the language of who asked."""
    return said(language_of(request), why, {})
