"""Images go by rule, tombstone first; records never do, and what is held or unsent stays."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from inspector import cli
from inspector.config import Retention
from inspector.part import Outcome, Verdict
from inspector.store import (
    DeskLedger,
    History,
    ImageArchive,
    LineLedger,
    RecordError,
    StoreError,
    hold_evidence,
    legal_holds,
    retain,
    signing_key,
    verify,
)
from inspector.store.bench import sample_verdict
from inspector.store.retention import ACKNOWLEDGED, DAY_NS
from inspector.store.tombstone import KIND, tombstone

NOW = time.time_ns()
ALL = Retention(unacknowledged="delete")
SHORT = Retention(
    pass_days=1, error_days=1, reject_days=1, reviewed_days=1, unacknowledged="delete"
)


def _part(sequence: int, outcome: Outcome, days: float, batch: str, *, synced: bool) -> Verdict:
    verdict = sample_verdict(sequence, batch=batch)
    times = replace(verdict.times, utc_ns=NOW - int(days * DAY_NS), clock_synced=synced)
    return replace(verdict, outcome=outcome, times=times, serial=f"SN{sequence}")


def _make(data: Path, parts: list[tuple[Outcome, float, str]], *, synced: bool = True) -> Path:
    """One part with one picture of its own for each (outcome, age in days, batch)."""
    with (
        LineLedger.open(data, station="s1") as ledger,
        ImageArchive(data, reserve_mb=0, pass_image_every=1) as archive,
    ):
        for sequence, (outcome, days, batch) in enumerate(parts, 1):
            verdict = _part(sequence, outcome, days, batch, synced=synced)
            ledger.add_verdict(verdict)
            archive.offer(verdict, {"side": np.full((16, 16), sequence % 250, np.uint8)})
        for record in archive.close():
            ledger.add_image(record)
    return data


PASS, REJECT, ERROR = Outcome.PASS, Outcome.REJECT, Outcome.ERROR
PARTS = [
    (PASS, 40, "A"),
    (PASS, 20, "A"),
    (ERROR, 40, "A"),
    (ERROR, 100, "A"),
    (REJECT, 100, "A"),
    (REJECT, 800, "A"),
    (REJECT, 900, "B"),
    (PASS, 40, "B"),
    (PASS, 0, "C"),
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make(tmp_path_factory.mktemp("template"), PARTS)


@pytest.fixture
def data(template: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(template, tmp_path / "data"))


def _left(data: Path) -> set[int]:
    """Sequence numbers whose picture is still there."""
    with History(data) as history:
        return {
            part.verdict.sequence
            for part in history.last(100)
            for image in part.images
            if (data / image.path).exists()
        }


def test_each_class_has_its_days_and_verify_knows_what_went(data: Path) -> None:
    before = _records(data)
    would = retain(data, ALL, "user:7", dry_run=True)
    assert _left(data) == set(range(1, 10)) and _records(data) == before
    done = retain(data, ALL, "user:7")
    assert _left(data) == {2, 3, 5, 9}
    assert would.as_dict() == done.as_dict()
    assert (done.files, done.kept_files, done.waiting) == (5, 4, 0)
    assert done.by_rule == {
        "pass older than 30 days": 2,
        "error older than 90 days": 1,
        "reject older than 730 days": 2,
    }
    assert _records(data) == before
    report = verify(data)
    assert report.ok and (report.images, report.images_deleted) == (4, 5)
    with History(data) as history:
        assert {record.principal for record in history.desk(KIND)} == {"user:7"}
    assert retain(data, ALL, "user:7").files == 0


def _records(data: Path) -> int:
    with History(data) as history:
        return history.size()


def test_what_the_centre_has_not_acknowledged_stays(data: Path) -> None:
    done = retain(data, Retention(), "system:sync")
    assert (done.files, done.waiting) == (0, 5)
    with History(data) as history:
        size = history.size()
    with DeskLedger.open(data) as desk:
        desk.add(ACKNOWLEDGED, {"records": size - 1}, "system:sync")  # all but the newest image
    picture = next(iter(_paths(data, 1)))
    (data / "outbox").mkdir()
    (data / "outbox" / f"{picture.stem}.jpg").touch()
    assert retain(data, Retention(), "system:sync").files == 4
    assert _left(data) == {1, 2, 3, 5, 9}
    (data / "outbox" / f"{picture.stem}.jpg").unlink()
    assert retain(data, Retention(), "system:sync").files == 1


def _paths(data: Path, sequence: int) -> list[Path]:
    with History(data) as history:
        part = history.by_sequence("plc-1", sequence)
    assert part is not None
    return [data / image.path for image in part.images]


def test_what_is_on_hold_stays_until_it_is_lifted(data: Path) -> None:
    hold_evidence(data, "batch", "B", "complaint 4711", "user:8")
    with DeskLedger.open(data) as desk:
        body = {"disposition": "hold", "reason": "smeared", "requester": "mes"}
        desk.add("disposition", body | {"runs": [["plc-1", 6, 6]]}, "mes")
    assert retain(data, SHORT, "user:7").files == 5
    assert _left(data) == {6, 7, 8, 9}
    with pytest.raises(RecordError, match="no legal hold on batch A"):
        hold_evidence(data, "batch", "A", "over", "user:8", lift=True)
    with pytest.raises(RecordError, match="for a reason"):
        hold_evidence(data, "batch", "B", " ", "user:8", lift=True)
    hold_evidence(data, "batch", "B", "settled", "user:8", lift=True)
    assert legal_holds(data).standing == ()
    retain(data, SHORT, "user:7")
    assert _left(data) == {6, 9}


@pytest.mark.parametrize("scope", ["serial", "part", "everything"])
def test_a_legal_hold_names_a_serial_a_part_or_everything(data: Path, scope: str) -> None:
    with History(data) as history:
        part = history.by_sequence("plc-1", 6)
    assert part is not None
    name = {"serial": "SN6", "part": str(part.verdict.part_id), "everything": ""}[scope]
    hold_evidence(data, scope, name, "complaint", "user:8")
    retain(data, SHORT, "user:7")
    assert _left(data) == ({6, 9} if scope != "everything" else set(range(1, 10)))


def test_a_legal_hold_knows_a_part_however_its_id_is_spelled(data: Path) -> None:
    with History(data) as history:
        part = history.by_sequence("plc-1", 6)
    assert part is not None
    hold_evidence(data, "part", str(part.verdict.part_id).upper(), "complaint", "user:8")
    retain(data, SHORT, "user:7")
    assert _left(data) == {6, 9}
    hold_evidence(data, "part", part.verdict.part_id.hex, "settled", "user:8", lift=True)
    assert legal_holds(data).standing == ()
    with pytest.raises(RecordError, match="a part's id is a UUID, never 'SN6'"):
        hold_evidence(data, "part", "SN6", "complaint", "user:8")


def test_a_hold_that_nobody_understands_holds_everything(data: Path) -> None:
    with DeskLedger.open(data) as desk:
        desk.add("legal_hold", {"action": "place", "scope": "pallet", "name": "7"}, "mes")
    assert retain(data, SHORT, "user:7").files == 0


def test_what_was_reviewed_has_its_own_days(data: Path) -> None:
    with DeskLedger.open(data) as desk:
        desk.add("review", {"serial": "SN6", "agrees": True}, "user:8")
        desk.add("review", {"stream": "plc-1", "sequence": 7, "agrees": False}, "user:8")
    assert retain(data, ALL, "user:7").by_rule["reject older than 730 days"] == 0
    assert {6, 7} <= _left(data)


def test_over_the_budget_passes_go_first_and_the_newest_day_never(data: Path) -> None:
    size = sum(path.stat().st_size for path in (data / "images").rglob("*.jpg"))
    rules = Retention(
        pass_days=1e4, error_days=1e4, reject_days=1e4, reviewed_days=1e4,
        budget_gb=size * 0.6 / 1e9, unacknowledged="delete",
    )  # fmt: skip
    done = retain(data, rules, "user:7")
    assert {5, 6, 7, 9} <= _left(data) and {1, 2, 8}.isdisjoint(_left(data))
    assert all("over the budget" in why for why in done.by_rule)
    tiny = rules.model_copy(update={"budget_gb": 1e-9})
    assert "on hold, younger than a day" in retain(data, tiny, "user:7").notes[0]
    assert _left(data) == {9}
    assert verify(data).ok


def test_a_clock_that_runs_away_deletes_nothing_by_age(data: Path, tmp_path: Path) -> None:
    century = NOW + 36500 * DAY_NS
    assert retain(data, ALL, "user:7", utc_ns=century).files == 5
    assert 2 in _left(data)
    unsure = _make(tmp_path / "unsure", PARTS, synced=False)
    done = retain(unsure, ALL, "user:7")
    assert done.files == 0 and "not synchronised" in done.notes[0]


def test_what_was_made_before_the_clock_was_set_is_no_older_than_what_followed(
    tmp_path: Path,
) -> None:
    """A machine whose battery is empty begins in 1970, until NTP answers."""
    days = [(40.0, True), (20_000.0, False), (20_000.0, False), (20.0, True), (50.0, False)]
    with (
        LineLedger.open(tmp_path, station="s1") as ledger,
        ImageArchive(tmp_path, reserve_mb=0, pass_image_every=1) as archive,
    ):
        for sequence, (age, synced) in enumerate([*days, (0.0, True)], 1):
            verdict = _part(sequence, PASS, age, "A", synced=synced)
            times = replace(verdict.times, boot_id=f"boot {sequence}")
            ledger.add_verdict(replace(verdict, times=times))
            archive.offer(verdict, {"side": np.full((16, 16), sequence, np.uint8)})
        for record in archive.close():
            ledger.add_image(record)

    retain(tmp_path, ALL, "user:7")
    assert _left(tmp_path) == {2, 3, 4, 5, 6}
    retain(tmp_path, SHORT, "user:7")
    assert _left(tmp_path) == {5, 6}  # as old as the parts that followed, and these are


def test_a_file_of_two_parts_stays_as_long_as_either_asks(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with (
        LineLedger.open(data, station="s1") as ledger,
        ImageArchive(data, reserve_mb=0, pass_image_every=1) as archive,
    ):
        for sequence, outcome in ((1, PASS), (2, REJECT)):
            verdict = _part(sequence, outcome, 40, "A", synced=True)
            ledger.add_verdict(verdict)
            archive.offer(verdict, {"side": np.zeros((16, 16), np.uint8)})
        for record in archive.close():
            ledger.add_image(record)
    assert len(list((data / "images").rglob("*.jpg"))) == 1
    assert retain(data, ALL, "user:7").files == 0
    assert retain(data, SHORT, "user:7").files == 1
    report = verify(data)
    assert report.ok and report.images_deleted == 2


def test_a_file_that_outlived_its_tombstone_goes_next_time(data: Path) -> None:
    picture = _paths(data, 1)[0]
    content = picture.read_bytes()
    retain(data, ALL, "user:7")
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(content)  # as after a power cut between the record and the file
    assert verify(data).ok
    assert retain(data, ALL, "user:7").finished == 1
    assert not picture.exists()


def test_a_picture_whose_line_was_killed_before_its_record_goes_after_two_days(data: Path) -> None:
    """Nobody can ever ask for it; it stayed for ever. What a damaged index has forgotten stays."""
    folder = data / "images/2026/11/25/A"
    folder.mkdir(parents=True, exist_ok=True)
    for name, days in (("old.jpg", 3), (".half.jpg.part", 3), ("new.jpg", 1)):
        (folder / name).write_bytes(b"picture")
        os.utime(folder / name, ns=(NOW, NOW - days * DAY_NS))
    for path in (data / "images").rglob("*.jpg"):
        if path.parent != folder or len(path.stem) > 60:
            os.utime(path, ns=(NOW, NOW - 3 * DAY_NS))
    with sqlite3.connect(data / "line.db") as line:
        line.execute("DELETE FROM image")
    assert retain(data, ALL, "user:7", dry_run=True).orphans == 2
    hold_evidence(data, "everything", "", "a trial", "user:7")
    assert retain(data, ALL, "user:7").orphans == 0
    hold_evidence(data, "everything", "", "it is over", "user:7", lift=True)
    before = set((data / "images").rglob("*.jpg"))
    assert retain(data, ALL, "user:7").orphans == 2
    assert set((data / "images").rglob("*.jpg")) == before - {folder / "old.jpg"}
    assert not (folder / ".half.jpg.part").exists()


def test_a_picture_that_is_gone_without_a_true_tombstone_is_still_a_problem(data: Path) -> None:
    picture = _paths(data, 5)[0]
    picture.unlink()
    with History(data) as history:
        part = history.by_sequence("plc-1", 5)
    assert part is not None
    line = sqlite3.connect(data / "line.db")
    positions = [row[0] for row in line.execute("SELECT position FROM image")]
    line.close()
    digest = bytes.fromhex(part.images[0].digest)
    with DeskLedger.open(data) as desk:
        body = tombstone([(at, digest) for at in positions], "pass", "mine", signing_key(data))
        desk.add(KIND, body | {"signature": bytes(64)}, "user:7")
        desk.add(KIND, body | {"rule": "another"}, "user:7")
        desk.add(KIND, {"images": "all"}, "user:7")
    report = verify(data)
    assert not report.ok and "is gone" in str(report.problems[0])
    with DeskLedger.open(data) as desk:
        desk.add(KIND, body, "user:7")
    assert verify(data).ok


def test_evidence_outlives_samples_and_every_write_names_somebody(data: Path) -> None:
    with pytest.raises(ValidationError, match="evidence outlives samples"):
        Retention(reject_days=10)
    with pytest.raises(RecordError, match="principal"):
        retain(data, ALL, "")
    with pytest.raises(StoreError, match="no ledger here"):
        retain(data / "images", ALL, "user:7")


def test_a_hold_in_a_folder_that_is_no_stations_is_refused(tmp_path: Path) -> None:
    for more in ([], ["--batch", "B", "--reason", "complaint"]):
        with pytest.raises(StoreError, match="no ledger here"):
            CliRunner().invoke(
                cli.app, ["legal-hold", str(tmp_path), *more], catch_exceptions=False
            )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--lift"], ["--reason", "complaint"]])
def test_a_hold_that_names_nothing_is_no_list_of_holds(data: Path, words: list[str]) -> None:
    asked = CliRunner().invoke(cli.app, ["legal-hold", str(data), *words])
    assert asked.exit_code == 2


def test_a_part_is_held_however_its_id_was_typed(data: Path) -> None:
    with History(data) as history:
        part = history.by_sequence("plc-1", 6)
    assert part is not None
    words = ["legal-hold", str(data), "--reason", "complaint", "--json", "--part"]
    asked = CliRunner().invoke(cli.app, [*words, str(part.verdict.part_id).upper()])
    assert [hold["name"] for hold in json.loads(asked.stdout)] == [str(part.verdict.part_id)]
    with pytest.raises(RecordError, match="is a UUID"):
        CliRunner().invoke(cli.app, [*words, "SN6"], catch_exceptions=False)


def test_a_hold_on_what_the_ledger_does_not_know_is_placed_and_told(data: Path) -> None:
    words = ["legal-hold", str(data), "--reason", "complaint", "--json"]
    for known, unknown in (
        (("--batch", "B"), ("--batch", "b")),
        (("--serial", "SN6"), ("--serial", "SN06")),
    ):
        assert CliRunner().invoke(cli.app, [*words, *known]).stderr == ""
        asked = CliRunner().invoke(cli.app, [*words, *unknown])
        assert "look whether the name is right" in asked.stderr
        assert unknown[1] in [hold["name"] for hold in json.loads(asked.stdout)]


def test_nothing_is_deleted_by_rules_that_nobody_stated(data: Path) -> None:
    """A station that keeps passes for a year lost them after the default's thirty days."""
    before = _left(data)
    asked = CliRunner().invoke(cli.app, ["retain", str(data)])
    assert asked.exit_code == 2 and "--station" in asked.output
    assert _left(data) == before


def test_the_commands_hold_and_retain(data: Path) -> None:
    run = CliRunner().invoke
    words = ["legal-hold", str(data), "--batch", "B", "--reason", "complaint", "--json"]
    held = run(cli.app, words)
    assert held.exit_code == 0 and json.loads(held.output)[0]["name"] == "B"
    done = run(cli.app, ["retain", str(data), "--dry-run", "--json"])
    assert done.exit_code == 0 and json.loads(done.output)["waiting"] == 3
