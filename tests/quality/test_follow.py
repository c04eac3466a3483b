"""One follower of the ledger feeds all that watches quality, and says nothing twice (S1, S5).

That it does so beside a running line is shown in ``tests/trial/test_quality_on_the_line.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from quality_parts import part

from inspector.config import FirstArticle, Quality, Seeded, Station, load_station
from inspector.identity import Principal, Role, Users
from inspector.part import Batch, GateAction, GateDecision, Mode, Outcome
from inspector.quality import first_article
from inspector.quality.first_article import Look
from inspector.quality.follow import SHOW, Entry, Follower
from inspector.quality.signing import article_subject
from inspector.store import BatchChange, DeskLedger, Event, History, ImageRecord, LineLedger
from inspector.store.cursor import records_after
from inspector.store.signatures import sign
from inspector.store.tail import Tail

ADMIN = Principal("setup", frozenset({Role.ADMIN}))
STATION = Path(__file__).parent.parent.parent / "station_configs" / "bottle-line.yaml"
PLAN = Quality.model_validate({
    "subgroup": 50, "phase_one": 20,
    "challenge": {"seeded": [{"name": "s", "label": "scratch"}], "every_parts": 100},
    "first_article": {"golden_parts": 1},
})  # fmt: skip


@pytest.fixture(scope="module")
def station() -> Station:
    return load_station(STATION)


def kinds(entries: list[Entry]) -> list[str]:
    return [kind if kind != SHOW else f"show {body['code']}" for kind, body in entries]


def test_the_tag_that_moves_with_the_defects_is_named_in_the_alarm(station: Station) -> None:
    rng = np.random.default_rng(3)
    pressure = {n: 5.0 + (0.5 if n > 1500 else 0.0) + rng.normal(0, 0.1) for n in range(1, 3001)}

    def tags_at(utc_ns: int) -> dict[str, float]:
        number = round((utc_ns - 1_764_000_000_000_000_000) / 40_000_000)
        return {"capper pressure": pressure[number], "speed": rng.normal(500, 3)}

    follower = Follower(station, Quality(subgroup=50), tags_at=tags_at)
    entries: list[Entry] = []
    for number in range(1, 3001):
        bad = rng.random() < (0.02 if number <= 1500 else 0.2)
        outcome = Outcome.REJECT if bad else Outcome.PASS
        entries += follower.record(number, part(number, outcome=outcome))
    last = [body for kind, body in entries if kind == "spc"][-1]
    assert last["moves_with"]["tag"] == "capper pressure"
    assert 1 < last["moves_with"]["low"] < last["moves_with"]["odds_ratio"]
    expected = last["moves_with"]["expected"]
    assert 0 < expected["low"] < expected["share"] < expected["high"] < 1
    shown = [b for kind, b in entries if kind == SHOW and b["code"] == "out_of_control"]
    assert "moves with capper pressure" in shown[-1]["detail"]


def test_a_challenge_that_is_due_is_shown_and_a_missed_one_stops_the_line(station: Station) -> None:
    follower = Follower(station, PLAN)
    entries: list[Entry] = []
    for number in range(1, 101):
        entries += follower.record(number, part(number))
    assert kinds(entries)[-1] == "show challenge_due"
    utc_ns = part(100).times.utc_ns + 3600 * 10**9
    entries = follower.at(utc_ns)
    shown = ["show challenge_failed", "show challenge_due"]
    assert kinds(entries) == ["challenge", "disposition", *shown]
    assert entries[1][1]["runs"] == [["plc-1", 1, 100]] and entries[2][1]["stop"]
    assert not entries[3][1]["on"], "it counts as failed; the next one is due in its time"


def test_a_missed_challenge_stops_a_line_that_stood_since_one_was_inconclusive(
    station: Station, tmp_path: Path
) -> None:
    """After a restart it was taken for the inconclusive one, which is on record at its position:
    nothing was held, and nothing stopped."""
    station = station.model_copy(update={"data": tmp_path})
    with LineLedger.open(tmp_path, station="ST-01") as ledger:
        ledger.add_batch(Batch("B-1", "", "bottle", {}), "begin", "line")
        for number in range(1, 101):
            ledger.add_verdict(part(number))
        ledger.commit()
    with History(tmp_path) as history, DeskLedger.open(tmp_path) as desk:
        position = history.size() - 1
        desk.add("challenge", {"result": "inconclusive", "position": position}, "quality")
        follower, after = Follower.resume(station, PLAN, history)
        for at, record in records_after(history, after, 500)[0]:
            follower.record(at, record)
    entries = follower.at(part(100).times.utc_ns + 3600 * 10**9)
    assert kinds(entries)[:3] == ["challenge", "disposition", "show challenge_failed"]
    assert entries[2][1]["stop"]


def test_what_is_awaited_begins_a_first_article(station: Station) -> None:
    follower = Follower(station, PLAN)
    body: dict[str, Any] = {"awaits": "a1", "needs": ["first_article"], "batch": "B-1",
                            "recipe": "bottle", "texts": {}}  # fmt: skip
    follower.record(1, Event("setting", "mes", 0, 0, body))
    assert follower.article is not None and follower.article.id == "a1"
    follower.record(2, Event("setting", "quinn", 0, 0, body | {"awaits": "", "needs": []}))
    assert follower.article is None


TRIED = PLAN.model_copy(update={
    "first_article": FirstArticle(golden_parts=1, seeded=[Seeded(name="s", label="scratch")]),
})  # fmt: skip
"""A plan whose first article has a seeded part."""


def try_it(ledger: LineLedger, first: int, heard_ns: int = 5) -> None:
    """A batch ends, and the first article of the next one is fed: one good part, a seeded one."""
    ledger.add_batch(Batch("B-1", "", "bottle", {}), "end", "otto")
    ledger.add_batch(Batch("B-2", "", "bottle", {}), "begin", "otto")
    ledger.add_event("setting", "otto", awaits="a2", needs=["first_article"], batch="B-2",
                     recipe="bottle", texts={})  # fmt: skip
    golden = part(first, mode=Mode.SETUP, batch="B-2")
    seeded = part(first + 1, mode=Mode.SETUP, batch="B-2", outcome=Outcome.REJECT)
    for verdict in (golden, seeded):
        ledger.add_verdict(verdict)
    ledger.add_image(ImageRecord(golden.part_id, "side", "0" * 64, "images/x.jpg", 1))
    ledger.add_gate(GateDecision(
        seeded.part_id, "plc-1", first + 1, GateAction.REJECT, "setup", 1, heard_ns,
    ))  # fmt: skip
    ledger.commit()


@pytest.mark.parametrize("heard_ns", [0, 5])
def test_a_first_article_is_a_challenge_if_the_gate_rejected_its_seeded_parts(
    heard_ns: int, station: Station, tmp_path: Path
) -> None:
    station = station.model_copy(update={"data": tmp_path})
    with LineLedger.open(tmp_path, station="ST-01") as ledger:
        ledger.add_batch(Batch("B-1", "", "bottle", {}), "begin", "line")
        for number in range(1, 31):
            ledger.add_verdict(part(number))
        try_it(ledger, 31, heard_ns)
    with DeskLedger.open(tmp_path) as desk:
        desk.add("challenge", {"result": "good", "position": 0}, "quality")

    def follow(history: History) -> tuple[Follower, list[Entry]]:
        follower, after = Follower.resume(station, TRIED, history, lambda image: Look(0.2, 120.0))
        entries: list[Entry] = []
        for position, record in Tail(history).after(after, 1000, lambda: follower.hears_gates):
            if record is not None:
                entries += follower.record(position, record)
        return follower, entries + follower.at(part(40).times.utc_ns)

    with History(tmp_path) as history:
        for restarted in (False, True):
            follower, entries = follow(history)
            assert follower.challenges is not None
            assert bool(follower.challenges.due_ns) is (not heard_ns), "batch B-1 ended"
            assert (follower.challenges.parts == 0) is bool(heard_ns)
            if not restarted:
                assert first_article.KIND in kinds(entries)
                assert (kinds(entries)[-1] == "show challenge_due") is bool(heard_ns)
                with DeskLedger.open(tmp_path) as desk:
                    desk.add_all([(k, b, "quality") for k, b in entries if k != SHOW])
        later = follower.at(part(40).times.utc_ns + 3600 * 10**9)
        assert ("challenge" in kinds(later)) is (not heard_ns), "nothing was missed"


@pytest.mark.parametrize("later_s", [20, -3600])
def test_a_picture_is_not_waited_for_until_a_clock_has_caught_up(
    station: Station, later_s: int
) -> None:
    follower = Follower(station, PLAN)
    body: dict[str, Any] = {"awaits": "a1", "needs": ["first_article"], "batch": "B-1",
                            "recipe": "bottle", "texts": {}}  # fmt: skip
    follower.record(1, Event("setting", "mes", 0, 0, body))
    golden = part(1, mode=Mode.SETUP)
    follower.record(2, golden)
    assert follower.at(golden.times.utc_ns + 10**9) == []
    ((kind, sheet),) = follower.at(golden.times.utc_ns + later_s * 10**9)
    assert kind == "first_article" and "no picture of a golden part came" in sheet["failed"]


def test_what_was_said_before_a_restart_is_not_said_again(made: Any, station: Station,
                                                          tmp_path: Path) -> None:  # fmt: skip
    def read(follower: Follower, after: int, history: History) -> list[Entry]:
        found: list[Entry] = []
        while True:
            records, after = records_after(history, after, 500)
            for position, record in records:
                found += [e for e in follower.record(position, record) if e[0] != SHOW]
            if not records:
                return found

    data = copytree(made.data, tmp_path / "data")
    station = station.model_copy(update={"data": data})
    plan = Quality(subgroup=100)
    with History(data) as history:
        first = read(*Follower.resume(station, plan, history), history)
        assert "spc" in kinds(first)
        with DeskLedger.open(data) as desk:
            desk.add_all([(kind, body, "quality") for kind, body in first])
            desk.add_all([("spc", {"position": -1}, "quality")] * 600)
        follower, after = Follower.resume(station, plan, history)
        assert read(follower, after, history) == []
    assert follower.charts is not None and len(follower.charts.groups) == 39, (
        "it knows all the same"
    )


def test_a_new_batch_takes_the_old_ones_condition_away(station: Station) -> None:
    follower = Follower(station, PLAN)
    begin = BatchChange("B-2", "begin", "mes", "", "", {}, 0, 0)
    assert follower.record(1, begin) == [
        (SHOW, {"code": "out_of_control", "detail": "", "on": False, "stop": False})
    ]


def test_a_drift_that_is_over_is_not_shown_any_longer(station: Station) -> None:
    rng = np.random.default_rng(9)
    follower = Follower(station, PLAN)
    shown: list[bool] = []
    for number in range(1, 4001):
        score = (0.9 if 1000 < number <= 2000 else 0.97) + rng.normal(0, 0.005)
        for kind, body in follower.record(number, part(number, score=score)):
            if kind == SHOW and body["code"] == "drift":
                shown.append(body["on"])
    assert shown == [False, True, False], "one recipe begins, a score sinks, it is back"


def test_a_drift_goes_on_where_it_was_when_the_process_is_started_anew(
    station: Station, tmp_path: Path
) -> None:
    """Each start took the parts of the batch that ran for what good parts are like: a station that
    is switched off every evening never saw what wanders for days."""
    station = station.model_copy(update={"data": tmp_path})
    rng = np.random.default_rng(9)
    whole, said, memory = Follower(station, PLAN), list[int](), None
    with LineLedger.open(tmp_path, station="ST-01") as ledger, DeskLedger.open(tmp_path):
        for day, level in enumerate((0.97, 0.968, 0.90)):
            batch = f"B-{day}"
            ledger.add_batch(Batch(batch, "", "bottle", {}), "begin", "line")
            for number in range(day * 520 + 1, day * 520 + 521):
                score = float(level + rng.normal(0, 0.005))
                ledger.add_verdict(part(number, score=score, batch=batch))
            ledger.commit()
            with History(tmp_path) as history:
                follower, after = Follower.resume(station, PLAN, history, memory=memory)
                for at, record in records_after(history, after, 1000)[0]:
                    said += [at for kind, _ in follower.record(at, record) if kind == "drift"]
                for at, record in records_after(history, whole._position, 1000)[0]:
                    whole.record(at, record)
            memory = json.loads(json.dumps(follower.memory()))
        assert whole.drift and memory == json.loads(json.dumps(whole.memory()))
        assert len(said) == 1 and memory["features"]["score of lot/text"]["warned"]
        with History(tmp_path) as history:
            follower, _ = Follower.resume(station, PLAN, history, memory=memory)
            (_, shown), *_ = follower.record(0, part(1))
            assert shown["code"] == "drift" and shown["on"], "the line may be a new one too"
            other = memory | {"position": history.size()}
            follower, _ = Follower.resume(station, PLAN, history, memory=other)
            assert follower.drift is None, "the ledger came from a back-up"


def test_a_light_that_dims_is_told_while_parts_still_pass(station: Station) -> None:
    rng = np.random.default_rng(9)
    follower = Follower(station, PLAN)
    follower.record(1, part(1))
    said: list[str] = []
    for n in range(3000):
        # a picture each two seconds, for a shift and a half; from the 1,000th on the lamp ages
        light = 120 - max(0, n - 1000) * 0.002
        body = {"mode": "auto", "stream": "plc-1", "sequence": n, "batch": "B-1"}
        look = Look(0.2 + rng.normal(0, 0.005), light + rng.normal(0, 0.5))
        said += [b["feature"] for k, b in follower.picture(body, {"side": look}, n * 2 * 10**9)
                 if k == "drift"]  # fmt: skip
    assert said == ["light side"]
    assert follower.state()["health"]["light side"]["value"] == pytest.approx(4.0, abs=2.0)


def test_what_a_recipe_looked_like_is_known_however_long_ago_it_was_made(
    made: Any, station: Station, tmp_path: Path
) -> None:
    data = copytree(made.data, tmp_path / "data")
    sheet = {"id": "a1", "recipe": "bottle@3", "passed": True, "batch": "B-1",
             "looks": {"side": {"sharpness": 7.0, "light": 120.0},
                       "code": {"focus": 7.0, "light": 120.0}}}  # fmt: skip
    Users(data).add_user("quinn", [Role.QA], pin="2580", principal=ADMIN)
    with DeskLedger.open(data) as desk:
        desk.add("first_article", sheet, "quality")
        desk.add_all([("first_article", sheet | {"recipe": "can@1"}, "quality")] * 300)
    sign(
        data, Users(data), "quinn", "2580", by="pin", meaning="first article approved",
        subject=article_subject(sheet), may=lambda who: None,
    )  # fmt: skip

    with History(data) as history:
        follower, _ = Follower.resume(station.model_copy(update={"data": data}), PLAN, history)
        assert follower._reference("bottle") == {"side": Look(7.0, 120.0)}
        assert follower._reference("can") == {}  # nobody has signed it
