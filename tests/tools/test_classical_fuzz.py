"""Whatever comes as a frame, a ROI or a place: the classical tools judge it or say why not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from any_frame import frames
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from inspector.part import Batch, Finding, Outcome
from inspector.recipe import Recipe, load
from inspector.tools import TOOLS
from inspector.tools.card import ModelError
from inspector.tools.golden import Golden, keep_golden
from inspector.tools.onnx import Shelf
from inspector.tools.place import Place
from inspector.tools.step import Context, Unjudged

KINDS = ("align", "compare", "measure", "count", "colour", "blob")
SHELF = Shelf(Path("models"))


def scene() -> np.ndarray:
    picture = np.full((72, 96, 3), (60, 70, 80), np.uint8)
    cv2.rectangle(picture, (20, 16), (76, 56), (180, 190, 170), -1)
    cv2.circle(picture, (40, 36), 9, (30, 40, 200), -1)
    cv2.line(picture, (60, 20), (70, 50), (10, 10, 10), 2)
    return picture


RECIPE = """
name: fuzz
tools:
  - {name: part, kind: align, params: {golden: "%(golden)s"}}
  - {name: whole, kind: compare, params: {golden: ["%(golden)s"]}}
  - {name: here, kind: compare, follow: part, roi: [10, 10, 60, 60],
     params: {golden: ["%(golden)s"], traces: bright}}
  - name: size
    kind: measure
    follow: part
    params:
      features:
        - {name: l, kind: line, start: [20, 50], end: [20, 22]}
        - {name: c, kind: circle, centre: [40, 36], radius: 9, reach: 4}
        - {name: e, kind: edge, start: [40, 8], end: [40, 24]}
      measures:
        - {name: w, distance: [l, c]}
        - {name: d, diameter: c}
        - {name: h, level: [e, c]}
  - {name: pieces, kind: count, params: {size_px: 9, at_most: 3}}
  - {name: alike, kind: count, params: {size_px: 9, at_most: 3, golden: "%(piece)s"}}
  - {name: spots, kind: blob, params: {threshold: {method: local}}}
  - {name: spot, kind: blob, follow: spots/spot}
  - {name: paint, kind: colour,
     params: {white: [0, 0, 9, 9], targets: [{name: p, lab: [50, 0, 0]}]}}
  - {name: ink, kind: colour, follow: part, roi: [30, 30, 50, 40],
     params: {targets: [{name: p, lab: [50, 0, 0]}]}}
rules:
  - {name: some, of: [whole, here, size], at_least: 2}
limits: {minor: 3}
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("fuzz")
    golden, piece = keep_golden(scene(), folder), keep_golden(scene()[25:48, 28:52], folder)
    path = folder / "fuzz.yaml"
    path.write_text(RECIPE % {"golden": golden, "piece": piece})
    return load(path)


@st.composite
def scenes(draw: st.DrawFn) -> Any:
    """The scene, turned, moved and scaled."""
    matrix = cv2.getRotationMatrix2D((48, 36), draw(st.floats(-30, 30)), draw(st.floats(0.5, 1.6)))
    matrix[0, 2] += draw(st.integers(-40, 40))
    return cv2.warpAffine(scene(), matrix, (96, 72))


@settings(max_examples=60, deadline=None)
@given(frames(scenes(), (72, 96)))
def test_any_frame_ends_in_a_verdict_and_nothing_breaks(recipe: Recipe, frame: Any) -> None:
    judged = recipe.judge({"image": frame}, Batch("b"), date(2026, 1, 1), True, {})
    assert judged.outcome in (Outcome.PASS, Outcome.REJECT, Outcome.ERROR)
    assert not [reason for reason in judged.reasons if " failed: " in reason], judged.reasons
    for finding in judged.findings:
        assert 0 <= finding.score <= 1
        assert finding.value is None or np.isfinite(finding.value)
        assert finding.box is None or _is_sound(finding)
        assert finding.ok or finding.reason


def _is_sound(finding: Finding) -> bool:
    x1, y1, x2, y2 = finding.box or (0, 0, 0, 0)
    return bool(np.isfinite([x1, y1, x2, y2]).all()) and x1 <= x2 and y1 <= y2


def params_of(kind: str) -> dict[str, Any]:
    golden = Golden.of(scene())
    line = {"name": "l", "kind": "line", "start": (20, 50), "end": (20, 22)}
    circle = {"name": "c", "kind": "circle", "centre": (40, 36), "radius": 9, "reach": 4}
    return {
        "align": {"golden": golden},
        "compare": {"golden": (golden,)},
        "measure": {
            "features": (line, circle),
            "measures": ({"name": "w", "distance": ("l", "c")},),
        },
        "count": {"size_px": 9, "exactly": 1},
        "colour": {"targets": ({"name": "p", "lab": (50, 0, 0)},)},
        "blob": {},
    }[kind]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([k for k in KINDS if k != "measure"]),
    st.tuples(*[st.integers(-3, 140)] * 4),
)
def test_any_roi_is_refused_when_it_is_written_or_judged_or_unjudged(
    kind: str, roi: tuple[int, int, int, int]
) -> None:
    tool = TOOLS[kind]
    try:
        step = tool.Step(name="s", kind=kind, roi=roi, params=params_of(kind))
        made = tool(step, SHELF)
    except (ValidationError, ModelError) as error:
        assert str(error)
        return
    try:
        findings = made.look(scene(), Context(Batch("b"), date(2026, 1, 1)))
    except Unjudged as error:
        assert str(error)
    else:
        assert all(isinstance(f, Finding) for f in findings)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=False, width=32), min_size=6, max_size=6))
def test_any_place_that_is_followed_is_measured_at_or_unjudged(numbers: list[float]) -> None:
    tool = TOOLS["measure"]
    step = tool.Step(name="s", kind="measure", follow="part", params=params_of("measure"))
    context = Context(Batch("b"), date(2026, 1, 1))
    context.places["part"] = Place(np.array(numbers).reshape(2, 3))
    try:
        findings = tool(step, SHELF).look(scene(), context)
    except Unjudged as error:
        assert "caliper" in str(error)
    else:
        assert findings


def test_golden_pictures_of_any_kind_are_taught_or_refused() -> None:
    for golden in _goldens():
        for kind in ("align", "compare"):
            params = {"golden": golden if kind == "align" else (golden,)}
            try:
                tool = TOOLS[kind](TOOLS[kind].Step(name="s", kind=kind, params=params), SHELF)
                tool.warm_up()
            except ModelError as error:
                assert "golden/" in str(error)


def _goldens() -> Iterator[Golden]:
    rng = np.random.default_rng(1)
    for size in ((1, 1), (3, 3), (8, 200), (200, 8), (64, 64)):
        for shape in (size, (*size, 3)):
            yield Golden.of(rng.integers(0, 256, shape, np.uint8))
            yield Golden.of(np.full(shape, 128, np.uint8))
