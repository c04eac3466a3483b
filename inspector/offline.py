"""Image files go in, what the line's own tools say of each comes out, without a line.

May import recipe, tools, config and part; imported by the command line.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from inspector.config import ConfigError, Problem
from inspector.part import Batch, Finding
from inspector.pictures import DEPTHS, SUFFIXES, bits_of, images_in, read_image
from inspector.recipe import Recipe, load


def inspect_images(
    recipe: Path | Recipe,
    paths: Sequence[Path],
    models: Path = Path("models"),
    threads: int = 2,
    texts: Mapping[str, str] | None = None,
    today: date | None = None,
) -> Iterator[dict[str, Any]]:
    """Judges each image of ``paths`` (files or folders, these sorted by name), JSON-ready.

    Yields ``image, outcome, score, reasons, ms, findings: [{tool, kind, label, score, box, text,
    value, unit, ok, severity, reason}]``; the image's ``score`` is how anomalous it is, None where
    no ``anomaly`` step judged it. An image that cannot be read is an ``error``; the others go on.
    Several views of one part cannot be told from file names: such a recipe is refused.
    Raises ``ConfigError`` or ``ModelError`` before the first image, and ``FileNotFoundError`` where
    there is none: folders without an image.
    """
    if not isinstance(recipe, Recipe):
        recipe = load(recipe, models=models, threads=threads)
    if len(recipe.views) > 1:
        what = f"needs the views {', '.join(recipe.views)} of each part; images give one"
        raise ConfigError(Path(recipe.name), [Problem(None, "views", what)])
    recipe.warm_up()
    batch = Batch("offline", texts=dict(texts or {}))
    images = list(_images(paths))
    if not images:
        what = f"{', '.join(map(str, paths))}: no image in it ({', '.join(SUFFIXES)})"
        raise FileNotFoundError(what)
    bits = recipe.file.bits or bits_of(images) or DEPTHS[-1]
    return _judge_all(recipe, images, batch, today or date.today(), bits)


def _judge_all(
    recipe: Recipe, images: Sequence[Path], batch: Batch, today: date, bits: int
) -> Iterator[dict[str, Any]]:
    for path in images:
        started = time.perf_counter()
        pixels, flaw = read_image(path, bits)
        if pixels is None:
            ms = (time.perf_counter() - started) * 1e3
            outcome, reasons, findings = "error", [flaw], []
        else:
            judged = recipe.judge({recipe.views[0]: pixels}, batch, today)
            ms, outcome, reasons = judged.ms, judged.outcome.value, list(judged.reasons)
            findings = [_plain(f) for f in judged.findings]
        yield {
            "image": str(path),
            "outcome": outcome,
            "score": max((f["score"] for f in findings if f["kind"] == "anomaly"), default=None),
            "reasons": reasons,
            "ms": round(ms, 3),
            "findings": findings,
        }


def _images(paths: Sequence[Path]) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            yield from images_in(path)
        else:
            yield path


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        "tool": finding.tool,
        "kind": finding.kind,
        "label": finding.label,
        "score": round(finding.score, 6),
        "box": None if finding.box is None else [round(v, 1) for v in finding.box],
        "text": finding.text,
        "value": finding.value,
        "unit": finding.unit,
        "ok": finding.ok,
        "severity": finding.severity.value,
        "reason": finding.reason,
        **({"outline": finding.outline} if finding.outline else {}),
    }
