"""What is on hold, signed, reviewed and shipped is what the desk recorded, or `verify` says so."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from inspector.cli import app
from inspector.plant.requests import PROJECTION as REQUESTS
from inspector.store import DeskLedger, LineLedger, verify
from inspector.store.deskindex import DeskIndex
from inspector.store.projections import PROJECTIONS

ALL = (*PROJECTIONS, REQUESTS)
PART = "00000000-0000-7000-8000-000000000001"
_REVIEW = {
    "part": PART, "decision": "confirm", "outcome": "pass", "batch": "A", "stream": "s",
    "sequence": 1, "was": "pass",
}  # fmt: skip
_SIGNATURE = {"meaning": "released", "kind": "batch", "subject": "A", "sha256": "", "by": "pin"}
_REQUEST = {"answer": {"id": "r1"}, "key": "k1", "digest": "d1"}
RECORDS: list[tuple[str, dict[str, Any]]] = [
    ("disposition", {"disposition": "hold", "runs": [["s", 1, 10]]} | _REQUEST),
    ("disposition", {"disposition": "release", "runs": [["s", 4, 6]]}),
    ("disposition", {"disposition": "hold", "batch": "A"}),
    ("signature", _SIGNATURE),
    ("review", _REVIEW),
    ("review", _REVIEW | {"decision": "second_opinion", "part": PART[:-1] + "2"}),
    ("batch", {"action": "plan", "batch": "B"}),
    ("link", {"relation": "consumed", "batch": "A", "material": "cap", "lot": "L1"}),
    ("link", {"relation": "packed", "unit": "u1", "runs": [["s", 1, 10]], "batches": ["A"]}),
    ("link", {"relation": "shipped", "units": ["u1"], "destination": "d", "at": 1}),
    ("note", {}),
]
TAMPERED = [
    ("holds.db", "DELETE FROM part WHERE first = 1", "table part lacks ('s', 1, 3, 'hold', 0)"),
    ("holds.db", "UPDATE part SET disposition = 'release'", "table part lacks ('s', 1, 3, 'hold'"),
    ("holds.db", "INSERT INTO part VALUES ('t', 1, 2, 'scrap', 0)", "table part has ('t', 1, 2"),
    ("holds.db", "DELETE FROM batch", "table batch lacks ('A', 'hold', 2)"),
    ("holds.db", "UPDATE batch SET id = CAST(x'ff' AS TEXT)", "table batch lacks ('A', 'hold', 2)"),
    ("holds.db", "INSERT INTO batch VALUES (CAST(x'ff' AS TEXT), '', 1)", "cannot be read"),
    ("holds.db", "DROP TABLE batch", "cannot be read: no such table"),
    ("holds.db", "DROP TABLE upto", "cannot be read: no such table"),
    ("holds.db", "DELETE FROM upto", "cannot be read"),
    ("holds.db", "UPDATE upto SET position = -1", "table part has"),
    ("signatures.db", "DELETE FROM signature", "table signature lacks ('batch', 'A', 3)"),
    ("signatures.db", "INSERT INTO signature VALUES ('batch', 'B', 4)", "table signature has"),
    ("reviews.db", "DELETE FROM review WHERE position = 4", "table review lacks (4, "),
    ("reviews.db", "UPDATE opinion SET outcome = 'reject'", "table opinion lacks ("),
    ("reviews.db", "DELETE FROM asked", "table asked lacks ("),
    ("batches.db", "UPDATE lot SET action = 'start'", "table lot lacks ('B', 'plan', 6)"),
    ("genealogy.db", "DELETE FROM consumed", "table consumed lacks (7, 'A', 'cap', 'L1'"),
    ("genealogy.db", "UPDATE unit SET parent = 'u2'", "table unit lacks ('u1'"),
    ("genealogy.db", "DELETE FROM content", "table content lacks ('s', 1, 10, 'u1')"),
    ("genealogy.db", "DELETE FROM made", "table made lacks ('A', 'u1')"),
    ("genealogy.db", "DELETE FROM shipped", "table shipped lacks ('u1', 9"),
    ("plant.db", "DELETE FROM key", "table key lacks ('user:7', 'k1', 'd1', 0)"),
    ("plant.db", "DELETE FROM request", "table request lacks ('r1', 0)"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose desk has said something to every index, and all of these."""
    data = tmp_path_factory.mktemp("store")
    LineLedger.open(data, station="s1").close()
    with DeskLedger.open(data) as desk:
        for kind, body in RECORDS:
            desk.add(kind, body, "user:7")
    for projection in ALL:
        with DeskIndex(data, projection) as index, index.current():
            assert not index.skipped
    return data


@pytest.fixture
def tampered(store: Path, tmp_path: Path) -> Path:
    """A copy of the store that a test may change."""
    return Path(shutil.copytree(store, tmp_path / "data"))


def _change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement).rowcount != 0, "nothing was changed"


def _found(data: Path) -> list[str]:
    return [str(problem) for problem in verify(data, projections=[REQUESTS]).problems]


def test_every_table_of_every_index_file_is_among_those_that_are_tried(store: Path) -> None:
    tables = set()
    for projection in ALL:
        with closing(sqlite3.connect(store / projection.name)) as index:
            names = index.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            tables |= {(projection.name, name) for (name,) in names}
    tried = {(file, name) for file, change, _ in TAMPERED for name in change.split()[1:3]}
    assert tables - {(p.name, "upto") for p in ALL} <= tried


@pytest.mark.parametrize(("file", "change", "said"), TAMPERED)
def test_a_row_deleted_changed_or_added_is_named_and_mended(
    tampered: Path, file: str, change: str, said: str
) -> None:
    assert not _found(tampered)
    _change(tampered / file, change)
    (problem,) = _found(tampered)
    assert problem.startswith(f"{file}: {said}")
    assert problem.endswith("stop the station and run: inspector rebuild-index DATA")
    command = CliRunner().invoke(app, ["verify", str(tampered)])
    assert command.exit_code == 1 and problem in command.output.replace("\n", " ")
    assert CliRunner().invoke(app, ["rebuild-index", str(tampered)]).exit_code == 0
    assert not _found(tampered)


def test_a_file_that_is_no_index_is_named_and_made_anew(tampered: Path) -> None:
    (tampered / "holds.db").write_bytes(bytes(range(256)) * 64)
    (problem,) = _found(tampered)
    assert problem.startswith("holds.db: cannot be read: ")
    assert CliRunner().invoke(app, ["rebuild-index", str(tampered)]).exit_code == 0
    assert not _found(tampered)


def test_a_file_that_its_next_reader_makes_anew_is_left_to_him(tampered: Path) -> None:
    """One of another version, of another desk, one that is gone, one that is behind."""
    _change(tampered / "holds.db", "DELETE FROM part")
    _change(tampered / "holds.db", "PRAGMA user_version = 2")
    _change(tampered / "reviews.db", "DELETE FROM review")
    _change(tampered / "reviews.db", "UPDATE upto SET mark = mark + 1")
    (tampered / "batches.db").unlink()
    with DeskLedger.open(tampered) as desk:
        desk.add("disposition", {"disposition": "hold", "batch": "Z"}, "user:7")
    assert not _found(tampered)
    for projection in ALL:
        with DeskIndex(tampered, projection) as index, index.current():
            pass
    assert not _found(tampered)
