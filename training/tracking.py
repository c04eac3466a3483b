"""What a run tried and how it went: parameters and figures enter, plain files leave, always.

A run goes on where it was stopped, so its folder is of one training: what another data set, seed or
start has taught would be measured, and named on the card, as if this one had.
``run.json`` and ``metrics.jsonl`` in the run, a line an epoch; to MLflow as well where a tracking
URI is given. A tracking server that is away never stops a training. Imported by the commands.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import Any

from rich.console import Console

from inspector.store.files import write_whole

CHECKPOINT = "last.pt"
ANY = {"epochs", "start", "start_datasets"}
"""What may differ where a run goes on: it is made longer, or its start (whose digest tells) lies
elsewhere."""
console = Console(stderr=True)


class NoTracking(ValueError):
    """MLflow was asked for and is not installed."""


class OtherRun(ValueError):
    """A run's folder holds what another training learned; ``str()`` says in what they differ."""


class Track:
    """One run."""

    def __init__(self, folder: Path, name: str, params: Mapping[str, Any], uri: str = "") -> None:
        """``uri`` is MLflow's tracking URI; empty: plain files alone. Raises ``NoTracking``, or
        ``OtherRun`` where the folder's checkpoint was begun with other parameters; a run may be
        made longer."""
        folder.mkdir(parents=True, exist_ok=True)
        self._metrics = folder / "metrics.jsonl"
        whole = {"name": name, "began": time.time(), "params": dict(params)}
        text = json.dumps(whole, indent=1, default=str)
        if (folder / CHECKPOINT).exists():
            _same(folder, json.loads(text)["params"])
        write_whole(folder / "run.json", text.encode())
        self._mlflow = _mlflow(uri) if uri else None
        if self._mlflow is not None:
            self._try("set_experiment", name)
            self._try("start_run", run_name=folder.name)
            self._try("log_params", {k: str(v)[:500] for k, v in params.items()})

    def __call__(self, step: int, figures: Mapping[str, float]) -> None:
        """Figures of one epoch; one that was not measured is null, as JSON has it."""
        with self._metrics.open("a") as file:
            known = {name: value if isfinite(value) else None for name, value in figures.items()}
            file.write(json.dumps({"step": step, "at": time.time(), **known}) + "\n")
        if self._mlflow is not None:
            self._try("log_metrics", dict(figures), step=step)

    def end(self, results: Mapping[str, Any] | None = None) -> None:
        """The run is over."""
        if results is not None:
            path = self._metrics.with_name("results.json")
            path.write_text(json.dumps(dict(results), indent=1, default=str))
        if self._mlflow is not None:
            if results is not None:
                self._try("log_dict", dict(results), "results.json")
            self._try("end_run")

    def _try(self, do: str, *args: Any, **named: Any) -> None:
        with suppress(AttributeError):
            try:
                getattr(self._mlflow, do)(*args, **named)
            except Exception as error:  # whatever the server or its client does
                console.print(f"tracking: {do}: {error}", style="yellow", markup=False)
                self._mlflow = None


def _same(folder: Path, now: Mapping[str, Any]) -> None:
    try:
        begun = dict(json.loads((folder / "run.json").read_text())["params"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # a checkpoint of whose beginning nothing is known
    other = sorted(k for k in {*begun, *now} - ANY if begun.get(k) != now.get(k))
    if begun.get("epochs", 0) > now.get("epochs", 0):
        other.append("epochs")
    if other:
        told = "; ".join(f"{k} was {begun.get(k)}, is {now.get(k)}" for k in other)
        raise OtherRun(
            f"{folder} holds another training: {told}. Give another --run, or remove {folder} to "
            "begin anew"
        )


def _mlflow(uri: str) -> Any:
    try:
        import mlflow
    except ImportError:
        raise NoTracking(
            "a tracking URI is given but MLflow is not installed: `pip install mlflow`, or leave "
            "it out; runs are tracked in plain files in any case"
        ) from None
    # its client asks seven times, waiting longer and longer: minutes in which nothing is learned
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "15")
    mlflow.set_tracking_uri(uri)
    return mlflow
