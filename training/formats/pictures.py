"""What the formats share: a picture's file, and a draft for one that comes from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from training.dataset.row import GIVEN, Draft, Label, Row
from training.dataset.snapshot import Snapshot, SnapshotError, decode

SUFFIX = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"BM": ".bmp", b"RI": ".webp"}


def put(snapshot: Snapshot, row: Row, folder: Path) -> str:
    """The picture's file, as it is, in ``folder``; its name."""
    content = snapshot.content(row)
    name = row.image[:24] + SUFFIX.get(content[:2], ".img")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return name


def draft(path: Path, labels: Sequence[Label], **known: Any) -> Draft:
    """A draft of the picture in ``path``. Raises ``SnapshotError``."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SnapshotError(f"{path}: {error.strerror}") from None
    pixels = decode(content, str(path))
    split = known.get("split") or "train"
    faulty = any(label.defect for label in labels)
    values: dict[str, Any] = {
        "view": "image", "truth": "reject" if faulty else "pass", "reason": GIVEN,
        "light": round(float(pixels.mean()), 2), "position": -1, "batch": path.parent.name,
    }  # fmt: skip
    values |= {k: v for k, v in known.items() if v not in (None, "")}
    values["split"] = split if split in ("train", "val", "test") else "train"
    return Draft(
        Row(
            image=sha256(content).hexdigest(), width=pixels.shape[1], height=pixels.shape[0],
            labels=tuple(labels), **values,
        ),
        content,
    )  # fmt: skip


LINEAGE = (
    "view", "truth", "split", "station", "position", "record", "part", "stream", "sequence",
    "batch", "product", "recipe", "recipe_digest", "utc_ns", "outcome", "reason", "probability",
    "reviewers", "agreement",
)  # fmt: skip
"""Fields of a row that travel beside the labels where a format has room."""


def lineage(row: Row) -> dict[str, Any]:
    """Those of ``row``."""
    values = row.as_dict()
    return {name: values[name] for name in LINEAGE}


def known(values: dict[str, Any]) -> dict[str, Any]:
    """Those among what another file holds."""
    return {name: values[name] for name in LINEAGE if name in values}
