"""A model's passport: an exported model and its figures enter, ``card.json`` leaves.

``inspector.tools.card`` says what a station reads of it; the rest is for people and for the centre.
Imported by ``export``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.tools.contract import LINE_PX, probe, probe_answer
from training.measure import run, session
from training.pictures import PAD


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_card(
    path: Path,
    *,
    task: str,
    license: str,
    trained_on: str,
    command: str,
    metrics: dict[str, Any],
    difference: float,
    lineage: dict[str, Any],
    classes: Sequence[str] = (),
    charset: str = "",
    form: str = "",
) -> Path:
    """``card.json`` beside ``path`` (``models/<name>/<version>/model.onnx``); returns its path.

    Its ``parity`` lets another machine ask whether the model computes there what it computed here:
    the answers to two probe pictures, see :func:`inspector.tools.contract.probe`. ``form`` is the
    output's format, by default the task's usual one.
    """
    model = session(path)
    entry, leave = model.get_inputs()[0], model.get_outputs()[0]
    shape = [d if isinstance(d, int) else 1 for d in entry.shape]
    read = task == "recognise"
    form = form or ("ctc" if read else "end-to-end")
    if read and shape[2] == 1:
        shape[2] = LINE_PX
    card = {
        "name": path.parent.parent.name,
        "version": path.parent.name,
        "task": task,
        "sha256": sha256(path),
        "license": license,
        "trained_on": trained_on,
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "input": {
            "name": entry.name,
            "shape": [d if isinstance(d, int) else -1 for d in entry.shape],
            "dtype": "uint8",
            "layout": "NHWC",
            "colour": "grey" if read else "BGR",
        },
        "letterbox": {"pad": PAD, "align": "top-left" if read else "centre"},
        "output": {
            "name": leave.name,
            "shape": [d if isinstance(d, int) else -1 for d in leave.shape],
            "format": form,
        },
        "classes": list(classes),
        "charset": charset,
        "metrics": metrics,
        "parity": {
            "max_abs_difference": round(difference, 6),
            "probes": [
                {"seed": seed, "answer": _answer(run(model, probe(seed, shape)), form)}
                for seed in (0, 1)
            ],
            "tolerance": 0.05,
        },
        "lineage": lineage,
    }
    target = path.with_name("card.json")
    target.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return target


def _answer(output: NDArray[np.float32], form: str) -> list[float]:
    """Ten numbers at most that stand for an output, as a station computes them."""
    return [round(float(v), 4) for v in probe_answer(output, form)]
