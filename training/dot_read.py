"""The shipped model ``dot-read``: one line of dot-matrix, ink-jet or plain print, however long.

Each epoch's strips are rendered anew, so none is seen twice. It begins with the weights of
``line-read``, which has learned the virtual line's print, or with those of another reader of that
form. Enters seeds; leaves a ``Recogniser``. ``training fit read dot-read`` follows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from numpy.random import Generator
from onnx import numpy_helper
from torch import Tensor, nn

from inspector.part import Pixels
from inspector.tools.recognise import WIDTH_STEP
from training.dot_print import Split, render_strip
from training.fit import Schedule, fit
from training.pictures import PAD, resized
from training.read import Line, batch_of, exact
from training.recogniser import CHARSET, HEIGHT, ReadLine, Recogniser, decode_line, encode

NAME = "dot-read"
SEED = 23
ALONG = 4
"""Layers that look sideways: spaces are told from gaps by the characters beside them."""
WIDEST, NARROWEST = 640, 96
BATCH, HELD_OUT = 32, 2_000
STEPS = 80
"""Per epoch."""
SCHEDULE = Schedule(epochs=15, rate=1.2e-3, decay=0.01, warm_up=40, average=0.99, measure_every=5)
TRAINED_ON = (
    "Rendered strips (training.dot_print, split train): dot-matrix and ink-jet print of heads of "
    "5x5 dots to 18 rows in many designs, and solid print, tilted, bent, faint, inverted, noisy; "
    "measured on designs and fonts of split held_out."
)
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
SAID = (
    "EXP",
    "LOT",
    "BB",
    "L",
    "BATCH",
    "BEST BEFORE",
    "MFG",
    "USE BY",
    "PROD",
    "NO.",
    "LOT:",
    "EXP.",
)
LETTERS, DIGITS, MARKS = CHARSET[:26], CHARSET[26:36], CHARSET[37:]


def draw_text(rng: Generator) -> str:
    """Mostly any words, so that no letter is read because it is likely; dates and lots."""
    if rng.random() < 0.4:
        gap = str(rng.choice([" ", ".", "/", "-", ""]))
        month = MONTHS[rng.integers(12)] if rng.random() < 0.5 else f"{rng.integers(1, 13):02d}"
        year = f"{rng.integers(100):02d}" if rng.random() < 0.6 else f"20{rng.integers(100):02d}"
        text = gap.join((f"{rng.integers(1, 32):02d}", month, year))
        if rng.random() < 0.25:
            text += f" {rng.integers(24):02d}:{rng.integers(60):02d}"
        if rng.random() < 0.4:
            text = f"{SAID[rng.integers(len(SAID))]} {text}"
        return text
    pool = (LETTERS + DIGITS, LETTERS, DIGITS, (LETTERS + DIGITS) * 2 + MARKS)
    drawn = [
        "".join(rng.choice(list(pool[rng.integers(4)]), rng.integers(1, 9)))
        for _ in range(int(rng.choice([1, 2, 3, 4], p=[0.35, 0.35, 0.2, 0.1])))
    ]
    return " ".join(drawn)


def render(count: int, split: Split, seed: int = SEED) -> list[Line]:
    """``count`` strips, the same for a seed; the splits share no seed."""
    rng = np.random.default_rng((seed, int(split == "held_out")))
    return [_strip(rng, split) for _ in range(count)]


def _strip(rng: Generator, split: Split) -> Line:
    while True:
        text = draw_text(rng)
        pixels = render_strip(text, rng, split)
        wide = pixels.shape[1] * HEIGHT / pixels.shape[0]
        if wide < WIDEST and wide / 2 > 2 * len(text) + 2:  # CTC needs room between twins
            return Line(pixels, text)


def place(lines: Sequence[Pixels]) -> Pixels:
    """Lines as a station puts them into the reader's input: ``[N, 32, W]``, at the left, then grey.

    The width is the widest line's, up to the next multiple that stations bind
    (``inspector.tools.recognise``).
    """
    placed = []
    for line in lines:
        height, width = line.shape
        columns = max(1, round(width * HEIGHT / height))
        placed.append(resized(line, columns, HEIGHT))
    widest = max(NARROWEST, *(p.shape[1] for p in placed))
    canvas = np.full((len(lines), HEIGHT, -(-widest // WIDTH_STEP) * WIDTH_STEP), PAD, np.uint8)
    for row, line in zip(canvas, placed, strict=True):
        row[:, : line.shape[1]] = line
    return canvas


def place_one(line: Pixels) -> Pixels:
    """One line alone, ``[32, W]``."""
    return place([line])[0]


def begun_with(
    path: Path | None, net: Recogniser | None = None, shown: Sequence[Pixels] = ()
) -> Recogniser:
    """A net that answers as the exported reader at ``path`` does; without one, untrained.

    The export's convolutions hold their normalisation. It is taken out again, so that the net can
    go on learning with one: each channel is normalised by what it gives on ``shown``, lines as high
    as the input and all equally wide; by default on some strips. ``net`` is of this reader's form
    unless it is given. Raises ``ValueError`` if there is no reader at ``path``.
    """
    net = net or Recogniser(along=ALONG)
    if path is None:
        return net
    if not path.exists():
        raise ValueError(f"{path} is not there: give a reader's folder, such as models/line-read/1")
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    stored = {name.removeprefix("net."): torch.tensor(v) for name, v in stored.items()}
    net.eval()
    fused: list[tuple[nn.Conv2d, nn.BatchNorm2d, Tensor]] = []
    for name, module in net.named_modules():
        conv, norm = getattr(module, "conv", None), getattr(module, "norm", None)
        if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            continue
        weight = stored.get(f"{name}.conv.weight")
        if weight is None:  # a layer that the other reader lacks: it begins by adding nothing
            nn.init.zeros_(norm.weight)
            continue
        bias = stored.get(f"{name}.conv.bias", stored.get(f"{name}.conv.weight_bias"))
        if bias is None or weight.shape != conv.weight.shape:
            raise ValueError(f"{path} is no reader of this form: {name} is another layer there")
        conv.weight.data.copy_(weight)
        norm.bias.data.copy_(bias)
        fused.append((conv, norm, bias))
    for name in ("gather", "say"):
        part = getattr(net, name)
        if f"{name}.weight" not in stored:
            raise ValueError(f"{path} is no reader of this form: it has no layer {name}")
        part.weight.data.copy_(stored[f"{name}.weight"])
        part.bias.data.copy_(stored[f"{name}.bias"])
    strips = np.stack(shown) if shown else place([x.pixels for x in render(96, "train", SEED + 1)])
    seen: dict[nn.Module, Tensor] = {}
    hooks = [
        conv.register_forward_hook(lambda part, _, out: seen.__setitem__(part, out.detach()))
        for conv, _, _ in fused
    ]
    with torch.no_grad():
        net(torch.from_numpy(strips)[:, None].float() * (1 / 255))
    for hook in hooks:
        hook.remove()
    for conv, norm, bias in fused:
        mean, spread = seen[conv].mean((0, 2, 3)), seen[conv].var((0, 2, 3))
        norm.running_mean = mean.clone()
        norm.running_var = spread.clone()
        norm.weight.data.copy_((spread + norm.eps).sqrt())
        norm.bias.data.copy_(bias + mean)
    return net


def fit_dots(
    folder: Path,
    held_out: Sequence[Line],
    schedule: Schedule,
    start: Path | None,
    steps: int = STEPS,
) -> Recogniser:
    """Train on strips drawn as they are needed, telling the share of ``held_out`` read exactly."""
    ctc = nn.CTCLoss(zero_infinity=True)

    def four(*seed: int) -> list[Any]:
        """Four batches, in each strips of like width: less grey is computed."""
        rng = np.random.default_rng(seed)
        strips = [_strip(rng, "train") for _ in range(4 * BATCH)]
        strips.sort(key=lambda line: line.pixels.shape[1] / line.pixels.shape[0])
        return [_batch(strips[i * BATCH : (i + 1) * BATCH]) for i in rng.permutation(4)]

    def batches(epoch: int) -> Iterator[Callable[[], list[Any]]]:
        cv2.setNumThreads(1)
        return (partial(four, SEED, schedule.seed, epoch, i) for i in range(-(-steps // 4)))

    def loss(net: nn.Module, batch: Any) -> Tensor:
        pixels, wanted, lengths = batch
        logits = net(pixels.float() * (1 / 255)).float()
        count = torch.full((len(pixels),), logits.shape[1], dtype=torch.long)
        with torch.autocast(logits.device.type, enabled=False):
            value: Tensor = ctc(logits.log_softmax(-1).transpose(0, 1), wanted, count, lengths)
        return value

    def measure(net: nn.Module) -> float:
        assert isinstance(net, Recogniser)
        few = held_out[:300]
        return exact(read_strips(net, few), few).value

    begun = Recogniser(along=ALONG) if (folder / "last.pt").exists() else begun_with(start)
    return fit(begun, batches, steps, loss, measure, folder, schedule)


def _batch(chosen: Sequence[Line]) -> tuple[Tensor, Tensor, Tensor]:
    pixels = place([line.pixels for line in chosen])
    return batch_of(pixels, [encode(line.text) for line in chosen])


@torch.no_grad()
def read_strips(net: Recogniser, lines: Sequence[Line]) -> list[str]:
    """What ``net`` reads on each strip."""
    whole = ReadLine(net).eval()
    return [
        decode_line(whole(torch.from_numpy(place([line.pixels]))[..., None])[0].numpy())[0]
        for line in lines
    ]
