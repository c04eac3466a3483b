"""Parts whose truth is known, judged by what runs: a recipe and examples enter, cases leave.

The ONNX models are run inside the same tools and recipe as on a line (``inspector.recipe``), so a
figure here is a figure of the station. Imported by ``figures``, ``report``, ``backtest``, the
command line and ``loop``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from inspector.part import Box, Outcome
from inspector.recipe import Recipe
from inspector.virtual.filmset import FilmSet
from training.dataset.labels import UNNAMED
from training.dataset.snapshot import Snapshot
from training.examples import example_of, of_film, shown
from training.learned import NOTHING, Learned
from training.release import Example


@dataclass(frozen=True, slots=True)
class Known:
    """A part and what it truly is."""

    example: Example
    truth: str
    """``pass`` or ``reject``."""
    defects: Mapping[str, str]
    """Severity by label."""
    boxes: tuple[tuple[str, str, Box], ...] = ()
    """View, label and place of what is wrong, where known."""
    slices: Mapping[str, str] = field(default_factory=dict)
    """What figures are told apart by: station, product, light, batch."""
    was: str = ""
    """What the station said at the time."""


@dataclass(frozen=True, slots=True)
class Case:
    """One part and what a recipe says of it."""

    name: str
    truth: str
    defects: Mapping[str, str]
    slices: Mapping[str, str]
    outcome: str
    reasons: tuple[str, ...]
    found: Mapping[str, float]
    """Best score of each label that was found wrong."""
    ms: float
    was: str = ""

    @property
    def escape(self) -> bool:
        """A defective part that would have gone to the good side."""
        return self.truth == "reject" and self.outcome == Outcome.PASS

    @property
    def false_reject(self) -> bool:
        """A good part that would not."""
        return self.truth == "pass" and self.outcome != Outcome.PASS

    @property
    def right(self) -> bool:
        return not self.escape and not self.false_reject


def of_snapshot(
    snapshot: Snapshot, views: Iterable[str], *splits: str, without: Learned = NOTHING
) -> Iterator[Known]:
    """The parts of these splits that show every view, but for those ``without`` has."""
    views = tuple(views)
    for rows, there in shown(snapshot, views, *splits):
        if any(without.has(row) for row in rows):
            continue
        example = example_of(snapshot, rows, {view: there[view] for view in views})
        first = rows[0]
        # one view may have been marked anew in another tool
        truth = "reject" if any(row.truth == "reject" for row in rows) else first.truth
        defects = {x.label: x.severity for row in rows for x in row.labels if x.defect}
        called = {row.view: view for view, row in there.items()}
        if truth == "pass":
            defects = {}
        yield Known(
            example,
            truth,
            defects or ({UNNAMED: "major"} if truth == "reject" else {}),
            tuple(
                (called[row.view], x.label, x.box)
                for row in rows for x in row.labels if x.defect and x.box is not None
            ),
            {
                "station": first.station, "product": first.product, "batch": first.batch,
                "light": _light(first.light),
            },
            first.outcome,
        )  # fmt: skip


def of_films(folder: Path, today: date, first: int = 0, most: int = 1 << 30) -> Iterator[Known]:
    """The parts of a virtual film set with their truth, which no station may read."""
    films = FilmSet.open(folder)
    truths = films.truth()[first : first + most]
    for truth, example in zip(truths, of_film(folder, today, most, first), strict=True):
        defects = {str(d["label"]): str(d["severity"]) for d in truth["defects"]}
        light = float(np.mean([frame.mean() for frame in example.frames.values()]))
        yield Known(
            example,
            "reject" if defects else "pass",
            defects,
            tuple((d["view"], d["label"], tuple(d["box"])) for d in truth["defects"]),
            {"product": films.product, "batch": films.lot, "light": _light(light)},
        )


def judge(
    recipe: Recipe, parts: Iterable[Known], told: Callable[[int], None] = lambda done: None
) -> list[Case]:
    """What ``recipe`` says of each part, in their order."""
    recipe.warm_up()
    cases = []
    for number, part in enumerate(parts, 1):
        example = part.example
        judged = recipe.judge(example.frames, example.batch, example.today)
        found: dict[str, float] = {}
        for finding in judged.findings:
            if not finding.ok:
                label = finding.label
                found[label] = max(found.get(label, 0.0), float(finding.score))
        cases.append(
            Case(
                example.name, part.truth, part.defects, part.slices, judged.outcome.value,
                judged.reasons, found, judged.ms, part.was,
            )
        )  # fmt: skip
        told(number)
    return cases


def lowered(recipe: Recipe, shelf: Any, floor: float = 0.02) -> Recipe:
    """The same recipe with its detectors' thresholds at ``floor``: for curves over all scores."""
    file = recipe.file
    steps = []
    for step in file.tools:
        if step.kind == "detect":
            params = step.params.model_copy(update={"threshold": floor, "thresholds": {}})
            step = step.model_copy(update={"params": params})
        steps.append(step)
    return Recipe(file.model_copy(update={"tools": tuple(steps)}), shelf)


def _light(mean: float) -> str:
    return "dark" if mean < 90 else "bright" if mean > 170 else "usual"
