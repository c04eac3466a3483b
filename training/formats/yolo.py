"""YOLO text files: ``images/<split>``, ``labels/<split>`` and ``data.yaml``.

Keeps boxes, or polygons where there are any, and the class names, and in ``data.yaml`` which of
them are ``good`` things; severities, print and lineage are lost. A picture with a defect that
nobody has marked is left out: an empty text file would say that nothing is there. Reads the same,
and a flat ``images``/``labels`` pair.
"""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML, YAMLError

from training.dataset.row import GIVEN, SPLITS, Draft, Label, Row
from training.dataset.snapshot import Snapshot, SnapshotError, decode
from training.formats.pictures import draft, put


def write(snapshot: Snapshot, folder: Path) -> int:
    """Every picture that can be said whole, and its text file."""
    classes = sorted(snapshot.classes())
    rows = [row for row in snapshot.rows if row.placed]
    for row in rows:
        name = put(snapshot, row, folder / "images" / row.split)
        target = folder / "labels" / row.split / f"{Path(name).stem}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(_line(label, row, classes) for label in row.labels if label.box))
    splits = {s: f"images/{s}" for s in SPLITS if any(row.split == s for row in rows)}
    bad = {label.label for row in snapshot.rows for label in row.labels if label.defect}
    card = {"path": ".", **splits, "names": dict(enumerate(classes)),
            "good": [name for name in classes if name not in bad]}  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "data.yaml").open("w") as file:
        YAML(typ="safe").dump(card, file)
    return len(rows)


def read(folder: Path) -> list[Draft]:
    """Class numbers become names by ``data.yaml``, or stay numbers without one."""
    names, good = _classes(folder / "data.yaml")
    images = folder / "images"
    if not images.is_dir():
        raise SnapshotError(f"{folder}: no `images` folder in it")
    drafts = []
    for path in sorted(p for p in images.rglob("*") if p.is_file()):
        inside = path.relative_to(images)
        text = folder / "labels" / inside.with_suffix(".txt")
        split = inside.parts[0] if len(inside.parts) > 1 else ""
        height, width = decode(path.read_bytes(), str(path)).shape[:2]
        lines = text.read_text().splitlines() if text.exists() else []
        try:
            labels = [_label(line, names, good, width, height) for line in lines if line.strip()]
        except ValueError as error:
            raise SnapshotError(f"{text}: {error}") from None
        drafts.append(draft(path, labels, split=split))
    return drafts


def _classes(card: Path) -> tuple[dict[int, str], set[str]]:
    """What ``data.yaml`` calls the numbers, and which of them are good things."""
    if not card.exists():
        return {}, set()
    try:
        said = YAML(typ="safe").load(card.read_text("utf-8")) or {}
        listed = said.get("names") or {}
        pairs = enumerate(listed) if isinstance(listed, list) else listed.items()
        return {int(k): str(v) for k, v in pairs}, {str(name) for name in said.get("good") or ()}
    except (YAMLError, ValueError, AttributeError, TypeError) as error:
        raise SnapshotError(f"{card}: no data.yaml of YOLO: {error}") from None


def _line(label: Label, row: Row, classes: list[str]) -> str:
    number = classes.index(label.label)
    if label.polygon:
        places = [v for x, y in label.polygon for v in (x / row.width, y / row.height)]
    else:
        assert label.box is not None
        x1, y1, x2, y2 = label.box
        places = [(x1 + x2) / 2 / row.width, (y1 + y2) / 2 / row.height,
                  (x2 - x1) / row.width, (y2 - y1) / row.height]  # fmt: skip
    return f"{number} {' '.join(f'{v:.6f}' for v in places)}\n"


def _label(line: str, names: dict[int, str], good: set[str], width: int, height: int) -> Label:
    number, *rest = line.split()
    values = [float(v) for v in rest]
    name = names.get(int(number), number)
    if len(values) == 4:
        x, y, w, h = values
        box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
        return Label(name, box, source=GIVEN, defect=name not in good)
    if len(values) < 6 or len(values) % 2:
        raise ValueError(f"{line!r} is neither a box nor a polygon")
    polygon = tuple((x * width, y * height) for x, y in zip(values[::2], values[1::2], strict=True))
    xs, ys = zip(*polygon, strict=True)
    box = (min(xs), min(ys), max(xs), max(ys))
    return Label(name, box, polygon, source=GIVEN, defect=name not in good)
