"""What a start, the desk and an archiving go on from is what the records say (I4)."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from inspector.store import DeskLedger, LineLedger, verify
from inspector.store.bench import sample_verdict
from inspector.store.segments import archive


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store with two segments and a desk."""
    data = tmp_path_factory.mktemp("store")
    with (
        LineLedger.open(data, station="s1", checkpoint_records=20) as ledger,
        DeskLedger.open(data) as desk,
    ):
        for sequence in range(1, 101):
            ledger.add_verdict(sample_verdict(sequence))
            ledger.commit()
        desk.add("note", {}, "user:7")
    archive(data, "erika", keep=60)
    archive(data, "erika", keep=30)
    assert verify(data).ok
    return data


@pytest.fixture
def tampered(store: Path, tmp_path: Path) -> Path:
    """A copy of the store that a test may change."""
    return Path(shutil.copytree(store, tmp_path / "data"))


SEGMENT = "line.db segment 000000000000-"

CASES = [
    ("line.db", "UPDATE edge SET edge = zeroblob(length(edge))", "line.db edge: its edge is not"),
    ("line.db", "UPDATE edge SET size = size - 1", "line.db edge: is not that of"),
    ("line.db", "DELETE FROM edge", "line.db edge: is not that of"),
    ("line.db", "UPDATE segment SET edge = x'00' WHERE first = 0", SEGMENT),
    ("line.db", "UPDATE segment SET last = last + 1 WHERE first = 0", SEGMENT),
    ("line.db", "UPDATE segment SET first = 1 WHERE first = 0", SEGMENT),
    ("line.db", "UPDATE segment SET edge = x'' WHERE first > 0", "line.db segment"),
    ("line.db", "CREATE TRIGGER t AFTER INSERT ON gate BEGIN SELECT 1; END", "line.db trigger t: "),
    ("line.db", "CREATE VIEW v AS SELECT 1", "line.db view v: was added"),
    ("desk.db", "UPDATE head SET edge = zeroblob(length(edge))", "desk.db head: is not that of"),
    ("desk.db", "CREATE TRIGGER t AFTER INSERT ON event BEGIN SELECT 1; END", "desk.db trigger t"),
]


@pytest.mark.parametrize(("file", "change", "said"), CASES)
def test_each_is_compared_with_the_records(
    tampered: Path, file: str, change: str, said: str
) -> None:
    with closing(sqlite3.connect(tampered / file, isolation_level=None)) as connection:
        connection.execute(change)
    (problem, *_) = verify(tampered).problems
    assert str(problem).startswith(said)


def test_a_line_that_starts_mends_its_edge(tampered: Path) -> None:
    with closing(sqlite3.connect(tampered / "line.db", isolation_level=None)) as line:
        line.execute("UPDATE edge SET edge = zeroblob(length(edge))")
    with LineLedger.open(tampered, station="s1") as ledger:
        ledger.add_verdict(sample_verdict(101))
    assert verify(tampered).ok
