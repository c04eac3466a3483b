"""Label Studio's JSON tasks (labelstud.io/guide/export): rectangles and polygons in per cent.

``<folder>/tasks.json`` with ``<folder>/images/``, and ``config.xml`` for a project's labelling
interface. Lineage travels in each task's ``data``. Reads annotations, and predictions where nobody
has annotated yet; a task that was skipped, or of which nobody has said anything, is no picture of a
good part and is left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse
from xml.sax.saxutils import quoteattr

from training.dataset.row import GIVEN, Draft, Label, Row
from training.dataset.snapshot import Snapshot, SnapshotError
from training.formats.pictures import draft, known, lineage, put, turned, unplaced


def write(snapshot: Snapshot, folder: Path) -> int:
    """One task per picture; its labels as a finished annotation."""
    tasks = []
    for number, row in enumerate(snapshot.rows, 1):
        name = put(snapshot, row, folder / "images")
        results = [_result(label, row) for label in row.labels if label.box]
        tasks.append(
            {
                "id": number,
                "data": {"image": f"images/{name}", **lineage(row)},
                "annotations": [{"id": number, "result": results, "ground_truth": True}],
            }
        )
    (folder / "tasks.json").write_text(json.dumps(tasks, ensure_ascii=False))
    labels = "".join(f"<Label value={quoteattr(name)}/>" for name in sorted(snapshot.classes()))
    (folder / "config.xml").write_text(
        '<View><Image name="image" value="$image"/>'
        f'<RectangleLabels name="box" toName="image">{labels}</RectangleLabels>'
        f'<PolygonLabels name="outline" toName="image">{labels}</PolygonLabels></View>\n'
    )
    return len(tasks)


def read(folder: Path) -> list[Draft]:
    """``tasks.json`` of ``folder``, or the JSON file that it is."""
    path = folder if folder.is_file() else folder / "tasks.json"
    try:
        tasks = json.loads(path.read_bytes())
        return [d for task in tasks if (d := _draft(task, path.parent)) is not None]
    except OSError as error:
        raise SnapshotError(f"{path}: {error.strerror}") from None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, SnapshotError):
            raise
        raise SnapshotError(f"{path}: no export of Label Studio: {error!r}") from None


def _draft(task: dict[str, Any], home: Path) -> Draft | None:
    data = task["data"]
    said = task.get("annotations") or task.get("predictions") or []
    said = [one for one in said if not one.get("was_cancelled")]
    if not said:
        return None
    results = said[-1]["result"]
    labels = [label for result in results if (label := _label(result)) is not None]
    size = next(((r["original_width"], r["original_height"]) for r in results
                 if "original_width" in r), ())  # fmt: skip
    labels += unplaced(data)
    where = unquote(urlparse(str(data["image"])).path)
    # Its own uploads are named /data/upload/<project>/<hash>-<name>.
    places = [home / where.lstrip("/"), home / "images" / Path(where).name]
    path = next((p for p in places if p.is_file()), places[0])
    return draft(path, labels, size, **known(data))


def _result(label: Label, row: Row) -> dict[str, Any]:
    shared = {
        "to_name": "image", "original_width": row.width, "original_height": row.height,
        "image_rotation": 0, "meta": {"severity": label.severity, "source": label.source,
                                      "defect": label.defect, "said": label.text},
    }  # fmt: skip
    if label.polygon:
        points = [[x / row.width * 100, y / row.height * 100] for x, y in label.polygon]
        value: dict[str, Any] = {"points": points, "polygonlabels": [label.label]}
        return {"from_name": "outline", "type": "polygonlabels", "value": value, **shared}
    assert label.box is not None
    x1, y1, x2, y2 = label.box
    value = {
        "x": x1 / row.width * 100, "y": y1 / row.height * 100,
        "width": (x2 - x1) / row.width * 100, "height": (y2 - y1) / row.height * 100,
        "rotation": 0, "rectanglelabels": [label.label],
    }  # fmt: skip
    return {"from_name": "box", "type": "rectanglelabels", "value": value, **shared}


def _label(result: dict[str, Any]) -> Label | None:
    value, kind = result["value"], result["type"]
    if not kind.endswith("labels"):
        return None
    width, height = result["original_width"] / 100, result["original_height"] / 100
    meta = result.get("meta") or {}
    rest = (str(meta.get("severity", "major")), str(meta.get("source", GIVEN)),
            str(meta.get("said", "")), bool(meta.get("defect", True)))  # fmt: skip
    if kind == "polygonlabels":
        polygon = tuple((x * width, y * height) for x, y in value["points"])
    elif kind == "rectanglelabels":
        x, y = value["x"] * width, value["y"] * height
        box = (x, y, x + value["width"] * width, y + value["height"] * height)
        turn = float(value.get("rotation") or 0)
        if not turn:
            return Label(value[kind][0], box, (), *rest)
        polygon = turned(((x, y), (box[2], y), box[2:], (x, box[3])), (x, y), turn)
    else:
        raise SnapshotError(
            f"a task has {kind}, which have no box: draw rectangles or polygons there"
        )
    xs, ys = zip(*polygon, strict=True)
    return Label(value[kind][0], (min(xs), min(ys), max(xs), max(ys)), polygon, *rest)
