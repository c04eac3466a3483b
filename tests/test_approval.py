"""Only what was approved on this station, whole and unchanged, runs. (I7)"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from level_model import ONE_VIEW, put_model, write

from inspector.approval import approve, load_approved
from inspector.config import ConfigError
from inspector.recipe import Recipe, load


@dataclass(frozen=True, slots=True)
class Anna:
    """Stands for a principal of ``inspector.identity``."""

    id: str = "anna"


@dataclass(frozen=True, slots=True)
class Approved:
    """A recipe that anna approved."""

    draft: Path
    kept: Path
    data: Path
    models: Path
    key: Ed25519PrivateKey

    def load(self) -> Recipe:
        return load_approved(self.draft, self.key.public_key(), self.data, self.models, 1)


@pytest.fixture
def approved(tmp_path: Path) -> Approved:
    key, data, models = Ed25519PrivateKey.generate(), tmp_path / "data", tmp_path / "models"
    put_model(models)
    draft = write(tmp_path, ONE_VIEW)
    kept = approve(draft, Anna(), key, data, models)
    return Approved(draft, kept, data, models, key)


def test_an_approved_recipe_loads_and_is_kept_whole(approved: Approved) -> None:
    recipe = approved.load()

    assert approved.kept == approved.data / "recipes" / "one" / f"{recipe.digest}.yaml"
    assert approved.kept.read_bytes() == approved.draft.read_bytes()
    signed = json.loads(approved.kept.with_suffix(".json").read_text())
    assert signed["statement"]["principal"] == "anna"


def test_the_kept_revision_loads_by_itself(approved: Approved) -> None:
    key = approved.key.public_key()

    assert load_approved(approved.kept, key, approved.data, approved.models).name == "one"


def test_an_edited_recipe_is_a_draft(approved: Approved) -> None:
    write(approved.draft.parent, ONE_VIEW.replace("0.1", "0.05"))

    with pytest.raises(ConfigError, match=r"is a draft.*inspector recipe approve"):
        approved.load()


@pytest.mark.parametrize("member", ["name", "revision", "digest", "file_sha256", "principal"])
def test_a_forged_statement_is_refused(approved: Approved, member: str) -> None:
    path = approved.kept.with_suffix(".json")
    signed = json.loads(path.read_text())
    signed["statement"][member] = "mallory"
    path.write_text(json.dumps(signed))

    with pytest.raises(ConfigError, match="damaged or not by this station's key"):
        approved.load()


def test_a_tampered_revision_file_is_refused(approved: Approved) -> None:
    approved.kept.write_text(approved.kept.read_text() + "# harmless\n")

    with pytest.raises(ConfigError, match="not the file that was approved"):
        approved.load()


def test_another_stations_approval_is_refused(approved: Approved) -> None:
    other = Ed25519PrivateKey.generate().public_key()

    with pytest.raises(ConfigError, match="not by this station's key"):
        load_approved(approved.draft, other, approved.data, approved.models)


def test_an_approval_of_another_recipe_does_not_serve(approved: Approved) -> None:
    changed = write(approved.draft.parent, ONE_VIEW.replace("0.1", "0.2"), "s.yaml")
    digest = load(changed, approved.models).digest
    stolen = approved.kept.with_name(f"{digest}.yaml")
    shutil.copy(changed, stolen)
    shutil.copy(approved.kept.with_suffix(".json"), stolen.with_suffix(".json"))

    with pytest.raises(ConfigError, match="not the file that was approved"):
        load_approved(changed, approved.key.public_key(), approved.data, approved.models)


def test_other_models_than_the_approved_ones_are_refused(approved: Approved) -> None:
    put_model(approved.models, bias=0.001)

    with pytest.raises(ConfigError, match="models are not those that were approved"):
        approved.load()
