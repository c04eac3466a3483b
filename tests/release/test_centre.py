"""Releases come from the centre over the station's own enrolled connection, and only to its own
channel and station (S9, S16, S20)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from centre_and_stations import Served, Site, demanding, serving
from release.centre import STATION, Centre, examples
from sqlalchemy import insert

from inspector.bus import run_dir
from inspector.config import Sync, load_station
from inspector.release import ReleaseRefused, install
from inspector.release.centre import FromCentre
from inspector.release.offered import State, told
from inspector.release.process import Caretaker
from inspector.sync.centre import Link
from training.hub import tables
from training.hub.channels import put
from training.hub.hub import open_hub
from training.release import NotMade, approve, inspect


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Served]:
    opened = open_hub(tmp_path / "hub")
    with serving(opened) as served:
        yield served
    opened.close()


@pytest.fixture
def station(hub: Served, data: Path) -> Any:
    Site(data, "ST-01").enrol(hub)
    return SimpleNamespace(station="ST-01", data=data, sync=Sync(hub=hub.url))


def test_a_station_fetches_what_its_channel_has(
    hub: Served, centre: Centre, station: Any, tmp_path: Path
) -> None:
    way = FromCentre(station)
    assert way.newest("canary") == []
    two = centre.made(2)
    put(hub.hub, two, "canary", "ben")
    put(hub.hub, two, "stable", "ben")
    digest = put(hub.hub, centre.made(3), "canary", "ben")

    (pointer,) = way.newest("canary")
    assert (pointer.title, pointer.number, pointer.digest) == ("coded/3", 3, digest)
    assert [p.title for p in way.newest("stable")] == ["coded/2"]
    done = install(way.fetch(pointer, tmp_path / "in"), station.data, "releases")
    assert done.installed.digest == digest
    way.close()


def test_a_release_for_one_station_is_not_shown_to_another(
    hub: Served, centre: Centre, station: Any
) -> None:
    two = centre.made(2)
    put(hub.hub, two, "canary", "ben", ["ST-02"])
    way = FromCentre(station)
    assert way.newest("canary") == []
    put(hub.hub, two, "canary", "ben", ["ST-01"])
    assert [p.title for p in way.newest("canary")] == ["coded/2"]
    way.close()


def test_who_has_not_enrolled_gets_nothing(hub: Served, centre: Centre, tmp_path: Path) -> None:
    digest = put(hub.hub, centre.made(2), "stable", "ben")
    for path in ("channels/stable", f"releases/{digest}"):
        assert httpx.get(f"{hub.url}/api/v1/{path}").status_code in (401, 403, 422)
    alone = SimpleNamespace(station="X", data=tmp_path / "x", sync=Sync(hub=hub.url))
    with pytest.raises(ReleaseRefused, match="inspector enrol"):
        FromCentre(alone)


def test_a_centre_that_asks_for_a_certificate_is_shown_it(
    hub: Served, centre: Centre, station: Any, tmp_path: Path
) -> None:
    put(hub.hub, centre.made(2), "stable", "ben")
    with demanding(hub.hub, tmp_path) as (tls, theirs, mine):
        station.sync = Sync(hub=tls.url, ca=theirs, certificate=mine[0], private_key=mine[1])
        way = FromCentre(station)
        assert [p.title for p in way.newest("stable")] == ["coded/2"]
        way.close()


def test_a_certificate_that_is_none_is_a_sentence(station: Any, tmp_path: Path) -> None:
    station.sync = Sync(hub="https://localhost:1", ca=tmp_path / "absent.pem")
    with pytest.raises(ReleaseRefused, match="no certificate in PEM"):
        FromCentre(station)


def test_the_centre_keeps_one_content_per_version_and_takes_no_unsigned_one(
    hub: Served, centre: Centre
) -> None:
    put(hub.hub, centre.made(2), "stable", "ben")
    with pytest.raises(NotMade, match="with other content"):
        put(hub.hub, centre.made(2, pattern=r"X\d{5}"), "stable", "ben")
    with pytest.raises(NotMade, match="not signed by its approver"):
        put(hub.hub, centre.unsigned(6), "stable", "ben")
    for channel in ("Canary", "the line", "", "x" * 17):  # no station could ask for it
        with pytest.raises(NotMade, match="is no channel"):
            put(hub.hub, centre.made(2), channel, "ben")


def test_a_release_that_others_have_signed_since_comes_with_their_names(
    hub: Served, centre: Centre, station: Any, tmp_path: Path
) -> None:
    """The centre said that it is on the channel, and went on giving the file of the first ones."""
    file = centre.unsigned(2)
    approve(file, "eve", centre.keys["eve"])
    put(hub.hub, file, "stable", "ben")
    way = FromCentre(station)
    (before,) = way.newest("stable")
    approve(file, "anna", centre.keys["anna"])
    put(hub.hub, file, "stable", "ben")
    (now,) = way.newest("stable")
    assert now.digest == before.digest and now.signed != before.signed
    assert inspect(way.fetch(now, tmp_path / "in")).signatures["approver"].principal == "anna"
    way.close()


def test_a_release_that_comes_slowly_is_no_process_that_hangs(
    hub: Served, centre: Centre, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a narrow line it takes more than the minute after which a silent process is killed: it
    was begun anew for ever."""
    Site(data, "S1").enrol(hub)
    put(hub.hub, centre.made(2), "canary", "ben")
    file = tmp_path / "station.yaml"
    releases = f"sync: {{hub: '{hub.url}'}}\nreleases: {{source: centre, channel: canary}}\n"
    file.write_text(STATION + releases)
    beats: list[int] = []
    came: list[int] = []
    really = Link.stream

    def slowly(link: Link, path: str) -> Iterator[bytes]:
        for piece in really(link, path):
            before = len(beats)
            yield piece
            assert len(beats) > before
            came.append(len(piece))

    monkeypatch.setattr(Link, "stream", slowly)
    beat: Any = SimpleNamespace(beat=lambda: beats.append(1))
    looks = Caretaker(load_station(file), run_dir(data), beat)
    looks.fetch()
    looks.close()
    offered = told(data)
    assert len(beats) >= len(came) + len(examples()), "as it is proven, part by part, it lives too"
    assert offered and [one.state for one in offered.offers] == [State.HERE]


def test_a_large_release_is_never_whole_in_the_hubs_memory(hub: Served, station: Any) -> None:
    """Each of all the stations that fetch it at once had one of its own there."""
    release, size = "a" * 64, 16 << 20
    with hub.hub.engine.begin() as connection:
        connection.execute(
            insert(tables.Release).values(
                name="large", version="1", digest=hub.hub.blobs.put(bytes(size)), size=size,
                card={"release": release, "number": 1}, signatures=[], made_by="ben", made_utc_ns=1,
            )
        )  # fmt: skip
    link = FromCentre(station)._link
    link.state()
    tracemalloc.start()
    try:
        assert sum(map(len, link.stream(f"/api/v1/releases/{release}"))) == size
        assert tracemalloc.get_traced_memory()[1] < size // 2
    finally:
        tracemalloc.stop()
        link.close()


def test_an_absent_release_is_a_sentence(
    hub: Served, centre: Centre, station: Any, tmp_path: Path
) -> None:
    put(hub.hub, centre.made(2), "stable", "ben")
    way = FromCentre(station)
    (pointer,) = way.newest("stable")
    gone = type(pointer)("0" * 64, pointer.title, pointer.number)
    with pytest.raises(ReleaseRefused, match="coded/2"):
        way.fetch(gone, tmp_path)
    way.close()
