"""Indexes can be made again, and the WAL kept short beside a line that works."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inspector.cli import app
from inspector.part import Batch
from inspector.processes import CannotRun, sole
from inspector.store import (
    DeskLedger,
    ImageRecord,
    LineLedger,
    StoreDamaged,
    StoreError,
    StoreInUse,
    back_up,
    rebuild_index,
    shorten_wal,
    verify,
)
from inspector.store.bench import sample_gate, sample_verdict
from inspector.store.genealogy import Genealogy
from inspector.store.schema import LINE_INDEXES
from inspector.store.segments import archive


def _tables(data: Path, names: list[str]) -> dict[str, list[tuple[object, ...]]]:
    connection = sqlite3.connect(data / "line.db")
    try:
        return {
            name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr)
            for name in names
        }
    finally:
        connection.close()


def test_the_administrator_makes_no_file_in_another_accounts_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The station could not read what he archived, nor let go of a picture after his back-up."""
    (tmp_path / "line.db").touch()
    os.chown(tmp_path / "line.db", 1001 if os.geteuid() == 0 else -1, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for act in (
        lambda: LineLedger.open(tmp_path, station="s1"), lambda: DeskLedger.open(tmp_path),
        lambda: Genealogy(tmp_path), lambda: back_up(tmp_path, tmp_path.parent / "copy"),
        lambda: archive(tmp_path, "erika"), lambda: rebuild_index(tmp_path),
        lambda: sole(tmp_path),
    ):  # fmt: skip
        with pytest.raises(StoreError, match="another account's; run this as that one"):
            act()
    assert [file.name for file in tmp_path.iterdir()] == ["line.db"]


def test_rebuilt_indexes_are_those_that_the_line_wrote(tmp_path: Path) -> None:
    with LineLedger.open(tmp_path, station="s1", checkpoint_records=50) as ledger:
        ledger.add_batch(Batch("A"), "begin", "user:7")
        for sequence in range(1, 201):
            verdict = sample_verdict(sequence, batch="AB"[sequence % 2])
            if sequence % 3 == 0:
                verdict = replace(verdict, serial=f"SN{sequence}")
            ledger.add_verdict(verdict)
            decision = sample_gate(verdict)
            ledger.add_gate(replace(decision, acknowledged_ns=0))
            if sequence % 4:
                ledger.add_gate(decision)
            if sequence % 7 == 0:
                ledger.commit()
        ledger.add_image(ImageRecord(verdict.part_id, "side", "ab" * 32, "images/x.jpg", 1))
        ledger.add_event("note", "user:7")
    names = [*LINE_INDEXES, "record", "checkpoint"]
    before = _tables(tmp_path, names)
    connection = sqlite3.connect(tmp_path / "line.db", isolation_level=None)
    connection.execute("DELETE FROM verdict WHERE sequence > 20")
    connection.execute("UPDATE tally SET parts = 1")
    connection.execute("DROP TABLE defect")
    connection.close()
    assert rebuild_index(tmp_path) == len(before["record"])
    assert _tables(tmp_path, names) == before


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tally SET parts = parts + 1 WHERE outcome = 0",
        "UPDATE tally SET last = last - 1",
        "UPDATE tally SET parts = x'00'",
        "UPDATE tally SET mode = 'auto' WHERE outcome = 0",
        "DELETE FROM tally",
        "INSERT INTO tally VALUES ('never', 0, 0, 9, 1, 2, 3, 4)",
        "UPDATE tally SET batch = CAST(x'ff' AS TEXT)",
    ],
)
def test_counts_that_are_not_those_of_the_records_are_found_and_made_again(
    filled: Path, change: str
) -> None:
    """A page that counts a batch reads no record (I1, I4)."""
    assert verify(filled).ok
    before = _tables(filled, ["tally"])
    with closing(sqlite3.connect(filled / "line.db")) as line, line:
        line.execute(change)
    report = verify(filled)
    assert not report.ok and "run: inspector rebuild-index" in str(report.problems[0])
    done = CliRunner().invoke(app, ["rebuild-index", str(filled), "--json"])
    assert done.exit_code == 0 and json.loads(done.output)["records"] == report.records
    assert verify(filled).ok and _tables(filled, ["tally"]) == before


def test_a_count_whose_times_an_earlier_version_kept_is_noted(filled: Path) -> None:
    """Such as of errors, which come a little out of order: no back-up was made after an update, and
    every batch's report said that the ledger does not verify."""
    with closing(sqlite3.connect(filled / "line.db", isolation_level=None)) as line:
        line.execute("UPDATE tally SET first_utc = last_utc, last_utc = first_utc")
        report = verify(filled)
        assert report.ok and "of the earliest and the latest" in "".join(report.unknown)
        line.execute("UPDATE tally SET last_utc = last_utc + 9000000000")
        assert not verify(filled).ok
    rebuild_index(filled)
    assert "tally" not in str(verify(filled))


def test_indexes_are_not_rebuilt_under_a_running_line(ledger: LineLedger) -> None:
    with pytest.raises(StoreInUse):
        rebuild_index(ledger.data_dir)


def test_the_command_is_refused_while_the_station_runs(filled: Path) -> None:
    """A page that has an index file open would go on with the old one."""
    before = _tables(filled, list(LINE_INDEXES))
    alone = sole(filled)
    try:
        done = CliRunner().invoke(app, ["rebuild-index", str(filled)])
    finally:
        os.close(alone)
    assert isinstance(done.exception, CannotRun) and "stop it first" in str(done.exception)
    assert _tables(filled, list(LINE_INDEXES)) == before
    nowhere = CliRunner().invoke(app, ["rebuild-index", str(filled / "none")])
    assert "there is no ledger here" in str(nowhere.exception) and not (filled / "none").exists()


def test_a_record_that_cannot_be_read_leaves_the_indexes_as_they_were(filled: Path) -> None:
    connection = sqlite3.connect(filled / "line.db", isolation_level=None)
    connection.execute("UPDATE record SET body = x'83050100' WHERE position = 40")
    connection.close()
    before = _tables(filled, list(LINE_INDEXES))
    with pytest.raises(StoreDamaged, match="record 40"):
        rebuild_index(filled)
    assert _tables(filled, list(LINE_INDEXES)) == before


def test_the_wal_is_begun_anew_once_its_pages_are_moved(ledger: LineLedger) -> None:
    lengths = []
    for sequence in range(300):
        ledger.add_verdict(sample_verdict(sequence))
        ledger.commit()
        if sequence % 20 == 19:
            state = shorten_wal(ledger.data_dir)
            assert state.moved == state.pages > 0
            lengths.append(ledger.wal_bytes)
    assert lengths[-1] < 2 * lengths[0]
    assert verify(ledger.data_dir).ok


@pytest.mark.parametrize("bound", ["BIG_WAL", "HUGE_WAL"])
def test_where_nobody_shortens_the_wal_the_ledger_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(f"inspector.store.commits.{bound}", 1)
    monkeypatch.setattr("inspector.store.commits.LOOK_COMMITS", 1)
    with LineLedger.open(tmp_path, station="s1", idle_s=0.02) as ledger:
        ledger.add_verdict(sample_verdict(0))
        ledger.commit()
        begun, sequence = _salt(tmp_path), 0
        deadline = time.monotonic() + 4
        while _salt(tmp_path) == begun and time.monotonic() < deadline:
            time.sleep(0.05)  # an idle moment; then a commit that may begin the WAL anew
            sequence += 1
            ledger.add_verdict(sample_verdict(sequence))
            ledger.commit()
        assert _salt(tmp_path) != begun
    assert verify(tmp_path).ok


def _salt(data: Path) -> bytes:
    """What changes in the WAL's header when it is begun anew (SQLite's file format, 4.1)."""
    return (data / "line.db-wal").read_bytes()[16:24]


def test_where_there_is_no_ledger_there_is_nothing_to_care_for(tmp_path: Path) -> None:
    for care in (shorten_wal, rebuild_index):
        with pytest.raises(StoreError, match="no ledger"):
            care(tmp_path)
