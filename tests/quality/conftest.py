"""A batch as a line leaves it: parts, gates, pictures, a process that goes astray at its end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from quality_parts import part

from inspector.part import Batch, GateAction, GateDecision, Outcome
from inspector.store import ImageArchive, LineLedger

PARTS = 4000
ASTRAY = 3000
"""From this part on labels are scratched six times as often."""


@dataclass(frozen=True, slots=True)
class Made:
    """A store with one batch in it."""

    data: Path
    batch: str = "B-1"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A batch of `PARTS` parts: faults, measures, pictures of the rejects, a by-pass, an alarm."""
    data = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(11)
    texts = {"lot": "L2417A", "date": "16 NOV 26"}
    with (
        LineLedger.open(data, station="ST-01") as ledger,
        ImageArchive(data, pass_image_every=0, reserve_mb=0) as archive,
    ):
        ledger.add_batch(Batch("B-1", "Mineral water 0.5 l", "bottle", texts), "begin", "line")
        for number in range(1, PARTS + 1):
            shares = {"scratch": 0.01, "missing cap": 0.004, "smeared date": 0.003}
            if number > ASTRAY:
                shares["scratch"] = 0.06
            label = next((k for k, p in shares.items() if rng.random() < p), "")
            outcome = Outcome.REJECT if label else Outcome.PASS
            outcome = Outcome.ERROR if rng.random() < 0.001 else outcome
            verdict = part(
                number, outcome=outcome, label=label, value=float(rng.normal(12.0, 0.08))
            )
            ledger.add_verdict(verdict)
            passes = outcome is Outcome.PASS
            ledger.add_gate(GateDecision(
                verdict.part_id, verdict.stream, number,
                GateAction.PERMIT if passes else GateAction.REJECT, "none", 1, 2,
            ))  # fmt: skip
            if outcome is Outcome.REJECT and archive.counts.offered < 40:
                archive.offer(verdict, {"side": _picture(rng, label), "code": _picture(rng, "")})
        ledger.add_event("alarm", "line", code="bin_full", detail="")
        for image in archive.close():
            ledger.add_image(image)
        ledger.add_batch(Batch("B-1", "Mineral water 0.5 l", "bottle", texts), "end", "otto")
        ledger.commit()
    return Made(data)


def _picture(rng: np.random.Generator, label: str) -> np.ndarray:
    picture = np.full((160, 240, 3), (196, 188, 180), np.uint8)
    picture[20:140, 30:210] = (220, 214, 206)
    if label:
        picture[48:58, 66:104] = (70, 60, 60)
    return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
