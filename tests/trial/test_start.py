"""Stations that cannot run say so in words, and processes that cannot start do not storm (I7)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from inspector.trial import CONFIGS, Plan, Trial, running

SHIPPED = CONFIGS.parent / "models"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped station file with a recipe and models of its own, to be damaged."""
    (tmp_path / "recipes").mkdir()
    for name in ("bottle-line", "juice-line"):
        shutil.copy(CONFIGS / "recipes" / f"{name}.yaml", tmp_path / "recipes")
    for model in ("bottle-line-int8", "line-read"):
        shutil.copytree(SHIPPED / model, tmp_path / "models" / model)
    text = (CONFIGS / "bottle-line.yaml").read_text()
    text = text.replace("../models", "models").replace("../data/bottle-line", "data")
    (tmp_path / "station.yaml").write_text(text)
    return tmp_path


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inspector", "run", str(folder / "station.yaml")]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False,
        env=os.environ | {"COLUMNS": "400"},
    )  # fmt: skip


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done
    said = " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in said, said
    assert "process started" not in said, said
    for word in words:
        assert word in said, said


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("poll_ms: 20", "poll_ms: [20", ["station.yaml:", "not YAML"]),
        ("recipes/juice-line.yaml", "recipes/juce-line.yaml", ["did you mean", "juice-line.yaml"]),
        ("name: code", "name: top", ["needs view `code`", "cameras: side, top"]),
    ],
    ids=["broken", "no such recipe", "no such view"],
)
def test_a_broken_station_file_is_refused_with_file_line_and_field(
    folder: Path, old: str, new: str, words: list[str]
) -> None:
    edit(folder / "station.yaml", old, new)
    assert_refused(run(folder), *words)


def test_a_broken_recipe_is_refused_though_it_is_not_the_first(folder: Path) -> None:
    edit(folder / "recipes" / "juice-line.yaml", "threshold: 0.4", "threshhold: 0.4")
    assert_refused(run(folder), "juice-line.yaml:", "did you mean `threshold`?")


def test_a_model_with_one_flipped_byte_is_refused_by_name(folder: Path) -> None:
    model = next((folder / "models" / "bottle-line-int8").rglob("*.onnx"))
    raw = bytearray(model.read_bytes())
    raw[len(raw) // 2] ^= 1
    model.chmod(0o644)
    model.write_bytes(raw)
    assert_refused(run(folder), "bottle-line.yaml:", "bottle-line-int8", "SHA-256 differs")


def test_a_missing_model_is_refused_by_name(folder: Path) -> None:
    shutil.rmtree(folder / "models" / "line-read")
    assert_refused(run(folder), "line-read", "is not in")


def test_a_model_without_its_file_is_refused_by_name(folder: Path) -> None:
    next((folder / "models" / "line-read").rglob("*.onnx")).unlink()
    assert_refused(run(folder), "line-read", "cannot be read")


def test_a_draft_is_refused_where_approval_is_required(folder: Path) -> None:
    edit(folder / "station.yaml", "judges: 2", "judges: 2\nrequire_approval: true")
    assert_refused(run(folder), "bottle-line.yaml", "inspector recipe approve")


# -- what goes wrong later --------------------------------------------------------------------


@pytest.fixture(scope="module")
def hindered(coded: Any, plan: Callable[..., Plan], watch: Callable[[Trial], Any]) -> Any:
    """A station that is started a second time while it runs, and then again while somebody else
    holds its ledger."""
    facts: dict[str, Any] = {}
    with running(plan(coded)) as trial:
        seen = watch(trial)
        seen.passes()
        before_pids = trial.pids()
        done = run(trial.plan.folder)
        seen.passes(5)
        facts["second"] = done, before_pids, trial.pids()
        trial.stop_station()
        with subprocess.Popen(
            [sys.executable, "-c", HOLD, str(trial.data)], stdout=subprocess.PIPE, text=True
        ) as holder:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            before = len(trial.log())
            trial.start_station()
            seen.until(lambda: trial.log()[before:].count("cannot run") >= 2, "no word of it")
            facts["said"] = trial.log()[before:]
            holder.kill()
        seen.passes()
    return facts


def test_a_second_station_on_the_same_data_is_refused_and_disturbs_nothing(hindered: Any) -> None:
    done, before, after = hindered["second"]
    assert_refused(done, "already runs")
    assert before == after


HOLD = """
import sys, time
from inspector.store import LineLedger
ledger = LineLedger.open(sys.argv[1], station="ST-01")
print("held", flush=True)
time.sleep(600)
"""


def test_a_process_that_cannot_run_says_why_in_one_line_and_does_not_storm(hindered: Any) -> None:
    said = hindered["said"]
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if "cannot run" in line]
    assert all('"process": "line"' in line and "has this ledger open" in line for line in lines), (
        lines
    )
    # A line takes a second to start and waits one at least: a storm would be dozens.
    assert 2 <= len(lines) <= 6, lines


LEFT_ALONE = """
import sys, time
from pathlib import Path
from inspector.trial import Plan, Trial
from inspector.virtual.filmset import FilmSet
trial = Trial(Plan(FilmSet.open(sys.argv[1]), Path(sys.argv[2])))
trial.start_world()
print(trial.world.pid, flush=True)
time.sleep(600)
"""


def test_whoever_is_killed_in_the_middle_of_a_trial_leaves_nothing_running(
    films: Any, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", LEFT_ALONE, str(films.folder), str(tmp_path / "trial")]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with driver:
        assert driver.stdout is not None
        world = psutil.Process(int(driver.stdout.readline()))
        assert world.is_running()
        driver.kill()

    world.wait(60)
    assert not world.is_running()
