"""Pictures go once, in pieces, the right ones first; a changed one is named (S9, I5)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from centre_and_stations import Served, Site, alarms_at, count, wish
from sqlalchemy import insert, select, update

from inspector.config import Retention
from inspector.store import LineLedger, retain, signing_key
from inspector.store.related import desk_records
from inspector.store.retention import ACKNOWLEDGED
from inspector.store.tags import Sample as Value
from inspector.store.tags import Tags
from inspector.sync import pictures
from inspector.sync import rounds as rounds_module
from inspector.sync.centre import Link
from inspector.sync.enrol import Away, RefusedByCentre
from inspector.sync.outbox import Outbox, Sample
from training.hub import tables

LATER = 3 * 3_600_000_000_000


def later() -> int:
    """Three hours on: every hour of parts is over."""
    return time.time_ns() + LATER


def test_samples_arrive_with_their_reason_and_probability(centre: Served, site: Site) -> None:
    site.enrol(centre)
    site.inspect(100, pictures=True)
    site.rounds(centre.url, utc_ns=later, samples={"per_hour": 8}).round()
    with centre.hub.engine.begin() as connection:
        rows = connection.execute(select(tables.Sample)).all()
    passes = [row for row in rows if row.stratum == "pass"]
    rejects = [row for row in rows if row.stratum == "cap: cap"]
    assert len(passes) == 8 and len(rejects) == 2
    assert all(row.reason == "random" and row.probability == 8 / 98 for row in passes)
    assert all(row.reason == "rare" and row.probability == 1.0 for row in rejects)
    assert all(centre.hub.blobs.get(row.digest) for row in rows)


def test_rejects_go_first(centre: Served, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.enrol(centre)
    site.inspect(100, pictures=True)
    sent: list[bool] = []
    really = pictures._send

    def send(link: Any, sample: Any, *rest: Any) -> None:
        sent.append(sample.rejected)
        really(link, sample, *rest)

    monkeypatch.setattr(pictures, "_send", send)
    site.rounds(centre.url, utc_ns=later).round()
    assert sent[:2] == [True, True] and not any(sent[2:]) and len(sent) > 2


@pytest.mark.parametrize("why", ["asked", "complaint", "review"])
def test_what_a_person_waits_for_goes_before_all(tmp_path: Path, why: str) -> None:
    """The picture of an escape, which passed, came behind a night's rejects."""
    outbox = Outbox(tmp_path)
    reject = Sample("p1", "side", "1" * 64, "x.jpg", 9, "rare", "dent", 1.0, 1, True)
    asked = replace(reject, part="p2", reason=why, chosen_utc_ns=2, rejected=False)
    before = replace(asked, part="p3", reason="random", probability=0.1, chosen_utc_ns=3)
    for sample in (reject, before, asked, replace(asked, part="p3", probability=None)):
        outbox.add(sample)
    for order in (outbox, Outbox(tmp_path)):
        assert [sample.part for sample in order] == ["p2", "p3", "p1"]
    _, waited, _ = outbox  # that it was chosen by chance stays, or shares would be wrong
    assert waited.as_sent() == before.as_sent() and "wanted" not in waited.as_sent()


def test_a_picture_that_is_there_already_is_not_sent_again(centre: Served, site: Site) -> None:
    site.enrol(centre)
    same = b"two parts, one picture" * 100
    with LineLedger.open(site.data, station=site.name) as ledger:
        for verdict in _verdicts(site, 2):
            ledger.add_verdict(verdict)
            ledger.add_image(site.picture(verdict, same))
    pieces = _count_pieces(site, centre)
    assert pieces == 1 and count(centre, tables.Sample) == 2


def test_a_large_picture_is_taken_up_where_it_was_cut_off(
    centre: Served, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "PIECE", 1000)
    site.enrol(centre)
    large = bytes(range(256)) * 20
    with LineLedger.open(site.data, station=site.name) as ledger:
        (verdict,) = _verdicts(site, 1)
        ledger.add_verdict(verdict)
        ledger.add_image(site.picture(verdict, large))
    rounds = site.rounds(centre.url, utc_ns=later)
    really = Link.ask
    asked: list[int] = []

    def ask(link: Link, method: str, path: str, **given: Any) -> Any:
        if method == "PUT":
            asked.append(given["offset"])
            if len(asked) == 3:
                raise Away("the cable was cut")
        return really(link, method, path, **given)

    monkeypatch.setattr(Link, "ask", ask)
    with pytest.raises(Away):
        rounds.round()
    rounds.round()
    assert asked == [0, 1000, 2000, 2000, 3000, 4000, 5000]
    assert centre.hub.blobs.get(sha256(large).hexdigest()) == large


@pytest.mark.parametrize("before", ["/api/v1/blobs/", "/api/v1/samples", "/api/v1/tags"])
def test_a_station_that_is_shut_out_on_the_way_loses_no_sample(
    centre: Served, site: Site, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """It was revoked by mistake: what it owed it still owes when it is let in again."""
    site.enrol(centre)
    site.inspect(100, pictures=True)
    with Tags(site.data, seal_s=0) as tags:
        tags.add([Value("oven", 71.5, "Cel", 10**18)], "opcua")
    rounds = site.rounds(centre.url, utc_ns=later, samples={"per_hour": 5})
    really = Link.ask

    def let_in(revoked: int) -> None:
        with centre.hub.engine.begin() as connection:
            connection.execute(update(tables.Station).values(revoked=revoked))

    def ask(link: Link, method: str, path: str, **given: Any) -> Any:
        if path.startswith(before):
            let_in(1)
        return really(link, method, path, **given)

    with monkeypatch.context() as mistake, pytest.raises(RefusedByCentre):
        mistake.setattr(Link, "ask", ask)
        rounds.round()
    let_in(0)
    assert not rounds.round().troubles
    assert count(centre, tables.Sample) == 7 and count(centre, tables.Tag) == 1


def test_a_centre_that_has_no_room_for_a_picture_gets_it_when_it_has(
    centre: Served, site: Site, tmp_path: Path
) -> None:
    """A full disk there was answered as a refusal, and the sample was let go here. Meanwhile what
    it has acknowledged may be let go, or a disk here fills as well."""
    site.enrol(centre)
    site.inspect(50)
    path = next((site.data / "images").rglob("*.jpg"))
    in_the_way = tmp_path / "hub" / "blobs" / "blob" / path.stem[:2]
    in_the_way.parent.mkdir()
    in_the_way.write_bytes(b"")
    rounds = site.rounds(centre.url, utc_ns=later)
    with pytest.raises(Away, match=r"503: .*File exists"):
        rounds.round()
    assert [record.body["records"] for record in desk_records(site.data, ACKNOWLEDGED)] == [107]
    in_the_way.unlink()
    assert rounds.round().pictures == 1 and count(centre, tables.Sample) == 1


def test_a_hub_killed_before_it_put_the_pieces_together_does_so_later(
    centre: Served, site: Site
) -> None:
    """Every byte was there and the picture was not: its sample was refused, and let go here."""
    site.enrol(centre)
    site.inspect(50)
    picture = next((site.data / "images").rglob("*.jpg"))
    content = picture.read_bytes()
    centre.hub.blobs.add(site.name, picture.stem, len(content) + 1, 0, content)
    done = site.rounds(centre.url, utc_ns=later).round()
    assert not done.troubles and count(centre, tables.Sample) == 1


def test_a_picture_that_was_changed_here_is_named_and_not_sent(centre: Served, site: Site) -> None:
    site.enrol(centre)
    site.inspect(50)
    path = next((site.data / "images").rglob("*.jpg"))
    path.write_bytes(b"another picture")
    done = site.rounds(centre.url, utc_ns=later).round()
    name = path.relative_to(site.data).as_posix()
    assert done.troubles == [f"{name} was changed since its record named it"]
    assert alarms_at(centre) == [("image", done.troubles[0])]
    assert count(centre, tables.Sample) == 0 and done.pictures_waiting == 0


def test_the_centre_refuses_a_picture_that_is_not_what_its_record_says(
    centre: Served, site: Site
) -> None:
    known = site.enrol(centre)
    site.inspect(50)
    site.rounds(centre.url).round()
    path = next((site.data / "images").rglob("*.jpg"))
    size = path.stat().st_size
    link = Link(known, site.name, signing_key(site.data))
    with pytest.raises(RefusedByCentre, match=f"{path.stem} was changed"):
        link.ask("PUT", f"/api/v1/blobs/{path.stem}", content=bytes(size), offset=0, size=size)
    link.close()
    assert alarms_at(centre)[0][0] == "image" and path.stem in alarms_at(centre)[0][1]


def test_a_review_makes_its_part_a_sample(centre: Served, site: Site) -> None:
    """S9: an operator's or QA's override teaches; it counts in no estimate."""
    site.enrol(centre)
    verdict = site.inspect(5, pictures=True)[2]
    site.write(
        "review", "anna", part=str(verdict.part_id), decision="override", outcome="reject",
        was="pass", labels=[{"label": "scratch", "box": [1, 2, 3, 4], "severity": "major"}],
    )  # fmt: skip
    site.rounds(centre.url).round()
    with centre.hub.engine.begin() as connection:
        sample = connection.execute(select(tables.Sample)).one()
        review = connection.execute(select(tables.Review)).one()
    assert sample.reason == "disagreement" and sample.probability is None
    assert review.part == verdict.part_id.bytes and review.labels[0]["label"] == "scratch"


@pytest.mark.parametrize("hours", [[], ["00:00-00:00"]], ids=["sent", "waiting"])
def test_what_is_chosen_too_has_its_probability_though_a_person_asked_first(
    centre: Served, site: Site, hours: list[str]
) -> None:
    """A reject that was reviewed within its hour counted in no estimate: those left were others."""
    site.enrol(centre)
    *_, reject = site.inspect(50)
    site.write("review", part=str(reject.part_id), sample=True)
    site.rounds(centre.url, hours=hours).round()
    site.close()
    site.rounds(centre.url, utc_ns=later).round()
    with centre.hub.engine.begin() as connection:
        (row,) = connection.execute(select(tables.Sample)).all()
    assert (row.reason, row.probability, row.stratum) == ("review", 1.0, "cap: cap")


def test_what_a_shadow_judges_otherwise_becomes_a_sample(centre: Served, site: Site) -> None:
    """As `release.shadow` records it: the centre wants those most of all."""
    from inspector.release.stage import SHADOW

    site.enrol(centre)
    verdict = site.inspect(5, pictures=True)[2]
    site.write(
        SHADOW, "releases", part=str(verdict.part_id), outcome="pass", shadow_outcome="reject"
    )
    site.rounds(centre.url).round()
    with centre.hub.engine.begin() as connection:
        sample = connection.execute(select(tables.Sample)).one()
    assert (sample.part, sample.reason) == (verdict.part_id.bytes, "disagreement")


def test_a_picture_that_was_let_go_is_no_disagreement(centre: Served, site: Site) -> None:
    """A complaint about an old part asks for what no rule kept; nobody forged anything."""
    rules = Retention(pass_days=1, error_days=1, reject_days=1, reviewed_days=1)
    site.enrol(centre)
    verdicts = site.inspect(10, pictures=True)
    in_a_year = verdicts[-1].times.utc_ns + 365 * 86_400_000_000_000
    site.rounds(centre.url, utc_ns=lambda: in_a_year, samples={"per_hour": 1}).round()
    assert retain(site.data, rules, "test", utc_ns=in_a_year).files == 10
    with centre.hub.engine.begin() as connection:
        images = connection.execute(select(tables.Image)).all()
        sent = set(connection.execute(select(tables.Sample.digest)).scalars())
        connection.execute(
            insert(tables.Wish),
            [
                {"station_id": 1, "digest": image.digest, "part": image.part, "why": "complaint",
                 "made_by": "anna", "made_utc_ns": 1}
                for image in images if image.digest not in sent
            ],
        )  # fmt: skip
    site.close()
    (site.data / "sync.db").unlink()  # and all hours are chosen from again
    rounds = site.rounds(centre.url, utc_ns=lambda: in_a_year, samples={"per_hour": 9})
    assert not rounds.round().troubles and not rounds.round().troubles
    assert not alarms_at(centre)


def test_what_the_centre_wishes_for_is_sent(centre: Served, site: Site) -> None:
    site.enrol(centre)
    verdict = site.inspect(5, pictures=True)[1]
    rounds = site.rounds(centre.url)
    rounds.round()
    wish(centre, verdict.part_id, "complaint")
    rounds.round()
    rounds.round()
    with centre.hub.engine.begin() as connection:
        sample = connection.execute(select(tables.Sample)).one()
    assert sample.reason == "complaint" and count(centre, tables.Wish) == 0


def test_no_picture_travels_outside_its_hours(centre: Served, site: Site) -> None:
    site.enrol(centre)
    site.inspect(50)
    done = site.rounds(centre.url, utc_ns=later, hours=["00:00-00:00"]).round()
    assert done.pictures == 0 and done.pictures_waiting == 1 and done.behind["line"] == 0


def test_pictures_stop_when_their_hours_end(
    centre: Served, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are left: a backlog that began at night does not go on by day. And by the
    plant's clock: `inspector sync now` took the hours of the shell that it was typed in."""
    site.enrol(centre)
    site.inspect(100, pictures=True)
    now = [later()]
    _after_each_portion(monkeypatch, lambda: now.append(now[-1] + LATER))
    zone = ZoneInfo("Asia/Shanghai")
    day = [datetime.fromtimestamp(now[0] / 1e9 + hours * 3600, zone) for hours in (-1, 1)]
    window = "-".join(f"{instant:%H:%M}" for instant in day)
    done = site.rounds(
        centre.url, utc_ns=lambda: now[-1], zone=zone, hours=[window], samples={"per_hour": 80}
    ).round()
    assert done.pictures == pictures.PORTION and done.pictures_waiting == 50 and not done.owes


def test_records_do_not_wait_for_a_backlog_of_pictures(
    centre: Served, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a narrow line a week's pictures take hours: the records go between them."""
    site.enrol(centre)
    site.inspect(100, pictures=True)
    clock = [0.0]
    _after_each_portion(monkeypatch, lambda: clock.append(clock[-1] + 60.0))
    rounds = site.rounds(
        centre.url, utc_ns=later, monotonic=lambda: clock[-1], samples={"per_hour": 80}
    )
    done = rounds.round()
    assert done.pictures == pictures.PORTION and done.pictures_waiting == 50 and done.owes
    site.inspect(10)
    assert rounds.round().sent["line"] >= 10 and count(centre, tables.Verdict) == 110
    assert not rounds.round().owes and count(centre, tables.Sample) == 82


def _after_each_portion(monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> None:
    def send(*given: Any) -> Any:
        yield from pictures.send_portion(*given)
        then()

    monkeypatch.setattr(rounds_module, "send_portion", send)


def _verdicts(site: Site, parts: int) -> list[Any]:
    from inspector.store.bench import sample_verdict

    site.sequence += parts
    return [sample_verdict(site.sequence - at) for at in reversed(range(parts))]


def _count_pieces(site: Site, centre: Served) -> int:
    pieces = 0
    really = Link.ask

    def ask(link: Link, method: str, path: str, **given: Any) -> Any:
        nonlocal pieces
        pieces += method == "PUT"
        return really(link, method, path, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Link, "ask", ask)
        site.rounds(centre.url, utc_ns=later).round()
    return pieces
