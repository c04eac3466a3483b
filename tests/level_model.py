"""A model that needs no training, and a recipe that uses it: what tests of recipes judge by."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

ONE_VIEW = """
name: one
tools:
  - name: bright
    kind: detect
    roi: [0, 0, 16, 16]
    params: {model: level/1, threshold: 0.1, counts: [{label: thing, exactly: 1}]}
"""


def put_model(models: Path, bias: float = 0.0) -> None:
    """A detector of ``thing`` whose one box is the frame and whose score is the mean level / 255.

    ``bias`` is added to the score: NaN makes a broken model.
    """
    rows = np.zeros((1, 2, 6), np.float32)
    rows[0, 0, 2:4] = 32
    gain = np.zeros((1, 2, 6), np.float32)
    gain[0, 0, 4] = 1 / 255
    shift = np.zeros((1, 2, 6), np.float32)
    shift[0, 0, 4] = bias
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["floats"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "gain"], ["score"]),
            helper.make_node("Add", ["score", "rows"], ["boxes"]),
            helper.make_node("Add", ["boxes", "shift"], ["detections"]),
        ],
        "g",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, (1, 32, 32, 3))],
        [helper.make_tensor_value_info("detections", TensorProto.FLOAT, (1, 2, 6))],
        [
            numpy_helper.from_array(rows, "rows"),
            numpy_helper.from_array(gain, "gain"),
            numpy_helper.from_array(shift, "shift"),
        ],
    )
    opset = [helper.make_opsetid("", 13)]
    data = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    folder = models / "level" / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(data)
    card = {
        "name": "level",
        "version": "1",
        "task": "detect",
        "sha256": hashlib.sha256(data).hexdigest(),
        "input": {"dtype": "uint8"},
        "output": {"format": "end-to-end"},
        "classes": ["thing", "other"],
    }
    (folder / "card.json").write_text(json.dumps(card))


def write(folder: Path, text: str, name: str = "r.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def level(value: int) -> np.ndarray:
    return np.full((24, 32, 3), value, np.uint8)
