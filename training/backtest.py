"""A candidate against the past: every archived part since a date is judged again, flips are listed.

Enters: stations' data folders, a recipe. Leaves: verdicts then and now, and which of them change,
with what people said where they did. Trials run on a Ray cluster where one is named, else here.
Imported by the command line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inspector.recipe import load
from inspector.tools.onnx import Shelf
from training.cases import Case, judge, of_snapshot
from training.dataset.build import Wanted, from_station
from training.dataset.snapshot import write
from training.examples import shown
from training.scale import spread

PORTION = 200


def backtest(
    recipe_file: Path,
    models: Path,
    stations: Sequence[Path],
    home: Path,
    since_utc_ns: int = 0,
    ray: str = "",
    threads: int = 2,
    told: Callable[[int, int], None] = lambda done, all_of: None,
) -> dict[str, Any]:
    """The report: counts then and now, and ``flips``. ``home`` keeps the snapshot that was used."""
    recipe = load(recipe_file, Shelf(models, threads))
    # a recipe of one view judges a station's only picture, whatever its view is called
    views = recipe.views if len(recipe.views) > 1 else ()
    wanted = Wanted(since_utc_ns=since_utc_ns, unreviewed=True, views=views)
    refs = []
    for station in stations:
        drafts, made_from = from_station(station, wanted)
        snapshot = write(
            home, f"backtest-{station.name}", drafts, made_from=made_from, by="backtest"
        )
        refs.append(snapshot.ref)
    jobs = [
        (str(home), ref, first, str(recipe_file.resolve()), str(models.resolve()), threads)
        for ref in refs
        for first in range(0, _parts_of(home, ref, recipe.views), PORTION)
    ]
    cases = [case for part in spread(_judge_portion, jobs, ray, told) for case in part]
    flips = [
        {
            "part": case.name, "from": case.was, "to": case.outcome, "truth": case.truth,
            "defects": sorted(case.defects), "reasons": list(case.reasons)[:3],
            "station": case.slices.get("station", ""), "batch": case.slices.get("batch", ""),
        }
        for case in cases if case.was and case.was != case.outcome
    ]  # fmt: skip
    return {
        "recipe": f"{recipe.name}@{recipe.revision}",
        "recipe_digest": recipe.digest,
        "datasets": refs,
        "parts": len(cases),
        "then": dict(Counter(case.was for case in cases)),
        "now": dict(Counter(case.outcome for case in cases)),
        "flips": flips,
    }


def _parts_of(home: Path, ref: str, views: Sequence[str]) -> int:
    from training.dataset.snapshot import open_snapshot

    snapshot = open_snapshot(home, ref)
    return sum(1 for _ in shown(snapshot, views))


def _judge_portion(job: tuple[str, str, int, str, str, int]) -> list[Case]:
    """One portion of parts, wherever it runs."""
    from itertools import islice

    from training.dataset.snapshot import open_snapshot

    home, ref, first, recipe_file, models, threads = job
    recipe = load(Path(recipe_file), Shelf(Path(models), threads))
    snapshot = open_snapshot(Path(home), ref)
    parts = of_snapshot(snapshot, recipe.views)
    return judge(recipe, islice(parts, first, first + PORTION))
