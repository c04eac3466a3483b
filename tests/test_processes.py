"""What the supervisor does besides starting and watching: the write-ahead log stays short (I8)."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from inspector import processes
from inspector.store import LineLedger
from inspector.store.bench import sample_verdict
from inspector.store.schema import LINE_FILE


def test_the_log_of_a_ledger_that_is_written_all_day_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without anybody who shortens it, it grows with every commit."""
    monkeypatch.setattr(processes, "SHORTEN_S", 0.01)
    log, over = tmp_path / f"{LINE_FILE}-wal", threading.Event()
    with LineLedger.open(tmp_path, station="s1", idle_s=60.0) as ledger:

        def write(number: int) -> int:
            ledger.add_verdict(sample_verdict(number))
            ledger.commit()
            return log.stat().st_size

        sizes = [write(number) for number in range(1, 41)]
        assert sizes == sorted(sizes) and sizes[-1] > 4 * sizes[0]
        care = threading.Thread(target=processes._shorten_wal, args=(tmp_path, over))
        care.start()
        try:
            until, number = time.monotonic() + 20.0, 41
            # SQLite begins its log anew at the first commit after all of it was moved: from then on
            # it stays as long as it is.
            while write(number) > sizes[-1] and time.monotonic() < until:
                sizes, number = [*sizes, log.stat().st_size], number + 1
                time.sleep(0.005)  # as parts do, commits leave the disk some time
            assert log.stat().st_size == sizes[-1], "the log has only grown"
        finally:
            over.set()
            care.join()
