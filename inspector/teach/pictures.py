"""Folders of pictures go in, the pictures come out, or which of them is none.

Imported by ``teach`` alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from inspector.part import Pixels
from inspector.pictures import DEPTHS, SUFFIXES, bits_of, images_in, read_image

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""

SHOWN = 5
T = TypeVar("T")


class TeachError(Exception):
    """What cannot be taught from; ``str()`` says what is wrong, where, and how to mend it."""


def told(items: Sequence[T], what: str, progress: Progress) -> Iterator[T]:
    """``items``, one after the other, while ``progress`` is told how far it is with them; nothing
    is said of none."""
    for number, item in enumerate(items):
        progress(what, number, len(items))
        yield item
    if items:
        progress(what, len(items), len(items))


def read_pictures(folder: Path, most: int = 0, bits: int | None = None) -> list[Pixels]:
    """The pictures in ``folder`` and below, sorted by name; with ``most``, so many of them, evenly
    spread. ``bits`` are those of values in files of sixteen, by default as the folder's files have
    them. Raises ``TeachError`` when there are none, or when one cannot be read.
    """
    paths = picture_files(folder, most)
    bits = bits or bits_of(paths) or DEPTHS[-1]
    pictures, flaws = [], []
    for path in paths:
        pixels, flaw = read_image(path, bits)
        if pixels is None:
            flaws.append(flaw)
        else:
            pictures.append(pixels)
    if flaws:
        more = f"; and {len(flaws) - SHOWN} more" if len(flaws) > SHOWN else ""
        raise TeachError(
            f"{folder}: {len(flaws)} of {len(paths)} pictures cannot be used: "
            f"{'; '.join(flaws[:SHOWN])}{more}. Take them out or mend them: what is taught must be "
            "whole"
        )
    return pictures


def picture_files(folder: Path, most: int = 0) -> list[Path]:
    """The picture files in ``folder`` and below, sorted by name, copies left out; with ``most``,
    so many of them, evenly spread. Raises ``TeachError`` when there are none."""
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "is not there"
        raise TeachError(f"{folder} {what}; name a folder of pictures ({', '.join(SUFFIXES)})")
    paths = images_in(folder)
    if not paths:
        raise TeachError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")
    paths = _once(paths)
    if most and len(paths) > most:
        return [paths[i * len(paths) // most] for i in range(most)]
    return paths


def _once(paths: Sequence[Path]) -> list[Path]:
    """Without copies: who is taught one picture eight times believes that good parts never differ,
    and takes that very picture for unlike them."""
    sizes = Counter(_size(path) for path in paths)
    seen: dict[str, Path] = {}
    for path in paths:
        alone = sizes[_size(path)] < 2 or not path.is_file()
        seen.setdefault(str(path) if alone else sha256(path.read_bytes()).hexdigest(), path)
    return list(seen.values())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
