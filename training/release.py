"""Releases: a recipe, its models and labelled parts enter; one signed file leaves.

A release is made by one person and approved by another, each with a key of their own (four eyes);
a channel is a folder, or the hub, that stations look into. What a station checks is written by the
very functions that it checks with (``inspector.release``). Knows nothing of torch. Imported by the
command line and ``loop``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import cv2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from inspector.config import read_yaml
from inspector.part import Batch, Outcome, Pixels
from inspector.recipe import Judgement, Recipe, load
from inspector.release import bundle
from inspector.release.bundle import Entry, Manifest, Release
from inspector.release.channel import announce
from inspector.release.parity import expected
from inspector.tools.card import Card, built_in, find_model, read_card
from inspector.tools.onnx import Model, Shelf

PARITY_PARTS = 12


class NotMade(ValueError):
    """A release that cannot be made or signed; ``str()`` says why and how to mend it."""


@dataclass(frozen=True, slots=True)
class Example:
    """A part to prove a release with: its pictures and what its batch wants."""

    name: str
    frames: Mapping[str, Pixels]
    batch: Batch
    today: date


class Noted(Shelf):
    """A shelf that remembers which models were opened."""

    def __init__(self, models: Path, threads: int) -> None:
        super().__init__(models, threads)
        self.refs: set[str] = set()

    def open(self, ref: str, task: str) -> Model:
        model = super().open(ref, task)
        if built_in(ref) is None:
            self.refs.add(ref)
        return model


def make_key(path: Path) -> Path:
    """A new Ed25519 key in ``path`` (PEM, mode 0600); its public half, in ``<path>.pub``."""
    public = path.with_suffix(".pub")
    if public == path:
        raise NotMade(
            f"{path}: a private key's name does not end in .pub, as its public half's does"
        )
    if public.exists():
        raise NotMade(f"{public} is there already; a key is never replaced")
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(pem)
    except FileExistsError:
        raise NotMade(f"{path} is there already; a key is never replaced") from None
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return public


def read_key(path: Path) -> Ed25519PrivateKey:
    """The private key in ``path``. Raises ``NotMade``."""
    try:
        if path.stat().st_mode & 0o077:
            raise NotMade(f"{path}: others may read it; run `chmod 600 {path}`")
        key = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise NotMade(f"{path}: {error.strerror}; make one by `training release key`") from None
    except (ValueError, TypeError) as error:
        raise NotMade(f"{path} is no PEM private key: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise NotMade(f"{path} is no Ed25519 key")
    return key


def make(
    recipe_file: Path,
    models: Path,
    examples: Sequence[Example],
    out: Path,
    *,
    version: str,
    number: int,
    builder: str,
    key: Ed25519PrivateKey,
    card: Mapping[str, Any],
    replaces: str = "",
    threads: int = 2,
) -> Release:
    """Writes the release ``out``, signed by its builder; it still needs an approver.

    ``examples`` become its parity set, passes and rejects in equal shares where there are both;
    ``card`` is for people: lineage, evaluation, who asked for it; an evaluation of another recipe
    or of other models is refused. Raises ``NotMade``, ``ConfigError`` or ``ModelError``.
    """
    shelf = Noted(models, threads)
    recipe = load(recipe_file, shelf)
    if card.get("evaluation") is not None:
        _is_of(recipe, card["evaluation"])
    recipe.warm_up()
    files: dict[str, bytes] = {f"recipe/{recipe.name}.yaml": recipe_file.read_bytes()}
    files |= _beside(recipe, recipe_file)
    digests = {}
    for ref in sorted(shelf.refs):
        folder = find_model(models, ref)
        model_card = read_card(folder, ref)
        _fit_to_release(ref, model_card)
        files[f"models/{ref}/card.json"] = (folder / "card.json").read_bytes()
        files[f"models/{ref}/{model_card.file}"] = (folder / model_card.file).read_bytes()
        digests[ref] = model_card.sha256
    files |= _parity(recipe, examples)
    facts = {"recipe": recipe.name, "revision": recipe.revision, "builder": builder, **card}
    files[bundle.CARD] = json.dumps(facts, indent=1, ensure_ascii=False, default=str).encode()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = Manifest(
        schema=bundle.SCHEMA,
        name=recipe.name,
        version=version,
        number=number,
        recipe_digest=recipe.digest,
        models=digests,
        replaces=replaces,
        created=now,
        files=tuple(
            Entry(path=path, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            for path, content in sorted(files.items())
        ),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    digest = bundle.write(out, manifest, files)
    signature = bundle.sign(digest, "builder", builder, key, now)
    bundle.add(out, {"signatures/builder.json": signature})
    return inspect(out)


def inspect(path: Path) -> Release:
    """The release in ``path``, every file compared with its manifest. Raises ``ReleaseRefused``."""
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        return bundle.unpack(path, Path(folder))


def approve(path: Path, approver: str, key: Ed25519PrivateKey) -> Release:
    """Adds the approver's signature. Raises ``NotMade`` where one person would sign twice."""
    release = inspect(path)
    builder = release.signatures.get("builder")
    if builder is None:
        raise NotMade(f"{path}: its builder has not signed it; make it again")
    if builder.principal == approver:
        raise NotMade(f"{approver} built {release.manifest.title}: another person approves it")
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    if builder.key == base64.b64encode(raw).decode():
        raise NotMade("this is the builder's key; the approver signs with a key of their own")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    signature = bundle.sign(release.digest, "approver", approver, key, now)
    bundle.add(path, {"signatures/approver.json": signature})
    return inspect(path)


def put(path: Path, channel: str, folder: Path) -> Path:
    """Puts a release that both have signed on a channel in ``folder``; where it lies now.

    Stations of that channel find it there: ``<folder>/<digest>.release`` and the pointer
    ``<folder>/<channel>.json``. Raises ``NotMade``.
    """
    release = inspect(path)
    missing = [role for role in bundle.SIGNERS if role not in release.signatures]
    if missing:
        raise NotMade(f"{path}: not signed by its {' and '.join(missing)}")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{release.digest}.release"
    draft = target.with_suffix(".part")
    draft.write_bytes(path.read_bytes())
    draft.replace(target)
    announce(folder, channel, release)
    return target


def _beside(recipe: Recipe, recipe_file: Path) -> dict[str, bytes]:
    """Files that the recipe names beside itself, such as golden pictures."""
    found: dict[str, bytes] = {}
    home = recipe_file.parent.resolve()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            for item in value.values():
                look(item)
        elif isinstance(value, list | tuple):
            for item in value:
                look(item)
        elif isinstance(value, str) and "." in value and len(value) < 256:
            path = (home / value).resolve()
            if path.is_file() and path.is_relative_to(home):
                found[f"recipe/{path.relative_to(home).as_posix()}"] = path.read_bytes()

    look(read_yaml(recipe_file))
    found.pop(f"recipe/{recipe_file.name}", None)
    return found


def _fit_to_release(ref: str, card: Card) -> None:
    if not card.parity.probes:
        raise NotMade(f"model {ref} has no parity probes in its card; export it again")


def _is_of(recipe: Recipe, evaluation: Any) -> None:
    """Raises ``NotMade`` where ``evaluation`` has not measured what is released: whoever approves
    it would read another's figures."""
    if not isinstance(evaluation, dict) or "recipe_digest" not in evaluation:
        raise NotMade("the evaluation is no report.json of `training evaluate RECIPE`")
    this = f"{recipe.name}@{recipe.revision}"
    if evaluation["recipe_digest"] != recipe.digest:
        raise NotMade(
            f"the evaluation is of {evaluation.get('recipe')} as it was, and not of {this} as it "
            "is: evaluate it again"
        )
    if evaluation.get("models") != list(recipe.model_digests):
        raise NotMade(f"the evaluation of {this} is of other models: evaluate it again")


def _parity(recipe: Recipe, examples: Sequence[Example]) -> dict[str, bytes]:
    """The parity set's files: as many rejects as passes where there are both."""
    judged: list[tuple[Example, Judgement]] = []
    for example in examples:
        judgement = recipe.judge(example.frames, example.batch, example.today)
        if judgement.outcome is not Outcome.ERROR:
            judged.append((example, judgement))
    passes = [j for j in judged if j[1].outcome is Outcome.PASS]
    rejects = [j for j in judged if j[1].outcome is Outcome.REJECT]
    half = PARITY_PARTS // 2
    chosen = passes[: max(half, PARITY_PARTS - len(rejects))]
    chosen += rejects[: PARITY_PARTS - len(chosen)]
    if not chosen:
        raise NotMade("no example could be judged, so a station could not prove the release")
    files: dict[str, bytes] = {}
    parts = []
    for number, (example, judgement) in enumerate(chosen):
        pictures = {}
        for view, pixels in example.frames.items():
            path = f"parity/{number:03d}-{view}.png"
            files[path] = cv2.imencode(".png", pixels, (cv2.IMWRITE_PNG_COMPRESSION, 6))[
                1
            ].tobytes()
            pictures[view] = path
        parts.append(expected(example.name, judgement, pictures, example.batch, example.today))
    files[bundle.PARITY] = json.dumps(parts, indent=1, ensure_ascii=False).encode()
    return files
