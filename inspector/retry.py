"""The newest parts whose pictures are kept are judged once more, by a recipe that is being changed.

Enters: a recipe, a data folder. Leaves: for each part what was said of it and what is said now, so
that a threshold is changed knowing which parts flip. Pictures are those of the archive: rejects all
of them, passes as the station file keeps them. Imported by the command line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any

from inspector.part import Batch, Finding, Outcome, Pixels
from inspector.pictures import read_image
from inspector.recipe import Judgement, Recipe
from inspector.store import History
from inspector.store.circumstance import batch_of, day_of, zone_of
from inspector.store.pages import parts_of
from inspector.store.query import PartHistory

PORTION = 500
SEARCHED = 200_000
"""Parts that are gone through for pictures: more than an hour at 50 parts/s."""
BOUND_S = 60.0


@dataclass(frozen=True, slots=True)
class Judged:
    """One part, judged again."""

    part: PartHistory
    was: Outcome
    """By the recipe that is compared with, else as the line said it."""
    now: Judgement


def newest(history: History, recipe: Recipe, last: int) -> list[PartHistory]:
    """The ``last`` parts of this recipe of which every view that it needs is kept, newest first."""
    found: list[PartHistory] = []
    before: int | None = None
    for _ in range(SEARCHED // PORTION):
        parts, before = parts_of(history, before=before, limit=PORTION)
        found += [part for part in parts if _is_wanted(part, recipe)]
        if before is None or len(found) >= last:
            break
    return found[:last]


def judge_again(
    data: Path, recipe: Recipe, last: int, against: Recipe | None = None
) -> tuple[int, Iterator[Judged]]:
    """How many parts there are, and each judged by ``recipe``, newest first.

    With ``against`` a part's earlier outcome is what that recipe says of the same pictures, so that
    the archive's compression is no part of the change. Raises ``StoreError``.
    """
    with History(data, bound_s=BOUND_S) as history:
        parts = newest(history, recipe, last)
        batches = [batch_of(history, part) for part in parts]
        zone = zone_of(history)
    return len(parts), _each(data, recipe, parts, batches, zone, against)


def row_of(judged: Judged) -> dict[str, Any]:
    """One part, JSON-ready."""
    verdict = judged.part.verdict
    return {
        "id": str(verdict.part_id),
        "number": verdict.sequence,
        "batch": verdict.batch,
        "was": str(judged.was),
        "now": str(judged.now.outcome),
        "reasons": list(judged.now.reasons),
        "findings": [_plain(finding) for finding in judged.now.findings if finding.box],
        "views": [image.view for image in judged.part.images],
    }


def summary_of(was: Counter[str], now: Counter[str], flipped: int) -> dict[str, Any]:
    """Counts of all parts, JSON-ready."""
    return {
        "parts": was.total(),
        "flipped": flipped,
        "was": {str(o): was[o] for o in _OUTCOMES},
        "now": {str(o): now[o] for o in _OUTCOMES},
    }


_OUTCOMES = (Outcome.PASS, Outcome.REJECT, Outcome.ERROR)


def _is_wanted(part: PartHistory, recipe: Recipe) -> bool:
    verdict = part.verdict
    kept = {image.view for image in part.images}
    views = set(recipe.views) <= kept or (len(recipe.views) == len(kept) == 1)
    mine = verdict.recipe.rpartition("@")[0] == recipe.name
    return bool(mine and views and verdict.outcome is not Outcome.NOT_INSPECTED)


def _each(
    data: Path,
    recipe: Recipe,
    parts: Sequence[PartHistory],
    batches: Sequence[Batch],
    zone: tzinfo | None,
    against: Recipe | None,
) -> Iterator[Judged]:
    for part, batch in zip(parts, batches, strict=True):
        verdict = part.verdict
        frames: dict[str, Pixels] = {}
        for image in part.images:
            pixels, _ = read_image(data / image.path)
            if pixels is not None:
                frames[image.view] = pixels
        today = day_of(part, zone)
        synced = verdict.times.clock_synced
        now = recipe.judge(frames, batch, today, synced)
        was = against.judge(frames, batch, today, synced).outcome if against else verdict.outcome
        yield Judged(part, was, now)


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        "tool": finding.tool,
        "label": finding.label,
        "ok": finding.ok,
        "score": round(finding.score, 3),
        "box": finding.box and [round(v, 1) for v in finding.box],
        "view": finding.view,
        "reason": finding.reason,
    }
