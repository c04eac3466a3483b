"""The audit trail: who did what. A search enters; a page of deeds leaves, and a file of them.

`app` makes the page. The trail itself is `inspector.store.audit`.
"""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

import anyio.to_thread
from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from nicegui import ui

from inspector.identity import Action
from inspector.store.audit import DESK as OF_DESK
from inspector.store.audit import Asked, Deed, Page, kinds, trail
from inspector.store.export import harmless
from inspector.store.readable import iso_utc
from inspector.web import days
from inspector.web.access import May
from inspector.web.controls import button, choice, field, put, search_form, table, way
from inspector.web.desk import Desk
from inspector.web.door import DESK
from inspector.web.frame import Shown, page
from inspector.web.moments import moment_of
from inspector.web.sessions import Session, Sessions
from inspector.web.words_deeds import CHOSEN, NAMES_ZH

PATH = "/audit"
ROWS = 100
_DIGEST = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{24,}\b")
"""Digests and ids, of which people compare the beginning; the file has them whole."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for, as the address says it."""

    who: str = ""
    what: str = ""
    text: str = ""
    since: str = ""
    """A day, as is ``until``."""
    until: str = ""
    all: bool = False
    """Also what no person did."""

    def asked(self) -> Asked:
        """The same in the store's words."""
        return Asked(
            who=self.who.strip(),
            what=self.what,
            text=self.text,
            from_ns=moment_of(self.since) or 0,
            to_ns=moment_of(self.until, 1) or Asked().to_ns,
            people=not self.all,
        )


def build(desk: Desk, sessions: Sessions) -> APIRouter:
    """The page ``/desk/audit`` and the file ``/audit.csv``; a `Query` means the same in both."""

    @page(desk, sessions, PATH, word="nav.audit", icon="audit", action=Action.READ_AUDIT)
    async def audit(shown: Shown, query: Annotated[Query, Depends()]) -> None:
        asked = query.asked()
        known = await anyio.to_thread.run_sync(kinds, desk.data)
        found = await anyio.to_thread.run_sync(lambda: trail(desk.data, asked, limit=ROWS))
        _search(shown, query, known)
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
        query: Annotated[Query, Depends()],
    ) -> StreamingResponse:
        body = asdict(query) | {"what": "audit", "kind": query.what}
        desk.record("export", body, session.principal)
        name = f"audit-{desk.station.station}-{datetime.now().astimezone():%Y%m%d-%H%M}.csv"
        return StreamingResponse(
            _csv(desk, query.asked()),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    return routes


def _search(shown: Shown, query: Query, known: tuple[str, ...]) -> None:
    def typed(word: str, name: str) -> str:
        value = html.escape(getattr(query, name))
        return field(shown.word(word), f'<input type="search" name="{name}" value="{value}">')

    fields = [
        typed("audit.who", "who"),
        choice(shown.word("audit.what"), "what", query.what,
               [("", "–"), *((kind, _did(shown, kind)) for kind in known)]),
        typed("audit.text", "text"),
        days.field(shown, shown.word("audit.from"), "since", query.since),
        days.field(shown, shown.word("audit.to"), "until", query.until),
        '<label class="field check"><input type="checkbox" name="all" value="1"'
        f"{' checked' if query.all else ''}><span>{shown.word('audit.all')}</span></label>",
    ]  # fmt: skip
    ways = []
    if shown.may(Action.EXPORT):
        file = f"/audit.csv?{urlencode(asdict(query))}"
        ways.append(way(shown.word("export"), "export", file, "download"))
    put(search_form(f"{DESK}{PATH}", fields, shown.word("search"), ways))


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
                _DIGEST.sub(r"\1…", _details(shown, deed)),
                shown.word("audit.desk" if deed.ledger == OF_DESK else "audit.line", deed.position),
            )
            for deed in deeds
        ],
        shown.word("audit"),
        {0: "moment", 1: "strong", 2: "phrase", 4: "number"},
    )


def _details(shown: Shown, deed: Deed) -> str:
    """The details in the page's language: their names, and what is one of a few words; what people
    and machines have named or written stays as it is."""
    if shown.language != "zh":
        return deed.text
    return "，".join(
        f"{NAMES_ZH.get(name, name)} {shown.said(text) if name in CHOSEN else text}"
        for name, text in deed.told
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
