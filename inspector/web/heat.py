"""Heat maps of a part for the review page: its id enters, its maps leave, made when asked for.

The tools make them, in an errand of their own (``inspector recipe heat``); the newest ones are kept
here, so that on and off costs nothing. `app` mounts it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter

from inspector.identity import Action
from inspector.web.access import May
from inspector.web.desk import Desk
from inspector.web.drafts import origin_of
from inspector.web.errand import answer_of
from inspector.web.pictures import part_of
from inspector.web.sessions import Session

KEPT = 64
"""Maps of that many parts are kept; each is some 50 kB."""


class Heats:
    """Maps that were made, the newest ones; one is made at a time."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._kept: OrderedDict[UUID, list[dict[str, Any]]] = OrderedDict()
        self._making = threading.Lock()

    def of(self, id: UUID) -> list[dict[str, Any]]:
        """The maps of a part. Raises ``Refused``: why there are none."""
        with self._making:
            if id not in self._kept:
                self._kept[id] = self._made(id)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return self._kept[id]

    def _made(self, id: UUID) -> list[dict[str, Any]]:
        desk = self._desk
        with desk.history() as history:
            part = part_of(history, id)
        origin = origin_of(desk, part.verdict.recipe.rpartition("@")[0])
        answer = answer_of(
            ["recipe", "heat", str(id), "--recipe", str(origin), "--data", str(desk.data),
             "--models", str(desk.station.models), "--json"]
        )  # fmt: skip
        found: list[dict[str, Any]] = answer.get("heats", [])
        return found


def router(desk: Desk) -> APIRouter:
    """``/review/heat/{id}``."""
    routes = APIRouter()
    heats = Heats(desk)

    @routes.get("/review/heat/{id}")
    def heat(id: UUID, who: Annotated[Session, May(Action.REVIEW)]) -> list[dict[str, Any]]:
        return heats.of(id)

    return routes
