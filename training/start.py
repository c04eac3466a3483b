"""Where a training begins: a checkpoint, or a model that ships, enters; a net that knows it leaves.

A released model is its own checkpoint: the exporter folds every batch norm into its convolution and
keeps the names, so what a station runs can be taught on. Imported by ``detect``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from training.detector import Detector, fuse


def begin(net: Detector, start: Path) -> Detector:
    """``net`` with the weights of ``start``: a run's ``last.pt``, an fp32 model's folder or file.

    Classes are matched by name: a class that ``start`` knows keeps what it has learned, wherever
    it stands in ``net``; a new one begins fresh. Raises ``ValueError`` when little of it fits.
    """
    path = start / "model.onnx" if start.is_dir() else start
    if not path.exists():
        raise ValueError(f"{path} is not there: give a run's last.pt or a model's folder")
    if path.suffix == ".onnx":
        fuse(net.eval())
        known = _weights(path)
        classes = _classes(path)
    else:
        state = torch.load(path, weights_only=True)
        known, classes = state["average"], tuple(state.get("classes", net.shape.classes))
        if not any(".norm." in name for name in known):
            fuse(net.eval())
    mine, taken = net.state_dict(), 0
    rows = [
        (net.shape.classes.index(c), i) for i, c in enumerate(classes) if c in net.shape.classes
    ]
    for name, value in mine.items():
        theirs = known.get(name)
        if theirs is None:
            continue
        if name.startswith("score.") and len(theirs) == len(classes):
            for here, there in rows:
                value[here] = theirs[there]
            taken += 1
        elif theirs.shape == value.shape:
            value.copy_(theirs)
            taken += 1
    if taken < len(mine) * 0.8:
        raise ValueError(
            f"{path}: only {taken} of {len(mine)} weights fit this net; "
            "begin from a model of the same architecture and input, in fp32"
        )
    net.load_state_dict(mine)
    return net


def as_left(net: Detector, checkpoint: Path) -> Detector:
    """``net`` as a run left it, which may have begun from a released model, whose norms are folded.
    Raises ``ValueError`` where the run was of another network."""
    try:
        known = torch.load(checkpoint, weights_only=True, map_location="cpu")["average"]
        if not any(".norm." in name for name in known):
            fuse(net.eval())
        net.load_state_dict(known)
    except (RuntimeError, UnpicklingError, EOFError, KeyError, TypeError):
        raise ValueError(
            f"{checkpoint} is no checkpoint of this network: give the --classes of its run"
        ) from None
    return net


def _weights(path: Path) -> dict[str, Tensor]:
    """By the net's own names."""
    graph = onnx.load(path).graph
    return {
        entry.name.removeprefix("net."): torch.from_numpy(np.array(numpy_helper.to_array(entry)))
        for entry in graph.initializer
        if entry.name.startswith("net.")
    }


def _classes(path: Path) -> Sequence[str]:
    card = path.with_name("card.json")
    if not card.exists():
        raise ValueError(f"{card} is not there: a model without its card names no classes")
    return tuple(json.loads(card.read_text())["classes"])
