"""One picture of one part in a data set: what it shows, where it comes from, who said so.

The noun of this room; everything in it makes, sorts, counts or writes rows. Imports part alone.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from inspector.part import Box

SUB_LOT = re.compile(r"\.s\d+$")
"""What the line puts after a batch's id where a release took over in the middle of it."""
SPLITS = ("train", "val", "test")
REVIEW, STATION, GIVEN, COMPLAINT = "review", "station", "given", "complaint"
"""Who a label is from: a person at QA, the station's own model, another tool's file, a customer."""
NO_VIEW = "image"
"""The view of a picture from another tool, which does not say what it is a view of."""


@dataclass(frozen=True, slots=True)
class Label:
    """One thing on the picture."""

    label: str
    box: Box | None = None
    """``(x1, y1, x2, y2)`` in pixels; None: the whole picture is called so."""
    polygon: tuple[tuple[float, float], ...] = ()
    severity: str = "major"
    source: str = REVIEW
    text: str = ""
    """Print: what it says."""
    defect: bool = True
    """Whether a part that has it is not good."""


@dataclass(frozen=True, slots=True)
class Row:
    """One picture."""

    image: str
    """SHA-256 of the encoded picture, its name in the store."""
    view: str
    width: int
    height: int
    truth: str
    """``pass`` or ``reject``: what the part is, by people."""
    labels: tuple[Label, ...] = ()
    split: str = "train"
    # Where it comes from (lineage).
    station: str = ""
    position: int = -1
    """Of the part's verdict in the station's ledger …"""
    record: str = ""
    """… and the SHA-256 leaf of that record (RFC 6962), by which anyone can prove it."""
    part: str = ""
    stream: str = ""
    sequence: int = 0
    batch: str = ""
    product: str = ""
    recipe: str = ""
    recipe_digest: str = ""
    texts: tuple[tuple[str, str], ...] = ()
    """What the batch's print should say, by name."""
    utc_ns: int = 0
    outcome: str = ""
    """What the station said."""
    # Why it is here, and how sure one can be.
    reason: str = ""
    probability: float = 1.0
    """Of its having been chosen; 0 where nobody can say."""
    reviewers: int = 0
    agreement: float = 1.0
    """Share of the reviewers, by trust, who say what ``truth`` says."""
    light: float = 0.0
    """Mean grey level."""
    alike: str = ""
    """The first picture that this one nearly repeats."""

    @property
    def group(self) -> str:
        """What must stay together when splitting: a batch with the sub-lots that releases made."""
        return f"{self.station}/{SUB_LOT.sub('', self.batch)}"

    @property
    def placed(self) -> bool:
        """Whether every defect that it is known to show has its place. A picture with one that has
        none would teach a detector that the defect is nothing."""
        return all(label.box is not None for label in self.labels if label.defect)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Row:
        """The row that ``as_dict`` gave; unknown fields are left out."""
        known = {f.name for f in fields(cls)}
        kept = {k: v for k, v in values.items() if k in known}
        kept["labels"] = tuple(
            Label(
                **{
                    **label,
                    "box": tuple(label["box"]) if label.get("box") else None,
                    "polygon": tuple((p[0], p[1]) for p in label.get("polygon") or ()),
                }
            )
            for label in kept.get("labels") or ()
        )
        kept["texts"] = tuple((str(k), str(v)) for k, v in kept.get("texts") or ())
        return cls(**kept)


@dataclass(slots=True)
class Draft:
    """A row before it is in a snapshot, with its picture's encoded bytes."""

    row: Row
    content: bytes = field(repr=False)
