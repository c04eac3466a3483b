"""The README's commands run as they are written, in their order, in a folder like the checkout."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.virtual.bottle import BOTTLE_LINE, PartSpec, render_part

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
ACTIVATE = "source .venv/bin/activate"
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkout's configurations and models, and three photos of bottles."""
    place = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "station_configs", place / "station_configs")
    (place / "models").symlink_to(ROOT / "models")
    (place / ".venv").symlink_to(sys.prefix)
    (place / "photos").mkdir()
    for i in range(3):
        spec = PartSpec(BOTTLE_LINE, "L2417A", "16 NOV 28")
        part = render_part(np.random.default_rng(i), spec)
        cv2.imwrite(str(place / "photos" / f"{i}.png"), part.side)
    return place


def run(place: Path, script: str) -> None:
    # A shell that knows nothing of us but what the README has said by then.
    here = str(Path(sys.executable).parent)
    path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if p != here)
    command = ["bash", "-euc", f"{ACTIVATE}\n{script}"]
    done = subprocess.run(
        command, cwd=place, env=os.environ | {"PATH": path}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"


def watch(place: Path, command: str) -> None:
    """Start what stays, wait for its ledger's first image of the page, and end it by Ctrl-C."""
    log = place / "run.log"
    with log.open("w") as out:
        station = subprocess.Popen(
            [sys.executable, "-m", *command.split()], cwd=place, stdout=out, stderr=out
        )
    try:
        for _ in range(2400):  # two minutes: a busy machine starts a station slowly
            if "line is up" in log.read_text() and (place / "data/first-camera/line.db").exists():
                break
            assert station.poll() is None, log.read_text()
            with pytest.raises(subprocess.TimeoutExpired):
                station.wait(0.05)
    finally:
        station.send_signal(signal.SIGINT)
        station.wait(120)
    assert "line is up" in log.read_text(), log.read_text()
    assert station.returncode == 0


def test_what_puts_inspector_on_the_path_is_said_before_it_is_called() -> None:
    called = next(i for i, command in enumerate(COMMANDS) if command.startswith("inspector"))
    assert ACTIVATE in COMMANDS[:called]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_as_it_is_written(place: Path, command: str) -> None:
    if command.startswith("./scripts/"):
        assert os.access(ROOT / command.split()[0], os.X_OK)
    elif command.startswith("inspector run"):
        watch(place, command)
    elif command == "inspector doctor":
        run(place, f"{command} || true")
    else:
        run(place, command)


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target
