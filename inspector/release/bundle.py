"""A release file: a tar enters; its manifest, signatures and files leave, each one checked.

The manifest lists every file with its size and SHA-256; its own SHA-256 is the release's digest,
and both signatures are over that digest. So a changed model, card, recipe, parity picture or
manifest is found and named before anything of it is opened. ``training release`` writes these
files with the functions below; ``installed`` reads them. Imports ``trust`` and pydantic alone.

The tar, uncompressed: ``manifest.json``; ``signatures/builder.json`` and ``approver.json``;
``recipe/<name>.yaml`` (with ``recipe/golden/`` where it compares); ``models/<name>/<version>/``;
``card.json``, for people; ``parity/parts.json`` with its pictures.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

SCHEMA = "inspector-release/1"
SIGNATURE = "inspector-release-signature/1"
MANIFEST = "manifest.json"
CARD = "card.json"
PARITY = "parity/parts.json"
SIGNERS = ("builder", "approver")
FILE_MAX, FILES_MAX, RELEASE_MAX = 1 << 30, 4096, 4 << 30
"""A bundle that claims more is no release of ours: refused before the disk is full."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class ReleaseRefused(Exception):
    """A release that must not be used; ``str()`` names it, the part of it, and how to mend it."""

    def __init__(self, release: str, what: str) -> None:
        super().__init__(f"release {release}: {what}")
        self.release = release


class _Fixed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(_Fixed):
    """One file of a release."""

    path: str
    bytes: int = Field(ge=0, le=FILE_MAX)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(_Fixed):
    """What a release is, and every byte that belongs to it."""

    schema_: str = Field(SCHEMA, alias="schema", pattern="^inspector-release/1$")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """The recipe's name: what this release stands in for."""
    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$")
    number: int = Field(ge=1)
    """Counts up; a station never goes back to a lower one by itself."""
    recipe_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    models: dict[str, str]
    """SHA-256 of each model file, by ``name/version``."""
    replaces: str = ""
    """Recipe digest of the champion that it was compared with."""
    created: str
    files: tuple[Entry, ...] = Field(min_length=3, max_length=FILES_MAX)

    @model_validator(mode="after")
    def _paths_stay_inside(self) -> Manifest:
        paths = [entry.path for entry in self.files]
        for path in paths:
            parts = PurePosixPath(path).parts
            if not parts or not all(_PLAIN.fullmatch(part) for part in parts):
                raise ValueError(f"`{path}` is no path inside a release")
        if len(set(paths)) < len(paths):
            raise ValueError("a file is listed twice")
        for needed in (self.recipe, CARD, PARITY):
            if needed not in paths:
                raise ValueError(f"`{needed}` is missing")
        if sum(entry.bytes for entry in self.files) > RELEASE_MAX:
            raise ValueError("its files are too large for a release")
        return self

    @property
    def recipe(self) -> str:
        """The recipe's path in the release."""
        return f"recipe/{self.name}.yaml"

    @property
    def title(self) -> str:
        """``name/version``, as people name it."""
        return f"{self.name}/{self.version}"


class Signature(_Fixed):
    """Who signed what, as what. The signature is over the canonical statement."""

    statement: dict[str, str]
    """``schema``, ``as`` (builder or approver), ``principal``, ``release`` (digest), ``utc``."""
    key: str
    """Raw Ed25519 public key, base64."""
    signature: str

    @property
    def principal(self) -> str:
        return self.statement.get("principal", "")


@dataclass(frozen=True, slots=True)
class Release:
    """A release whose files were checked against its manifest; trust is another question."""

    digest: str
    """SHA-256 of the manifest's bytes."""
    manifest: Manifest
    signatures: Mapping[str, Signature]
    """By ``builder`` and ``approver``; one may be missing."""


def canonical(content: Any) -> bytes:
    """JSON in its one spelling: what is hashed and signed."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sign(digest: str, role: str, principal: str, key: Ed25519PrivateKey, utc: str) -> bytes:
    """The content of ``signatures/<role>.json``."""
    statement = {
        "schema": SIGNATURE, "as": role, "principal": principal, "release": digest, "utc": utc,
    }  # fmt: skip
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signed = {
        "statement": statement,
        "key": base64.b64encode(raw).decode(),
        "signature": base64.b64encode(key.sign(canonical(statement))).decode(),
    }
    return json.dumps(signed, indent=1, ensure_ascii=False).encode()


def write(path: Path, manifest: Manifest, files: Mapping[str, bytes]) -> str:
    """Writes a release that nobody has signed yet; its digest."""
    body = canonical(manifest.model_dump(mode="json", by_alias=True))
    add(path, {MANIFEST: body, **files}, fresh=True)
    return hashlib.sha256(body).hexdigest()


def add(path: Path, files: Mapping[str, bytes], fresh: bool = False) -> None:
    """Puts files into a release file, which is replaced whole; a file of that name goes."""
    kept: dict[str, bytes] = {}
    if not fresh:
        kept = {name: content for name, content in _members(path) if name not in files}
    draft = path.with_name(f".{path.name}.part")
    with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in {**kept, **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    draft.replace(path)


def unpack(path: Path, folder: Path) -> Release:
    """Unpacks a release file into ``folder`` and checks it. Raises ``ReleaseRefused``."""
    count = total = 0
    for name, content in _members(path):
        count, total = count + 1, total + len(content)
        if count > FILES_MAX or total > RELEASE_MAX:
            raise ReleaseRefused(path.name, "holds more than a release may; fetch it again")
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return read(folder, path.name)


def read(folder: Path, called: str = "") -> Release:
    """The release in ``folder``, every file compared with the manifest.

    Raises ``ReleaseRefused``, which names the file that differs.
    """
    called = called or folder.name
    try:
        body = (folder / MANIFEST).read_bytes()
        manifest = Manifest.model_validate(json.loads(body))
    except OSError as error:
        raise ReleaseRefused(called, f"{MANIFEST}: {error.strerror}; fetch it again") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise ReleaseRefused(called, f"{MANIFEST}: {where}: {first['msg']}") from None
    except ValueError:
        raise ReleaseRefused(called, f"{MANIFEST} is no JSON; fetch it again") from None
    for entry in manifest.files:
        _compare(folder, entry, manifest.title)
    _nothing_else(folder, manifest)
    return Release(hashlib.sha256(body).hexdigest(), manifest, _signatures(folder, manifest.title))


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """One after the other: all of them at once may not fit in memory."""
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                parts = PurePosixPath(member.name).parts
                plain = parts and all(_PLAIN.fullmatch(part) for part in parts)
                if not member.isreg() or not plain or member.size > FILE_MAX:
                    raise ReleaseRefused(path.name, f"`{member.name}` does not belong in one")
                file = tar.extractfile(member)
                yield member.name, file.read() if file else b""
    except (OSError, tarfile.TarError, EOFError) as error:
        why = getattr(error, "strerror", None) or str(error) or "it is cut short"
        raise ReleaseRefused(path.name, f"is no release file ({why}); fetch it again") from None


def _compare(folder: Path, entry: Entry, title: str) -> None:
    path = folder / entry.path
    try:
        if path.stat().st_size == entry.bytes:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256:
                    return
    except OSError as error:
        raise ReleaseRefused(title, f"{entry.path}: {error.strerror}; fetch it again") from None
    raise ReleaseRefused(
        title, f"{entry.path} is not the file that was signed (SHA-256 differs); fetch it again"
    )


def _nothing_else(folder: Path, manifest: Manifest) -> None:
    """A file that nobody signed must not lie where a recipe or a model looks for one."""
    known = {entry.path for entry in manifest.files} | {MANIFEST}
    known |= {f"signatures/{role}.json" for role in SIGNERS}
    for path in folder.rglob("*"):
        inside = path.relative_to(folder).as_posix()
        if path.is_symlink() or (path.is_file() and inside not in known):
            raise ReleaseRefused(manifest.title, f"{inside} is not in its manifest; fetch it again")


def _signatures(folder: Path, title: str) -> dict[str, Signature]:
    found = {}
    for role in SIGNERS:
        path = folder / "signatures" / f"{role}.json"
        try:
            found[role] = Signature.model_validate(json.loads(path.read_bytes()))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            why = str(error).splitlines()[0]
            raise ReleaseRefused(title, f"signatures/{role}.json: {why}; fetch it again") from None
    return found
