"""Many write to the desk's ledger; each says who, and how far the line had come."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from inspector.store import (
    DeskLedger,
    History,
    LineLedger,
    RecordError,
    StoreDamaged,
    StoreError,
    StoreStalled,
    verify,
)
from inspector.store.bench import sample_verdict
from inspector.store.cursor import newest_desk
from inspector.store.related import desk_records
from inspector.store.schema import create_desk, open_reader


def test_a_record_is_durable_and_names_its_principal_and_the_line(filled: Path) -> None:
    with DeskLedger.open(filled) as desk:
        assert desk.add("review", {"part": 7, "is": "reject"}, "user:7") == 0
        assert desk.add("hold", {"batch": "L1"}, "mes") == 1
    with History(filled) as history:
        newest, review = history.desk()
        assert [record.kind for record in history.desk("review")] == ["review"]
        size = history.size()
    assert (newest.principal, newest.body) == ("mes", {"batch": "L1"})
    assert review.line.size == size and review.line.newest == size - 1
    assert verify(filled).ok


@pytest.mark.parametrize("principal", ["", " ", None])
def test_nobody_writes_anonymously(tmp_path: Path, principal: str) -> None:
    with DeskLedger.open(tmp_path) as desk, pytest.raises(RecordError, match="principal"):
        desk.add("review", {}, principal)


def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    program = (
        "import sys; from inspector.store import DeskLedger\n"
        "with DeskLedger.open(sys.argv[1]) as desk:\n"
        "    for n in range(25): desk.add('note', {'n': n}, sys.argv[2])"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), f"user:{n}"])
        for n in range(3)
    ]
    with LineLedger.open(tmp_path, station="s1", checkpoint_records=2) as ledger:
        for sequence in range(30):
            ledger.add_verdict(sample_verdict(sequence))
            ledger.commit()
        assert [writer.wait(30) for writer in writers] == [0, 0, 0]
    report = verify(tmp_path)
    assert report.ok, str(report)
    assert report.desk_records == 75


def test_a_desk_that_is_locked_out_says_so(tmp_path: Path) -> None:
    with DeskLedger.open(tmp_path, busy_s=0.1) as desk:
        other = sqlite3.connect(tmp_path / "desk.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreStalled, match="another process holds"):
            desk.add("note", {}, "user:7")
        other.execute("ROLLBACK")
        other.close()
        assert desk.add("note", {}, "user:7") == 0


def test_the_line_signs_what_the_desk_wrote(tmp_path: Path) -> None:
    with LineLedger.open(tmp_path, station="s1") as ledger, DeskLedger.open(tmp_path) as desk:
        for n in range(5):
            desk.add("note", {"n": n}, "user:7")
        ledger.add_verdict(sample_verdict(1))
        ledger.commit()
    with closing(sqlite3.connect(tmp_path / "desk.db")) as connection, connection:
        connection.execute("DELETE FROM record WHERE position = 4")
        connection.execute("UPDATE head SET size = 4")
    connection.close()
    report = verify(tmp_path)
    assert any("signed 5 records, 4 are here" in str(problem) for problem in report.problems)


def test_the_line_signs_what_the_desk_writes_while_no_part_comes(tmp_path: Path) -> None:
    """A hold or a signature of the night is signed by a line that stands (I4)."""
    with (
        LineLedger.open(tmp_path, station="s1", checkpoint_s=0, idle_s=0.01) as ledger,
        DeskLedger.open(tmp_path) as desk,
    ):
        ledger.add_verdict(sample_verdict(1))
        ledger.commit()
        for n in range(3):
            desk.add("signature", {"n": n}, "user:7")
        deadline = time.monotonic() + 30
        while verify(tmp_path).signed_desk_records < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        report = verify(tmp_path)
        assert report.ok and report.signed_desk_records == 3, str(report)
        signed = report.checkpoints
        ledger.checkpoint()
        assert verify(tmp_path).checkpoints == signed, "it signed again what was signed"
    assert verify(tmp_path).checkpoints == signed


def test_the_log_stays_short_also_after_a_failure(tmp_path: Path) -> None:
    """A desk whose disk was full once must not grow its WAL for ever."""
    with DeskLedger.open(tmp_path) as desk:
        desk.add("note", {}, "user:7")
        for name, other in (("event", "away"), ("away", "event")):
            with closing(sqlite3.connect(tmp_path / "desk.db")) as connection, connection:
                connection.execute(f"ALTER TABLE {name} RENAME TO {other}")
            if other == "away":
                with pytest.raises(StoreError, match="no such table"):
                    desk.add("note", {}, "user:7")
        for _ in range(30):
            desk.add("note", {"text": "x" * 400_000}, "user:7")
        assert (tmp_path / "desk.db-wal").stat().st_size < 8_000_000


def test_a_spoiled_edge_is_not_gone_on_from(tmp_path: Path) -> None:
    """The root of the next record would be another, and the line would sign it."""
    with DeskLedger.open(tmp_path) as desk:
        for n in range(5):
            desk.add("note", {"n": n}, "user:7")
        spoils = ("edge = zeroblob(length(edge))", "edge = x'00'", "edge = NULL", "root = x'00'")
        for spoiled in spoils:
            with closing(sqlite3.connect(tmp_path / "desk.db")) as connection, connection:
                connection.execute(f"UPDATE head SET {spoiled}")
            desk.add("note", {}, "user:7")
        with closing(sqlite3.connect(tmp_path / "desk.db")) as connection, connection:
            connection.execute("UPDATE head SET edge = NULL, root = zeroblob(32)")
        refused = pytest.raises(StoreDamaged, match="not those that its head was made of")
        with refused:
            desk.add("note", {}, "user:7")
        with closing(sqlite3.connect(tmp_path / "desk.db")) as connection:
            (first,) = connection.execute("SELECT body FROM record LIMIT 1").fetchone()
            for body in ("text", first):
                connection.execute("UPDATE record SET body = ? WHERE position = 0", (body,))
                connection.commit()
                with refused:
                    desk.add("note", {}, "user:7")
    with LineLedger.open(tmp_path, station="s1") as ledger:
        ledger.add_verdict(sample_verdict(1))
    (problem,) = verify(tmp_path).problems
    assert problem.where == "desk.db head"


def test_a_head_that_does_not_fit_is_not_written_over(tmp_path: Path) -> None:
    with DeskLedger.open(tmp_path) as desk:
        desk.add("note", {}, "user:7")
        with closing(sqlite3.connect(tmp_path / "desk.db")) as connection, connection:
            connection.execute("UPDATE head SET size = 9")
        connection.close()
        with pytest.raises(StoreDamaged, match="verify"):
            desk.add("note", {}, "user:7")


def test_the_desk_records_also_where_there_is_no_line(tmp_path: Path) -> None:
    with DeskLedger.open(tmp_path) as desk:
        desk.add("note", {}, "user:7")
    assert (tmp_path / "desk.db").exists() and not (tmp_path / "line.db").exists()


@pytest.mark.parametrize(
    "spoiled",
    ["UPDATE record SET body = 'text'", "UPDATE record SET body = 7", "DROP TABLE record"],
)
def test_a_spoiled_desk_is_told_by_whoever_reads_it(tmp_path: Path, spoiled: str) -> None:
    with LineLedger.open(tmp_path, station="s1") as line, DeskLedger.open(tmp_path) as desk:
        line.add_event("operator.note", "user:7", text="hello")
        desk.add("note", {}, "user:7")
    with sqlite3.connect(tmp_path / "desk.db") as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(spoiled)
    connection.close()
    with History(tmp_path) as history, pytest.raises((StoreDamaged, RecordError)):
        newest_desk(history, "note")
    with pytest.raises((StoreDamaged, RecordError)):
        list(desk_records(tmp_path, "note"))


def test_a_reader_finds_every_table_or_no_file(tmp_path: Path) -> None:
    """Many processes begin at once, and some of them only read."""
    ending = threading.Event()
    seen: list[str] = []

    def read() -> None:
        while not ending.is_set():
            if (tmp_path / "desk.db").exists():
                connection = open_reader(tmp_path / "desk.db")
                seen.append(str(connection.execute("SELECT count(*) FROM record").fetchone()))
                connection.close()

    reading = threading.Thread(target=read)
    reading.start()
    try:
        makers = [
            threading.Thread(target=create_desk, args=(tmp_path / "desk.db",)) for _ in "abcd"
        ]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()
        until = time.monotonic() + 5
        while not seen and reading.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        ending.set()
        reading.join()
    assert set(seen) == {"(0,)"}
    assert sorted(p.name.removeprefix("desk.db") for p in tmp_path.iterdir()) in (
        [""],
        ["", "-shm", "-wal"],
    )
