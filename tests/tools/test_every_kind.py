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
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML
from tools.model_shelf import answering, inking

from inspector.part import Batch, Outcome
from inspector.recipe import Recipe, load
from inspector.tools import TOOLS
from inspector.tools.bench_kinds import steps, surfaces
from inspector.tools.card import ModelError, models_in
from inspector.tools.onnx import Shelf
from inspector.tools.step import Context, Unjudged
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


@pytest.fixture(scope="module")
def benched() -> set[str]:
    """The kinds that have a row of their own, and those that have their model's."""
    rows = {step["kind"] for step in (*steps().values(), *surfaces(SHELF).values())}
    return rows | BY_THEIR_MODEL & {SHELF.card(ref).task for ref in models_in(SHELF.models)}


@pytest.mark.parametrize("kind", sorted(TOOLS))
def test_every_kind_has_a_recipe_a_bench_row_and_a_page_with_a_picture(
    kind: str, benched: set[str]
) -> None:
    assert any(f"kind: {kind}" in path.read_text() for path in RECIPES), "no recipe uses it"
    assert kind in benched, "it is not benched"
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
@given(frame=frames(st.integers(0, 9).map(lambda seed: render_part(seed, PartSpec()).side)))
def test_any_frame_ends_in_a_verdict(recipes: dict[str, Recipe], kind: str, frame: Any) -> None:
    judged = recipes[kind].judge({"image": frame}, Batch("b"), date(2026, 1, 1), True, {})
    assert judged.outcome in (Outcome.PASS, Outcome.REJECT, Outcome.ERROR)
    assert not [reason for reason in judged.reasons if " failed: " in reason], judged.reasons
    for finding in judged.findings:
        assert 0 <= finding.score <= 1 and (finding.ok or finding.reason)
        if finding.box is not None:
            assert np.isfinite(finding.box).all()


@pytest.mark.parametrize("kind", sorted(LEARNT))
@settings(max_examples=12, deadline=None)
@given(roi=st.tuples(*[st.integers(-3, 700)] * 4))
def test_any_roi_is_refused_when_it_is_written_or_judged_or_unjudged(
    kind: str, roi: tuple[int, int, int, int]
) -> None:
    """Empty, upside down, outside: of the other kinds in ``test_classical_fuzz.py`` and
    ``test_anomaly_fuzz.py``."""
    params = YAML(typ="safe").load(LEARNT[kind])
    if kind == "read":
        params.pop("lines")  # they have places of their own
    step = {"name": "one", "kind": kind, "roi": list(roi), "params": params}
    try:
        tool = TOOLS[kind](TOOLS[kind].Step.model_validate(step, context={"shelf": SHELF}), SHELF)
        found = tool.look(render_part(1, PartSpec()).side, Context(Batch("b"), date(2026, 1, 1)))
    except (ValidationError, Unjudged, ModelError) as error:
        assert str(error)
    else:
        assert all(0 <= f.score <= 1 and (f.ok or f.reason) for f in found)


ANSWERS = {
    "detect": ("end-to-end", (1, 5, 6), ("a", "b"), "{model: m/1, defects: {a: minor}}"),
    "read": ("ctc", (1, 20, 37), (), "{model: m/1}"),
    "read, also": ("ctc", (1, 20, 37), (), "{model: m/1, also: m/1, dot_matrix: true}"),
}
"""How a model of each kind answers, and a step with it; of ``classify`` and ``segment`` in their
own tests."""


@pytest.mark.parametrize("kind", sorted(ANSWERS))
@settings(max_examples=25, deadline=None)
@given(
    fill=st.sampled_from([np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0, 1.0]),
    first=st.integers(0, 60),
    many=st.integers(1, 800),
    seed=st.integers(0, 9),
)
def test_scores_that_are_no_numbers_end_in_findings_or_in_a_sentence(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    fill: float,
    first: int,
    many: int,
    seed: int,
) -> None:
    form, shape, classes, params = ANSWERS[kind]
    answer = np.random.default_rng(seed).uniform(0, 1, shape)
    answer.ravel()[first : first + many] = fill
    name, charset = kind.split(",")[0], list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    task = "recognise" if name == "read" else name
    shelf = answering(
        tmp_path_factory.mktemp("models"), task, form, [answer], classes, charset=charset
    )
    step = {"name": "one", "kind": name, "params": YAML(typ="safe").load(params)}
    try:
        tool = TOOLS[name](TOOLS[name].Step.model_validate(step, context={"shelf": shelf}), shelf)
        tool.warm_up()
        found = tool.look(np.zeros((48, 90, 3), np.uint8), Context(Batch("b"), date(2026, 1, 1)))
    except (Unjudged, ModelError) as error:
        assert str(error)
    else:
        for finding in found:
            assert 0 <= finding.score <= 1 and (finding.ok or finding.reason)
            assert finding.box is None or np.isfinite(finding.box).all()


def test_a_reader_that_stops_before_its_softmax_is_refused(tmp_path: Path) -> None:
    """Whatever it was in doubt about was more than certain."""
    answer = np.random.default_rng(0).normal(0, 4, (1, 20, 37))
    charset = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    shelf = answering(tmp_path, "recognise", "ctc", [answer], (), charset=charset)
    step = {"name": "one", "kind": "read", "params": {"model": "m/1"}}
    made = TOOLS["read"].Step.model_validate(step, context={"shelf": shelf})

    with pytest.raises(ModelError, match="export it with its softmax"):
        TOOLS["read"](made, shelf)


@pytest.mark.parametrize("factor", [np.nan, np.inf, 1e30])
def test_a_text_finder_that_answers_no_numbers_is_said_to(tmp_path: Path, factor: float) -> None:
    shelf = inking(tmp_path, factor)
    step = {"name": "one", "kind": "read", "params": {"find": "m/1"}}
    tool = TOOLS["read"](TOOLS["read"].Step.model_validate(step, context={"shelf": shelf}), shelf)
    picture = render_part(1, PartSpec()).side
    try:
        found = tool.look(picture, Context(Batch("b"), date(2026, 1, 1)))
    except Unjudged as error:
        assert "not numbers" in str(error)
    else:
        assert factor == 1e30 and all(f.ok or f.reason for f in found)
