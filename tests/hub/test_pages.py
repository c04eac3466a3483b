"""The centre's pages: who is let in, what they see, complaints traced to their part
(S11, S20, S21)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from argon2 import PasswordHasher
from centre_and_stations import Served, Site, count
from sqlalchemy import select

from inspector.config import Retention
from inspector.identity import Role
from inspector.part import Mode, Outcome
from inspector.store import LineLedger, retain
from inspector.store.bench import sample_gate, sample_verdict
from training.hub import people as people_module
from training.hub import tables
from training.hub.fleet import defects, newest_rejects
from training.hub.people import ATTEMPTS, NotIn, add_person, log_in
from training.hub.words import WORDS

PASSWORD = "a long password"


@pytest.fixture
def people(centre: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Anna may do everything, Otto may only look; their hashes are cheap ones."""
    monkeypatch.setattr(people_module, "_hasher", PasswordHasher(1, 8, 1))
    with centre.hub.engine.begin() as connection:
        for name, roles in (("anna", [Role.QA, Role.ENGINEER]), ("otto", [Role.AUDITOR])):
            add_person(connection, name, roles, PASSWORD, "test", 1)
    return centre


@pytest.fixture
def anna(people: Served) -> Iterator[httpx.Client]:
    """Her browser, signed in."""
    with browser(people) as client:
        client.post("/sign-in", data={"name": "anna", "password": PASSWORD})
        yield client


def browser(served: Served) -> httpx.Client:
    return httpx.Client(base_url=served.url, follow_redirects=True, trust_env=False, timeout=60)


def test_who_has_not_signed_in_sees_the_sign_in_page_alone(people: Served) -> None:
    with browser(people) as client:
        for path in ("/", "/station/x", "/part/x", "/find?q=x", "/complaints", "/alarms"):
            assert 'name="password"' in client.get(path).text
        page = client.get("/picture/" + "0" * 64)
        assert 'name="password"' in page.text
        wrong = client.post("/sign-in", data={"name": "anna", "password": "not this one"})
        assert wrong.status_code == 403 and "Name or password is wrong" in wrong.text


def test_wrong_passwords_lock_a_name_and_not_for_ever(people: Served) -> None:
    now = 10**18
    for _ in range(ATTEMPTS):
        with pytest.raises(NotIn, match="is wrong"):
            log_in(people.hub.engine, "anna", "a wrong guess", now)
    with pytest.raises(NotIn, match="try again in 30 s"):
        log_in(people.hub.engine, "anna", PASSWORD, now)
    assert log_in(people.hub.engine, "anna", PASSWORD, now + 31 * 10**9)


@pytest.mark.parametrize("origin", ["https://evil.example", "https://[", "null"])
def test_a_form_from_elsewhere_is_refused(anna: httpx.Client, origin: str) -> None:
    answer = anna.post("/complaints", data={"serial": "x"}, headers={"Origin": origin})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 1048577\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n100001\r\n" + b" " * 1048577,
    ],
    ids=["announced", "not announced"],
)
@pytest.mark.parametrize(
    "ask",
    [
        b"POST /api/v1/challenge HTTP/1.1\r\nContent-Type: application/json\r\n",
        b"POST /sign-in HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n",
    ],
)
def test_a_stranger_fills_no_memory(centre: Served, ask: bytes, body: bytes) -> None:
    """Every byte that anybody sent was kept until the last one had come."""
    url = httpx.URL(centre.url)
    with socket.create_connection((url.host, url.port or 0), timeout=10) as stranger:
        stranger.sendall(ask + b"Host: x\r\n" + body)
        assert stranger.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_new_password_ends_what_the_old_one_opened(anna: httpx.Client, people: Served) -> None:
    """Somebody else may have known it."""
    assert "Sign out" in anna.get("/").text
    with people.hub.engine.begin() as connection:
        add_person(connection, "anna", [Role.QA], "another long password", "test", 1)
    assert 'name="password"' in anna.get("/").text


def test_signed_out_is_signed_out_at_every_hub(people: Served) -> None:
    with browser(people) as client:
        client.post("/sign-in", data={"name": "anna", "password": PASSWORD})
        cookie = dict(client.cookies)
        assert "Sign out" in client.get("/").text
        client.post("/sign-out")
    with httpx.Client(
        base_url=people.url, cookies=cookie, follow_redirects=True, timeout=60
    ) as thief:
        assert 'name="password"' in thief.get("/").text


def test_the_fleet_by_site_with_yield_models_lag_and_alarms(
    anna: httpx.Client, people: Served, site: Site
) -> None:
    assert "training hub token" in anna.get("/").text
    site.enrol(people)
    site.inspect(50)
    site.inspect(1, batch="RUSH")
    site.inspect(49)
    site.rounds(people.url).round()
    page = anna.get("/").text
    assert "RUSH" not in page  # what runs, and not what was the newest to be new
    for text in ("ST-01", "north", "98.00 %", "bottle@3", "a1a1a1a1", "up to date", "L2417A"):
        assert text in page, text
    station = anna.get("/station/ST-01").text
    assert "Newest rejects" in station and "cap" in station and "0.1.0" in station
    chinese = anna.get("/?lang=zh").text
    assert "一次合格率" in chinese and 'lang="zh-Hans"' in chinese
    assert "一次合格率" in anna.get("/").text  # it is remembered


def test_what_was_wrong_is_what_was_wrong_in_production(
    anna: httpx.Client, people: Served, site: Site
) -> None:
    """A challenge's masters and what was by-passed are in no count of parts, nor of defects."""
    site.enrol(people)
    with LineLedger.open(site.data, station=site.name) as ledger:
        ledger.add_verdict(sample_verdict(50))
        ledger.add_verdict(replace(sample_verdict(100), mode=Mode.CHALLENGE))
        skipped = replace(sample_verdict(101), outcome=Outcome.NOT_INSPECTED, mode=Mode.BYPASS)
        ledger.add_verdict(skipped)
    site.rounds(people.url).round()
    with people.hub.engine.begin() as connection:
        (defect,) = defects(connection, 1, 0)
        (reject,) = newest_rejects(connection, 1)
    assert (defect.tool, defect.parts, reject.sequence) == ("cap", 1, 50)
    assert anna.get("/station/ST-01").status_code == 200


def test_an_alarm_is_closed_by_who_may(anna: httpx.Client, people: Served, site: Site) -> None:
    from training.hub.alarms import raise_alarm

    site.enrol(people)
    with people.hub.engine.begin() as connection:
        raise_alarm(connection, 1, "fork", "line records <3> differ", 5)
    assert "line records &lt;3&gt; differ" in anna.get("/alarms").text
    with browser(people) as otto:
        otto.post("/sign-in", data={"name": "otto", "password": PASSWORD})
        assert "Dealt with" not in otto.get("/alarms").text
        refused = otto.post("/alarms/1/close?lang=zh")
        assert refused.status_code == 403 and "您可以查看，不能更改" in refused.text
        assert "otto" in refused.text, "and stands where he was"
    anna.post("/alarms/1/close")
    assert "No alarm stands" in anna.get("/alarms").text
    with people.hub.engine.begin() as connection:
        assert connection.execute(select(tables.Alarm.closed_by)).scalar_one() == "anna"  # I9


def test_down_to_a_part_with_its_picture(anna: httpx.Client, people: Served, site: Site) -> None:
    verdict = escaped(site, people)
    part = anna.get("/find", params={"q": "SN-042"})
    assert part.url.path == f"/part/{verdict.part_id}"
    for text in (
        "Pass",
        "SN-042",
        "Countersigned with checkpoint",
        "The picture is at the station",
    ):
        assert text in part.text, text
    anna.post(f"/part/{verdict.part_id}/wish")
    assert "The station was asked" in anna.get(part.url.path).text
    for _ in range(2):
        site.rounds(people.url).round()
        site.close()
    page = anna.get(part.url.path).text
    assert '<svg viewBox="0 0 64 48"' in page and "<rect" in page
    digest = page.split('href="/picture/')[1][:64]
    picture = anna.get(f"/picture/{digest}")
    assert picture.headers["content-type"] == "image/jpeg" and picture.content[:2] == b"\xff\xd8"
    assert anna.get("/find", params={"q": "nothing"}).status_code == 404
    assert anna.get("/part/nothing").status_code == 404


def test_who_asks_for_a_picture_that_was_let_go_is_told(
    anna: httpx.Client, people: Served, site: Site
) -> None:
    """It was said to come with the next round, for ever."""
    verdict = escaped(site, people)
    later = verdict.times.utc_ns + 365 * 86_400_000_000_000
    rules = Retention(pass_days=1, unacknowledged="delete")
    assert retain(site.data, rules, "test", utc_ns=later).files == 1
    anna.post(f"/part/{verdict.part_id}/wish")
    rounds = site.rounds(people.url)
    for _ in range(2):
        rounds.round()
    page = anna.get(f"/part/{verdict.part_id}").text
    assert "The station has this picture no more" in page and "was asked" not in page
    with people.hub.engine.begin() as connection:
        assert "gone" not in connection.execute(select(tables.Station.report)).scalar_one()


def test_a_complaint_leads_to_its_record_and_becomes_a_sample(
    anna: httpx.Client, people: Served, site: Site
) -> None:
    """S21: after-sales knows a serial; the part was let pass, so it teaches."""
    anna.post("/complaints", data={"serial": "SN-042", "label": "scratch", "words": "it leaks"})
    assert "No record of this serial is here yet" in anna.get("/complaints").text
    verdict = escaped(site, people)
    page = anna.get("/complaints").text  # traced as soon as the record is here
    assert "Escape: the station had let it pass" in page and str(verdict.part_id) in page
    for _ in range(2):
        site.rounds(people.url).round()
        site.close()
    with people.hub.engine.begin() as connection:
        sample = connection.execute(select(tables.Sample)).one()
        complaint = connection.execute(select(tables.Complaint)).one()
    assert (sample.reason, sample.probability) == ("complaint", None)
    assert (complaint.escape, complaint.made_by) == (1, "anna")
    anna.post("/complaints", data={"serial": "SN-042", "label": "dent"})
    assert count(people, tables.Sample) == 1
    with browser(people) as otto:
        otto.post("/sign-in", data={"name": "otto", "password": PASSWORD})
        assert otto.post("/complaints", data={"serial": "SN-1"}).status_code == 403


def test_every_word_is_in_both_languages() -> None:
    assert WORDS["en"].keys() == WORDS["zh"].keys()
    assert all(word.strip() for words in WORDS.values() for word in words.values())


def escaped(site: Site, served: Served) -> Any:
    """A passed part with a serial and a real picture, its record at the centre."""
    site.enrol(served)
    pixels = np.zeros((48, 64, 3), np.uint8)
    _, jpeg = cv2.imencode(".jpg", pixels)
    with LineLedger.open(site.data, station=site.name) as ledger:
        verdict = sample_verdict(1, serial="SN-042")
        ledger.add_verdict(verdict)
        ledger.add_gate(sample_gate(verdict))
        ledger.add_image(site.picture(verdict, jpeg.tobytes()))
    site.sequence = 1
    site.rounds(served.url, utc_ns=time.time_ns).round()
    site.close()
    return verdict
