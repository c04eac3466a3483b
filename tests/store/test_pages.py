"""Questions that go through many parts."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

from inspector.part import new_part_id
from inspector.store import History, LineLedger
from inspector.store.bench import sample_verdict
from inspector.store.holds import Run
from inspector.store.pages import PORTION, runs_between, stations, tail

MS = 1_000_000
START = 1_790_000_000_000 * MS


def test_a_span_of_time_names_every_part_in_it(tmp_path: Path) -> None:
    dice = random.Random(3)
    streams = [("a", 900), ("b", 3), ("c", 700)]
    parts = [(name, n) for name, count in streams for n in range(1, count + 1)]
    with LineLedger.open(tmp_path, station="s") as ledger:
        late = []
        for at, (stream, number) in enumerate(parts):
            verdict = dataclasses.replace(
                sample_verdict(number, stream=stream), part_id=new_part_id(START + at * MS)
            )
            # Verdicts come a little out of order: a late frame is given up after its successors.
            late.append(verdict)
            if len(late) > 5:
                ledger.add_verdict(late.pop(dice.randrange(len(late))))
        for verdict in late:
            ledger.add_verdict(verdict)
    assert len(parts) > 2 * PORTION
    with History(tmp_path) as history:
        for _ in range(40):
            low, high = sorted(dice.sample(range(len(parts) + 1), 2))
            found = set()
            for run in runs_between(history, START + low * MS, START + high * MS):
                found |= {(run.stream, n) for n in range(run.first, run.last + 1)}
            assert found == set(parts[low:high])
        assert runs_between(history, 0, START) == ()
        assert Run("b", 1, 3) in runs_between(history, 0, START + 10_000 * MS)


def test_the_tail_goes_on_where_it_ended(filled: Path) -> None:
    with History(filled) as history:
        whole, end = tail(history, -1)
        assert end == history.size() - 1
        found, at = [], -1
        while at < end:
            portion, at = tail(history, at, 1)
            found += portion
        assert found == whole
        assert tail(history, end) == ([], end)


def test_a_station_that_was_renamed_is_known_by_both_names(tmp_path: Path) -> None:
    with LineLedger.open(tmp_path, station="s") as ledger:
        for number, name in enumerate(("filling-2", "filling-1", "filling-2"), 1):
            ledger.add_verdict(dataclasses.replace(sample_verdict(number), station=name))

    with History(tmp_path) as history:
        assert stations(history) == ("filling-1", "filling-2")
