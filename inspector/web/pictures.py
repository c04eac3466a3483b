"""Pictures of the archive for pages: a part or a recipe enters, a JPEG or its address leaves.

`app` mounts it.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

from inspector.identity import Action
from inspector.part import Outcome, PartId
from inspector.store import History, StoreError
from inspector.store.pages import parts_of
from inspector.store.query import PartHistory
from inspector.web.access import May
from inspector.web.desk import Desk
from inspector.web.sessions import Session

KEPT = {"Cache-Control": "private, max-age=86400"}
"""A picture never changes, but a browser keeps it no longer than the station might."""
LOOKED = 400
"""Parts of a batch in which a picture is looked for."""
SEARCHED, SHOWN = 600, 24
"""Parts that are gone through for pictures to draw on, and those that are offered."""
CHANGES, BATCHES = 400, 5
"""Changes of batch among which a recipe's are looked for, and those that are gone through."""


def router(desk: Desk) -> APIRouter:
    """``/picture/{part_id}/{view}``."""
    routes = APIRouter()

    @routes.get("/picture/{part_id}/{view}")
    def picture(
        part_id: UUID, view: str, who: Annotated[Session, May(Action.VIEW)]
    ) -> FileResponse:
        return FileResponse(file_of(desk, part_id, view), media_type="image/jpeg", headers=KEPT)

    return routes


def part_of(history: History, id: UUID) -> PartHistory:
    """The part of this id; for a route, which answers 404 where there is none."""
    part = history.part(PartId(id))
    if part is None:
        raise HTTPException(404)
    return part


def file_of(desk: Desk, id: UUID, view: str) -> Path:
    """Where the picture of a part's view lies; for a route, which answers 404 where none does."""
    with desk.history() as history:
        images = part_of(history, id).images
    image = next((i for i in images if i.view == view), None)
    path = desk.data / image.path if image else None
    if path is None or not path.is_file() or not path.is_relative_to(desk.data):
        raise HTTPException(404)
    return path


def address(part: PartHistory, view: str = "") -> str | None:
    """Where the picture of a part's view is, of its first one if no view is said."""
    image = next((i for i in part.images if view in ("", i.view)), None)
    return f"/picture/{part.verdict.part_id}/{quote(image.view, safe='')}" if image else None


def newest_of(history: History, recipe: str) -> str | None:
    """The address of the newest picture of a part that this recipe judged; of a good one, if any
    of the last is kept."""
    for change in history.batch_changes(200):
        if change.action == "begin" and change.recipe == recipe:
            parts, _ = parts_of(history, batch=change.id, limit=LOOKED)
            mine = [p for p in parts if p.images and p.verdict.recipe.split("@")[0] == recipe]
            best = min(mine, key=lambda p: p.verdict.outcome is not Outcome.PASS, default=None)
            if best is not None:
                return address(best)
    return None


def pictures_of(desk: Desk, name: str) -> list[dict[str, Any]]:
    """The newest parts of a recipe of which pictures are kept."""
    try:
        with desk.history() as history:
            kept = _kept(history, name)
    except StoreError:
        return []
    return [
        {
            "id": str(p.verdict.part_id),
            "number": p.verdict.sequence,
            "outcome": str(p.verdict.outcome),
            "pictures": {i.view: address(p, i.view) for i in p.images},
        }
        for p in kept[:SHOWN]
    ]


def _kept(history: History, name: str) -> list[PartHistory]:
    """Of the newest parts those with pictures; while another recipe runs, of the newest batches of
    this one: the next product's recipe is tuned before its turn comes."""

    def mine(batch: str | None) -> list[PartHistory]:
        parts, _ = parts_of(history, batch=batch, limit=SEARCHED)
        return [p for p in parts if p.images and p.verdict.recipe.rpartition("@")[0] == name]

    found = mine(None)
    if not found:
        made = (c.id for c in history.batch_changes(CHANGES) if c.recipe == name)
        for batch in islice(dict.fromkeys(made), BATCHES):
            found += mine(batch)
            if len(found) >= SHOWN:
                break
    return found
