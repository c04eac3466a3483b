"""What was swapped, replayed or never signed is named, or `verify` says it cannot know (I4)."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from inspector.cli import app, words
from inspector.store import (
    DeskLedger,
    ImageArchive,
    LineLedger,
    Report,
    back_up,
    rebuild_index,
    restore,
    verify,
)
from inspector.store.bench import sample_verdict
from inspector.store.checkpoint import Signed, read_copies


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed store, all of it signed: 60 parts, an image, six reviews."""
    data = tmp_path_factory.mktemp("store")
    _fill(data, "s1")
    report = verify(data)
    assert report.ok and report.images == 1 and report.desk_records == 6, str(report)
    return data


@pytest.fixture
def tampered(store: Path, tmp_path: Path) -> Path:
    """A copy of the store that a test may change."""
    return Path(shutil.copytree(store, tmp_path / "data"))


def _fill(data: Path, station: str) -> None:
    with (
        LineLedger.open(data, station=station, checkpoint_records=20) as ledger,
        ImageArchive(data, reserve_mb=0) as archive,
        DeskLedger.open(data) as desk,
    ):
        for sequence in range(1, 61):
            verdict = sample_verdict(sequence)
            ledger.add_verdict(verdict)
            archive.offer(verdict, {"side": np.full((16, 16), sequence, np.uint8)})
            if sequence % 10 == 0:
                ledger.commit()
                desk.add("review", {"sequence": sequence}, "user:7")
        for record in archive.close():
            ledger.add_image(record)


def _first(report: Report) -> str:
    assert not report.ok
    return str(report.problems[0])


def test_a_pipe_where_a_file_was_is_named_and_not_waited_for(store: Path, tmp_path: Path) -> None:
    for number, pattern in enumerate(("images/**/*.jpg", "checkpoints/line.jsonl")):
        data = Path(shutil.copytree(store, tmp_path / str(number)))
        (file,) = data.glob(pattern)
        file.unlink()
        os.mkfifo(file)
        assert "is no file" in _first(verify(data))


def test_a_desk_record_that_no_checkpoint_signs_is_said_to_be_unsigned(tampered: Path) -> None:
    """Also where every record of the line is signed: a review of the night is as young."""
    assert not any("desk records are not" in note for note in verify(tampered).unknown)
    with DeskLedger.open(tampered) as desk:
        desk.add("review", {"sequence": 3}, "user:7")
        desk.add("review", {"sequence": 4}, "user:7")
    report = verify(tampered)
    assert report.ok and (report.desk_records, report.signed_desk_records) == (8, 6)
    said = "the last 2 desk records are not signed yet"
    assert any(note.startswith(said) for note in report.unknown), str(report)


def test_an_older_checkpoint_of_the_centre_in_the_place_of_the_newest_proves_no_tail(
    tampered: Path,
) -> None:
    """It lies on the disk whose tail was cut: `verify` goes on saying what it cannot know."""
    copies = [signed for _, signed in read_copies(tampered) if signed is not None]
    theirs = tampered / "checkpoints/centre.json"

    def countersigned(signed: Signed) -> str:
        words = {"body": signed.body.hex(), "signature": signed.signature.hex()}
        return json.dumps({"checkpoint": words, "countersignature": "…"})

    with closing(sqlite3.connect(tampered / "line.db")) as line, line:
        (end,) = line.execute(
            "SELECT length(marks) / 8 FROM checkpoint WHERE number = 0"
        ).fetchone()
        line.execute("DELETE FROM record WHERE position >= ?", (end,))
        line.execute("DELETE FROM checkpoint WHERE number >= 1")
        line.execute("DELETE FROM edge")
    rebuild_index(tampered)
    (tampered / "desk.db").unlink()
    copy = tampered / "checkpoints/line.jsonl"
    copy.write_bytes(copy.read_bytes().splitlines(keepends=True)[0])
    theirs.write_text(countersigned(copies[0]))
    told = " ".join(CliRunner().invoke(app, ["verify", str(tampered)]).output.split())
    assert "found only with a checkpoint that is held elsewhere" in told
    assert "centre.json" not in told
    theirs.write_text(countersigned(copies[-1]))
    found = [str(problem) for problem in verify(tampered, images=False).problems]
    assert any("checkpoints/centre.json signed" in one for one in found), found
    theirs.write_text("{}")
    assert _first(verify(tampered, images=False)).startswith("checkpoints/centre.json: was changed")


@pytest.mark.parametrize(
    "theirs", ["line.db", "desk.db", "keys/station.pub", "checkpoints/line.jsonl"]
)
def test_the_data_of_another_station_beside_ours_is_named(
    tampered: Path, tmp_path: Path, theirs: str
) -> None:
    other = tmp_path / "other"
    _fill(other, "s2")
    assert verify(other).ok
    for ending in ("", "-wal", "-shm"):  # a log of ours beside it would make it ours again
        (tampered / f"{theirs}{ending}").unlink(missing_ok=True)
        if (other / f"{theirs}{ending}").exists():
            shutil.copy(other / f"{theirs}{ending}", tampered / f"{theirs}{ending}")
    assert not verify(tampered).ok


def test_a_log_that_was_left_out_of_a_copy_is_a_cut_tail(tmp_path: Path) -> None:
    """Who copies line.db of a running station without its WAL has no whole ledger."""
    copy = tmp_path / "copy"
    with LineLedger.open(tmp_path / "data", station="s1", checkpoint_records=20) as ledger:
        for sequence in range(1, 31):
            ledger.add_verdict(sample_verdict(sequence))
            ledger.commit()
        shutil.copytree(tmp_path / "data", copy)
    assert verify(copy).ok, "the WAL was there"
    for left in copy.glob("line.db-*"):
        left.unlink()
    shutil.copytree(tmp_path / "data" / "checkpoints", copy / "checkpoints", dirs_exist_ok=True)
    assert not verify(copy).ok


def test_how_far_the_walk_is_shows_on_a_terminal_and_nowhere_else(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[str, int, int]] = []
    report = verify(store, told=lambda what, done, of: heard.append((what, done, of)))
    ended = {what: (done, of) for what, done, of in heard}
    assert ended["records"] == (report.records, report.records)
    assert ended["index rows"][0] == ended["index rows"][1] > report.verdicts
    assert all(0 <= done <= of for _, done, of in heard)
    for terminal, option, shows in (
        (True, [], True),
        (True, ["--json"], False),
        (False, [], False),
    ):
        screen = io.StringIO()
        console = Console(file=screen, force_terminal=terminal, width=100)
        monkeypatch.setattr(words, "console", console)
        done = CliRunner().invoke(app, ["verify", str(store), *option])
        assert done.exit_code == 0, done.output
        assert ("index rows" in screen.getvalue()) is shows
        assert not option or json.loads(done.stdout)["ok"] is True


def test_a_back_up_a_restore_and_new_indexes_say_how_far_they_are(
    store: Path, tmp_path: Path
) -> None:
    heard: set[str] = set()

    def told(what: str, done: int, of: int) -> None:
        assert 0 <= done <= of
        heard.add(what)

    back_up(store, tmp_path / "backup", told=told)
    assert {"pictures", "records", "index rows"} <= heard
    heard.clear()
    restore(tmp_path / "backup", tmp_path / "data", "erika", told=told)
    assert {"pictures", "records", "index rows"} <= heard
    heard.clear()
    rebuild_index(tmp_path / "data", told=told)
    assert heard == {"records"}
