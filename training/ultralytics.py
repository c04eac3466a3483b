"""``--arch ultralytics:MODEL``: their network trained on our data set, where somebody wants it.

ultralytics is AGPL-3.0, and its authors claim that licence for weights trained with it as well: so
it is never imported unless asked for by name, says so first, and nothing that we ship comes from
it. Enters a lesson; leaves a model with its card, in fp32. Imported by ``cli_fit`` alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from ruamel.yaml import YAML

from training.card import sha256
from training.fit import Schedule
from training.pictures import Picture
from training.teach import Lesson, lineage, pictures_of, shape_for

console = Console(stderr=True)
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
        from ultralytics import YOLO, settings
    except ImportError:
        raise NoUltralytics(
            "ultralytics is not installed: `pip install ultralytics` if its AGPL-3.0 suits you, "
            "or leave --arch out"
        ) from None
    settings.update({"sync": False})
    shape = shape_for(lesson, None)
    data = _written(lesson, run / "data")
    net = YOLO(f"{name}.yaml")
    found = net.train(
        data=str(data), epochs=schedule.epochs, imgsz=max(shape.height, shape.width),
        project=str(run), name="ultralytics", exist_ok=True, seed=schedule.seed, nbs=8, batch=8,
        optimizer="AdamW", lr0=schedule.rate, plots=False, verbose=False, fliplr=0.0, mosaic=0.0,
    )  # fmt: skip
    figures = {k: float(v) for k, v in getattr(found, "results_dict", {}).items()}
    track(schedule.epochs, figures)
    exported = Path(net.export(format="onnx", nms=True, imgsz=(shape.height, shape.width)))
    path = models / lesson.name / version / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(exported.read_bytes())
    return [_card(path, lesson, schedule, command, arch, figures)]


def _written(lesson: Lesson, folder: Path) -> Path:
    for split, others in (("train", ("train",)), ("val", ("val", "test"))):
        for number, picture in enumerate(pictures_of(lesson, *others)):
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


def _card(
    path: Path, lesson: Lesson, schedule: Schedule, command: str, arch: str,
    figures: dict[str, float],
) -> Path:  # fmt: skip
    import json

    card: dict[str, Any] = {
        "name": path.parent.parent.name, "version": path.parent.name, "task": "detect",
        "sha256": sha256(path), "license": "AGPL-3.0 (ultralytics)", "command": command,
        "input": {"dtype": "float32", "layout": "NCHW", "colour": "RGB", "scale": 1 / 255},
        "letterbox": {"pad": 114, "align": "centre"},
        "output": {"format": "end-to-end"}, "classes": list(lesson.classes),
        "metrics": figures, "lineage": {"architecture": arch, **lineage(lesson, None, schedule)},
    }  # fmt: skip
    target = path.with_name("card.json")
    target.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return target
