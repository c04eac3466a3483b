"""Models: which releases are on this machine, which of them judges, what they did in shadow.

A person enters who activates or takes back; releases with their parity and shadow figures leave, a
signature, and the line's answer. Releases themselves are known by ``inspector release list``, which
runs as an `errand`; only the line puts one into service, and only one that holds on this machine
(I7). `app` makes the page.
"""

from __future__ import annotations

import html
from typing import Any

import anyio.to_thread
from nicegui import ui

from inspector.bus import BusError
from inspector.identity import Action, IdentityError
from inspector.store import StoreError
from inspector.store.signatures import Subject
from inspector.web import signing
from inspector.web.access import Refused
from inspector.web.desk import Desk
from inspector.web.errand import answer_of
from inspector.web.feed import Feed
from inspector.web.frame import Shown, button, page, table
from inspector.web.sessions import Sessions

PATH = "/models"
MEANING = "meaning.responsible"
PATIENCE_S = 60.0
"""A release is proven on its parity set before the line answers."""
SEEN = frozenset({"champion", "waiting", "before", "shadow", "installed", "undone"})


def build(desk: Desk, sessions: Sessions, feed: Feed) -> None:
    """The page ``/desk/models``."""

    @page(desk, sessions, PATH, word="nav.models", icon="model", action=Action.INSTALL_RELEASE)
    async def models(shown: Shown) -> None:
        ui.add_head_html('<link rel="stylesheet" href="/static/engineer.css">')
        status = feed.status if desk.alive() else {}
        running = str(status.get("recipe") or "–")

        async def back() -> None:
            await _order(shown, wrong, {"do": "rollback"})

        with ui.element("section").classes("card group"):
            ui.html(f"<h2>{shown.word('models.runs')}</h2>", sanitize=False)
            ui.html(f'<p class="large">{html.escape(running)}</p>', sanitize=False)
            wrong = ui.label("").classes("note bad").props('role="alert"')
            with ui.element("div").classes("ways"):
                button(shown.word("models.rollback"), "back", back)
        with ui.element("section").classes("card group"):
            ui.html(f"<h2>{shown.word('models.releases')}</h2>", sanitize=False)
            rows = ui.element("div").classes("rows")
            with rows:
                ui.label(shown.word("models.looking")).classes("soft")

        async def fill() -> None:
            try:
                found = await anyio.to_thread.run_sync(_releases, desk)
            except Refused as error:
                found, why = [], str(error)
            else:
                why = shown.word("models.none")
            rows.clear()
            with rows:
                if not found:
                    ui.label(why).classes("soft")
                for one in found:
                    _release(shown, one, wrong)

        ui.timer(0.05, fill, once=True)  # a page that is not sent within 3 s is given up
        with ui.element("section").classes("card group"):
            ui.html(f"<h2>{shown.word('models.past')}</h2>", sanitize=False)
            past = await anyio.to_thread.run_sync(_past, shown)
            if past:
                table(
                    [shown.word(f"models.past.{key}") for key in ("when", "who", "what", "why")],
                    past, caption=shown.word("models.past"), looks={0: "moment", 1: "strong"},
                )  # fmt: skip
            else:
                ui.label(shown.word("models.past.none")).classes("soft")


def _release(shown: Shown, one: dict[str, Any], wrong: ui.label) -> None:
    stage = one["stage"] if one["stage"] in SEEN else "installed"
    tally, parity = one.get("tally") or {}, one.get("parity") or {}
    facts = [shown.word("models.number", one["number"])]
    if parity:
        facts.append(
            shown.word("models.parity", parity["parts"], shown.number(parity["p99_ms"], 1))
        )
    if tally:
        facts.append(shown.word("models.shadow", tally["disagreed"], tally["judged"]))
    with ui.element("div").classes("release"):
        ui.html(
            f"<span><b>{html.escape(one['release'])}</b>"
            f'<span class="stage" data-stage="{stage}">{shown.word(f"models.stage.{stage}")}</span>'
            f"<span>{html.escape(' · '.join(facts))}</span></span>",
            sanitize=False,
        )
        if stage in ("champion", "waiting"):
            return
        for at in ("batch", "part"):
            order = {"do": "activate", "release": one["digest"], "at": at}
            button(
                shown.word(f"models.activate.{at}"), "start" if at == "part" else "clock",
                lambda order=order: _order(shown, wrong, order, one),
            )  # fmt: skip


async def _order(
    shown: Shown, wrong: ui.label, order: dict[str, str],
    release: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Signed, then asked of the line."""
    desk = shown.desk
    shown.who(Action.INSTALL_RELEASE)
    title = release["release"] if release else shown.word("models.before")
    what = shown.word("models.signs.activate" if release else "models.signs.rollback", title)
    subject = Subject.of("release", title, dict(order))
    signature = await signing.ask(shown, subject, MEANING, Action.INSTALL_RELEASE, what)
    if signature is None:
        return
    wrong.text = shown.word("models.working")
    args = order | {"why": f"signed by {signature.name}, desk record {signature.position}"}
    try:
        who = shown.who(Action.INSTALL_RELEASE)
        answer = await anyio.to_thread.run_sync(
            lambda: desk.ask(Action.INSTALL_RELEASE, args, who, PATIENCE_S)
        )
    except (BusError, IdentityError, StoreError) as error:
        wrong.text = str(error)
        return
    if not answer.ok:
        wrong.text = answer.error
        return
    ui.navigate.to(PATH)


def _releases(desk: Desk) -> list[dict[str, Any]]:
    if desk.file is None:
        raise Refused("the pages do not know the station's file; start them by `inspector run`")
    rows: list[dict[str, Any]] = answer_of(["release", "list", str(desk.file), "--json"])
    parity: dict[str, dict[str, Any]] = {}
    try:
        with desk.history() as history:
            for record in history.desk("release", 500):
                body = record.body
                if body.get("do") == "installed":
                    figures = {"parts": body["parity_parts"], "p99_ms": body["p99_ms"]}
                    parity.setdefault(str(body["digest"]), figures)
    except StoreError:
        pass  # no line has run here yet; the releases are shown without their figures
    return [row | {"parity": parity.get(row["digest"])} for row in reversed(rows)]


def _past(shown: Shown) -> list[list[str]]:
    """The newest changes, as the line recorded them."""
    try:
        with shown.desk.history() as history:
            events = history.events("release", 30)
    except StoreError:
        return []
    return [
        [
            shown.moment(event.utc_ns), event.principal,
            str(event.body.get("release") or shown.word("models.base")),
            str(event.body.get("why") or ""),
        ]
        for event in events
    ]  # fmt: skip
