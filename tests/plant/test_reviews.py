"""Reviews by the interface: labels come in, questions stay open, only QA says what it is (I9)."""

from __future__ import annotations

from typing import Any

import pytest

from inspector.identity import Role
from inspector.store import History


@pytest.fixture(scope="module")
def qa(plant: Any) -> Any:
    return plant.client(plant.key("anna", Role.QA))


def part(plant: Any, number: int) -> str:
    with History(plant.data) as history:
        found = history.by_sequence("plc-1", number)
    assert found is not None
    return str(found.verdict.part_id)


def test_a_label_comes_in_and_is_found_again(plant: Any, qa: Any, auditor: Any) -> None:
    id = part(plant, 50)
    said = {
        "part": id, "view": "side", "decision": "relabel", "outcome": "reject", "sample": True,
        "labels": [{"label": "cap_missing", "box": [1, 2, 30, 40], "severity": "critical"},
                   {"label": "scratch", "polygon": [[1, 1], [9, 1], [9, 9]], "severity": "minor"}],
    }  # fmt: skip
    reply = qa.post("/reviews", said, Idempotency_Key="review-1")
    assert reply.status == 201, reply.body
    assert reply.json["was"] == "reject" and reply.json["reviewer"] == "anna"
    assert qa.post("/reviews", said, Idempotency_Key="review-1").json == reply.json
    (found,) = auditor.get(f"/reviews?part={id}").json["items"]
    assert found["id"] == reply.json["id"] and found["batch"] == "A" and found["sample"] is True
    assert found["labels"][1]["polygon"] == [[1, 1], [9, 1], [9, 9]]
    assert auditor.get("/reviews?batch=B").json["items"] == []


def test_a_second_opinion_stays_open_until_another_gives_it(plant: Any, qa: Any) -> None:
    other = plant.client(plant.key("ben", Role.QA))
    said = {"part": part(plant, 51), "decision": "second_opinion", "outcome": "reject"}
    assert qa.post("/reviews", said).status == 201
    assert qa.get("/reviews?pending=true&reviewer=anna").json["items"] == []
    (waits,) = other.get("/reviews?pending=true&reviewer=ben").json["items"]
    assert waits["part"] == said["part"]
    assert other.post("/reviews", said | {"decision": "confirm", "outcome": "pass"}).status == 201
    assert other.get("/reviews?pending=true").json["items"] == []
    agreement = qa.get("/reviews/agreement?first=anna&second=ben").json
    assert agreement == {"parts": 0, "agreed": 0, "kappa": None}


def test_only_qa_reviews(plant: Any, mes: Any, auditor: Any, qa: Any) -> None:
    said = {"part": part(plant, 52), "decision": "confirm", "outcome": "pass"}
    for client in (mes, auditor, plant.client(plant.key("eng", Role.ENGINEER))):
        assert client.post("/reviews", said).status == 403
    assert qa.post("/reviews", said | {"outcome": "reject"}).status == 422
    assert qa.post("/reviews", said | {"part": "0" * 32}).status == 404
    assert (
        qa.post("/reviews", said | {"labels": [{"label": "x", "box": [1, 1, 1, 1]}]}).status == 422
    )
    assert qa.get(f"/reviews?part={said['part']}").json["items"] == []
