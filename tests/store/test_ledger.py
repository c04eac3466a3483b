"""One verdict per part, in one order, by one writer, durable when a commit says so."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.pace import Pace
from inspector.part import Batch, Outcome
from inspector.store import (
    DuplicateVerdict,
    History,
    LineLedger,
    RecordError,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreInUse,
    StoreStalled,
    commits,
    verify,
)
from inspector.store.bench import sample_gate, sample_verdict


def test_what_was_committed_is_there_after_the_next_start(tmp_path: Path) -> None:
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for sequence in (1, 2, 4, 9):
            ledger.add_verdict(sample_verdict(sequence))
        ledger.add_verdict(sample_verdict(7, stream="plc-2"))
        size = ledger.commit()
    with LineLedger.open(tmp_path, station="s1") as ledger:
        assert ledger.size == size
        assert ledger.streams() == ("plc-1", "plc-2")
        assert ledger.last_sequence("plc-1") == 9
        assert ledger.last_sequence("plc-2") == 7
        assert ledger.last_sequence("plc-3") is None
        assert ledger.missing("plc-1", up_to=11) == [
            range(3, 4), range(5, 9), range(10, 12),
        ]  # fmt: skip
        assert ledger.missing("plc-1", up_to=11, first=6) == [range(6, 9), range(10, 12)]
        assert ledger.missing("plc-3", up_to=11) == []
    assert verify(tmp_path).ok


@settings(deadline=None, max_examples=12)
@given(there=st.sets(st.integers(1, 300), min_size=1), up_to=st.integers(0, 400))
def test_missing_numbers_are_those_that_are_not_there(
    tmp_path_factory: pytest.TempPathFactory, there: set[int], up_to: int
) -> None:
    with LineLedger.open(tmp_path_factory.mktemp("missing"), station="s1") as ledger:
        for sequence in there:
            ledger.add_verdict(sample_verdict(sequence))
        ledger.commit()
        expected = [n for n in range(min(there), up_to + 1) if n not in there]
        gaps = ledger.missing("plc-1", up_to)
        assert [n for gap in gaps for n in gap] == expected
        assert all(a.stop < b.start for a, b in pairwise(gaps)), "each gap is one range"


def test_a_second_verdict_of_a_part_is_refused_by_name(tmp_path: Path) -> None:
    with LineLedger.open(tmp_path, station="s1") as ledger:
        ledger.add_verdict(sample_verdict(5))
        with pytest.raises(DuplicateVerdict, match="part 5 of stream plc-1"):
            ledger.add_verdict(sample_verdict(5))  # it still waits
        ledger.commit()
        with pytest.raises(DuplicateVerdict):
            ledger.add_verdict(sample_verdict(5))  # it is durable
        ledger.add_verdict(sample_verdict(5, stream="plc-2"))
    with LineLedger.open(tmp_path, station="s1") as ledger:
        with pytest.raises(DuplicateVerdict):
            ledger.add_verdict(sample_verdict(5))  # of an earlier run
        ledger.add_verdict(sample_verdict(3))  # a hole that is filled later is no second verdict
        ledger.commit()
        with pytest.raises(DuplicateVerdict):
            ledger.add_verdict(sample_verdict(3))
    report = verify(tmp_path)
    assert report.ok and report.verdicts == 3


def test_gate_decisions_that_nobody_acknowledged_are_known_after_a_restart(tmp_path: Path) -> None:
    verdicts = [sample_verdict(sequence) for sequence in (1, 2, 3)]
    decisions = [replace(sample_gate(verdict), acknowledged_ns=0) for verdict in verdicts]
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for verdict, decision in zip(verdicts, decisions, strict=True):
            ledger.add_verdict(verdict)
            ledger.add_gate(decision)
        ledger.commit()
        ledger.add_gate(replace(decisions[1], acknowledged_ns=decisions[1].decided_ns + 1))
    with LineLedger.open(tmp_path, station="s1") as ledger:
        assert ledger.unacknowledged() == (decisions[0], decisions[2])
        assert ledger.unacknowledged(limit=1) == (decisions[2],)


def test_checkpoints_are_signed_by_number_by_time_and_at_closing(tmp_path: Path) -> None:
    def signed() -> int:
        return verify(tmp_path).signed_records

    ledger = LineLedger.open(
        tmp_path, station="s1", checkpoint_records=10, checkpoint_s=0.2, idle_s=0.05
    )
    for sequence in range(20):
        ledger.add_verdict(sample_verdict(sequence))
    size = ledger.commit()
    assert signed() == size
    ledger.add_event("operator.note", "user:7", text="one more")
    ledger.commit()
    deadline = time.monotonic() + 4
    while signed() != size + 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert signed() == size + 1
    ledger.add_event("operator.note", "user:7")
    ledger.close()
    assert signed() == size + 2


def test_there_is_one_writer(tmp_path: Path) -> None:
    with (
        LineLedger.open(tmp_path, station="s1"),
        pytest.raises(StoreInUse, match=r"process [0-9]+ has this ledger open"),
    ):
        LineLedger.open(tmp_path, station="s1")
    LineLedger.open(tmp_path, station="s1").close()


def test_commits_that_are_asked_for_at_once_go_together(ledger: LineLedger) -> None:
    futures = []
    for sequence in range(200):
        ledger.add_verdict(sample_verdict(sequence))
        futures.append(ledger.commit_soon())
    sizes = [future.result(4) for future in futures]
    assert sizes == sorted(sizes)
    assert ledger.size == sizes[-1] and ledger.waiting == 0
    assert len(set(sizes)) < 200


def test_the_commits_of_a_fast_line_keep_a_pace(ledger: LineLedger) -> None:
    began_ns = time.monotonic_ns()
    futures = []
    for sequence in range(100):
        ledger.add_verdict(sample_verdict(sequence))
        futures.append(ledger.commit_soon())
        time.sleep(0.001)
    sizes = {future.result(4) for future in futures}
    paced = (time.monotonic_ns() - began_ns) / commits.PACE_NS
    assert len(sizes) <= paced + commits.BURST + 1
    ledger.add_verdict(sample_verdict(100))
    assert ledger.commit_soon().result(4) > max(sizes)


def test_what_is_wanted_soon_waits_for_no_pace(ledger: LineLedger) -> None:
    """(I3) A part whose gate is near would be late by it."""
    pace = ledger._commits._pace = Pace(10**15, burst=1)
    assert not pace.put_off_ns(time.monotonic_ns())
    ledger.add_verdict(sample_verdict(1))
    assert ledger.commit_soon(time.monotonic_ns()).result(4) == ledger.size


def test_a_hurry_of_others_holds_up_no_part(ledger: LineLedger) -> None:
    """A machine that rejects 200 parts a second has each recorded at once, beside a slow line."""
    for number in range(200):
        ledger.add_event("command", "machine:mes", number=number)
        ledger.commit_soon(time.monotonic_ns()).result(4)
    assert not ledger._commits._pace.put_off_ns(time.monotonic_ns())


def test_a_cancelled_future_is_still_a_commit(ledger: LineLedger) -> None:
    ledger.add_verdict(sample_verdict(1))
    ledger.commit_soon().cancel()
    ledger.commit(30)
    assert ledger.waiting == 0 and ledger.size >= 3


def test_a_lock_that_another_process_holds_is_a_stall_and_nothing_is_lost(tmp_path: Path) -> None:
    with LineLedger.open(tmp_path, station="s1", busy_s=0.2) as ledger:
        ledger.add_verdict(sample_verdict(1))
        ledger.commit()
        program = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
            "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "line.db")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            ledger.add_verdict(sample_verdict(2))
            with pytest.raises(StoreStalled, match="not answered within"):
                ledger.commit(0.02)
            ledger.add_verdict(sample_verdict(3))
            with pytest.raises(StoreStalled, match="another process holds"):
                ledger.commit()
            assert ledger.waiting > 0 and "SQLITE_BUSY" in ledger.trouble
            assert not ledger.full
            holder.communicate()
        ledger.commit()
        assert ledger.waiting == 0 and ledger.trouble == ""
        with pytest.raises(DuplicateVerdict):
            ledger.add_verdict(sample_verdict(2))
    report = verify(tmp_path)
    assert report.ok and report.verdicts == 3


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    with LineLedger.open(tmp_path, station="s1", max_waiting=20, idle_s=60) as ledger:
        with pytest.raises(StoreFull, match="records wait"):
            for sequence in range(30):
                ledger.add_verdict(sample_verdict(sequence))
        ledger.commit()
        ledger.add_verdict(sample_verdict(100))


def test_a_verdict_that_cannot_be_recorded_spoils_no_other(ledger: LineLedger) -> None:
    ledger.add_verdict(sample_verdict(1))
    for sequence in (1 << 70, 1 << 63, -1):
        with pytest.raises(RecordError):
            ledger.add_verdict(replace(sample_verdict(2), sequence=sequence))
    ledger.add_verdict(sample_verdict(2))
    ledger.commit()
    assert verify(ledger.data_dir).ok


def test_a_code_that_is_no_text_is_recorded_as_its_escape(ledger: LineLedger) -> None:
    ledger.add_verdict(replace(sample_verdict(1), serial="SN\udcff", batch="L\ud800"))
    ledger.add_event("odd \udc00", "user:7")
    ledger.commit()
    with History(ledger.data_dir) as history:
        assert history.by_serial("SN\\udcff")[0].verdict.batch == "L\\ud800"
        assert history.counts("L\\ud800")[Outcome.PASS] == 1
    assert verify(ledger.data_dir).ok


def test_every_write_by_a_person_names_its_principal(ledger: LineLedger) -> None:
    ledger.add_batch(Batch("L1", "bottle", "bottle", {"lot": "L1"}), "begin", "user:7")
    for write in (
        lambda: ledger.add_event("line.stopped", ""),
        lambda: ledger.add_batch(Batch("L1"), "end", " "),
    ):
        with pytest.raises(RecordError, match="principal"):
            write()
    with pytest.raises(TypeError):
        ledger.add_event("line.stopped")  # type: ignore[call-arg]


def test_a_closed_ledger_takes_nothing(tmp_path: Path) -> None:
    ledger = LineLedger.open(tmp_path, station="s1")
    ledger.close()
    ledger.close()
    with pytest.raises(StoreError, match="closed"):
        ledger.add_verdict(sample_verdict(1))


def test_a_ledger_whose_tail_was_cut_is_not_continued(filled: Path) -> None:
    with closing(sqlite3.connect(filled / "line.db")) as connection, connection:
        connection.execute("DELETE FROM record WHERE position > 50")
        connection.execute("DELETE FROM checkpoint WHERE number > 2")
    connection.close()
    with pytest.raises(StoreDamaged, match=r"was cut.*inspector verify"):
        LineLedger.open(filled, station="s1")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE checkpoint SET signature = zeroblob(64) WHERE number ="
        " (SELECT max(number) FROM checkpoint)",
        "DELETE FROM checkpoint WHERE number = (SELECT max(number) FROM checkpoint)",
        "DELETE FROM record WHERE position = (SELECT max(position) FROM record)",
        "INSERT INTO record VALUES (100000, 0, x'00')",
        "INSERT INTO record SELECT max(position) + 1, 0, 'text' FROM record",
        "UPDATE record SET body = 'text' WHERE position = 0; UPDATE edge SET edge = x'00'",
    ],
)
def test_a_ledger_that_contradicts_its_signature_is_not_continued(
    filled: Path, damage: str
) -> None:
    with closing(sqlite3.connect(filled / "line.db")) as connection, connection:
        connection.executescript(damage)
    connection.close()
    with pytest.raises(StoreDamaged, match=r"line\.db"):
        LineLedger.open(filled, station="s1")


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "line.db").write_bytes(b"this is no database at all, but long enough" * 100)
    with pytest.raises(StoreDamaged, match=r"line\.db"):
        LineLedger.open(tmp_path, station="s1")


def test_a_lost_shortcut_only_costs_time(filled: Path) -> None:
    with closing(sqlite3.connect(filled / "line.db")) as connection, connection:
        connection.execute("UPDATE edge SET edge = zeroblob(64)")
    connection.close()
    with LineLedger.open(filled, station="s1") as ledger:
        ledger.add_verdict(sample_verdict(1000))
    assert verify(filled).ok


def test_a_lost_copy_of_the_checkpoints_is_made_again(filled: Path) -> None:
    copy = filled / "checkpoints" / "line.jsonl"
    lines = copy.read_bytes().splitlines(keepends=True)
    copy.write_bytes(b"".join(lines[:-2]) + lines[-2][:40])  # a line that a crash cut short
    with LineLedger.open(filled, station="s1") as ledger:
        ledger.add_verdict(sample_verdict(1000))
    assert copy.read_bytes().startswith(b"".join(lines))
    assert verify(filled).ok


def test_more_definitions_than_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inspector.store.entries.MAX_DEFINITIONS", 5)
    with LineLedger.open(tmp_path, station="s1") as ledger:
        for sequence in range(1, 60):
            ledger.add_verdict(sample_verdict(sequence, batch=f"L{sequence % 13}"))
    with History(tmp_path) as history:
        assert sum(history.counts().values()) == 59
        assert history.counts()[Outcome.REJECT] == 1
    assert verify(tmp_path).ok
