"""The unit files of the station and its touchscreen are such as systemd takes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[2] / "scripts" / "kiosk").glob("*.service"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="NO SYSTEMD: not checked")
def test_systemd_finds_nothing_wrong_but_what_is_not_installed_here() -> None:
    assert len(UNITS) == 2
    command = ["systemd-analyze", "verify", *map(str, UNITS)]
    said = subprocess.run(command, capture_output=True, text=True).stderr
    assert [line for line in said.splitlines() if "is not executable" not in line] == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_whatever_ends_it_it_starts_again(unit: Path) -> None:
    text = unit.read_text()
    assert "Restart=always" in text
    assert "StartLimitIntervalSec=0" in text
