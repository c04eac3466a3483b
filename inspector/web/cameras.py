"""Cameras: which there are, what one sees now, what it can be set to, what the station file says.

A camera's name enters by the address; its live picture with histogram and focus, its features with
ranges and help texts leave, and a station file in which some of them are changed. A camera that is
open here tells its features by a file in the run directory (``inspector/cameras/process.py``); of
any other one ``inspector cameras`` asks. ``static/cameras.js`` is the page's life. `app` makes it.
"""

from __future__ import annotations

import json
import threading
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter
from fastapi import Path as PathParameter
from nicegui import ui
from pydantic import BaseModel, Field
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from inspector.config import Camera, ConfigError, Station, load_yaml
from inspector.identity import Action
from inspector.store.files import write_whole
from inspector.web import yamltext
from inspector.web.access import May, Refused
from inspector.web.controls import button, card, table
from inspector.web.desk import Desk
from inspector.web.drafts import read
from inspector.web.errand import answer_of
from inspector.web.frame import Shown, lives, page
from inspector.web.sessions import Session, Sessions
from inspector.web.words_cameras import EN

PATH = "/cameras"
KIND = "station_file"
"""What the desk's record of a change is."""
FOUND = ("serial", "user_id", "vendor", "model", "ip", "transport", "state")
Name = Annotated[str, PathParameter(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Given(BaseModel):
    """Features as they shall stand in the station file, in the order in which they are set."""

    features: dict[str, bool | int | float | str] = Field(min_length=1, max_length=200)


def build(desk: Desk, sessions: Sessions) -> APIRouter:
    """The page ``/desk/cameras`` and the routes that feed it."""
    routes = APIRouter(prefix="/cameras")
    saving = threading.Lock()

    @page(desk, sessions, PATH, word="nav.cameras", icon="camera", action=Action.CONFIGURE)
    async def cameras(shown: Shown, camera: str = "") -> None:
        names = [one.name for one in desk.station.cameras]
        name = camera if camera in names else names[0]
        lives(shown, "cameras", EN, {"name": name, "names": names})
        with card(shown.word("cameras.found"), "found"):
            rows = ui.element("div").classes("rows")

            async def discover() -> None:
                shown.who(Action.CONFIGURE)
                rows.clear()
                with rows:
                    ui.label(shown.word("cameras.looking")).classes("soft")
                try:
                    found = await anyio.to_thread.run_sync(_discover, desk.station)
                except Refused as error:
                    found, why = [], shown.why(error)
                else:
                    why = shown.word("cameras.none")
                rows.clear()
                with rows:
                    if not found:
                        ui.label(why).classes("soft")
                        return
                    table(
                        [shown.word(f"cameras.found.{key}") for key in FOUND],
                        [[str(row.get(key) or "–") for key in FOUND] for row in found],
                        caption=shown.word("cameras.found"),
                        looks={0: "strong"},
                    )

            button(shown.word("cameras.discover"), "search", discover)

    @routes.get("/{name}/features")
    def features(name: Name, who: Annotated[Session, May(Action.CONFIGURE)]) -> dict[str, Any]:
        config = _camera(desk, name)
        rows, live = _features(desk, config)
        return {"features": rows, "in_use": live, "set": dict(_set_in(desk, name))}

    @routes.post("/{name}/features")
    def save(
        name: Name, given: Given, who: Annotated[Session, May(Action.CONFIGURE)]
    ) -> dict[str, Any]:
        _camera(desk, name)
        with saving:
            before = _set_in(desk, name)
            text = _changed(desk, name, given)
            body = {
                "action": "features", "camera": name, "features": given.features,
                "before": {key: before.get(key) for key in given.features},
            }  # fmt: skip
            desk.record(KIND, body, who.principal)  # what cannot be recorded is not done
            write_whole(desk.file, text)
            return {"set": dict(_set_in(desk, name))}

    return routes


def _camera(desk: Desk, name: str) -> Camera:
    found = next((one for one in desk.station.cameras if one.name == name), None)
    if found is None:
        raise Refused(f"this station has no camera {name}")
    return found


def _discover(station: Station) -> list[dict[str, Any]]:
    producers = dict.fromkeys(
        ["path", *(str(c.producer) for c in station.cameras if c.source == "genicam")]
    )
    words = [word for producer in producers for word in ("--producer", producer)]
    found: list[dict[str, Any]] = answer_of(["cameras", *words, "--json"])
    return found


def _features(desk: Desk, config: Camera) -> tuple[list[dict[str, Any]], bool]:
    """A camera's features; from the run directory while it is open here, else from itself."""
    told = desk.run / f"camera-{config.name}.features.json"
    if told.is_file():
        try:
            return json.loads(told.read_text("utf-8")), True
        except (OSError, ValueError):
            pass  # it is being written for the first time; the camera is asked
    if config.source != "genicam":
        return [], False
    device = config.serial or config.user_id
    if not device:
        raise Refused("the station file names no serial or user_id, so the camera is not asked")
    rows: list[dict[str, Any]] = answer_of(
        ["cameras", "--producer", str(config.producer), "--features", device, "--json"]
    )
    return rows, False


def _set_in(desk: Desk, name: str) -> dict[str, Any]:
    """What the station file sets on a camera now; the process may run by an older one."""
    return dict((_set_up(read(desk.file), name)[1] or {}).get("features") or {})


def _set_up(text: str, name: str) -> tuple[CommentedMap, CommentedMap | None]:
    """The station file, which anybody may have changed since, and the camera in it if it is there.
    Raises ``Refused``."""
    found = yamltext.document(text)
    cameras = found.get("cameras")
    rows = cameras if isinstance(cameras, CommentedSeq) else ()
    named = (one for one in rows if isinstance(one, CommentedMap) and one.get("name") == name)
    return found, next(named, None)


def _changed(desk: Desk, name: str, given: Given) -> bytes:
    """The station file with its new features. Raises ``Refused`` with what its own check says."""
    file = desk.file
    text = read(file)
    found, camera = _set_up(text, name)
    if camera is None:
        raise Refused(f"{file.name} has no camera {name} any more; load the page again")
    if camera.get("features") is None:
        camera["features"] = {}
    for key, value in given.features.items():
        camera["features"][key] = value
    changed = yamltext.written(found, text).encode()
    draft = file.with_name(f".{file.stem}.checked{file.suffix}")
    try:
        write_whole(draft, changed)
        load_yaml(draft, Station)
    except ConfigError as error:
        raise Refused(str(error).replace(str(draft), str(file))) from None
    finally:
        draft.unlink(missing_ok=True)
    return changed
