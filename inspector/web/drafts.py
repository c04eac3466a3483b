"""Drafts of recipes: what somebody has written and nobody approved yet.

Enters: a recipe's name, a text, who wrote it. Leaves: the text that is worked on, and a draft that
was checked, recorded and kept (I7, I9). A draft judges no part of the line's. The pages on which
recipes are changed import this; whether a text is a recipe is told by ``inspector recipe check``.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from fastapi import Path as PathParameter

from inspector.config import ConfigError, Station, read_yaml
from inspector.identity import Principal
from inspector.store import StoreError
from inspector.store import recipes as kept
from inspector.store.files import write_whole
from inspector.store.signatures import Signature
from inspector.web import recipetext
from inspector.web.access import Refused
from inspector.web.desk import Desk
from inspector.web.errand import answer_of

KIND = "recipe"
"""What the desk's records about recipes are."""
CHANGED = "somebody has changed this recipe since; load the page again"
_keeping = threading.Lock()
"""The check takes seconds, in which another page's draft must not take its place."""
Name = Annotated[str, PathParameter(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


def names_of(station: Station) -> dict[str, Path]:
    """The station's recipes that can be read at all, in the station file's order, by name."""
    found: dict[str, Path] = {}
    for path in station.recipes:
        try:
            name = read_yaml(path).get("name")
        except (ConfigError, AttributeError):
            continue
        if isinstance(name, str):
            found[name] = path
    return found


def origin_of(desk: Desk, name: str) -> Path:
    """The file of the recipe that is in service. Raises ``Refused``."""
    path = names_of(desk.station).get(name)
    if path is None:
        raise Refused(f"this station has no recipe {name}")
    return path


def path_of(desk: Desk, name: str) -> Path:
    """The draft's file, if there is one, else that of what is in service."""
    draft = kept.draft_path(desk.data, name)
    return draft if draft.is_file() else origin_of(desk, name)


def text_of(desk: Desk, name: str) -> tuple[str, bool]:
    """What `path_of` holds, and whether it is a draft."""
    path = path_of(desk, name)
    return read(path), path == kept.draft_path(desk.data, name)


def camera_of(desk: Desk, name: str, view: str) -> str:
    """The station's camera that shows a view of the recipe."""
    cameras = [camera.name for camera in desk.station.cameras]
    return recipetext.camera_of(text_of(desk, name)[0], view, cameras)


def author_of(desk: Desk, name: str) -> str:
    """Who wrote the draft, as the desk's newest record of it says."""
    try:
        with desk.history() as history:
            found = history.desk(KIND, limit=200)
    except StoreError:
        return "–"
    return next((r.principal for r in found if r.body.get("name") == name), "–")


def keep(
    desk: Desk, name: str, base: str, text: str, who: Principal, what: Mapping[str, Any]
) -> int:
    """Keep ``text`` as the draft of ``name``, counted up and checked first; its revision.

    ``base`` is the `sha` of the text that it was made from, ``what`` is recorded of the change.
    Raises ``Refused`` with what is wrong with the recipe, or where somebody else's draft came
    first; the draft is then as it was.
    """
    with _keeping:
        if sha(text_of(desk, name)[0]) != base:
            raise Refused(CHANGED)
        origin = origin_of(desk, name)
        used = [r.revision or 0 for r in kept.revisions(desk.data, name)]
        revision = max([*used, recipetext.revision_of(read(origin))]) + 1
        text = recipetext.with_revision(text, revision)
        trial = desk.data / "drafts" / ".checked" / f"{name}.yaml"
        write(trial, text)
        answer_of(
            ["recipe", "check", str(trial), "--beside", str(origin), "--models",
             str(desk.station.models), "--json"]
        )  # fmt: skip
        body = {
            "action": "draft", "name": name, "file_sha256": sha(text), "revision": revision, **what,
        }  # fmt: skip
        desk.record(KIND, body, who)
        write(kept.draft_path(desk.data, name), text)
        return revision


def drop(desk: Desk, name: str, signature: Signature) -> None:
    """Let go of the draft that was signed; one that somebody has made since stays."""
    path = kept.draft_path(desk.data, name)
    with _keeping:
        if path.is_file() and signature.fits(kept.subject(name, path.read_bytes())):
            path.unlink()


def read(path: Path) -> str:
    """A text that people may have written. Raises ``Refused``."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path} cannot be read: {error}") from None


def write(path: Path, text: str) -> None:
    """A recipe's text, whole, in a folder that need not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())


def sha(text: str) -> str:
    """What tells two texts apart."""
    return sha256(text.encode()).hexdigest()
