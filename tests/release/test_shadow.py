"""A recipe that judges beside the champion agrees with its like (S16)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inspector.recipe import Recipe
from inspector.release.offer import Offer
from inspector.release.shadow import Shadow

SPECKS = """
limits: {minor: 2}
tools:
  - {name: specks, kind: blob, severity: minor, params: {area: [4, 200]}}
"""


@pytest.mark.parametrize(
    ("spent", "outcome"), [({"minor": 1}, "pass"), ({"minor": 2}, "reject"), (None, "reject")]
)
def test_it_judges_by_what_the_batch_had_let_through_when_the_champion_did(
    tmp_path: Path, recipe_of: Callable[..., Recipe], spent: dict[str, int] | None, outcome: str
) -> None:
    """By none at all the very same recipe rejects what its limits let through: no release with
    limits took over, and one that had was taken back."""
    picture = np.full((80, 200), 220, np.uint8)
    picture[20:28, 20:28] = 30
    shadow = Shadow("d", "trial/2", recipe_of(SPECKS), "f" * 64, 1.0)
    body: dict[str, Any] = {
        "part": "p", "stream": "s", "sequence": 1, "batch": "B-1", "product": "", "texts": {},
        "recipe": "trial@1", "digest": "f" * 64, "labels": [], "utc_ns": 1, "synced": True,
        "outcome": outcome, "spent": spent,
    }  # fmt: skip
    assert shadow.look(Offer(body, {}), {"i": picture}, tmp_path)
