"""A station's data folder as the line and QA leave it: verdicts, pictures, reviews."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from inspector.part import Batch, Finding, Outcome, Pixels, Severity, Verdict
from inspector.store import DeskLedger, History, ImageArchive, LineLedger
from inspector.store.bench import sample_verdict
from inspector.store.reviews import Decision, Label, Opinion, add_review

SCRATCH = (10.0, 12.0, 40.0, 20.0)
WHOLE = (4.0, 2.0, 60.0, 62.0)


def draw(number: int) -> Pixels:
    """A part's picture: no two alike."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(40, 216, (8, 8, 3), np.uint8)
    return cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC)


def found(outcome: Outcome) -> tuple[Finding, ...]:
    good = Finding("look", "detect", "bottle", True, 0.9, WHOLE, "side")
    bad = Finding("look", "detect", "scratch", False, 0.6, SCRATCH, "side", Severity.MAJOR,
                  reason="scratch")  # fmt: skip
    return (good, bad) if outcome is Outcome.REJECT else (good,)


def make_station(
    folder: Path,
    batches: int = 4,
    parts: int = 10,
    name: str = "s1",
    picture: Callable[[int], Pixels] = draw,
    reviewed: bool = True,
    findings: Callable[[int, Outcome], tuple[Finding, ...]] = lambda _, outcome: found(outcome),
    lot: str = "L1",
) -> Path:
    """Each fifth part is rejected; anna confirms all of them, and finds one escape per batch.

    ``picture`` and ``findings`` give what a part looked like and what was found, by its number.
    """
    with (
        LineLedger.open(folder, station=name) as ledger,
        ImageArchive(folder, pass_image_every=1, reserve_mb=0) as archive,
    ):
        verdicts: list[Verdict] = []
        for number in range(1, batches * parts + 1):
            batch = f"B-{(number - 1) // parts}"
            if (number - 1) % parts == 0:
                ledger.add_batch(Batch(batch, "bottle", "r", {"lot": lot}), "begin", "line")
            outcome = Outcome.REJECT if number % 5 == 0 else Outcome.PASS
            base = sample_verdict(number)
            verdict = replace(
                base, station=name, batch=batch, outcome=outcome, recipe="r@1",
                reasons=("scratch",) if outcome is Outcome.REJECT else (),
                findings=findings(number, outcome),
                times=replace(base.times, utc_ns=1_800_000_000_000_000_000 + number * 10**9),
            )  # fmt: skip
            ledger.add_verdict(verdict)
            archive.offer(verdict, {"side": picture(number)})
            verdicts.append(verdict)
            if number % parts == 0:
                while archive.counts.waiting:
                    pass
        ledger.commit()
        for image in archive.close():
            ledger.add_image(image)
        ledger.commit()
    if reviewed:
        with DeskLedger.open(folder) as desk, History(folder) as history:
            for number, verdict in enumerate(verdicts, 1):
                escape = number % parts == 2
                truth = Outcome.REJECT if escape else verdict.outcome
                labels = (Label("scratch", Severity.MAJOR, SCRATCH),) if truth == "reject" else ()
                decision = Decision.OVERRIDE if escape else Decision.CONFIRM
                opinion = Opinion(verdict.part_id, decision, truth, "side", labels, "seen")
                add_review(desk, history, opinion, "anna")
    return folder
