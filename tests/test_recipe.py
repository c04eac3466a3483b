"""A recipe's file, its judgement whatever the frame holds, and its approval."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper, numpy_helper

from inspector.config import ConfigError
from inspector.part import Batch, Outcome
from inspector.recipe import Recipe, approve, load, load_approved, read
from inspector.tools import TOOLS
from inspector.tools.card import ModelError
from inspector.tools.onnx import Shelf

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "station_configs" / "recipes").glob("*.yaml"))
TODAY = date(2026, 11, 23)
BATCH = Batch("B1", texts={"lot": "L2417A", "date": "16 NOV 26"})


def put_model(models: Path, bias: float = 0.0) -> None:
    """A detector of ``thing`` whose one box is the frame and whose score is the mean level / 255.

    ``bias`` is added to the score: NaN makes a broken model.
    """
    rows = np.zeros((1, 2, 6), np.float32)
    rows[0, 0, 2:4] = 32
    gain = np.zeros((1, 2, 6), np.float32)
    gain[0, 0, 4] = 1 / 255
    shift = np.zeros((1, 2, 6), np.float32)
    shift[0, 0, 4] = bias
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["floats"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "gain"], ["score"]),
            helper.make_node("Add", ["score", "rows"], ["boxes"]),
            helper.make_node("Add", ["boxes", "shift"], ["detections"]),
        ],
        "g",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, (1, 32, 32, 3))],
        [helper.make_tensor_value_info("detections", TensorProto.FLOAT, (1, 2, 6))],
        [
            numpy_helper.from_array(rows, "rows"),
            numpy_helper.from_array(gain, "gain"),
            numpy_helper.from_array(shift, "shift"),
        ],
    )
    opset = [helper.make_opsetid("", 13)]
    data = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    folder = models / "level" / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(data)
    card = {
        "name": "level",
        "version": "1",
        "task": "detect",
        "sha256": hashlib.sha256(data).hexdigest(),
        "input": {"dtype": "uint8"},
        "output": {"format": "end-to-end"},
        "classes": ["thing", "other"],
    }
    (folder / "card.json").write_text(json.dumps(card))


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

ONE_VIEW = """
name: one
tools:
  - name: bright
    kind: detect
    roi: [0, 0, 16, 16]
    params: {model: level/1, threshold: 0.1, counts: [{label: thing, exactly: 1}]}
"""


def write(folder: Path, text: str, name: str = "r.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def recipe_of(folder: Path, text: str, bias: float = 0.0) -> Recipe:
    put_model(folder, bias)
    return load(write(folder, text), models=folder, threads=1)


def level(value: int) -> np.ndarray:
    return np.full((24, 32, 3), value, np.uint8)


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


def test_a_tool_that_breaks_makes_an_error_that_names_it(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, ONE_VIEW)
    recipe.tools[0][1]._runs = None  # type: ignore[attr-defined]

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
        ("name: bright", "name: Bright!", r"r.yaml:\d+: tools.0.name"),
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


def test_every_kind_of_tool_is_used_by_a_shipped_recipe() -> None:
    used = {step.kind for path in RECIPES for step in read(path).tools}

    assert used == set(TOOLS)


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


@dataclass(frozen=True, slots=True)
class Anna:
    """Stands for a principal of ``inspector.identity``."""

    id: str = "anna"


@dataclass(frozen=True, slots=True)
class Approved:
    """A recipe that anna approved."""

    draft: Path
    kept: Path
    data: Path
    models: Path
    key: Ed25519PrivateKey

    def load(self) -> Recipe:
        return load_approved(self.draft, self.key.public_key(), self.data, self.models, 1)


@pytest.fixture
def approved(tmp_path: Path) -> Approved:
    key, data, models = Ed25519PrivateKey.generate(), tmp_path / "data", tmp_path / "models"
    put_model(models)
    draft = write(tmp_path, ONE_VIEW)
    kept = approve(draft, Anna(), key, data, models)
    return Approved(draft, kept, data, models, key)


def test_an_approved_recipe_loads_and_is_kept_whole(approved: Approved) -> None:
    recipe = approved.load()

    assert approved.kept == approved.data / "recipes" / "one" / f"{recipe.digest}.yaml"
    assert approved.kept.read_bytes() == approved.draft.read_bytes()
    signed = json.loads(approved.kept.with_suffix(".json").read_text())
    assert signed["statement"]["principal"] == "anna"


def test_the_kept_revision_loads_by_itself(approved: Approved) -> None:
    key = approved.key.public_key()

    assert load_approved(approved.kept, key, approved.data, approved.models).name == "one"


def test_an_edited_recipe_is_a_draft(approved: Approved) -> None:
    write(approved.draft.parent, ONE_VIEW.replace("0.1", "0.05"))

    with pytest.raises(ConfigError, match=r"is a draft.*inspector recipe approve"):
        approved.load()


@pytest.mark.parametrize("member", ["name", "revision", "digest", "file_sha256", "principal"])
def test_a_forged_statement_is_refused(approved: Approved, member: str) -> None:
    path = approved.kept.with_suffix(".json")
    signed = json.loads(path.read_text())
    signed["statement"][member] = "mallory"
    path.write_text(json.dumps(signed))

    with pytest.raises(ConfigError, match="damaged or not by this station's key"):
        approved.load()


def test_a_tampered_revision_file_is_refused(approved: Approved) -> None:
    approved.kept.write_text(approved.kept.read_text() + "# harmless\n")

    with pytest.raises(ConfigError, match="not the file that was approved"):
        approved.load()


def test_another_stations_approval_is_refused(approved: Approved) -> None:
    other = Ed25519PrivateKey.generate().public_key()

    with pytest.raises(ConfigError, match="not by this station's key"):
        load_approved(approved.draft, other, approved.data, approved.models)


def test_an_approval_of_another_recipe_does_not_serve(approved: Approved) -> None:
    changed = write(approved.draft.parent, ONE_VIEW.replace("0.1", "0.2"), "s.yaml")
    digest = load(changed, approved.models).digest
    stolen = approved.kept.with_name(f"{digest}.yaml")
    shutil.copy(changed, stolen)
    shutil.copy(approved.kept.with_suffix(".json"), stolen.with_suffix(".json"))

    with pytest.raises(ConfigError, match="not the file that was approved"):
        load_approved(changed, approved.key.public_key(), approved.data, approved.models)


def test_other_models_than_the_approved_ones_are_refused(approved: Approved) -> None:
    put_model(approved.models, bias=0.001)

    with pytest.raises(ConfigError, match="models are not those that were approved"):
        approved.load()


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
