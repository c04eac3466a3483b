"""A recipe's file, and its judgement whatever the frame holds."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from level_model import ONE_VIEW, level, put_model, write

from inspector.config import ConfigError
from inspector.part import Batch, Outcome
from inspector.recipe import Recipe, load, read
from inspector.tools.card import ModelError
from inspector.tools.onnx import Shelf

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "station_configs" / "recipes").glob("*.yaml"))
TODAY = date(2026, 11, 23)
BATCH = Batch("B1", texts={"lot": "L2417A", "date": "16 NOV 26"})


TWO_VIEWS = """
name: two
views: [side, top]
tools:
  - name: bright
    kind: detect
    view: side
    severity: minor
    params: {model: level/1, threshold: 0.3, counts: [{label: thing, exactly: 1}]}
  - name: dark
    kind: detect
    view: top
    params: {model: level/1, threshold: 0.3, defects: {thing: critical}}
"""


def recipe_of(folder: Path, text: str, bias: float = 0.0) -> Recipe:
    put_model(folder, bias)
    return load(write(folder, text), models=folder, threads=1)


def test_a_good_part_passes(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, TWO_VIEWS)
    recipe.warm_up()

    judged = recipe.judge({"side": level(200), "top": level(0)}, BATCH, TODAY)

    assert (judged.outcome, judged.reasons) == (Outcome.PASS, ())
    assert [(f.tool, f.view, f.label) for f in judged.findings] == [("bright", "side", "thing")]


def test_reasons_come_worst_first(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, TWO_VIEWS)

    judged = recipe.judge({"side": level(0), "top": level(250)}, BATCH, TODAY)

    assert judged.outcome == Outcome.REJECT
    assert judged.reasons[0].startswith("thing (")
    assert judged.reasons[1] == "0 × thing where exactly 1 must be"


def test_a_missing_view_is_an_error(tmp_path: Path) -> None:
    judged = recipe_of(tmp_path, TWO_VIEWS).judge({"side": level(200)}, BATCH, TODAY)

    assert judged.outcome == Outcome.ERROR
    assert "view top: no frame" in judged.reasons


def test_a_recipe_with_one_view_takes_any_frame(tmp_path: Path) -> None:
    judged = recipe_of(tmp_path, ONE_VIEW).judge({"whatever": level(200)}, BATCH, TODAY)

    assert judged.outcome == Outcome.PASS


def test_scores_that_are_not_numbers_are_an_error(tmp_path: Path) -> None:
    judged = recipe_of(tmp_path, ONE_VIEW, bias=float("nan")).judge({"x": level(9)}, BATCH, TODAY)

    assert judged.outcome == Outcome.ERROR
    assert "not numbers" in judged.reasons[0]


def test_a_tool_that_breaks_makes_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_of(tmp_path, ONE_VIEW)
    monkeypatch.setattr(recipe.tools[0][1], "_runs", None)

    judged = recipe.judge({"x": level(200)}, BATCH, TODAY)

    assert judged.outcome == Outcome.ERROR
    assert judged.reasons[0].startswith("bright failed: TypeError")


def test_the_same_frame_is_judged_the_same_a_thousand_times(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, TWO_VIEWS)
    frames = [{"side": level(v), "top": level(255 - v)} for v in (0, 20, 200)]

    first = [recipe.judge(f, BATCH, TODAY).outcome for f in frames]
    again = {tuple(recipe.judge(f, BATCH, TODAY).outcome for f in frames) for _ in range(330)}

    assert again == {tuple(first)}


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((24, 0), np.uint8),
        np.zeros((24, 32, 4), np.uint8),
        np.zeros((24, 32), np.uint16),
        np.zeros((24, 32, 3), np.float32),
        np.zeros(32, np.uint8),
        np.zeros((1, 24, 32, 3), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        None,
        "pixels",
    ],
)
def test_an_unusable_frame_is_an_error_with_a_reason(tmp_path: Path, pixels: Any) -> None:
    judged = recipe_of(tmp_path, ONE_VIEW).judge({"x": pixels}, BATCH, TODAY)

    assert judged.outcome == Outcome.ERROR
    assert judged.reasons[0]


EVERYTHING = """
name: everything
tools:
  - {name: light, kind: illumination, roi: [0, 0, 4, 4], params: {low: 1, high: 250}}
  - {name: find, kind: detect, params: {model: level/1, threshold: 0.3}}
  - {name: corner, kind: detect, roi: [5, 5, 20, 12], params: {model: level/1}}
  - {name: print, kind: read, params: {lines: [{name: lot, expect: "{lot}"}]}}
  - {name: place, kind: read, roi: [2, 3, 30, 11], params: {lines: [{pattern: 'L\\d{4}'}]}}
  - {name: code, kind: code, params: {at_least: 0}}
"""


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return recipe_of(tmp_path_factory.mktemp("everything"), EVERYTHING)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_a_frame_holds_there_is_a_judgement(everything: Recipe, data: Any) -> None:
    side = st.integers(0, 48)
    shape = data.draw(
        st.one_of(
            st.tuples(side, side),
            st.tuples(side, side, st.sampled_from([1, 3, 4])),
            st.tuples(side),
        )
    )
    dtype = data.draw(st.sampled_from([np.uint8, np.uint8, np.uint8, np.uint16, np.float32]))
    pixels = data.draw(arrays(dtype, shape))
    if data.draw(st.booleans()) and pixels.ndim >= 2:
        pixels = pixels[::-1, ::2]  # not contiguous

    judged = everything.judge({"image": pixels}, BATCH, TODAY)

    assert judged.outcome in {Outcome.REJECT, Outcome.ERROR}, "nothing of it shows a lot"
    assert judged.reasons
    assert all(judged.reasons)
    for finding in judged.findings:
        assert 0 <= finding.score <= 1


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("kind: detect", "kind: detct", r"r.yaml:\d+: tools.0: .*did you mean `detect`"),
        ("kind: detect", "kin: detect", r"r.yaml:\d+: tools.0: .*`kind` is missing"),
        ("threshold", "treshold", r"r.yaml:\d+: tools.0.params.treshold: .*`threshold`"),
        ("exactly: 1", "exactly: x", r"r.yaml:\d+: tools.0.params.counts.0.exactly"),
        ("label: thing", "label: thin", r"no class `thin`; did you mean `thing`"),
        (", exactly: 1", "", "at least one of `at_least`"),
        ("roi: [0, 0, 16, 16]", "roi: [0, 0, 0, 16]", r"r.yaml:\d+: tools.0.roi: a ROI is"),
        ("roi: [0, 0, 16, 16]", "roi: 5", r"r.yaml:\d+: tools.0.roi"),
        ("level/1", "levle/1", "did you mean `level`"),
        ("name: one", "nam: one", "name: is missing"),
        ("name: bright", "name: Bright!", r"r.yaml:\d+: tools.0.name: a name begins with a small"),
        ("name: one", "name: one\nviews: []", "at least one"),
        ("name: one", "name: one\nviews: [a, b]", "must say which `view`"),
        ("kind: detect", "kind: detect\n    view: sid", "looks at view `sid`"),
        ("tools:", "tool:", "tools"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, old: str, new: str, says: str) -> None:
    put_model(tmp_path)
    path = write(tmp_path, ONE_VIEW.replace(old, new))

    with pytest.raises(ConfigError, match=says):
        load(path, models=tmp_path)


def test_two_tools_of_one_name_and_no_tools_at_all_are_refused(tmp_path: Path) -> None:
    put_model(tmp_path)
    twice = TWO_VIEWS.replace("name: dark", "name: bright")

    with pytest.raises(ConfigError, match="two tools are named `bright`"):
        load(write(tmp_path, twice), models=tmp_path)
    with pytest.raises(ConfigError, match="would pass everything"):
        load(write(tmp_path, "name: one\ntools: []\n"), models=tmp_path)


def test_a_corrupt_model_is_refused_when_the_recipe_is_loaded(tmp_path: Path) -> None:
    put_model(tmp_path)
    model = tmp_path / "level" / "1" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")

    with pytest.raises(ModelError, match=r"model level/1: .*SHA-256 differs.*install"):
        load(write(tmp_path, ONE_VIEW), models=tmp_path)


@pytest.mark.parametrize("path", RECIPES, ids=[p.stem for p in RECIPES])
def test_every_shipped_recipe_is_valid(path: Path) -> None:
    assert read(path).name == path.stem


def test_the_digest_is_of_the_content_not_of_comments_or_layout(tmp_path: Path) -> None:
    put_model(tmp_path)
    plain = load(write(tmp_path, ONE_VIEW), models=tmp_path).digest
    commented = load(write(tmp_path, "# by Anna\n" + ONE_VIEW), models=tmp_path).digest
    changed = load(write(tmp_path, ONE_VIEW.replace("0.1", "0.2")), models=tmp_path).digest

    assert plain == commented
    assert plain != changed


def test_recipes_of_one_shelf_share_their_sessions(tmp_path: Path) -> None:
    put_model(tmp_path)
    shelf = Shelf(tmp_path, threads=1)
    one = load(write(tmp_path, ONE_VIEW), shelf)
    two = load(write(tmp_path, TWO_VIEWS), shelf)

    assert one.model_digests == two.model_digests
    for _ in range(3):  # and their buffers stay apart
        assert one.judge({"x": level(200)}, BATCH, TODAY).outcome == Outcome.PASS
        both = {"side": level(200), "top": level(0)}
        assert two.judge(both, BATCH, TODAY).outcome == Outcome.PASS


def test_images_are_judged_off_line_as_on_the_line(tmp_path: Path) -> None:
    from inspector.offline import inspect_images

    put_model(tmp_path / "models")
    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), level(200))
    cv2.imwrite(str(folder / "b.jpg"), level(0))
    whole = (folder / "b.jpg").read_bytes()
    (folder / "c.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "d.png").write_bytes(b"")
    (folder / "e.png").write_bytes(b"not an image")
    (folder / "notes.txt").write_text("no image")
    missing = tmp_path / "missing.png"

    recipe = write(tmp_path, ONE_VIEW)
    results = list(inspect_images(recipe, [folder, missing], tmp_path / "models", threads=1))

    outcomes = {Path(r["image"]).name: r["outcome"] for r in results}
    assert outcomes == {
        "a.png": "pass",
        "b.jpg": "reject",
        "c.jpg": "error",
        "d.png": "error",
        "e.png": "error",
        "missing.png": "error",
    }
    assert all(r["reasons"] for r in results if r["outcome"] != "pass")
    assert "truncated" in results[2]["reasons"][0]
    json.dumps(results)
    keys = {"tool", "kind", "label", "score", "box", "text", "value", "unit"}
    assert keys <= set(results[0]["findings"][0])
