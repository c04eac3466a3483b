"""``--arch ultralytics:…``: their network from our data set, as a model like ours (S9). It is
AGPL-3.0, so no extra of ours installs it; without it the proof is skipped."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from training_fixtures.station import make_station

from training.dataset.build import from_station
from training.dataset.snapshot import write
from training.ultralytics import fed_with_pixels


def square(number: int) -> np.ndarray:
    """A part with a square on it where a scratch would be, if it has one."""
    pixels = np.full((64, 64, 3), 90 + number % 40, np.uint8)
    pixels[::7] -= 9
    if number % 5 == 0 or number % 10 == 2:
        pixels[12:20, 10:40] = (20, 220, 240)
    return pixels


def test_pixels_go_in_where_colours_as_fractions_went_in_before(tmp_path: Path) -> None:
    """A graph that gives back its input shows what it was fed with."""
    floats = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 4, 6])
    back = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 3, 4, 6])
    node = helper.make_node("Identity", ["images"], ["output"])
    graph = helper.make_graph([node], "g", [floats], [back])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.save(fed_with_pixels(model), tmp_path / "m.onnx")

    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 6, 3), np.uint8)
    (seen,) = session.run(None, {session.get_inputs()[0].name: pixels})

    assert np.allclose(seen, pixels[..., ::-1].transpose(0, 3, 1, 2) / 255, atol=1e-6)


@pytest.mark.skipif(
    importlib.util.find_spec("ultralytics") is None,
    reason="ultralytics (AGPL-3.0) is not installed: pip install ultralytics to see it trained",
)
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_their_network_trained_on_our_data_set_runs_in_our_recipe(tmp_path: Path) -> None:
    station = make_station(tmp_path / "s1", batches=5, parts=10, picture=square)
    drafts, made_from = from_station(station)
    write(tmp_path / "sets", "squares", drafts, made_from=made_from, by="ben")
    recipe = tmp_path / "squares.yaml"
    step = {
        "name": "look", "kind": "detect", "view": "side",
        "params": {"model": "squares/1", "threshold": 0.3, "defects": {"scratch": "major"}},
    }  # fmt: skip
    recipe.write_text(json.dumps({"name": "squares", "views": ["side"], "tools": [step]}))
    env = os.environ | {"YOLO_CONFIG_DIR": str(tmp_path / "config")}

    def training(*words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "training.cli", *words, "--home", str(tmp_path / "sets")],
            cwd=tmp_path, env=env, capture_output=True, text=True, timeout=800, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done

    done = training(
        "fit", "detect", "squares", "--view", "side", "--run", "run", "--models", "models",
        "--arch", "ultralytics:yolo11n", "--epochs", "30", "--threads", "2",
    )  # fmt: skip
    assert "AGPL-3.0" in done.stderr
    card = json.loads((tmp_path / "models/squares/1/card.json").read_text())
    assert card["license"].startswith("AGPL-3.0") and card["input"]["dtype"] == "uint8"
    assert card["lineage"]["architecture"] == "ultralytics:yolo11n"
    assert len(card["parity"]["probes"]) == 2 and (tmp_path / "run/results.json").exists()
    report = json.loads(training("evaluate", str(recipe), "squares", "--json").stdout)
    assert report["figures"]["parts"] > 0 and report["models"]
