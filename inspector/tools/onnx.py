"""The only place that knows onnxruntime: a model's folder goes in, a runner with bound buffers out.

A model is run only if its file has the digest of its card and its graph keeps the card's contract
(I7). Sessions are shared by all recipes of a ``Shelf``; a step binds its buffers once and reuses
them, so a run allocates nothing. Imported by the tools and by ``recipe``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from inspector.tools.card import Card, ModelError, check_bytes, model_bytes, model_file
from inspector.tools.contract import (
    INSTANCES,
    check_answers,
    check_graph,
    check_names,
    probe,
    probe_answer,
    probe_shape,
)

_DTYPES = {"uint8": np.uint8, "float32": np.float32, "float16": np.float16}


class Spent:
    """Processor time of this process's model runs, in the threads that asked for them; what
    onnxruntime's own threads add to it, the kernel tells."""

    def __init__(self) -> None:
        self._of_thread: dict[int, int] = {}

    def add(self, ns: int) -> None:
        """The calling thread has spent this much."""
        thread = threading.get_ident()
        self._of_thread[thread] = self._of_thread.get(thread, 0) + ns

    @property
    def ns(self) -> int:
        """All threads together."""
        return sum(list(self._of_thread.values()))


spent = Spent()


class Bound:
    """One input shape of a model with its buffers: fill ``input``, ``run``, read ``output``."""

    __slots__ = (
        "_binding", "_fixed", "_follows", "_held", "_outs", "_run", "input", "model", "output",
        "prototypes",
    )  # fmt: skip

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
        self._outs = tuple(outs)
        self.output: NDArray[Any] = tensor
        """Valid until the next run."""
        self.prototypes: NDArray[Any] = tensor
        """The second output of a segmenter of instances; other models have one output."""
        self._run_free()
        # A graph with its own NMS gives as many rows as it finds: such an output cannot be bound
        # beforehand. An output whose every dimension follows from the input's can; which of the two
        # a graph of free input has shows when an answer has another size than the first.
        shapes = [o.shape for o in session.get_outputs() if o.name in outs]
        static = all(isinstance(d, int) and d > 0 for shape in shapes for d in shape)
        free = any(not isinstance(d, int) for d in session.get_inputs()[0].shape)
        self._fixed = static or free
        self._follows = free and not static
        if self._fixed:
            answers = [np.ascontiguousarray(a) for a in self._binding.copy_outputs_to_cpu()]
            self.output, self.prototypes = answers[0], answers[-1]
            for out, answer in zip(outs, answers, strict=True):
                self._held.append(ort.OrtValue.ortvalue_from_numpy(answer))
                self._binding.bind_ortvalue_output(out, self._held[-1])

    def run(self) -> NDArray[Any]:
        """Runs the model on ``input``; the answer is ``output``, overwritten by the next run."""
        began_ns = time.thread_time_ns()
        if not self._fixed:
            self._run_free()
        elif not self._follows:
            self._run(self._binding)
        else:
            try:
                self._run(self._binding)
            except RuntimeError:  # the answer is not of the size that it was bound for
                self._fixed = False
                self._run_free()
        spent.add(time.thread_time_ns() - began_ns)
        return self.output

    def _run_free(self) -> None:
        # onnxruntime keeps an answer as the buffer for the next one, whatever its size.
        self._binding.clear_binding_outputs()
        for out in self._outs:
            self._binding.bind_output(out, "cpu")
        self._run(self._binding)
        answers = self._binding.copy_outputs_to_cpu()
        self.output, self.prototypes = answers[0], answers[-1]


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
        Raises ``ModelError`` when it cannot run, or gives what its card does not say: a graph may
        leave the shape of its answer free.
        """
        ref = self.card.ref
        try:
            bound = Bound(self, self._input, self.outputs, self.tensor(shape))
        except Exception as error:  # onnxruntime raises what its kernels raise
            what = str(error).splitlines()[0][:200]
            raise ModelError(
                ref, f"does not run on {list(shape)} ({what}); export it again"
            ) from None
        answers = (bound.output, bound.prototypes)[: len(self.outputs)]
        check_answers(ref, self.card, [list(answer.shape) for answer in answers])
        return bound

    def tensor(self, shape: Sequence[int]) -> NDArray[Any]:
        """An input of ``shape`` for ``run``."""
        return np.zeros(tuple(shape), self._dtype)

    def run(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """Runs the model on an input of any shape, its output newly allocated."""
        began_ns = time.thread_time_ns()
        answer: NDArray[Any] = self.session.run([self._output], {self._input: tensor})[0]
        spent.add(time.thread_time_ns() - began_ns)
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
    """The models of one process, opened once each. ``threads`` are those of every session;
    ``judges`` says how many parts its recipes judge side by side, each with tools of its own."""

    def __init__(
        self,
        models: Path,
        threads: int = 2,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        judges: int = 1,
    ) -> None:
        self.models = Path(models)
        self.threads = threads
        self.judges = judges
        self.providers = tuple(providers)
        self._open: dict[str, Model] = {}

    def card(self, ref: str) -> Card:
        """The card of ``name/version`` without opening the model. Raises ``ModelError``."""
        return model_file(self.models, ref)[1]

    def size(self, ref: str) -> int:
        """Bytes of the model's file."""
        return model_file(self.models, ref)[0].stat().st_size

    def open_bytes(self, data: bytes, card: Card, task: str) -> Model:
        """A model that lies in no folder but in what a recipe was taught, checked like any other.

        Raises ``ModelError``."""
        _check_task(card.ref, card, task)
        key = f"{card.ref} {card.sha256}"
        if key not in self._open:
            check_bytes(data, card, card.ref)
            self._open[key] = _opened(card.ref, data, card, self.threads, self.providers)
        return self._open[key]

    def open(self, ref: str, task: str) -> Model:
        """The model ``name/version``, checked. Raises ``ModelError`` by name with a mend."""
        if ref in self._open:
            _check_task(ref, self._open[ref].card, task)
            return self._open[ref]
        path, card = model_file(self.models, ref)
        _check_task(ref, card, task)
        if card.ref not in {ref, f"{ref}/{card.version}"}:
            raise ModelError(ref, f"its card says it is {card.ref}; copy the right folder")
        data = model_bytes(path, card, ref)
        self._open[ref] = _opened(ref, data, card, self.threads, self.providers)
        return self._open[ref]


def _check_task(ref: str, card: Card, task: str) -> None:
    if card.task != task:
        raise ModelError(ref, f"is for `{card.task}`, this step needs `{task}`")


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
    check_graph(ref, card, session.get_inputs(), session.get_outputs(), model.outputs)
    check_names(ref, card, model.metadata("names"))
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


def _check_parity(ref: str, model: Model) -> None:
    """The model must compute here what it computed where it was released (I7)."""
    card = model.card
    if not card.parity.probes:
        return
    if card.input.dtype != "uint8" or card.input.layout != "NHWC":
        raise ModelError(ref, "its card has parity probes, which are uint8 NHWC, its input is not")
    shape = probe_shape(card, model.input_shape)
    bound = model.bind(shape)
    for known in card.parity.probes:
        bound.input[...] = probe(known.seed, shape)
        values = probe_answer(bound.run(), card.output.format)
        if len(values) != len(known.answer):
            what = f"{len(values)} numbers to a probe, {len(known.answer)}"
            raise ModelError(ref, f"answers {what} where it was released: it is another model")
        gap = np.abs(values - np.asarray(known.answer))
        if not gap.max() <= card.parity.tolerance:
            raise ModelError(
                ref,
                f"answers otherwise here than where it was released (by {gap.max():.3f}); "
                "use its fp32 version or another execution provider",
            )
