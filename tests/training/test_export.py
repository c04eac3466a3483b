"""What is exported answers as what was trained; a run that was stopped goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.anomaly import SurfaceNet, export_anomaly
from training.augment import Variation
from training.detect import fit_detector
from training.detector import Detector, EndToEnd, Shape
from training.export import Difference, check_detections, export_detector, to_onnx
from training.fit import Schedule
from training.making import making
from training.pictures import Picture
from training.plan import Plan

SHAPE = Shape(64, 64, ("square",), channels=(8, 8, 16, 16), neck=8)


def squares(count: int) -> list[Picture]:
    rng = np.random.default_rng(5)
    pictures = []
    for _ in range(count):
        pixels = np.full((64, 64, 3), 100, np.uint8)
        x, y = rng.integers(4, 36, 2)
        pixels[y : y + 24, x : x + 24] = (20, 220, 240)
        box = np.array([[x, y, x + 24, y + 24]], np.float32)
        pictures.append(Picture(pixels, box, np.array([0])))
    return pictures


@pytest.fixture
def eager() -> EndToEnd:
    """A net that has learned nothing but is sure of everything."""
    torch.manual_seed(3)
    net = Detector(SHAPE)
    for score in net.score:
        torch.nn.init.normal_(score.weight, std=0.5)
        torch.nn.init.zeros_(score.bias)
    return EndToEnd(net).eval()


def test_an_export_that_is_killed_leaves_the_network_of_a_surface_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "surface" / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"what the line runs")

    def killed(net: torch.nn.Module, path: Path, output: str) -> float:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("training.anomaly.export_surface", killed)
    with pytest.raises(KeyboardInterrupt):
        export_anomaly(SurfaceNet(), path, 8, "a test")
    assert path.read_bytes() == b"what the line runs"
    with pytest.raises(ValueError, match="is no models/<name>/<version>/model"):
        export_anomaly(SurfaceNet(), Path("/model.onnx"), 8, "a test")


def test_a_models_card_comes_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[str] = []
    move = Path.replace
    monkeypatch.setattr(Path, "replace", lambda a, b: moved.append(a.name) or move(a, b))
    with making(tmp_path / "models") as draft:
        (draft / "square" / "1").mkdir(parents=True)
        for name in ("card.json", "model.onnx"):
            (draft / "square" / "1" / name).touch()
    assert moved == ["model.onnx", "card.json"]


@pytest.mark.slow
def test_the_exported_model_answers_as_the_net(eager: EndToEnd, tmp_path: Path) -> None:
    path = tmp_path / "square" / "1" / "model.onnx"
    to_onnx(eager, torch.zeros(1, 64, 64, 3, dtype=torch.uint8), path, "detections")
    pictures = [p.pixels[None] for p in squares(3)]
    assert check_detections(eager, path, pictures) < 1e-3
    with torch.no_grad():
        eager.net.box[0].bias.add_(0.3)
    with pytest.raises(Difference, match="disagree"):
        check_detections(eager, path, pictures)


@pytest.mark.slow
def test_a_plan_is_trained_stopped_resumed_and_exported(tmp_path: Path) -> None:
    plan = Plan(
        name="square",
        shape=SHAPE,
        variation=Variation(light=0.1),
        schedule=Schedule(epochs=12, rate=4e-3, warm_up=20, average=0.9, bf16=False),
        pictures=lambda folder: (squares(64), squares(8)),
        trained_on="squares",
        batch=8,
    )
    learn, measure = plan.pictures(tmp_path)
    run = tmp_path / "run"
    half = replace(plan.schedule, epochs=6)
    fit_detector(plan.shape, learn, measure, plan.variation, run, half, plan.batch)
    stopped = torch.load(run / "last.pt", weights_only=True)["epoch"]
    net = fit_detector(plan.shape, learn, measure, plan.variation, run, plan.schedule, plan.batch)
    assert (stopped, torch.load(run / "last.pt", weights_only=True)["epoch"]) == (6, 12)
    cards = export_detector(plan, net, learn, measure, tmp_path / "models", "1", "a test")
    for path in cards:
        card = json.loads(path.read_text())
        assert card["metrics"]["map50"]["value"] > 0.7
