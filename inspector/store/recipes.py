"""What a station keeps of its recipes: drafts, every revision that was in service, and what a
signature under one is about.

Enters: a data folder. Leaves: where a draft lies, the revisions with who approved each, and the
`Subject` that is signed. A draft is ``<data>/drafts/<name>.yaml``, a revision
``<data>/recipes/<name>/<digest>.yaml`` with its approval, if it has one, beside it as ``.json``.
The pages and the command line import this; ``inspector/recipe.py`` makes and checks approvals.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from inspector.store.signatures import Subject

KIND = "recipe"
MEANING = "approved"
"""What a signature under a recipe says, as the catalogue's English has it."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Revision:
    """A recipe that was in service here."""

    digest: str
    path: Path
    revision: int | None
    """As its approval says; None where nobody approved it."""
    who: str
    """Who approved it; empty where nobody did."""
    utc_ns: int
    """When it was approved, else when it was kept."""


def draft_path(data: Path, name: str) -> Path:
    """Where the draft of a recipe lies, if there is one."""
    return _folder(data / "drafts", name).with_suffix(".yaml")


def revision_path(data: Path, name: str, digest: str) -> Path:
    """Where a revision is kept. Raises ``ValueError`` for what is no digest."""
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is no recipe's digest")
    return _folder(data / "recipes", name) / f"{digest}.yaml"


def revisions(data: Path, name: str) -> tuple[Revision, ...]:
    """Every revision that is kept, newest first. What a statement says is shown, not proven:
    ``recipe.approval_of`` proves it before the line runs one."""
    found = [_revision(path) for path in _folder(data / "recipes", name).glob("*.yaml")
             if _DIGEST.fullmatch(path.stem)]  # fmt: skip
    return tuple(sorted(found, key=lambda one: one.utc_ns, reverse=True))


def subject(name: str, text: bytes) -> Subject:
    """What is signed: this recipe as it is written, byte for byte."""
    return Subject.of(KIND, name, {"file_sha256": sha256(text).hexdigest()})


def _revision(path: Path) -> Revision:
    try:
        statement = json.loads(path.with_suffix(".json").read_bytes())["statement"]
        when = datetime.fromisoformat(statement["utc"])
        return Revision(
            path.stem, path, int(statement["revision"]), str(statement["principal"]),
            int(when.timestamp() * 1e9),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return Revision(path.stem, path, None, "", path.stat().st_mtime_ns)


def _folder(root: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no recipe's name")
    return root / name
