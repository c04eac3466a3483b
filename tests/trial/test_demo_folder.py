"""The demo of a machine without a C compiler, whole (S18)."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.demo_folder import folder_demo
from inspector.part import GateAction
from inspector.store.query import History
from inspector.virtual.filmset import FilmSet

pytestmark = pytest.mark.slow
PARTS = 40


def test_pictures_of_a_folder_are_judged_recorded_and_told_to_the_gate(
    films: FilmSet, tmp_path: Path
) -> None:
    found = folder_demo(films, tmp_path, PARTS, 10.0)
    assert found["triggers"] == found["verdicts"] == found["gate_decisions"] == PARTS
    assert found["passed"] + found["rejected"] + found["errors"] == PARTS
    assert found["gate_rejects"] == PARTS - found["passed"]
    # What the films' truth says, and no tool of the station.
    truth = [part["defects"] for part in films.truth()[:PARTS]]
    assert found["defective"] == sum(map(bool, truth)) > 0
    assert found["camera"] == "folder"
    assert (tmp_path / "gate").read_text().strip() == "0", "who is gone lets nothing through"
    with History(tmp_path / "data") as history:
        for part in history.last(1000):
            if part.verdict.sequence > PARTS:
                continue  # judged while the station was being stopped
            permitted = any(g.action is GateAction.PERMIT for g in part.gates)
            assert permitted is (part.verdict.outcome == "pass")
