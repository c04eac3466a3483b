"""The words that a person types, and the sentences they get back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from training.cli import app, main
from training.detector import Detector, Shape, fuse

MODEL = Path(__file__).parents[2] / "models" / "bottle-cap-int8" / "1"


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


def test_a_plan_that_does_not_exist_is_answered_with_those_that_do(tmp_path: Path) -> None:
    code, answer = run("fit", "detect", "bottle-cup", "--run", tmp_path)
    assert code == 2 and "bottle-cap, bottle-line" in answer


def test_exporting_a_run_that_was_never_made_says_what_makes_it(tmp_path: Path) -> None:
    code, answer = run("export", "bottle-cap", "--run", tmp_path)
    assert code == 2 and "fit detect" in answer


def test_a_run_that_began_from_a_released_model_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = fuse(Detector(Shape(64, 64, ("a", "b"))).eval()).state_dict()
    torch.save({"average": learned}, tmp_path / "last.pt")
    given: list[Detector] = []
    monkeypatch.setattr(
        "training.export.export_detector", lambda plan, net, *_: given.append(net) or []
    )
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for film in "xy":
        cv2.imwrite(str(tmp_path / f"images/{film}_MOV.png"), np.zeros((64, 64, 3), np.uint8))
        (tmp_path / f"labels/{film}_MOV.txt").touch()
    words = ("export", "own", "--run", tmp_path, "--data", tmp_path, "--held-out", "y")

    assert run(*words, "--size", "64x64", "--classes", "a,b") == (0, "")
    assert given[0].state_dict().keys() == learned.keys()
    done = CliRunner().invoke(app, [*map(str, words), "--size", "64x64", "--classes", "a"])
    assert isinstance(done.exception, ValueError) and "--classes of its run" in str(done.exception)


def test_evaluating_tells_figures_as_json(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a_MOV-1.png"), np.full((64, 64, 3), 90, np.uint8))
    (tmp_path / "labels" / "a_MOV-1.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    code, answer = run("evaluate", MODEL, tmp_path, "--json")
    figures = json.loads(answer)
    assert code == 0 and figures["map50"] == {"value": 0.0, "n": 1, "interval95": [0.0, 0.0]}


def test_a_missing_model_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["training", "evaluate", "models/none/1", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "models/none/1" in capsys.readouterr().err


def test_what_a_station_alone_lacks_is_told_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    words = ["training", "dataset", "show", "caps", "--home", str(tmp_path)]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "needs pyarrow; run: pip install 'inspector[training]'" in capsys.readouterr().err


def test_what_no_picture_shows_has_no_figure_and_the_json_is_json(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.full((64, 64, 3), 90, np.uint8))
    (tmp_path / "labels" / "a.txt").touch()

    code, answer = run("evaluate", MODEL, tmp_path, "--json")

    assert code == 0 and "NaN" not in answer
    assert json.loads(answer)["map50"] == {"value": None, "n": 1, "interval95": [0.0, 1.0]}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["fit", "detect", "x", "--data", ".", "--classes", "a", "--held-out", "b", "--size",
             "320"],
            "'320' is no size: width x height",
        ),
        (["evaluate", str(MODEL.parents[1] / "line-read" / "1"), "."], "is no detector but made"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_as_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    words: list[str], told: str,
) -> None:  # fmt: skip
    words += ["--run", str(tmp_path)] if "fit" in words else []
    monkeypatch.setattr("sys.argv", ["training", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert told in " ".join(capsys.readouterr().err.split())
