"""Figures of the line's verdicts: unseen virtual parts, judged with the line's own recipe.

Only the command line imports this.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from inspector.cameras import pixels
from inspector.cameras.formats import BY_NAME
from inspector.part import Batch, Outcome, Pixels
from inspector.quality.agreement import wilson
from inspector.recipe import Judgement, Recipe, load
from inspector.trial import CONFIGS
from inspector.virtual import batch as batches
from inspector.virtual import bottle
from inspector.virtual.product import DEFECTS

STRETCH = 8
"""Parts of one lot and date."""


def bench_quality(
    *, defective: int, seed: int, models: Path, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Escapes and false rejects of ``bottle-line`` on parts of unseen seeds, fonts and textures.

    Rows ``{what, severity, parts, wrong, rate, low, high}`` with Wilson's 95 % interval; ``wrong``
    counts escapes, for good parts false rejects. Half of the parts are defective.
    """
    judge = load(CONFIGS / "recipes" / "bottle-line.yaml", models=models, threads=1)
    judge.warm_up()
    parts, wrong = Counter[str](), Counter[str]()
    missed: list[dict[str, Any]] = []
    orders = list(_orders(defective, seed))
    done = 0
    for order, rendered in zip(orders, batches.render_stretches(orders, 1), strict=True):
        for side, code, truth in rendered:
            verdict = _judged(judge, order, side, code)
            labels = [d["label"] for d in truth["defects"]]
            passed = verdict.outcome is Outcome.PASS
            for label in labels or ["good"]:
                parts[label] += 1
                wrong[label] += passed if labels else not passed
            if passed == bool(labels):
                missed.append(
                    {"seed": order.seed, "index": truth["index"], "labels": labels,
                     "reasons": list(verdict.reasons)}
                )  # fmt: skip
        done += len(rendered)
        progress(done, len(orders) * STRETCH)
    severity = {name: s.value for name, s in DEFECTS.items()}
    rows = [_row(name, severity.get(name, ""), parts[name], wrong[name]) for name in sorted(parts)]
    for group in ("critical", "major"):
        names = [n for n in parts if severity.get(n) == group]
        total, bad = sum(parts[n] for n in names), sum(wrong[n] for n in names)
        rows.append(_row(f"all {group}", group, total, bad))
    return {"machine": platform.machine(), "seed": seed, "rows": rows, "wrong": missed[:50]}


def _orders(defective: int, seed: int) -> Iterator[batches.Stretch]:
    """Stretches of a lot and a date each, half of whose parts are defective."""
    for i in range(-(-defective * 2 // STRETCH)):
        rng = np.random.default_rng([seed, i])
        lot, day = bottle.draw_lot(rng), bottle.draw_date(rng)
        yield batches.Stretch(
            "bottle-line", seed + i, 0, STRETCH, lot, day, 0.5, "held_out", mixed=True
        )


def _judged(judge: Recipe, order: batches.Stretch, side: Pixels, code: Pixels) -> Judgement:
    """As the line would: the side camera gives raw pixels."""
    height, width = side.shape
    form = BY_NAME["BayerRG8"]
    picture = pixels.convert(
        side.reshape(-1), form, width, height, pixels.empty(form, width, height)
    )
    expected = Batch("quality", "bottle-line", texts={"lot": order.lot, "date": order.date})
    frames = {"side": picture, "code": code}
    return judge.judge(frames, expected, date(2026, 1, 1), clock_synced=True)


def _row(what: str, severity: str, parts: int, wrong: int) -> dict[str, Any]:
    share = wilson(wrong, parts)
    return {
        "what": what,
        "severity": severity,
        "parts": parts,
        "wrong": wrong,
        "rate": round(share.value, 5),
        "low": round(share.low, 5),
        "high": round(share.high, 5),
    }
