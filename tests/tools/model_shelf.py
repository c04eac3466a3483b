"""ONNX models made in a test, with a card as a trainer writes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from inspector.tools.onnx import Shelf

PAINTS = ("blue", "green", "red")


def answering(
    models: Path,
    task: str,
    form: str,
    answers: Sequence[np.ndarray],
    classes: Sequence[str],
    side: tuple[int, int] = (64, 64),
    entry: Any = None,
    **card: Any,
) -> Shelf:
    """A model that answers ``answers``, whatever it sees; its input is ``entry``, or of BGR."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["floats"], ["top"], keepdims=0),
        helper.make_node("Mul", ["top", "zero"], ["nothing"]),
    ]
    names = [f"answer{i}" for i in range(len(answers))]
    nodes += [helper.make_node("Add", [name, "nothing"], [f"out_{name}"]) for name in names]
    weights = [
        numpy_helper.from_array(a.astype(np.float32), n)
        for a, n in zip(answers, names, strict=True)
    ]
    weights.append(numpy_helper.from_array(np.float32(0), "zero"))
    outputs = [
        helper.make_tensor_value_info(f"out_{n}", TensorProto.FLOAT, a.shape)
        for a, n in zip(answers, names, strict=True)
    ]
    return _kept(models, task, form, nodes, weights, outputs, classes, side, card, entry)


def painting(
    models: Path,
    form: str = "masks",
    side: tuple[int, int] = (64, 64),
    stride: int = 1,
    **card: Any,
) -> Shelf:
    """A segmenter that sees paint: the score of ``blue``, ``green``, ``red`` is that channel's
    brightness. ``stride`` is how much smaller than the picture its maps are."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "gain"], ["shares"]),
        helper.make_node("Transpose", ["shares"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["planes"], ["maps"], kernel_shape=[stride] * 2, strides=[stride] * 2
        ),
    ]
    shape = (1, 3, side[0] // stride, side[1] // stride)
    outputs = [helper.make_tensor_value_info("maps", TensorProto.FLOAT, shape)]
    weights = [numpy_helper.from_array(np.float32(1 / 255), "gain")]
    classes = PAINTS if form == "masks" else ("background", *PAINTS[1:])
    return _kept(models, "segment", form, nodes, weights, outputs, classes, side, card)


def weighing(
    models: Path,
    task: str,
    form: str,
    weights: np.ndarray,
    classes: Sequence[str],
    side: tuple[int, int] = (64, 64),
) -> Shelf:
    """A model of one layer: ``weights`` (classes, 4) weigh blue, green, red and 1 at each pixel, of
    a classifier over the whole picture; what comes out are logits."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "gain"], ["shares"]),
        helper.make_node("Transpose", ["shares"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel", "bias"], ["maps"]),
    ]
    shape: tuple[int, ...] = (1, len(classes), *side)
    if task == "classify":
        nodes.append(helper.make_node("ReduceMean", ["maps"], ["scores"], axes=[2, 3], keepdims=0))
        shape = (1, len(classes))
    kept = [
        numpy_helper.from_array(np.float32(1 / 255), "gain"),
        numpy_helper.from_array(weights[:, :3, None, None].astype(np.float32), "kernel"),
        numpy_helper.from_array(weights[:, 3].astype(np.float32), "bias"),
    ]
    out = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, shape)
    return _kept(
        models, task, form, nodes, kept, [out], classes, side, {"output": {"logits": True}}
    )


def inking(models: Path, factor: float) -> Shelf:
    """A text finder of pictures of any size: a pixel's ink is its mean level times ``factor``."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["grey", "factor"], ["ink"]),
    ]
    kept = [numpy_helper.from_array(np.float32(factor), "factor")]
    out = helper.make_tensor_value_info("ink", TensorProto.FLOAT, (1, 1, "h", "w"))
    entry = helper.make_tensor_value_info("images", TensorProto.UINT8, (1, 3, "h", "w"))
    card = {"input": {"layout": "NCHW"}}
    return _kept(models, "find-text", "db", nodes, kept, [out], [], (0, 0), card, entry)


def _kept(
    models: Path,
    task: str,
    form: str,
    nodes: list[Any],
    weights: list[Any],
    outputs: list[Any],
    classes: Sequence[str],
    side: tuple[int, int],
    card: dict[str, Any],
    entry: Any = None,
) -> Shelf:
    if entry is None:
        entry = helper.make_tensor_value_info("images", TensorProto.UINT8, (1, *side, 3))
    graph = helper.make_graph(nodes, "g", [entry], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    folder = models / "m" / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(data)
    whole = {
        "name": "m",
        "version": "1",
        "task": task,
        "sha256": hashlib.sha256(data).hexdigest(),
        "output": {"format": form} | card.pop("output", {}),
        "classes": list(classes),
    }
    (folder / "card.json").write_text(json.dumps(whole | card))
    return Shelf(models, threads=1)
