"""Makes ``models/pcb-fault/1``, the classifier of differences that ``pcb.py`` measures.

It learns from the pairs of ``pcb.learned_from`` alone and writes the model with its card, whose
figures are of every eighth of those pairs, which are kept back; the pairs that ``pcb.py`` reports
are not opened.

    python scripts/real/pcb_learn.py [--data DIR] [--run DIR] [--models DIR] [--epochs N]
"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict, replace
from pathlib import Path

import pcb
import torch

from inspector.tools.difference import GOOD
from inspector.tools.onnx import Shelf
from training.differences import Told, export_namer, fit_namer, told
from training.fit import Schedule

CLASSES = (GOOD, *pcb.CLASSES)
OPPOSITE = {
    "open": "short",
    "short": "open",
    "mousebite": "spur",
    "spur": "mousebite",
    "copper": "pin-hole",
    "pin-hole": "copper",
}
"""With copper and gap exchanged, see ``inspector.tools.traces``."""
SCHEDULE = Schedule(epochs=60, rate=2e-3, warm_up=50, average=0.99, measure_every=10)
KEPT_BACK = 8


def main() -> None:
    """Fits, exports, and says where the card is."""
    options = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("INSPECTOR_REAL_DATA", pcb.ROOT.parent / "shared" / "data")
    options.add_argument("--data", type=Path, default=default)
    options.add_argument("--run", type=Path, default=Path("runs/pcb-fault"))
    options.add_argument("--models", type=Path, default=pcb.ROOT / "models")
    options.add_argument("--epochs", type=int, default=SCHEDULE.epochs)
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    boards = pcb.learned_from(pcb.pairs(Path(given.data) / "pcb"))
    if not boards:
        raise SystemExit(f"no pairs in {Path(given.data) / 'pcb'}; set INSPECTOR_REAL_DATA")
    shelf = Shelf(given.models)
    rows = [_told(board, shelf) for board in boards]
    learn = [t for i, r in enumerate(rows) if i % KEPT_BACK for t in r]
    kept = [t for r in rows[::KEPT_BACK] for t in r]
    print(f"{len(boards)} pairs: {len(learn)} differences to learn from, {len(kept)} kept back")
    schedule = replace(SCHEDULE, epochs=given.epochs)
    net = fit_namer(CLASSES, learn, kept, given.run, schedule, OPPOSITE)
    name, version = pcb.MODEL.split("/")
    card, apart = export_namer(
        net,
        kept,
        given.models / name / version / "model.onnx",
        license="Apache-2.0",
        trained_on="DeepPCB (github.com/tangsanli5201/DeepPCB), MIT, for research: the first 40 "
        "of 220 pairs by name and the first half of each further group of boards, but every eighth "
        "pair, which measures. Changed: cut out, turned, mirrored, moved, inverted, noisy.",
        command="scripts/train-models pcb-fault",
        lineage={"schedule": asdict(schedule), "learned_from": len(learn)},
    )
    print(f"{card}: torch and ONNX differ by {apart:.1e}")


def _told(board: Path, shelf: Shelf) -> list[Told]:
    tool = pcb.tool_for(board, pcb.SENSITIVE, shelf)
    return told(tool, pcb.pixels_of(board), pcb.truth_of(board), CLASSES)


if __name__ == "__main__":
    main()
