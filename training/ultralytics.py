"""``--arch ultralytics:MODEL``: their network trained on our data set, where somebody wants it.

ultralytics is AGPL-3.0, and its authors claim that licence for weights trained with it as well: so
it is never imported unless asked for by name, says so first, and nothing that we ship comes from
it. Enters a lesson; leaves a model like ours, in fp32: pixels in, the same answers as in torch or
no model, a card with its measured figures. Imported by ``cli_fit`` alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from ruamel.yaml import YAML

from inspector.part import Pixels
from training.card import write_card
from training.detector import Shape
from training.export import Difference
from training.fit import Schedule
from training.making import CARD, making_one
from training.measure import look_with, measure_detector, run, session
from training.pictures import Picture, letterbox
from training.teach import Lesson, held_out, lineage, pictures_of

console = Console(stderr=True)
PARITY_PICTURES, SEEN = 8, 0.25
BOX_PX, SCORE = 2.0, 0.02
"""How far a box and its score may lie apart in torch and in the model."""
_KEPT: list[Any] = []
"""Operators that live as long as this process."""
WARNING = (
    "ultralytics is AGPL-3.0: who runs a model trained with it in a product or over a network must "
    "offer that product's source, or buy their licence. Our own network (--arch own) has no such "
    "condition."
)


class NoUltralytics(ValueError):
    """It was asked for and is not installed."""


def fit_ultralytics(
    arch: str,
    lesson: Lesson,
    shape: Shape,
    run: Path,
    schedule: Schedule,
    models: Path,
    version: str,
    command: str,
    track: Callable[[int, dict[str, float]], None],
) -> list[Path]:
    """Trains ``ultralytics:<model>`` from its YAML, without pretrained weights; the card's path."""
    family, _, name = arch.partition(":")
    if family != "ultralytics" or not name:
        raise NoUltralytics(f"no architecture {arch!r}: own, or ultralytics:yolo11n and its like")
    console.print(WARNING, style="yellow")
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")
    try:
        _mend_torchvision()
        from ultralytics import YOLO, settings
    except ImportError:
        raise NoUltralytics(
            "ultralytics is not installed: `pip install ultralytics` if its AGPL-3.0 suits you, "
            "or leave --arch out"
        ) from None
    settings.update({"sync": False})
    data = _written(lesson, run / "data")
    net = YOLO(f"{name}.yaml")
    found = net.train(
        data=str(data), epochs=schedule.epochs, imgsz=max(shape.height, shape.width),
        project=str(run), name="ultralytics", exist_ok=True, seed=schedule.seed, nbs=8, batch=8,
        optimizer="AdamW", lr0=schedule.rate, plots=False, verbose=False, fliplr=0.0, mosaic=0.0,
    )  # fmt: skip
    known = getattr(found, "results_dict", {})
    figures = {k.replace("(", "_").replace(")", ""): float(v) for k, v in known.items()}
    track(schedule.epochs, figures)
    exported = Path(net.export(format="onnx", nms=True, imgsz=(shape.height, shape.width)))
    held = held_out(lesson, "val", "test")
    measured = [letterbox(p, shape.height, shape.width) for p in held]
    path = models / lesson.name / version / "model.onnx"
    with making_one(path) as made:
        made.parent.mkdir(parents=True)
        onnx.save(fed_with_pixels(onnx.load(exported)), made)
        difference = _check(net, made, [p.pixels for p in measured[:PARITY_PICTURES]])
        write_card(
            made, task="detect", license="AGPL-3.0 (ultralytics)",
            trained_on=", ".join(s.ref for s in lesson.snapshots), command=command,
            metrics=measure_detector(look_with(made), measured, lesson.classes),
            difference=difference, classes=lesson.classes,
            lineage={"architecture": arch, **lineage(lesson, None, schedule)},
        )  # fmt: skip
    return [path.with_name(CARD)]


def fed_with_pixels(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with uint8 ``[1, H, W, 3]``, BGR, as its input, as every model of ours."""
    graph = model.graph
    inner = graph.input[0]
    _, channels, height, width = (d.dim_value for d in inner.type.tensor_type.shape.dim)
    assert channels == 3
    pixels = helper.make_tensor_value_info("images_u8", TensorProto.UINT8, [1, height, width, 3])
    scale = numpy_helper.from_array(np.array(1 / 255, np.float32), "pixel_scale")
    turned = numpy_helper.from_array(np.array([2, 1, 0], np.int64), "bgr_to_rgb")
    nodes = [
        helper.make_node("Cast", ["images_u8"], ["pixels_f"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels_f", "pixel_scale"], ["pixels_scaled"]),
        helper.make_node("Gather", ["pixels_scaled", "bgr_to_rgb"], ["pixels_rgb"], axis=3),
        helper.make_node("Transpose", ["pixels_rgb"], [inner.name], perm=[0, 3, 1, 2]),
    ]
    for node in reversed(nodes):
        graph.node.insert(0, node)
    graph.initializer.extend([scale, turned])
    del graph.input[:]
    graph.input.append(pixels)
    return model


def _check(net: Any, path: Path, pixels: Sequence[Pixels]) -> float:
    """The largest difference of a score between their torch and the exported model.

    Raises ``Difference`` when one of them sees what the other does not: then nothing is released.
    """
    model, worst = session(path), 0.0
    for image in pixels:
        side = (image.shape[0], image.shape[1])
        answer = net.predict(image, imgsz=side, conf=SEEN / 2, verbose=False)[0].boxes
        ours = np.column_stack(
            [answer.xyxy.cpu().numpy(), answer.conf.cpu().numpy(), answer.cls.cpu().numpy()]
        )
        theirs = run(model, image[None])[0]
        for first, second in ((ours, theirs), (theirs, ours)):
            for row in first[first[:, 4] >= SEEN]:
                twins = second[(second[:, 5] == row[5]) & (second[:, 4] >= SEEN / 2)]
                gap = np.abs(twins[:, :5] - row[:5])
                fine = (gap[:, :4].max(1) <= BOX_PX) & (gap[:, 4] <= SCORE) if len(twins) else None
                if fine is None or not fine.any():
                    raise Difference(f"{path}: torch and ONNX disagree about {row.tolist()}")
                worst = max(worst, float(gap[fine, 4].min()))
    return worst


def _mend_torchvision() -> None:
    """Where torchvision's compiled operators do not load (its build is for another torch), the one
    that a detector needs is made of ultralytics' own."""
    from torch import library

    try:
        import torchvision
    except RuntimeError:
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        operators = library.Library("torchvision", "FRAGMENT")
        _KEPT.append(operators)
        operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

        def nms(boxes: Any, scores: Any, iou: float) -> Any:
            from ultralytics.utils.nms import TorchNMS

            return TorchNMS.nms(boxes, scores, iou)

        operators.impl("nms", nms, "CPU")
        import torchvision
    if not torchvision.extension._has_ops():
        torchvision.extension._has_ops = lambda: True


def _written(lesson: Lesson, folder: Path) -> Path:
    parts = {"train": pictures_of(lesson, "train"), "val": held_out(lesson, "val", "test")}
    for split, pictures in parts.items():
        for number, picture in enumerate(pictures):
            for kind in ("images", "labels"):
                (folder / kind / split).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / "images" / split / f"{number}.png"), picture.pixels)
            (folder / "labels" / split / f"{number}.txt").write_text(_lines(picture))
    path = folder / "data.yaml"
    with path.open("w") as file:
        YAML(typ="safe").dump(
            {"path": str(folder.resolve()), "train": "images/train", "val": "images/val",
             "names": dict(enumerate(lesson.classes))},
            file,
        )  # fmt: skip
    return path


def _lines(picture: Picture) -> str:
    height, width = picture.pixels.shape[:2]
    size = np.array([width, height] * 2, np.float32)
    lines = []
    for box, label in zip(picture.boxes / size, picture.labels, strict=True):
        x1, y1, x2, y2 = box.tolist()
        lines.append(f"{label} {(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}")
    return "\n".join(lines) + "\n"
