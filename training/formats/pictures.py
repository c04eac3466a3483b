"""What the formats share: a picture's file, and a draft for one that comes from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from math import cos, radians, sin
from pathlib import Path
from typing import Any

from training.dataset.labels import UNNAMED
from training.dataset.row import GIVEN, NO_VIEW, SPLITS, Draft, Label, Row
from training.dataset.snapshot import Snapshot, SnapshotError, decode

SUFFIX = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"BM": ".bmp", b"RI": ".webp"}


def put(snapshot: Snapshot, row: Row, folder: Path) -> str:
    """The picture's file, as it is, in ``folder``; its name."""
    content = snapshot.content(row)
    name = row.image[:24] + SUFFIX.get(content[:2], ".img")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return name


def draft(path: Path, labels: Sequence[Label], size: Sequence[Any] = (), **known: Any) -> Draft:
    """A draft of the picture in ``path``. Raises ``SnapshotError``, also where the labels are of a
    picture of another ``size`` (width, height): scaled or turned since, it is marked beside."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SnapshotError(f"{path}: {error.strerror}") from None
    pixels = decode(content, str(path))
    height, width = pixels.shape[:2]
    if all(size) and size and [round(float(side)) for side in size] != [width, height]:
        raise SnapshotError(
            f"{path} has {width} × {height} pixels, and its labels are of {size[0]} × {size[1]}"
        )
    labels = _settled(labels)
    faulty = any(label.defect for label in labels)
    values: dict[str, Any] = {
        "view": NO_VIEW, "truth": "reject" if faulty else "pass", "reason": GIVEN,
        "light": round(float(pixels.mean()), 2), "position": -1, "batch": path.parent.name,
    }  # fmt: skip
    values |= {k: v for k, v in known.items() if v not in (None, "")}
    values["split"] = split_of(str(known.get("split") or ""))
    if faulty:
        # what somebody has marked there since counts, whatever the part was taken for before
        values["truth"] = "reject"
    return Draft(
        Row(
            image=sha256(content).hexdigest(), width=width, height=height,
            labels=labels, **values,
        ),
        content,
    )  # fmt: skip


def split_of(name: str) -> str:
    """The split that a folder, a file or a subset is called after: ``images/valid``,
    ``instances_val2017``, ``Validation``; ``train`` where its name says nothing."""
    said = re.search(
        r"(?<![a-z])(train|val|test)(?:s|ing|id|idation|set|data)?(?![a-z])", name.lower()
    )
    return said[1] if said else SPLITS[0]


def turned(
    corners: Sequence[tuple[float, float]], around: tuple[float, float], degrees: float
) -> tuple[tuple[float, float], ...]:
    """Corners turned clockwise, as a picture is seen."""
    c, s = cos(radians(degrees)), sin(radians(degrees))
    x0, y0 = around
    return tuple(
        (x0 + (x - x0) * c - (y - y0) * s, y0 + (x - x0) * s + (y - y0) * c) for x, y in corners
    )


def _settled(labels: Sequence[Label]) -> tuple[Label, ...]:
    """Without what had no place, now that somebody has marked where it is."""
    marked = {label.label for label in labels if label.defect and label.box is not None}
    return tuple(
        label for label in labels
        if label.box is not None or label.label not in {*marked, *([UNNAMED] if marked else [])}
    )  # fmt: skip


LINEAGE = (
    "view", "truth", "split", "station", "position", "record", "part", "stream", "sequence",
    "batch", "product", "recipe", "recipe_digest", "texts", "utc_ns", "outcome", "reason",
    "probability", "reviewers", "agreement",
)  # fmt: skip
"""Fields of a row that travel beside the labels where a format has room."""


UNPLACED = "unplaced"
"""Beside the lineage: labels of the whole picture, for formats that know places alone."""


def lineage(row: Row) -> dict[str, Any]:
    """Those of ``row``, and its labels that have no place."""
    values = row.as_dict()
    whole = [entry for entry in values["labels"] if entry["box"] is None]
    return {name: values[name] for name in LINEAGE} | ({UNPLACED: whole} if whole else {})


def known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those among what another file holds."""
    found = {name: values[name] for name in LINEAGE if name in values}
    if "texts" in found:
        found["texts"] = tuple((str(k), str(v)) for k, v in found["texts"])
    return found


def unplaced(values: Mapping[str, Any]) -> list[Label]:
    """The labels without a place among what another file holds."""
    return [
        Label(
            str(entry["label"]), severity=str(entry.get("severity", "major")),
            source=str(entry.get("source", GIVEN)), text=str(entry.get("text", "")),
            defect=bool(entry.get("defect", True)),
        )
        for entry in values.get(UNPLACED) or ()
    ]  # fmt: skip
