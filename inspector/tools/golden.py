"""Pictures of good parts: a digest in a recipe goes in, the checked picture comes out.

They lie as PNG beside the recipe, ``golden/<sha256>.png``, named by the SHA-256 of the file: the
recipe's digest covers them, and a changed picture is refused. Imported by the tools.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from pydantic import PlainSerializer, PlainValidator, ValidationInfo

from inspector.part import Pixels
from inspector.tools.card import ModelError

FOLDER = "golden"
DIGITS = 64


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
            what = "was read without the folder of its recipe; load the recipe from its file"
            raise ModelError(f"golden/{self.digest[:12]}", what)
        return self._pixels

    @classmethod
    def of(cls, pixels: Pixels) -> Golden:
        """A golden picture from memory."""
        return cls(hashlib.sha256(_png(pixels)).hexdigest(), pixels)


def keep_golden(pixels: Pixels, recipes: Path) -> str:
    """Writes ``pixels`` as a golden picture for the recipes in a folder; the digest to name it by.

    Raises ``OSError``, or ``ValueError`` when it is no picture.
    """
    data = _png(pixels)
    digest = hashlib.sha256(data).hexdigest()
    path = recipes / FOLDER / f"{digest}.png"
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(data)
    draft.replace(path)
    return digest


def read_golden(digest: str, recipes: Path) -> Golden:
    """The golden picture beside the recipes in a folder. Raises ``ValueError``: what is wrong."""
    path = recipes / FOLDER / f"{digest}.png"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); copy it there") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{path} was changed: its digest is another; copy it again")
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR)
    if picture is None or picture.dtype != np.uint8:
        raise ValueError(f"{path} is no 8-bit picture; take it again")
    return Golden(digest, np.ascontiguousarray(picture, np.uint8))


def _found(value: Any, info: ValidationInfo) -> Golden:
    if isinstance(value, Golden):
        return value
    text = value.lower() if isinstance(value, str) else ""
    if len(text) != DIGITS or set(text) - set("0123456789abcdef"):
        raise ValueError("a golden picture is named by its SHA-256, 64 hex digits")
    folder = info.context.get("folder") if isinstance(info.context, dict) else None
    return read_golden(text, folder) if folder else Golden(text)


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
