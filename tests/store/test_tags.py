"""Process values: kept, joined to parts by time, sealed by the desk (S1, S5, S22, I4, I9)."""

from __future__ import annotations

import resource
import sqlite3
from pathlib import Path

import pytest

from inspector.store import History, LineLedger, RecordError, StoreError, verify
from inspector.store.bench import sample_verdict
from inspector.store.related import desk_records
from inspector.store.tags import KIND, Quality, Sample, Tags

T0 = 1_800_000_000_000_000_000
S = 10**9


def sample(tag: str, value: float | None, second: float, **more: object) -> Sample:
    return Sample(tag, value, "Cel", T0 + round(second * S), **more)  # type: ignore[arg-type]


def test_the_last_value_at_a_moment_is_the_parts(tmp_path: Path) -> None:
    with Tags(tmp_path) as tags:
        tags.add([sample("fill", 4.0, 0), sample("fill", 5.0, 10), sample("cap", 9.0, 5)], "plc")
        tags.add([Sample("fill", 1.0, "bar", T0)], "plc")  # another unit is another tag
        assert [s.value for s in tags.at(T0 + 9 * S)] == [9.0, 4.0, 1.0]
        assert [s.value for s in tags.at(T0 + 3 * S)] == [4.0, 1.0]
        assert tags.at(T0 - 1) == ()
        assert [s.tag for s in tags.at(T0 + 3606 * S)] == ["fill"]  # the others are too old
        assert tags.names() == (("cap", "Cel"), ("fill", "Cel"), ("fill", "bar"))


def test_a_series_is_read_by_time(tmp_path: Path) -> None:
    with Tags(tmp_path) as tags:
        tags.add([sample("t", float(n), n) for n in (3, 1, 2, 0)], "scada")
        tags.add([sample("t", None, 4, quality=Quality.BAD)], "scada")
        assert [s.value for s in tags.series("t", T0 + S, T0 + 4 * S)] == [1, 2, 3]
        bad = tags.series("t", T0 + 4 * S, T0 + 5 * S)[0]
        assert bad.value is None and bad.quality is Quality.BAD


def test_samples_that_are_kept_are_not_said_to_be_lost_where_the_desk_cannot_seal_them(
    tmp_path: Path,
) -> None:
    """Who was told so sent them again, and each stood there twice. It is tried again later."""
    now = [T0]
    with Tags(tmp_path, utc_ns=lambda: now[0]) as tags:
        desk = tmp_path / "desk.db"
        desk.write_bytes(b"no ledger at all")
        assert tags.add([sample("t", 1.0, 0)], "scada") == 1
        desk.unlink()
        assert tags.add([sample("t", 2.0, 1)], "scada") == 1
        now[0] += 60 * S
        assert tags.add([sample("t", 3.0, 2)], "scada") == 1
    (seal,) = desk_records(tmp_path, KIND)
    assert (seal.body["first"], seal.body["last"]) == (1, 3)


def test_what_came_is_sealed_and_stays_what_it_was(tmp_path: Path) -> None:
    with LineLedger.open(tmp_path, station="s1") as line:
        line.add_verdict(sample_verdict(1))
    now = [T0]
    tags = Tags(tmp_path, utc_ns=lambda: now[0])
    tags.add([sample("t", 1.0, 0)], "scada")  # the first add seals at once
    now[0] += 30 * S
    tags.add([sample("t", 2.0, 1)], "scada")
    assert any("1 process values are not sealed" in note for note in verify(tmp_path).unknown)
    now[0] += 31 * S
    tags.add([sample("t", 3.0, 2)], "mes")
    tags.close()
    with History(tmp_path) as history:
        seals = history.desk(KIND)
    assert [(s.body["first"], s.body["last"], s.principal) for s in seals] == [
        (2, 3, "mes"), (1, 1, "scada"),
    ]  # fmt: skip
    assert verify(tmp_path).ok


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("UPDATE sample SET value = 2.5 WHERE position = 2", "were changed"),
        ("UPDATE sample SET utc_ns = utc_ns + 1 WHERE position = 2", "were changed"),
        ("UPDATE sample SET principal = 'x' WHERE position = 2", "were changed"),
        ("UPDATE tag SET unit = 'bar'", "were changed"),
        ("DELETE FROM sample WHERE position = 2", "are 2; the desk has sealed 3"),
        ("DELETE FROM tag", "were changed"),
        ("DROP TABLE sample", "cannot be read"),
        ("UPDATE sample SET utc_ns = 'noon' WHERE position = 2", "cannot be read any further"),
        ("UPDATE sample SET value = 'hot' WHERE position = 2", "cannot be read any further"),
        ("INSERT INTO sample VALUES (0, 1, 1, 1.0, 0, 'x')", "has a sample before the first one"),
        ("UPDATE sealed SET last = 9", "says that 9 samples is sealed; the desk has sealed 3"),
        ("DELETE FROM sealed", "says that nothing is sealed; the desk has sealed 3"),
    ],
)
def test_a_sample_that_is_not_what_it_was_is_found(
    tmp_path: Path, change: str, problem: str
) -> None:
    LineLedger.open(tmp_path, station="s1").close()
    with Tags(tmp_path) as tags:
        tags.add([sample("t", float(n), n) for n in range(3)], "scada")
    assert verify(tmp_path).ok
    db = sqlite3.connect(tmp_path / "tags.db")
    db.execute(change)
    db.commit()
    db.close()
    report = verify(tmp_path)
    assert not report.ok and problem in str(report.problems[0]), str(report)


def test_samples_that_a_seal_passes_over_are_found(tmp_path: Path) -> None:
    with LineLedger.open(tmp_path, station="s1") as line:
        line.add_verdict(sample_verdict(1))
    now = [T0]
    tags = Tags(tmp_path, utc_ns=lambda: now[0])
    tags.add([sample("t", 1.0, 0)], "scada")  # the first add seals at once
    now[0] += S
    tags.add([sample("t", 2.0, 1), sample("t", 3.0, 2)], "scada")
    db = sqlite3.connect(tmp_path / "tags.db")
    db.execute("UPDATE sealed SET last = 3")
    db.commit()
    db.close()
    now[0] += 61 * S
    tags.add([sample("t", 4.0, 3)], "scada")
    tags.close()
    (problem,) = verify(tmp_path).problems
    assert str(problem) == "tags.db samples 2 to 3: were never sealed"


def test_a_file_that_is_gone_is_found(tmp_path: Path) -> None:
    LineLedger.open(tmp_path, station="s1").close()
    with Tags(tmp_path) as tags:
        tags.add([sample("t", 1.0, 0)], "scada")
    for file in tmp_path.glob("tags.db*"):
        file.unlink()
    assert "is gone" in str(verify(tmp_path).problems[0])


def test_two_processes_may_write_at_once(tmp_path: Path) -> None:
    LineLedger.open(tmp_path, station="s1").close()
    with Tags(tmp_path, seal_s=0) as one, Tags(tmp_path, seal_s=0) as two:
        for n in range(20):
            (one if n % 2 else two).add([sample("t", float(n), n)], "scada")
        assert len(one.series("t", T0, T0 + 100 * S)) == 20
    assert verify(tmp_path).ok


@pytest.mark.parametrize(
    "wrong",
    [
        Sample("", 1.0, "1", T0), Sample("t\n", 1.0, "1", T0), Sample("t", float("nan"), "1", T0),
        Sample("t", 1.0, "", T0), Sample("t", 1.0, "°C", T0), Sample("t", 1.0, "1", -1),
    ],
)  # fmt: skip
def test_what_is_no_sample_is_refused_whole(tmp_path: Path, wrong: Sample) -> None:
    with Tags(tmp_path) as tags:
        with pytest.raises(RecordError):
            tags.add([sample("t", 1.0, 0), wrong], "scada")
        assert tags.series("t", 0, 1 << 62) == ()
        with pytest.raises(RecordError, match="I9"):
            tags.add([sample("t", 1.0, 0)], " ")


def test_a_new_tag_that_a_full_disk_refused_is_not_taken_for_the_next_new_one(
    tmp_path: Path,
) -> None:
    with Tags(tmp_path) as tags:
        tags.add([sample("fill", 4.0, 0)], "scada")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
        try:
            with pytest.raises(StoreError):
                tags.add([sample("oven", 180.0, 1)], "scada")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        tags.add([sample("oven", 181.0, 2)], "scada")
        tags.add([sample("cooler", 5.0, 3)], "scada")

        said = {tag.tag: tag.value for tag in tags.at(T0 + 4 * S)}
        assert said == {"fill": 4.0, "oven": 181.0, "cooler": 5.0}
