"""The demo as a person ends it: with Ctrl-C, in the middle of a part (S18)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inspector.trial import wait_for


@pytest.mark.slow
def test_an_interrupted_demo_judges_what_is_on_the_belt_and_reports(tmp_path: Path) -> None:
    """A gate whose station was gone rejected two dozen good parts, and the report called them
    false rejects of the station's."""
    command = [sys.executable, "-m", "inspector", "demo", "--json", "--rate", "10"]
    world = tmp_path / "inspector" / "demo" / "world" / "report.json"
    demo = subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's job ignores it
    )  # fmt: skip

    def seen() -> int:
        try:
            return int(json.loads(world.read_text())["triggers"])
        except (OSError, ValueError):
            return 0

    try:
        assert wait_for(lambda: seen() >= 10, 180, lambda: demo.poll() is None)
        demo.send_signal(signal.SIGINT)
        said = json.loads(demo.communicate(timeout=60)[0])
    finally:
        demo.kill()

    assert demo.returncode == 0
    assert said["triggers"] == said["verdicts"] == said["gate_decisions"] >= 10
    assert said["gate_rejects"] == said["rejected"] + said["errors"]
