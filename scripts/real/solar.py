"""How well ``anomaly``, taught from good cells alone, tells defective solar cells from good ones.

Electroluminescence pictures of ELPV (github.com/zae-bayern/elpv-dataset): 200 good and 60 defective
cells, split by a seeded draw. The first 100 good ones teach. The first 30 defective ones, with some
of the first good ones, were looked at when the defaults of ``teach anomaly`` were chosen; what is
reported is the other 100 good and 30 defective cells, which nothing was chosen on. Deterministic.

    python scripts/real/solar.py [--data DIR] [--defects] [--thorough RUN] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inspector.part import Pixels
from inspector.quality.agreement import wilson
from inspector.teach import Taught, teach_anomaly
from inspector.teach.anomaly import auroc
from inspector.teach.pictures import read_pictures
from inspector.teach.thorough import add_network
from inspector.tools.anomaly import Look, worst
from inspector.tools.onnx import Shelf
from training.evaluate import bootstrap

TAUGHT, LOOKED_AT = 100, 30
MODELS = Path(__file__).resolve().parents[2] / "models"


def drawn(cells: Path) -> tuple[list[Pixels], list[Pixels]]:
    """The good and the defective cells, each in an order drawn once for all."""
    rng = np.random.default_rng(0)
    good, bad = read_pictures(cells / "good"), read_pictures(cells / "defect")
    return [good[i] for i in rng.permutation(len(good))], [
        bad[i] for i in rng.permutation(len(bad))
    ]


def figures(taught: Taught, good: Sequence[Pixels], bad: Sequence[Pixels]) -> dict[str, Any]:
    """Image AUROC with its 95 % interval by redrawing pictures; rejects at the taught limit."""
    look = Look(taught.bank, Shelf(MODELS))
    started = time.perf_counter()
    scores = np.array([worst(look.map_of(p)) for p in (*good, *bad)])
    ms = (time.perf_counter() - started) * 1e3 / len(scores)
    defective = np.arange(len(scores)) >= len(good)

    def measure(at: np.ndarray) -> float:
        return auroc(scores[at][~defective[at]], scores[at][defective[at]])

    low, high = bootstrap(measure, len(scores), rounds=1000)
    rejected = scores >= taught.bank.limit
    report: dict[str, Any] = {
        "auroc": round(measure(np.arange(len(scores))), 4),
        "auroc_interval95": [round(low, 4), round(high, 4)],
        "members": [m.name for m in taught.bank.members],
        "network": taught.bank.learnt is not None,
        "ms_mean": round(ms, 1),
    }
    for name, part in (("false_rejects", rejected[~defective]), ("found", rejected[defective])):
        share = wilson(int(part.sum()), len(part))
        report[name] = [int(part.sum()), len(part), round(share.low, 4), round(share.high, 4)]
    return report


def main() -> None:
    """Prints the figures of the cells that nothing was chosen on."""
    options = argparse.ArgumentParser(description=__doc__)
    here = Path(__file__).resolve().parents[2]
    default = os.environ.get("INSPECTOR_REAL_DATA", here.parent / "shared" / "data")
    options.add_argument("--data", type=Path, default=default)
    options.add_argument("--defects", action="store_true", help="also give the 30 defective cells")
    options.add_argument("--thorough", type=Path, help="also train a network, in this folder")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    good, bad = drawn(Path(given.data) / "solar_cells")
    shown = bad[:LOOKED_AT] if given.defects else []
    shelf = Shelf(MODELS)
    started = time.perf_counter()
    taught = teach_anomaly(good[:TAUGHT], shelf, shown)
    if given.thorough:
        quiet = lambda what, done, total: None  # noqa: E731
        taught = add_network(taught, good[:TAUGHT], shown, given.thorough, shelf, 0.01, quiet)
    seconds = time.perf_counter() - started
    report = figures(taught, good[TAUGHT:], bad[LOOKED_AT:])
    report["taught_s"] = round(seconds, 1)
    report["taught_from"] = f"{TAUGHT} good cells" + (f", {len(shown)} defective" if shown else "")
    report["taught"] = {k: v for k, v in taught.report.items() if k != "compared"}
    print(json.dumps(report, indent=None if given.json else 1))


if __name__ == "__main__":
    main()
