"""What the ledger's size does to its speed: rate, bytes and the time of questions, as it grows.

Enters: an empty folder on the disk to measure, sizes. Leaves: figures at each size. The command
line and tests import this.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from inspector.store.bench import sample_gate, sample_verdict
from inspector.store.desk import DeskLedger
from inspector.store.genealogy import Genealogy
from inspector.store.ledger import LineLedger
from inspector.store.maintenance import shorten_wal
from inspector.store.query import History
from inspector.store.recalls import Criteria, MaterialLot, affected, units_affected

BATCH = 10_000
"""Parts of a batch: seven minutes at 25 parts/s."""
GROUP = 250
TRIES = 40


def bench_growth(
    folder: Path, sizes: Sequence[int] = (100_000, 1_000_000)
) -> Iterator[dict[str, float]]:
    """Fills one ledger with serialised parts and their gate decisions, in batches of `BATCH`.

    Yields at each size: ``verdicts``; ``parts_per_s`` over the last stretch; ``bytes_per_part``
    (verdict of three findings with its serial, gate decision, indexes, checkpoints); and the
    slowest and middle of `TRIES` questions in ms: ``serial_*``, ``part_*`` by number, ``batch_*``
    (its summary), ``pareto_*`` (its defects by label), ``page_*`` (50 of its faulty parts),
    ``recall_*`` (a material lot that went into one batch whole and into another for a while, with
    every case around its parts).
    """
    start, sequence = time.perf_counter(), 0
    counted = 0
    for size in sizes:
        with LineLedger.open(folder, station="bench") as ledger:
            while sequence < size:
                upto = min(sequence + GROUP, size)
                for number in range(sequence + 1, upto + 1):
                    batch = f"L{number // BATCH:06d}"
                    verdict = replace(sample_verdict(number, batch=batch), serial=_serial(number))
                    ledger.add_verdict(verdict)
                    ledger.add_gate(sample_gate(verdict))
                ledger.commit()
                sequence = upto
                if sequence % (BATCH * 5) == 0:
                    shorten_wal(folder)
            rate = (size - counted) / (time.perf_counter() - start)
        counted = size
        bytes_per_part = (folder / "line.db").stat().st_size / size
        figures = {"verdicts": size, "parts_per_s": rate, "bytes_per_part": bytes_per_part}
        yield {
            name: round(value, 3) for name, value in (figures | _questions(folder, size)).items()
        }
        start = time.perf_counter()


def _questions(folder: Path, size: int) -> dict[str, float]:
    chance = random.Random(size)
    figures: dict[str, float] = {}
    lots = _consumed(folder, size)
    with History(folder, bound_s=60) as history, Genealogy(folder) as genealogy:
        genealogy.batches_of(lots[0])  # the index takes the new links in

        def ask(name: str, question: Callable[[int], object]) -> None:
            taken = []
            for _ in range(TRIES):
                number = chance.randrange(1, size + 1)
                start = time.perf_counter()
                question(number)
                taken.append(1000 * (time.perf_counter() - start))
            taken.sort()
            figures[f"{name}_ms"], figures[f"{name}_max_ms"] = taken[TRIES // 2], taken[-1]

        ask("serial", lambda n: history.by_serial(_serial(n)))
        ask("part", lambda n: history.by_sequence("plc-1", n))
        ask("batch", lambda n: history.batch(f"L{n // BATCH:06d}"))
        ask("pareto", lambda n: history.defects(f"L{n // BATCH:06d}"))
        ask("recall", lambda n: _recall(history, genealogy, lots[n % len(lots)]))
        ask("page", lambda n: history.with_defect("cap", f"L{n // BATCH:06d}"))
    return figures


def _consumed(folder: Path, size: int) -> list[str]:
    """Tells the desk of ten material lots, each in two batches, and of the cases of those."""
    lots = [f"{size}-{n}" for n in range(10)]
    entries: list[tuple[str, dict[str, Any], str]] = []
    with History(folder, bound_s=60) as history, DeskLedger.open(folder) as desk:
        for n, lot in enumerate(lots):
            first = size // BATCH * n // len(lots)
            for number, whole in ((first, True), (first + 1, False)):
                batch = f"L{number:06d}"
                summary = history.batch(batch)
                middle = (summary.first_utc_ns + summary.last_utc_ns) // 2
                span = (None, None) if whole else (middle, middle + 10**9)
                entries.append(
                    (
                        "link",
                        {"relation": "consumed", "batch": batch, "material": "cap", "lot": lot,
                         "from": span[0], "to": span[1]},
                        "bench",
                    )
                )  # fmt: skip
                for case in range(number * BATCH, (number + 1) * BATCH, 24):
                    run = ["plc-1", max(case, 1), case + 23]
                    body = {"relation": "packed", "unit": f"case-{case}", "runs": [run],
                            "batches": [batch]}  # fmt: skip
                    entries.append(("link", body, "bench"))
        desk.add_all(entries)
    return lots


def _recall(history: History, genealogy: Genealogy, lot: str) -> None:
    found = affected(history, genealogy, Criteria(lots=(MaterialLot(lot),)))
    units_affected(genealogy, found)


def _serial(sequence: int) -> str:
    return f"SN{sequence:09d}"
