"""Makes ``models/pcb-fault/1``, the classifier of differences that ``pcb.py`` measures, from boards
that nobody photographed.

It learns from drawn boards (``training/boards.py``) with drawn faults
(``training/trace_faults.py``) alone, so no one's pictures are in it, and writes the model with its
card, whose figures are of the real pairs of ``pcb.learned_from``; the pairs that ``pcb.py`` reports
are not opened. With ``--real`` it also learns from those pairs, as they are and with further faults
drawn on them, but every eighth, which measures. DeepPCB's authors allow research alone: such a
model is for comparison and does not ship.

    python scripts/real/pcb_learn.py [--real] [--data DIR] [--run DIR] [--models DIR] [--epochs N]
"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pcb
import torch

from inspector.tools.compare import Compare
from inspector.tools.difference import GOOD
from inspector.tools.onnx import Shelf
from training.boards import board
from training.differences import Told, export_namer, fit_namer, told
from training.fit import Schedule
from training.pictures import Picture
from training.trace_faults import with_faults

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
SCHEDULE = Schedule(epochs=12, rate=2e-3, warm_up=100, average=0.995, measure_every=3)
KEPT_BACK = 8
BOARDS, FAULTS = 800, 12
"""Drawn boards, and the faults drawn on each."""
ROUGH = 0.3
"""Share of a drawn board's rough edges that are learned from: there are three for each fault."""
COPIES, MORE_FAULTS, OWN = 5, 10, 3
"""With --real: copies of each pair with so many further faults, and how often its own count."""


def main() -> None:
    """Fits, exports, and says where the card is."""
    options = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("INSPECTOR_REAL_DATA", pcb.ROOT.parent / "shared" / "data")
    options.add_argument("--real", action="store_true", help="learn from real pairs too: research")
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
    learn = drawn()
    rows = [_told(pcb.tool_for(b, pcb.SENSITIVE, shelf), b) for b in boards]
    kept = [t for r in (rows[::KEPT_BACK] if given.real else rows) for t in r]
    if given.real:
        learn += [t for i, r in enumerate(rows) if i % KEPT_BACK for t in r] * OWN
        learn += [t for i, b in enumerate(boards) if i % KEPT_BACK for t in _further(b, i, shelf)]
    print(
        f"{len(learn)} differences to learn from, {len(kept)} real ones to measure with", flush=True
    )
    schedule = replace(SCHEDULE, epochs=given.epochs)
    net = fit_namer(CLASSES, learn, kept, given.run, schedule, OPPOSITE)
    name, version = pcb.MODEL.split("/")
    card, apart = export_namer(
        net,
        kept,
        given.models / name / version / "model.onnx",
        license=RESEARCH if given.real else "Apache-2.0",
        trained_on=f"{BOARDS} boards drawn from seeds (training.boards) with drawn faults "
        "(training.trace_faults). Measured on the differences of 132 real pairs of DeepPCB "
        "(github.com/tangsanli5201/DeepPCB), on which its settings were chosen and from which "
        "nothing was learned."
        if not given.real
        else "Drawn boards, and pairs of DeepPCB (github.com/tangsanli5201/DeepPCB), for research "
        "alone: the first 40 of 220 pairs by name and the first half of each further group of "
        "boards, but every eighth pair, which measures.",
        command="scripts/train-models pcb-fault",
        lineage={
            "schedule": asdict(schedule), "learned_from": len(learn), "boards": BOARDS,
            "faults_a_board": FAULTS, "real": given.real,
        },
    )  # fmt: skip
    print(f"{card}: torch and ONNX differ by {apart:.1e}")


RESEARCH = "research only: DeepPCB's authors allow no other use of their pictures"


def drawn() -> list[Told]:
    """What ``compare`` finds on drawn boards."""
    empty = Picture(
        np.zeros((1, 1, 3), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    )
    found = []
    for seed in range(BOARDS):
        rng = np.random.default_rng((9, seed))
        template, seen = board(rng)
        seen, truth = with_faults(
            seen, empty, pcb.CLASSES, True, pcb.SENSITIVE["margin_px"], FAULTS, rng
        )
        tool = pcb.tool_of(template, pcb.SENSITIVE, Shelf(pcb.ROOT / "models"))
        rows = told(tool, seen, truth, CLASSES)
        found += [t for t in rows if CLASSES[t.kind] != GOOD or rng.random() < ROUGH]
    return found


def _further(real: Path, number: int, shelf: Shelf) -> list[Told]:
    """A real pair's board with further faults, several times."""
    tool, rng = pcb.tool_for(real, pcb.SENSITIVE, shelf), np.random.default_rng((7, number))
    found = []
    for _ in range(COPIES):
        seen, truth = with_faults(
            pcb.pixels_of(real), pcb.truth_of(real), pcb.CLASSES, True,
            pcb.SENSITIVE["margin_px"], MORE_FAULTS, rng,
        )  # fmt: skip
        found += told(tool, seen, truth, CLASSES)
    return found


def _told(tool: Compare, real: Path) -> list[Told]:
    return told(tool, pcb.pixels_of(real), pcb.truth_of(real), CLASSES)


if __name__ == "__main__":
    main()
