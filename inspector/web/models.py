"""Models: what the centre offers, what is on this machine, which of them judges, how each did.

A person enters who activates or takes back; offers, releases with their parity and shadow figures,
parts judged otherwise in shadow leave, a signature, and the line's answer. Releases themselves are
known by ``inspector release list`` and ``offered``, which run as `errand`; only the line puts one
into service, and only one that holds on this machine (I7). `app` makes the page.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, HTTPException
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse
from nicegui import ui

from inspector.bus import BusError
from inspector.identity import Action, IdentityError
from inspector.store import StoreError
from inspector.store.pages import events_of
from inspector.store.signatures import Subject
from inspector.web import signing
from inspector.web.access import May, Refused
from inspector.web.controls import button, card, table
from inspector.web.desk import Desk
from inspector.web.errand import answer_of
from inspector.web.feed import Feed
from inspector.web.frame import Shown, page
from inspector.web.sessions import Session, Sessions

PATH = "/models"
MEANING = "meaning.responsible"
LOOK_S = 2.0
PATIENCE_S = 60.0
"""A release is proven on its parity set before the line answers."""
SEEN = frozenset({"champion", "waiting", "before", "shadow", "installed", "undone"})
OTHERWISE = 12
"""Parts that are pictured of those which a shadow judged otherwise."""
Digest = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{64}$")]


def build(desk: Desk, sessions: Sessions, feed: Feed) -> APIRouter:
    """The page ``/desk/models``, and the pictures of parts judged otherwise in shadow."""
    routes = APIRouter()

    @routes.get("/models/shadow/{digest}.jpg")
    def picture(
        digest: Digest, who: Annotated[Session, May(Action.INSTALL_RELEASE)]
    ) -> FileResponse:
        path = desk.data / "shadow" / f"{digest}.jpg"
        if not path.is_file():
            raise HTTPException(404)
        return FileResponse(path, headers={"Cache-Control": "private, max-age=86400"})

    @page(desk, sessions, PATH, word="nav.models", icon="model", action=Action.INSTALL_RELEASE)
    async def models(shown: Shown) -> None:
        ui.add_head_html('<link rel="stylesheet" href="/static/engineer.css">')
        with card(shown.word("models.runs")):
            lost = ui.label("").classes("note bad")
            now = ui.element("div").classes("group")
            wrong = ui.label("").classes("note bad").props('role="alert"')
        known: list[Any] = []

        async def look() -> None:
            status = feed.now
            lost.text = "" if status else shown.word("gate.lost")
            running = str(status.get("recipe") or (known[0] if known else ""))
            back = await anyio.to_thread.run_sync(_way_back, shown, running.partition("@")[0])
            if known != [running, back]:
                known[:] = running, back
                _runs(shown, now, running, back, wrong)

        await look()
        ui.timer(LOOK_S, look)
        offers = _card(shown, "models.offered")
        rows = _card(shown, "models.releases")

        async def fill() -> None:
            async with anyio.create_task_group() as both:
                both.start_soon(_fill, shown, offers, lambda: _told(desk), _offers)
                both.start_soon(
                    _fill, shown, rows, lambda: _releases(desk),
                    lambda shown, found: _installed(shown, found, wrong),
                )  # fmt: skip

        ui.timer(0.05, fill, once=True)  # a page that is not sent within 3 s is given up
        otherwise = await anyio.to_thread.run_sync(_otherwise, desk)
        with card(shown.word("models.otherwise")):
            if otherwise:
                ui.html(_parts(shown, otherwise), sanitize=False)
            else:
                ui.label(shown.word("models.otherwise.none")).classes("soft")
        with card(shown.word("models.past")):
            past = await anyio.to_thread.run_sync(_past, shown)
            if past:
                table(
                    [shown.word(f"models.past.{key}") for key in ("when", "who", "what", "why")],
                    past, caption=shown.word("models.past"), looks={0: "moment", 1: "strong"},
                )  # fmt: skip
            else:
                ui.label(shown.word("models.past.none")).classes("soft")

    return routes


def _runs(
    shown: Shown, now: ui.element, running: str, back: tuple[str, str] | None, wrong: ui.label
) -> None:
    """What judges, and the way back from it."""
    now.clear()
    with now:
        ui.html(f'<p class="large">{html.escape(running or "–")}</p>', sanitize=False)
        if back is None:
            ui.label(shown.word("models.rollback.none")).classes("soft")
            return
        word, title = back
        with ui.element("div").classes("ways"):
            button(
                shown.word(word, title), "back",
                lambda: _order(shown, wrong, {"do": "rollback"}, title),
            )  # fmt: skip


def _card(shown: Shown, word: str) -> ui.element:
    """A card whose rows come when their command has answered."""
    with card(shown.word(word)):
        rows = ui.element("div").classes("rows")
        with rows:
            ui.label(shown.word("models.looking")).classes("soft")
    return rows


async def _fill(shown: Shown, rows: ui.element, ask: Any, show: Any) -> None:
    try:
        found = await anyio.to_thread.run_sync(ask)
    except Refused as error:
        rows.clear()
        with rows:
            ui.label(shown.why(error)).classes("soft")
        return
    rows.clear()
    with rows:
        show(shown, found)


# --- what the centre offers ---


def _told(desk: Desk) -> dict[str, Any] | None:
    found: dict[str, Any] | None = answer_of(["release", "offered", str(desk.file), "--json"])
    return found


def _offers(shown: Shown, found: Mapping[str, Any] | None) -> None:
    plan = shown.desk.station.releases
    if not found:
        said = shown.word("models.offered.by_hand")
        if plan is not None and plan.source:
            said = shown.word("models.offered.never", plan.channel, plan.source)
        ui.label(said).classes("soft")
        return
    when = shown.moment(int(found["utc_ns"]))
    ui.label(shown.word("models.offered.asked", found["channel"], found["source"], when)).classes(
        "soft"
    )
    if found["why"]:
        ui.label(shown.why(found["why"])).classes("note bad")
    elif not found["offers"]:
        ui.label(shown.word("models.offered.nothing")).classes("soft")
    for one in found["offers"]:
        facts = [shown.word("models.number", one["number"]), shown.why(one["why"])]
        _row(shown, one["release"], f"offer.{one['state']}", facts)


# --- what is on this machine ---


def _installed(shown: Shown, found: Sequence[dict[str, Any]], wrong: ui.label) -> None:
    if not found:
        ui.label(shown.word("models.none")).classes("soft")
    for one in found:
        _release(shown, one, wrong)


def _release(shown: Shown, one: dict[str, Any], wrong: ui.label) -> None:
    stage = one["stage"] if one["stage"] in SEEN else "installed"
    tally, parity = one.get("tally") or {}, one.get("parity") or {}
    facts = [shown.word("models.number", one["number"])]
    if parity:
        facts.append(
            shown.word("models.parity", parity["parts"], shown.number(parity["p99_ms"], 1))
        )
    if tally:
        facts.append(
            shown.word(
                "models.shadow", tally["disagreed"], tally["judged"], tally.get("errors", 0),
                shown.number(tally.get("p99_ms"), 1),
            )
        )  # fmt: skip
    with ui.element("div").classes("release"):
        _row(shown, one["release"], f"stage.{stage}", facts, "span")
        if stage in ("champion", "waiting"):
            return
        for at in ("batch", "part"):
            order = {"do": "activate", "release": one["digest"], "at": at}
            button(
                shown.word(f"models.activate.{at}"), "start" if at == "part" else "clock",
                lambda order=order: _order(shown, wrong, order, one["release"]),
            )  # fmt: skip


def _row(shown: Shown, release: str, state: str, facts: Sequence[str], tag: str = "div") -> None:
    """A release, what it is doing, and what is known of it."""
    said = " · ".join(html.escape(fact) for fact in facts if fact)
    inner = (
        f"<span><b>{html.escape(release)}</b>"
        f'<span class="stage" data-stage="{html.escape(state.partition(".")[2])}">'
        f"{shown.word(f'models.{state}')}</span><span>{said}</span></span>"
    )
    if tag == "div":
        inner = f'<div class="release"><div>{inner}</div></div>'
    ui.html(inner, sanitize=False)


async def _order(shown: Shown, wrong: ui.label, order: dict[str, str], title: str) -> None:
    """Signed, then asked of the line."""
    desk = shown.desk
    shown.who(Action.INSTALL_RELEASE)
    what = shown.word(f"models.signs.{order['do']}", title)
    subject = Subject.of("release", title, dict(order))
    with wrong.parent_slot or wrong:  # the row that was touched may be drawn anew meanwhile
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
        wrong.text = shown.why(error)
        return
    if not answer.ok:
        wrong.text = shown.why(answer.error)
        return
    ui.navigate.to(PATH)


def _releases(desk: Desk) -> list[dict[str, Any]]:
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


# --- parts judged otherwise in shadow, and what was before ---


def _otherwise(desk: Desk) -> list[dict[str, Any]]:
    """The newest parts that a shadow judged otherwise, with the record's time."""
    try:
        with desk.history() as history:
            found = history.desk("shadow", OTHERWISE)
    except StoreError:
        return []
    return [dict(record.body) | {"utc_ns": record.utc_ns} for record in found]


def _parts(shown: Shown, found: Sequence[Mapping[str, Any]]) -> str:
    """A picture of each, and both verdicts."""
    cells = []
    for one in found:
        was, now = (shown.word(f"recipes.{one.get(key)}") for key in ("outcome", "shadow_outcome"))
        said = shown.word("models.otherwise.part", one.get("sequence"), was, now)
        why = "; ".join(shown.said(str(reason)) for reason in one.get("shadow_reasons") or ())
        image = next((i for i in one.get("images") or () if i.get("sha256")), None)
        source = f"/models/shadow/{image['sha256']}.jpg" if image else ""
        drawn = f'<img src="{html.escape(source)}" alt="" loading="lazy">' if image else ""
        cells.append(
            f"<figure>{drawn}<figcaption><b>{html.escape(said)}</b>"
            f"<span>{html.escape(str(one.get('release') or ''))}</span>"
            f"<span>{html.escape(why)}</span></figcaption></figure>"
        )
    return f'<div class="otherwise">{"".join(cells)}</div>'


def _way_back(shown: Shown, recipe: str) -> tuple[str, str] | None:
    """What a roll-back of ``recipe`` does, a word of the catalogue, and to which release; None
    where there is nothing to go back from."""
    try:
        with shown.desk.history() as history:
            told = [
                event for _, event in events_of(history, "release", "release_pending", limit=250)
                if event.body.get("recipe") == recipe
            ]  # fmt: skip
    except StoreError:
        return None
    if told and told[0].kind == "release_pending" and told[0].body.get("digest"):
        return "models.withdraw", str(told[0].body.get("release"))
    changes = [event for event in told if event.kind == "release"]
    chain = list(changes[0].body.get("chain", ())) if changes else []
    if len(chain) < 2:
        return None
    names = {e.body.get("digest"): str(e.body.get("release") or "") for e in changes}
    return "models.rollback", names.get(chain[-2]) or shown.word("models.base")


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
