"""A station whose disk is gone comes back from its back-up and its centre (I4, S20)."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from centre_and_stations import (
    Served,
    Site,
    alarms_at,
    count,
    records_at,
    records_here,
    station_file,
    wish,
)
from sqlalchemy import insert
from typer.testing import CliRunner

from inspector import cli
from inspector.config import Sync
from inspector.store import History, LineLedger, StoreDamaged, StoreError, back_up, restore, verify
from inspector.store.tags import Sample, Tags
from inspector.sync.enrol import SyncError
from inspector.sync.regain import take_back
from inspector.sync.rounds import Progress
from training.hub import tables

ST = "ST-01"


def fill(data: Path, first: int, last: int) -> None:
    with Tags(data, seal_s=3600) as tags:
        tags.add([Sample("oven", float(at), "Cel", 10**18 + at) for at in range(first, last)], "s")


def seal(data: Path) -> None:
    with Tags(data) as tags:
        tags.seal("s")


@pytest.fixture
def copy(centre: Served, site: Site, tmp_path: Path) -> Path:
    """A back-up of a station that worked on, and whose centre has more than its back-up."""
    site.enrol(centre)
    site.inspect(120, pictures=True)
    site.write("review", serial="SN-1", decision="confirm")
    fill(site.data, 0, 7)
    seal(site.data)
    fill(site.data, 7, 9)
    site.rounds(centre.url).round()
    back_up(site.data, tmp_path / "copy")
    site.inspect(330, pictures=True)
    site.write("review", serial="SN-2", decision="override")
    fill(site.data, 9, 20)
    seal(site.data)
    site.rounds(centre.url).round()
    site.close()
    return tmp_path / "copy"


def again(site: Site, centre: Served, copy: Path, **sync: Any) -> dict[str, int]:
    """The station's disk is replaced, and filled from its back-up and its centre."""
    site.data = site.data.with_name("new")
    plan = Sync.model_validate({"hub": centre.url, **sync})
    fetched = partial(take_back, site.data, ST, plan, "user:9")
    return restore(copy, site.data, "user:9", regained=fetched).regained


def test_what_the_back_up_lacks_comes_from_the_centre(
    centre: Served, site: Site, copy: Path
) -> None:
    lost = records_here(site.data), records_here(site.data, "desk")
    done = again(site, centre, copy)
    assert records_here(site.data) == lost[0] == records_at(centre, ST)
    synced = records_at(centre, ST, "desk")
    assert records_here(site.data, "desk")[: len(synced)] == synced
    assert lost[1][: len(synced)] == synced
    assert done == {"line": 990, "desk": 2, "pictures": 0, "pictures_lost": 330, "values_lost": 11}
    report = verify(site.data)
    assert report.ok and report.verdicts == 450
    assert "11 process values were lost with a disk, as the desk has recorded" in report.unknown
    with History(site.data) as history:
        assert history.by_sequence("plc-1", 450) is not None
        assert history.desk("store.restored")[0].body["regained"] == done


def test_it_goes_on_as_if_nothing_had_happened(centre: Served, site: Site, copy: Path) -> None:
    again(site, centre, copy)
    site.inspect(120, pictures=True)
    fill(site.data, 20, 24)
    seal(site.data)
    done = site.rounds(centre.url).round()
    assert not done.troubles and not any(done.behind.values())
    assert not alarms_at(centre)
    assert records_at(centre, ST) == records_here(site.data)
    assert count(centre, tables.Verdict) == 570
    assert count(centre, tables.Tag) == 24
    assert verify(site.data).ok


def test_the_pictures_that_the_centre_had_been_sent_come_back(
    centre: Served, site: Site, copy: Path
) -> None:
    with History(site.data) as history:
        part = history.by_sequence("plc-1", 400)
    assert part is not None
    (image,) = part.images
    content = (site.data / image.path).read_bytes()
    wish(centre, part.verdict.part_id, "a complaint")
    for _ in range(2):  # what it would like it says at the end of a round
        site.rounds(centre.url).round()
    site.close()
    done = again(site, centre, copy)
    assert (done["pictures"], done["pictures_lost"]) == (1, 329)
    assert (site.data / image.path).read_bytes() == content
    assert verify(site.data).ok


def test_a_back_up_that_lacks_nothing_is_restored_as_it_is(
    centre: Served, site: Site, copy: Path
) -> None:
    back_up(site.data, copy)
    here = records_here(site.data)
    assert again(site, centre, copy) == dict.fromkeys(
        ("line", "desk", "pictures", "pictures_lost", "values_lost"), 0
    )
    assert records_here(site.data) == here
    assert verify(site.data).ok


def test_what_was_signed_while_no_part_came_comes_back_too(
    centre: Served, site: Site, copy: Path
) -> None:
    back_up(site.data, copy)
    site.write("review", serial="SN-3", decision="confirm")
    with LineLedger.open(site.data, station=ST) as ledger:
        ledger.checkpoint()
    site.rounds(centre.url).round()
    site.close()
    assert again(site, centre, copy)["line"] == 0
    site.inspect(120)
    assert not site.rounds(centre.url).round().troubles
    assert verify(site.data).ok


def test_a_desk_that_was_sent_further_than_the_line_is_no_cut_line(
    centre: Served, site: Site, copy: Path
) -> None:
    site.inspect(120)
    site.write("review", serial="SN-3", decision="confirm")
    rounds = site.rounds(centre.url)
    rounds._drain("desk", rounds._link.state(), Progress(), lambda: False)
    site.close()
    end = len(records_at(centre, ST))
    again(site, centre, copy)
    assert len(records_here(site.data)) == end
    site.inspect(120)
    assert not site.rounds(centre.url).round().troubles
    report = verify(site.data)
    assert report.ok
    assert f"line.db records from {end} on were lost with a disk" in "".join(report.unknown)


def test_process_values_that_the_back_up_alone_has_are_sent(
    centre: Served, site: Site, copy: Path
) -> None:
    fill(site.data, 20, 23)
    seal(site.data)
    back_up(site.data, copy)
    rounds = site.rounds(centre.url)
    rounds._drain("desk", rounds._link.state(), Progress(), lambda: False)
    site.close()
    sent = count(centre, tables.Tag)
    assert again(site, centre, copy)["values_lost"] == 0
    assert not site.rounds(centre.url).round().troubles
    assert count(centre, tables.Tag) == sent + 3


def test_no_picture_is_put_outside_the_archive(centre: Served, site: Site, copy: Path) -> None:
    (verdict,) = site.inspect(1)
    picture = site.picture(verdict)
    with LineLedger.open(site.data, station=ST) as ledger:
        ledger.add_image(replace(picture, path="keys/station.key"))
    content = (site.data / picture.path).read_bytes()
    centre.hub.blobs.put(content)
    with centre.hub.engine.begin() as connection:
        row = {"digest": picture.digest, "size": len(content), "received_utc_ns": 1}
        connection.execute(insert(tables.Blob).values(row))
    site.rounds(centre.url).round()
    site.close()
    key = (site.data / "keys/station.key").read_bytes()
    with pytest.raises(StoreDamaged, match="outside the archive"):
        again(site, centre, copy)
    assert (site.data / "keys/station.key").read_bytes() == key


def test_a_centre_that_does_not_answer_leaves_no_station_that_could_begin(
    centre: Served, site: Site, copy: Path
) -> None:
    with pytest.raises(SyncError, match="localhost:9"):
        again(site, centre, copy, hub="http://localhost:9")
    with pytest.raises(StoreError, match="interrupted"):
        site.inspect(1)


def test_a_station_that_had_begun_again_is_not_joined_to_its_lost_half(
    centre: Served, site: Site, copy: Path
) -> None:
    restore(copy, site.data.with_name("new"), "user:9")
    site.data = site.data.with_name("new")
    site.sequence = 120
    site.inspect(1)
    back_up(site.data, copy)
    here = records_here(site.data)
    plan = Sync.model_validate({"hub": centre.url})
    with pytest.raises(StoreDamaged, match="does not follow its records"):
        take_back(site.data, ST, plan, "user:9")
    assert records_here(site.data) == here


def test_a_station_gets_its_own_records_alone(
    centre: Served, site: Site, copy: Path, another: Any
) -> None:
    other = another("ST-02")
    other.enrol(centre)
    link = other.rounds(centre.url)._link
    for path in ("segments/line/0", "segments/desk/7", f"blobs/{'0' * 64}"):
        with pytest.raises(SyncError, match=r"no (line|desk) record . of this station|no picture"):
            b"".join(link.stream(f"/api/v1/{path}"))
    assert link.ask("GET", "/api/v1/checkpoints", first=0) == []


def test_restore_says_where_the_rest_is_and_takes_it_with_the_station_file(
    centre: Served, site: Site, copy: Path, tmp_path: Path
) -> None:
    def run(*given: str) -> dict[str, Any]:
        result = CliRunner().invoke(cli.app, ["restore", str(copy), *given, "--json"])
        assert result.exit_code == 0, result.output
        done: dict[str, Any] = json.loads(result.output.splitlines()[-1])
        return done

    without = run(str(tmp_path / "without"))
    assert "restore once more with --station" in without["notes"][-1]
    assert without["regained"] == {}
    path = station_file(tmp_path, centre.url)
    done = run(str(tmp_path / "new"), "--station", str(path))
    assert done["regained"]["line"] == 990
    assert not any("--station" in note for note in done["notes"])
