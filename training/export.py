"""From a trained net to a model a station accepts: ONNX, checked against torch, with its card.

Enters a net and measured figures; leaves ``models/<name>/<version>/model.onnx`` and ``card.json``.
Imported by ``cli``. An export whose answers differ from torch's is refused (``Difference``).
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from torch import Tensor, nn

from inspector.part import Pixels
from training import dot_read, line_read
from training.card import sha256, write_card
from training.detector import Detector, EndToEnd, fuse
from training.evaluate import iou
from training.making import CARD, making, making_one
from training.measure import look_with, measure_detector, measure_reader, run, session
from training.pictures import Picture, letterbox
from training.plan import Plan
from training.read import Line, place
from training.recogniser import CHARSET, HEIGHT, WIDTH, ReadLine, Recogniser

OPSET = 18
SEEN = 0.05
"""Parity is asked of every detection that scores at least this."""
BOX_TOLERANCE_PX, SCORE_TOLERANCE = 0.1, 2e-3
PARITY_PICTURES = 40
VERDICT_SCORE = 0.5
INT8_PICTURES = 200
INT8_SCORES, INT8_BOXES, INT8_VERDICTS = 0.08, 0.85, 0.9
"""Of the shipped pairs: scores apart by 0.01, boxes overlap by 0.97, 0.97 of the pictures have the
same classes. With the head quantised too nothing overlaps at all."""
CALIBRATED_ON = 120


class Difference(ValueError):
    """The exported model does not answer as the trained one does."""


def to_onnx(
    whole: nn.Module,
    example: Tensor,
    path: Path,
    output: str,
    batch: bool = False,
    wide: bool = False,
) -> None:
    """Write ``whole`` (eval mode, uint8 in) as ONNX.

    With ``batch`` the first dimension is free, with ``wide`` the third, a line's width, as well.
    """
    whole = fuse(copy.deepcopy(whole).to(memory_format=torch.contiguous_format).eval())
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    free = {0: torch.export.Dim("n", min=1, max=64)} if batch else {}
    if wide:
        free[2] = torch.export.Dim("w", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            whole,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=[output],
            opset_version=OPSET,
            dynamic_shapes=(free,) if free else None,
            verbose=False,
        )
    assert program is not None
    onnx.save(_plain(program.model_proto), path)


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the exporter's notes, which hold paths of the machine and a third of the bytes."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    return model


def check_detections(whole: nn.Module, path: Path, pixels: Sequence[Pixels]) -> float:
    """The largest difference of a score or (in px) of a box between torch and the model.

    Every detection above ``SEEN`` must be in both; ``Difference`` otherwise.
    """
    model, worst, seen = session(path), 0.0, 0
    for image in pixels:
        with torch.no_grad():
            ours = whole(torch.from_numpy(image))[0].numpy()
        theirs = run(model, image)[0]
        for first, second in ((ours, theirs), (theirs, ours)):
            for row in first[first[:, 4] >= SEEN]:
                twins = second[second[:, 5] == row[5]]
                gap = np.abs(twins[:, :5] - row[:5])
                fine = (gap[:, :4].max(1) <= BOX_TOLERANCE_PX) & (gap[:, 4] <= SCORE_TOLERANCE)
                if not fine.any():
                    raise Difference(f"{path}: torch and ONNX disagree about {row.tolist()}")
                worst = max(worst, float(gap[fine].max(1).min()))
                seen += 1
    if not seen:
        raise Difference(f"{path}: nothing was detected, so nothing was compared")
    return worst


def check_int8(whole: Path, small: Path, pixels: Sequence[Pixels]) -> dict[str, float]:
    """How far the quantised detector is from the one it was made of, on held-out pictures.

    ``Difference`` when scores, boxes or verdicts (which classes are there at all) are too far apart
    for the two to be one model: such an export is refused.
    """
    first, second = session(whole), session(small)
    scores, boxes, same = [], [], 0
    for image in pixels:
        ours, theirs = run(first, image)[0], run(second, image)[0]
        top = [np.sort(rows[:, 4])[::-1][:10] for rows in (ours, theirs)]
        scores.append(float(np.abs(top[0] - top[1]).mean()))
        sure = [rows[rows[:, 4] >= VERDICT_SCORE] for rows in (ours, theirs)]
        same += set(sure[0][:, 5]) == set(sure[1][:, 5])
        for row in sure[0]:
            twins = sure[1][sure[1][:, 5] == row[5]]
            if len(twins):
                boxes.append(float(iou(row[None, :4], twins[:, :4]).max()))
    found = {
        "score_difference": round(float(np.mean(scores)), 4),
        "box_overlap": round(float(np.mean(boxes)), 4) if boxes else 1.0,
        "same_classes": round(same / len(pixels), 4),
    }
    if (
        found["score_difference"] > INT8_SCORES
        or found["box_overlap"] < INT8_BOXES
        or found["same_classes"] < INT8_VERDICTS
    ):
        raise Difference(f"{small}: int8 is not the fp32 model any more: {found}")
    return found


def check_lines(whole: nn.Module, path: Path, pixels: Sequence[Pixels]) -> float:
    """The largest difference of a probability between torch and the model."""
    model, worst = session(path), 0.0
    for image in pixels:
        with torch.no_grad():
            ours = whole(torch.from_numpy(image)).numpy()
        worst = max(worst, float(np.abs(ours - run(model, image)).max()))
    if worst > SCORE_TOLERANCE:
        raise Difference(f"{path}: torch and ONNX differ by {worst:.4f}")
    return worst


def quantise(source: Path, target: Path, pixels: Sequence[Pixels]) -> None:
    """Static int8 of the convolutions, calibrated on ``pixels``.

    What turns the last convolutions into boxes stays in float, and so do those convolutions: a box
    in 255 steps of the whole picture is no box (measured on a peer: mAP50 from 0.81 to 0.0).
    """
    graph = onnx.load(source).graph
    full = pixels[0].copy()
    full[0, 0, :2] = [[0], [255]]  # so that the input's scale is exactly one grey level
    target.parent.mkdir(parents=True, exist_ok=True)
    quantize_static(
        str(source),
        str(target),
        _Calibration([full, *pixels], graph.input[0].name),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=sorted(_head(graph)),
        calibrate_method=CalibrationMethod.MinMax,
    )
    onnx.save(_fed_with_pixels(onnx.load(target)), target)


def _fed_with_pixels(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the way from pixels to floats and back to the same integers, a tenth of the time."""
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in makers:
            continue
        way = [makers[node.input[0]]]
        while len(way) < 3 and way[-1].input[0] in makers:
            way.append(makers[way[-1].input[0]])
        if [step.op_type for step in way] == ["QuantizeLinear", "Mul", "Cast"]:
            node.input[0] = way[-1].input[0]
            for step in way:
                graph.node.remove(step)
            return model
    return model


def _head(graph: onnx.GraphProto) -> set[str]:
    """The nodes after the last convolutions, and those convolutions; the input's cast as well."""
    makers = {output: node for node in graph.node for output in node.output}
    head: set[str] = set()
    waiting = [makers[o.name] for o in graph.output if o.name in makers]
    while waiting:
        node = waiting.pop()
        if node.name in head:
            continue
        head.add(node.name)
        if node.op_type != "Conv":
            waiting += [makers[i] for i in node.input if i in makers]
    return head | {n.name for n in graph.node if n.op_type in ("Cast", "Transpose", "Mul")}


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, pixels: Sequence[Pixels], name: str):
        self._rows: Iterator[dict[str, Pixels]] = iter([{name: p} for p in pixels])

    def get_next(self) -> dict[str, Pixels] | None:
        return next(self._rows, None)


def export_detector(
    plan: Plan,
    net: Detector,
    pictures: Sequence[Picture],
    held_out: Sequence[Picture],
    models: Path,
    version: str,
    command: str,
) -> list[Path]:
    """Write ``plan.name`` and its ``-int8`` twin under ``models``; the cards' paths. Raises
    ``Difference``, and then nothing there has changed."""
    with making(models) as draft:
        height, width = plan.shape.height, plan.shape.width
        measured = [letterbox(p, height, width) for p in held_out]
        whole = EndToEnd(net).eval()
        path = draft / plan.name / version / "model.onnx"
        to_onnx(whole, torch.zeros(1, height, width, 3, dtype=torch.uint8), path, "detections")
        difference = check_detections(
            whole, path, [p.pixels[None] for p in measured[:PARITY_PICTURES]]
        )
        small = draft / f"{plan.name}-int8" / version / "model.onnx"
        step = max(1, len(pictures) // CALIBRATED_ON)
        learned = [letterbox(p, height, width).pixels[None] for p in pictures[::step]]
        quantise(path, small, learned)
        apart = check_int8(path, small, [p.pixels[None] for p in measured[:INT8_PICTURES]])
        cards = []
        for model, parent in ((path, None), (small, path)):
            look = look_with(model)
            metrics = measure_detector(look, measured, plan.shape.classes)
            if plan.probe is not None:
                metrics |= plan.probe(look, measured)
            lineage: dict[str, Any] = {
                "architecture": "training.detector",
                "shape": asdict(plan.shape),
                **plan.lineage,
            }
            if parent is not None:
                lineage |= {
                    "quantised_from": sha256(parent),
                    "calibrated_on": f"{len(learned)} training pictures",
                    "against_fp32": apart,
                }
            cards.append(
                write_card(
                    model,
                    task="detect",
                    license=plan.license,
                    trained_on=plan.trained_on,
                    command=command,
                    metrics=metrics,
                    difference=difference,
                    lineage=lineage,
                    classes=plan.shape.classes,
                )
            )
    return [models / card.relative_to(draft) for card in cards]


def export_reader(
    net: Recogniser,
    held_out: Sequence[Line],
    path: Path,
    command: str,
    trained_on: str = line_read.TRAINED_ON,
    wide: bool = False,
    lineage: Mapping[str, Any] | None = None,
    license: str = "Apache-2.0",
) -> Path:
    """Write the reader to ``path``; its card's path. With ``wide`` a line may be of any length.
    Raises ``Difference``, and then nothing there has changed."""
    with making_one(path) as made:
        whole = ReadLine(net).eval()
        example = torch.zeros(2, HEIGHT, WIDTH, 1, dtype=torch.uint8)
        to_onnx(whole, example, made, "probabilities", batch=True, wide=wide)
        put = dot_read.place_one if wide else place
        tensors = [put(line.pixels)[None, :, :, None] for line in held_out]
        difference = check_lines(whole, made, tensors[:PARITY_PICTURES])
        write_card(
            made,
            task="recognise",
            license=license,
            trained_on=trained_on,
            command=command,
            metrics=measure_reader(made, held_out, put),
            difference=difference,
            lineage={"architecture": "training.recogniser", **(lineage or {})},
            charset=CHARSET,
        )
    return path.with_name(CARD)
