"""How fast and how small the ledger is on this machine's disk.

Enters: an empty folder on the disk to measure. Leaves: figures. The command line and tests import
this.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from inspector.part import (
    Finding,
    GateAction,
    GateDecision,
    Mode,
    Outcome,
    Severity,
    Times,
    Verdict,
    new_part_id,
)
from inspector.store.ledger import LineLedger
from inspector.store.maintenance import shorten_wal

_SHAPES = (
    Finding("cap", "detect", "cap", score=0.91, box=(311.5, 22.25, 352.0, 61.75), view="side"),
    Finding("label", "detect", "label", score=0.88, box=(250.0, 180.5, 402.0, 331.0), view="side"),
    Finding("lot", "read", "text", score=0.97, box=(40.0, 81.0, 198.5, 110.0), view="code"),
)


def bench_store(
    folder: Path, count: int = 100_000, *, group: int = 250, singles: int = 400
) -> dict[str, float]:
    """Writes verdicts of three findings each and their gate decisions; one in 50 is a reject.

    Args:
        count: verdicts in the runs of group commits.
        group: verdicts per group commit.
        singles: commits of one verdict, each beside a bare fsynced commit of SQLite.

    Returns:
        ``verdicts_per_s`` durable with findings and indexes, without and (``parts_per_s``) with
        the gate decision of each; ``cpu_ms`` of verdict and gate decision; ``commit_ms_*`` and
        ``bare_ms_*``; ``commit_ratio_*`` between them; ``bytes_per_pass`` in line.db with its
        indexes and checkpoints, and ``bytes_per_part`` with the gate decision too.
    """
    count = max(count, 2 * group)
    verdicts_per_s, _, pass_bytes = _grouped(folder / "verdicts", count // 2, group, gates=False)
    parts_per_s, cpu_ms, part_bytes = _grouped(folder / "parts", count // 2, group, gates=True)
    commit_ms, bare_ms = _singles(folder / "singles", singles)
    figures = {
        "verdicts": float(count),
        "verdicts_per_s": verdicts_per_s,
        "parts_per_s": parts_per_s,
        "cpu_ms": cpu_ms,
        "bytes_per_pass": pass_bytes,
        "bytes_per_part": part_bytes,
    }
    for name, percent in (("p50", 50), ("p99", 99)):
        commit, bare = _percentile(commit_ms, percent), _percentile(bare_ms, percent)
        figures |= {
            f"commit_ms_{name}": commit,
            f"bare_ms_{name}": bare,
            f"commit_ratio_{name}": commit / bare,
        }
    return {name: round(value, 4) for name, value in figures.items()}


def sample_verdict(
    sequence: int, *, stream: str = "plc-1", batch: str = "L2417A", serial: str | None = None
) -> Verdict:
    """A verdict like those of a bottling line; each 50th is a reject."""
    ok = sequence % 50 != 0
    now = time.monotonic_ns()
    lot = Finding(
        "lot", "read", "text", score=0.97, box=(40.0, 81.0, 198.5, 110.0), view="code", text=batch
    )
    findings = (*_SHAPES[:2], lot)
    if not ok:
        missing = Finding(
            "cap",
            "detect",
            "cap",
            ok=False,
            score=0.0,
            view="side",
            severity=Severity.CRITICAL,
            reason="0 caps found, exactly 1 expected",
        )
        findings = (missing, *findings[1:])
    return Verdict(
        part_id=new_part_id(),
        station="bench",
        stream=stream,
        sequence=sequence,
        outcome=Outcome.PASS if ok else Outcome.REJECT,
        mode=Mode.AUTO,
        batch=batch,
        times=Times(now, now + 8_000_000, now + 17_000_000, time.time_ns(), "boot", True),
        recipe="bottle@3",
        recipe_digest="5f" * 32,
        model_digests=("a1" * 32, "b2" * 32),
        software="0.1.0",
        reasons=() if ok else ("cap: 0 caps found, exactly 1 expected",),
        findings=findings,
        serial=serial,
    )


def sample_gate(verdict: Verdict) -> GateDecision:
    """What the gate was told about it, acknowledged 5 ms later."""
    ok = verdict.outcome is Outcome.PASS
    decided = verdict.times.verdict_ns
    return GateDecision(
        verdict.part_id,
        verdict.stream,
        verdict.sequence,
        GateAction.PERMIT if ok else GateAction.REJECT,
        "" if ok else verdict.reasons[0],
        decided,
        decided + 5_000_000,
    )


def _grouped(folder: Path, count: int, group: int, *, gates: bool) -> tuple[float, float, float]:
    verdicts = [sample_verdict(number) for number in range(1, count + 1)]
    decisions = [sample_gate(verdict) for verdict in verdicts] if gates else []
    with LineLedger.open(folder, station="bench") as ledger:
        empty = _pages(folder)
        cpu, start = time.process_time(), time.perf_counter()
        for first in range(0, count, group):
            for number in range(first, min(first + group, count)):
                ledger.add_verdict(verdicts[number])
                if gates:
                    ledger.add_gate(decisions[number])
            ledger.commit()
        seconds = time.perf_counter() - start
        cpu = time.process_time() - cpu
        shorten_wal(folder)
    return count / seconds, 1000 * cpu / count, (_pages(folder) - empty) / count


def _singles(folder: Path, singles: int) -> tuple[list[float], list[float]]:
    # One of each in turn, so that both meet the same disk and the same neighbours.
    commits: list[float] = []
    bare: list[float] = []
    with LineLedger.open(folder, station="bench") as ledger:
        other = sqlite3.connect(folder / "bare.db", isolation_level=None)
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("PRAGMA synchronous=FULL")
        other.execute("PRAGMA wal_autocheckpoint=0")
        other.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body BLOB)")
        for number in range(1, singles + 1):
            verdict = sample_verdict(number)
            start = time.perf_counter()
            ledger.add_verdict(verdict)
            ledger.commit()
            middle = time.perf_counter()
            other.execute("BEGIN IMMEDIATE")
            other.execute("INSERT INTO t VALUES (?, ?)", (number, bytes(150)))
            other.execute("COMMIT")
            commits.append(1000 * (middle - start))
            bare.append(1000 * (time.perf_counter() - middle))
        other.close()
    return commits, bare


def _pages(folder: Path) -> int:
    connection = sqlite3.connect(folder / "line.db")
    try:
        pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
        size: int = connection.execute("PRAGMA page_size").fetchone()[0]
    finally:
        connection.close()
    return pages * size


def _percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
