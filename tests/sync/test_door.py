"""Who is let in: one token, one key, one certificate; everybody else gets nothing (S16)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from centre_and_stations import Served, Site, alarms_at, certificate, count, demanding, serving
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from inspector.store import signing_key
from inspector.sync.centre import Link, client, exchange
from inspector.sync.enrol import Away, RefusedByCentre, SyncError, enrol, enrolled
from training.hub import tables
from training.hub.enrolment import revoke


def test_a_token_works_once(centre: Served, site: Site, another: Callable[[str], Site]) -> None:
    token = centre.token()
    one: Any = SimpleNamespace(data=site.data, station="ST-01", site="", line="")
    enrol(one, centre.url, token, None)
    enrol(one, centre.url, token, None)  # its answer was lost: the same station may ask again
    other: Any = SimpleNamespace(data=another("ST-02").data, station="ST-02", site="", line="")
    with pytest.raises(RefusedByCentre, match="has been used"):
        enrol(other, centre.url, token, None)
    assert count(centre, tables.Station) == 1 and enrolled(other.data) is None


def test_a_token_of_another_centre_is_found_out_by_the_station(centre: Served, site: Site) -> None:
    token = centre.token().split(".")[0] + "." + "0" * 32
    station: Any = SimpleNamespace(data=site.data, station="ST-01", site="", line="")
    with pytest.raises(SyncError):
        enrol(station, centre.url, token, None)
    assert enrolled(site.data) is None


def test_a_name_that_is_taken_keeps_its_key(
    centre: Served, site: Site, another: Callable[[str], Site]
) -> None:
    site.enrol(centre)
    thief = another("elsewhere")
    thief.name = "ST-01"
    with pytest.raises(RefusedByCentre, match="already, with another key"):
        thief.enrol(centre)


def test_a_wrong_key_gets_nothing_and_raises_an_alarm(centre: Served, site: Site) -> None:
    known = site.enrol(centre)
    link = Link(known, site.name, Ed25519PrivateKey.generate())
    for ask in (link.state, lambda: link.segment(b"x")):
        with pytest.raises(RefusedByCentre, match="not its key"):
            ask()
    link.close()
    assert [code for code, _ in alarms_at(centre)] == ["key"]


def test_a_centre_that_is_older_than_the_station_says_so(centre: Served, site: Site) -> None:
    link = Link(site.enrol(centre), site.name, signing_key(site.data))
    for ask in (
        lambda: link.ask("GET", "/api/v2/state"),
        lambda: link.ask("DELETE", "/api/v1/state"),
        lambda: list(link.stream("/api/v2/state")),
    ):
        with pytest.raises(Away, match="state: it is older than this station"):
            ask()
    link.close()


def test_without_a_session_nothing_is_answered(centre: Served, site: Site) -> None:
    site.enrol(centre)
    with client(centre.url, None) as door:
        for method, path in (
            ("GET", "/api/v1/state"),
            ("POST", "/api/v1/segments"),
            ("POST", "/api/v1/blobs"),
            ("PUT", f"/api/v1/blobs/{'0' * 64}?offset=0&size=1"),
            ("POST", "/api/v1/samples"),
            ("POST", "/api/v1/trouble"),
            ("POST", "/api/v1/report"),
        ):
            with pytest.raises(RefusedByCentre, match="no session"):
                exchange(door, method, path)


def test_a_revoked_station_is_shut_out_at_once(centre: Served, site: Site) -> None:
    known = site.enrol(centre)
    link = Link(known, site.name, signing_key(site.data))
    link.state()
    with centre.hub.engine.begin() as connection:
        revoke(connection, site.name)
    with pytest.raises(RefusedByCentre):
        link.state()
    link.close()


def test_a_station_writes_only_its_own(
    centre: Served, site: Site, another: Callable[[str], Site]
) -> None:
    site.enrol(centre)
    other = another("ST-02")
    known = other.enrol(centre)
    site.inspect(50)
    site.rounds(centre.url).round()
    record = site.picture(site.inspect(1)[0])
    link = Link(known, "ST-02", signing_key(other.data))
    with pytest.raises(RefusedByCentre, match="no record of ST-02"):
        link.ask("PUT", f"/api/v1/blobs/{record.digest}", content=b"x", offset=0, size=1)
    link.close()
    segment = _segment_of(site)
    link = Link(known, "ST-02", signing_key(other.data))
    with pytest.raises(RefusedByCentre, match="not by the station's"):
        link.segment(segment)
    link.close()


def test_a_session_ends_and_the_station_knocks_again(centre: Served, site: Site) -> None:
    site.enrol(centre)
    site.inspect(20)
    rounds = site.rounds(centre.url)
    rounds.round()
    with centre.hub.engine.begin() as connection:
        connection.execute(tables.Session.__table__.delete())  # type: ignore[attr-defined]
    site.inspect(20)
    assert rounds.round().sent["line"] > 0


def test_only_the_pinned_certificate_is_believed(
    tmp_path: Path, centre: Served, site: Site
) -> None:
    right, key = certificate(tmp_path, "right")
    wrong, _ = certificate(tmp_path, "wrong")
    with serving(centre.hub, ssl_certfile=right, ssl_keyfile=key) as tls:
        with pytest.raises(Away, match=r"`sync\.ca` does not vouch for"):
            site.enrol(tls, ca=wrong)
        site.enrol(tls, ca=right)
        site.inspect(20)
        with pytest.raises(Away, match="nothing was sent"):
            site.rounds(tls.url, ca=wrong).round()
        assert site.rounds(tls.url, ca=right).round().sent["line"] > 0
        site.close()


def test_a_centre_may_ask_for_a_certificate_too(tmp_path: Path, centre: Served, site: Site) -> None:
    """mTLS: who shows none is not heard at all."""
    with demanding(centre.hub, tmp_path) as (tls, theirs, mine):
        station: Any = SimpleNamespace(data=site.data, station="ST-01", site="", line="")
        with pytest.raises(Away):
            enrol(station, tls.url, tls.token(), theirs)
        enrol(station, tls.url, tls.token(), theirs, mine)
    assert count(centre, tables.Station) == 1


def test_a_receipt_that_another_centre_signed_is_not_believed(
    tmp_path: Path, centre: Served, site: Site
) -> None:
    """An impostor with the right address and certificate, and without the centre's key."""
    from training.hub.hub import Hub

    site.enrol(centre)
    site.inspect(20)
    impostor = Hub(centre.hub.engine, centre.hub.blobs, Ed25519PrivateKey.generate())
    with (
        serving(impostor) as served,
        pytest.raises(SyncError, match="not signed by the centre that this station enrolled with"),
    ):
        site.rounds(served.url).round()


def _segment_of(site: Site) -> bytes:
    from inspector.store.merkle import EMPTY_ROOT, leaf_hash
    from inspector.sync import segment

    return segment.pack(
        site.name, "line", 0, [b"\x80"], (EMPTY_ROOT, leaf_hash(b"\x80")), [],
        signing_key(site.data),
    )  # fmt: skip
