"""Dashboards: a period and filters enter by the address; yield, Pareto, control chart, defect map,
scores and latency leave. The big screen shows the same panels one after the other.

`app` makes the pages. Figures come from `inspector.store.figures`, limits and rules from
`inspector.quality`, pictures of figures from `charts`.
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from typing import Annotated
from urllib.parse import urlencode

import anyio.to_thread
import cv2
from fastapi import Depends
from nicegui import ui
from pydantic import AfterValidator

from inspector.identity import Action
from inspector.part import Mode
from inspector.store import NoLedger
from inspector.store.figures import (
    Period,
    faulty,
    latencies_ms,
    pareto,
    period,
    sample,
    scores,
)
from inspector.store.query import History
from inspector.web import charts, days, panels
from inspector.web.controls import choice, put, search_form, typed, way
from inspector.web.desk import Desk
from inspector.web.door import DESK
from inspector.web.frame import Shown, page
from inspector.web.moments import moment_of
from inspector.web.panels import legend, none, panel
from inspector.web.pictures import address
from inspector.web.sessions import Sessions

PATH, WALL = "/dashboards", "/wall"
FROM = "from"
"""The period that days of its own bound: of no other one they say anything."""
PERIODS = ("hour", "shift", "day", "week", FROM)
SLICES = 48
CHANGES = 1000
"""Beginnings and ends of batches among which products are looked for; each costs some 30 µs."""
EVERY = 1 << 30
"""All of them, where the figures of one product are asked for."""
TURN_S = 12.0
"""How long the big screen shows a panel; it reads the ledger anew at each turn."""
SCORED_MAX = 4
"""Labels whose scores are drawn: those with the most that is not in order first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is shown: the same names as in the address."""

    period: str = "shift"
    since: str = ""
    until: str = ""
    product: str = ""
    shift: str = ""
    batch: Annotated[str, AfterValidator(str.strip)] = ""
    view: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What can be chosen."""

    batches: tuple[str, ...] = ()
    """The newest ones, newest first."""
    products: tuple[str, ...] = ()
    """What has been made here, the newest first."""


@dataclass(slots=True)
class Board:
    """All that the panels show."""

    found: Period
    pareto: tuple[tuple[str, int], ...]
    places: list[tuple[float, float]]
    picture: str
    size: tuple[int, int]
    view: str
    scores: dict[str, tuple[list[float], list[float]]]
    latencies: list[float]


Draw = Callable[[Shown, Board], str]


def build(desk: Desk, sessions: Sessions) -> None:
    """The pages ``/desk/dashboards`` and ``/desk/wall``."""

    @page(desk, sessions, PATH, word="nav.dashboards", icon="dashboard", action=Action.VIEW)
    async def dashboards(shown: Shown, asked: Annotated[Asked, Depends()]) -> None:
        _style()
        known, board = await anyio.to_thread.run_sync(lambda: _read(desk, asked))
        _filters(shown, asked, known)
        _draw(shown, asked, board, PANELS)

    @page(
        desk, sessions, WALL, word="nav.wall", icon="fit", action=Action.VIEW,
        under=f"{DESK}{PATH}",
    )  # fmt: skip
    async def wall(shown: Shown, asked: Annotated[Asked, Depends()]) -> None:
        _style()
        turns = cycle(PANELS)
        screen = ui.element("div").classes("wall rows")

        async def turn() -> None:
            shown.who(Action.VIEW)
            _, board = await anyio.to_thread.run_sync(lambda: _read(desk, asked))
            panel = next(turns)
            screen.clear()
            with screen:
                if _draw(shown, asked, board, [panel]):
                    as_of = shown.word("board.as_of", shown.moment(time.time_ns()))
                    ui.label(as_of).classes("as-of")

        await turn()
        ui.timer(TURN_S, turn, immediate=False)


def span_of(desk: Desk, asked: Asked, now_ns: int) -> tuple[int, int]:
    """From when to when, in UTC ns; a period that there is not is taken as the last hour, days that
    are none as no time at all."""
    calendar = desk.station.calendar
    hour = 3_600_000_000_000
    if asked.period == "week":
        return now_ns - 7 * 24 * hour, now_ns
    if asked.period == "day":
        return calendar.day_began(now_ns), now_ns
    if asked.period == "shift":
        return calendar.shift_began(now_ns), now_ns
    if asked.period == FROM:
        since = moment_of(asked.since)
        begin = now_ns if since is None else since
        return begin, max(begin, min(now_ns, moment_of(asked.until, 1) or now_ns))
    return now_ns - hour, now_ns


def _draw(shown: Shown, asked: Asked, board: Board | None, draws: Sequence[Draw]) -> bool:
    """The figures and some of the panels; whether there were any parts."""
    if board is None or not board.found.parts:
        needed = asked.period == FROM and moment_of(asked.since) is None
        why = shown.word("board.since.needed" if needed else "board.none")
        ui.html(f'<p class="empty">{why}</p>', sanitize=False)
        return False
    put(_tiles(shown, board))
    with ui.element("div").classes("board"):
        for draw in draws:
            put(draw(shown, board))
    return True


def _read(desk: Desk, asked: Asked) -> tuple[Known, Board | None]:
    """What can be chosen, and the board; None where no line has run here."""
    try:
        with desk.history() as history:
            made = _made(history, EVERY if asked.product else CHANGES)
            batches = tuple(b.id for b in history.batches(30))
            known = Known(batches, tuple(dict.fromkeys(filter(None, made.values()))))
            return known, _board(desk, history, asked, made)
    except NoLedger:
        return Known(), None


def _made(history: History, limit: int) -> dict[str, str]:
    """The product of each of the newest batches, the newest first."""
    changes = history.batch_changes(limit)
    return {c.id: c.product for c in reversed(changes) if c.action == "begin"}


def _board(desk: Desk, history: History, asked: Asked, made: Mapping[str, str]) -> Board:
    span = span_of(desk, asked, time.time_ns())
    stretches = desk.station.calendar.stretches(asked.shift, *span) if asked.shift else [span]
    batches = [asked.batch] if asked.batch else None
    if asked.product:
        mine = [batch for batch, product in made.items() if product == asked.product]
        batches = [b for b in mine if asked.batch in ("", b)]
    found = period(history, stretches, SLICES, batches, asked.view)
    view = asked.view or desk.station.cameras[0].name
    bad = faulty(history, found.spans)
    places = [
        ((f.box[0] + f.box[2]) / 2, (f.box[1] + f.box[3]) / 2)
        for verdict in bad
        if verdict.mode is Mode.AUTO
        for f in verdict.findings
        if not f.ok and f.box is not None and f.view == view
    ]
    looked = sample(history, found)
    once = {verdict.part_id: verdict for verdict in (*looked, *bad)}
    picture, size = _picture(desk, history, found, view)
    return Board(
        found,
        pareto(history, found.spans, asked.view),
        places,
        picture,
        size,
        view,
        scores(list(once.values()), asked.view),
        latencies_ms(looked),
    )


def _picture(desk: Desk, history: History, found: Period, view: str) -> tuple[str, tuple[int, int]]:
    """The newest kept picture of a view in the period, and its size in pixels."""
    newest = found.spans[-1][1] if found.spans else -1
    for part in history.last(200, faulty=True, before=newest + 1):
        if not any(first <= part.position <= last for first, last in found.spans):
            continue
        image = next((i for i in part.images if i.view == view), None)
        where = image and address(part, view)
        pixels = cv2.imread(str(desk.data / image.path)) if image else None
        if where and pixels is not None:
            return where, (int(pixels.shape[1]), int(pixels.shape[0]))
    return "", (0, 0)


def _filters(shown: Shown, asked: Asked, known: Known) -> None:
    station = shown.desk.station
    if asked.period != FROM:
        asked = replace(asked, since="", until="")
    periods = [(name, shown.word(f"board.period.{name}")) for name in PERIODS]
    fields = [
        choice(shown.word("board.period"), "period", asked.period, periods, f'data-days="{FROM}"'),
        *(
            days.field(shown, shown.word(f"board.{name}"), name, value)
            for name, value in (("since", asked.since), ("until", asked.until))
        ),
    ]
    for name, value, options in (
        ("shift", asked.shift, list(station.calendar.shifts)),
        ("product", asked.product, list(known.products)),
        ("view", asked.view, [camera.name for camera in station.cameras]),
    ):
        if not options and not value:
            continue
        said = [(one, one) for one in ([] if value in ("", *options) else [value]) + options]
        every = ("", shown.word(f"board.{name}.all"))
        fields.append(choice(shown.word(f"board.{name}"), name, value, [every, *said]))
    every = shown.word("board.batch.all")
    fields.append(typed(shown.word("batch"), "batch", asked.batch, known.batches, every))
    chosen = {name: value for name, value in asdict(asked).items() if value}
    ways = [way(shown.word("nav.wall"), "fit", f"{DESK}{WALL}?{urlencode(chosen)}")]
    if asked.batch:
        batch = f"{DESK}/batch?{urlencode({'id': asked.batch})}"
        ways.append(way(shown.word("lot.all"), "batches", batch))
    put(search_form(f"{DESK}{PATH}", fields, shown.word("board.show"), ways))


def _tiles(shown: Shown, board: Board) -> str:
    found = board.found
    judged = found.parts - found.unseen
    good = judged - found.rejected - found.errors
    worst = board.pareto[0] if board.pareto else None
    tiles = [
        (f"{found.parts:,}", "board.parts"),
        (f"{good / judged:.2%}" if judged else "–", "board.yield"),
        (f"{found.rejected:,}", "board.rejected"),
        (f"{found.errors:,}", "board.errors"),
        (shown.said(worst[0]) if worst else "–", "board.worst"),
    ]
    return panels.tiles(shown, tiles)


def _heat(shown: Shown, board: Board) -> str:
    title = shown.word("board.heat", board.view)
    if not board.picture:
        return panel(title, none(shown, "board.no_picture"), "narrow")
    return panel(title, charts.heat(board.places, board.size, board.picture, title), "narrow")


def _scores(shown: Shown, board: Board) -> str:
    found = sorted(board.scores.items(), key=lambda item: (-len(item[1][1]), -len(item[1][0])))
    titled = [(shown.word("board.scores", shown.said(label)), both) for label, both in found]
    drawn = "".join(
        f"<div><h2>{html.escape(title)}</h2>"
        + charts.histogram((("pass", good), ("reject", bad)), 0.0, 1.0, title, height=140)
        + "</div>"
        for title, (good, bad) in titled[:SCORED_MAX]
    )
    key = legend(shown, (("pass", "board.good"), ("reject", "board.bad")))
    inner = f'<div class="pair">{drawn}</div>' if drawn else none(shown, "board.none")
    return panel("", inner, "wide", key)


def _latency(shown: Shown, board: Board) -> str:
    title = shown.word("board.latency", len(board.latencies))
    if not board.latencies:
        return panel(title, none(shown, "board.none"), "narrow")
    ordered = sorted(board.latencies)
    high = charts.round_up(max(20.0, ordered[int(len(ordered) * 0.99)] * 1.1))
    drawn = charts.histogram((("plain", ordered),), 0.0, high, title, unit=" ms", height=290)
    return panel(title, drawn, "narrow")


PANELS: tuple[Draw, ...] = (
    lambda shown, board: panels.over_time(shown, board.found),
    lambda shown, board: panels.pareto(shown, board.pareto),
    lambda shown, board: panels.control(shown, board.found),
    _heat, _scores, _latency,
)  # fmt: skip


def _style() -> None:
    ui.add_head_html('<link rel="stylesheet" href="/static/charts.css">')
