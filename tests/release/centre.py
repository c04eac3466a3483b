"""Releases made as the centre makes them, and stations that know who signs.

The parts carry a DataMatrix, as in the trials: reading it needs no training. A model that answers
a fixed box stands beside it, so that a release has every kind of file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ruamel.yaml import YAML
from tools.model_shelf import answering

from inspector.identity import Principal, Role
from inspector.part import Batch, Pixels
from inspector.release.trust import trust
from training.release import Example, approve, make, make_key, read_key

SIZE = 128
ROOT = Principal("root", frozenset({Role.ADMIN}))
DAY = date(2026, 11, 25)
STATION = """
station: S1
data: data
recipes: [coded.yaml]
cameras: [{name: side, serial: V001}, {name: code, serial: V002}]
batch: {id: B1}
"""


def picture(text: str, seed: int = 0) -> Pixels:
    """A part's picture: its code on grey, and a little noise."""
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.DataMatrix)
    dots = np.array(code.to_image(scale=5))
    plain = np.full((SIZE, SIZE), 220, np.uint8)
    top, left = (SIZE - dots.shape[0]) // 2, (SIZE - dots.shape[1]) // 2
    plain[top : top + dots.shape[0], left : left + dots.shape[1]] = dots
    noise = np.random.default_rng(seed).integers(0, 9, plain.shape, np.uint8)
    return np.clip(plain, 20, 230) + noise


def examples(kinds: str = "GGGGBB") -> list[Example]:
    """Parts for a parity set: ``G`` passes, ``B`` does not."""
    return [
        Example(f"{kind}{i}", dict.fromkeys(("side", "code"), picture(f"{kind}{i:05d}", i)),
                Batch("parity", "coded"), DAY)
        for i, kind in enumerate(kinds)
    ]  # fmt: skip


@dataclass
class Centre:
    """Two people with a key each, a model, and recipes."""

    folder: Path
    keys: dict[str, Ed25519PrivateKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("ben", "anna", "eve"):
            make_key(self.folder / f"{name}.key")
            self.keys[name] = read_key(self.folder / f"{name}.key")
        self.models = self.folder / "models"
        rows = np.array([[[8, 8, 24, 24, 0.9, 0]]], np.float32)
        parity = {"probes": [{"seed": 0, "answer": [0.9]}]}
        answering(self.models, "detect", "end-to-end", [rows], ["mark"], parity=parity)

    def recipe(self, revision: int = 2, pattern: str = r"G\d{5}", name: str = "coded") -> Path:
        """A recipe that passes parts whose code fits ``pattern``."""
        look = {
            "name": "mark", "kind": "detect", "view": "side",
            "params": {"model": "m/1", "threshold": 0.5},
        }  # fmt: skip
        read = [
            {
                "name": f"{view}-code", "kind": "code", "view": view,
                "params": {"formats": ["DataMatrix"], "expect": {"pattern": pattern},
                           "try_harder": False},
            }
            for view in ("side", "code")
        ]  # fmt: skip
        path = self.folder / f"{name}.yaml"
        with path.open("w") as file:
            YAML(typ="safe").dump(
                {"name": name, "revision": revision, "views": ["side", "code"],
                 "tools": [look, *read]},
                file,
            )  # fmt: skip
        return path

    def unsigned(self, number: int = 2, **how: Any) -> Path:
        """A release that ben has built and nobody approved."""
        out = self.folder / f"coded-{number}.release"
        parts = how.pop("parts", None) or examples()
        card = {"why": "a test", "evaluation": how.pop("evaluation", None)}
        make(
            self.recipe(number, **how), self.models, parts, out, version=str(number),
            number=number, builder="ben", key=self.keys["ben"], card=card,
        )  # fmt: skip
        return out

    def made(self, number: int = 2, **how: Any) -> Path:
        """A release, signed by ben and anna."""
        out = self.unsigned(number, **how)
        approve(out, "anna", self.keys["anna"])
        return out

    def known_at(self, data: Path) -> Path:
        """``data``, at whose station ben builds and anna approves."""
        trust(data, self.folder / "ben.pub", "builder", "ben", ROOT)
        trust(data, self.folder / "anna.pub", "approver", "anna", ROOT)
        return data
