"""Writing without a line: the plant still holds, says what it does not know, and does it once."""

from __future__ import annotations

import http.client
import threading
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from inspector.identity import Role
from inspector.store import History, verify

WHY = {"reason": "overfilled", "requester": "MES order 4711"}


def number(n: int) -> dict[str, Any]:
    return {"sequence": {"number": n}, **WHY}


def disposition(client: Any, n: int) -> str | None:
    serial = client.get("/parts?limit=200").json["items"]
    standing = next(part for part in serial if part["sequence"] == n)["disposition"]
    return standing and str(standing["disposition"])


def desk_size(plant: Any) -> int:
    with History(plant.data) as history:
        return len(history.desk(limit=100_000))


def test_a_part_that_has_passed_is_held_and_a_near_one_is_not_known(mes: Any) -> None:
    # 500 mm at a pitch of 20 mm, and a margin: 75 parts may stand before the gate.
    reply = mes.post("/rejects", {"sequences": {"first": 1, "last": 180}, **WHY})
    assert reply.status == 202
    assert reply.json["runs"] == [
        {"stream": "plc-1", "first": 1, "last": 105, "gate": "passed"},
        {"stream": "plc-1", "first": 106, "last": 180, "gate": "unknown"},
    ]
    assert reply.json["gate"] == "unknown" and "not running" in reply.json["detail"]
    assert disposition(mes, 1) == disposition(mes, 180) == "hold"
    state = mes.get(f"/rejects/{reply.json['id']}").json
    assert state["principal"] == "mes" and state["request"] == reply.json
    assert state["confirmation"]["acknowledged"] == 1  # part 150 is a reject of its own


@pytest.mark.parametrize("by", ["part", "serial", "sequence", "time"])
def test_each_way_to_name_a_part_names_the_same(plant: Any, mes: Any, by: str) -> None:
    with History(plant.data) as history:
        part = history.by_sequence("plc-1", 70)
    assert part is not None
    ms = (part.verdict.part_id.int >> 80) / 1000
    named = {
        "part": {"part": str(part.verdict.part_id)},
        "serial": {"serial": "S70"},
        "sequence": {"sequence": {"number": 70, "stream": "plc-1"}},
        "time": {
            "time": {
                "from": datetime.fromtimestamp(ms, UTC).isoformat(),
                "to": datetime.fromtimestamp(ms + 0.001, UTC).isoformat(),
            }
        },
    }[by]
    reply = mes.post("/rejects", named | WHY)
    assert reply.status == 200, reply.body
    (run,) = reply.json["runs"]
    assert run["first"] <= 70 <= run["last"] <= run["first"] + 9
    assert run["gate"] == "passed" and reply.json["disposition"] == "hold"


def test_a_hold_is_disposed_of_and_scrap_is_final(mes: Any) -> None:
    mes.post("/rejects", number(20))
    for decision in ("rework", "release", "scrap"):
        reply = mes.post("/dispositions", {"disposition": decision} | number(20))
        assert reply.status == 201, reply.body
        assert disposition(mes, 20) == decision
    reply = mes.post("/dispositions", {"disposition": "release"} | number(20))
    assert reply.status == 409 and reply.json["type"].endswith("scrapped")
    assert mes.post("/rejects", number(20)).status == 200
    assert disposition(mes, 20) == "scrap"


def test_a_batch_is_held_and_released(mes: Any) -> None:
    reply = mes.post("/rejects", {"batch": "A", **WHY})
    assert reply.status == 202 and reply.json["paused"] is False  # some may stand at the gate
    assert "lost" in reply.json["detail"]
    assert mes.get("/batches/A").json["disposition"]["reason"] == "overfilled"
    assert any(held["batch"] == "A" for held in mes.get("/holds").json["items"])
    refused = mes.post("/batches", {"id": "A"})
    assert refused.status == 409 and refused.json["type"].endswith("on-hold")
    assert mes.post("/batches/A/release", WHY).status == 201
    assert mes.get("/batches/A").json["disposition"]["disposition"] == "release"
    assert mes.post("/batches/A/release", WHY).status == 409
    assert mes.post("/batches/never/hold", WHY).status == 404


def test_a_running_batch_that_cannot_be_paused_is_held_and_the_answer_says_so(mes: Any) -> None:
    reply = mes.post("/batches/B/hold", WHY)
    assert reply.status == 202 and reply.json["gate"] == "unknown"
    assert reply.json["paused"] is False and "was not paused" in reply.json["detail"]
    assert mes.get("/batches/B").json["disposition"]["disposition"] == "hold"
    assert mes.post("/batches/B/release", WHY).status == 201


def test_what_needs_the_line_says_that_there_is_none(plant: Any, mes: Any) -> None:
    size = desk_size(plant)
    for path, body in (
        ("/batches", {"id": "C"}),
        ("/changeover", {"recipe": "bottle"}),
        ("/batches/B/close", None),
    ):
        reply = mes.post(path, body)
        assert reply.status == 503, (path, reply.body)
        assert reply.json["type"].endswith("no-line") and int(reply.headers["retry-after"]) > 0
    assert desk_size(plant) == size


def test_the_same_request_gets_the_same_answer_and_is_done_once(plant: Any, mes: Any) -> None:
    key = f"order-{uuid4()}"
    first = mes.post("/rejects", number(30), Idempotency_Key=key)
    size = desk_size(plant)
    again = mes.post("/rejects", number(30), Idempotency_Key=key)
    assert (again.status, again.json) == (first.status, first.json)
    assert again.headers["idempotent-replayed"] == "true"
    assert desk_size(plant) == size
    other = mes.post("/rejects", number(31), Idempotency_Key=key)
    assert other.status == 422 and other.json["type"].endswith("key-reused")
    other = mes.post("/dispositions", {"disposition": "rework"} | number(30), Idempotency_Key=key)
    assert other.status == 422


def test_a_refused_request_leaves_its_key_free(mes: Any) -> None:
    key = f"order-{uuid4()}"
    assert mes.post("/rejects", number(9999), Idempotency_Key=key).status == 404
    assert mes.post("/rejects", number(33), Idempotency_Key=key).status == 200


def test_a_key_is_its_principals_own(plant: Any, mes: Any) -> None:
    other = plant.client(plant.key("mes-2", Role.MACHINE))
    key = f"order-{uuid4()}"
    first = mes.post("/rejects", number(34), Idempotency_Key=key)
    second = other.post("/rejects", number(35), Idempotency_Key=key)
    assert second.status == 200 and second.json["id"] != first.json["id"]


def test_many_at_once_with_one_key_are_one(plant: Any, mes: Any) -> None:
    size, key = desk_size(plant), f"order-{uuid4()}"
    clients = [plant.client(mes.key) for _ in range(8)]
    start = threading.Barrier(len(clients))
    replies: list[Any] = []

    def post(client: Any) -> None:
        start.wait()
        replies.append(client.post("/rejects", number(36), Idempotency_Key=key))

    threads = [threading.Thread(target=post, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {reply.status for reply in replies} == {200} and len(replies) == len(clients)
    assert len({reply.json["id"] for reply in replies}) == 1
    assert sum("idempotent-replayed" in reply.headers for reply in replies) == len(clients) - 1
    assert desk_size(plant) == size + 1


def test_keys_outlive_a_kill_and_the_loss_of_the_index(plant: Any, mes: Any) -> None:
    key = f"order-{uuid4()}"
    first = mes.post("/rejects", number(40), Idempotency_Key=key)
    plant.kill()
    for name in ("plant.db", "holds.db"):
        for file in plant.data.glob(f"{name}*"):
            file.unlink()
    plant.start()
    client = plant.client(mes.key)
    again = client.post("/rejects", number(40), Idempotency_Key=key)
    assert again.json == first.json and again.headers["idempotent-replayed"] == "true"
    assert disposition(client, 40) == "hold"


def test_nothing_acknowledged_is_lost_when_it_is_killed_under_load(plant: Any, mes: Any) -> None:
    answered: dict[str, str] = {}
    tried: set[str] = set()

    def flood(worker: int) -> None:
        client = plant.client(mes.key)
        for index in range(1000):
            key = f"flood-{worker}-{index}"
            tried.add(key)
            try:
                reply = client.post("/rejects", number(1 + index % 100), Idempotency_Key=key)
            except (OSError, http.client.HTTPException):
                return
            answered[key] = reply.json["id"]

    threads = [threading.Thread(target=flood, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while len(answered) < 60 and time.monotonic() < deadline:
        time.sleep(0.01)
    plant.process.kill()
    for thread in threads:
        thread.join(20)
    plant.kill()
    plant.start()
    client = plant.client(mes.key)
    with History(plant.data) as history:
        kept = [r.body for r in history.desk(limit=100_000) if r.body.get("key") in tried]
    assert len(answered) >= 60
    assert len({body["key"] for body in kept}) == len(kept)  # none twice
    assert answered.items() <= {body["key"]: body["answer"]["id"] for body in kept}.items()
    for key in list(answered)[-3:]:
        index = int(key.rsplit("-", 1)[1])
        again = client.post("/rejects", number(1 + index % 100), Idempotency_Key=key)
        assert again.json["id"] == answered[key]


def test_every_write_is_in_the_ledger_with_its_principal(plant: Any) -> None:
    with History(plant.data) as history:
        records = history.desk(limit=100_000)
    assert records and {record.principal for record in records} <= {"mes", "mes-2"}
    assert all(record.body["reason"] and record.body["answer"]["id"] for record in records)
    assert verify(plant.data).ok


def test_a_second_plant_process_on_the_same_data_ends(plant: Any) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "inspector.plant.process", str(plant.file), str(plant.run)]
    began = time.monotonic()
    ended = subprocess.run(command, capture_output=True, timeout=60)
    assert ended.returncode != 0 and b"another plant process" in ended.stderr
    assert time.monotonic() - began < 60
