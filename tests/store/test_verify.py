"""What is changed, removed, reordered or cut is found and named; what cannot be known is said."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspector.store import (
    DeskLedger,
    ImageArchive,
    LineLedger,
    Report,
    public_key,
    rebuild_index,
    verify,
)
from inspector.store.bench import sample_gate, sample_verdict
from inspector.store.checkpoint import read_copies
from inspector.store.merkle import Tree, leaf_hash
from inspector.store.rows import mark_of

PARTS = 60


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store with everything in it, and five records behind the last checkpoint."""
    data = tmp_path_factory.mktemp("store")
    with (
        LineLedger.open(data, station="s1", checkpoint_records=20) as ledger,
        ImageArchive(data, reserve_mb=0) as archive,
        DeskLedger.open(data) as desk,
    ):
        ledger.add_event("station.started", "line")
        for sequence in range(1, PARTS + 1):
            verdict = sample_verdict(sequence)
            ledger.add_verdict(verdict)
            ledger.add_gate(sample_gate(verdict))
            archive.offer(verdict, {"side": np.full((16, 16), sequence, np.uint8)})
            if sequence % 10 == 0:
                ledger.commit()
                desk.add("review", {"sequence": sequence}, "user:7")
        for record in archive.close():
            ledger.add_image(record)
    report = verify(data)
    assert report.ok and report.images == 1 and report.desk_records == 6
    return data


@contextmanager
def _tampered(store: Path, tmp: Path) -> Iterator[tuple[Path, sqlite3.Connection]]:
    data = tmp / os.urandom(8).hex()
    shutil.copytree(store, data)
    connection = sqlite3.connect(data / "line.db", isolation_level=None)
    try:
        yield data, connection
    finally:
        connection.close()
        shutil.rmtree(data)


def _first(report: Report) -> str:
    assert not report.ok
    return str(report.problems[0])


QUICK = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@QUICK
@given(data=st.data())
def test_any_byte_of_any_record_changed_is_found_and_named(
    store: Path, tmp_path: Path, data: st.DataObject
) -> None:
    with _tampered(store, tmp_path) as (folder, line):
        size = line.execute("SELECT count(*) FROM record").fetchone()[0]
        position = data.draw(st.integers(0, size - 1), "position")
        body = bytearray(
            line.execute("SELECT body FROM record WHERE position = ?", (position,)).fetchone()[0]
        )
        body[data.draw(st.integers(0, len(body) - 1), "byte")] ^= data.draw(st.integers(1, 255))
        forged = bytes(body)
        mended = data.draw(st.booleans(), "the mark beside it is mended too")
        line.execute("UPDATE record SET body = ? WHERE position = ?", (forged, position))
        if mended:
            line.execute(
                "UPDATE record SET mark = ? WHERE position = ?",
                (mark_of(leaf_hash(forged)), position),
            )
        assert _first(verify(folder)) == (
            f"line.db record {position}: was changed since it was signed"
        )


@QUICK
@given(data=st.data())
def test_a_record_that_was_removed_is_named(
    store: Path, tmp_path: Path, data: st.DataObject
) -> None:
    with _tampered(store, tmp_path) as (folder, line):
        size = line.execute("SELECT count(*) FROM record").fetchone()[0]
        position = data.draw(st.integers(0, size - 2))
        line.execute("DELETE FROM record WHERE position = ?", (position,))
        if data.draw(st.booleans(), "those behind it close the gap"):
            line.execute(
                "UPDATE record SET position = -position - 1 WHERE position > ?", (position,)
            )
            line.execute("UPDATE record SET position = -position - 2 WHERE position < 0")
            assert (
                f"record {position}: was reordered: it is what was recorded as {position + 1}"
                in (_first(verify(folder)))
                or "was changed" in _first(verify(folder))
            )
            assert _first(verify(folder)).startswith(f"line.db record {position}: ")
        else:
            assert _first(verify(folder)) == f"line.db record {position}: removed"


@QUICK
@given(data=st.data())
def test_records_in_another_order_are_named(
    store: Path, tmp_path: Path, data: st.DataObject
) -> None:
    with _tampered(store, tmp_path) as (folder, line):
        first = data.draw(st.integers(0, 18))
        second = data.draw(st.integers(first + 1, 19))
        rows = dict(
            line.execute(
                "SELECT position, body FROM record WHERE position IN (?, ?)", (first, second)
            )
        )
        for position, body in ((first, rows[second]), (second, rows[first])):
            line.execute(
                "UPDATE record SET body = ?, mark = ? WHERE position = ?",
                (body, mark_of(leaf_hash(body)), position),
            )
        assert _first(verify(folder)) == (
            f"line.db record {first}: was reordered: it is what was recorded as {second}"
        )


@QUICK
@given(data=st.data())
def test_any_byte_of_any_checkpoint_changed_is_found_and_named(
    store: Path, tmp_path: Path, data: st.DataObject
) -> None:
    with _tampered(store, tmp_path) as (folder, line):
        last = line.execute("SELECT max(number) FROM checkpoint").fetchone()[0]
        number = data.draw(st.integers(0, last))
        column = data.draw(st.sampled_from(["body", "signature", "marks"]))
        value = bytearray(
            line.execute(f"SELECT {column} FROM checkpoint WHERE number = ?", (number,)).fetchone()[
                0
            ]
        )
        value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
        line.execute(f"UPDATE checkpoint SET {column} = ? WHERE number = ?", (bytes(value), number))
        assert _first(verify(folder)).startswith(f"checkpoint {number}: ")


@QUICK
@given(data=st.data())
def test_any_byte_of_the_copied_checkpoints_changed_is_found(
    store: Path, tmp_path: Path, data: st.DataObject
) -> None:
    with _tampered(store, tmp_path) as (folder, _):
        copy = folder / "checkpoints" / "line.jsonl"
        content = bytearray(copy.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        copy.write_bytes(content)
        assert _first(verify(folder)).startswith("checkpoints/line.jsonl")


@QUICK
@given(data=st.data())
def test_any_byte_of_an_image_changed_is_found_and_named(
    store: Path, tmp_path: Path, data: st.DataObject
) -> None:
    with _tampered(store, tmp_path) as (folder, _):
        image = next(folder.rglob("*.jpg"))
        content = bytearray(image.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        image.write_bytes(content)
        assert _first(verify(folder)).startswith(f"{image.relative_to(folder)}: was changed")


@QUICK
@given(data=st.data())
def test_any_byte_of_any_desk_record_changed_is_found_and_named(
    store: Path, tmp_path: Path, data: st.DataObject
) -> None:
    with _tampered(store, tmp_path) as (folder, _):
        desk = sqlite3.connect(folder / "desk.db", isolation_level=None)
        position = data.draw(st.integers(0, 5))
        body = bytearray(
            desk.execute("SELECT body FROM record WHERE position = ?", (position,)).fetchone()[0]
        )
        body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
        desk.execute("UPDATE record SET body = ? WHERE position = ?", (bytes(body), position))
        mended = data.draw(st.booleans())
        if mended:
            mark = mark_of(leaf_hash(bytes(body)))
            desk.execute("UPDATE record SET mark = ? WHERE position = ?", (mark, position))
        desk.close()
        report = verify(folder)
        assert not report.ok
        if not mended:
            assert _first(report).startswith(f"desk.db record {position}: ")


@pytest.mark.parametrize("name", ["line.db", "desk.db"])
def test_a_table_whose_words_are_no_text_is_named(store: Path, tmp_path: Path, name: str) -> None:
    """SQLite quotes the words in its message, and Python cannot read them."""
    with _tampered(store, tmp_path) as (folder, line):
        line.close()
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content.replace(b"CREATE TABLE ", b"CREATE TABL\xe5 "))
        report = verify(folder)
        assert not report.ok
        assert any(name in str(finding) for finding in report.problems), report


@settings(QUICK, max_examples=25)
@given(data=st.data())
def test_any_byte_of_the_file_itself_is_answered_in_words(
    store: Path, tmp_path: Path, data: st.DataObject
) -> None:
    with _tampered(store, tmp_path) as (folder, line):
        line.close()
        for name in ("line.db", "desk.db"):
            content = bytearray((folder / name).read_bytes())
            for _ in range(data.draw(st.integers(1, 8))):
                at = data.draw(st.integers(0, len(content) - 1))
                content[at] ^= data.draw(st.integers(1, 255))
            (folder / name).write_bytes(content)
        assert str(verify(folder))  # no traceback; a flip in unused space may well change nothing


def test_every_byte_of_a_stored_record_in_the_file_matters(store: Path, tmp_path: Path) -> None:
    with _tampered(store, tmp_path) as (folder, line):
        body = line.execute("SELECT body FROM record WHERE position = 33").fetchone()[0]
        line.close()
        content = bytearray((folder / "line.db").read_bytes())
        start = content.find(body)
        assert start > 0
        for at in range(start, start + len(body), 7):
            content[at] ^= 1
            (folder / "line.db").write_bytes(content)
            assert _first(verify(folder)).startswith("line.db record 33: was changed")
            content[at] ^= 1


def test_a_tail_cut_with_its_checkpoints_is_found_by_the_copy(store: Path, tmp_path: Path) -> None:
    with _tampered(store, tmp_path) as (folder, line):
        line.execute("DELETE FROM record WHERE position >= 40")
        line.execute("DELETE FROM checkpoint WHERE number >= 2")
        line.execute("DELETE FROM verdict WHERE position >= 40")
        assert "line.db record 40: its tail was cut" in "\n".join(
            str(problem) for problem in verify(folder).problems
        )


def test_a_tail_cut_with_all_its_traces_is_found_by_what_is_held_elsewhere(
    store: Path, tmp_path: Path
) -> None:
    copies = [signed for _, signed in read_copies(store) if signed is not None]
    with _tampered(store, tmp_path) as (folder, line):
        line.execute("DELETE FROM record WHERE position >= 40")
        rebuild_index(folder)
        kept = [
            row[0]
            for row in line.execute("SELECT number, body FROM checkpoint ORDER BY number")
            if row[0] < 1
        ]
        line.execute("DELETE FROM checkpoint WHERE number >= ?", (len(kept),))
        (size,) = line.execute("SELECT length(marks) / 8 FROM checkpoint").fetchone()
        tree = Tree()
        for (body,) in line.execute("SELECT body FROM record ORDER BY position LIMIT ?", (size,)):
            tree.append(leaf_hash(body))
        line.execute("UPDATE edge SET size = ?, edge = ?", (size, b"".join(tree.edge)))
        copy = folder / "checkpoints" / "line.jsonl"
        copy.write_bytes(b"".join(copy.read_bytes().splitlines(keepends=True)[: len(kept)]))
        (folder / "desk.db").unlink()
        alone = verify(folder, images=False)
        assert alone.ok and any("held elsewhere" in note for note in alone.unknown)
        informed = verify(folder, held=copies[-1], images=False)
        assert "its tail was cut: the checkpoint held elsewhere" in _first(informed)
        assert not any("held elsewhere" in note for note in informed.unknown)


def test_a_store_made_anew_is_found_by_a_key_kept_elsewhere(store: Path, tmp_path: Path) -> None:
    key = public_key(store / "keys" / "station.pub")
    with LineLedger.open(tmp_path, station="s1") as ledger:
        ledger.add_verdict(sample_verdict(1))
    assert verify(tmp_path).ok
    assert "signed by key" in _first(verify(tmp_path, key=key))


def test_what_is_not_signed_yet_is_said_and_checked_for_accidents(tmp_path: Path) -> None:
    ledger = LineLedger.open(tmp_path, station="s1", idle_s=60)
    ledger.add_verdict(sample_verdict(1))
    ledger.commit()
    report = verify(tmp_path)
    assert report.ok and report.signed_records == 0
    assert any("are not signed yet" in note for note in report.unknown)
    other = sqlite3.connect(tmp_path / "line.db", isolation_level=None)
    other.execute("UPDATE record SET body = body || x'00' WHERE position = 1")
    other.close()
    assert _first(verify(tmp_path)).startswith("line.db record 1: was changed")
    ledger.close()


def test_a_store_is_verified_while_the_line_writes(tmp_path: Path) -> None:
    with LineLedger.open(tmp_path, station="s1", checkpoint_records=5) as ledger:
        for sequence in range(60):
            ledger.add_verdict(sample_verdict(sequence))
            ledger.commit_soon()
            if sequence % 6 == 0:
                report = verify(tmp_path)
                assert report.ok, str(report)


HOSTILE: list[Callable[[sqlite3.Connection], object]] = [
    lambda c: c.execute("INSERT INTO record VALUES (9000000000000000000, 0, x'00')"),
    lambda c: c.execute("INSERT INTO record VALUES (-5, 0, x'00')"),
    lambda c: c.execute("INSERT INTO checkpoint VALUES (9000000000000000000, 'a', 'b', 'c')"),
    lambda c: c.execute("UPDATE record SET body = 'text' WHERE position = 7"),
    lambda c: c.execute("UPDATE record SET mark = 'text' WHERE position = 7"),
    lambda c: c.execute("UPDATE checkpoint SET marks = 7 WHERE number = 1"),
    lambda c: c.execute("DELETE FROM checkpoint WHERE number = 1"),
    lambda c: c.execute("UPDATE checkpoint SET number = 90 WHERE number = 1"),
    lambda c: c.execute("DELETE FROM record"),
    lambda c: c.execute("DELETE FROM verdict WHERE sequence = 9"),
    lambda c: c.execute("DROP TABLE verdict"),
    lambda c: c.execute("DROP TABLE record"),
    lambda c: c.execute("DROP TABLE checkpoint"),
    lambda c: c.execute("INSERT INTO record VALUES (10000, 0, zeroblob(5000000))"),
]


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_files_are_answered_in_words(
    store: Path, tmp_path: Path, attack: Callable[[sqlite3.Connection], object]
) -> None:
    with _tampered(store, tmp_path) as (folder, line):
        attack(line)
        assert _first(verify(folder))


def test_missing_and_foreign_files_are_answered_in_words(store: Path, tmp_path: Path) -> None:
    assert "no ledger here" in str(verify(tmp_path))
    (tmp_path / "line.db").write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 50)
    assert "line.db" in _first(verify(tmp_path, key=public_key(store / "keys" / "station.pub")))
    for victim in ("keys/station.pub", "checkpoints/line.jsonl", "desk.db"):
        with _tampered(store, tmp_path) as (folder, _):
            (folder / victim).unlink()
            assert not verify(folder).ok
            (folder / victim).mkdir()
            assert not verify(folder).ok


def test_an_image_that_is_gone_or_elsewhere_is_named(store: Path, tmp_path: Path) -> None:
    with _tampered(store, tmp_path) as (folder, _):
        image = next(folder.rglob("*.jpg"))
        image.unlink()
        assert "is gone" in _first(verify(folder))
        assert verify(folder, images=False).ok
