"""A tool for a recipe: a kind and a place on a good part's picture enter, a step that fits leaves.

What a step expects is looked up in the picture: how bright the patch is, how many pieces lie there,
which colour, how wide, what the model sees. So it is valid at once and passes the part that it was
made from; all of its numbers are written out, to be tuned. ``anomaly`` is taught instead
(``inspector/teach``). Stands above the street; the command line imports this.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydantic import ValidationError

from inspector.config import first_problem, nearest
from inspector.part import Batch, Finding, Pixels
from inspector.teach.follow import leader_named
from inspector.tools import TOOLS
from inspector.tools.card import ModelError, model_file, models_in
from inspector.tools.golden import keep_golden
from inspector.tools.onnx import Shelf
from inspector.tools.step import Context, Roi, Unjudged, crop
from inspector.tools.threshold import Threshold, stands_out

PLAY = 0.02
"""Share by which a width may differ from the part's that it was taken from, either way."""
LIGHT_PLAY = 20.0
"""Grey levels by which the reference patch may differ."""
SPREAD_PLAY = 3.0
"""How many times as uneven as it is the reference patch may be."""
EVERYWHERE = frozenset({"align", "measure"})
"""Kinds whose step looks at the whole picture: the area is the part's, or what is measured."""
OF_THE_CAMERA = frozenset({"matrix", "encoding", "white_l"})
"""Settings of a colour camera, which are left as they are until somebody calibrates it."""
LEADERS = frozenset({"align", "illumination"})
"""Kinds that look at the picture as it is: others follow them, or they are beside the part."""
TASKS = ("detect", "classify", "segment")
"""Kinds that need a model, each of the task of its name."""


class NewStepError(Exception):
    """What no step can be made from; ``str()`` says why, and what would do."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a step is made from."""

    name: str
    view: str
    """May be empty where the recipe has one view."""
    roi: Roi
    pixels: Pixels
    """Of a good part."""
    shelf: Shelf
    recipes: Path
    """Folder of the recipe: golden pictures lie beside it."""
    model: str = ""
    follow: str = ""
    """The `align` step that it follows; ``pixels`` are turned back by it already."""


def turned_back(pixels: Pixels, step: str, text: Path, beside: Path, shelf: Shelf) -> Pixels:
    """The part as the `align` step of a recipe, or of a draft in ``text``, was taught it. Raises
    ``NewStepError`` where it is not found, ``TeachError`` or ``ConfigError`` for no such step."""
    try:
        return leader_named(step, text, beside, shelf).eye(shelf, None)(pixels)
    except Unjudged as error:
        raise NewStepError(f"{error}; take another part's picture") from None


def kinds(models: Path) -> list[dict[str, Any]]:
    """Every kind that a step can be made of: ``kind, needs_model, models``."""
    known: dict[str, list[str]] = {task: [] for task in TASKS}
    for ref in models_in(models):
        with suppress(ModelError):
            known.get(model_file(models, ref)[1].task, []).append(ref)
    return [
        {"kind": kind, "needs_model": kind in TASKS, "models": known.get(kind, [])}
        for kind in _MAKERS
    ]


def new_step(kind: str, asked: Asked) -> dict[str, Any]:
    """The step as it stands in a recipe. Raises ``NewStepError``, ``ModelError`` or ``OSError``."""
    if kind not in _MAKERS:
        raise NewStepError(f"no step of kind {kind!r} is made so; {nearest(kind, _MAKERS)}")
    if asked.follow and kind in LEADERS:
        raise NewStepError(f"no other step leads {kind}; add it without one")
    if kind in TASKS and not asked.model:
        raise NewStepError(f"a {kind} step needs a model of task `{kind}`; name one")
    try:
        crop(asked.pixels, asked.roi)
        params = _MAKERS[kind](asked)
        roi = None if kind in EVERYWHERE else asked.roi
        found = _look(kind, asked, params, roi)
    except Unjudged as error:
        raise NewStepError(f"{error}; draw its area on another place") from None
    except ValidationError as error:
        raise NewStepError(first_problem(error)) from None
    wrong = next((f.reason or f.label for f in found if not f.ok), "")
    if wrong:
        raise NewStepError(
            f"it would reject this part: {wrong}; draw its area anew, or take a good part's picture"
        )
    step = _step(kind, asked, params, roi)
    written = _plain_numbers(json.loads(step.model_dump_json(exclude_none=True)))
    head = {key: written[key] for key in ("name", "kind", "view", "roi") if written.get(key)}
    if asked.follow:
        head["follow"] = asked.follow
    settings = {
        key: value for key, value in written["params"].items()
        if value not in ([], {}, "") and key not in OF_THE_CAMERA
    }  # fmt: skip
    return head | ({"params": settings} if settings else {})


# --- what each kind looks up ---


def _light(asked: Asked) -> dict[str, Any]:
    means, deviations = cv2.meanStdDev(crop(asked.pixels, asked.roi))
    level, spread = float(means.mean()), float(deviations.max())
    return {
        "low": round(max(0.0, level - LIGHT_PLAY)),
        "high": round(min(255.0, level + LIGHT_PLAY)),
        "spread": round(SPREAD_PLAY * spread + 3, 1),
    }


def _golden(asked: Asked) -> str:
    return keep_golden(np.ascontiguousarray(asked.pixels), asked.recipes)


def _align(asked: Asked) -> dict[str, Any]:
    return {"golden": _golden(asked), "part": list(asked.roi)}


def _compare(asked: Asked) -> dict[str, Any]:
    return {"golden": [_golden(asked)]}


def _measure(asked: Asked) -> dict[str, Any]:
    """The width of what lies in the area: its outer edges, looked for from both sides."""
    x1, y1, x2, y2 = asked.roi
    middle, across = (x1 + x2) / 2, (y1 + y2) / 2
    edges = {"left": x1, "right": x2 - 1}
    features = [
        {"name": name, "kind": "edge", "start": [float(x), across], "end": [middle, across],
         "width": float(min(9, y2 - y1)), "which": "first"}
        for name, x in edges.items()
    ]  # fmt: skip
    width = {"name": "width", "distance": ["left", "right"]}
    (found,) = _look("measure", asked, {"features": features, "measures": [width]}, None)
    if found.value is None or not found.ok:
        raise NewStepError(
            "no edge is seen from the left or from the right to the middle of the area; draw it "
            "around the width that is to be measured"
        )
    limits = {
        "at_least": round(found.value * (1 - PLAY), 1),
        "at_most": round(found.value * (1 + PLAY), 1),
    }
    return {"features": features, "measures": [width | limits]}


def _count(asked: Asked) -> dict[str, Any]:
    """As many pieces of the size that stands out most often as lie there."""
    mask = stands_out(crop(asked.pixels, asked.roi), Threshold())
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    sides = np.asarray(stats)[1:, 2:4].min(axis=1)
    sides = sides[sides >= 3]
    if not len(sides):
        raise NewStepError("nothing stands out there that could be counted; draw its area anew")
    size = float(np.median(sides))
    found = _look("count", asked, {"size_px": size, "at_least": 0}, asked.roi)
    there = next(f.value for f in found if f.label == "count")
    return {"size_px": size, "exactly": int(there or 0)}


def _colour(asked: Asked) -> dict[str, Any]:
    target = {"name": "colour", "lab": [50.0, 0.0, 0.0]}
    (found,) = _look("colour", asked, {"targets": [target]}, asked.roi)
    lab = [float(value) for value in str(found.text).split()]
    return {"targets": [{"name": "colour", "lab": lab}]}


def _blob(asked: Asked) -> dict[str, Any]:
    """Spots that are half as large again as the largest that a good part has."""
    loose = {"area": [1.0, 1e9], "at_most": None}
    spots = [f.value or 0.0 for f in _look("blob", asked, loose, asked.roi) if f.label == "spot"]
    return {"area": [float(max(20, round(1.5 * max(spots, default=0.0)))), 1e9]}


def _plain(asked: Asked) -> dict[str, Any]:
    return {}


def _detect(asked: Asked) -> dict[str, Any]:
    """As many of each label as the model sees on this part; what else it knows is a defect, which
    no count of others would reject."""
    seen = Counter(f.label for f in _look("detect", asked, {"model": asked.model}, asked.roi))
    counts = [{"label": label, "exactly": many} for label, many in sorted(seen.items())]
    known = asked.shelf.card(asked.model).classes
    defects = {label: "major" for label in known if label not in seen}
    return {"model": asked.model, "counts": counts, "defects": defects}


def _classify(asked: Asked) -> dict[str, Any]:
    """What the model says that this part is."""
    card = asked.shelf.card(asked.model)
    found = _look("classify", asked, {"model": asked.model}, asked.roi)
    expect = [f.label for f in found if f.ok and f.label in card.classes]
    if not expect:
        raise NewStepError(f"{asked.model} is sure of nothing there; draw its area anew")
    return {"model": asked.model, "expect": expect}


def _segment(asked: Asked) -> dict[str, Any]:
    """What the model knows and does not see on this part is a defect."""
    card = asked.shelf.card(asked.model)
    known = card.classes[card.output.format == "semantic" :]
    seen = {f.label for f in _look("segment", asked, {"model": asked.model}, asked.roi)}
    defects = {label: "major" for label in known if label not in seen}
    if not defects:
        raise NewStepError(f"{asked.model} sees all that it knows there; draw its area anew")
    return {"model": asked.model, "defects": defects}


_MAKERS: Mapping[str, Callable[[Asked], dict[str, Any]]] = {
    "illumination": _light,
    "align": _align,
    "compare": _compare,
    "measure": _measure,
    "count": _count,
    "colour": _colour,
    "blob": _blob,
    "read": _plain,
    "code": _plain,
    "detect": _detect,
    "classify": _classify,
    "segment": _segment,
}


def _look(kind: str, asked: Asked, params: dict[str, Any], roi: Roi | None) -> list[Finding]:
    """What a step would find on the picture."""
    tool = TOOLS[kind](_step(kind, asked, params, roi), asked.shelf)
    found: list[Finding] = tool.look(asked.pixels, Context(Batch("new"), date.today()))
    return found


def _step(kind: str, asked: Asked, params: dict[str, Any], roi: Roi | None) -> Any:
    given = {"name": asked.name, "kind": kind, "view": asked.view, "roi": roi, "params": params}
    context = {"shelf": asked.shelf, "folder": asked.recipes}
    return TOOLS[kind].Step.model_validate(given, context=context)


def _plain_numbers(value: Any) -> Any:
    """Whole numbers without a point, as people write them."""
    if isinstance(value, dict):
        return {key: _plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
