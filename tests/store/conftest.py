"""A ledger in a folder, and the parts that go into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inspector.store import LineLedger
from inspector.store.bench import sample_gate, sample_verdict


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LineLedger]:
    """An open, empty ledger that signs every 10 records; a test may close it itself."""
    opened = LineLedger.open(tmp_path, station="s1", checkpoint_records=10)
    yield opened
    opened.close()


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A closed store: 60 parts with their gate decisions, 12 or more checkpoints, 2 events."""
    with LineLedger.open(tmp_path, station="s1", checkpoint_records=10) as opened:
        opened.add_event("station.started", "line", software="0.1.0")
        for sequence in range(1, 61):
            verdict = sample_verdict(sequence)
            opened.add_verdict(verdict)
            opened.add_gate(sample_gate(verdict))
            if sequence % 5 == 0:
                opened.commit()
        opened.add_event("station.stopped", "line")
    return tmp_path
