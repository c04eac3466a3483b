"""A back-up of a running station is one moment of it; restored, it verifies and goes on."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from inspector import cli
from inspector.config import Retention
from inspector.identity import Principal, Role, Users
from inspector.store import (
    DeskLedger,
    History,
    ImageArchive,
    LineLedger,
    RecordError,
    StoreDamaged,
    StoreError,
    back_up,
    backup,
    restore,
    retain,
    verify,
)
from inspector.store.bench import sample_gate, sample_verdict
from inspector.store.files import copy_file
from inspector.store.retention import DAY_NS
from inspector.store.tags import Sample, Tags


def _run(data: Path, first: int, last: int) -> None:
    with (
        LineLedger.open(data, station="s1", checkpoint_records=20) as ledger,
        ImageArchive(data, reserve_mb=0, pass_image_every=10) as archive,
        DeskLedger.open(data) as desk,
    ):
        for sequence in range(first, last + 1):
            verdict = sample_verdict(sequence)
            ledger.add_verdict(verdict)
            ledger.add_gate(sample_gate(verdict))
            archive.offer(verdict, {"side": np.full((16, 16), sequence % 250, np.uint8)})
            if sequence % 20 == 0:
                ledger.commit()
                desk.add("review", {"sequence": sequence}, "user:7")
        for record in archive.close():
            ledger.add_image(record)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A station's data: 100 parts, 11 pictures, a user, an approved recipe, a waiting upload."""
    data = tmp_path / "data"
    _run(data, 1, 100)
    admin = Principal("setup", frozenset({Role.ADMIN}))
    Users(data).add_user("anna", [Role.QA], pin="2580", principal=admin)
    for name in ("recipes/bottle.yaml/approved.yaml", "outbox/segment-1"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(name)
    (data / "run").mkdir()
    (data / "run/bus.key").write_text("secret")
    return data


def test_a_station_comes_back_whole_and_goes_on(data: Path, tmp_path: Path) -> None:
    done = back_up(data, tmp_path / "copy")
    assert (done.verdicts, done.images, done.new_images) == (100, 11, 11)
    back = restore(tmp_path / "copy", tmp_path / "new", "user:9")
    assert (back.verdicts, back.images) == (100, 11)
    report = verify(tmp_path / "new")
    assert report.ok and report.images == 11
    with History(tmp_path / "new") as history:
        assert history.desk("store.restored")[0].principal == "user:9"
        assert history.by_sequence("plc-1", 50) is not None
    assert Users(tmp_path / "new").verify_pin("anna", "2580").id == "anna"
    assert (tmp_path / "new/outbox/segment-1").exists()
    assert (tmp_path / "new/recipes/bottle.yaml/approved.yaml").exists()
    assert not (tmp_path / "new/run").exists()
    _run(tmp_path / "new", 101, 120)
    assert verify(tmp_path / "new").verdicts == 120


def test_the_private_key_is_for_its_owner_alone(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "new", "user:9")
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o700
    for key in tmp_path.rglob("station.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


def test_a_running_station_is_copied_at_one_moment(data: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    trouble: list[BaseException] = []

    def work() -> None:
        try:
            with (
                LineLedger.open(data, station="s1", checkpoint_records=7) as ledger,
                DeskLedger.open(data) as desk,
            ):
                sequence = 1000
                while not stop.is_set():
                    sequence += 1
                    ledger.add_verdict(sample_verdict(sequence))
                    ledger.commit()
                    desk.add("review", {"sequence": sequence}, "user:7")
                    stop.wait(0.001)
        except BaseException as error:
            trouble.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        seen = [back_up(data, tmp_path / "copy").records for _ in range(4)]
    finally:
        stop.set()
        thread.join()
    assert not trouble
    assert seen == sorted(set(seen))
    restore(tmp_path / "copy", tmp_path / "new", "user:9")
    assert verify(tmp_path / "new").ok and verify(data).ok


def test_process_values_are_copied_at_that_moment_too(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large ledger takes longer to copy than the minute in which they are sealed."""
    now_ns = [1_800_000_000_000_000_000]

    def slowly(source: Path, target: Path) -> int:
        now_ns[0] += 61 * 10**9
        tags.add([Sample("oven", 181.0, "Cel", now_ns[0])], "scada")
        return copy_file(source, target)

    with Tags(data, utc_ns=lambda: now_ns[0]) as tags, monkeypatch.context() as patch:
        tags.add([Sample("oven", 180.0, "Cel", now_ns[0])], "scada")
        patch.setattr(backup, "copy_file", slowly)
        back_up(data, tmp_path / "copy")

    restore(tmp_path / "copy", tmp_path / "new", "user:9")
    with Tags(tmp_path / "new") as restored:
        assert restored.series("oven", 0, 1 << 62)[0].value == 180.0


def test_a_mark_of_process_values_that_was_changed_is_backed_up_as_it_is(
    data: Path, tmp_path: Path
) -> None:
    with Tags(data) as tags:
        tags.add([Sample("oven", 180.0, "Cel", 1)], "scada")
    with sqlite3.connect(data / "tags.db") as values:
        values.execute("UPDATE sealed SET last = 7")
    values.close()

    with pytest.raises(StoreDamaged, match="says that 7 samples is sealed"):
        back_up(data, tmp_path / "copy")
    assert back_up(data, tmp_path / "copy", even_damaged=True).records > 0


def test_a_second_back_up_copies_only_new_images(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "copy")
    (tmp_path / "copy/ledger-cut-short").mkdir()  # as a power cut in a back-up leaves it
    _run(data, 101, 160)
    done = back_up(data, tmp_path / "copy")
    assert (done.verdicts, done.new_images) == (160, 6)
    assert len(list((tmp_path / "copy").glob("ledger-*"))) == 1
    restore(tmp_path / "copy", tmp_path / "new", "user:9")
    assert verify(tmp_path / "new").images == 17


def _let_all_go(data: Path) -> None:
    late = Retention(budget_gb=1e-9, unacknowledged="delete")
    with History(data) as history:
        newest = history.last()[0].verdict.times.utc_ns
    assert retain(data, late, "user:7", utc_ns=newest + 2 * DAY_NS).files > 0


def test_what_retention_let_go_is_no_gap_and_goes_from_the_back_up_too(
    data: Path, tmp_path: Path
) -> None:
    """It stayed there for ever, and all of it came back with a restore, however small the disk."""
    back_up(data, tmp_path / "copy")
    (kept, *_) = sorted((data / "images").rglob("*.jpg"))
    _let_all_go(data)
    there = tmp_path / "copy" / kept.relative_to(data)
    left = there.read_bytes()
    done = back_up(data, tmp_path / "copy")
    assert (done.images, done.new_images) == (0, 0)
    assert not list((tmp_path / "copy/images").rglob("*.jpg"))
    there.parent.mkdir(parents=True)
    there.write_bytes(left)  # as an earlier version left it
    back = restore(tmp_path / "copy", tmp_path / "new", "user:9")
    assert back.new_images == 0
    assert verify(tmp_path / "new").images_deleted == 11


def test_a_back_up_that_fails_leaves_the_one_before(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "copy")
    next((data / "images").rglob("*.jpg")).unlink()
    shutil.rmtree(tmp_path / "copy/images")
    line = sqlite3.connect(data / "line.db")
    line.execute("UPDATE record SET mark = mark + 1 WHERE position = 20")
    line.commit()
    line.close()
    before = (tmp_path / "copy/backup.json").read_bytes()
    with pytest.raises(StoreDamaged, match=r"does not verify: line\.db record 20"):
        back_up(data, tmp_path / "copy")
    assert (tmp_path / "copy/backup.json").read_bytes() == before
    done = back_up(data, tmp_path / "copy", even_damaged=True)
    assert "line.db record 20" in done.notes[0]
    back_up(data, tmp_path / "copy", even_damaged=True)  # it took the place of the good one
    kept = {path.name for path in (tmp_path / "copy").glob("ledger-*")}
    assert len(kept) == 2 and json.loads(before)["moment"] in kept
    with pytest.raises(StoreDamaged, match="does not verify"):
        restore(tmp_path / "copy", tmp_path / "new", "user:9")
    shutil.rmtree(tmp_path / "new")
    restore(tmp_path / "copy", tmp_path / "new", "user:9", even_damaged=True)


@pytest.mark.parametrize("table", ["image", "checkpoint"])
def test_a_ledger_with_a_page_gone_bad_is_kept_with_all_its_pictures(
    data: Path, tmp_path: Path, table: str
) -> None:
    """No back-up was made at all of a disk that fails, though it was asked for as it is."""
    line = sqlite3.connect(data / "line.db")
    query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
    (page,) = line.execute(query, (table,)).fetchone()
    line.close()
    with (data / "line.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(StoreDamaged, match="malformed"):
        back_up(data, tmp_path / "copy")
    back_up(data, tmp_path / "copy", even_damaged=True)
    back = restore(tmp_path / "copy", tmp_path / "new", "user:9", even_damaged=True)
    assert back.new_images == 11 and "malformed" in back.notes[0]


def test_a_back_up_that_was_changed_is_refused_by_name(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "copy")
    users = next((tmp_path / "copy").rglob("users.db"))
    users.write_bytes(users.read_bytes() + b"x")
    with pytest.raises(StoreDamaged, match=r"users\.db: was changed since"):
        restore(tmp_path / "copy", tmp_path / "new", "user:9")


def test_a_picture_that_went_bad_on_the_back_ups_disk_is_copied_again(
    data: Path, tmp_path: Path
) -> None:
    back_up(data, tmp_path / "copy")
    picture = next((tmp_path / "copy/images").rglob("*.jpg"))
    picture.write_bytes(bytes(picture.stat().st_size))
    with pytest.raises(StoreDamaged, match="images/"):
        restore(tmp_path / "copy", tmp_path / "bad", "user:9")
    back_up(data, tmp_path / "copy")
    assert restore(tmp_path / "copy", tmp_path / "new", "user:9").images == 11
    # … or goes, where the station has none any more: no back-up was whole again
    _let_all_go(data)
    picture.write_bytes(bytes(picture.stat().st_size))
    assert back_up(data, tmp_path / "copy").images == 0


def test_where_a_restore_was_interrupted_no_line_begins(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began with what there was: with a new ledger, or without the pictures of the old one."""
    back_up(data, tmp_path / "usb")
    there = tmp_path / "pc"

    def cut(source: Path, target: Path) -> int:
        if target.suffix == ".jpg":
            raise KeyboardInterrupt
        return copy_file(source, target)

    monkeypatch.setattr(backup, "copy_file", cut)
    with pytest.raises(KeyboardInterrupt):
        restore(tmp_path / "usb", there, "it")
    monkeypatch.undo()
    assert (there / "line.db").exists()
    with pytest.raises(StoreError, match="a restore was interrupted here; empty the folder"):
        LineLedger.open(there, station="s1")
    with pytest.raises(StoreError, match="a restore was interrupted here; empty the folder"):
        restore(tmp_path / "usb", there, "it")
    with pytest.raises(StoreError, match="a restore was interrupted here; empty the folder"):
        back_up(there, tmp_path / "usb")
    shutil.rmtree(there)
    restore(tmp_path / "usb", there, "it")
    LineLedger.open(there, station="s1").close()


def test_what_cannot_be_backed_up_or_restored_is_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="on another disk"):
        back_up(data, data / "copy")
    with pytest.raises(StoreError, match="no ledger here"):
        back_up(tmp_path / "nothing", tmp_path / "copy")
    with pytest.raises(StoreError, match="no whole back-up here"):
        restore(tmp_path / "copy", tmp_path / "new", "user:9")
    with pytest.raises(StoreError, match="is not empty"):
        restore(tmp_path / "copy", data, "user:9")
    with pytest.raises(RecordError, match="principal"):
        restore(tmp_path / "copy", tmp_path / "new", "")


def test_the_commands_back_up_and_restore(data: Path, tmp_path: Path) -> None:
    run, copy = CliRunner().invoke, str(tmp_path / "copy")
    saved = run(cli.app, ["backup", str(data), copy, "--json"])
    assert saved.exit_code == 0 and json.loads(saved.output)["verdicts"] == 100
    back = run(cli.app, ["restore", copy, str(tmp_path / "new"), "--as", "user:9", "--json"])
    assert back.exit_code == 0 and json.loads(back.output)["images"] == 11
