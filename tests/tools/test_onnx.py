"""Which models run, which are refused and why, and that their answers are right."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from inspector.tools.card import BUILT_IN, ModelError
from inspector.tools.contract import probe
from inspector.tools.onnx import Shelf

Make = Callable[..., Path]


def graph_of(answer: np.ndarray, shape: tuple[Any, ...], dtype: int = TensorProto.UINT8) -> bytes:
    """A model that answers ``answer`` plus 0 × what it sees."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["answer", "nothing"], ["detections"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", dtype, shape)],
        [helper.make_tensor_value_info("detections", TensorProto.FLOAT, answer.shape)],
        [
            numpy_helper.from_array(answer.astype(np.float32), "answer"),
            numpy_helper.from_array(np.float32(0), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def cutting(answer: np.ndarray, axis: int, shape: tuple[Any, ...]) -> bytes:
    """A model whose answer is as much of ``answer`` along ``axis`` as what it sees is dark: all of
    it in black, nothing in white. The graph leaves the shape of its answer free."""
    levels = np.arange(answer.shape[axis], dtype=np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["floats"], ["top"], keepdims=0),
        helper.make_node("Mul", ["top", "scale"], ["light"]),
        helper.make_node("Sub", ["count", "light"], ["dark"]),
        helper.make_node("Less", ["levels", "dark"], ["kept"]),
        helper.make_node("Compress", ["answer", "kept"], ["detections"], axis=axis),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("detections", TensorProto.FLOAT, ("n", "k", "m"))],
        [
            numpy_helper.from_array(answer.astype(np.float32), "answer"),
            numpy_helper.from_array(levels, "levels"),
            numpy_helper.from_array(np.float32(answer.shape[axis]), "count"),
            numpy_helper.from_array(np.float32(answer.shape[axis] / 255), "scale"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def shelve(models: Path, data: bytes, name: str = "m", **card: Any) -> Path:
    """Puts a model with its card on the shelf; ``card`` overrides the card's fields."""
    folder = models / name / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(data)
    full = {
        "name": name,
        "version": "1",
        "task": "detect",
        "sha256": hashlib.sha256(data).hexdigest(),
        "input": {"name": "images", "shape": [1, 32, 32, 3], "dtype": "uint8"},
        "output": {"name": "detections", "format": "end-to-end"},
        "classes": ["a", "b"],
    } | card
    (folder / "card.json").write_text(json.dumps(full))
    return folder


ROWS = np.zeros((1, 4, 6), np.float32)
GOOD = graph_of(ROWS, (1, 32, 32, 3))


def test_a_model_with_a_true_card_runs(tmp_path: Path) -> None:
    shelve(tmp_path, GOOD)

    model = Shelf(tmp_path, threads=1).open("m/1", "detect")

    assert model.digest == hashlib.sha256(GOOD).hexdigest()
    assert model.bind((1, 32, 32, 3)).run().shape == (1, 4, 6)


def test_a_model_is_opened_once_for_all_recipes(tmp_path: Path) -> None:
    shelve(tmp_path, GOOD)
    shelf = Shelf(tmp_path, threads=1)

    assert shelf.open("m/1", "detect") is shelf.open("m/1", "detect")


def reshaping(takes: Sequence[object], gives: Sequence[object], to: Sequence[int]) -> bytes:
    """A model that says it ``takes`` and ``gives`` these shapes, and brings what it gets ``to``
    its own."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "shape"], ["detections"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, takes)],
        [helper.make_tensor_value_info("detections", TensorProto.FLOAT, gives)],
        [numpy_helper.from_array(np.array(to), "shape")],
    )
    opset = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def test_bound_buffers_are_the_arrays_that_the_model_reads_and_writes(tmp_path: Path) -> None:
    data = reshaping((1, 2, 3, 1), (1, 1, 6), to=(1, 1, 6))
    entry = {"dtype": "uint8", "colour": "grey"}
    shelve(tmp_path, data, input=entry)
    bound = Shelf(tmp_path, threads=1).open("m/1", "detect").bind((1, 2, 3, 1))
    answer = bound.output

    for first in (7, 200):
        bound.input.reshape(-1)[:] = range(first, first + 6)
        again = bound.run()
        assert again is answer, "the output buffer is reused"
        assert again.ravel().tolist() == list(range(first, first + 6))


def damaged(models: Path) -> None:
    path = shelve(models, GOOD) / "model.onnx"
    path.write_bytes(GOOD[:-20] + bytes(20))


def truncated(models: Path) -> None:
    half = GOOD[: len(GOOD) // 2]
    shelve(models, half)


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (damaged, "SHA-256 differs"),
        (truncated, "onnxruntime refuses it"),
        (lambda m: shelve(m, b"not a model"), "onnxruntime refuses it"),
        (lambda m: (shelve(m, GOOD) / "model.onnx").unlink(), "cannot be read"),
        (lambda m: (shelve(m, GOOD) / "card.json").write_text("{"), "is not JSON"),
        (lambda m: (shelve(m, GOOD) / "card.json").write_text("{}"), "Field required"),
        (lambda m: shelve(m, GOOD, classes=[]), "names no classes"),
        (lambda m: shelve(m, GOOD, task="recognise"), "is for `recognise`"),
        (lambda m: shelve(m, GOOD, version="2"), "says it is m/2"),
        (lambda m: shelve(m, GOOD, output={"format": "yolov8"}), "belongs to another model"),
        (lambda m: shelve(m, GOOD, output={"format": "yolov99"}), "format is `yolov99`"),
        (lambda m: shelve(m, GOOD, output={"name": "boxes", "format": "end-to-end"}), "no output"),
        (lambda m: shelve(m, GOOD, input={"dtype": "float32"}), "its card says float32"),
        (lambda m: shelve(m, GOOD, input={"shape": [1, 64, 64, 3]}), "its card says"),
        (lambda m: shelve(m, GOOD, input={"colour": "grey"}), "channels"),
        (lambda m: shelve(m, GOOD, input={"name": "pixels"}), "its input is `images`"),
        (lambda m: shelve(m, GOOD, input={"shape": [1, 32]}), "its card says"),
        (lambda m: shelve(m, GOOD, input={"std": [0.0]}), "more than 0"),
        (lambda m: shelve(m, GOOD, input={"mean": [0.5, 0.5]}), "one for each of 3 channels"),
        (lambda m: shelve(m, GOOD, input={"scale": float("nan")}), "finite number"),
        (lambda m: shelve(m, GOOD, classes={"0": "a", "5": "b"}), "numbered from 0 without a gap"),
        (lambda m: shelve(m, GOOD, classes={"x": "a"}), "numbered from 0 without a gap"),
        (lambda m: shelve(m, GOOD, classes=["a", "a"]), "json: classes: two classes are"),
        (
            lambda m: shelve(m, GOOD, parity={"probes": [{"seed": -1, "answer": [0.0] * 4}]}),
            "greater than or equal to 0",
        ),
        (
            lambda m: shelve(m, GOOD, parity={"probes": [{"seed": 0, "answer": [0.0] * 3}]}),
            "4 numbers to a probe, 3 where it was released",
        ),
        (
            lambda m: shelve(m, GOOD, parity={"probes": [{"seed": 0, "answer": [0.9] * 4}]}),
            "answers otherwise",
        ),
    ],
)
def test_a_model_that_must_not_run_is_refused_by_name(
    tmp_path: Path, break_it: Callable[[Path], Any], why: str
) -> None:
    break_it(tmp_path)

    with pytest.raises(ModelError, match=why) as error:
        Shelf(tmp_path, threads=1).open("m/1", "detect")
    assert "m/1" in str(error.value)


@pytest.mark.parametrize(
    ("form", "shape", "axis"),
    [
        ("end-to-end", (1, 4, 5), 2),
        ("end-to-end", (1, 4, 7), 2),
        ("yolov8", (1, 4, 9), 1),
        ("yolov8", (1, 9, 9), 1),
        ("yolov5", (1, 9, 6), 2),
    ],
)
def test_a_model_that_leaves_its_answer_free_is_refused_by_what_comes(
    tmp_path: Path, form: str, shape: tuple[int, ...], axis: int
) -> None:
    """The graph does not say how many classes it has; its answer does."""
    data = cutting(np.zeros(shape, np.float32), axis, (1, 32, 32, 3))
    shelve(tmp_path, data, output={"format": form})
    model = Shelf(tmp_path, threads=1).open("m/1", "detect")

    with pytest.raises(ModelError, match=r"m/1: its output has shape .* belongs to another model"):
        model.bind((1, 32, 32, 3))


@pytest.mark.parametrize("batch", [1, "n"])
def test_a_model_may_find_more_and_less_than_at_first(tmp_path: Path, batch: Any) -> None:
    """As exported with its own suppression: rows are as many as it finds."""
    rows = np.arange(24, dtype=np.float32).reshape(1, 4, 6)
    data = cutting(rows, 1, (batch, 32, 32, 3))
    shelve(tmp_path, data, input={})
    bound = Shelf(tmp_path, threads=1).open("m/1", "detect").bind((1, 32, 32, 3))
    assert bound.output.shape == (1, 4, 6)

    for brightness, count in ((90, 3), (0, 4), (255, 0), (0, 4)):
        bound.input[...] = brightness
        answer = bound.run()
        assert answer is bound.output
        assert answer.tolist() == rows[:, :count].tolist()


@pytest.mark.parametrize(
    ("names", "runs"),
    [
        ("{0: 'a', 1: 'b'}", True),
        ("{0: 'bottle', 1: 'cap'}", True),  # the card calls them otherwise
        ("{0: 'b', 1: 'a'}", False),
        ("{0: 'a'}", False),
        ("['a', 'b', 'c']", False),
        ("a, b", True),
        ("{0: __import__('os')}", True),
    ],
)
def test_classes_that_the_graph_names_otherwise_refuse_the_model(
    tmp_path: Path, names: str, runs: bool
) -> None:
    """Two classes exchanged would make a cap of every bottle; no shape shows it."""
    model = onnx.load_from_string(GOOD)
    helper.set_model_props(model, {"names": names})
    shelve(tmp_path, model.SerializeToString())
    shelf = Shelf(tmp_path, threads=1)

    if runs:
        assert shelf.open("m/1", "detect")
    else:
        with pytest.raises(ModelError, match=r"m/1: its classes are .*, its card says a, b"):
            shelf.open("m/1", "detect")


def test_a_model_that_cannot_run_on_its_input_is_refused_by_name(tmp_path: Path) -> None:
    data = reshaping(("n", 32, 32, 3), ("n", "k", 6), to=(1, 7, 6))
    shelve(tmp_path, data, input={})
    model = Shelf(tmp_path, threads=1).open("m/1", "detect")

    with pytest.raises(ModelError, match=r"m/1: does not run on \[1, 32, 32, 3\]"):
        model.bind((1, 32, 32, 3))


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    shelve(tmp_path, GOOD, name="bottle-line")

    with pytest.raises(ModelError, match="did you mean `bottle-line`"):
        Shelf(tmp_path).open("botle-line", "detect")
    with pytest.raises(ModelError, match="name one of its versions: 1"):
        Shelf(tmp_path).open("bottle-line/3", "detect")


def test_a_provider_that_is_not_there_is_named(tmp_path: Path) -> None:
    shelve(tmp_path, GOOD)

    with pytest.raises(ModelError, match="NoSuchExecutionProvider"):
        Shelf(tmp_path, providers=("NoSuchExecutionProvider",)).open("m/1", "detect")


def test_parity_probes_that_hold_let_the_model_run(tmp_path: Path) -> None:
    shelve(tmp_path, GOOD, parity={"probes": [{"seed": 0, "answer": [0.0] * 4}]})

    assert Shelf(tmp_path).open("m/1", "detect").card.parity.probes


def test_a_probe_is_the_same_picture_everywhere() -> None:
    picture = probe(0, (1, 40, 24, 3))

    digest = hashlib.sha256(picture.tobytes()).hexdigest()
    assert picture.shape == (1, 40, 24, 3)
    assert digest == hashlib.sha256(probe(0, (1, 40, 24, 3)).tobytes()).hexdigest()
    assert (picture[0, :16, :16] == picture[0, 0, 0]).all()


def test_the_models_of_the_pinned_wheel_are_those_whose_digests_we_know() -> None:
    for ref, card in BUILT_IN.items():
        assert Shelf(Path("none"), threads=1).open(ref, card.task).digest == card.sha256
