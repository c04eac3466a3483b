"""Each kind of tool is used by a shipped recipe, benched, shown on a page, and judges whatever
comes as a frame or says why not (S3, S4)."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from any_frame import frames
from hypothesis import HealthCheck, given, settings

from inspector.part import Batch, Outcome
from inspector.recipe import Recipe, load
from inspector.tools import TOOLS
from inspector.tools.bench_kinds import steps, surfaces
from inspector.tools.onnx import Shelf
from inspector.virtual.bottle import PartSpec, render_part

ROOT = Path(__file__).parents[2]
SHELF = Shelf(ROOT / "models")
RECIPES = sorted((ROOT / "station_configs" / "recipes").glob("*.yaml"))
PAGES = [ROOT / "docs" / f"{name}.md" for name in ("tools", "tools-classical", "tools-anomaly")]
BY_THEIR_MODEL = {"detect", "classify", "segment"}
"""Benched as the row of each model in ``models/``."""
LEARNT = {
    "detect": "{model: bottle-cap/1, defects: {Cap: minor}}",
    "classify": "{model: bottle-line-cap/1, expect: [good]}",
    "segment": "{model: bottle-line-marks/1, defects: {label_scratched: minor}}",
    "read": "{model: line-read/1, lines: [{name: lot, roi: [8, 8, 88, 40], pattern: 'L\\d{4}'}]}",
    "code": "{at_least: 1, gs1: true, quality: {}}",
    "illumination": "{low: 85, high: 190}",
}


@pytest.mark.parametrize("kind", sorted(TOOLS))
def test_every_kind_has_a_recipe_a_bench_row_and_a_page_with_a_picture(kind: str) -> None:
    assert any(f"kind: {kind}" in path.read_text() for path in RECIPES), "no recipe uses it"
    rows = {step["kind"] for step in (*steps().values(), *surfaces(SHELF).values())}
    models = {SHELF.card(path.parent.parent.name + "/" + path.parent.name).task
              for path in ROOT.glob("models/*/*/card.json")}  # fmt: skip
    assert kind in (models if kind in BY_THEIR_MODEL else rows), "it is not benched"
    shown = {
        page.parent / file
        for page in PAGES
        for says, file in re.findall(r"!\[(.*?)\]\((.*?)\)", page.read_text())
        if re.search(rf"\b{kind}\b", says) or page.stem.endswith(kind)
    }
    assert shown and all(file.is_file() for file in shown), "no page shows it"


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recipe]:
    folder, made = tmp_path_factory.mktemp("kinds"), {}
    for kind, params in LEARNT.items():
        roi = ", roi: [8, 8, 40, 40]" if kind == "illumination" else ""
        path = folder / f"{kind}.yaml"
        path.write_text(
            f"name: {kind}\ntools: [{{name: one, kind: {kind}{roi}, params: {params}}}]\n"
        )
        made[kind] = load(path, SHELF)
    return made


@pytest.mark.parametrize("kind", sorted(LEARNT))
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(frame=frames(lambda seed: render_part(seed, PartSpec()).side))
def test_any_frame_ends_in_a_verdict(recipes: dict[str, Recipe], kind: str, frame: Any) -> None:
    judged = recipes[kind].judge({"image": frame}, Batch("b"), date(2026, 1, 1), True, {})
    assert judged.outcome in (Outcome.PASS, Outcome.REJECT, Outcome.ERROR)
    assert not [reason for reason in judged.reasons if " failed: " in reason], judged.reasons
    for finding in judged.findings:
        assert 0 <= finding.score <= 1 and (finding.ok or finding.reason)
        if finding.box is not None:
            assert np.isfinite(finding.box).all()
