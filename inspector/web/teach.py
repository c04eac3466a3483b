"""Teaching at the station: the last good parts enter, a draft with an ``anomaly`` tool leaves.

An engineer chooses recipe, camera, area and parts, the `align` step that turns each part back
first, and whether a network is trained too; ``inspector teach parts`` learns from them as an
`errand`, one at a time, while the page shows how far it is. Then every part's score, the heat maps
of those most unlike the others and the share of good parts that would be rejected are looked at,
and what is good is kept as a draft that quality approves (I7). ``static/teach.js`` is the page's
life; results lie in ``<data>/teaching/<recipe>``. `app` makes the page.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, HTTPException, Request
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse
from nicegui import ui
from pydantic import BaseModel, Field

from inspector.identity import Action
from inspector.store import StoreError
from inspector.store.files import write_whole
from inspector.web import drafts, recipetext
from inspector.web.access import May, Refused, told
from inspector.web.desk import Desk
from inspector.web.drafts import Name
from inspector.web.errand import Errand
from inspector.web.frame import Shown, lives, page
from inspector.web.pictures import pictures_of
from inspector.web.sessions import Session, Sessions
from inspector.web.words_teach import EN

PATH = "/teach"
KIND = "teach"
"""What the desk's records of this page are."""
PARTS = 50
BATCHES = 2000
"""Changes of batch that are gone through for the names of products."""
THRESHOLD = 0.5
"""The limit that is taught."""


class Wish(BaseModel):
    """What is taught, from which parts."""

    view: str = Field(max_length=64)
    last: int = Field(PARTS, ge=8, le=200)
    roi: tuple[int, int, int, int] | None = None
    product: str = Field("", max_length=200)
    false_reject: float = Field(0.01, ge=0.001, le=0.2)
    follow: str = Field("", pattern=r"^$|^[a-z][a-z0-9_-]{0,62}$")
    """The `align` step that finds the part; the ROI is then on its golden picture."""
    thorough: bool = False
    """Whether a network of the product's own is trained too."""
    without: list[UUID] = Field([], max_length=200)


Step = Annotated[str, PathParameter(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class Kept(BaseModel):
    """Under which name the tool goes into the draft."""

    tool: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    bank: str = Field("", max_length=64)
    """What the page shows was taught."""


class Teaching:
    """The one teaching of a station, and what it says of itself."""

    def __init__(self) -> None:
        self._errand: Errand | None = None
        self._said: dict[str, Any] = {}
        self.recipe = ""

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._errand is not None and self._errand.running

    def begin(self, recipe: str, words: Sequence[str]) -> None:
        """Teach; ask first whether another teaching runs."""
        said: dict[str, Any] = {}

        def heard(row: dict[str, Any]) -> None:
            if "what" in row:
                said.update(row)

        self.recipe, self._said = recipe, said
        self._errand = Errand(words, heard)

    def stop(self) -> None:
        """Give it up."""
        if self._errand is not None:
            self._errand.stop()

    def now(self, recipe: str) -> dict[str, Any]:
        """How far it is with ``recipe``: ``running, error, what, done, total``."""
        if self._errand is None or self.recipe != recipe:
            return {"running": False, "error": ""}
        return self._said | {"running": self.running, "error": self._errand.error}


def build(desk: Desk, sessions: Sessions) -> APIRouter:
    """The page ``/desk/teach`` and the routes that feed it."""
    teaching, beginning = Teaching(), threading.Lock()
    routes = APIRouter(prefix="/teach")

    @page(desk, sessions, PATH, word="nav.teach", icon="teach", action=Action.EDIT_RECIPE)
    async def teach(shown: Shown, recipe: str = "") -> None:
        known = list(await anyio.to_thread.run_sync(drafts.names_of, desk.station))
        if not known:
            ui.html(f'<p class="empty">{shown.word("recipes.none")}</p>', sanitize=False)
            return
        name = recipe if recipe in known else known[0]
        lives(shown, "teach", EN, {"name": name, "names": known}, like="recipes")

    @routes.get("/{name}")
    def one(name: Name, who: Annotated[Session, May(Action.EDIT_RECIPE)]) -> dict[str, Any]:
        text, _ = drafts.text_of(desk, name)
        steps = recipetext.steps_of(text)
        return {
            "leaders": [
                {
                    "name": step["name"],
                    "view": step["view"],
                    "golden": f"/teach/{name}/golden/{step['name']}.png",
                }
                for step in steps
                if step["kind"] == "align" and not step["follow"]
            ],
            "thorough": all(find_spec(needed) for needed in ("torch", "training")),
            "views": recipetext.views_of(text),
            "taken": [step["name"] for step in steps if step["kind"] != "anomaly"],
            "taught": [
                {key: step[key] for key in ("name", "view", "roi", "follow")}
                for step in steps
                if step["kind"] == "anomaly"
            ],
            "products": _products(desk, name),
            "parts": pictures_of(desk, name),
            "now": teaching.now(name),
            "result": _result(desk, name),
        }

    @routes.get("/{name}/now")
    def now(
        request: Request, name: Name, who: Annotated[Session, May(Action.EDIT_RECIPE)]
    ) -> dict[str, Any]:
        said = teaching.now(name)
        said = said | {"error": told(request, said["error"])}
        return said | ({} if said["running"] else {"result": _result(desk, name)})

    @routes.post("/{name}")
    def begin(
        name: Name, wish: Wish, who: Annotated[Session, May(Action.EDIT_RECIPE)]
    ) -> dict[str, Any]:
        drafts.origin_of(desk, name)
        with beginning:
            if teaching.running:
                raise Refused(f"{teaching.recipe} is being taught; wait for it, or stop it")
            folder = _folder(desk, name)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            asked = wish.model_dump(mode="json")
            write_whole(folder / "asked.json", json.dumps(asked).encode())
            desk.record(KIND, {"action": "begin", "name": name, **asked}, who.principal)
            teaching.begin(name, _words(desk, name, wish, folder))
            return teaching.now(name)

    @routes.post("/{name}/stop")
    def stop(name: Name, who: Annotated[Session, May(Action.EDIT_RECIPE)]) -> dict[str, Any]:
        desk.record(KIND, {"action": "stop", "name": name}, who.principal)
        if teaching.recipe == name:
            teaching.stop()
        return {}

    @routes.get("/{name}/picture/{number}.{layer}")
    def picture(
        name: Name,
        number: Annotated[int, PathParameter(ge=0, le=999)],
        layer: Literal["jpg", "png"],
        who: Annotated[Session, May(Action.EDIT_RECIPE)],
    ) -> FileResponse:
        path = _folder(desk, name) / f"{number}.{layer}"
        if not path.is_file():
            raise HTTPException(404)
        return FileResponse(path)

    @routes.get("/{name}/golden/{step}.png")
    def golden(
        name: Name, step: Step, who: Annotated[Session, May(Action.EDIT_RECIPE)]
    ) -> FileResponse:
        text, _ = drafts.text_of(desk, name)
        digest = recipetext.golden_of(text, step)
        path = drafts.origin_of(desk, name).parent / "golden" / f"{digest}.png"
        if not digest or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path)

    @routes.post("/{name}/draft")
    def keep(
        name: Name, kept: Kept, who: Annotated[Session, May(Action.EDIT_RECIPE)]
    ) -> dict[str, Any]:
        result = _result(desk, name)
        if result is None:
            raise Refused("nothing is taught yet; teach first")
        if kept.bank not in ("", result["bank"]):
            raise Refused("it was taught anew since; load the page again and look at it")
        was, _ = drafts.text_of(desk, name)
        text = recipetext.with_step(was, _step(was, kept.tool, result))
        bank = f"{result['bank']}.bank"
        home = drafts.origin_of(desk, name).parent / "anomaly"
        home.mkdir(exist_ok=True)
        write_whole(home / bank, (_folder(desk, name) / "anomaly" / bank).read_bytes())
        what = {"taught": kept.tool, "bank": result["bank"], "good": result["report"]["good"]}
        base = drafts.sha(was)
        return {"revision": drafts.keep(desk, name, base, text, who.principal, what)}

    return routes


def _words(desk: Desk, name: str, wish: Wish, folder: Path) -> list[str]:
    """The command."""
    camera = drafts.camera_of(desk, name, wish.view)
    words = [
        "teach", "parts", "--data", str(desk.data), "--recipe", name, "--view", camera,
        "--last", str(wish.last), "--false-reject", str(wish.false_reject), "--out", str(folder),
        "--models", str(desk.station.models), "--product", wish.product, "--json",
    ]  # fmt: skip
    if wish.follow:
        text, origin = drafts.path_of(desk, name), drafts.origin_of(desk, name)
        words += ["--follow", wish.follow, "--text", str(text), "--beside", str(origin)]
    if wish.thorough:  # apart from the result, so that what was stopped goes on where it was
        words += ["--run", str(desk.data / "teaching" / ".networks" / name)]
    if wish.roi:
        words += ["--roi", ",".join(map(str, wish.roi))]
    for part in wish.without:
        words += ["--without", str(part)]
    return words


def _step(text: str, tool: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """The tool as it stands in the recipe."""
    several = len(recipetext.views_of(text)) > 1
    return {
        "name": tool,
        "kind": "anomaly",
        **({"view": result["view"]} if several else {}),
        "follow": result.get("follow") or None,
        "roi": result["roi"],
        "params": {"bank": result["bank"], "threshold": THRESHOLD},
    }


def _folder(desk: Desk, name: str) -> Path:
    return desk.data / "teaching" / name


def _result(desk: Desk, name: str) -> dict[str, Any] | None:
    """What the last teaching of a recipe gave, and what was asked for; None while there is none."""
    folder = _folder(desk, name)
    try:
        found: dict[str, Any] = json.loads((folder / "result.json").read_bytes())
        found["asked"] = json.loads((folder / "asked.json").read_bytes())
    except (OSError, ValueError):
        return None
    return found


def _products(desk: Desk, name: str) -> list[str]:
    """Of the batches that this recipe judged, the newest first."""
    try:
        with desk.history() as history:
            changes = history.batch_changes(BATCHES)
    except StoreError:
        return []
    return list(dict.fromkeys(c.product for c in changes if c.recipe == name and c.product))
