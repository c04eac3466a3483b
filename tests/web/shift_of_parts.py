"""A ledger that holds some hours of parts, as if a line had just made them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from inspector.part import (
    Batch,
    Finding,
    Mode,
    Outcome,
    Severity,
    Times,
    Verdict,
    new_part_id,
)
from inspector.store import ImageArchive, LineLedger

DEFECTS = ("cap_missing", "label_scratched", "print_smeared", "low_fill", "label_skewed")
HOUR_NS = 3_600_000_000_000


def forget_shift(data: Path) -> None:
    """The line has never run here, whatever it made before."""
    for name in ("line.db", "line.db-wal", "line.db-shm", "images", "checkpoints"):
        path = data / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def write_shift(
    data: Path, parts: int = 3000, hours: float = 6.0, batch: str = "L2417A", now_ns: int = 0,
    closed: bool = False, all_bad: bool = False, products: Sequence[str] = ("04012345123456",),
) -> None:  # fmt: skip
    """``parts`` verdicts over the last ``hours``; 2 % are rejects, in the last sixth 12 %.

    With several ``products`` each has a batch of its own, one after the other: ``batch``,
    ``batch-2`` …
    """
    forget_shift(data)
    noise = np.random.default_rng(5)
    pixels = noise.integers(40, 200, (480, 640, 3), np.uint8)
    now_ns = now_ns or time.time_ns()
    step = int(hours * HOUR_NS / parts)
    with (
        LineLedger.open(data, station="BOT-L3-01") as ledger,
        ImageArchive(data, reserve_mb=0) as archive,
    ):
        made = [
            Batch(f"{batch}-{i + 1}" if i else batch, product, "bottle", {"lot": batch})
            for i, product in enumerate(products)
        ]
        running = -1
        for number in range(1, parts + 1):
            if running != (now := (number - 1) * len(made) // parts):
                if running >= 0:
                    ledger.add_batch(made[running], "end", "line")
                ledger.add_batch(made[now], "begin", "line")
                running = now
            utc_ns = now_ns - (parts - number) * step
            late = number > parts * 5 // 6
            bad = noise.random() < (0.12 if late else 0.02) or all_bad
            verdict = _verdict(number, utc_ns, made[running].id, bad, noise)
            if bad and number > parts - 60:
                archive.offer(verdict, {"side": pixels})
            ledger.add_verdict(verdict)
        if closed:
            ledger.add_batch(made[running], "end", "line")
        for image in archive.close():
            ledger.add_image(image)


def write_late_reject(
    data: Path, number: int, batch: str = "L2417A", outcome: Outcome = Outcome.REJECT
) -> Verdict:
    """One more reject, of now; its picture is still on its way, see ``write_picture``."""
    noise = np.random.default_rng(number)
    verdict = replace(_verdict(number, time.time_ns(), batch, True, noise), outcome=outcome)
    with LineLedger.open(data, station="BOT-L3-01") as ledger:
        ledger.add_verdict(verdict)
    return verdict


def write_picture(data: Path, verdict: Verdict) -> None:
    """The picture of a part that was judged comes into the archive and on record."""
    pixels = np.random.default_rng(6).integers(40, 200, (480, 640, 3), np.uint8)
    with (
        LineLedger.open(data, station="BOT-L3-01") as ledger,
        ImageArchive(data, reserve_mb=0) as archive,
    ):
        archive.offer(verdict, {"side": pixels})
        for image in archive.close():
            ledger.add_image(image)


def _verdict(
    number: int, utc_ns: int, batch: str, bad: bool, noise: np.random.Generator
) -> Verdict:
    bottle = Finding(
        "parts", "detect", "bottle", score=float(noise.uniform(0.8, 0.99)),
        box=(230.0, 40.0, 410.0, 470.0), view="side",
    )  # fmt: skip
    findings = [bottle]
    label = DEFECTS[int(noise.integers(0, len(DEFECTS)) * noise.random())]
    if bad:
        x, y = float(noise.normal(320, 30)), float(noise.normal(220, 60))
        findings.append(
            Finding(
                "parts",
                "detect",
                label,
                ok=False,
                score=float(noise.uniform(0.4, 0.95)),
                box=(x - 20, y - 15, x + 20, y + 15),
                view="side",
                severity=Severity.MAJOR,
                reason=label.replace("_", " "),
            )
        )
    taken = int(noise.gamma(9.0, 1.1) * 1e6)
    return Verdict(
        part_id=new_part_id(utc_ns), station="BOT-L3-01", stream="plc-1", sequence=number,
        outcome=Outcome.REJECT if bad else Outcome.PASS, mode=Mode.AUTO, batch=batch,
        times=Times(1_000_000, 3_000_000, 1_000_000 + taken, utc_ns, "boot", True),
        recipe="bottle@3", recipe_digest="5f" * 32, model_digests=("a1" * 32,), software="0.1.0",
        reasons=(label.replace("_", " "),) if bad else (), findings=tuple(findings),
    )  # fmt: skip
