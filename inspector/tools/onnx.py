"""The only place that knows onnxruntime: a model's folder goes in, a runner with bound buffers out.

A model is run only if its file has the digest of its card and its graph keeps the card's contract
(I7). Sessions are shared by all recipes of a ``Shelf``; a step binds its buffers once and reuses
them, so a run allocates nothing. Imported by the tools and by ``recipe``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from inspector.tools.card import (
    Card,
    ModelError,
    built_in,
    check_bytes,
    find_model,
    model_bytes,
    read_card,
)

_DTYPES = {"uint8": np.uint8, "float32": np.float32, "float16": np.float16}
_TENSORS = {"uint8": "tensor(uint8)", "float32": "tensor(float)", "float16": "tensor(float16)"}
PROBE_BLOCK = 16
FORMATS = {
    "detect": ("end-to-end", "yolov8", "yolov5"),
    "classify": ("softmax", "sigmoid"),
    "segment": ("semantic", "masks", "instances", "yolov8-seg"),
    "recognise": ("ctc",),
    "find-text": ("db",),
    "features": ("features",),
    "anomaly": ("anomaly",),
}
"""By the card's ``task``: what its ``output.format`` may be."""
SURFACES = {"features", "anomaly"}
"""Formats of models that take pictures of any size and answer with a map of them."""
SURFACE_PX = 64
"""Side of the picture that such a model is probed with."""
LINE_PX = 160
"""Width of the picture that a reader of lines of any length is probed with."""
INSTANCES = {"instances", "yolov8-seg"}
"""Formats with a second output, the prototypes."""


@dataclass(slots=True)
class Spent:
    """Processor time of this process's model runs, in the threads that asked for them; what
    onnxruntime's own threads add to it, the kernel tells."""

    ns: int = 0


spent = Spent()


class Bound:
    """One input shape of a model with its buffers: fill ``input``, ``run``, read ``output``."""

    __slots__ = ("_binding", "_fixed", "_held", "_run", "input", "model", "output", "prototypes")

    def __init__(self, model: Model, name: str, outs: Sequence[str], tensor: NDArray[Any]) -> None:
        session = model.session
        self.model = model
        self.input: NDArray[Any] = tensor
        """Write here before each run."""
        self._binding = session.io_binding()
        self._run = session.run_with_iobinding
        # An OrtValue made from a numpy array is a view of it, and the binding holds neither.
        self._held = [ort.OrtValue.ortvalue_from_numpy(tensor)]
        self._binding.bind_ortvalue_input(name, self._held[0])
        for out in outs:
            self._binding.bind_output(out, "cpu")
        self._run(self._binding)
        answers = self._binding.copy_outputs_to_cpu()
        self.output: NDArray[Any] = answers[0]
        """Valid until the next run."""
        self.prototypes: NDArray[Any] = answers[-1]
        """The second output of a segmenter of instances; other models have one output."""
        # A graph with its own NMS gives as many rows as it finds: such an output cannot be bound
        # beforehand. An output whose every dimension follows from the input's can.
        shapes = [o.shape for o in session.get_outputs() if o.name in outs]
        static = all(isinstance(d, int) and d > 0 for shape in shapes for d in shape)
        free = any(not isinstance(d, int) for d in session.get_inputs()[0].shape)
        self._fixed = static or free
        if self._fixed:
            answers = [np.ascontiguousarray(answer) for answer in answers]
            self.output, self.prototypes = answers[0], answers[-1]
            for out, answer in zip(outs, answers, strict=True):
                self._held.append(ort.OrtValue.ortvalue_from_numpy(answer))
                self._binding.bind_ortvalue_output(out, self._held[-1])

    def run(self) -> NDArray[Any]:
        """Runs the model on ``input``; the answer is ``output``, overwritten by the next run."""
        began_ns = time.thread_time_ns()
        self._run(self._binding)
        spent.ns += time.thread_time_ns() - began_ns
        if not self._fixed:
            answers = self._binding.copy_outputs_to_cpu()
            self.output, self.prototypes = answers[0], answers[-1]
        return self.output


class Model:
    """A checked model with its session."""

    def __init__(self, card: Card, session: ort.InferenceSession) -> None:
        self.card = card
        self.digest = card.sha256
        self.session = session
        entries = session.get_inputs()
        self.input_shape: tuple[Any, ...] = tuple(entries[0].shape)
        """As in the graph: ints, and names or None for free dimensions."""
        self._input = entries[0].name
        names = [o.name for o in session.get_outputs()]
        self._output = card.output.name or names[0]
        second = [card.output.prototypes or n for n in names[:2] if n != self._output][:1]
        self.outputs: tuple[str, ...] = (
            self._output,
            *(second if card.output.format in INSTANCES else ()),
        )
        """Names of the graph's outputs that are read."""
        self._dtype = _DTYPES[card.input.dtype]

    def bind(self, shape: Sequence[int]) -> Bound:
        """New buffers for an input of ``shape``, run once so that the first part finds them warm.

        Each caller keeps its own: a letterbox's grey margins must stay as its step left them.
        """
        return Bound(self, self._input, self.outputs, self.tensor(shape))

    def tensor(self, shape: Sequence[int]) -> NDArray[Any]:
        """An input of ``shape`` for ``run``."""
        return np.zeros(tuple(shape), self._dtype)

    def run(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Runs the model on an input of any shape, its output newly allocated."""
        began_ns = time.thread_time_ns()
        answer: NDArray[Any] = self.session.run([self._output], {self._input: tensor})[0]
        spent.ns += time.thread_time_ns() - began_ns
        return answer

    def metadata(self, key: str) -> str:
        """What the exporter stored in the graph under ``key``; empty when it did not."""
        return str(self.session.get_modelmeta().custom_metadata_map.get(key, ""))


@contextmanager
def recorded() -> Iterator[list[tuple[Model, NDArray[Any]]]]:
    """Collects every model run of the block with a copy of its input, for benches."""
    runs: list[tuple[Model, NDArray[Any]]] = []
    bound_run, model_run = Bound.run, Model.run

    def run_bound(bound: Bound) -> NDArray[Any]:
        runs.append((bound.model, bound.input.copy()))
        return bound_run(bound)

    def run_model(model: Model, tensor: NDArray[Any]) -> NDArray[Any]:
        runs.append((model, tensor.copy()))
        return model_run(model, tensor)

    # Swapped from outside, so that the line pays nothing for it.
    Bound.run, Model.run = run_bound, run_model  # type: ignore[method-assign,assignment]
    try:
        yield runs
    finally:
        Bound.run, Model.run = bound_run, model_run  # type: ignore[method-assign]


class Shelf:
    """The models of one process, opened once each. ``threads`` are those of every session."""

    def __init__(
        self,
        models: Path,
        threads: int = 2,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        self.models = Path(models)
        self.threads = threads
        self.providers = tuple(providers)
        self._open: dict[str, Model] = {}

    def card(self, ref: str) -> Card:
        """The card of ``name/version`` without opening the model. Raises ``ModelError``."""
        own = built_in(ref)
        return own[1] if own else read_card(find_model(self.models, ref), ref)

    def size(self, ref: str) -> int:
        """Bytes of the model's file."""
        own = built_in(ref)
        card = own[1] if own else self.card(ref)
        return (own[0] if own else find_model(self.models, ref) / card.file).stat().st_size

    def open_bytes(self, data: bytes, card: Card, task: str) -> Model:
        """A model that lies in no folder but in what a recipe was taught, checked like any other.

        Raises ``ModelError``."""
        key = f"{card.ref} {card.sha256}"
        if key not in self._open:
            check_bytes(data, card, card.ref)
            opened = _opened(card.ref, data, card, self.threads, self.providers)
            self._open[key] = opened
        if card.task != task:
            raise ModelError(card.ref, f"is for `{card.task}`, this step needs `{task}`")
        return self._open[key]

    def open(self, ref: str, task: str) -> Model:
        """The model ``name/version``, checked. Raises ``ModelError`` by name with a mend."""
        card = self._open[ref].card if ref in self._open else self.card(ref)
        if card.task != task:
            raise ModelError(ref, f"is for `{card.task}`, this step needs `{task}`")
        if ref not in self._open:
            self._open[ref] = _open_model(ref, self.models, self.threads, self.providers)
        return self._open[ref]


def _open_model(ref: str, models: Path, threads: int, providers: Sequence[str]) -> Model:
    own = built_in(ref)
    if own:
        path, card = own
    else:
        folder = find_model(models, ref)
        card = read_card(folder, ref)
        path = folder / card.file
        if card.ref not in {ref, f"{ref}/{card.version}"}:
            raise ModelError(ref, f"its card says it is {card.ref}; copy the right folder")
    return _opened(ref, model_bytes(path, card, ref), card, threads, providers)


def _opened(ref: str, data: bytes, card: Card, threads: int, providers: Sequence[str]) -> Model:
    missing = [p for p in providers if p not in ort.get_available_providers()]
    if missing:
        raise ModelError(
            ref,
            f"execution provider {', '.join(missing)} is not in this onnxruntime; "
            f"it has {', '.join(ort.get_available_providers())}",
        )
    try:
        session = ort.InferenceSession(data, _options(threads), providers=list(providers))
    except Exception as error:  # onnxruntime raises a dozen unrelated types for a broken graph
        what = str(error).splitlines()[0][:200]
        raise ModelError(ref, f"onnxruntime refuses it ({what}); export it again") from None
    model = Model(card, session)
    _check_contract(ref, model)
    _check_parity(ref, model)
    return model


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    # Spinning threads eat the core that cameras and the ledger need on a two-core machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _check_contract(ref: str, model: Model) -> None:
    """The graph must eat what the card says and give what its tool can decode."""
    card, session = model.card, model.session
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        raise ModelError(ref, f"has {len(inputs)} inputs; a tool feeds exactly one")
    name, tensor, shape = inputs[0].name, inputs[0].type, list(inputs[0].shape)
    if card.input.name and card.input.name != name:
        raise ModelError(ref, f"its input is `{name}`, its card says `{card.input.name}`")
    if tensor != _TENSORS[card.input.dtype]:
        raise ModelError(ref, f"its input is {tensor}, its card says {card.input.dtype}")
    if len(shape) != 4:
        raise ModelError(ref, f"its input has shape {shape}; four dimensions are needed")
    for says, has in zip(card.input.shape, shape, strict=False):
        if isinstance(says, int) and isinstance(has, int) and says > 0 and says != has:
            raise ModelError(
                ref, f"its input has shape {shape}, its card says {list(card.input.shape)}"
            )
    channels = shape[3] if card.input.layout == "NHWC" else shape[1]
    wanted = 1 if card.input.colour == "grey" else 3
    if isinstance(channels, int) and channels != wanted:
        raise ModelError(
            ref,
            f"its input {shape} has {channels} channels as {card.input.layout}, "
            f"but {card.input.colour} has {wanted}",
        )
    shapes = []
    for wanted_name in model.outputs:
        out = next((o for o in outputs if o.name == wanted_name), None)
        if out is None:
            known = ", ".join(o.name for o in outputs)
            raise ModelError(ref, f"has no output `{wanted_name}`; it has {known}")
        if out.type not in {"tensor(float)", "tensor(float16)"}:
            raise ModelError(ref, f"its output `{out.name}` is {out.type}; float is needed")
        shapes.append(list(out.shape))
    _check_classes(ref, card, shapes)


def probe(seed: int, shape: Sequence[int]) -> NDArray[np.uint8]:
    """The picture of a parity probe: random blocks of 16 px, ``shape`` [N,H,W,C]."""
    _, height, width, channels = shape
    rng = np.random.default_rng(seed)
    rows, columns = -(-height // PROBE_BLOCK), -(-width // PROBE_BLOCK)
    blocks = rng.integers(0, 256, (rows, columns, channels), dtype=np.uint8)
    whole = blocks.repeat(PROBE_BLOCK, 0).repeat(PROBE_BLOCK, 1)
    return np.ascontiguousarray(whole[None, :height, :width])


def probe_answer(answer: NDArray[Any], form: str) -> NDArray[Any]:
    """Ten numbers at most that stand for an output of ``form`` (the card's ``output.format``).

    Recognisers: the blank's probability at ten places. Classifiers: the scores. Segmenters: each
    class's mean score over the picture; models of surfaces: each channel's mean. Detectors, of
    instances too: the ten best scores.
    """
    match form:
        case "ctc":
            return answer[0, :: max(1, answer.shape[1] // 10), 0][:10]
        case "softmax" | "sigmoid":
            return answer[0, :10]
        case "semantic" | "masks" | "features" | "anomaly":
            return np.asarray(answer[0].mean((1, 2))[:10])
        case "yolov8-seg":
            return np.sort(answer[0, 4])[::-1][:10]
        case _:
            return np.sort(answer[0, :, 4])[::-1][:10]


def _check_parity(ref: str, model: Model) -> None:
    """The model must compute here what it computed where it was released (I7)."""
    card = model.card
    if not card.parity.probes:
        return
    if card.input.dtype != "uint8" or card.input.layout != "NHWC":
        raise ModelError(ref, "its card has parity probes, which are uint8 NHWC, its input is not")
    shape = [d if isinstance(d, int) and d > 0 else 1 for d in model.input_shape]
    if card.output.format in SURFACES:
        shape[1:3] = [SURFACE_PX if d == 1 else d for d in shape[1:3]]
    elif card.output.format == "ctc" and shape[2] == 1:  # of free width
        shape[2] = LINE_PX
    bound = model.bind(shape)
    for known in card.parity.probes:
        bound.input[...] = probe(known.seed, shape)
        values = probe_answer(bound.run(), card.output.format)
        gap = np.abs(values - np.asarray(known.answer[: len(values)]))
        if len(values) != len(known.answer) or not gap.max() <= card.parity.tolerance:
            raise ModelError(
                ref,
                f"answers otherwise here than where it was released (by {gap.max():.3f}); "
                "use its fp32 version or another execution provider",
            )


def _check_classes(ref: str, card: Card, shapes: Sequence[Sequence[Any]]) -> None:
    """The number of classes must be the card's; ``shapes`` are those of its outputs."""
    shape, form = list(shapes[0]), card.output.format
    wanted = len(card.classes)
    extra, axis = 0, 1
    known = FORMATS.get(card.task, (form,))
    if form not in known:
        what = f"its card's output format is `{form}`; known for `{card.task}`"
        raise ModelError(ref, f"{what}: {', '.join(known)}")
    match form:
        case "end-to-end":
            extra, wanted, axis = 6, 0, 2
        case "yolov8":
            extra = 4
        case "yolov5":
            extra, axis = 5, 2
        case "ctc":
            extra, wanted, axis = 1, len(card.charset), 2
            if not card.charset:  # it may lie in the graph's metadata
                return
        case "softmax" | "sigmoid" | "semantic" | "masks":
            pass
        case "instances" | "yolov8-seg":
            if len(shapes) < 2 or len(shapes[1]) != 4:
                what = f"{form} has a second output, the prototypes [N,M,h,w]"
                raise ModelError(ref, f"its outputs have shapes {list(shapes)}; {what}")
            if not isinstance(shapes[1][1], int):
                return
            extra = shapes[1][1] + (6 if form == "instances" else 4)
            wanted, axis = (0, 2) if form == "instances" else (wanted, 1)
        case _:
            return
    if not card.classes and card.task != "recognise":
        raise ModelError(ref, "its card names no classes")
    dimensions = {"softmax": 2, "sigmoid": 2, "semantic": 4, "masks": 4}.get(form, 3)
    size = shape[axis] if len(shape) == dimensions else -1
    if isinstance(size, int) and size != extra + wanted:
        raise ModelError(
            ref,
            f"its output has shape {shape}, but {form} with {wanted} classes "
            f"needs {extra + wanted}: the card belongs to another model",
        )
