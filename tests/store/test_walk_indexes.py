"""What pages, searches and recalls find is what the records say, or `verify` names it (I4)."""

from __future__ import annotations

import shutil
import sqlite3
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inspector.cli import app
from inspector.part import Batch
from inspector.store import DeskLedger, ImageRecord, LineLedger, rebuild_index, verify
from inspector.store.bench import sample_gate, sample_verdict
from inspector.store.indexes import Indexes, tables_of
from inspector.store.report import Told
from inspector.store.schema import DESK_INDEXES, LINE_INDEXES, create_indexes
from inspector.store.walk_indexes import LineIndexes

PARTS = 110


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store with rows in every index: two batches, serials, rejects, images, decisions
    that were acknowledged at once, later or never, and four desk records."""
    data = tmp_path_factory.mktemp("store")
    with (
        LineLedger.open(data, station="s1", checkpoint_records=50) as ledger,
        DeskLedger.open(data) as desk,
    ):
        ledger.add_event("station.started", "line")
        for sequence in range(1, PARTS + 1):
            if sequence % 60 == 1:
                ledger.add_batch(Batch(f"B{sequence}"), "begin", "user:7")
            verdict = sample_verdict(sequence, batch="B1" if sequence < 61 else "B61")
            if sequence % 3 == 0:
                verdict = replace(verdict, serial=f"SN{sequence}é")
            ledger.add_verdict(verdict)
            if sequence % 5 == 0:
                ledger.add_gate(replace(sample_gate(verdict), acknowledged_ns=0))
            if sequence % 10:
                ledger.add_gate(sample_gate(verdict))
            ledger.commit()
            if sequence % 9 == 0:
                path = f"images/{sequence}.jpg"
                ledger.add_image(ImageRecord(verdict.part_id, "side", "ab" * 32, path, 1))
            if sequence % 30 == 0:
                desk.add("review", {"sequence": sequence}, "user:7")
        desk.add("sync.acknowledged", {"records": 9}, "sync")
        ledger.add_event("station.stopped", "line")
    assert verify(data, images=False).ok
    return data


@pytest.fixture
def tampered(store: Path, tmp_path: Path) -> Path:
    """A copy of the store that a test may change."""
    return Path(shutil.copytree(store, tmp_path / "data"))


def _change(data: Path, file: str, *statements: str) -> None:
    with closing(sqlite3.connect(data / file)) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, "nothing was changed"


def _rows(data: Path, file: str, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(data / file)) as connection:
        return sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)


def _found(data: Path) -> list[str]:
    return [str(problem) for problem in verify(data, images=False).problems]


NEWEST = "position = (SELECT max(position) FROM {0})"

LINE = [
    ("definition", f"DELETE FROM {{0}} WHERE {NEWEST}", "has no row of record"),
    ("definition", f"UPDATE {{0}} SET what = 0 WHERE {NEWEST}", "what the record does not"),
    ("definition", "INSERT INTO {0} VALUES (10, 2)", "has a row of record 10 that the record"),
    ("verdict", "DELETE FROM {0} WHERE sequence = 9", "has no row of record"),
    ("verdict", "UPDATE {0} SET sequence = 900 WHERE sequence = 9", "what the record does not"),
    ("verdict", "UPDATE {0} SET position = 12 WHERE sequence = 9", "record 12 that the record"),
    ("verdict", "INSERT INTO {0} VALUES (1, 900, 17)", "has a row of record 17 that the"),
    ("verdict", "INSERT INTO {0} VALUES (1, 900, 'x')", "has a row of record 'x', which there is"),
    ("part", f"DELETE FROM {{0}} WHERE {NEWEST}", "has no row of record"),
    ("part", f"UPDATE {{0}} SET prefix = prefix + 1 WHERE {NEWEST}", "what the record does not"),
    ("part", "INSERT INTO {0} VALUES (7, 17)", "has a row of record 17 that the record"),
    ("part", "INSERT INTO {0} VALUES (7, 7000)", "record 7000, which there is not"),
    ("serial", "DELETE FROM {0} WHERE serial = 'SN9é'", "has no row of record"),
    ("serial", "UPDATE {0} SET serial = 'SN8' WHERE serial = 'SN9é'", "what the record does not"),
    ("serial", "INSERT INTO {0} VALUES ('SN8', 17)", "has a row of record 17 that the record"),
    ("serial", "INSERT INTO {0} VALUES (CAST(x'ff' AS TEXT), 17)", "cannot be read"),
    ("gate", "DELETE FROM {0} WHERE sequence = 8", "has no row of record"),
    ("gate", "UPDATE {0} SET sequence = 900 WHERE sequence = 8", "what the record does not"),
    ("gate", "INSERT INTO {0} VALUES (1, 900, 17)", "has a row of record 17 that the record"),
    ("unacknowledged", "DELETE FROM {0} WHERE sequence = 20", "lacks record"),
    ("unacknowledged", "UPDATE {0} SET position = 17 WHERE sequence = 20", "has 17 as a decision"),
    ("unacknowledged", "INSERT INTO {0} VALUES (1, 9, 17)", "has 17 as a decision"),
    ("faulty", "DELETE FROM {0} WHERE outcome = 1", "has no row of record"),
    ("faulty", "UPDATE {0} SET outcome = 2", "what the record does not"),
    ("faulty", "INSERT INTO {0} VALUES (17, 1)", "has a row of record 17 that the record"),
    ("faulty", "INSERT INTO {0} VALUES (-3, 1)", "record -3, which there is not"),
    ("defect", f"DELETE FROM {{0}} WHERE {NEWEST}", "has no row of record"),
    ("defect", f"UPDATE {{0}} SET shape = 5 WHERE {NEWEST}", "what the record does not"),
    ("defect", "INSERT INTO {0} VALUES (5, 17)", "has a row of record 17 that the record"),
    ("image", f"DELETE FROM {{0}} WHERE {NEWEST}", "has no row of record"),
    ("image", f"UPDATE {{0}} SET prefix = 5 WHERE {NEWEST}", "what the record does not"),
    ("image", "INSERT INTO {0} VALUES (5, 17)", "has a row of record 17 that the record"),
    ("event", "DELETE FROM {0} WHERE position = 0", "has no row of record 0"),
    ("event", "UPDATE {0} SET kind = 'note' WHERE position = 0", "of record 0 what the record"),
    ("event", "INSERT INTO {0} VALUES (17, 'note')", "has a row of record 17 that the record"),
    ("batch", "DELETE FROM {0} WHERE id = 'B1'", "has no row of record 1"),
    ("batch", "UPDATE {0} SET id = 'B2' WHERE id = 'B1'", "says of record 1 what the record"),
    ("batch", "INSERT INTO {0} VALUES (17, 'B3')", "has a row of record 17 that the record"),
    ("tally", "DELETE FROM {0} WHERE batch = 'B1' AND outcome = 0", "counts 0 parts of batch 'B1'"),
    ("tally", "UPDATE {0} SET parts = parts + 1 WHERE outcome = 1", "are recorded"),
    ("tally", "INSERT INTO {0} VALUES ('B9', 0, 0, 9, 1, 2, 3, 4)", "counts 9 parts of batch 'B9'"),
]
DESK = [
    ("event", "DELETE FROM {0} WHERE position = 2", "has no row of record 2"),
    (
        "event",
        "UPDATE {0} SET kind = 'note' WHERE position = 2",
        "says of record 2 what the record",
    ),
    ("event", "INSERT INTO {0} VALUES (40, 'review')", "record 40, which there is not"),
]
ROWS = [("line.db", *case) for case in LINE] + [("desk.db", *case) for case in DESK]


def test_every_index_is_among_those_that_are_tried() -> None:
    assert {table for table, *_ in LINE} == set(LINE_INDEXES)
    assert {table for table, *_ in DESK} == set(tables_of(DESK_INDEXES))


@pytest.mark.parametrize(("file", "table", "change", "said"), ROWS)
def test_a_row_deleted_changed_or_added_is_named_and_mended(
    store: Path, tampered: Path, file: str, table: str, change: str, said: str
) -> None:
    _change(tampered, file, change.format(table))
    problems = _found(tampered)
    assert problems[0].startswith(f"{file} index {table}: ") and said in problems[0]
    assert problems[0].endswith("stop the station and run: inspector rebuild-index DATA")
    assert CliRunner().invoke(app, ["rebuild-index", str(tampered)]).exit_code == 0
    assert not _found(tampered)
    assert _rows(tampered, file, table) == _rows(store, file, table)


@pytest.mark.parametrize("file", ["line.db", "desk.db"])
def test_a_table_that_is_gone_is_named_and_made_again(tampered: Path, file: str) -> None:
    tables = list(LINE_INDEXES) if file == "line.db" else list(tables_of(DESK_INDEXES))
    for table in tables:
        _change(tampered, file, f"DROP TABLE {table}")
        assert f"{file} index {table}: cannot be read: no such table" in "\n".join(_found(tampered))
    rebuild_index(tampered)
    assert not _found(tampered)


def test_rows_that_exchange_what_they_say_are_named(tampered: Path) -> None:
    """No column's sum changes, nor the number of rows."""
    _change(
        tampered, "line.db",
        "UPDATE serial SET serial = 'x' WHERE serial = 'SN9é'",
        "UPDATE serial SET serial = 'SN9é' WHERE serial = 'SN12é'",
        "UPDATE serial SET serial = 'SN12é' WHERE serial = 'x'",
    )  # fmt: skip
    (problem,) = _found(tampered)
    assert problem.startswith("line.db index serial: says of record ")


def test_the_first_record_is_named_however_coarse_the_stretches(
    tampered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = "DELETE FROM part WHERE position IN (SELECT position FROM verdict WHERE sequence IN {})"
    with closing(sqlite3.connect(tampered / "line.db")) as line:
        first = line.execute("SELECT position FROM verdict WHERE sequence = 40").fetchone()[0]
    _change(tampered, "line.db", gone.format("(40, 41, 90)"))
    for stretches in (1, 3, 7, 4096):
        monkeypatch.setattr("inspector.store.indexes.STRETCHES", stretches)
        (problem,) = _found(tampered)
        assert problem.startswith(f"line.db index part: has no row of record {first};")


def test_a_hundred_million_records_need_no_more_memory() -> None:
    tables = tables_of(create_indexes()).values()
    tracemalloc.start()
    try:
        Indexes(tables, 100_000_000)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_an_index_is_compared_though_an_image_is_gone(tampered: Path) -> None:
    _change(tampered, "line.db", "DELETE FROM serial WHERE serial = 'SN9é'")
    problems = [str(problem) for problem in verify(tampered).problems]
    assert "images/9.jpg: is gone" in problems[0]
    assert problems[-1].startswith("line.db index serial: has no row of record")


def test_where_a_record_is_damaged_it_is_said_that_no_index_was_compared(tampered: Path) -> None:
    _change(tampered, "line.db", "UPDATE record SET body = x'00' WHERE position = 40")
    report = verify(tampered, images=False)
    assert str(report.problems[0]).startswith("line.db record 40: was changed")
    assert any("indexes of line.db were not compared" in note for note in report.unknown)


def test_a_second_verdict_of_a_part_is_named_as_such(tmp_path: Path) -> None:
    """(I1) The index can hold one, so the other is not to be found by its number."""
    with LineLedger.open(tmp_path, station="s1") as ledger:
        first = ledger.add_verdict(sample_verdict(1))
    _change(tmp_path, "line.db", "UPDATE verdict SET sequence = 9")  # so that the line lets it in
    with LineLedger.open(tmp_path, station="s1") as ledger:
        second = ledger.add_verdict(sample_verdict(1))
    _change(tmp_path, "line.db", "DELETE FROM verdict WHERE sequence = 9")
    assert _found(tmp_path) == [
        f"line.db record {first}: is a second verdict of part 1 of stream plc-1 (record {second}"
        " is the other)"
    ]


def test_what_the_line_writes_during_the_walk_is_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line goes on between the records' walk and that of the indexes."""
    with LineLedger.open(tmp_path, station="s1", checkpoint_records=5) as ledger:
        verdicts = [sample_verdict(sequence) for sequence in range(1, 21)]
        unheard = [replace(sample_gate(verdict), acknowledged_ns=0) for verdict in verdicts]
        for verdict, decision in zip(verdicts[:10], unheard, strict=False):
            ledger.add_verdict(verdict)
            ledger.add_gate(decision)
        ledger.commit()
        compare: Callable[[LineIndexes, Told], None] = LineIndexes.run

        def goes_on(indexes: LineIndexes, told: Told) -> None:
            for verdict, decision in zip(verdicts[10:], unheard[10:], strict=True):
                ledger.add_verdict(verdict)
                ledger.add_gate(decision)
            for verdict in verdicts[:5]:
                ledger.add_gate(sample_gate(verdict))
            ledger.commit()
            compare(indexes, told)

        monkeypatch.setattr(LineIndexes, "run", goes_on)
        assert not _found(tmp_path)
        monkeypatch.undo()
        assert not _found(tmp_path)
        assert len(ledger.unacknowledged()) == 15
