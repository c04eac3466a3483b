"""What both ledgers owe reaches the centre once, whole, and is acknowledged (I4, I5, I8, S20)."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from centre_and_stations import (
    Served,
    Site,
    alarms_at,
    alarms_here,
    change_record,
    count,
    records_at,
    records_here,
    serving,
)
from sqlalchemy import event, select

from inspector.config import Retention
from inspector.store import LineLedger, held_checkpoint, retain, verify
from inspector.store.checkpoint import read_body, read_held
from inspector.store.merkle import Tree, leaf_hash
from inspector.store.tags import Sample, Tags
from inspector.sync import rounds as rounds_module
from inspector.sync.enrol import Away
from inspector.sync.pace import Pace
from training.hub import tables
from training.hub.hub import open_hub


def test_the_centre_has_the_exact_records_and_an_index_of_them(centre: Served, site: Site) -> None:
    site.enrol(centre)
    site.inspect(120, serial="SN-7")
    site.write("review", part=None, serial="SN-7", decision="confirm")
    done = site.rounds(centre.url).round()
    assert not done.troubles and not any(done.behind.values())
    assert records_at(centre, site.name) == records_here(site.data)
    assert records_at(centre, site.name, "desk") == records_here(site.data, "desk")[:1]
    assert count(centre, tables.Verdict) == 120 and count(centre, tables.Gate) == 120
    assert count(centre, tables.Finding) == 2
    with centre.hub.engine.begin() as connection:
        rows = connection.execute(select(tables.Tally.outcome, tables.Tally.parts)).all()
    assert sorted((row.outcome, row.parts) for row in rows) == [(0, 118), (1, 2)]


def test_what_is_sent_again_counts_once(centre: Served, site: Site) -> None:
    site.enrol(centre)
    site.inspect(60)
    site.rounds(centre.url).round()
    site.close()
    (site.data / "sync.db").unlink()  # it remembers nothing
    site.inspect(60)
    site.rounds(centre.url).round()
    assert count(centre, tables.Verdict) == 120
    assert records_at(centre, site.name) == records_here(site.data)


def test_every_checkpoint_is_countersigned_and_the_newest_kept(centre: Served, site: Site) -> None:
    site.enrol(centre)
    site.inspect(300)
    site.rounds(centre.url).round()
    with closing(sqlite3.connect(site.data / "line.db")) as line:
        ((signed,),) = line.execute("SELECT count(*) FROM checkpoint")
    assert count(centre, tables.Checkpoint) == signed
    held = held_checkpoint(site.data / "checkpoints/centre.json")
    assert verify(site.data, held=held).as_dict()["ok"]


def test_what_the_desk_writes_while_no_part_comes_is_countersigned(
    centre: Served, site: Site
) -> None:
    """A checkpoint over the line's same records and one more of the desk."""
    site.enrol(centre)
    site.inspect(100)
    site.rounds(centre.url).round()
    position = site.write("signature", meaning="released")
    LineLedger.open(site.data, station=site.name).close()  # a line that stands signs it too
    done = site.rounds(centre.url).round()
    assert not done.troubles
    held = read_held(site.data)
    assert held is not None and read_body(held.body).desk_size > position
    with closing(sqlite3.connect(site.data / "line.db")) as line:
        sizes = [
            read_body(body).line_size for (body,) in line.execute("SELECT body FROM checkpoint")
        ]
    assert sizes[-2] == sizes[-1] and count(centre, tables.Checkpoint) == len(sizes)
    assert verify(site.data, held=held).ok


def test_a_tail_that_was_cut_is_found_on_both_sides(centre: Served, site: Site) -> None:
    site.enrol(centre)
    site.inspect(200)
    site.rounds(centre.url).round()
    held = held_checkpoint(site.data / "checkpoints/centre.json")
    cut(site.data, 100)
    done = site.rounds(centre.url).round()
    assert "its tail was cut" in done.troubles[0] and site.announced
    assert [code for code, _ in alarms_at(centre)] == ["cut"]
    assert [code for code, _ in alarms_here(site.data)] == ["cut"]
    report = verify(site.data, held=held)
    assert "its tail was cut" in str(report)


def test_a_record_that_was_changed_is_named_and_not_sent(centre: Served, site: Site) -> None:
    site.enrol(centre)
    site.inspect(100)
    change_record(site.data, 40, mend_mark=False)
    done = site.rounds(centre.url).round()
    assert done.troubles == ["line.db record 40 was changed: it does not fit the mark beside it"]
    assert alarms_at(centre) == alarms_here(site.data) == [("changed", done.troubles[0])]
    assert count(centre, tables.Verdict) == 0


def test_a_forger_who_mends_the_mark_is_named_by_the_checkpoint(centre: Served, site: Site) -> None:
    site.enrol(centre)
    site.inspect(100)
    change_record(site.data, 40, mend_mark=True)
    done = site.rounds(centre.url).round()
    assert done.troubles == ["line.db record 40 was changed since it was signed"]
    assert count(centre, tables.Segment) == 0


def test_the_centre_finds_a_change_that_the_station_hides(
    centre: Served, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.enrol(centre)
    site.inspect(100)
    change_record(site.data, 40, mend_mark=True)
    monkeypatch.setattr(rounds_module.Rounds, "_check", lambda *_: None)  # it looks away
    done = site.rounds(centre.url).round()
    assert "are not those that were signed" in done.troubles[0]
    assert alarms_at(centre) == [("changed", done.troubles[0])]
    assert alarms_here(site.data) == [("changed", done.troubles[0])]
    assert count(centre, tables.Verdict) == 0  # the transaction left nothing


def test_a_history_that_was_rewritten_is_a_fork(centre: Served, site: Site) -> None:
    site.enrol(centre)
    site.inspect(100)
    site.rounds(centre.url).round()
    site.close()
    change_record(site.data, 40, mend_mark=True)
    (site.data / "sync.db").unlink()
    done = site.rounds(centre.url).round()
    assert "are others than those that the centre acknowledged" in done.troubles[0]
    assert [code for code, _ in alarms_at(centre)] == ["fork"]
    assert [code for code, _ in alarms_here(site.data)] == ["fork"]


def test_a_ledger_that_is_read_from_its_beginning_shows_life(
    centre: Served, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long one that had been rewritten was never told: the process was killed while it looked."""
    site.enrol(centre)
    site.inspect(50)
    rounds = site.rounds(centre.url)
    rounds.round()
    other = Tree()
    for _ in range(107):
        other.append(leaf_hash(b"another record"))
    rounds._memory.keep_tree("line", other)
    monkeypatch.setattr(rounds_module, "BEAT_RECORDS", 10)
    beats: list[int] = []
    rounds._pace = Pace(beat=lambda: beats.append(1))
    rounds._agree("line", rounds._link.state(), 107)
    assert len(beats) == 10
    rounds._pace.rest()  # with all of a core there is nothing to wait for
    assert len(beats) == 11


def test_a_gap_is_refused_by_name(centre: Served, site: Site) -> None:
    from inspector.store import signing_key
    from inspector.store.merkle import EMPTY_ROOT
    from inspector.sync import segment
    from inspector.sync.centre import Link
    from inspector.sync.enrol import RefusedByCentre

    enrolled = site.enrol(centre)
    site.inspect(10)
    key = signing_key(site.data)
    link = Link(enrolled, site.name, key)
    packed = segment.pack(site.name, "line", 7, [b"\x80"], (EMPTY_ROOT, EMPTY_ROOT), [], key)
    with pytest.raises(RefusedByCentre, match="line records 0 to 6 are missing") as refused:
        link.segment(packed)
    link.close()
    assert refused.value.code == "gap" and alarms_at(centre)[0][0] == "gap"


def test_a_gap_is_an_alarm_on_both_sides(
    centre: Served, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old back-up of the centre is restored between its word and the station's next segment."""
    from inspector.store import signing_key
    from inspector.sync.centre import Link
    from inspector.sync.receipt import Receipt
    from inspector.sync.segment import unpack
    from training.hub.index import COLUMNS

    site.enrol(centre)
    site.inspect(60)
    site.rounds(centre.url).round()
    site.close()
    site.inspect(60)
    key, send, restored = signing_key(site.data).public_key(), Link.segment, []

    def segment(link: Link, content: bytes) -> tuple[Receipt, dict[int, bytes]]:
        if not restored and unpack(content, key)[0].ledger == "line":
            restored.append(True)
            every = tables.Base.metadata.tables
            with centre.hub.engine.begin() as connection:
                for name in (*COLUMNS, "segment", "checkpoint"):
                    connection.execute(every[name].delete())
                connection.execute(every["ledger"].update().values(size=0, edge=b"", root=b""))
        return send(link, content)

    monkeypatch.setattr(Link, "segment", segment)
    done = site.rounds(centre.url).round()
    assert "are missing: the next one here is 0" in done.troubles[0]
    assert "gap" in {code for code, _ in alarms_at(centre)}
    assert "gap" in {code for code, _ in alarms_here(site.data)}
    assert site.announced  # at the line's screen
    site.close()
    site.rounds(centre.url).round()  # the next round begins where the centre now is
    site.rounds(centre.url).round()
    assert records_at(centre, site.name) == records_here(site.data)
    assert count(centre, tables.Verdict) == 120


def test_an_alarm_is_recorded_once_however_often_it_is_met(centre: Served, site: Site) -> None:
    site.enrol(centre)
    site.inspect(60)
    change_record(site.data, 10, mend_mark=False)
    rounds = site.rounds(centre.url)
    for _ in range(3):
        rounds.round()
    assert len(alarms_here(site.data)) == 1 and len(alarms_at(centre)) == 1


def test_retention_keeps_what_the_centre_has_not_acknowledged(centre: Served, site: Site) -> None:
    """I8: an old picture goes only after the centre has its record, and its sample."""
    rules = Retention(pass_days=1, error_days=1, reject_days=1, reviewed_days=1)
    in_a_year = 365 * 86_400_000_000_000
    site.enrol(centre)
    site.inspect(50)
    now = in_a_year + _newest(site.data)
    before = retain(site.data, rules, "test", dry_run=True, utc_ns=now)
    assert before.files == 0 and before.kept_files == 1
    site.rounds(centre.url).round()
    during = retain(site.data, rules, "test", dry_run=True, utc_ns=now)
    assert during.files == 0 and during.waiting == 1  # its hour is not over: it may be chosen
    site.close()
    done = site.rounds(centre.url, utc_ns=lambda: now).round()
    assert done.pictures == 1 and count(centre, tables.Sample) == 1
    after = retain(site.data, rules, "test", dry_run=True, utc_ns=now)
    assert after.files == 1 and after.waiting == 0


def test_a_picture_that_is_owed_is_kept(centre: Served, site: Site) -> None:
    """I8: the record was acknowledged, the picture is not there yet."""
    rules = Retention(pass_days=1, error_days=1, reject_days=1, reviewed_days=1)
    site.enrol(centre)
    site.inspect(50)
    now = 365 * 86_400_000_000_000 + _newest(site.data)
    rounds = site.rounds(centre.url, utc_ns=lambda: now, hours=["00:00-00:00"])
    done = rounds.round()
    assert done.pictures == 0 and done.pictures_waiting == 1
    assert retain(site.data, rules, "test", dry_run=True, utc_ns=now).waiting == 1


def later() -> int:
    """Three hours on: every hour of parts is over."""
    return time.time_ns() + 3 * 3_600_000_000_000


def test_a_centre_restored_from_its_back_up_is_filled_again(tmp_path: Path, site: Site) -> None:
    """What it had acknowledged and lost is sent again, and somebody is told (I5)."""
    hub = open_hub(tmp_path / "hub")
    with serving(hub) as served:
        site.enrol(served)
        site.inspect(60)
        site.rounds(served.url, utc_ns=later, samples={"per_hour": 3}).round()
        with closing(sqlite3.connect(tmp_path / "back-up.db")) as copy:
            hub.engine.raw_connection().driver_connection.backup(copy)  # type: ignore[union-attr]
        (part, *_) = site.inspect(20, pictures=True)
        with Tags(site.data, seal_s=0) as tags:
            tags.add([Sample("oven", 71.5, "Cel", 10**18)], "opcua")
        site.write("review", part=str(part.part_id), decision="confirm", sample=True)
        site.rounds(served.url, utc_ns=later, samples={"per_hour": 3}).round()
        samples = count(served, tables.Sample)
        assert count(served, tables.Tag) == 1 and samples > 3  # of its hour, and the review's
        site.close()
    hub.close()
    for file in (tmp_path / "hub").glob("hub.db*"):
        file.unlink()
    (tmp_path / "back-up.db").rename(tmp_path / "hub" / "hub.db")
    hub = open_hub(tmp_path / "hub")
    with serving(hub) as served:
        rounds = site.rounds(served.url, utc_ns=later, samples={"per_hour": 3})
        assert "a back-up was restored there" in rounds.round().troubles[0]
        assert not rounds.round().troubles
        assert records_at(served, site.name) == records_here(site.data)
        assert count(served, tables.Verdict) == 80
        assert (count(served, tables.Tag), count(served, tables.Sample)) == (1, samples)
        assert {code for code, _ in alarms_at(served)} == {"lost"}
        site.close()
    hub.close()


def test_a_centre_without_room_for_records_says_so_and_gets_them_later(
    centre: Served, site: Site
) -> None:
    """The rows go by the driver itself: what it said was a traceback at the centre, and to the
    station no answer of a centre."""

    def full(connection: Any, record: object) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")

    site.enrol(centre)
    site.inspect(400)
    event.listen(centre.hub.engine, "connect", full)
    centre.hub.engine.dispose()
    with pytest.raises(Away, match="503: database or disk is full"):
        site.rounds(centre.url).round()
    event.remove(centre.hub.engine, "connect", full)
    centre.hub.engine.dispose()
    site.rounds(centre.url).round()
    assert count(centre, tables.Verdict) == 400


def test_two_stations_do_not_meet(
    centre: Served, site: Site, another: Callable[[str], Site]
) -> None:
    other = another("ST-02")
    for one in (site, other):
        one.enrol(centre)
        one.inspect(50)
        one.rounds(centre.url).round()
    assert records_at(centre, "ST-01") == records_here(site.data)
    assert records_at(centre, "ST-02") == records_here(other.data)


def cut(data: Path, keep: int) -> None:
    """Removes the tail of the line's ledger, its checkpoints, their copies and indexes too."""
    connection = sqlite3.connect(data / "line.db")
    connection.execute("DELETE FROM record WHERE position >= ?", (keep,))
    connection.execute("DELETE FROM checkpoint WHERE number > 0")
    connection.commit()
    connection.close()
    copies = data / "checkpoints/line.jsonl"
    copies.write_text(copies.read_text().splitlines(keepends=True)[0])


def _newest(data: Path) -> int:
    connection = sqlite3.connect(data / "line.db")
    newest: int = connection.execute("SELECT max(last_utc) FROM tally").fetchone()[0]
    connection.close()
    return newest
