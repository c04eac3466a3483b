"""Does a release judge here as it judged where it was signed? Parts and their answers enter.

Leaves: how long a part takes on this machine, or the part and finding that differ (I7). The parity
set travels in the release: pictures of a dozen parts or so, and for each the verdict and findings
of the recipe at the centre. Imports recipe, part and ``bundle``; ``installed`` and the centre's
``training release`` import this.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inspector.part import Batch, Finding, Pixels
from inspector.recipe import Judgement, Recipe
from inspector.release.bundle import PARITY, ReleaseRefused

SCORE_TOLERANCE, BOX_TOLERANCE_PX = 0.06, 4.0
"""Int8 kernels of other processors round differently; a verdict may not differ at all."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How a release did here."""

    parts: int
    p50_ms: float
    p99_ms: float
    """Of one part; of a dozen parts this is the slowest."""


def expected(
    name: str, judged: Judgement, files: Mapping[str, str], batch: Batch, today: date
) -> dict[str, Any]:
    """One part of a parity set, JSON-ready; ``files`` are its pictures in the release, by view."""
    return {
        "name": name,
        "pictures": dict(files),
        "texts": dict(batch.texts),
        "product": batch.product,
        "today": today.isoformat(),
        "outcome": judged.outcome.value,
        "findings": [_plain(finding) for finding in judged.findings],
    }


def check_parity(
    recipe: Recipe,
    folder: Path,
    title: str,
    pause: Callable[[float], None] = lambda spent_s: None,
) -> Parity:
    """Judges the parity set of the release in ``folder``.

    ``pause`` is told how long each part took, so that a running line can have its processor back.
    Raises ``ReleaseRefused`` at the first part that is judged otherwise.
    """
    parts: Sequence[Mapping[str, Any]] = json.loads((folder / PARITY).read_bytes())
    if not parts:
        raise ReleaseRefused(title, "has an empty parity set, so nothing says that it works here")
    spent = []
    for part in parts:
        frames = {view: _picture(folder, path, title) for view, path in part["pictures"].items()}
        batch = Batch("parity", part.get("product", ""), recipe.name, part["texts"])
        began = time.perf_counter()
        judged = recipe.judge(frames, batch, date.fromisoformat(part["today"]))
        spent.append((time.perf_counter() - began) * 1e3)
        difference = _difference(part, judged)
        if difference:
            raise ReleaseRefused(
                title,
                f"judges part {part['name']} of its parity set otherwise here: {difference}; "
                "use its fp32 model or another execution provider",
            )
        pause(spent[-1] / 1e3)
    return Parity(
        len(parts), round(float(np.median(spent)), 3), round(float(np.quantile(spent, 0.99)), 3)
    )


def _difference(wanted: Mapping[str, Any], judged: Judgement) -> str:
    if judged.outcome.value != wanted["outcome"]:
        why = f" ({judged.reasons[0]})" if judged.reasons else ""
        return f"{judged.outcome.value}{why} instead of {wanted['outcome']}"
    here = [_plain(finding) for finding in judged.findings]
    for first, second, verb in (
        (wanted["findings"], here, "is not found"),
        (here, wanted["findings"], "is found and should not be"),
    ):
        for finding in first:
            # a finding that barely reached its threshold there may miss it here; not a verdict
            alike = [f for f in second if _alike(f, finding)]
            if not alike and (not finding["ok"] or finding["text"] is not None):
                return f"{finding['tool']}/{finding['label']} {verb}"
    return ""


def _alike(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    if any(a[name] != b[name] for name in ("tool", "label", "ok", "text", "view")):
        return False
    if abs(a["score"] - b["score"]) > SCORE_TOLERANCE:
        return False
    if (a["box"] is None) != (b["box"] is None):
        return False
    return a["box"] is None or all(
        abs(x - y) <= BOX_TOLERANCE_PX for x, y in zip(a["box"], b["box"], strict=True)
    )


def _plain(finding: Finding) -> dict[str, Any]:
    box = None if finding.box is None else [round(float(v), 2) for v in finding.box]
    return {
        "tool": finding.tool,
        "label": finding.label,
        "ok": finding.ok,
        "score": round(float(finding.score), 4),
        "box": box,
        "view": finding.view,
        "text": finding.text,
    }


def _picture(folder: Path, path: str, title: str) -> Pixels:
    content = np.frombuffer((folder / path).read_bytes(), np.uint8)
    pixels = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ReleaseRefused(title, f"{path} is no picture")
    return np.ascontiguousarray(pixels, np.uint8)
