"""Checks in guided steps: line clearance, first article, challenge. Signatures and ticks enter; the
line released, or what is missing, leaves.

What is checked and recorded is the quality room's; these routes only bring people to it. `app`
mounts it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from inspector.identity import Action
from inspector.quality import signing
from inspector.web.access import May
from inspector.web.desk import Desk
from inspector.web.login import take
from inspector.web.sessions import Session
from inspector.web.signing import Given


class Clear(BaseModel):
    """A line clearance: what was looked at, and who signs."""

    checked: list[int] = Field(max_length=len(signing.CHECKS))
    signature: Given


class Signed(BaseModel):
    """A signature under what the line awaits."""

    signature: Given


def router(desk: Desk, run: Path) -> APIRouter:
    """``/steps/…``."""
    routes = APIRouter()

    @routes.post("/steps/clearance")
    def clearance(
        asked: Clear, request: Request, who: Annotated[Session, May(Action.RELEASE_LINE)]
    ) -> dict[str, Any]:
        given = asked.signature
        take(desk.web, request, given.by)
        checked = [signing.CHECKS[i] for i in asked.checked if 0 <= i < len(signing.CHECKS)]
        signature = signing.sign_clearance(
            desk.data, run, given.user, given.secret, checked, by=given.by, remark=given.remark
        )
        return {"signature": signature.position, "name": signature.name}

    @routes.post("/steps/article")
    def article(
        asked: Signed, request: Request, who: Annotated[Session, May(Action.RELEASE_LINE)]
    ) -> dict[str, Any]:
        given = asked.signature
        take(desk.web, request, given.by)
        signature = signing.sign_article(
            desk.data, run, given.user, given.secret, by=given.by, remark=given.remark
        )
        return {"signature": signature.position, "name": signature.name}

    @routes.post("/steps/challenge")
    def challenge(who: Annotated[Session, May(Action.CHALLENGE)]) -> dict[str, Any]:
        plan = desk.station.quality
        return dict(signing.ask_challenge(run, plan.challenge if plan else None, who.principal))

    return routes
