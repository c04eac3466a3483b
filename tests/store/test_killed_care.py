"""kill -9 in the middle of retention or of a back-up: nothing is lost, and the next run ends it."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inspector.config import Retention
from inspector.part import Outcome
from inspector.store import ImageArchive, LineLedger, back_up, restore, retain, verify
from inspector.store.bench import sample_verdict
from inspector.store.retention import DAY_NS

IMAGES = 60

# Kills its children at the instants it is given, in seconds after their start.
KILLER = """
import os, signal, sys, time
from pathlib import Path
from inspector.config import Retention
from inspector.store import back_up, retain, retention
retention.PORTION = 2
data, copy, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
for instant in map(float, sys.argv[4:]):
    child = os.fork()
    if child == 0:
        if what == "retain":
            retain(data, Retention(unacknowledged="delete"), "user:7")
        else:
            back_up(data, copy)
        os._exit(0)
    time.sleep(instant)
    os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """60 passed parts, 40 days old, each with a picture."""
    data = tmp_path / "data"
    with (
        LineLedger.open(data, station="s1") as ledger,
        ImageArchive(data, reserve_mb=0, pass_image_every=1) as archive,
    ):
        for sequence in range(1, IMAGES + 1):
            verdict = sample_verdict(sequence)
            times = replace(verdict.times, utc_ns=time.time_ns() - 40 * DAY_NS)
            verdict = replace(verdict, times=times, outcome=Outcome.PASS)
            ledger.add_verdict(verdict)
            archive.offer(verdict, {"side": np.full((16, 16), sequence, np.uint8)})
        for record in archive.close():
            ledger.add_image(record)
    return data


def _kill(data: Path, copy: Path, what: str, seed: int, slowest_s: float) -> int:
    """How many of four children were killed before they were done."""
    chance = random.Random(seed)
    instants = [f"{chance.uniform(0, slowest_s):.4f}" for _ in range(4)]
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(data), str(copy), what, *instants],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split().count("-9")


def test_a_killed_retention_is_ended_by_the_next(data: Path, tmp_path: Path) -> None:
    assert _kill(data, tmp_path, "retain", 1, 0.03) > 0
    report = verify(data)
    assert report.ok and report.images + report.images_deleted == IMAGES
    retain(data, Retention(unacknowledged="delete"), "user:7")
    report = verify(data)
    assert report.ok and (report.images, report.images_deleted) == (0, IMAGES)
    assert not list((data / "images").rglob("*.jpg"))


def test_a_killed_back_up_leaves_one_that_can_be_restored(data: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    back_up(data, copy)
    assert _kill(data, copy, "back_up", 2, 0.15) > 0
    restore(copy, tmp_path / "new", "user:9")
    assert verify(tmp_path / "new").images == IMAGES
    shutil.rmtree(tmp_path / "new")
    back_up(data, copy)
    assert len(list(copy.glob("ledger-*"))) == 1
    assert not list(copy.rglob("*.part"))
    restore(copy, tmp_path / "new", "user:9")
