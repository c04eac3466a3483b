"""Archived segments keep answering: every question has the answer that it had before (I4, I8, S11).

One ledger is asked all that can be asked of it, twice archived, and asked again.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from inspector.cli import app
from inspector.part import Batch
from inspector.processes import sole
from inspector.store import (
    DeskLedger,
    DuplicateVerdict,
    History,
    ImageArchive,
    LineLedger,
    RecordError,
    StoreDamaged,
    StoreError,
    StoreInUse,
    back_up,
    check_package,
    check_proof,
    pack_batch,
    prove_part,
    public_key,
    query,
    rebuild_index,
    restore,
    verify,
)
from inspector.store import pages as ledger_pages
from inspector.store.aside import Aside
from inspector.store.bench import sample_gate, sample_verdict
from inspector.store.export import export_batch
from inspector.store.figures import period
from inspector.store.genealogy import Genealogy
from inspector.store.recalls import Criteria, MaterialLot, affected
from inspector.store.segments import archive
from inspector.sync.tail import Tail

PARTS, PER_BATCH = 3000, 500
STREAM = "plc-1"


def fill(data: Path, first: int = 1, parts: int = PARTS) -> None:
    """Parts with serials, gate decisions, pictures and batches; a material lot in two of them."""
    pixels = np.random.default_rng(1).integers(0, 256, (24, 32), np.uint8)
    with LineLedger.open(data, station="s1") as ledger, ImageArchive(data, reserve_mb=0) as images:
        for number in range(first, first + parts):
            batch = f"L{number // PER_BATCH}"
            if number % PER_BATCH == 0 or number == first:
                ledger.add_batch(Batch(batch, "04012345123456", "bottle"), "begin", "mes")
            verdict = replace(sample_verdict(number, batch=batch), serial=f"S{number}")
            ledger.add_verdict(verdict)
            ledger.add_gate(sample_gate(verdict))
            if number % 250 == 0:
                ledger.commit()
            if number % 100 == 0:
                images.offer(verdict, {"side": pixels})
        ledger.add_event("alarm", "line", code="air_low", detail="")
        for image in images.close():
            ledger.add_image(image)
    with DeskLedger.open(data) as desk:
        for batch in ("L1", "L2"):
            desk.add("link", {"relation": "consumed", "batch": batch, "material": "cap",
                              "lot": f"CL-{first}", "from": None, "to": None}, "mes")  # fmt: skip


def answers(data: Path, folder: Path) -> dict[str, Any]:
    """All that a ledger is asked, about old and new."""
    folder.mkdir()
    with History(data, bound_s=30) as history, Genealogy(data) as genealogy:
        asked: dict[str, Any] = {
            "serials": [history.by_serial(f"S{n}") for n in (1, 700, 1999, PARTS)],
            "numbers": [history.by_sequence(STREAM, n) for n in (1, 700, 1999, PARTS)],
            "newest": history.last(50),
            "size": history.size(),
            "counts": history.counts(),
            "batches": [history.batch(f"L{n}") for n in range(6)],
            "defects": history.defects("L1"),
            "page": history.with_defect("cap", "L1"),
            "changes": history.batch_changes(100),
            "events": history.events("alarm", 10),
            "recall": affected(history, genealogy, Criteria(lots=(MaterialLot("CL-1"),))),
            "newest verdict": ledger_pages.newest(history),
            "tail": ledger_pages.tail(history, -1, 200, passes=True),
            "batch ids": ledger_pages.batch_ids(history, limit=100),
        }
        part = history.by_serial("S700")[0].verdict.part_id
    asked["part"] = part
    with closing(Tail(data, "line")) as tail:
        asked["sync"] = [leaf for _, _, leaf in tail.read(0, tail.end())]
    export_batch(data, "L1", "csv", folder / "L1.csv")
    asked["csv"] = (folder / "L1.csv").read_text()
    key = public_key(data / "keys" / "station.pub")
    for n in (1, PARTS):
        (folder / f"{n}.json").write_text(json.dumps(prove_part(data, serial=f"S{n}")))
        assert check_proof(folder / f"{n}.json", key).serial == f"S{n}"
    pack_batch(data, "L1", folder / "L1.zip", "qa")
    asked["packed"] = check_package(folder / "L1.zip", key).parts
    report = verify(data)
    assert report.ok, str(report)
    asked["verified"] = (report.verdicts, report.images)
    return asked


def stays(data: Path) -> int:
    """How many records line.db itself holds."""
    with closing(sqlite3.connect(data / "line.db")) as line, line:
        return int(line.execute("SELECT count(*) FROM record").fetchone()[0])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("filled") / "data"
    fill(data)
    return data


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    shutil.copytree(filled, tmp_path / "data")
    return tmp_path / "data"


def test_every_question_has_the_answer_that_it_had(data: Path, tmp_path: Path) -> None:
    before = answers(data, tmp_path / "before")
    size = before["size"]
    first = archive(data, "erika", keep=4000)
    assert first.first == 0 and size - 5100 < first.last < size - 4000
    assert stays(data) == size - first.last - 1
    between = answers(data, tmp_path / "between")
    second = archive(data, "erika", keep=1500)
    assert second.first == first.last + 1 and stays(data) < 2600
    after = answers(data, tmp_path / "after")
    for name, answer in before.items():
        assert between[name] == answer and after[name] == answer, name


def test_a_dashboard_reads_no_more_than_it_shows(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its slices read all that was archived, a dozen times: none was ever drawn."""
    archive(data, "erika", keep=1000)
    with History(data) as history:
        ends = [p.verdict.times.utc_ns for p in (*history.by_serial("S1"), *history.last(1))]
        looks = count()  # each after 2,000 steps of SQLite
        monkeypatch.setattr(query, "time", SimpleNamespace(monotonic=lambda: next(looks) * 0.0))
        found = period(history, [(ends[0] - 10**9, ends[1] + 10**9)], 48)
        drawn = next(looks)
        assert drawn < 200
        with history.line() as line:
            aside = Aside(line, history.definition)
            assert len(aside.besides("L1", (0, 1 << 40))) == (PARTS - PER_BATCH) // 50
        assert next(looks) < drawn + 8
    assert (found.parts, found.rejected) == (PARTS, PARTS // 50)


def test_the_line_goes_on_where_it_was(data: Path, tmp_path: Path) -> None:
    """Also over a restart: it knows its numbers, contexts and what the gate never acknowledged."""
    with LineLedger.open(data, station="s1") as ledger:
        unheard = ledger.unacknowledged(1000)
        known = ledger.last_sequence(STREAM)
    archive(data, "erika", keep=1000)
    with LineLedger.open(data, station="s1") as ledger:
        assert (ledger.unacknowledged(1000), ledger.last_sequence(STREAM)) == (unheard, known)
        assert ledger.missing(STREAM, PARTS + 2, 1) == [range(PARTS + 1, PARTS + 3)]
        with pytest.raises(DuplicateVerdict):
            ledger.add_verdict(sample_verdict(5))
        with pytest.raises(StoreInUse):
            archive(data, "erika", keep=1000)
    fill(data, PARTS + 1, 1200)
    archive(data, "erika", keep=1000)
    assert verify(data).ok
    with History(data) as history:
        assert history.counts() and len(history.by_serial("S5")) == 1
        assert history.by_serial(f"S{PARTS + 1200}")
    assert rebuild_index(data) > PARTS
    with History(data) as history:
        assert history.by_serial("S5")


def test_who_archived_what_is_on_record(data: Path) -> None:
    done = archive(data, "erika", keep=1000)
    with History(data) as history:
        (record,) = history.desk("ledger.archived")
    assert record.principal == "erika" and record.body == done.as_dict()
    with pytest.raises(RecordError, match="principal"):
        archive(data, " ", keep=1000)


def test_the_tenth_archiving_makes_the_ninth_segment_anew(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for n in range(11):
        fill(data, n * 600 + 1, 600)
        archive(data, "erika", keep=100)
    files = sorted(path.name for path in (data / "segments").iterdir())
    assert len(files) == 9
    assert verify(data).ok
    with History(data) as history:
        assert all(history.by_serial(f"S{n}") for n in (1, 2000, 5900, 6600))


def test_nothing_to_archive_is_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing to archive"):
        archive(data, "erika", keep=1_000_000)
    archive(data, "erika", keep=1000)
    with pytest.raises(StoreError, match="nothing to archive"):
        archive(data, "erika", keep=1000)
    with pytest.raises(StoreError, match="no ledger"):
        archive(tmp_path / "nowhere", "erika")


def test_what_was_never_signed_is_not_archived(data: Path) -> None:
    """A record that was changed stays in line.db, where `verify` names it."""
    with closing(sqlite3.connect(data / "line.db")) as line, line:
        line.execute("UPDATE record SET body = body || x'00' WHERE position = 700")
    size = stays(data)
    with pytest.raises(StoreDamaged, match="record 700 is not what was stored"):
        archive(data, "erika", keep=1000)
    assert stays(data) == size and not list((data / "segments").iterdir())


def test_a_changed_or_missing_segment_is_named(data: Path) -> None:
    done = archive(data, "erika", keep=1000)
    file = data / done.file
    file.chmod(0o600)
    with closing(sqlite3.connect(file)) as segment, segment:
        segment.execute("UPDATE record SET body = body || x'00' WHERE position = 700")
    segment.close()
    report = verify(data)
    assert not report.ok and "700" in str(report.problems[0]), str(report)
    file.unlink()
    with pytest.raises(StoreDamaged, match=f"records 0 to {done.last} were archived here"):
        History(data)


def test_a_kill_between_file_and_commit_loses_nothing(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that nobody refers to is written anew the next time (I5), or goes: it stayed for
    good, as large as the ledger, and so did the half of one."""
    from inspector.store import schema

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    size = stays(data)
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(schema, "open_writer", killed)
        archive(data, "erika", keep=3000)
    assert stays(data) == size and verify(data).ok
    (data / "segments" / ".000000000000-000000000999.db.part").touch()
    done = archive(data, "erika", keep=1000)
    assert stays(data) < size and verify(data).ok
    assert [f"segments/{file.name}" for file in (data / "segments").iterdir()] == [done.file]


def test_a_back_up_holds_the_segments_too(data: Path, tmp_path: Path) -> None:
    archive(data, "erika", keep=1000)
    back_up(data, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "restored", "erika")
    assert verify(tmp_path / "restored").ok
    with History(tmp_path / "restored") as history:
        assert history.by_serial("S5")


def test_the_command_archives_where_no_station_runs(data: Path) -> None:
    alone = sole(data)
    refused = CliRunner().invoke(app, ["archive", str(data), "--keep", "1000"])
    assert "stop it first" in str(refused.exception)
    os.close(alone)
    ran = CliRunner().invoke(app, ["archive", str(data), "--keep", "1000", "--json"])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.output)["file"].startswith("segments/")
    assert CliRunner().invoke(app, ["trace", str(data), "--serial", "S5"]).exit_code == 0
