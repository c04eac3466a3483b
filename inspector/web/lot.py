"""Everything about one batch on one page, for quality: ``/desk/batch?id=…``.

Enters: a batch's id, by the address. Leaves: its state and the decisions over it, counts that are
reconciled, yield, Pareto and control chart, first article, challenges, deviations, reviews,
signatures, its trace as a graph, a recall, its report as a PDF. Answered without reading the parts
one by one, so that a batch of a million opens like one of a hundred. `app` makes the page;
`history` is its shorter sister for a phone.
"""

from __future__ import annotations

import html
from typing import Annotated
from urllib.parse import urlencode

import anyio.to_thread
from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.responses import Response, StreamingResponse
from nicegui import ui

from inspector.identity import Action
from inspector.quality.batch_facts import made_when, outline
from inspector.quality.printing import Press, file_name
from inspector.store import NoLedger
from inspector.store.batches import Batches, Plan, State
from inspector.store.figures import period
from inspector.store.genealogy import Genealogy
from inspector.store.holds import Run
from inspector.store.pages import batch_known, changes_of
from inspector.store.reviews import Reviews
from inspector.store.spans import MARGIN_NS
from inspector.web import lot_decide, lot_panels, lot_recall, lot_trace
from inspector.web.access import May, Refused
from inspector.web.controls import put, search_form, sign, typed, way
from inspector.web.desk import Desk
from inspector.web.door import DESK
from inspector.web.feed import Feed
from inspector.web.frame import Shown, page
from inspector.web.lot_panels import Lot
from inspector.web.lot_recall import Wanted
from inspector.web.sessions import Session, Sessions

PATH = "/batch"
PARTS_IN_SLICE = 40
"""So many make a point of the control chart, if there are parts enough for `SLICES` of them."""
SLICES = 48
Id = Annotated[str, Query(min_length=1, max_length=64)]


def build(desk: Desk, sessions: Sessions, feed: Feed) -> APIRouter:
    """The page, its PDF and the file of a recall."""
    routes = APIRouter(prefix="/lot")
    press = Press(desk.station)

    @page(desk, sessions, PATH, word="nav.lot", icon="batches", action=Action.VIEW,
          under="/batches")  # fmt: skip
    async def batch(
        shown: Shown, wanted: Annotated[Wanted, Depends()], id: str = "", trace: str = ""
    ) -> None:
        for sheet in ("charts", "lot"):
            ui.add_head_html(f'<link rel="stylesheet" href="/static/{sheet}.css">')
        known, found = await anyio.to_thread.run_sync(_read, desk, id.strip())
        id = found.id if found else id
        _chooser(shown, known, id)
        if found is None:
            said = shown.word("lot.unknown", id) if id else shown.word("lot.none")
            ui.label(said).classes("empty")
            return
        hit = await anyio.to_thread.run_sync(lot_recall.search, desk, id, wanted)
        _head(shown, found)
        put(lot_panels.tiles(shown, found))
        checks = lot_decide.checks_of(shown, found.facts, found.second, found.held)
        lot_decide.show(shown, id, found.life, found.facts, checks, feed)
        with ui.element("div").classes("board"):
            lot_panels.figures(shown, found)
            lot_panels.evidence(shown, found)
        graph = await anyio.to_thread.run_sync(lot_trace.graph_of, shown, found)
        lot_trace.show(shown, found, graph, trace)
        lots = [(f"{m}\t{n}", f"{n} · {m}") for m, n in
                dict.fromkeys((use.material, use.lot) for use in found.materials)]  # fmt: skip
        lot_recall.show(shown, id, wanted, hit, lots, list(found.facts.labels), feed)

    @routes.get("/report.pdf")
    async def report(id: Id, who: Annotated[Session, May(Action.EXPORT)], zh: bool = False
                     ) -> Response:  # fmt: skip
        if not await anyio.to_thread.run_sync(_has_parts, desk, id):
            raise HTTPException(404)
        content = await press.report(id, "zh" if zh else "en")
        body = {"what": "report", "batch": id}
        await anyio.to_thread.run_sync(desk.record, "export", body, who.principal)
        headers = {"Content-Disposition": f'attachment; filename="{file_name(id)}"'}
        return Response(content, media_type="application/pdf", headers=headers)

    @routes.get("/recall.csv")
    def recall(
        id: Id, who: Annotated[Session, May(Action.EXPORT)], wanted: Annotated[Wanted, Depends()]
    ) -> StreamingResponse:
        hit = lot_recall.search(desk, id, wanted)
        if hit is None or hit.found is None:
            raise Refused(hit.why if hit else "say what is recalled")
        desk.record("export", {"what": "recall", **lot_recall.told(id, wanted)}, who.principal)
        headers = {"Content-Disposition": f'attachment; filename="recall-{file_name(id)[:-4]}.csv"'}
        return StreamingResponse(
            lot_recall.lines(desk, hit), media_type="text/csv; charset=utf-8", headers=headers
        )

    return routes


def _has_parts(desk: Desk, id: str) -> bool:
    with desk.history() as history:
        return batch_known(history, id) and history.batch(id).last_utc_ns > 0


def _read(desk: Desk, id: str) -> tuple[list[str], Lot | None]:
    """The newest batches, and the one that is asked for: the newest where none is."""
    try:
        with desk.history() as history, Batches(desk.data) as batches:
            known = [summary.id for summary in history.batches(50)]
            known += [p for p, _ in batches.planned(limit=20) if p not in known]
            id = id or next(iter(known), "")
            life = batches.life(history, desk.holds, id)
            if not id or life.state is None:
                return known, None
            facts = outline(history, id)
            made = history.batch(id)
            parts = facts.counts.total() + facts.others
            slices = max(2, min(SLICES, parts // PARTS_IN_SLICE))
            ends = made.first_utc_ns - MARGIN_NS, made.last_utc_ns + MARGIN_NS
            found = (
                period(history, made_when(history, id, *ends), slices, [id])
                if parts else None
            )  # fmt: skip
            begun = [c for c in changes_of(history, id) if c.action == "begin"]
            plan = batches.plan(id) or Plan()
            with Reviews(desk.data) as reviews, Genealogy(desk.data) as genealogy:
                seen = reviews.find(batch=id, limit=lot_panels.ROWS + 1)
                second = reviews.pending_in(id)
                held = any(
                    desk.holds.held_in(Run(stream, first, last))
                    for stream, (first, last, _) in facts.streams.items()
                )
                return known, Lot(
                    id, life, plan, begun[-1].recipe if begun else plan.recipe, facts, found, seen,
                    second, held, genealogy.materials_of(id), genealogy.units_of_batch(id),
                )  # fmt: skip
    except NoLedger:
        return [], None


def _chooser(shown: Shown, known: list[str], id: str) -> None:
    batches = typed(shown.word("batch"), "id", id, known)
    put(
        search_form(
            f"{DESK}{PATH}", [batches], shown.word("board.show"), _ways_on(shown, id), look=""
        )
    )


def _ways_on(shown: Shown, id: str) -> list[str]:
    """What else there is of this batch, on other pages and on paper."""
    asked = {"id": id, "zh": str(shown.language == "zh").lower()}
    ways = [
        (f"/desk/review?{urlencode({'batch': id})}", "review", "lot.review", Action.REVIEW, ""),
        (f"/desk/dashboards?{urlencode({'period': 'week', 'batch': id})}", "dashboard",
         "lot.board", Action.VIEW, ""),
        (f"/lot/report.pdf?{urlencode(asked)}", "export", "lot.pdf", Action.EXPORT, "download"),
    ]  # fmt: skip
    return [
        way(shown.word(word), name, to, more)
        for to, name, word, action, more in ways
        if id and shown.may(action)
    ]


def _head(shown: Shown, lot: Lot) -> None:
    facts, state = lot.facts, lot.life.state or State.CLOSED
    name = {"released": "ok", "running": "running", "on_hold": "hold", "rejected": "reject"}.get(
        state, "clock"
    )
    about = [
        ("product", facts.product or lot.plan.product), ("recipe", lot.recipe),
        *((shown.said(name), text) for name, text in facts.texts.items() if text),
        ("history.began", shown.moment(facts.began_ns, False) if facts.began_ns else ""),
        ("history.ended",
         shown.moment(facts.ended_ns, False) if facts.ended_ns and lot.life.ended else ""),
    ]  # fmt: skip
    rows = "".join(
        f"<div><dt>{html.escape(shown.word(name))}</dt><dd>{html.escape(value)}</dd></div>"
        for name, value in about
        if value
    )
    put(
        f'<section class="lot-head"><div><span class="life" data-life="{state}">'
        f"{sign(name)}{shown.word(f'life.{state}')}</span></div>"
        f"<p><b>{html.escape(lot.id)}</b> {shown.word(f'lot.state.{state}')}</p>"
        f'<dl class="about">{rows}</dl></section>'
    )
