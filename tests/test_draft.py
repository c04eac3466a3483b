"""A recipe that is being changed: judged again on kept parts, put into service under a signature.
(I7, I9)"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from spotted_parts import RECIPE, write_tiles
from typer.testing import CliRunner

from inspector.approval import approval_of, load_approved
from inspector.cli import app
from inspector.config import ConfigError
from inspector.draft import adopt
from inspector.identity import Action, Forbidden, Principal, Role, Users, authorise
from inspector.store import StoreError, signing_key
from inspector.store.recipes import draft_path, revision_path, revisions, subject
from inspector.store.signatures import sign

ADMIN = Principal("setup", frozenset({Role.ADMIN}))
LOOSER = RECIPE.replace("[300, ", "[700, ").replace("revision: 1", "revision: 2")
MODELS = Path("models")


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station's data after 24 tiles, its recipe beside."""
    folder = tmp_path_factory.mktemp("tiles")
    (folder / "tile.yaml").write_text(RECIPE)
    write_tiles(folder / "data", folder / "tile.yaml")
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A recipe in service, a looser draft of it, and people."""
    (tmp_path / "tile.yaml").write_text(RECIPE)
    draft = draft_path(tmp_path / "data", "tile")
    draft.parent.mkdir(parents=True)
    draft.write_text(LOOSER)
    users = Users(tmp_path / "data")
    users.add_user("qin", [Role.QA], pin="3690", principal=ADMIN)
    users.add_user("erik", [Role.ENGINEER], pin="7410", principal=ADMIN)
    return tmp_path


def signed(place: Path, text: bytes, user: str = "qin", pin: str = "3690",
           meaning: str = "approved") -> int:  # fmt: skip
    return sign(
        place / "data", Users(place / "data"), user, pin, by="pin", meaning=meaning,
        subject=subject("tile", text), may=lambda who: None,
    ).position  # fmt: skip


def put(place: Path, position: int) -> Path:
    draft = draft_path(place / "data", "tile")
    return adopt(draft, place / "tile.yaml", place / "data", MODELS, position)


def retry(tiles: Path, draft: str, *more: str) -> list[dict[str, Any]]:
    file = tiles / "data" / "draft.yaml"
    file.write_text(draft)
    done = CliRunner().invoke(
        app,
        ["recipe", "retry", str(file), "--data", str(tiles / "data"), "--json",
         "--beside", str(tiles / "tile.yaml"), *more],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_looser_limit_says_which_parts_would_pass(tiles: Path) -> None:
    rows = retry(tiles, LOOSER)

    flips = [row["flip"] for row in rows if "flip" in row]
    assert {(one["was"], one["now"]) for one in flips} == {("reject", "pass")}
    summary = rows[-1]["summary"]
    assert summary["parts"] == 24
    assert summary["flipped"] == len(flips) >= 3
    assert summary["now"]["pass"] == summary["was"]["pass"] + len(flips)
    sizes = [2 + 2 * one["number"] for one in flips]
    assert all(side * side >= 300 for side in sizes) and all(side <= 28 for side in sizes)
    assert [row["done"] for row in rows if "done" in row][-1] == 24


def test_the_same_recipe_flips_nothing(tiles: Path) -> None:
    rows = retry(tiles, RECIPE, "--against", str(tiles / "tile.yaml"), "--last", "10")

    assert rows[-1]["summary"]["parts"] == 10
    assert rows[-1]["summary"]["flipped"] == 0


def test_a_draft_keeps_its_recipes_name(place: Path) -> None:
    text = LOOSER.replace("name: tile", "name: other")
    draft_path(place / "data", "tile").write_text(text)

    with pytest.raises(ConfigError, match="must stay `tile`"):
        put(place, 0)


def test_a_signed_draft_runs_and_what_it_replaces_is_kept(place: Path) -> None:
    kept = put(place, signed(place, LOOSER.encode()))

    assert (place / "tile.yaml").read_text() == LOOSER
    statement = approval_of(kept, signing_key(place / "data").public_key(), place / "data")
    assert statement["principal"] == "qin"
    assert load_approved(
        place / "tile.yaml", signing_key(place / "data").public_key(), place / "data"
    ).name
    known = revisions(place / "data", "tile")
    assert [one.who for one in known] == ["qin", ""] or [one.who for one in known] == ["", "qin"]
    former = next(one for one in known if not one.who)
    assert former.path.read_text() == RECIPE
    assert former.path == revision_path(place / "data", "tile", former.digest)


def test_roll_back_is_the_older_text_signed_again(place: Path) -> None:
    put(place, signed(place, LOOSER.encode()))
    draft_path(place / "data", "tile").write_text(RECIPE)

    put(place, signed(place, RECIPE.encode()))

    assert (place / "tile.yaml").read_text() == RECIPE
    approval_of(place / "tile.yaml", signing_key(place / "data").public_key(), place / "data")
    assert all(one.who == "qin" for one in revisions(place / "data", "tile"))


@pytest.mark.parametrize(
    ("user", "pin", "text", "meaning", "error"),
    [
        ("erik", "7410", LOOSER, "approved", Forbidden),
        ("qin", "3690", RECIPE, "approved", StoreError),
        ("qin", "3690", LOOSER, "checked", StoreError),
    ],
)
def test_no_other_signature_will_do(
    place: Path, user: str, pin: str, text: str, meaning: str, error: type[Exception]
) -> None:
    position = signed(place, text.encode(), user, pin, meaning)

    with pytest.raises(error):
        put(place, position)

    assert (place / "tile.yaml").read_text() == RECIPE
    assert revisions(place / "data", "tile") == ()


def test_who_writes_a_recipe_cannot_sign_it(place: Path) -> None:
    with pytest.raises(Forbidden):
        authorise(Principal("erik", frozenset({Role.ENGINEER})), Action.APPROVE_RECIPE)
    with pytest.raises(StoreError, match="no signature"):
        put(place, 99)
