"""The past judged again, drift with its proposal, trials on folds: here, or on a cluster."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from training_fixtures.station import draw, make_station
from training_fixtures.station import found as found_by
from typer.testing import CliRunner

from inspector.part import Finding, Outcome
from training.backtest import backtest
from training.cli import app
from training.dataset.build import from_station
from training.dataset.snapshot import SnapshotError, keep, open_snapshot, write
from training.drift import drift
from training.learned import datasets_of
from training.trials import Trial, fold_of, trials, turn
from training.ultralytics import NoUltralytics, fit_ultralytics

MODEL = Path(__file__).parents[2] / "models" / "bottle-cap-int8" / "1"


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_station(tmp_path_factory.mktemp("station") / "data", batches=6, parts=10)


@pytest.fixture(scope="module")
def home(station: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    drafts, made_from = from_station(station)
    write(folder, "parts", drafts, made_from=made_from, by="ben")
    return folder


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    """A recipe that rejects every part whose picture is not nearly white."""
    step = {
        "name": "white",
        "kind": "illumination",
        "roi": [0, 0, 64, 64],
        "params": {"low": 240, "high": 255},
    }
    path = tmp_path / "strict.yaml"
    path.write_text(json.dumps({"name": "strict", "views": ["side"], "tools": [step]}))
    return path


def test_every_archived_part_is_judged_again_and_flips_are_listed(
    station: Path, strict: Path, tmp_path: Path
) -> None:
    told: list[int] = []
    report = backtest(
        strict, tmp_path, [station], tmp_path / "sets", told=lambda done, _: told.append(done)
    )
    assert report["parts"] == 60 and told == [1]
    assert report["then"] == {"pass": 48, "reject": 12}
    assert report["now"].get("pass", 0) == 0
    assert len(report["flips"]) >= 48
    flip = next(f for f in report["flips"] if f["truth"] == "reject" and f["from"] == "pass")
    assert flip["defects"] == ["scratch"] and flip["station"] == "s1"


def test_a_backtest_since_a_day_leaves_out_what_was_before(
    station: Path, strict: Path, tmp_path: Path
) -> None:
    recipe = json.loads(strict.read_text())
    del recipe["views"]  # then the only picture is its view
    strict.write_text(json.dumps(recipe))
    middle = 1_800_000_000_000_000_000 + 40 * 10**9
    report = backtest(strict, tmp_path, [station], tmp_path / "sets", since_utc_ns=middle)
    assert report["parts"] == 21


def test_a_station_that_sees_the_same_has_not_drifted(home: Path, station: Path) -> None:
    report = drift(home, "parts", [station])
    signals = report["stations"]["s1"]["signals"]
    assert {signal["judgement"] for signal in signals.values()} == {"steady"}
    proposal = report["proposal"]
    assert proposal["samples"] and not proposal["retrain"]  # some part is always the oddest
    assert proposal["why"].startswith("Nothing has moved: no retraining is proposed.")


def test_a_lamp_that_fades_is_drift_and_says_what_to_label(home: Path, tmp_path: Path) -> None:
    def dark(number: int) -> np.ndarray:
        return cv2.convertScaleAbs(draw(number + 500), alpha=0.55)

    def older(_: int, outcome: Outcome) -> tuple[Finding, ...]:
        return tuple(replace(f, view="image") for f in found_by(outcome))

    faded = make_station(tmp_path / "data", 4, 10, "s2", dark, findings=older)
    report = drift(home, "parts", [faded])
    found = report["stations"]["s2"]["signals"]
    assert "score bottle" in found  # where records call the only camera as their recipe does
    assert found["light"]["judgement"] == "drift" and found["features"]["p"] < 0.01
    proposal = report["proposal"]
    assert proposal["retrain"] and "light" in proposal["why"]
    assert proposal["samples"] and all(
        s["station"] == "s2" and s["why"] for s in proposal["samples"]
    )


def test_too_few_pictures_are_no_drift_but_a_sentence(home: Path, tmp_path: Path) -> None:
    few = make_station(tmp_path / "data", batches=1, parts=5, name="s3")
    with pytest.raises(SnapshotError, match="at least 20"):
        drift(home, "parts", [few])


def test_folds_are_whole_batches(home: Path) -> None:
    folds = fold_of(open_snapshot(home, "parts"), 3)
    assert sorted(folds.values()) == [0, 0, 1, 1, 2, 2]
    with pytest.raises(SnapshotError, match="no 100 folds"):
        fold_of(open_snapshot(home, "parts"), 100)


def test_pictures_that_repeat_one_another_are_in_one_fold(home: Path) -> None:
    parts = open_snapshot(home, "parts")
    first, last = parts.rows[0], parts.rows[-1]
    again = replace(last, alike=first.image)
    parts = replace(parts, rows=(*parts.rows[:-1], again))

    for fold in range(3):
        split = {row.image: row.split for row in turn(parts, fold, 3).rows}
        assert split[first.image] == split[again.image]


def test_a_fold_without_objects_measures_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(trial: Trial) -> float:
        return float("nan") if trial.fold == 0 or trial.rate == 0.1 else trial.rate

    monkeypatch.setattr("training.trials.run_trial", trained)
    report = trials(home, "parts", tmp_path, view="side", folds=2, rates=(0.1, 0.2, 0.3))

    assert report["best_rate"] == 0.3
    assert report["by_rate"]["0.2"] == {"mean": 0.2, "spread": 0.0}
    assert report["by_rate"]["0.1"] == {"mean": None, "spread": None}
    json.loads(json.dumps(report, allow_nan=False))


def test_a_start_that_has_learned_a_fold_is_not_tried(home: Path, tmp_path: Path) -> None:
    rows = [replace(row, split="train") for row in open_snapshot(home, "parts").rows]
    before = keep(home, "before", rows, made_from={}, by="ben")
    card = {"lineage": {"datasets": {before.ref: before.digest}}}
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(SnapshotError, match="has learned all that fold 1 of 2 would measure with"):
        trials(home, "parts", tmp_path / "runs", view="side", folds=2, start=tmp_path)


def test_ultralytics_is_asked_for_by_name_and_missed_in_words(tmp_path: Path) -> None:
    words = (None, None, tmp_path, None, tmp_path, "1", "a test", None)
    with pytest.raises(NoUltralytics, match="own, or ultralytics:yolo11n"):
        fit_ultralytics("yolo", *words)  # type: ignore[arg-type]
    if importlib.util.find_spec("ultralytics") is None:
        with pytest.raises(NoUltralytics, match=r"AGPL-3\.0"):
            fit_ultralytics("ultralytics:yolo11n", *words)  # type: ignore[arg-type]


@pytest.mark.slow
def test_trials_run_on_a_cluster_of_two_workers(home: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    report = trials(
        home, "parts", tmp_path / "runs", view="side", folds=2, rates=(1e-3,), epochs=1,
        ray="local:2", threads=1,
    )  # fmt: skip
    assert [t["fold"] for t in report["trials"]] == [0, 1]
    assert report["best_rate"] == 1e-3


def test_a_recipe_is_measured_on_no_part_that_has_taught_its_model(
    home: Path, tmp_path: Path
) -> None:
    parts = open_snapshot(home, "parts")
    split = {"train": "test", "val": "val", "test": "test"}
    keep(home, "anew", [replace(r, split=split[r.split]) for r in parts.rows], made_from={}, by="b")
    shutil.copytree(MODEL, tmp_path / "cap/1")
    card = json.loads((MODEL / "card.json").read_text())
    taught = {"name": "cap", "lineage": {"datasets": {parts.ref: parts.digest, "gone/1": "1f"}}}
    (tmp_path / "cap/1/card.json").write_text(json.dumps(card | taught))
    assert datasets_of("ours, of 2024") == datasets_of({"datasets": ["photos"]}) == {}
    recipe = tmp_path / "cap.yaml"
    params = {"model": "cap/1", "defects": {card["classes"][0]: "major"}}
    step = {"name": "look", "kind": "detect", "params": params}
    recipe.write_text(json.dumps({"name": "cap", "views": ["side"], "tools": [step]}))

    words = ["evaluate", str(recipe), "anew", "--home", str(home), "--models", str(tmp_path)]
    done = CliRunner().invoke(app, [*words, "--json"])

    assert done.exit_code == 0, done.output + str(done.exception)
    report = json.loads(done.stdout)
    assert report["figures"]["parts"] == len(parts.of("test"))
    left, unknown = report["remarks"]
    assert left.startswith(f"{len(parts.of('train'))} more have taught") and "gone/1" in unknown


def test_the_commands_answer_as_json(home: Path, station: Path, strict: Path) -> None:
    run = CliRunner().invoke
    told = run(
        app, ["backtest", str(strict), "--station", str(station), "--home", str(home), "--json"]
    )
    assert told.exit_code == 0, told.output + str(told.exception)
    assert json.loads(told.stdout)["parts"] == 60
    told = run(app, ["drift", "parts", "--station", str(station), "--home", str(home), "--json"])
    assert told.exit_code == 0, told.output + str(told.exception)
    assert "proposal" in json.loads(told.stdout)
    told = run(app, ["evaluate", str(strict), "parts", "--home", str(home), "--json"])
    assert told.exit_code == 0, told.output + str(told.exception)
    figures = json.loads(told.stdout)["figures"]
    assert figures["parts"] == 10 and figures["escapes_by_defect"]["scratch"]["value"] == 0
    assert figures["slices"]["station"]["s1"]["false_rejects"]["value"] == 1.0
