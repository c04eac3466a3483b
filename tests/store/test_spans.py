"""The parts of a span of time, to the millisecond."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from inspector.part import new_part_id
from inspector.store import History, LineLedger
from inspector.store.bench import sample_verdict
from inspector.store.holds import Run
from inspector.store.spans import runs_between

MS = 1_000_000
START = 1_790_000_000_000 * MS


def test_a_span_of_time_names_every_part_in_it(tmp_path: Path) -> None:
    dice = random.Random(3)
    streams = [("a", 400), ("b", 3), ("c", 200)]
    parts = [(name, n) for name, count in streams for n in range(1, count + 1)]
    with LineLedger.open(tmp_path, station="s") as ledger:
        late = []
        for at, (stream, number) in enumerate(parts):
            verdict = replace(
                sample_verdict(number, stream=stream), part_id=new_part_id(START + at * MS)
            )
            # Verdicts come a little out of order: a late frame is given up after its successors.
            late.append(verdict)
            if len(late) > 5:
                ledger.add_verdict(late.pop(dice.randrange(len(late))))
        for verdict in late:
            ledger.add_verdict(verdict)
    with History(tmp_path) as history:
        for _ in range(40):
            low, high = sorted(dice.sample(range(len(parts) + 1), 2))
            found = set()
            for run in runs_between(history, START + low * MS, START + high * MS):
                found |= {(run.stream, n) for n in range(run.first, run.last + 1)}
            assert found == set(parts[low:high])
        assert runs_between(history, 0, START) == []
        assert Run("b", 1, 3) in runs_between(history, 0, START + 10_000 * MS)


def test_starts_long_ago_are_not_gone_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a PLC each has a stream of its own: with 700 a minute's parts took 0.3 s to find."""
    with LineLedger.open(tmp_path, station="s") as ledger:
        for at in range(600):
            verdict = sample_verdict(at % 20 + 1, stream=f"frames-{at // 20}")
            ledger.add_verdict(replace(verdict, part_id=new_part_id(START + at * MS)))
    reads: list[int] = []
    with History(tmp_path) as history:
        really = history.body
        monkeypatch.setattr(history, "body", lambda at: reads.append(at) or really(at))
        found = runs_between(history, START + 445 * MS, START + 455 * MS)
    assert found == [Run("frames-22", 6, 15)]
    assert len(reads) < 30 + 30 + 20


def test_a_span_names_every_part_in_it_though_the_clock_was_set_back(tmp_path: Path) -> None:
    """Whoever held the parts of an hour that came twice held some of each time."""
    with LineLedger.open(tmp_path, station="s") as ledger:
        for number in range(1, 201):
            ms = number * 1000 if number <= 100 else (number - 100) * 1000 + 500
            verdict = sample_verdict(number, stream="a")
            ledger.add_verdict(replace(verdict, part_id=new_part_id(START + ms * MS)))
    with History(tmp_path) as history:
        found = runs_between(history, START + 10_200 * MS, START + 90_200 * MS)
    assert found == [Run("a", 11, 90), Run("a", 110, 189)]
