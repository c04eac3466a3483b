"""The audit trail: who did what. A search enters; a page of deeds leaves, and a file of them.

`app` makes the page. The trail itself is `inspector.store.audit`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

import anyio.to_thread
from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from nicegui import ui

from inspector.identity import Action
from inspector.store.audit import DESK, Asked, Deed, Page, kinds, trail
from inspector.store.export import harmless
from inspector.store.readable import iso_utc
from inspector.web import days
from inspector.web.access import May
from inspector.web.desk import Desk
from inspector.web.frame import Shown, button, icon, page, table
from inspector.web.moments import moment_of
from inspector.web.sessions import Session, Sessions

PATH = "/audit"
ROWS = 100
_DIGEST = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{24,}\b")
"""Digests and ids, of which people compare the beginning; the file has them whole."""


def build(desk: Desk, sessions: Sessions) -> APIRouter:
    """The page ``/desk/audit`` and the file ``/audit.csv``; the same query means the same in both:
    ``who``, ``what``, ``text``, ``since``, ``until`` (days), ``all``: also what no person did."""

    @page(desk, sessions, PATH, word="nav.audit", icon="audit", action=Action.READ_AUDIT)
    async def audit(
        shown: Shown, who: str = "", what: str = "", text: str = "", since: str = "",
        until: str = "", all: bool = False,
    ) -> None:  # fmt: skip
        asked = _asked(who, what, text, since, until, not all)
        known = await anyio.to_thread.run_sync(kinds, desk.data)
        found = await anyio.to_thread.run_sync(lambda: trail(desk.data, asked, limit=ROWS))
        query = {"who": who, "what": what, "text": text, "since": since, "until": until}
        _search(shown, query, all, known)
        rows = ui.element("div").classes("rows")
        more = ui.element("div").classes("more")

        def show(found: Page) -> None:
            if found.deeds or found.before is None:
                with rows:
                    _table(shown, found.deeds)
            more.clear()
            if found.before is not None:
                with more:
                    if not found.deeds:  # it has looked as far back as an answer may take
                        ui.label(shown.word("audit.none_yet"))
                    button(shown.word("older"), "next", lambda: older(found.before))

        async def older(before: tuple[int, int] | None) -> None:
            shown.who(Action.READ_AUDIT)
            show(
                await anyio.to_thread.run_sync(
                    lambda: trail(desk.data, asked, before=before, limit=ROWS)
                )
            )

        show(found)

    routes = APIRouter()

    @routes.get("/audit.csv")
    def export(
        session: Annotated[Session, May(Action.READ_AUDIT)],
        allowed: Annotated[Session, May(Action.EXPORT)],
        who: str = "", what: str = "", text: str = "", since: str = "", until: str = "",
        all: bool = False,
    ) -> StreamingResponse:  # fmt: skip
        asked = _asked(who, what, text, since, until, not all)
        body = {
            "what": "audit", "who": who, "kind": what, "text": text, "since": since,
            "until": until, "all": all,
        }  # fmt: skip
        desk.record("export", body, session.principal)
        name = f"audit-{desk.station.station}-{datetime.now().astimezone():%Y%m%d-%H%M}.csv"
        return StreamingResponse(
            _csv(desk, asked),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    return routes


def _asked(who: str, what: str, text: str, since: str, until: str, people: bool) -> Asked:
    return Asked(
        who=who.strip(),
        what=what,
        text=text,
        from_ns=moment_of(since) or 0,
        to_ns=moment_of(until, 1) or Asked().to_ns,
        people=people,
    )


def _search(shown: Shown, query: dict[str, str], all: bool, known: tuple[str, ...]) -> None:
    """A plain form: what is looked for stands in the address, so that it can be sent on."""
    with ui.element("form").classes("search").props(f'method="get" action="/desk{PATH}"'):
        _field(shown, "audit.who", "who", query["who"])
        with ui.element("label").classes("field"):
            ui.html(f"<span>{shown.word('audit.what')}</span>", sanitize=False)
            with ui.element("select").props('name="what"'):
                for kind in ("", *known):
                    chosen = " selected" if kind == query["what"] else ""
                    option = ui.element("option").props(f'value="{kind}"{chosen}')
                    with option:
                        ui.html(_did(shown, kind) if kind else "–", tag="span", sanitize=True)
        _field(shown, "audit.text", "text", query["text"])
        for word, name in (("audit.from", "since"), ("audit.to", "until")):
            days.put(shown, shown.word(word), name, query[name])
        with ui.element("label").classes("field check"):
            box = ui.element("input")
            box._props |= {"type": "checkbox", "name": "all", "value": "1"}
            if all:
                box._props["checked"] = True
            ui.html(f"<span>{shown.word('audit.all')}</span>", sanitize=False)
        with ui.element("button").classes("button main").props('type="submit"'):
            icon("search")
            ui.html(f"<span>{shown.word('search')}</span>", sanitize=False)
        if shown.may(Action.EXPORT):
            link = "/audit.csv?" + urlencode(query | {"all": str(all).lower()})
            with ui.element("a").classes("button").props(f'href="{link}" download'):
                icon("export")
                ui.html(f"<span>{shown.word('export')}</span>", sanitize=False)


def _field(shown: Shown, word: str, name: str, value: str, kind: str = "search") -> None:
    with ui.element("label").classes("field"):
        ui.html(f"<span>{shown.word(word)}</span>", sanitize=False)
        field = ui.element("input")
        field._props |= {"type": kind, "name": name, "value": value}


def _table(shown: Shown, deeds: tuple[Deed, ...]) -> None:
    if not deeds:
        ui.html(f'<p class="empty">{shown.word("none")}</p>', sanitize=False)
        return
    heads = ("audit.when", "audit.who", "audit.what", "audit.details", "audit.where")
    table(
        [shown.word(head) for head in heads],
        [
            (
                shown.moment(deed.utc_ns),
                deed.principal,
                _did(shown, deed.what),
                _DIGEST.sub(r"\1…", deed.text),
                shown.word("audit.desk" if deed.ledger == DESK else "audit.line", deed.position),
            )
            for deed in deeds
        ],
        shown.word("audit"),
        {0: "moment", 1: "strong", 2: "phrase", 4: "number"},
    )


def _did(shown: Shown, what: str) -> str:
    key = f"did.{what}"
    said = shown.word(key)
    return what.replace("_", " ") if said == key else said


def _csv(desk: Desk, asked: Asked) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)

    def written(row: tuple[object, ...]) -> str:
        line.seek(0)
        line.truncate()
        writer.writerow([harmless(str(cell)) for cell in row])
        return line.getvalue()

    # the mark by which a spreadsheet knows UTF-8
    yield "\ufeff" + written(("utc", "person", "what", "details", "ledger", "position"))
    before: tuple[int, int] | None = None
    while True:  # to the end, for a file that is cut looks whole; who has enough breaks it off
        found = trail(desk.data, asked, before=before, limit=1000)
        for deed in found.deeds:
            yield written(
                (iso_utc(deed.utc_ns), deed.principal, deed.what, deed.text, deed.ledger,
                 deed.position)
            )  # fmt: skip
        if found.before is None:
            return
        before = found.before
