"""What a part truly is: reviews and the station's findings enter, one set of labels leaves.

Whoever is trusted most counts, and among equals who looked last; how far the others agree is kept,
because a label that is disputed teaches the dispute. Good things that the station's own model found
(a bottle, its label) stay, since a detector that is not told of them would unlearn them; what a
person says about a place takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inspector.part import Box, Finding
from inspector.tools.classify import UNSURE
from training.dataset.row import COMPLAINT, REVIEW, STATION, Label

SAME_PLACE_IOU = 0.6
SURE = 0.5
"""A station's finding below this score is not taken for a good thing that is there."""
PRINT = ("read", "code")
"""Kinds of finding that say what is printed, and not what the picture shows that it should not."""


@dataclass(frozen=True, slots=True)
class Review:
    """One person's word about one part; ``at`` orders them."""

    principal: str
    decision: str
    outcome: str
    view: str
    labels: tuple[Label, ...]
    at: int
    wanted: bool = False
    """The reviewer asked for it to be learned from."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What a part is, and how sure that is."""

    outcome: str
    labels: tuple[tuple[str, Label], ...]
    """With the view each lies in; an empty view is any."""
    reviewers: int
    agreement: float


def review_of(body: Mapping[str, Any], principal: str, at: int) -> Review:
    """A review from the desk record's body. Raises KeyError or TypeError for what is none."""
    labels = []
    for entry in body.get("labels") or ():
        box = entry.get("box")
        polygon = tuple((float(x), float(y)) for x, y in entry.get("polygon") or ())
        if box is None and polygon:
            xs, ys = zip(*polygon, strict=True)
            box = (min(xs), min(ys), max(xs), max(ys))
        labels.append(
            Label(
                str(entry["label"]),
                None
                if box is None
                else (float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                polygon,
                str(entry.get("severity", "major")),
                REVIEW,
            )
        )
    return Review(
        principal, str(body["decision"]), str(body["outcome"]), str(body.get("view", "")),
        tuple(labels), at, bool(body.get("sample")),
    )  # fmt: skip


UNNAMED = "unmarked"
"""A defect of which whoever found it, a customer or a reviewer, did not say what it is."""


def complaint_of(label: str, principal: str, at: int) -> Review:
    """What a customer found is a word about the part too: it is no good one. In which view the
    defect lies, and where, nobody has said yet."""
    labels = (Label(label or UNNAMED, source=COMPLAINT),)
    return Review(principal, COMPLAINT, "reject", "", labels, at)


def truth_of(reviews: Sequence[Review], trust: Mapping[str, float] | None = None) -> Truth | None:
    """What people say of a part; None when nobody has judged it."""
    trust = trust or {}
    newest: dict[str, Review] = {}
    marked: dict[str, dict[str, tuple[Label, ...]]] = {}
    for review in sorted(reviews, key=lambda r: r.at):
        if review.decision != "second_opinion" and review.outcome in ("pass", "reject"):
            newest[review.principal] = review
            # a review is of one view: it takes back what its author said of this one alone
            views = marked.setdefault(review.principal, {})
            if review.outcome == "pass":
                views.clear()
            views[review.view] = review.labels
    if not newest:
        return None
    weight = {who: trust.get(who, 1.0) for who in newest}
    best = max(newest.values(), key=lambda r: (weight[r.principal], r.at))
    total = sum(weight.values())
    with_it = sum(weight[r.principal] for r in newest.values() if r.outcome == best.outcome)
    said = marked[best.principal].items() if best.outcome == "reject" else ()
    labels = [(view, label) for view, of_view in said for label in of_view]
    return Truth(best.outcome, tuple(labels), len(newest), with_it / total if total else 1.0)


def joined(truth: Truth, findings: Sequence[Finding], view: str) -> tuple[Label, ...]:
    """All labels of one view: what people marked, and the good things that the station found."""
    said = [label for where, label in truth.labels if where in ("", view)]
    if truth.outcome == "reject" and not truth.labels:
        # A reject that was confirmed without marking anything: what the station marked holds.
        bad = [f for f in findings if not f.ok and f.kind not in PRINT]
        said = [
            Label(UNNAMED) if f.label == UNSURE
            else Label(f.label, None if _misses(f) else f.box, (), f.severity.value, STATION)
            for f in bad
            if f.view == view and f.box is not None
        ]  # fmt: skip
        nowhere = bad and all(f.box is None and f.view in ("", view) for f in bad)
        if nowhere or all(f.ok for f in findings):
            # Nobody has said what is wrong, nor where: a picture of it is no good part's.
            said = [Label(UNNAMED)]
    boxes = [label.box for label in said if label.box is not None]
    good = [
        Label(f.label, f.box, (), f.severity.value, STATION, _print(f), defect=False)
        for f in findings
        if f.ok and f.view == view and f.box is not None and f.score >= SURE
        and all(overlap(f.box, box) < SAME_PLACE_IOU for box in boxes)
    ]  # fmt: skip
    return (*said, *good)


def _print(finding: Finding) -> str:
    """The line of print that it is: a code's content is none, nor a spot's size, nor one letter."""
    line = finding.kind == "read" and not finding.label.endswith(" character")
    return (finding.text or "") if line else ""


def _misses(finding: Finding) -> bool:
    """Whether its box is where something is not: the station says so of what a rule counts, and a
    detector that were taught it would find a cap on the bottle that has none."""
    return finding.kind == "count" or (finding.kind == "detect" and finding.score == 0.0)


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return w * h / (area - w * h)
