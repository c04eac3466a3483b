"""What a training tried is in plain files always, and on a real MLflow server where one is named
(S9). MLflow is the extra ``tracking``; without it that test is skipped."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from inspector.trial import wait_for
from training.tracking import CHECKPOINT, OtherRun, Track

RUN = """
import sys
from pathlib import Path
from training.tracking import Track
track = Track(Path(sys.argv[1]), "bottles", {"rate": 0.1, "dataset": "bottles/3a"}, sys.argv[2])
for step in (1, 2, 3):
    track(step, {"loss": 1.0 / step})
    print("told", step, flush=True)
    sys.stdin.readline()
track.end({"cards": ["models/bottles/1/card.json"]})
print("ended", flush=True)
"""
BEGUN = {"datasets": {"bottles/3a": "3a5f"}, "start": "models/a/1", "seed": 0, "epochs": 4}
HAS_MLFLOW = pytest.mark.skipif(
    importlib.util.find_spec("mlflow") is None,
    reason="MLflow is not installed: pip install 'inspector[tracking]' to see it tracked there",
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """An MLflow tracking server on SQLite."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port",
                str(port), "--workers", "1",
                "--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}",
                "--artifacts-destination", str(tmp_path / "artifacts"),
            ],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/health", trust_env=False).status_code == 200
        except httpx.HTTPError:
            time.sleep(0.2)
            return False

    try:
        listens = wait_for(answers, 180.0, lambda: process.poll() is None)
        assert listens, (tmp_path / "mlflow.log").read_text()
        yield url, process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def training(folder: Path, uri: str) -> subprocess.Popen[str]:
    """A training of three epochs, each ended when a line is sent to it; a process of its own,
    because MLflow's client keeps its state in its module."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), uri],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def go_on(process: subprocess.Popen[str]) -> str:
    """What it says next, MLflow's own words aside; then leave to go on."""
    assert process.stdin is not None and process.stdout is not None
    said = ""
    for line in process.stdout:
        if line.startswith(("told ", "ended")):
            said = line.strip()
            break
    if said.startswith("told"):
        process.stdin.write("\n")
        process.stdin.flush()
    return said


@HAS_MLFLOW
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_is_on_the_server_as_it_is_in_the_files(
    server: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    url, _ = server
    with training(tmp_path / "run-1", url) as process:
        assert [go_on(process) for _ in range(4)] == ["told 1", "told 2", "told 3", "ended"]
        assert process.wait(120) == 0
    # asked by another client than the one that wrote
    with httpx.Client(base_url=f"{url}/api/2.0/mlflow", trust_env=False) as api:
        experiment = api.get(
            "experiments/get-by-name", params={"experiment_name": "bottles"}
        ).json()["experiment"]
        (run,) = api.post(
            "runs/search", json={"experiment_ids": [experiment["experiment_id"]]}
        ).json()["runs"]
        history = api.get(
            "metrics/get-history",
            params={"run_id": run["info"]["run_id"], "metric_key": "loss"},
        ).json()["metrics"]
    assert run["info"]["run_name"] == "run-1" and run["info"]["status"] == "FINISHED"
    assert {p["key"]: p["value"] for p in run["data"]["params"]} == {
        "rate": "0.1", "dataset": "bottles/3a",
    }  # fmt: skip
    lines = (tmp_path / "run-1" / "metrics.jsonl").read_text().splitlines()
    files = [(row["step"], row["loss"]) for row in map(json.loads, lines)]
    assert [(m["step"], m["value"]) for m in history] == files
    assert any((tmp_path / "artifacts").rglob("results.json"))


@HAS_MLFLOW
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_that_goes_away_stops_no_training(
    server: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    url, mlflow = server
    with training(tmp_path / "run-1", url) as process:
        assert go_on(process) == "told 1"
        os.killpg(mlflow.pid, signal.SIGKILL)
        mlflow.wait()
        assert [go_on(process) for _ in range(3)] == ["told 2", "told 3", "ended"]
        assert process.wait(120) == 0
    assert len((tmp_path / "run-1" / "metrics.jsonl").read_text().splitlines()) == 3
    assert json.loads((tmp_path / "run-1" / "results.json").read_text())["cards"]


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"datasets": {"bottles/7c": "7c01"}}, "datasets was .*3a5f.*, is .*7c01"),
        ({"seed": 1}, "seed was 0, is 1"),
        ({"start_sha256": "ab"}, "start_sha256 was None, is ab"),
        ({"epochs": 2}, "epochs was 4, is 2"),
    ],
)
def test_what_another_data_set_taught_is_not_gone_on_with(
    tmp_path: Path, now: dict[str, object], told: str
) -> None:
    Track(tmp_path, "bottles", BEGUN)
    (tmp_path / CHECKPOINT).touch()

    with pytest.raises(OtherRun, match=told):
        Track(tmp_path, "bottles", BEGUN | now)

    assert json.loads((tmp_path / "run.json").read_text())["params"] == BEGUN


@pytest.mark.parametrize("now", [{}, {"epochs": 8}, {"start": "/elsewhere/a/1"}])
def test_a_run_goes_on_and_may_be_made_longer(tmp_path: Path, now: dict[str, object]) -> None:
    Track(tmp_path, "bottles", BEGUN)
    (tmp_path / CHECKPOINT).touch()

    Track(tmp_path, "bottles", BEGUN | now)


def test_a_run_that_has_learned_nothing_yet_may_be_begun_otherwise(tmp_path: Path) -> None:
    Track(tmp_path, "bottles", BEGUN)

    Track(tmp_path, "bottles", BEGUN | {"seed": 1})

    assert json.loads((tmp_path / "run.json").read_text())["params"]["seed"] == 1


def test_what_was_not_measured_is_null_in_the_plain_files(tmp_path: Path) -> None:
    Track(tmp_path, "bottles", BEGUN)(1, {"loss": 2.0, "measure": float("-inf")})

    text = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["measure"] is None
