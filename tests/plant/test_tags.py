"""Process values by REST, beside the parts they belong to (S1, S5, S15, S22)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from inspector.identity import Role
from inspector.store import History, verify


def test_a_value_stands_beside_the_part_that_was_made_then(plant: Any, mes: Any) -> None:
    with History(plant.data) as history:
        part = history.by_sequence("plc-1", 70)
        assert part is not None
        at = datetime.fromtimestamp(part.verdict.times.utc_ns / 1e9, UTC)
    before, later = at - timedelta(minutes=1), at + timedelta(minutes=9)
    samples = [
        {"tag": "filler.temperature", "value": 71.5, "unit": "Cel", "at": before.isoformat()},
        {"tag": "filler.temperature", "value": 99.0, "unit": "Cel", "at": later.isoformat()},
        {"tag": "capper.torque", "unit": "N.m", "quality": "bad", "at": before.isoformat()},
    ]
    assert mes.post("/tags", {"samples": samples}).json == {"kept": 3}
    said = mes.get(f"/parts/{part.verdict.part_id}").json
    assert [(t["tag"], t["value"], t["unit"], t["quality"]) for t in said["process"]] == [
        ("capper.torque", None, "N.m", "bad"), ("filler.temperature", 71.5, "Cel", "good"),
    ]  # fmt: skip
    assert said["digital_link"] == "/01/04012345123456/10/L2417A/21/S70" and said["earlier"] == []
    begin, end = (at - timedelta(hours=1)).isoformat(), (at + timedelta(hours=1)).isoformat()
    query = f"tag=filler.temperature&from={begin}&to={end}".replace("+", "%2B")
    series = mes.get(f"/tags/series?{query}").json["items"]
    assert [item["value"] for item in series] == [71.5, 99.0]
    assert mes.get("/tags").json["items"]
    assert verify(plant.data).ok


def test_what_is_no_value_and_who_may_not_are_refused(plant: Any, mes: Any, auditor: Any) -> None:
    good = {"samples": [{"tag": "t", "value": 1.0}]}
    assert auditor.post("/tags", good).status == 403
    assert plant.client(plant.key("tagless", Role.OPERATOR)).post("/tags", good).status == 403
    for wrong in (
        {"samples": []}, {"samples": [{"tag": "t", "value": "hot"}]},
        {"samples": [{"tag": "t", "value": 1, "unit": "°C"}]},
        {"samples": [{"tag": "t", "value": 1, "at": "0001-01-01T00:00:00Z"}]},
    ):  # fmt: skip
        assert mes.post("/tags", wrong).status == 422
    assert mes.post("/tags", b'{"samples": [{"tag": "t", "value": 1e999}]}').status == 422
    assert mes.get("/tags?at=0001-01-01T00:00:00Z").status == 422
