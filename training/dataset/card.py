"""A data set's card: rows enter, what a person must know before training on them leaves.

Balance of the classes, agreement of the labels, coverage by station, product, batch, day and light,
why pictures are here, near-duplicates, and what is thin: said in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from training.dataset.row import SPLITS, Row

THIN = 30
"""A class with fewer examples to learn from, or a split with fewer, is named as thin."""


def describe(rows: Sequence[Row]) -> dict[str, Any]:
    """The card's figures, JSON-ready."""
    by_split = {s: [r for r in rows if r.split == s] for s in SPLITS}
    parts = {r.part or r.image for r in rows}
    labels = {
        s: dict(Counter(label.label for r in mine for label in r.labels).most_common())
        for s, mine in by_split.items()
    }
    reviewed = [r for r in rows if r.reviewers]
    light = np.array([r.light for r in rows] or [0.0])
    return {
        "pictures": len(rows),
        "parts": len(parts),
        "splits": {s: len(mine) for s, mine in by_split.items()},
        "truth": {
            s: dict(sorted(Counter(r.truth for r in mine).items())) for s, mine in by_split.items()
        },
        "labels": labels,
        "defects": sorted({x.label for r in rows for x in r.labels if x.defect}),
        "label_sources": dict(Counter(x.source for r in rows for x in r.labels)),
        "agreement": {
            "reviewed": len(reviewed),
            "by_two_or_more": sum(r.reviewers > 1 for r in reviewed),
            "mean": round(float(np.mean([r.agreement for r in reviewed])), 4) if reviewed else None,
            "disputed": sum(r.agreement < 1 for r in reviewed),
        },
        "stations": _counts(rows, "station"),
        "products": _counts(rows, "product"),
        "batches": _counts(rows, "batch"),
        "views": _counts(rows, "view"),
        "reasons": _counts(rows, "reason"),
        "days": dict(sorted(Counter(_day(r.utc_ns) for r in rows).items())),
        "light": {
            "p5": round(float(np.quantile(light, 0.05)), 1),
            "p50": round(float(np.median(light)), 1),
            "p95": round(float(np.quantile(light, 0.95)), 1),
        },
        "near_duplicates": sum(bool(r.alike) for r in rows),
        "remarks": _remarks(rows, labels),
    }


def _counts(rows: Sequence[Row], name: str) -> dict[str, int]:
    return dict(Counter(str(getattr(r, name)) for r in rows).most_common(50))


def _day(utc_ns: int) -> str:
    return f"{datetime.fromtimestamp(utc_ns / 1e9, UTC):%Y-%m-%d}" if utc_ns else "unknown"


def _remarks(rows: Sequence[Row], labels: dict[str, dict[str, int]]) -> list[str]:
    found = []
    for name in sorted({n for counts in labels.values() for n in counts}):
        learned = labels["train"].get(name, 0)
        if learned < THIN:
            found.append(f"{name}: only {learned} examples to learn from")
        if not labels["test"].get(name):
            found.append(f"{name}: none in the test split, so nothing will measure it")
    for split in SPLITS:
        if not any(r.split == split for r in rows):
            found.append(f"the {split} split is empty")
    unplaced = sum(not row.placed for row in rows)
    if unplaced:
        found.append(
            f"{unplaced} pictures are of parts with a defect that nobody has marked: they measure,"
            " and teach no detector and no segmenter"
        )
    stations = {r.station for r in rows if r.split == "train"}
    unseen = {r.station for r in rows if r.split == "test"} - stations
    if unseen:
        found.append(f"measured on stations it never saw: {', '.join(sorted(unseen))}")
    return found
