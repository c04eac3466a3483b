"""Who learns and who measures: rows enter, the same rows with their splits leave.

No part is on both sides, in any view; no batch either where there are several, because its parts
share a set-up, a lamp and a mould. The newest batches measure: a model is for what comes next. With
one or two batches, or a newest one that is more than half of it all, the split is by time, so that
only those at a seam have neighbours on the other side; what is the same or nearly so stands on one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from training.dataset.row import Row


def split(rows: Sequence[Row], val: float = 0.15, test: float = 0.2) -> list[Row]:
    """``rows`` with ``split`` set; shares are of parts, met as nearly as whole batches allow, and
    at least half of the parts teach."""
    if not 0 <= val < 1 or not 0 <= test < 1 or val + test >= 1:
        raise ValueError("the shares of `val` and `test` are below 1, and so is their sum")
    order: dict[str, dict[str, int]] = {}
    for row in rows:
        part = row.part or row.image
        when = row.utc_ns or row.position
        group = order.setdefault(row.group, {})
        group[part] = min(group.get(part, when), when)
    groups = sorted(order, key=lambda g: min(order[g].values()))
    chosen = _by_batch(groups, {g: len(order[g]) for g in groups}, val, test)
    if len(groups) > 2 and (not test or "test" in chosen.values()):
        placed = {part: chosen[g] for g in groups for part in order[g]}
    else:
        parts = [p for g in groups for p in sorted(order[g], key=lambda p, g=g: order[g][p])]  # type: ignore[misc]
        placed = _by_time(parts, val, test)
    split_rows = [replace(row, split=placed[row.part or row.image]) for row in rows]
    return together(split_rows)


def _by_batch(
    groups: Sequence[str], sizes: dict[str, int], val: float, test: float
) -> dict[str, str]:
    total = sum(sizes.values())
    least = total * min(0.5, 1 - val - test)
    chosen: dict[str, str] = {}
    left = list(groups)
    for name, share in (("test", test), ("val", val)):
        taken, learning = 0, sum(sizes[group] for group in left)
        while len(left) > 1 and share and learning - taken - sizes[left[-1]] >= least:
            nearer = taken + sizes[left[-1]] / 2 < share * total
            if not nearer and (taken or name == "val"):
                break
            group = left.pop()
            chosen[group] = name
            taken += sizes[group]
    return {group: chosen.get(group, "train") for group in groups}


def _by_time(parts: Sequence[str], val: float, test: float) -> dict[str, str]:
    n = len(parts)
    first_test, first_val = n - round(n * test), n - round(n * (test + val))
    return {
        part: "test" if i >= first_test else "val" if i >= first_val else "train"
        for i, part in enumerate(parts)
    }


def together(rows: Sequence[Row]) -> list[Row]:
    """Pictures that are the same or nearly, and all views of their parts, stand where the first of
    them stands: what is like one of two that are alike stands with both."""
    first = list(range(len(rows)))
    known: dict[tuple[str, str], int] = {}

    def root(at: int) -> int:
        while first[at] != at:
            first[at] = at = first[first[at]]
        return at

    for at, row in enumerate(rows):
        for key in (("part", row.part or row.image), ("image", row.image)):
            before = known.setdefault(key, at)
            one, other = sorted((root(before), root(at)))
            first[other] = one
    for at, row in enumerate(rows):
        if row.alike and (before := known.get(("image", row.alike), at)) != at:
            one, other = sorted((root(before), root(at)))
            first[other] = one
    return [replace(row, split=rows[root(at)].split) for at, row in enumerate(rows)]
