"""Where releases come from: a channel's pointer and its files, in a folder or behind a URL.

Enters: a folder (a mounted share, a stick) or the hub's address, and a channel's name. Leaves: the
newest release file of that channel, on this disk. What is fetched is believed for nothing: the
signatures are, see ``trust``. Imports ``bundle``; ``process``, the command line and the centre's
``training release put`` import this.

A channel's pointer is ``<channel>.json``: ``{"release": digest, "name", "version", "number",
"signed"}``, beside it ``<digest>.release``. A hub serves the same two names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inspector.release.bundle import RELEASE_MAX, Release, ReleaseRefused

CHANNEL = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Pointer:
    """What a channel says is its newest release."""

    digest: str
    title: str
    number: int
    signed: tuple[str, ...] = ()
    """Its signatures: the same release may come again, signed by others."""


class _Absent(Exception):
    """There is nothing at this address."""


def announce(folder: Path, channel: str, release: Release) -> None:
    """Makes ``release`` the newest of ``channel`` in ``folder``. Raises ``ReleaseRefused``."""
    manifest = release.manifest
    if not CHANNEL.fullmatch(channel):
        raise ReleaseRefused(manifest.title, f"{channel!r} is no channel: a-z, 0-9 and -")
    entries = {e["name"]: e for e in _entries(folder / f"{channel}.json")}
    entries[manifest.name] = {
        "release": release.digest, "name": manifest.name, "version": manifest.version,
        "number": manifest.number, "signed": [s.signature for s in release.signatures.values()],
    }  # fmt: skip
    draft = folder / f".{channel}.json.part"
    draft.write_text(json.dumps(list(entries.values()), indent=1))
    draft.replace(folder / f"{channel}.json")


def newest(source: str, channel: str, key: str = "") -> list[Pointer]:
    """The newest release of each recipe on ``channel`` at ``source``; none if it has none.

    Raises ``ReleaseRefused`` when the source cannot be reached or read.
    """
    if _is_url(source):
        try:
            entries = json.loads(b"".join(_get(f"{source.rstrip('/')}/{channel}.json", key)))
        except _Absent:
            return []
        except ValueError:
            raise ReleaseRefused(channel, f"{source} does not answer with a channel") from None
    else:
        entries = _entries(Path(source) / f"{channel}.json")
    return pointers(entries, source)


def pointers(entries: Any, source: str) -> list[Pointer]:
    """What a source says is newest. Raises ``ReleaseRefused`` for what is no such list."""
    try:
        found = [
            Pointer(
                str(e["release"]), f"{e['name']}/{e['version']}", int(e["number"]),
                tuple(map(str, e.get("signed", ()))),
            )
            for e in entries
        ]  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ReleaseRefused(source, "its channel's pointer is damaged") from None
    if any(not _DIGEST.fullmatch(pointer.digest) for pointer in found):
        raise ReleaseRefused(source, "its channel's pointer names no digest")
    return found


def fetch(
    source: str,
    pointer: Pointer,
    folder: Path,
    key: str = "",
    beat: Callable[[], None] = lambda: None,
) -> Path:
    """The release's file, in ``folder``; ``beat`` is called as it comes. Raises
    ``ReleaseRefused``."""
    name = f"{pointer.digest}.release"
    if _is_url(source):
        try:
            return keep(_get(f"{source.rstrip('/')}/{name}", key), pointer, folder, beat)
        except _Absent:
            what = f"{source} does not have it any more"
            raise ReleaseRefused(pointer.title, what) from None
    path = Path(source) / name
    if not path.is_file():
        raise ReleaseRefused(pointer.title, f"{path} is not there; put it on the channel again")
    return path


def keep(pieces: Iterable[bytes], pointer: Pointer, folder: Path, beat: Callable[[], None]) -> Path:
    """A release's file in ``folder``, written as it comes: it may not fit in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f".{pointer.digest}.release"
    size = 0
    with target.open("wb") as file:
        for piece in pieces:
            size += len(piece)
            if size > RELEASE_MAX:
                raise ReleaseRefused(pointer.title, "is larger than a release may be")
            file.write(piece)
            beat()
    return target


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        entries = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise ReleaseRefused(path.stem, f"{path}: {error}") from None
    if not isinstance(entries, list):
        raise ReleaseRefused(path.stem, f"{path} is no channel's pointer")
    return entries


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _get(url: str, key: str) -> Iterator[bytes]:
    """The body at ``url``, in pieces. Raises ``_Absent`` or ``ReleaseRefused``."""
    import httpx  # here, for a station whose releases come on a stick loads no HTTP client

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.stream("GET", url, headers=headers, timeout=TIMEOUT_S) as answer:
            if answer.status_code == 404:
                raise _Absent
            answer.raise_for_status()
            yield from answer.iter_bytes()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ReleaseRefused(url, f"cannot be fetched: {error}") from None
