"""Files that a recipe names by their digest: bytes go in and lie beside the recipe, or checked
bytes come out.

They lie in a folder of their kind, named by the SHA-256 of their content, so that the recipe's
digest covers them, and a changed one is refused (I7). Imported by the tools.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationInfo

from inspector.tools.card import ModelError

DIGITS = 64


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of kept file."""

    folder: str
    """Beside the recipes, without a path."""
    suffix: str
    """With its dot."""
    what: str
    """What a person calls one, such as ``a bank``."""

    def keep(self, data: bytes, recipes: Path) -> str:
        """Writes ``data`` for the recipes in a folder, whole or not at all; the digest to name it
        by. Raises ``OSError``."""
        digest = digest_of(data)
        path = self._path(digest, recipes)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.write_bytes(data)
        draft.replace(path)
        return digest

    def read(self, digest: str, recipes: Path) -> bytes:
        """The content that ``digest`` names. Raises ``ValueError``: what is wrong with the file."""
        path = self._path(digest, recipes)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror}); copy it there") from None
        if digest_of(data) != digest:
            raise ValueError(f"{path} was changed: its digest is another; copy it again")
        return data

    def wrong(self, digest: str, recipes: Path, why: str) -> ValueError:
        """The refusal of a file that is unchanged and yet of no use."""
        return ValueError(f"{self._path(digest, recipes)} {why}")

    def named(self, value: Any) -> str:
        """The digest that a recipe's field holds. Raises ``ValueError``."""
        text = value.lower() if isinstance(value, str) else ""
        if len(text) != DIGITS or set(text) - set("0123456789abcdef"):
            raise ValueError(f"{self.what} is named by its SHA-256, {DIGITS} hex digits")
        return text

    def not_looked_for(self, digest: str) -> ModelError:
        """See below, for the file that ``digest`` names."""
        return not_looked_for(f"{self.folder}/{digest[:12]}")

    def _path(self, digest: str, recipes: Path) -> Path:
        return recipes / self.folder / f"{digest}{self.suffix}"


def digest_of(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def not_looked_for(file: str) -> ModelError:
    """What is said when a recipe's text was read without its folder, and then used."""
    what = "was read without the folder of its recipe; load the recipe from its file"
    return ModelError(file, what)


def folder_of(info: ValidationInfo) -> Path | None:
    """The folder of the recipe that is being read; None for a text that lies nowhere."""
    folder = info.context.get("folder") if isinstance(info.context, dict) else None
    return Path(folder) if folder else None
