"""Other tools' formats: a snapshot enters, COCO, YOLO, Label Studio or CVAT files leave, and back.

Each module has ``write(snapshot, folder)`` and ``read(folder)``, which gives drafts. What a format
cannot hold (lineage, severities) travels in fields of its own where it allows, else it is lost, and
each module says what.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from training.dataset.row import Draft
from training.dataset.snapshot import Snapshot, SnapshotError
from training.formats import coco, cvat, labelstudio, yolo

FORMATS: dict[str, tuple[Callable[[Snapshot, Path], int], Callable[[Path], list[Draft]]]] = {
    "coco": (coco.write, coco.read),
    "yolo": (yolo.write, yolo.read),
    "labelstudio": (labelstudio.write, labelstudio.read),
    "cvat": (cvat.write, cvat.read),
}


def export(snapshot: Snapshot, form: str, folder: Path) -> int:
    """Write ``snapshot`` into ``folder``; pictures written. Raises ``SnapshotError``."""
    return _of(form)[0](snapshot, folder)


def read(form: str, folder: Path) -> list[Draft]:
    """Drafts from another tool's files. Raises ``SnapshotError`` naming the file."""
    return _of(form)[1](folder)


def _of(form: str) -> tuple[Callable[[Snapshot, Path], int], Callable[[Path], list[Draft]]]:
    if form not in FORMATS:
        raise SnapshotError(f"no format {form!r}; there are {', '.join(FORMATS)}")
    return FORMATS[form]
