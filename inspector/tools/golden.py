"""Pictures of good parts: a digest in a recipe goes in, the checked picture comes out.

They lie as PNG beside the recipe, ``golden/<sha256>.png`` (``kept``). Imported by the tools.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from pydantic import PlainSerializer, PlainValidator, ValidationInfo

from inspector.part import Pixels
from inspector.tools.kept import Kind, digest_of, folder_of

FILES = Kind("golden", ".png", "a golden picture")


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """One golden picture."""

    digest: str
    """SHA-256 of its PNG file, in hex."""
    _pixels: Pixels | None = None

    @property
    def known(self) -> bool:
        """Whether its pixels are at hand."""
        return self._pixels is not None

    @property
    def pixels(self) -> Pixels:
        """(h, w) or (h, w, 3) BGR. Raises ``ModelError`` when its file was not looked for."""
        if self._pixels is None:
            raise FILES.not_looked_for(self.digest)
        return self._pixels

    @classmethod
    def of(cls, pixels: Pixels) -> Golden:
        """A golden picture from memory."""
        return cls(digest_of(_png(pixels)), pixels)


def keep_golden(pixels: Pixels, recipes: Path) -> str:
    """Writes ``pixels`` as a golden picture for the recipes in a folder; the digest to name it by.

    Raises ``OSError``, or ``ValueError`` when it is no picture.
    """
    return FILES.keep(_png(pixels), recipes)


def read_golden(digest: str, recipes: Path) -> Golden:
    """The golden picture beside the recipes in a folder. Raises ``ValueError``: what is wrong."""
    data = np.frombuffer(FILES.read(digest, recipes), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR) if data.size else None
    if picture is None or picture.dtype != np.uint8:
        raise FILES.wrong(digest, recipes, "is no 8-bit picture; take it again")
    return Golden(digest, np.ascontiguousarray(picture, np.uint8))


def _found(value: Any, info: ValidationInfo) -> Golden:
    if isinstance(value, Golden):
        return value
    digest, folder = FILES.named(value), folder_of(info)
    return read_golden(digest, folder) if folder else Golden(digest)


def _digest_of(golden: Golden) -> str:
    return golden.digest


def _png(pixels: Pixels) -> bytes:
    good = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.size > 0
    if not good or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,)):
        raise ValueError("a golden picture is (h, w) or (h, w, 3), uint8, and not empty")
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()


GoldenPicture = Annotated[
    Golden, PlainValidator(_found), PlainSerializer(_digest_of, return_type=str)
]
"""A field of a tool's parameters: 64 hex digits in the recipe, a ``Golden`` when it is read."""
