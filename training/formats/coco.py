"""COCO detection JSON (cocodataset.org/#format-data): boxes, polygons, our lineage in ``extra``.

``<folder>/<split>.json`` with ``<folder>/images/``. Reads any COCO file with ``images``,
``annotations`` and ``categories``; run-length masks become their boxes, an outline in several
pieces becomes as many labels.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.dataset.row import GIVEN, SPLITS, Draft, Label
from training.dataset.snapshot import Snapshot, SnapshotError
from training.formats.pictures import draft, known, lineage, put, unplaced


def write(snapshot: Snapshot, folder: Path) -> int:
    """One file per split that has pictures."""
    classes = sorted(snapshot.classes())
    count = 0
    for split in SPLITS:
        rows = snapshot.of(split)
        if not rows:
            continue
        images: list[dict[str, Any]] = []
        notes: list[dict[str, Any]] = []
        for row in rows:
            name = put(snapshot, row, folder / "images")
            images.append(
                {"id": len(images) + 1, "file_name": name, "width": row.width,
                 "height": row.height, "extra": lineage(row)}
            )  # fmt: skip
            for label in row.labels:
                if label.box is None:
                    continue
                x1, y1, x2, y2 = label.box
                outline = [v for point in label.polygon for v in point]
                notes.append(
                    {"id": len(notes) + 1, "image_id": images[-1]["id"],
                     "category_id": classes.index(label.label) + 1,
                     "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1),
                     "segmentation": [outline] if outline else [], "iscrowd": 0,
                     "severity": label.severity, "source": label.source, "defect": label.defect,
                     "text": label.text}
                )  # fmt: skip
        whole = {
            "info": {"description": snapshot.ref, "digest": snapshot.digest},
            "images": images,
            "annotations": notes,
            "categories": [{"id": i + 1, "name": name} for i, name in enumerate(classes)],
        }
        (folder / f"{split}.json").write_text(json.dumps(whole))
        count += len(images)
    return count


def read(folder: Path) -> list[Draft]:
    """Every JSON file in ``folder``, or the one that it is; a file's name is its split."""
    files = [folder] if folder.is_file() else sorted(folder.glob("*.json"))
    files += [] if folder.is_file() else sorted((folder / "annotations").glob("*.json"))
    if not files:
        raise SnapshotError(f"{folder}: no COCO file (*.json) in it")
    drafts = []
    for path in files:
        try:
            whole = json.loads(path.read_bytes())
            names = {c["id"]: str(c["name"]) for c in whole["categories"]}
            of_image: dict[int, list[Label]] = {}
            for note in whole["annotations"]:
                of_image.setdefault(note["image_id"], []).extend(_labels(note, names))
            for image in whole["images"]:
                extra = image.get("extra") or {}
                drafts.append(
                    draft(
                        _file(path.parent, str(image["file_name"])),
                        [*of_image.get(image["id"], []), *unplaced(extra)],
                        (image.get("width"), image.get("height")),
                        **{"split": path.stem, **known(extra)},
                    )
                )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, SnapshotError):
                raise
            raise SnapshotError(f"{path}: no COCO file: {error!r}") from None
    return drafts


def _labels(note: dict[str, Any], names: dict[int, str]) -> list[Label]:
    x, y, w, h = (float(v) for v in note["bbox"])
    whole = Label(
        names[note["category_id"]], (x, y, x + w, y + h), (),
        str(note.get("severity", "major")), str(note.get("source", GIVEN)),
        str(note.get("text", "")), bool(note.get("defect", True)),
    )  # fmt: skip
    outlines = note.get("segmentation")
    if not isinstance(outlines, list) or not outlines:
        return [whole]
    pieces = [
        tuple((float(a), float(b)) for a, b in zip(flat[::2], flat[1::2], strict=True))
        for flat in outlines
    ]
    if len(pieces) == 1:
        return [replace(whole, polygon=pieces[0])]
    return [
        replace(whole, polygon=piece, box=(min(xs), min(ys), max(xs), max(ys)))
        for piece in pieces
        for xs, ys in [tuple(zip(*piece, strict=True))]
    ]


def _file(home: Path, name: str) -> Path:
    for place in (home / name, home / "images" / name, home.parent / "images" / name):
        if place.is_file():
            return place
    return home / "images" / name
