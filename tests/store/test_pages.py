"""Questions that go through many parts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from inspector.store import History, LineLedger
from inspector.store.bench import sample_verdict
from inspector.store.pages import stations, tail


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
