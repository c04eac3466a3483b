"""``teach anomaly --thorough``: a network of the product's own, trained in a process of its own,
resumed after a kill, kept only where held-back parts say that it is better (S3, S9)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from surfaces import scratched, surface

from inspector.recipe import load
from inspector.teach import TeachError, teach_anomaly, thorough
from inspector.tools.bank import Bank, Learnt, packed, unpacked
from inspector.tools.card import model_bytes, model_file
from inspector.tools.onnx import Shelf

MODELS = Path(__file__).parents[2] / "models"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_training_goes_on_and_its_recipe_is_one_file_more(tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.mkdir()
    for number in range(8):
        cv2.imwrite(str(good / f"{number}.png"), surface(number))
    out, run = tmp_path / "plate.yaml", tmp_path / "run"
    command = [
        sys.executable, "-m", "inspector", "teach", "anomaly", "--good", str(good),
        "--out", str(out), "--thorough", "--epochs", "2", "--run", str(run), "--json",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as first:
        deadline = time.monotonic() + 600
        while not list(run.glob("*/last.pt")) and time.monotonic() < deadline:
            assert first.poll() is None
            time.sleep(0.1)
        first.send_signal(signal.SIGINT)
        first.wait(60)
    (checkpoint,) = run.glob("*/last.pt")
    before = checkpoint.stat().st_mtime_ns
    assert not out.exists() or first.returncode == 0

    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert checkpoint.stat().st_mtime_ns >= before
    assert report["thorough"]["kept"] in ("members", "network", "both")
    assert set(report["thorough"]["auroc_held_back"]) == {"members", "network", "both"}
    assert load(out, MODELS).model_digests


def test_the_network_is_kept_only_where_held_back_parts_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bright: Path
) -> None:
    """The training is left out: the network is one that sees nothing, or the brightest place."""
    good = [surface(n, (96, 64)) for n in range(8)]
    bad = [scratched(surface(n + 60, (96, 64)), (20, 20), (60, 40)) for n in range(3)]
    shelf = Shelf(MODELS)
    taught = teach_anomaly(good, shelf, bad)
    monkeypatch.setattr(thorough, "train", lambda *given: bright)

    whole = thorough.add_network(taught, good, bad, tmp_path, shelf, 0.01, silent)
    assert whole.report["thorough"]["kept"] == "members"

    blind = replace(taught, maps=tuple([np.zeros_like(m) for m in part] for part in taught.maps))
    told = thorough.add_network(blind, good, bad, tmp_path, shelf, 0.01, silent)
    assert told.report["thorough"]["kept"] in ("network", "both")
    assert told.bank.learnt is not None
    assert told.report["defects"]["auroc"] == 1.0


def test_without_torch_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thorough.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TeachError, match=r"needs `torch`.*pip install 'inspector\[training\]'"):
        thorough.train([surface(1)], (160, 128), tmp_path, silent)


def silent(what: str, done: int, total: int) -> None:
    """No one watches."""


def brightness(folder: Path) -> Path:
    """A training's folder with a model that takes the brightest for defective."""
    import torch

    from training.surface import export_surface, write_surface_card

    class Bright(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tone = images.float().mean(3)[:, None] / 255
            return torch.nn.functional.max_pool2d(tone, 4) ** 4

    path = folder / "models" / thorough.NAME / thorough.VERSION / "model.onnx"
    gap = export_surface(Bright(), path, "chance")
    write_surface_card(
        path, "anomaly", gap, license="Apache-2.0", trained_on="nothing", command="test"
    )
    return folder


@pytest.fixture(scope="module")
def bright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return brightness(tmp_path_factory.mktemp("bright"))


def test_a_taught_bank_carries_its_network(bright: Path) -> None:
    """(I7)"""
    path, card = model_file(bright / "models", thorough.NAME)
    learnt = Learnt(card, model_bytes(path, card, thorough.NAME), -3.0, 0.5)
    bank = Bank((96, 64), False, False, (), learnt, limit=2.0)
    back = unpacked(packed(bank))
    assert back.learnt is not None and back.learnt.card.sha256 == card.sha256
    with pytest.raises(ValueError):
        unpacked(packed(replace(bank, learnt=replace(learnt, spread=0.0))))


def test_a_picture_that_a_kill_cut_off_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = surface(1)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            thorough.train([picture], (96, 96), tmp_path, lambda *_: None)
        (shown,) = tmp_path.rglob("*.png")
        assert np.array_equal(cv2.imread(str(shown), cv2.IMREAD_UNCHANGED), picture)
        shown.write_bytes(shown.read_bytes()[:200])
