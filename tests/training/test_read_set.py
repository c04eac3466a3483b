"""A reader of print is taught from what a line has read: data set, training, export, and the recipe
that runs it on held-out parts (S9)."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from training_fixtures.station import make_station
from typer.testing import CliRunner

from inspector.part import Finding, Outcome, Pixels, Severity
from inspector.virtual.print import render_line
from training.cli import app
from training.dot_read import begun_with
from training.measure import run, session
from training.recogniser import ReadLine, Recogniser

MODELS = Path(__file__).parents[2] / "models"
LOT, WRONG = "L2417A", "L2471A"
PLACE = (10.0, 14.0, 150.0, 50.0)


def printed(number: int) -> Pixels:
    """A label with the lot on it; on each fifth part another one."""
    rng = np.random.default_rng(number)
    line = render_line(WRONG if number % 5 == 0 else LOT, rng, "train")
    grey = line if line.ndim == 2 else cv2.cvtColor(line, cv2.COLOR_BGR2GRAY)
    x1, y1, x2, y2 = (round(v) for v in PLACE)
    pixels = np.full((64, 160, 3), 210, np.uint8)
    pixels[y1:y2, x1:x2] = cv2.resize(grey, (x2 - x1, y2 - y1))[..., None]
    return pixels


def read(number: int, outcome: Outcome) -> tuple[Finding, ...]:
    """What the champion read there."""
    ok = outcome is Outcome.PASS
    text = LOT if ok else WRONG
    return (
        Finding(
            "print", "read", "lot", ok, 0.95, PLACE, "side", Severity.CRITICAL,
            reason="" if ok else f"reads {text}", text=text,
        ),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_reader_from_a_data_set_judges_in_its_recipe(tmp_path: Path) -> None:
    station = make_station(
        tmp_path / "s1",
        batches=5,
        parts=20,
        picture=printed,
        reviewed=False,
        findings=read,
        lot=LOT,
    )
    home, models = ["--home", str(tmp_path / "sets")], tmp_path / "models"
    invoke = CliRunner().invoke

    def said(*words: object) -> str:
        done = invoke(app, [str(word) for word in words])
        assert done.exit_code == 0, done.output + str(done.exception)
        return done.stdout

    said("dataset", "build", "prints", "--station", station, "--unreviewed", *home)
    said(
        "fit", "read", "prints", "--start", MODELS / "line-read" / "1", "--run", tmp_path / "run",
        "--models", models, "--epochs", 2, "--threads", 1, *home,
    )  # fmt: skip
    card = json.loads((models / "prints" / "1" / "card.json").read_text())
    assert card["task"] == "recognise" and card["license"].startswith("unlicensed")
    (ref,) = card["lineage"]["datasets"]
    assert ref.startswith("prints/") and len(card["lineage"]["start_sha256"]) == 64
    assert card["metrics"]["exact_lines"]["value"] >= 0.9
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2

    recipe = tmp_path / "prints.yaml"
    line = {"name": "lot", "roi": [round(v) for v in PLACE], "expect": "{lot}"}
    step = {
        "name": "print", "kind": "read", "view": "side",
        "params": {"model": "prints/1", "lines": [line]},
    }  # fmt: skip
    recipe.write_text(json.dumps({"name": "prints", "views": ["side"], "tools": [step]}))
    told = said(
        "evaluate", recipe, "prints", "--models", models, "--out", tmp_path / "evaluation",
        "--json", *home,
    )  # fmt: skip
    report = json.loads(told)
    found = report["figures"]
    assert found["parts"] >= 20 and found["defective"] >= 4
    assert found["escapes"]["value"] == 0.0 and found["false_rejects"]["value"] <= 0.1
    assert (tmp_path / "evaluation" / "report.pdf").exists()


def test_a_reader_begun_with_the_shipped_one_answers_as_it_does() -> None:
    shown = [np.full((32, 160), 90 + number, np.uint8) for number in range(8)]
    for number, line in enumerate(shown):
        cv2.putText(line, f"L24{number}7A", (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 10, 2)
    net = begun_with(MODELS / "line-read" / "1" / "model.onnx", Recogniser(), shown)
    pixels = np.stack(shown)[..., None]
    with torch.no_grad():
        ours = ReadLine(net).eval()(torch.from_numpy(pixels)).numpy()
    theirs = run(session(MODELS / "line-read" / "1" / "model.onnx"), pixels)
    assert np.abs(ours - theirs).max() < 2e-3


def test_what_is_no_reader_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give a reader's folder"):
        begun_with(tmp_path / "model.onnx", Recogniser())
    with pytest.raises(ValueError, match="is no reader of this form"):
        begun_with(MODELS / "bottle-cap" / "1" / "model.onnx", Recogniser())
