"""A net is taught from snapshots, beginning from what already ships; int8 is held to fp32."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from training_fixtures.station import make_station
from typer.testing import CliRunner

from inspector.tools.card import read_card
from inspector.tools.letterbox import Letterbox
from training.cli import app
from training.cli_fit import lines
from training.dataset.build import from_station
from training.dataset.row import Draft, Label, Row
from training.dataset.snapshot import Snapshot, SnapshotError, keep, open_snapshot, write
from training.detector import Detector, EndToEnd, Shape
from training.export import Difference, check_int8
from training.fit import Schedule
from training.measure import run, session
from training.pictures import Picture
from training.policy import POLICIES, policy_of
from training.recogniser import HEIGHT, WIDTH
from training.start import begin
from training.teach import (
    Lesson,
    classes_of,
    held_out,
    learned_by,
    lineage,
    pictures_of,
    plan_of,
)
from training.tracking import NoTracking, Track

MODELS = Path(__file__).parents[2] / "models"
BOTTLE = MODELS / "bottle-line" / "1"


def square(number: int) -> np.ndarray:
    """A part with a square on it where a scratch would be, if it has one."""
    pixels = np.full((64, 64, 3), 90 + number % 40, np.uint8)
    pixels[::7] -= 9
    if number % 5 == 0 or number % 10 == 2:
        pixels[12:20, 10:40] = (20, 220, 240)
    return pixels


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    station = make_station(folder / "data", batches=5, parts=10, picture=square)
    drafts, made_from = from_station(station)
    write(folder, "squares", drafts, made_from=made_from, by="ben")
    return folder


@pytest.fixture
def squares(home: Path) -> Snapshot:
    return open_snapshot(home, "squares")


def test_what_ships_is_its_own_checkpoint() -> None:
    card = json.loads((BOTTLE / "card.json").read_text())
    known = card["lineage"]["shape"]
    classes = (*known["classes"][:5], "label_torn", *known["classes"][5:])
    shape = Shape(known["height"], known["width"], classes, tuple(known["channels"]), known["neck"])
    net = EndToEnd(begin(Detector(shape), BOTTLE)).eval()
    pixels = np.random.default_rng(1).integers(0, 256, (1, 480, 256, 3), np.uint8)

    with torch.no_grad():
        ours = net(torch.from_numpy(pixels))[0].numpy()
    theirs = run(session(BOTTLE / "model.onnx"), pixels)[0]

    def named(rows: np.ndarray, names: list[str]) -> list[tuple[str, float]]:
        best = rows[rows[:, 4] > 0.02]
        return sorted((names[int(r[5])], round(float(r[4]), 2)) for r in best)

    assert [r for r in named(ours, list(classes)) if r[0] != "label_torn"] == named(
        theirs, known["classes"]
    )


def test_another_net_is_not_begun_from(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same architecture"):
        begin(Detector(Shape(64, 64, ("a",), (8, 8, 16, 16), 8)), BOTTLE)
    with pytest.raises(ValueError, match="is not there"):
        begin(Detector(Shape(64, 64, ("a",), (8, 8, 16, 16), 8)), tmp_path / "none")


def test_a_lesson_keeps_the_starts_classes_and_adds_the_new(squares: Snapshot) -> None:
    classes = classes_of([squares], BOTTLE, "side")
    known = json.loads((BOTTLE / "card.json").read_text())["classes"]
    assert classes == (*known, "scratch")


def test_a_lesson_shows_the_roi_with_its_boxes(squares: Snapshot) -> None:
    lesson = Lesson("m", (squares,), "side", ("bottle", "scratch"), roi=(8, 8, 40, 40))
    pictures = pictures_of(lesson, "train")
    assert {p.pixels.shape for p in pictures} == {(32, 32, 3)}
    scratched = [p for p in pictures if (p.labels == 1).any()]
    assert scratched and all((p.boxes >= 0).all() and (p.boxes <= 32).all() for p in pictures)
    assert scratched[0].boxes[scratched[0].labels == 1].tolist() == [[2, 4, 32, 12]]
    assert not any((p.labels == 0).any() for p in pictures)  # a bottle by less than half


@pytest.mark.parametrize("text", ["40,8,8,40", "8,8,8,40", "-8,0,40,40", "8,8,40"])
def test_a_roi_that_is_none_is_refused_in_words(home: Path, tmp_path: Path, text: str) -> None:
    words = ["fit", "detect", "squares", "--run", str(tmp_path), "--home", str(home), "--roi", text]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, SnapshotError) and "is no ROI" in str(done.exception)


@pytest.mark.parametrize(("given", "looked"), [
    ([], "64x64"), (["--size", "320x320"], "320x320"),
    (["--size", "96x64", "--arch", "ultralytics:yolo11n"], "96x64"),
])  # fmt: skip
def test_a_net_looks_in_the_size_that_is_asked_for(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], looked: str
) -> None:
    def told(*given: object) -> None:
        (shape,) = (one for one in given if isinstance(one, Shape))
        raise ValueError(f"{shape.width}x{shape.height}")

    monkeypatch.setattr("training.detect.fit_detector", told)
    monkeypatch.setattr("training.ultralytics.fit_ultralytics", told)
    words = ["fit", "detect", "squares", "--run", str(tmp_path), "--home", str(home), *given]
    assert str(CliRunner().invoke(app, words).exception) == looked


def test_a_roi_of_another_picture_is_refused_as_a_station_does(squares: Snapshot) -> None:
    lesson = Lesson("m", (squares,), "side", ("scratch",), roi=(8, 8, 40, 80))
    with pytest.raises(ValueError, match=r"8,8,40,80 does not lie in .* 64 × 64"):
        pictures_of(lesson, "train")


def test_a_picture_is_taught_as_the_set_that_marks_it_has_it(squares: Snapshot) -> None:
    """What was marked in another tool, and named by --also, taught nothing. What no set marks is no
    good part's, though an older one took it for that."""
    leak = Label("leak", None)
    bare = replace(squares, rows=tuple(replace(r, labels=(leak,)) for r in squares.rows))
    shown = pictures_of(Lesson("m", (bare, squares), "side", ("scratch",)), "train")

    marked = {r.image[:16] for r in squares.of("train") if any(x.defect for x in r.labels)}
    assert {p.name for p in shown} == marked and all(len(p.boxes) for p in shown)


def test_a_plans_card_names_everything_that_went_in(squares: Snapshot) -> None:
    lesson = Lesson("m", (squares,), "side", ("scratch",), start=BOTTLE)
    plan = plan_of(lesson, policy_of("line-camera"), Schedule(seed=7))
    assert plan.lineage["datasets"] == {squares.ref: squares.digest}
    assert plan.lineage["seed"] == 7 and len(plan.lineage["start_sha256"]) == 64
    assert plan.shape.neck == 48 and plan.shape.classes == ("scratch",)
    assert len(plan.lineage["varied_by"]) == 8


def taught_all(snapshot: Snapshot, start: Path) -> None:
    """A model that all of ``snapshot`` has taught."""
    rows = [replace(row, split="train") for row in snapshot.rows]
    before = keep(snapshot.folder.parents[1], "before", rows, made_from={}, by="ben")
    card = {"classes": ["scratch"], "lineage": {"datasets": {before.ref: before.digest}}}
    start.mkdir(exist_ok=True)
    (start / "card.json").write_text(json.dumps(card))
    (start / "model.onnx").touch()


def test_what_has_taught_a_model_does_not_measure_the_one_begun_from_it(
    squares: Snapshot, tmp_path: Path
) -> None:
    learned = {row.image for row in squares.of("train")}
    turned = [replace(r, split="test" if r.split == "train" else "train") for r in squares.rows]
    again = keep(squares.folder.parents[1], "again", turned, made_from={}, by="ben")
    card = {"lineage": {"datasets": {squares.ref: squares.digest}}}
    (tmp_path / "card.json").write_text(json.dumps(card))
    alone = Lesson("m", (again,), "side", ("scratch",))
    begun, beside = replace(alone, start=tmp_path), replace(alone, snapshots=(again, squares))

    assert len(held_out(alone, "test")) == len(learned)
    twice = replace(alone, snapshots=(again, replace(again, name="copy")))
    assert len(held_out(twice, "test")) == len(learned)
    assert held_out(begun, "test") == held_out(beside, "val", "test") == []
    (tmp_path / "model.onnx").touch()
    assert lineage(begun, None, Schedule())["start_datasets"] == {squares.ref: squares.digest}
    elsewhere = {"lineage": {"start_datasets": {"gone/1": "1f"}}}
    (tmp_path / "card.json").write_text(json.dumps(elsewhere))
    assert learned_by(begun).unknown == ("gone/1",)


def test_a_net_that_nothing_would_measure_is_not_trained(squares: Snapshot, tmp_path: Path) -> None:
    """Another architecture was trained, and failed in the end."""
    taught_all(squares, tmp_path)
    words = ["fit", "detect", squares.ref, "--arch", "ultralytics:none", "--start", str(tmp_path)]
    homes = ["--home", str(squares.folder.parents[1]), "--run", str(tmp_path / "run")]
    done = CliRunner().invoke(app, [*words, *homes])
    assert "nothing is held out that has not taught already" in str(done.exception)
    few = keep(squares.folder.parents[1], "few", squares.of("train"), made_from={}, by="ben")
    done = CliRunner().invoke(app, ["fit", "detect", few.ref, *homes])
    assert "nothing is held out; more parts are due" in str(done.exception)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_says_why_and_draws_the_same_for_a_seed(name: str) -> None:
    policy = policy_of(name)
    assert len(policy.reasons) == len(policy.make())
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    picture = Picture(pixels, np.array([[20, 20, 60, 50]], np.float32), np.array([3]))

    def drawn(way: Callable[..., Picture], seed: int) -> tuple[bytes, bytes]:
        one = way(picture, 64, 96, np.random.default_rng(seed))
        return one.pixels.tobytes(), one.boxes.tobytes()

    for way in (policy, policy.still):
        alone = [drawn(way, seed) for seed in range(12)]
        with ThreadPoolExecutor(8) as threads:  # as examples are made beside a GPU
            assert list(threads.map(partial(drawn, way), range(12))) == alone
    many = [policy(picture, 64, 96, np.random.default_rng(i)) for i in range(20)]
    assert all(p.pixels.shape == (64, 96, 3) for p in many)
    assert any(not np.array_equal(p.pixels, pixels) for p in many)
    assert all(p.labels.tolist() == [3] for p in many if len(p.labels))


def test_a_policy_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="line-camera"):
        policy_of("mirror")


def test_int8_is_the_model_that_it_was_made_of_or_is_refused(tmp_path: Path) -> None:
    pixels = [np.random.default_rng(0).integers(0, 256, (1, 320, 320, 3), np.uint8)]
    whole = MODELS / "bottle-cap" / "1" / "model.onnx"
    found = check_int8(whole, MODELS / "bottle-cap-int8" / "1" / "model.onnx", pixels)
    assert found["same_classes"] == 1.0
    looks = [np.full((1, 480, 256, 3), 90, np.uint8)]
    broken = MODELS / "bottle-line-int8" / "1" / "model.onnx"
    with pytest.raises(Difference, match="not the fp32 model any more"):
        check_int8(_turned(BOTTLE / "model.onnx", tmp_path), broken, looks)


def _turned(source: Path, folder: Path) -> Path:
    """A model that is sure of everything: its score biases are turned round."""
    model = onnx.load(source)
    for entry in model.graph.initializer:
        if entry.name.startswith("net.score.") and entry.name.endswith(".bias"):
            bias = -onnx.numpy_helper.to_array(entry)
            entry.CopyFrom(onnx.numpy_helper.from_array(bias, entry.name))
    onnx.save(model, folder / "turned.onnx")
    return folder / "turned.onnx"


def test_a_run_is_tracked_in_plain_files_and_mlflow_is_missed_in_words(tmp_path: Path) -> None:
    track = Track(tmp_path / "run", "m", {"rate": 0.1})
    track(1, {"loss": 2.0})
    track(2, {"loss": 1.0})
    track.end({"cards": []})
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [2.0, 1.0]
    try:
        import mlflow  # noqa: F401
    except ImportError:
        with pytest.raises(NoTracking, match="pip install mlflow"):
            Track(tmp_path / "other", "m", {}, "http://127.0.0.1:1")


@pytest.mark.slow
def test_a_snapshot_becomes_a_model_with_its_lineage(home: Path, tmp_path: Path) -> None:
    words = [
        "fit", "detect", "squares", "--run", str(tmp_path / "run"), "--view", "side",
        "--home", str(home), "--models", str(tmp_path / "models"), "--epochs", "60",
        "--rate", "0.006", "--threads", "1",
    ]  # fmt: skip
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output + str(done.exception)
    card = json.loads((tmp_path / "models/squares/1/card.json").read_text())
    squares = open_snapshot(home, "squares")
    assert card["lineage"]["datasets"] == {squares.ref: squares.digest}
    assert card["classes"] == list(squares.classes())
    small = json.loads((tmp_path / "models/squares-int8/1/card.json").read_text())
    assert small["lineage"]["against_fp32"]["same_classes"] >= 0.9
    assert (tmp_path / "run/metrics.jsonl").exists()


def test_a_snapshots_lines_of_print_are_cut_out_with_what_they_say(tmp_path: Path) -> None:
    rows = []
    for number in range(6):
        pixels = np.full((40, 120, 3), 200, np.uint8)
        pixels[10:30, 10 : 60 + number] = (200, 0, 0)
        content = cv2.imencode(".png", pixels)[1].tobytes()
        label = Label("lot", (10.0, 10.0, 60.0, 30.0), text=f"L{number}", defect=False)
        down = Label("side", (60.0, 0.0, 70.0, 40.0), text="DOWN", defect=False)
        row = Row(
            sha256(content).hexdigest(), "code", 120, 40, "pass", (label, down),
            "test" if number > 3 else "train", part=str(number), position=number,
        )  # fmt: skip
        rows.append(Draft(row, content))
    printed = write(tmp_path, "print", rows, made_from={}, by="ben")

    learn, held = lines("print", tmp_path)

    assert [line.text for line in learn] == ["L0", "L1", "L2", "L3"]
    assert [line.text for line in held] == ["L4", "L5"]
    assert learn[0].pixels.shape == (20, 50)
    blue = np.full((8, 8, 3), (200, 0, 0), np.uint8)  # a station's grey of it, not the mean
    seen = np.zeros((1, HEIGHT, WIDTH, 1), np.uint8)
    Letterbox(read_card(MODELS / "line-read" / "1", "line-read/1"), seen).fill(blue)
    assert int(learn[0].pixels.max()) == int(seen[0, 0, 0, 0])
    start = tmp_path / "start"
    taught_all(printed, start)
    with pytest.raises(SnapshotError, match="has not taught the start; newer parts are due"):
        lines("print", tmp_path, start)
