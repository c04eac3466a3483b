"""Where an ``anomaly`` step sees a part unlike good ones: a part enters, its heat maps leave.

The map is made again when somebody asks for it, from the pictures that are kept and by the recipe
that judged the part (its kept revision, found by digest). To keep it with each part would cost some
5 kB for every step and part against the 250 bytes that a pass may cost, for something that a person
looks at once in a thousand parts; made again it is there for old parts too, and for every recipe
that can still be loaded. Pictures are kept as JPEG: a cell may differ a little from what the line
saw, and the verdict is always the recorded one. Imported by the command line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspector.config import ConfigError, Problem
from inspector.draft import load_beside
from inspector.part import Batch, Pixels
from inspector.pictures import read_image
from inspector.recipe import Recipe
from inspector.recipe import load as load_recipe
from inspector.store import History
from inspector.store.circumstance import batch_of, day_of, zone_of
from inspector.store.query import PartHistory
from inspector.tools.anomaly import Anomaly, AnomalyStep, Map
from inspector.tools.follow import as_taught, places_of
from inspector.tools.onnx import Shelf
from inspector.tools.place import Place
from inspector.tools.step import Context, Unjudged, bgr_of, corner_of


@dataclass(frozen=True, slots=True)
class Heat:
    """What one step sees of one part; with ``every``, of one of the places that it looks at."""

    step: str
    view: str
    """The camera in whose picture."""
    threshold: float
    """The score from which the part is rejected."""
    scores: Map
    """``(rows, columns)``, each cell's score: 0.5 is the limit that was taught."""
    matrix: np.ndarray[Any, Any]
    """``(2, 3)``: from cells, whose corners have whole coordinates, to the frame's pixels."""


def heats(
    recipe: Recipe, frames: Mapping[str, Pixels], part: PartHistory, batch: Batch, today: date
) -> list[Heat]:
    """The maps of a part's ``anomaly`` steps, by the pictures in ``frames``."""
    context = Context(batch, today, part.verdict.times.clock_synced)
    recipe.judge(frames, batch, today, context.clock_synced)
    # a recipe with one view calls the only camera as it likes
    only = next(iter(frames)) if len(recipe.views) == len(frames) == 1 else ""
    found: list[Heat] = []
    for step, tool in recipe.tools:
        view = only or step.view
        if isinstance(step, AnomalyStep) and isinstance(tool, Anomaly) and view in frames:
            for place in _looked(recipe, step, tool, frames[view], context):
                if (scores := tool.scores()) is not None:
                    matrix = _matrix(step, tool, place)
                    found.append(Heat(step.name, view, step.params.threshold, scores, matrix))
    return found


def _looked(
    recipe: Recipe, step: AnomalyStep, tool: Anomaly, pixels: Pixels, context: Context
) -> Iterator[Place | None]:
    """Where the step looked at the part, each time with that place's map in the tool, which keeps
    the newest alone."""
    if not step.every:
        yield recipe.places.get(step.follow)
        return
    rois = (step.roi,) if step.roi else ()
    for place in places_of(recipe.boxes.get(step.follow, ()), step.every, pixels.shape):
        try:
            tool.look(as_taught(pixels, place, rois, None), context)
        except Unjudged:
            continue
        yield place


def heats_of(data: Path, part: PartHistory, recipe: Recipe) -> list[Heat]:
    """The same, by the pictures of the archive. Raises ``StoreError``."""
    frames: dict[str, Pixels] = {}
    for image in part.images:
        pixels, _ = read_image(data / image.path)
        if pixels is not None:
            frames[image.view] = pixels
    with History(data) as history:
        batch, today = batch_of(history, part), day_of(part, zone_of(history))
    return heats(recipe, frames, part, batch, today)


def recipe_of(data: Path, part: PartHistory, origin: Path, models: Path) -> Recipe:
    """The recipe that judged the part: its kept revision, or what stands in ``origin`` if it is the
    same. Raises ``ConfigError`` or ``ModelError``."""
    verdict = part.verdict
    name = verdict.recipe.rpartition("@")[0]
    kept = data / "recipes" / name / f"{verdict.recipe_digest}.yaml"
    shelf = Shelf(models, 1)
    if kept.is_file():
        return load_beside(kept, origin, shelf)
    recipe = load_recipe(origin, shelf)
    if recipe.digest != verdict.recipe_digest:
        what = f"is another revision than {verdict.recipe}, which is not kept here"
        raise ConfigError(origin, [Problem(None, "", what)])
    return recipe


def plain(heat: Heat) -> dict[str, Any]:
    """JSON-ready: ``step, view, threshold, rows, columns``, ``cells`` row by row, ``matrix`` as a
    canvas wants it."""
    (a, c, e), (b, d, f) = heat.matrix.tolist()
    rows, columns = heat.scores.shape
    return {
        "step": heat.step,
        "view": heat.view,
        "threshold": heat.threshold,
        "rows": rows,
        "columns": columns,
        "cells": [round(float(v), 3) for v in heat.scores.reshape(-1)],
        "matrix": [a, b, c, d, e, f],
    }


def over(pixels: Pixels, heat: Heat) -> Pixels:
    """``pixels`` with the map over them, (h, w, 3) BGR: the redder the less like good parts."""
    picture = bgr_of(pixels)
    height, width = picture.shape[:2]
    rows, columns = heat.scores.shape
    level = np.clip(heat.scores / (2 * heat.threshold), 0.0, 1.0).astype(np.float32)
    # a cell's middle is at its index in warpAffine, half a cell on by our matrix
    matrix = np.array(heat.matrix, np.float64)
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5)
    spread = cv2.warpAffine(level, matrix, (width, height), flags=cv2.INTER_LINEAR)
    whole = np.ones((rows, columns), np.float32)
    inside = cv2.warpAffine(whole, matrix, (width, height), flags=cv2.INTER_NEAREST)
    coloured = cv2.applyColorMap((spread * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = (0.6 * inside)[..., None]
    return np.asarray(picture * (1 - share) + coloured * share, np.uint8)


def _matrix(step: AnomalyStep, tool: Anomaly, place: Place | None) -> np.ndarray[Any, Any]:
    """From cells to the frame: over the ROI as it was taught, then to where the part stands."""
    assert tool.seen is not None
    rows, columns = tool.seen.shape
    left, top = corner_of(step.roi)
    cells = np.array(
        [(tool.area[0] / columns, 0.0, left), (0.0, tool.area[1] / rows, top), (0.0, 0.0, 1.0)]
    )
    return np.asarray((place.matrix if place else np.eye(3)[:2]) @ cells)
