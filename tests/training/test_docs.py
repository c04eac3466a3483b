"""The commands of docs/training.md run as they are written, in their order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from training_fixtures.station import make_station

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout's configurations and models, and a station whose parts were reviewed."""
    place = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "station_configs", place / "station_configs")
    (place / "models").symlink_to(ROOT / "models")
    make_station(place / "data" / "reviewed", batches=4, parts=10)
    return place


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_of_the_page_runs(place: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "INSPECTOR_PASSWORD": "a long password"}
    assert len(COMMANDS) > 15
    for command in COMMANDS:
        done = subprocess.run(
            ["bash", "-euc", command], cwd=place, env=env, capture_output=True, text=True,
            timeout=180, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert "coded" not in done.stdout and "bottle-line/2" in done.stdout
    assert (place / "evaluation/report.html").exists()


def test_every_command_named_on_the_page_exists() -> None:
    from training.cli import app

    groups = {g.name: g.typer_instance for g in app.registered_groups if g.name}
    for group, name in re.findall(r"training (dataset|release|fit) ([a-z]+)", PAGE):
        known = {
            c.name or c.callback.__name__.rstrip("_") for c in groups[group].registered_commands
        }
        assert name in known, f"training {group} {name}"
