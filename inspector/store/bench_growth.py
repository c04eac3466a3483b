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

from inspector.store.bench import sample_gate, sample_verdict
from inspector.store.ledger import LineLedger
from inspector.store.maintenance import shorten_wal
from inspector.store.query import History

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
    (its summary), ``pareto_*`` (its defects by label), ``page_*`` (50 of its faulty parts).
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
    with History(folder, bound_s=60) as history:

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
        ask("page", lambda n: history.with_defect("cap", f"L{n // BATCH:06d}"))
    return figures


def _serial(sequence: int) -> str:
    return f"SN{sequence:09d}"
