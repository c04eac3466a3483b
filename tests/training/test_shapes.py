"""Classifiers and segmenters are taught from snapshots, and run in the station's own tools."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch
from training_fixtures.station import SCRATCH, make_station
from typer.testing import CliRunner

from inspector.part import Batch, Outcome
from inspector.recipe import load
from training.cli import app
from training.dataset.build import from_station
from training.dataset.labels import UNNAMED
from training.dataset.row import Label
from training.dataset.snapshot import Snapshot, open_snapshot, write
from training.detector import Shape
from training.export import Difference
from training.shapes import STRIDE, Classifier, Classify, Segment, Segmenter
from training.shapes_fit import GOOD, classes_for, export_shapes, taught
from training.teach import Lesson

SMALL = Shape(64, 64, ("good", "scratch"), (8, 8, 16, 16), 8)


def scratched(number: int) -> np.ndarray:
    """A part with a bright mark, if it is one that has it."""
    rng = np.random.default_rng(number)
    pixels = np.full((64, 64, 3), 90, np.uint8) + rng.integers(0, 30, (1, 1, 3), np.uint8)
    if number % 5 == 0 or number % 10 == 2:
        x1, y1, x2, y2 = (int(v) for v in SCRATCH)
        pixels[y1:y2, x1:x2] = (30, 220, 240)
    return pixels + rng.integers(0, 6, pixels.shape, np.uint8)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    station = make_station(folder / "data", batches=6, parts=10, picture=scratched)
    drafts, made_from = from_station(station)
    write(folder, "marks", drafts, made_from=made_from, by="ben")
    return folder


@pytest.fixture
def marks(home: Path) -> Snapshot:
    return open_snapshot(home, "marks")


def test_what_leaves_the_nets_is_scores_of_the_right_shape() -> None:
    image = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    with torch.no_grad():
        kinds = Classify(Classifier(SMALL)).eval()(image)
        masks = Segment(Segmenter(SMALL)).eval()(image)
    assert kinds.shape == (1, 2) and float(kinds.sum()) == pytest.approx(1)
    assert masks.shape == (1, 2, 64 // STRIDE, 64 // STRIDE) and 0 <= float(masks.max()) <= 1
    with pytest.raises(ValueError, match="multiples of 32"):
        Classifier(Shape(60, 64, ("a",)))


def test_a_picture_is_its_worst_defect_and_a_mask_is_where_people_drew_it(marks: Snapshot) -> None:
    lesson = Lesson("m", (marks,), "side", ())
    assert classes_for("classify", lesson) == (GOOD, "scratch")
    assert classes_for("segment", lesson) == ("scratch",)
    shape = Shape(64, 64, ("scratch",))
    lesson = Lesson("m", (marks,), "side", ("scratch",))
    seen = taught("segment", lesson, shape, "train")
    drawn = next(t for t in seen if t.mask.any())
    x1, y1, x2, y2 = (int(v) // STRIDE for v in SCRATCH)
    assert drawn.mask[0, y1 + 1, x1 + 1] and drawn.mask[0].sum() <= (y2 - y1 + 2) * (x2 - x1 + 2)
    assert not drawn.mask[0, -1].any()


def test_a_scratch_thinner_than_a_cell_is_in_the_mask(marks: Snapshot) -> None:
    row = marks.of("train")[0]
    thin = Label("scratch", (10.0, 13.0, 40.0, 14.0), ((10, 13), (40, 13)))
    blot = Label("scratch", (16.0, 36.0, 30.0, 48.0))
    one = replace(marks, rows=(replace(row, truth="reject", labels=(thin, blot)),))
    lesson = Lesson("m", (one,), "side", ("scratch",))

    (seen,) = taught("segment", lesson, Shape(64, 64, ("scratch",)), row.split)

    rows, columns = seen.mask[0].nonzero()
    assert set(columns[rows == 13 // STRIDE]) == set(range(10 // STRIDE, 40 // STRIDE))
    assert seen.mask[0, 40 // STRIDE, 20 // STRIDE]


def test_what_nobody_has_marked_teaches_a_classifier_nothing(marks: Snapshot) -> None:
    (first, *others) = marks.of("train")
    one = replace(marks, rows=(replace(first, truth="reject", labels=(Label(UNNAMED),)), *others))
    lesson = Lesson("m", (one,), "side", (GOOD, "scratch"))

    assert classes_for("classify", lesson) == (GOOD, "scratch")
    assert len(taught("classify", lesson, SMALL, "train")) == len(others)


def test_a_classifier_of_a_place_is_not_taught_what_lies_beside_it(marks: Snapshot) -> None:
    row = marks.of("train")[0]
    here, beside = (Label(n, b) for n, b in (("dent", (2, 40, 20, 60)), ("scratch", SCRATCH)))
    partly = Label("dent", (2, 22, 20, 40))  # of which a good part has nothing, either
    rows = [
        replace(row, truth="reject", labels=(beside, *more)) for more in ((), (here,), (partly,))
    ]
    lesson = Lesson("m", (replace(marks, rows=tuple(rows)),), "side", (), roi=(0, 32, 64, 64))

    assert classes_for("classify", lesson) == (GOOD, "dent")
    seen = taught("classify", lesson, Shape(32, 64, (GOOD, "dent", "scratch")), row.split)
    assert [t.kind for t in seen] == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["classify", "segment"])
def test_a_snapshot_becomes_a_model_that_a_recipe_runs(
    task: str, home: Path, marks: Snapshot, tmp_path: Path
) -> None:
    words = [
        "fit", task, "marks", "--run", str(tmp_path / "run"), "--home", str(home), "--models",
        str(tmp_path / "models"), "--epochs", "25", "--rate", "0.004", "--threads", "1",
    ]  # fmt: skip
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output + str(done.exception)
    card = json.loads((tmp_path / "models/marks-int8/1/card.json").read_text())
    assert card["metrics"]["right"]["value"] > 0.8, card["metrics"]
    params = (
        {"model": "marks-int8/1", "expect": [GOOD]}
        if task == "classify"
        else {"model": "marks-int8/1", "defects": {"scratch": "major"}}
    )
    recipe = tmp_path / "marks.yaml"
    step = {"name": "look", "kind": task, "params": params}
    recipe.write_text(json.dumps({"name": "marks", "views": ["side"], "tools": [step]}))
    loaded = load(recipe, tmp_path / "models")
    batch = Batch("b")
    rows = marks.of("test")
    right = 0
    for row in rows:
        judged = loaded.judge({"side": marks.picture(row)}, batch, date(2026, 1, 1))
        right += (judged.outcome is Outcome.PASS) == (row.truth == "pass")
    assert right >= 0.8 * len(rows)


@pytest.mark.slow
def test_an_export_that_is_refused_leaves_the_model_that_was_there(
    marks: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tmp_path / "marks" / "1"
    before.mkdir(parents=True)
    (before / "model.onnx").write_bytes(b"what the line runs")
    lesson = Lesson("m", (marks,), "side", ("good", "scratch"))
    held = taught("classify", lesson, SMALL, "test")[:2]
    monkeypatch.setattr("training.shapes_fit.SCORES", -1.0)

    with pytest.raises(Difference, match="torch and ONNX differ"):
        export_shapes(
            "classify", "marks", Classifier(SMALL), held, held, tmp_path, "1", "", "marks", {}
        )

    assert [p.name for p in tmp_path.rglob("*")] == ["marks", "1", "model.onnx"]
    assert (before / "model.onnx").read_bytes() == b"what the line runs"
