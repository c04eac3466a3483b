"""A damaged file ends every reading of it; none goes round for ever (I4)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from inspector.store import LineLedger, rebuild_index, verify
from inspector.store.bench import sample_verdict
from inspector.store.errors import StoreError
from inspector.store.stretch import onwards, read_records

PARTS = 40


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A store with all of its rows in line.db itself."""
    with LineLedger.open(tmp_path, station="s1", checkpoint_records=5) as ledger:
        for sequence in range(1, PARTS + 1):
            ledger.add_verdict(sample_verdict(sequence))
            ledger.commit()
    with closing(sqlite3.connect(tmp_path / "line.db")) as line:
        line.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return tmp_path


@pytest.fixture
def twisted(whole: Path) -> Path:
    """A store whose last record says in its own cell that it is the third."""
    twist(whole / "line.db", "record", "position", 3)
    return whole


def twist(file: Path, table: str, key: str, says: int, behind_it: int = 0) -> None:
    """The last row of ``table`` but so many says in its own cell that its ``key`` is another."""
    with closing(sqlite3.connect(file)) as line:
        last, body = line.execute(
            f"SELECT {key}, body FROM {table} ORDER BY {key} DESC LIMIT 1 OFFSET {behind_it}"
        ).fetchone()
    whole = bytearray(file.read_bytes())
    assert last < 128 and whole.count(body) == 1, "one byte is the row's number"
    behind = whole.index(body)
    for at in range(behind - 16, behind):
        if whole[at] == last:
            file.write_bytes(whole[:at] + bytes([says]) + whole[at + 1 :])
            with closing(sqlite3.connect(file)) as line:
                rows = line.execute(f"SELECT {key} FROM {table}").fetchall()
                if rows[-1 - behind_it] == (says,):
                    return
    raise AssertionError("the cell was not found")


def test_rows_out_of_their_order_are_an_error_and_no_endless_reading(twisted: Path) -> None:
    with closing(sqlite3.connect(twisted / "line.db")) as line:
        seen = []
        with pytest.raises(sqlite3.DatabaseError, match="malformed: 3 comes after"):
            for position, _, _ in read_records(line, 0, 1 << 62):
                seen.append(position)
                assert len(seen) < 10 * PARTS
    assert seen[:4] == [0, 1, 2, 3]


def test_verify_names_where_it_ends(twisted: Path) -> None:
    report = verify(twisted)
    assert not report.ok and str(report.problems[0]).startswith("line.db"), report


def test_verify_names_checkpoints_out_of_their_order(whole: Path) -> None:
    twist(whole / "line.db", "checkpoint", "number", 0, behind_it=1)
    report = verify(whole)
    assert any("comes after" in str(problem) for problem in report.problems), report


def test_the_indexes_of_such_a_file_are_not_made_anew(twisted: Path) -> None:
    with pytest.raises(StoreError):
        rebuild_index(twisted)


@pytest.mark.parametrize(
    ("before", "now"), [(3, 3), (4, 3), ((1, 2), (1, 2)), ((1, 2), (0, 9)), (1, None), (1, b"2")]
)
def test_what_does_not_lead_on_is_refused(before: object, now: object) -> None:
    with pytest.raises(sqlite3.DatabaseError):
        onwards(before, now)
    assert onwards(-1, 0) == 0 and onwards((), (1, 2)) == (1, 2)
