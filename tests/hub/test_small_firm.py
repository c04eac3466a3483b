"""One command starts station and centre on one PC (S17)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_one_command_starts_station_and_centre(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 255, (480, 640, 3), np.uint8)
        cv2.imwrite(str(photos / f"{number}.png"), pixels)
    text = (ROOT / "station_configs" / "small-firm.yaml").read_text()
    station = tmp_path / "station.yaml"
    station.write_text(
        text.replace("../data/small-firm/station", "station")
        .replace("../models", str(ROOT / "models"))
        .replace("recipes/", f"{ROOT}/station_configs/recipes/")
        .replace("../photos", "photos")
        .replace("8200", str(port))
        + "web: {port: 0}\n"
    )
    centre = tmp_path / "centre"
    started = subprocess.Popen(
        [ROOT / "scripts" / "station-and-centre", station],
        env=os.environ | {"CENTRE": str(centre), "HUB_PASSWORD": "a long password"},
    )
    try:
        fleet = wait_for_parts(centre, 150)
    finally:
        started.send_signal(signal.SIGTERM)
        assert started.wait(30) == 0
    assert fleet[0]["name"] == "FIRST-01" and fleet[0]["site"] == "here"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def wait_for_parts(centre: Path, seconds: float) -> list[dict[str, Any]]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (centre / "hub.db").exists():
            ran = subprocess.run(
                [sys.executable, "-m", "training.cli", "hub", "fleet", "--json", "--home", centre],
                capture_output=True, text=True,
            )  # fmt: skip
            rows: list[dict[str, Any]] = json.loads(ran.stdout) if ran.returncode == 0 else []
            if rows and rows[0]["parts"] > 5:
                return rows
        time.sleep(0.5)
    raise AssertionError("no part arrived")
