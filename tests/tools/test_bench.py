"""The bench names every model and every run of a recipe, and leaves the tools as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inspector.recipe import load
from inspector.tools import TOOLS
from inspector.tools.bench import bare, bench_models
from inspector.tools.bench_kinds import bench_kinds, steps
from inspector.tools.onnx import Bound, Shelf

ROOT = Path(__file__).parent.parent.parent
RECIPE = """
name: line
tools:
  - {name: print, kind: read, roi: [0, 0, 100, 40]}
"""


def test_a_recipe_is_measured_on_the_tensors_it_makes(tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(RECIPE)
    run = Bound.run
    frames = [{"image": np.full((60, 120), level, np.uint8)} for level in (20, 200)]

    figures = bare(load(tmp_path / "line.yaml", tmp_path, threads=1), frames)

    assert figures["runs"] == 1
    assert figures["cpu_ms"] > 0
    assert figures["per_s"] > 0
    assert Bound.run is run


def test_a_refused_model_is_a_row_and_not_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "broken" / "1"
    folder.mkdir(parents=True)
    (folder / "card.json").write_text("{}")

    (row, *_) = bench_models(tmp_path, threads=(1,), built_in=False)

    assert row["model"] == "broken/1"
    assert "Field required" in row["error"]


def test_anomaly_has_rows_where_its_network_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inspector.tools.bench_kinds.LOOKS", 1)
    monkeypatch.setattr("inspector.tools.bench_kinds.WARM", 0)
    monkeypatch.setattr("inspector.tools.bench_kinds.steps", dict)
    rows = bench_kinds(Shelf(ROOT / "models", threads=1))
    assert [(row["tool"], row["on"]) for row in rows] == [
        ("anomaly, 128 px", "ROI 128x128"),
        ("anomaly, 256 px", "ROI 256x256"),
    ]


def test_every_kind_that_needs_no_model_of_ones_own_has_a_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inspector.tools.bench_kinds.LOOKS", 1)
    monkeypatch.setattr("inspector.tools.bench_kinds.WARM", 0)

    rows = bench_kinds(Shelf(Path("none"), threads=1))

    assert {row["tool"] for row in rows} == set(steps())
    assert all(row["ms"] > 0 for row in rows)
    own_model = {"detect", "classify", "segment", "anomaly"}
    assert {step["kind"] for step in steps().values()} == set(TOOLS) - own_model
