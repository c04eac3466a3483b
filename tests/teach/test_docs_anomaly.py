"""The examples of docs/tools-anomaly.md run as they are written."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import pytest
from surfaces import scratched, surface

from inspector.cli import main
from inspector.virtual.bottle import PartSpec, render_part

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tools-anomaly.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.slow
def test_every_command_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "station_configs").symlink_to(ROOT / "station_configs")
    for name in ("good", "new", "bad", "bottles"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    for n in range(8):
        plate = surface(n, (128, 96))
        cv2.imwrite(f"photos/good/{n}.png", plate)
        cv2.imwrite(f"photos/bad/{n}.png", scratched(plate, (20, 20 + n), (60, 60)))
        cv2.imwrite(f"photos/new/{n}.png", surface(n + 50, (128, 96)))
        cv2.imwrite(f"photos/bottles/{n}.png", render_part(n, PartSpec(split="train")).side)
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, command


@pytest.mark.slow
def test_the_example_backbone_is_one_that_teaching_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inspector.tools.onnx import Shelf

    # torchvision's compiled operators do not load beside every torch; its net's members are these.
    models = SimpleNamespace(resnet18=lambda weights: small_resnet())
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(models=models))
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(script, {})
    model = Shelf(tmp_path / "models").open("resnet18-features/1", "features")
    assert model.card.output.layers == (8, 16, 24)
    assert model.run(model.tensor((1, 64, 96, 3))).shape == (1, 48, 8, 12)


def small_resnet() -> Any:
    """A net with the members of torchvision's ResNets, which the example uses."""
    from torch import nn

    def stage(wide_in: int, wide_out: int, stride: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(wide_in, wide_out, 3, stride, 1), nn.ReLU())

    return SimpleNamespace(
        conv1=nn.Conv2d(3, 8, 7, 2, 3),
        bn1=nn.BatchNorm2d(8),
        relu=nn.ReLU(),
        maxpool=nn.MaxPool2d(3, 2, 1),
        layer1=stage(8, 8, 1),
        layer2=stage(8, 16, 2),
        layer3=stage(16, 24, 2),
    )
