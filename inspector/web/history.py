"""A batch's history for a phone, a tablet, a big screen (S12): a batch's id enters, a page leaves.

Everything on it comes from the ledger and the desk; the running batch's page stays as fresh as its
last reload, which it does by itself. `app` mounts it; QA's own page of a batch is another one.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse, Response

from inspector.identity import Action
from inspector.part import Outcome
from inspector.store import NoLedger
from inspector.store.batches import Batches, State
from inspector.store.pages import batch_ids, changes_of, parts_of
from inspector.store.query import History, PartHistory
from inspector.web.access import May
from inspector.web.desk import Desk
from inspector.web.frame import Entry, add_entry, entries
from inspector.web.pictures import address
from inspector.web.said import given, label
from inspector.web.sessions import Session
from inspector.web.templates_of import PAGES
from inspector.web.words import WORDS, language_of

LISTED = 40
"""Batches a page shows."""
PARTS = 24
"""Rejected parts a page shows."""


def router(desk: Desk) -> APIRouter:
    """``/batches`` and ``/batch/{id}``."""
    routes = APIRouter()
    add_entry(Entry("/batches", "nav.batches", "batches", Action.VIEW))

    def shown(request: Request, who: Session, page: str, **more: Any) -> Response:
        language = language_of(request)
        own = desk.words(language)
        context = {
            "station": desk.station,
            "user": who.principal.id,
            "entries": entries(who.principal),
            "here": "/batches",
            "facts": False,
            "said": given(desk.station.recipes),
            "in_words": lambda text: label(language, text, own),
        }
        return PAGES.TemplateResponse(request, page, context | more)

    @routes.get("/batches", response_class=HTMLResponse)
    def batches(
        request: Request,
        who: Annotated[Session, May(Action.VIEW)],
        before: Annotated[int | None, Query(ge=0)] = None,
    ) -> Response:
        rows: list[dict[str, Any]] = []
        found: tuple[tuple[str, int], ...] = ()
        try:
            with desk.history() as history, Batches(desk.data) as lives:
                found = batch_ids(history, before=before, limit=LISTED + 1)
                rows = [_batch(desk, history, lives, id) for id, _ in found[:LISTED]]
        except NoLedger:
            rows = []  # the line has never run here
        older = found[LISTED - 1][1] if len(found) > LISTED else None
        heading = WORDS[language_of(request)]["batches"]
        return shown(request, who, "batches.html", rows=rows, older=older, heading=heading)

    @routes.get("/batch/{id:path}", response_class=HTMLResponse)
    def batch(
        request: Request,
        who: Annotated[Session, May(Action.VIEW)],
        id: Annotated[str, PathParameter(min_length=1, max_length=64)],
        before: Annotated[int | None, Query(ge=0)] = None,
    ) -> Response:
        with desk.history() as history, Batches(desk.data) as lives:
            row = _batch(desk, history, lives, id)
            parts, next_page = _faulty(history, id, before)
            defects = history.defects(id)
            changes = changes_of(history, id)
        most = max(defects.values(), default=1)
        events = [
            {"action": c.action, "by": c.principal, "ms": c.utc_ns // 1_000_000,
             "what": " · ".join(filter(None, (c.product, c.recipe)))}
            for c in changes
        ]  # fmt: skip
        return shown(
            request,
            who,
            "batch.html",
            heading=id,
            batch=row,
            defects=[(name, n, round(100 * n / most)) for name, n in list(defects.items())[:12]],
            parts=[_part(part) for part in parts],
            older=next_page,
            events=events,
        )  # fmt: skip

    return routes


def _batch(desk: Desk, history: History, lives: Batches, id: str) -> dict[str, Any]:
    summary = history.batch(id)
    life = lives.life(history, desk.holds, id)
    plan = lives.plan(id)
    changes = changes_of(history, id)
    begun = [change for change in changes if change.action == "begin"]
    ended = [change for change in changes if change.action == "end"]
    counts = summary.counts
    judged = counts[Outcome.PASS] + counts[Outcome.REJECT] + counts[Outcome.ERROR]
    newest = begun[-1] if begun else None
    running = life.state is State.RUNNING and not life.ended
    return {
        "id": id,
        "state": str(life.state or State.CLOSED),
        "running": running,
        "product": newest.product if newest else plan.product if plan else "",
        "recipe": newest.recipe if newest else plan.recipe if plan else "",
        "texts": dict(newest.texts) if newest else {},
        "target": plan.target if plan else None,
        "order": plan.order if plan else "",
        "parts": judged + counts[Outcome.NOT_INSPECTED],
        "passed": counts[Outcome.PASS],
        "rejected": counts[Outcome.REJECT],
        "errors": counts[Outcome.ERROR],
        "not_inspected": counts[Outcome.NOT_INSPECTED],
        "others": summary.others,
        "yield": 100 * counts[Outcome.PASS] / judged if judged else None,
        "began_ms": begun[0].utc_ns // 1_000_000 if begun else None,
        "ended_ms": ended[-1].utc_ns // 1_000_000 if ended and not running else None,
    }


def _faulty(history: History, id: str, before: int | None) -> tuple[list[PartHistory], int | None]:
    """Rejects and errors of the batch, the newest first."""
    rejects, one = parts_of(history, batch=id, outcome=Outcome.REJECT, before=before, limit=PARTS)
    errors, other = parts_of(history, batch=id, outcome=Outcome.ERROR, before=before, limit=PARTS)
    both = sorted((*rejects, *errors), key=lambda part: -part.position)
    more = len(both) > PARTS or one is not None or other is not None
    page = both[:PARTS]
    return page, page[-1].position if more and page else None


def _part(part: PartHistory) -> dict[str, Any]:
    verdict = part.verdict
    bad = next((f for f in verdict.findings if not f.ok), None)
    return {
        "number": verdict.sequence,
        "serial": verdict.serial or "",
        "outcome": str(verdict.outcome),
        "reason": verdict.reasons[0] if verdict.reasons else "",
        "ms": verdict.times.utc_ns // 1_000_000,
        "picture": address(part, bad.view if bad else "") or address(part),
    }
