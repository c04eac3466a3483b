"""What a model's graph must be to be what its card says: the card and the graph's ends go in, a
refusal by name comes out, or nothing. And the pictures that a model is probed with, so that it
computes here what it computed where it was released (I7).

Knows no runtime. Imported by ``onnx``, by the tools, and by the training that writes cards.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from inspector.tools.card import Card, ModelError

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


def check_graph(
    ref: str, card: Card, inputs: Sequence[Any], outputs: Sequence[Any], read: Sequence[str]
) -> None:
    """The graph must eat what the card says and give what its tool can decode.

    ``inputs`` and ``outputs`` are the graph's own (``name``, ``type``, ``shape``); ``read`` names
    the outputs that are used. Raises ``ModelError``.
    """
    if len(inputs) != 1:
        raise ModelError(ref, f"has {len(inputs)} inputs; a tool feeds exactly one")
    name, tensor, shape = inputs[0].name, inputs[0].type, list(inputs[0].shape)
    if card.input.name and card.input.name != name:
        raise ModelError(ref, f"its input is `{name}`, its card says `{card.input.name}`")
    if tensor != _TENSORS[card.input.dtype]:
        raise ModelError(ref, f"its input is {tensor}, its card says {card.input.dtype}")
    if len(shape) != 4:
        raise ModelError(ref, f"its input has shape {shape}; four dimensions are needed")
    said = card.input.shape or shape
    if len(said) != len(shape) or any(
        isinstance(says, int) and isinstance(has, int) and says > 0 and says != has
        for says, has in zip(said, shape, strict=True)
    ):
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
    for wanted_name in read:
        out = next((o for o in outputs if o.name == wanted_name), None)
        if out is None:
            known = ", ".join(o.name for o in outputs)
            raise ModelError(ref, f"has no output `{wanted_name}`; it has {known}")
        if out.type not in {"tensor(float)", "tensor(float16)"}:
            raise ModelError(ref, f"its output `{out.name}` is {out.type}; float is needed")
        shapes.append(list(out.shape))
    check_answers(ref, card, shapes)


def check_answers(ref: str, card: Card, shapes: Sequence[Sequence[Any]]) -> None:
    """The number of classes must be the card's; ``shapes`` are those of its outputs, as the graph
    declares them or, where it leaves them free, as they come. Raises ``ModelError``."""
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


def check_names(ref: str, card: Card, names: str) -> None:
    """What an exporter wrote into the graph as its classes' ``names``, ``{0: 'Bottle', 1: 'Cap'}``,
    must be as many as the card's, and in the same order where they are the same ones: the shape of
    a head with its own suppression shows neither. Raises ``ModelError``."""
    try:
        found = ast.literal_eval(names)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return
    known = list(found.values()) if isinstance(found, dict) else found
    if not isinstance(known, list | tuple) or not all(isinstance(name, str) for name in known):
        return
    said = list(card.classes)
    if len(known) != len(said) or (sorted(known) == sorted(said) and list(known) != said):
        raise ModelError(
            ref, f"its classes are {', '.join(known)}, its card says {', '.join(said)}"
        )


def probe(seed: int, shape: Sequence[int]) -> NDArray[np.uint8]:
    """The picture of a parity probe: random blocks of 16 px, ``shape`` [N,H,W,C]."""
    _, height, width, channels = shape
    rng = np.random.default_rng(seed)
    rows, columns = -(-height // PROBE_BLOCK), -(-width // PROBE_BLOCK)
    blocks = rng.integers(0, 256, (rows, columns, channels), dtype=np.uint8)
    whole = blocks.repeat(PROBE_BLOCK, 0).repeat(PROBE_BLOCK, 1)
    return np.ascontiguousarray(whole[None, :height, :width])


def is_fixed(side: object) -> TypeGuard[int]:
    """Whether a graph says how large this side of its input is: it may leave it free."""
    return isinstance(side, int) and side > 0


def probe_shape(card: Card, shape: Sequence[Any]) -> list[int]:
    """The shape of a model's probe, sides that its graph leaves free being chosen."""
    sides = [d if is_fixed(d) else 1 for d in shape]
    if card.output.format in SURFACES:
        sides[1:3] = [SURFACE_PX if d == 1 else d for d in sides[1:3]]
    elif card.output.format == "ctc" and sides[2] == 1:  # of free width
        sides[2] = LINE_PX
    return sides


def input_shape(card: Card, shape: Sequence[Any], free_side: int) -> list[int]:
    """The shape of a model's input, free sides being ``free_side``, a free batch one picture."""
    sides = [d if is_fixed(d) else free_side for d in shape]
    sides[0] = shape[0] if is_fixed(shape[0]) else 1
    sides[3 if card.input.layout == "NHWC" else 1] = 1 if card.input.colour == "grey" else 3
    return sides


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
