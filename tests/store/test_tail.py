"""Whoever charts the line reads of a part its figures alone, and they are those of the record (S1).

That skimming reads what decoding reads, whatever the verdict, is shown in ``test_layout.py``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inspector.part import Batch, Finding, GateAction, GateDecision, Mode, Verdict
from inspector.store import Event, History, LineLedger, StoreError
from inspector.store.bench import sample_gate, sample_verdict
from inspector.store.cursor import records_after
from inspector.store.judged import Judged, judged
from inspector.store.records import BatchChange
from inspector.store.tail import Tail

MEASURED = Finding("neck", "measure", "height", view="side", value=12.25, unit="mm")
OUTLINED = Finding("film", "segment", "hole", ok=False, score=0.5, box=(3, 4, 9, 8),
                   reason="hole", outline=(((3, 4), (9, 4), (9, 9)),))  # fmt: skip


def made() -> list[Verdict]:
    auto = [
        replace(v, mode=Mode.AUTO, findings=(*v.findings, MEASURED, OUTLINED)[: n % 5])
        for n, v in enumerate(map(sample_verdict, range(1, 21)))
    ]
    return [*auto, replace(sample_verdict(21), mode=Mode.SETUP)]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with LineLedger.open(tmp_path, station="s1") as ledger:
        ledger.add_batch(Batch("B-1", "", "bottle", {}), "begin", "line")
        for verdict in made():
            ledger.add_verdict(verdict)
            ledger.add_gate(sample_gate(verdict))
        ledger.add_event("command", "otto", command="challenge")
    with History(tmp_path) as history:
        yield history


def test_production_is_figures_and_everything_else_is_whole(history: History) -> None:
    tail = Tail(history)
    rows = list(tail.after(-1, 1000, lambda: False))
    assert [at for at, _ in rows] == list(range(len(rows))), "none is left out"
    found, _ = records_after(history, -1, 1000)
    *auto, setup = [record for _, record in found if isinstance(record, Verdict)]
    assert len(auto) == 20 and {len(v.findings) for v in auto} == {0, 1, 2, 3, 4}
    assert [r for _, r in rows if isinstance(r, Judged)] == [judged(v) for v in auto]
    assert [r for _, r in rows if isinstance(r, Verdict)] == [setup]
    assert [type(r) for _, r in rows if isinstance(r, BatchChange | Event)] == [BatchChange, Event]
    assert not any(isinstance(r, GateDecision) for _, r in rows)
    assert tail.newest_event() == rows[-1][0]


def test_it_goes_on_where_it_was(history: History) -> None:
    tail, at, found = Tail(history), -1, []
    while rows := list(tail.after(at, 7, lambda: False)):
        found += rows
        at = rows[-1][0]
    assert found == list(Tail(history).after(-1, 1000, lambda: False))


def test_a_gate_is_heard_from_where_somebody_waits_for_it(history: History) -> None:
    seen: list[int] = []
    heard = []
    for _, record in Tail(history).after(-1, 1000, lambda: 18 in seen):
        if isinstance(record, Judged | Verdict):
            seen.append(record.sequence)
        elif isinstance(record, GateDecision):
            heard.append((record.sequence, record.action))
    assert heard == [(n, GateAction.PERMIT) for n in (18, 19, 20, 21)]


def test_a_record_that_is_none_is_refused_in_words(history: History) -> None:
    with sqlite3.connect(history.data_dir / "line.db") as line:
        (at,) = line.execute("SELECT position FROM record WHERE substr(body, 2, 1) = x'01'"
                             " LIMIT 1").fetchone()  # fmt: skip
        line.execute("UPDATE record SET body = substr(body, 1, 40) WHERE position = ?", (at,))
    line.close()
    with pytest.raises(StoreError, match="record"):
        list(Tail(history).after(-1, 1000, lambda: False))


def test_where_nothing_ever_happened_there_is_no_event(tmp_path: Path) -> None:
    LineLedger.open(tmp_path, station="s1").close()
    with History(tmp_path) as history:
        tail = Tail(history)
        assert tail.newest_event() == -1 and list(tail.after(-1, 10, lambda: True)) == []
