"""What `scripts/setup` makes of a checkout, whatever an earlier attempt has left there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = """#!/bin/sh
# The python of this checkout's virtual environment once its pip has come; it installs nothing.
[ "$1 $2" = "-m venv" ] || exec {python} "$@"
printf '#!/bin/sh\necho "$@" >> asked\n' > "$3/bin/python.new"
chmod +x "$3/bin/python.new"
mv "$3/bin/python.new" "$3/bin/python"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts")
    (tmp_path / "inspector" / "virtual").mkdir(parents=True)
    for name in ("a.c", "a.h"):
        (tmp_path / "inspector" / "virtual" / name).touch()
    (tmp_path / "pyproject.toml").touch()
    python = tmp_path / "python"
    python.write_text(PYTHON.format(python=sys.executable))
    python.chmod(0o755)
    return tmp_path


def setup(checkout: Path) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [checkout / "scripts" / "setup"], capture_output=True, text=True, check=False,
        env=env | {"PYTHON": str(checkout / "python")},
    )  # fmt: skip


def test_an_environment_that_an_interrupted_attempt_left_without_pip_is_made_whole(
    checkout: Path,
) -> None:
    venv.create(checkout / ".venv", with_pip=False)
    done = setup(checkout)
    assert done.returncode == 0, done.stderr
    assert "-m pip install" in (checkout / "asked").read_text()
    assert (checkout / ".venv" / ".installed").read_text().strip()
    (checkout / "asked").unlink()
    assert setup(checkout).returncode == 0
    assert not (checkout / "asked").exists(), "what is there is not installed again"


def test_the_service_may_write_where_its_station_file_lies() -> None:
    """Pages put recipes into service and set cameras: under systemd each was refused."""
    unit = (ROOT / "scripts/kiosk/inspector.service").read_text()
    given = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line)
    folder = str(Path(given["ExecStart"].split()[-1]).parent)
    assert given["ProtectSystem"] == "full" and folder.startswith("/etc/")
    assert given["ReadWritePaths"].removeprefix("-") == folder
