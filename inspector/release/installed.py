"""The releases on this machine: a release file enters ``<data>/releases``, a warm recipe leaves.

Each lies in a folder named by its digest. It is checked when it comes and again whenever it is
loaded: files against the manifest, both signatures, every model's probes, the parity set (I7); so
what was changed on the disk meanwhile does not run. Imports recipe, store and this room; the line
and the command line import this.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from inspector.config import ConfigError
from inspector.recipe import Recipe, load
from inspector.release.bundle import Release, ReleaseRefused, read, unpack
from inspector.release.parity import Parity, check_parity
from inspector.release.trust import check_signatures
from inspector.store import DeskLedger
from inspector.store.files import refuse_stranger
from inspector.tools.card import ModelError
from inspector.tools.onnx import Shelf

FOLDER = "releases"
BASE = ""
"""Stands for the recipe of the station file, where no release has taken its place."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A release on this machine."""

    folder: Path
    release: Release

    @property
    def digest(self) -> str:
        return self.release.digest

    @property
    def title(self) -> str:
        return self.release.manifest.title


@dataclass(frozen=True, slots=True)
class Loaded:
    """A release ready to judge."""

    installed: Installed
    recipe: Recipe
    parity: Parity


def install(
    path: Path,
    data: Path,
    principal: str,
    threads: int = 2,
    providers: Sequence[str] = ("CPUExecutionProvider",),
    pause: Callable[[float], None] = lambda spent_s: None,
) -> Loaded:
    """Takes a release file in, if all of it holds on this machine; recorded on the desk.

    The same file again is no error; ``pause`` is told of each part as by `check_parity`. Raises
    ``ReleaseRefused`` (recorded too) or ``StoreError``.
    """
    refuse_stranger(data)  # before anything is kept that the desk would not record
    home = data / FOLDER
    home.mkdir(parents=True, exist_ok=True)
    for left in home.glob(".incoming-*"):  # of an installation that was killed
        if time.time() - left.stat().st_mtime > 3600:
            shutil.rmtree(left, ignore_errors=True)
    draft, old = home / f".incoming-{os.getpid()}", home / f".incoming-{os.getpid()}-old"
    for left in (draft, old):
        shutil.rmtree(left, ignore_errors=True)
    try:
        draft.mkdir()
        release = unpack(path, draft)
        builder, approver = check_signatures(release, data)
        loaded = _load(Installed(draft, release), threads, providers, pause)
        folder = home / release.digest[:16]
        if not _lies_in(folder, release):
            _sync(draft)
            if folder.exists():  # what was damaged on the disk gives way
                folder.rename(old)
            draft.rename(folder)
        body = {
            "do": "installed", "release": release.manifest.title, "digest": release.digest,
            "builder": builder, "approver": approver, "number": release.manifest.number,
            "parity_parts": loaded.parity.parts, "p50_ms": loaded.parity.p50_ms,
            "p99_ms": loaded.parity.p99_ms,
        }  # fmt: skip
        with DeskLedger.open(data) as desk:
            desk.add("release", body, principal)
        return Loaded(Installed(folder, release), loaded.recipe, loaded.parity)
    except ReleaseRefused as refusal:
        with DeskLedger.open(data) as desk:
            why = {"do": "refused", "release": refusal.release, "why": str(refusal)}
            desk.add("release", why, principal)
        raise
    finally:
        for left in (draft, old):
            shutil.rmtree(left, ignore_errors=True)


def installed(data: Path) -> list[Installed]:
    """Every release on this machine whose files are whole, oldest number first."""
    found = []
    home = data / FOLDER
    for folder in sorted(home.iterdir()) if home.is_dir() else ():
        if folder.name.startswith("."):
            continue
        try:
            found.append(Installed(folder, read(folder)))
        except ReleaseRefused:
            continue
    return sorted(found, key=lambda i: (i.release.manifest.name, i.release.manifest.number))


def find(data: Path, name: str) -> Installed:
    """The installed release of this digest (or its beginning) or ``name/version``.

    Raises ``ReleaseRefused``.
    """
    home = data / FOLDER
    wanted = [
        folder
        for folder in (home.iterdir() if home.is_dir() else ())
        if len(name) >= 8 and "/" not in name and folder.name.startswith(name[:16])
    ]
    if len(wanted) == 1:
        return Installed(wanted[0], read(wanted[0], name))
    there = installed(data)
    for one in reversed(there):
        if one.title == name:
            return one
    known = ", ".join(one.title for one in there) or "none"
    raise ReleaseRefused(name, f"is not installed here; installed: {known}")


def load_release(
    data: Path,
    name: str,
    threads: int = 2,
    providers: Sequence[str] = ("CPUExecutionProvider",),
    pause: Callable[[float], None] = lambda spent_s: None,
    judges: int = 1,
) -> Loaded:
    """The release ``name``, checked again from its signatures to its parity set, and warm.

    Raises ``ReleaseRefused``.
    """
    one = find(data, name)
    check_signatures(one.release, data)
    return _load(one, threads, providers, pause, judges)


def remove(data: Path, keep: Collection[str], principal: str) -> list[str]:
    """Deletes every release whose digest is not in ``keep``; their titles. Recorded first."""
    gone = []
    for one in installed(data):
        if one.digest in keep:
            continue
        with DeskLedger.open(data) as desk:
            body = {"do": "removed", "release": one.title, "digest": one.digest}
            desk.add("release", body, principal)
        shutil.rmtree(one.folder)
        gone.append(one.title)
    return gone


def _load(
    one: Installed,
    threads: int,
    providers: Sequence[str],
    pause: Callable[[float], None] = lambda spent_s: None,
    judges: int = 1,
) -> Loaded:
    manifest, title = one.release.manifest, one.title
    try:
        # A shelf of its own: a model of the same name and version elsewhere is never taken for it.
        shelf = Shelf(one.folder / "models", threads, providers, judges)
        recipe = load(one.folder / manifest.recipe, shelf)
    except (ConfigError, ModelError) as error:
        raise ReleaseRefused(title, f"does not run here: {error}") from None
    if recipe.digest != manifest.recipe_digest:
        raise ReleaseRefused(title, "this software reads its recipe otherwise; update the station")
    if not set(manifest.models.values()) <= set(recipe.model_digests):
        raise ReleaseRefused(title, "its recipe does not run the models that were signed")
    recipe.warm_up()
    return Loaded(one, recipe, check_parity(recipe, one.folder, title, pause))


def _lies_in(folder: Path, release: Release) -> bool:
    """Whether all of ``release`` is there, its signatures too."""
    try:
        return read(folder).signatures == release.signatures
    except ReleaseRefused:
        return False


def _sync(folder: Path) -> None:
    """Makes what was unpacked durable before it gets its name."""
    for path in sorted(folder.rglob("*"), reverse=True):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
