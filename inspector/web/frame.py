"""The frame that every page stands in: navigation, person, language, look.

Enters: a page's function with its path, word, icon and the action that it takes. Leaves: the page,
framed and guarded; a row in the navigation for those who may see it. A NiceGUI page is one call of
`page` under ``/desk``; ``docs/pages.md`` shows one whole. Every room of pages imports this.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import Request
from nicegui import ui

from inspector.bus import BusError
from inspector.identity import MAY, Action, IdentityError, Principal, Role
from inspector.identity import authorise as _authorise
from inspector.store import StoreError
from inspector.web.access import NotSignedIn, Refused, session_of
from inspector.web.desk import Desk
from inspector.web.door import DESK
from inspector.web.said import label, said, script
from inspector.web.sessions import Sessions
from inspector.web.templates_of import ICONS, TEMPLATES, brought, theme_of
from inspector.web.words import WORDS, language_of


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the navigation."""

    path: str
    word: str
    """Key of its name in the catalogue."""
    icon: str
    """Symbol of ``icons.svg``, without ``i-``."""
    action: Action
    """Who may do this sees it."""


REFUSED = (IdentityError, StoreError, BusError, Refused, OSError)
"""What a page's button may run into; anything else is a fault of ours and in the log alone."""
READY_S = 60.0
"""A page may take so long: that of a batch in 170,000 cases takes some seconds, where NiceGUI gives
up after three."""
NAVIGATION: list[Entry] = [Entry("/", "nav.live", "live", Action.VIEW)]
"""In the order in which pages were made."""


def entries(principal: Principal | None) -> list[Entry]:
    """What ``principal`` may go to; who has not signed in sees all there is to sign in for."""
    if principal is None:
        return list(NAVIGATION)
    return [entry for entry in NAVIGATION if MAY[entry.action] & principal.roles]


def add_entry(entry: Entry) -> None:
    """Put a page into the navigation; a page of the same path gives way."""
    NAVIGATION[:] = [known for known in NAVIGATION if known.path != entry.path] + [entry]


@dataclass(frozen=True, slots=True)
class Shown:
    """A page as one person sees it."""

    desk: Desk
    sessions: Sessions
    request: Request
    language: str
    token: str

    def word(self, key: str, *values: object) -> str:
        """The word of the catalogue, with ``values`` in its places ``{0}`` …"""
        text = WORDS[self.language].get(key, key)
        for index, value in enumerate(values):
            text = text.replace(f"{{{index}}}", str(value))
        return text

    def said(self, text: str) -> str:
        """A label, reason or refusal of the record, in the page's language."""
        return label(self.language, text, self.desk.words(self.language))

    def why(self, error: object) -> str:
        """Why something was refused, in the page's language; what it names stays as it is."""
        return said(self.language, str(error), self.desk.words(self.language))

    def who(self, action: Action) -> Principal:
        """Who acts on this page now; ask before every action, for the page may be hours old.

        Raises ``NotSignedIn`` or ``Forbidden``.
        """
        session = self.sessions.find(self.token, touch=True)
        if session is None:
            raise NotSignedIn(self.word("refused.sign_in"))
        _authorise(session.principal, action)
        return session.principal

    def may(self, action: Action) -> bool:
        """Whether the person may do ``action``, to show a button or not."""
        session = self.sessions.find(self.token)
        return session is not None and bool(MAY[action] & session.principal.roles)

    def number(self, value: float | None, digits: int = 0) -> str:
        """A number as people write it in the page's language."""
        return "–" if value is None else f"{value:,.{digits}f}"

    def moment(self, utc_ns: int, seconds: bool = True) -> str:
        """A time in the station's time zone, as people write it in the page's language."""
        when = datetime.fromtimestamp(utc_ns / 1e9).astimezone()
        clock = f"{when:%H:%M:%S}" if seconds else f"{when:%H:%M}"
        if self.language == "zh":
            return f"{when.year}年{when.month}月{when.day}日 {clock}"
        return f"{when.day} {when:%b %Y} {clock}"


Build = Callable[..., Any]


def page(
    desk: Desk, sessions: Sessions, path: str, *, word: str, icon: str, action: Action,
    under: str = "",
) -> Callable[[Build], Build]:  # fmt: skip
    """A NiceGUI page at ``/desk`` + ``path`` for those who may do ``action``.

    The function takes a `Shown` first, then what FastAPI finds in the path and the query; it may be
    async. ``word`` names it in the navigation and heads it; a page ``under`` another one's path has
    no row of its own there.
    """

    def framed(build: Build) -> Build:
        signature = inspect.signature(build, eval_str=True)
        _, *rest = signature.parameters.values()

        async def around(request: Request, **given: Any) -> None:
            session = session_of(request, action)
            shown = Shown(desk, sessions, request, language_of(request), session.token)
            with _framed(shown, session.principal, under or DESK + path, word):
                result = build(shown, **given)
                if inspect.isawaitable(result):
                    await result

        first = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
        keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in rest]
        around.__signature__ = inspect.Signature([first, *keywords])  # type: ignore[attr-defined]
        around.__name__ = build.__name__
        around.needs = action  # type: ignore[attr-defined]
        ui.page(path, response_timeout=READY_S)(around)
        if not under:
            add_entry(Entry(DESK + path, word, icon, action))
        return build

    return framed


def lives(
    shown: Shown, name: str, words: Iterable[str], given: Mapping[str, Any], like: str = ""
) -> None:
    """A page that lives in the browser: the place of ``static/NAME.js``, with its ``NAME.css``, the
    ``words`` that it says and what else it is ``given``. It looks ``like`` another page too."""
    failed = [key for key in WORDS["en"] if key.startswith("failed.")]
    told = {key: WORDS[shown.language][key] for key in (*words, *failed, "sign_in.locked")}
    looks = [one for one in (like, name) if one]
    for look in looks:
        ui.add_head_html(f'<link rel="stylesheet" href="/static/{look}.css">')
    ui.add_body_html(
        script(shown.desk.station.recipes)
        + brought("given", {**given, "page": name, "words": told})
        + f'<script type="module" src="/static/{name}.js"></script>'
    )
    place = f'<div id="{name}" class="{" ".join(looks)}"></div>'
    ui.html(place, sanitize=False).classes("rows")


def masthead(
    language: str, principal: Principal | None, here: str, desk: Desk, heading: str = "",
    facts: bool = False,
) -> str:  # fmt: skip
    """The frame's own HTML, the same on every page."""
    return TEMPLATES.get_template("masthead.html").render(
        station=desk.station,
        language=language,
        words=WORDS[language],
        user=principal.id if principal else "",
        entries=entries(principal),
        here=here,
        heading=heading,
        facts=facts,
    )


def _framed(shown: Shown, principal: Principal, here: str, word: str) -> Any:
    theme = theme_of(shown.request)
    station = shown.desk.station.station
    ui.page_title(f"{station} · {shown.word(word)}")
    ui.dark_mode({"dark": True, "light": False}.get(theme))
    lang = "zh-Hans" if shown.language == "zh" else shown.language
    ui.add_head_html(
        f'<script>document.documentElement.lang = "{lang}";'
        + (f'document.documentElement.dataset.theme = "{theme}";' if theme else "")
        + "</script>"
        + "".join(
            f'<link rel="stylesheet" href="/static/{name}.css">'
            for name in ("tokens", "layout", "controls", "fields", "desk")
        )
        + '<script type="module" src="/static/frame.js"></script>'
    )
    frame = masthead(shown.language, principal, here, shown.desk, shown.word(word))
    ui.add_body_html(ICONS + frame)
    main = ui.element("main").classes("desk")
    client = ui.context.client
    client.page = copy(client.page)  # what NiceGUI says by itself, such as of a lost connection
    client.page.language = "zh-CN" if shown.language == "zh" else "en-GB"
    client.on_exception(lambda error: _tell(shown, main, error))
    return main


def _tell(shown: Shown, main: ui.element, error: Exception) -> None:
    """Say on the page what a button was refused; where it says so itself, nothing comes here."""
    if not isinstance(error, REFUSED):
        return
    for old in [one for one in main if "told" in one.classes]:
        old.delete()
    with main:
        said = ui.label(shown.why(error)).classes("note bad told").props('role="alert"')
    said.move(main, 0)


def roles_of(principal: Principal, word: Callable[[str], str]) -> str:
    """The roles of somebody in words."""
    return ", ".join(word(f"role.{role}") for role in sorted(principal.roles - {Role.SYSTEM}))
