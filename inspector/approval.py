"""A recipe goes in, signed for this station it comes out: what is not approved does not run (I7).

An approval keeps the recipe whole and for ever, under its digest. Imports recipe and config;
imported by the line, the command line and the drafts of the pages.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from inspector.config import ConfigError, Problem
from inspector.recipe import Recipe, canonical, digest_of, load, read
from inspector.tools.onnx import Shelf

_SCHEMA = "inspector-recipe-approval/1"


class Named(Protocol):
    """Whoever approves: a principal of ``inspector.identity``."""

    @property
    def id(self) -> str:
        """The user's id."""
        ...


def approve(
    path: Path,
    principal: Named,
    key: Ed25519PrivateKey,
    data: Path,
    models: Path | Shelf | None = None,
) -> Path:
    """Signs the recipe in ``path`` for this station; the revision's file, which never changes.

    It is kept whole as ``<data>/recipes/<name>/<digest>.yaml``, beside it ``<digest>.json`` with
    who, when and an Ed25519 signature over both. With ``models``, the models' digests are signed
    too, and other models will not run under it. Raises ``ConfigError`` or ``ModelError``.
    """
    pinned: tuple[str, ...] = ()
    if models is None:
        file = read(path)
    else:
        recipe = load(path, models)
        file, pinned = recipe.file, recipe.model_digests
    text = path.read_bytes()
    digest = digest_of(file)
    folder = data / "recipes" / file.name
    folder.mkdir(parents=True, exist_ok=True)
    statement = {
        "schema": _SCHEMA,
        "name": file.name,
        "revision": file.revision,
        "digest": digest,
        "file_sha256": hashlib.sha256(text).hexdigest(),
        "models": list(pinned),
        "principal": principal.id,
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    signature = base64.b64encode(key.sign(canonical(statement))).decode()
    kept = folder / f"{digest}.yaml"
    _write_durably(kept, text)
    if digest_of(read(kept)) != digest:
        raise ConfigError(path, [Problem(None, "", "changed while it was approved; try again")])
    signed = json.dumps({"statement": statement, "signature": signature}, indent=1)
    _write_durably(kept.with_suffix(".json"), signed.encode())
    return kept


def approval_of(path: Path, key: Ed25519PublicKey, data: Path) -> dict[str, Any]:
    """The signed statement for the recipe in ``path``, a draft or a kept revision.

    Raises ``ConfigError`` when its content is not approved, or the approval was tampered with.
    """
    file = read(path)
    digest = digest_of(file)
    kept = data / "recipes" / file.name / f"{digest}.yaml"

    def refuse(what: str) -> ConfigError:
        return ConfigError(path, [Problem(None, "", what)])

    try:
        signed = json.loads(kept.with_suffix(".json").read_bytes())
        text = kept.read_bytes()
        statement = signed["statement"]
        key.verify(base64.b64decode(signed["signature"], validate=True), canonical(statement))
    except FileNotFoundError:
        raise refuse(
            f"is a draft: revision {digest[:12]} is not approved; run `inspector recipe approve`"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, binascii.Error, InvalidSignature):
        raise refuse(
            f"the approval of revision {digest[:12]} is damaged or not by this station's key; "
            "approve the recipe again"
        ) from None
    same = (
        statement.get("schema") == _SCHEMA
        and statement.get("name") == file.name
        and statement.get("digest") == digest
        and statement.get("file_sha256") == hashlib.sha256(text).hexdigest()
    )
    if not same:
        raise refuse(f"{kept} is not the file that was approved; approve the recipe again")
    return dict(statement)


def load_approved(
    path: Path,
    key: Ed25519PublicKey,
    data: Path,
    models: Path | Shelf = Path("models"),
    threads: int = 2,
    providers: Sequence[str] = ("CPUExecutionProvider",),
) -> Recipe:
    """Like ``load``, but only if the content was approved on this station (I7).

    Raises ``ConfigError`` for a draft, a damaged approval, or models other than the approved ones.
    """
    statement = approval_of(path, key, data)
    recipe = load(path, models, threads, providers)
    if recipe.digest != statement["digest"]:
        raise ConfigError(path, [Problem(None, "", "changed while it was loaded; load it again")])
    pinned = tuple(statement.get("models") or ())
    if pinned and pinned != recipe.model_digests:
        what = "its models are not those that were approved; install them again or approve anew"
        raise ConfigError(path, [Problem(None, "", what)])
    return recipe


def _write_durably(path: Path, data: bytes) -> None:
    """Whole or not at all, and on the disk."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
