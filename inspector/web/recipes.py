"""The recipe editor: ROIs drawn on kept pictures, limits tuned, the newest parts judged again.

A recipe's name enters by the address; its tools, pictures and versions leave, and a draft that
somebody else signs. ``static/recipes.js`` is the page's life, `recipetext` knows the file, and what
needs the tools is an `errand`: ``inspector recipe check``, ``retry``, ``step`` and ``adopt``. What
is added is made from a good part's kept picture, so that it is right for it from the beginning.
`app` makes the page. What was signed alone goes into service (I7).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, Request
from nicegui import ui
from pydantic import BaseModel, Field

from inspector.identity import Action
from inspector.part import PartId
from inspector.web import drafts, recipetext, revisions, settings
from inspector.web.access import May, Refused, told
from inspector.web.desk import Desk
from inspector.web.drafts import Name
from inspector.web.errand import Errand, answer_of
from inspector.web.frame import Shown, lives, page
from inspector.web.pictures import pictures_of
from inspector.web.said import label
from inspector.web.sessions import Session, Sessions
from inspector.web.words import language_of
from inspector.web.words_recipes import EN

PATH = "/recipes"
FLIPS_MAX = 120
LAST = 500
NO_MORE: Mapping[str, Any] = MappingProxyType({})
LEADS = frozenset({"align", "illumination"})
"""Kinds of which a new tool comes first: others follow it, or are worth nothing without it."""


class Change(BaseModel):
    """One number or ROI, put where it stands in the file."""

    place: list[str | int] = Field(min_length=3, max_length=12)
    value: bool | float | tuple[int, int, int, int]
    new: bool = False
    """Whether the text leaves it unsaid so far."""
    whole: list[float] = Field([], max_length=4)
    """The row of defaults in which a new number stands."""


class Given(BaseModel):
    """What a person has changed, of which text."""

    base: str = Field(pattern=r"^[0-9a-f]{64}$")
    changes: list[Change] = Field(max_length=500)


class Again(Given):
    """… and on how many parts it is tried."""

    last: int = Field(LAST, ge=1, le=10_000)


class Added(Given):
    """… and a tool that looks at a place of a good part's picture for what it will expect."""

    kind: str = Field(pattern=r"^[a-z]{2,20}$")
    tool: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    view: str = Field(max_length=64)
    roi: tuple[int, int, int, int]
    part: UUID
    model: str = Field("", pattern=r"^$|^[a-z0-9._-]+/[a-z0-9._-]+$")
    follow: str = Field("", pattern=r"^$|^[a-z][a-z0-9_-]{0,62}$")
    """The `align` step that finds the part; the ROI is then on its golden picture."""


class Removed(Given):
    """… and a tool that goes."""

    tool: str = Field(max_length=64)


class Trying:
    """The newest parts judged by what is being changed: one recipe at a time, the newest wish."""

    def __init__(self) -> None:
        self._errand: Errand | None = None
        self._said: dict[str, Any] = {}
        self._turn = 0
        self._beginning = threading.Lock()

    def begin(self, words: Sequence[str]) -> dict[str, Any]:
        """Let go of what was being tried, and try this; its ``turn`` is what `now` is asked by."""
        with self._beginning:
            if self._errand is not None:
                self._errand.stop()
            self._turn += 1
            said: dict[str, Any] = {"turn": self._turn, "flips": []}

            def heard(row: dict[str, Any]) -> None:
                flip = row.get("flip")
                if flip is None:
                    said.update(row.get("summary", row))
                elif len(said["flips"]) < FLIPS_MAX:
                    said["flips"].append(flip)

            self._said = said
            self._errand = Errand(words, heard)
            return said | {"running": True, "error": ""}

    def now(self, turn: int) -> dict[str, Any]:
        """How far it is, and what it found. Raises ``Refused`` where another one is tried since:
        what that finds is no word about this one."""
        if self._errand is None or turn != self._turn:
            raise Refused("another change is being tried since; try yours again")
        return self._said | {"running": self._errand.running, "error": self._errand.error}


def build(desk: Desk, sessions: Sessions) -> APIRouter:
    """The page ``/desk/recipes`` and the routes that feed it."""
    station = desk.station
    trying = Trying()
    routes = APIRouter(prefix="/recipes")

    @page(desk, sessions, PATH, word="nav.recipes", icon="recipe", action=Action.READ_AUDIT)
    async def recipes(shown: Shown, recipe: str = "", against: str = "") -> None:
        known = await anyio.to_thread.run_sync(drafts.names_of, station)
        name = recipe if recipe in known else next(iter(known), "")
        if not name:
            ui.html(f'<p class="empty">{shown.word("recipes.none")}</p>', sanitize=False)
            return
        edit = shown.may(Action.EDIT_RECIPE)
        lives(shown, "recipes", EN, {"name": name, "names": list(known), "edit": edit})
        await revisions.panel(shown, PATH, name, known[name], against)

    @routes.get("/{name}")
    def one(
        request: Request, name: Name, who: Annotated[Session, May(Action.READ_AUDIT)]
    ) -> dict[str, Any]:
        text, is_draft = drafts.text_of(desk, name)
        return {
            "name": name,
            "base": drafts.sha(text),
            "draft": is_draft,
            "revision": recipetext.revision_of(text),
            "steps": _titled(desk, request, text),
            "parts": pictures_of(desk, name),
        }

    @routes.get("/{name}/retry")
    def how_far(
        request: Request, name: Name, turn: int, who: Annotated[Session, May(Action.READ_AUDIT)]
    ) -> dict[str, Any]:
        now = trying.now(turn)
        return now | {"error": told(request, now["error"])}

    @routes.post("/{name}/retry")
    def retry(
        name: Name, given: Again, who: Annotated[Session, May(Action.EDIT_RECIPE)]
    ) -> dict[str, Any]:
        origin = drafts.origin_of(desk, name)
        trial = desk.data / "drafts" / ".trial" / f"{name}.yaml"
        drafts.write(trial, _with(desk, name, given))
        return trying.begin(
            ["recipe", "retry", str(trial), "--data", str(desk.data), "--last", str(given.last),
             "--beside", str(origin), "--against", str(origin), "--models", str(station.models),
             "--json"],
        )  # fmt: skip

    @routes.post("/{name}/draft")
    def save(
        name: Name, given: Given, who: Annotated[Session, May(Action.EDIT_RECIPE)]
    ) -> dict[str, Any]:
        text = _with(desk, name, given)
        return {"revision": _keep(desk, name, text, who, given)}

    @routes.get("/{name}/unsaid")
    def unsaid(
        request: Request, name: Name, who: Annotated[Session, May(Action.EDIT_RECIPE)]
    ) -> list[dict[str, Any]]:
        path = drafts.path_of(desk, name)
        found: list[dict[str, Any]] = answer_of(["recipe", "unsaid", str(path), "--json"])
        title = _titles(desk, request, drafts.read(path))
        return [
            setting
            | {
                "place": (place := ["tools", index, *setting["place"]]),
                "title": title(place),
                "help": settings.help_of(setting["help"], language_of(request)),
            }
            for index, step in enumerate(found)
            for setting in step["settings"]
        ]

    @routes.get("/{name}/kinds")
    def kinds(name: Name, who: Annotated[Session, May(Action.EDIT_RECIPE)]) -> list[dict[str, Any]]:
        drafts.origin_of(desk, name)
        found: list[dict[str, Any]] = answer_of(
            ["recipe", "kinds", "--models", str(station.models), "--json"]
        )
        return found

    @routes.post("/{name}/tools")
    def add(
        name: Name, given: Added, who: Annotated[Session, May(Action.EDIT_RECIPE)]
    ) -> dict[str, Any]:
        text = _with(desk, name, given)
        step = _step(desk, name, given)
        text = recipetext.with_step(text, step, first=given.kind in LEADS)
        return {"revision": _keep(desk, name, text, who, given, {"added": step})}

    @routes.post("/{name}/tools/remove")
    def remove(
        name: Name, given: Removed, who: Annotated[Session, May(Action.EDIT_RECIPE)]
    ) -> dict[str, Any]:
        text = recipetext.without_step(_with(desk, name, given), given.tool)
        return {"revision": _keep(desk, name, text, who, given, {"removed": given.tool})}

    return routes


def _titles(desk: Desk, request: Request, text: str) -> Callable[[list[str | int]], str]:
    """What a setting of a recipe's ``text`` is called, by its place, in the page's language."""
    language = language_of(request)
    own = desk.words(language)
    tools = recipetext.document(text)["tools"]

    def title(place: list[str | int]) -> str:
        step = tools[place[1]]
        return settings.title(step, place[2:], language, lambda name: label(language, name, own))

    return title


def _titled(desk: Desk, request: Request, text: str) -> list[dict[str, Any]]:
    """The tools of a recipe's ``text``, each field with what it is called."""
    title = _titles(desk, request, text)
    return [
        step | {"fields": [one | {"title": title(one["place"])} for one in step["fields"]]}
        for step in recipetext.steps_of(text)
    ]


def _keep(
    desk: Desk, name: str, text: str, who: Session, given: Given, more: Mapping[str, Any] = NO_MORE
) -> int:
    """Keep ``text``; what was changed is recorded, and ``more``."""
    what = {"changes": [{"place": c.place, "value": c.value} for c in given.changes], **more}
    return drafts.keep(desk, name, given.base, text, who.principal, what)


def _step(desk: Desk, name: str, given: Added) -> dict[str, Any]:
    """The new tool, as ``inspector recipe step`` makes it from a kept picture."""
    with desk.history() as history:
        part = history.part(PartId(given.part))
    images = part.images if part else ()
    camera = drafts.camera_of(desk, name, given.view)
    image = next((image for image in images if image.view == camera), None)
    if image is None:
        raise Refused(f"no picture of this part by camera {camera} is kept; take another one")
    words = ["--model", given.model] if given.model else []
    several = len(recipetext.views_of(drafts.text_of(desk, name)[0])) > 1
    words += ["--view", given.view] if several else []
    if given.follow:
        words += ["--follow", given.follow, "--text", str(drafts.path_of(desk, name))]
    step: dict[str, Any] = answer_of(
        ["recipe", "step", given.kind, "--name", given.tool,
         "--roi", ",".join(map(str, given.roi)), "--picture", str(desk.data / image.path),
         "--beside", str(drafts.origin_of(desk, name)), "--models", str(desk.station.models),
         *words, "--json"]
    )  # fmt: skip
    return step


def _with(desk: Desk, name: str, given: Given) -> str:
    """The text that the person saw, with what they changed."""
    text, _ = drafts.text_of(desk, name)
    if drafts.sha(text) != given.base:
        raise Refused(drafts.CHANGED)
    return recipetext.changed(
        text,
        [
            (c.place, list(c.value) if isinstance(c.value, tuple) else c.value)
            for c in given.changes
            if not c.new
        ],
        [(c.place, c.value, c.whole) for c in given.changes if c.new],
    )
