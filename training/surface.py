"""Models that take a picture of any size and answer with a map of it: a net enters, ``model.onnx``
and its card leave. Imported by ``backbone`` and ``anomaly``.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from inspector.tools.contract import SURFACE_PX, probe, probe_answer
from training.card import sha256
from training.export import Difference
from training.measure import run, session

TOLERANCE = 2e-3


def export_surface(whole: nn.Module, path: Path, output: str) -> float:
    """Writes ``whole``, uint8 [1,rows,columns,3] in, as ONNX of free size; how far it is from torch
    at most. Raises ``Difference`` when that is far."""
    path.parent.mkdir(parents=True, exist_ok=True)
    example = torch.zeros((1, 128, 96, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            whole.eval(),
            (example,),
            str(path),
            dynamo=False,  # the other exporter cannot leave sizes free behind an interpolation
            opset_version=17,
            verbose=False,
            input_names=["images"],
            output_names=[output],
            dynamic_axes={"images": {1: "rows", 2: "columns"}, output: {2: "y", 3: "x"}},
        )
    shown = probe(7, (1, 160, 224, 3))
    with torch.no_grad():
        ours = whole(torch.from_numpy(shown)).numpy()
    gap = float(abs(ours - run(session(path), shown)).max())
    if gap > TOLERANCE:
        raise Difference(f"{path}: torch and ONNX differ by {gap:.4f}")
    return gap


def write_surface_card(
    path: Path,
    task: str,
    gap: float,
    *,
    license: str,
    trained_on: str,
    command: str,
    layers: Sequence[int] = (),
    metrics: dict[str, Any] | None = None,
    lineage: dict[str, Any] | None = None,
) -> Path:
    """``card.json`` beside ``path`` (``models/<name>/<version>/model.onnx``); its path."""
    model = session(path)
    shape = (1, SURFACE_PX, SURFACE_PX, 3)
    probes = [
        (seed, probe_answer(run(model, probe(seed, shape)), task).round(4).tolist())
        for seed in (0, 1)
    ]
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
            "name": "images", "shape": [1, -1, -1, 3], "dtype": "uint8", "layout": "NHWC",
            "colour": "BGR",
        },
        "output": {"name": model.get_outputs()[0].name, "format": task, "layers": list(layers)},
        "metrics": metrics or {},
        "parity": {
            "max_abs_difference": round(gap, 6),
            "probes": [{"seed": seed, "answer": answer} for seed, answer in probes],
            "tolerance": 0.05,
        },
        "lineage": lineage or {},
    }  # fmt: skip
    target = path.with_name("card.json")
    target.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return target
