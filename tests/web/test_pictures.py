"""Pictures of the archive that the engineer's pages draw on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inspector.part import Batch
from inspector.store import History, LineLedger
from inspector.store.bench import sample_verdict
from inspector.store.records import ImageRecord
from inspector.web import pictures


def test_a_recipe_has_its_pictures_while_another_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next product's recipe was said to have none as soon as another had judged 600 parts."""
    monkeypatch.setattr(pictures, "SEARCHED", 3)
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for number, name in enumerate(("bottle", "bottle", "can", "can", "can"), 1):
            ledger.add_batch(Batch(f"L{number}", recipe=name), "begin", "line")
            made = replace(sample_verdict(number, batch=f"L{number}"), recipe=f"{name}@1")
            ledger.add_verdict(made)
            ledger.add_image(ImageRecord(made.part_id, "side", "ab" * 32, f"{number}.jpg", 1))
    desk: Any = SimpleNamespace(history=lambda: History(tmp_path))

    kept = {name: pictures.pictures_of(desk, name) for name in ("bottle", "can", "jar")}
    assert {name: [p["number"] for p in of] for name, of in kept.items()} == {
        "bottle": [2, 1], "can": [5, 4, 3], "jar": [],
    }  # fmt: skip
