"""The plant process of a running station: what the MES asks, the line does, and the world sees."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inspector.bus import Answer, CommandClient, run_dir
from inspector.identity import Action, Principal, Role, Users
from inspector.store import History, verify
from inspector.trial import Trial, wait_for

pytestmark = pytest.mark.slow
RATE = 6.0
WHY = {"reason": "overfilled", "requester": "MES order 4711"}
QA = Principal("qa", frozenset({Role.QA}))
SYSTEM = Principal("test", frozenset({Role.SYSTEM}))


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory, lines: Any) -> Iterator[Trial]:
    with lines(tmp_path_factory.mktemp("line"), RATE, 4.0) as trial:
        yield trial


@pytest.fixture(scope="module")
def mes(trial: Trial, client_of: Callable[[str, str], Any]) -> Any:
    users = Users(trial.data)
    users.add_user("mes", [Role.MACHINE], principal=SYSTEM)
    url = (run_dir(trial.data) / "plant.url").read_text()
    client = client_of(url, users.add_key("mes", principal=SYSTEM))
    assert wait_for(lambda: newest(client) > 3, 60), "no part came"
    return client


def newest(client: Any) -> int:
    items = client.get("/parts?limit=1").json.get("items")
    return items[0]["sequence"] if items else 0


class Stream:
    """Server-sent events, read as the bytes come."""

    def __init__(self, mes: Any, place: str = "") -> None:
        host = mes.url.split("//")[1].rstrip("/")
        self._connection = http.client.HTTPConnection(host, timeout=20)
        headers = {"X-API-Key": mes.key} | ({"Last-Event-ID": place} if place else {})
        self._connection.request("GET", "/api/v1/events", headers=headers)
        self._response = self._connection.getresponse()
        assert self._response.status == 200
        assert self._response.getheader("content-type", "").startswith("text/event-stream")
        self.place = ""

    def next(self) -> tuple[str, Any]:
        """Name and data of the next event."""
        name, data = "", ""
        while line := self._response.readline().decode().rstrip("\n") or not name:
            if line is True:
                continue
            field, _, value = str(line).partition(": ")
            if field == "id":
                self.place = value
            elif field == "event":
                name = value
            elif field == "data":
                data = value
        return name, json.loads(data)

    def until(self, wanted: Callable[[str, Any], bool], seconds: float = 15) -> list[Any]:
        """Every event up to the one that is wanted."""
        found, deadline = [], time.monotonic() + seconds
        while time.monotonic() < deadline:
            found.append(self.next())
            if wanted(*found[-1]):
                return found
        raise AssertionError(f"the event did not come; these did: {found}")

    def close(self) -> None:
        self._connection.close()


def test_the_status_is_the_lines_heartbeat(mes: Any) -> None:
    status = mes.get("/status").json
    assert status["line"] == "alive" and status["ready"] is True
    assert status["heartbeat_age_ms"] < 800 and status["counts"]["parts"] > 0
    assert status["recipe"].startswith("bottle-line@")


def test_a_part_before_the_gate_is_refused_there_and_the_event_says_so(
    trial: Trial, mes: Any
) -> None:
    events = Stream(mes)
    assert events.next()[0] == "begin"
    part = mes.get("/parts?limit=1").json["items"][0]
    assert part["outcome"] == "pass"
    reply = mes.post("/rejects", {"part": part["id"], **WHY})
    assert reply.status == 202 and reply.json["gate"] == "pending", reply.json
    came = events.until(lambda name, data: name == "gate" and data["part"] == part["id"])
    assert came[-1][1]["acknowledged"] is True
    assert came[-1][1]["action"] in ("revoke", "reject")
    # and at the desk, with the requester's words
    names = [name for name, _ in came]
    assert "command" in names
    events.close()
    resumed = Stream(mes, "-1.-1")
    asked = resumed.until(lambda name, data: name == "desk.reject")[-1][1]
    assert asked["requester"] == "MES order 4711" and asked["answer"]["id"] == reply.json["id"]
    resumed.close()

    def acknowledged() -> bool:
        state = mes.get(f"/rejects/{reply.json['id']}").json
        return bool(state["confirmation"] == {"acknowledged": 1, "failed": 0, "pending": 0})

    assert wait_for(acknowledged, 10)
    assert wait_for(lambda: trial.report().get("gate_rejects", 0) >= 1, 15)
    assert trial.report()["revoked_passed"] == 0
    assert mes.get(f"/parts/{part['id']}").json["disposition"]["disposition"] == "hold"


def test_a_part_that_has_not_come_yet_is_refused_when_it_comes(mes: Any) -> None:
    number = newest(mes) + 5
    reply = mes.post("/rejects", {"sequence": {"number": number}, **WHY})
    assert reply.json["gate"] == "pending"

    def refused() -> bool:
        state = mes.get(f"/rejects/{reply.json['id']}").json
        return bool(state["confirmation"]["acknowledged"] == 1)

    assert wait_for(refused, 15)


def test_a_range_is_told_apart_at_the_gate(mes: Any) -> None:
    assert wait_for(lambda: newest(mes) > 40, 30)
    last = newest(mes)
    reply = mes.post("/rejects", {"sequences": {"first": 1, "last": last}, **WHY})
    runs = reply.json["runs"]
    assert runs[-1]["gate"] == "pending" and runs[-1]["last"] == last
    assert {run["gate"] for run in runs[:-1]} == {"passed"}
    covered = [n for run in runs for n in range(run["first"], run["last"] + 1)]
    assert covered == list(range(1, last + 1))


def test_parts_that_have_passed_are_shown_to_the_operator(trial: Trial, mes: Any) -> None:
    """Until somebody says that they have been looked for."""

    def shown() -> list[Any]:
        return [a for a in mes.get("/status").json["alarms"] if a["code"] == "on_hold"]

    assert mes.post("/rejects", {"sequence": {"number": 3}, **WHY}).json["gate"] == "passed"
    assert wait_for(shown, 20) and shown()[0]["detail"].endswith(": overfilled"), shown()
    assert shown()[0]["stops"] is False
    client = CommandClient(run_dir(trial.data))
    assert client.send(Action.ACKNOWLEDGE_ALARM, {"code": "on_hold"}, QA, 10.0).ok
    client.close()
    assert wait_for(lambda: not shown(), 20), shown()


def test_the_line_answers_a_reject_within_its_takt(
    mes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    times = []
    for _ in range(100):
        part = newest(mes)
        began = time.monotonic()
        reply = mes.post("/rejects", {"sequence": {"number": part}, **WHY})
        times.append((time.monotonic() - began) * 1e3)
        assert reply.status in (200, 202) and reply.json["gate"] in ("pending", "passed")
    times.sort()
    with capsys.disabled():
        said = f"p50 {times[50]:.1f} ms, p95 {times[95]:.1f} ms, p99 {times[98]:.1f} ms"
        print(f"\nPOST /rejects, parts before the gate, load {os.getloadavg()[0]:.1f}: {said}")
    assert times[50] < 1e3 / RATE


def test_batches_and_recipes_change_by_order(mes: Any) -> None:
    order = {"id": "L9001", "product": "04012345123456", "texts": {"lot": "L9001"}}
    started = mes.post("/batches", order, Idempotency_Key="start-1")
    assert started.status == 201, started.body
    assert started.headers["location"] == "/api/v1/batches/L9001"
    assert started.json["result"]["batch"] == "L9001"
    again = mes.post("/batches", order, Idempotency_Key="start-1")
    assert again.json == started.json
    assert wait_for(lambda: mes.get("/status").json["batch"] == "L9001", 5)
    assert mes.get("/batches/L9001").json["running"] is True
    changed = mes.post("/changeover", {"recipe": "juice-line"})
    assert changed.status == 200 and changed.json["result"]["batch"] == "L9001"
    assert wait_for(lambda: mes.get("/status").json["recipe"].startswith("juice-line@"), 5)
    refused = mes.post("/changeover", {"recipe": "nothing"})
    assert refused.status == 409 and "bottle-line, dark-line" in refused.json["detail"]
    wrong = mes.post("/batches/never/close", None)
    assert wrong.status == 404


def test_only_the_running_batch_is_closed(trial: Trial, mes: Any) -> None:
    running = mes.get("/status").json["batch"]
    first = mes.get("/batches").json["items"][-1]["id"]
    assert first != running
    wrong = mes.post(f"/batches/{first}/close", None)
    assert wrong.status == 409 and "is closed" in wrong.json["detail"]
    closed = mes.post(f"/batches/{running}/close", None)
    assert closed.status == 200 and closed.json["result"]["batch"] == running
    assert "closed" in resume(trial).error, "there is nothing to make"
    assert mes.post("/batches", {"id": "L9050"}).status == 201
    assert resume(trial).ok


def test_a_planned_batch_is_started_and_its_counts_agree(trial: Trial, mes: Any) -> None:
    order = {"id": "L9100", "order": "4712", "target": 5, "texts": {"lot": "L9100"}}
    assert mes.post("/batches", order | {"begin": False}).status == 202
    started = mes.post("/batches/L9100/start", None)
    assert started.status == 201, started.body
    first = started.json["result"]["from"]
    assert wait_for(lambda: newest(mes) > first + 8, 20)
    said = mes.get("/batches/L9100").json
    assert (said["state"], said["order"], said["target"]) == ("running", "4712", 5)
    assert said["texts"] == {"lot": "L9100"} and said["running"] is True
    following = mes.post("/batches", {"id": "L9101"}).json["result"]["from"]

    def closed() -> bool:
        found = mes.get("/batches/L9100").json["reconciliation"]
        return found is not None and not found["periods"][-1]["open"]

    assert wait_for(closed, 20)
    said = mes.get("/batches/L9100").json
    assert said["state"] == "closed" and said["reconciliation"]["agree"], said["reconciliation"]
    (period,) = said["reconciliation"]["periods"]
    assert (period["first"], period["triggers"]) == (first, following - first)
    assert said["reconciliation"]["verdicts"] == following - first

    def agree() -> bool:
        found = mes.get("/batches/L9101").json["reconciliation"]
        return found is not None and bool(found["agree"])

    assert wait_for(agree, 10)


def test_a_person_begins_a_new_period_and_nothing_is_lost(
    trial: Trial, mes: Any, client_of: Callable[[str, str], Any]
) -> None:
    """I1, I9: by REST, once for its key; the line records it under the person's name."""
    users = Users(trial.data)
    users.add_user("olga", [Role.OPERATOR], principal=SYSTEM)
    olga = client_of(mes.url, users.add_key("olga", principal=SYSTEM))
    batch = mes.get("/status").json["batch"]
    why = {"reason": "shift", "requester": "olga"}
    assert mes.post("/periods", why).status == 403
    begun = olga.post("/periods", why, Idempotency_Key="shift-1")
    assert begun.status == 201, begun.body
    assert olga.post("/periods", why, Idempotency_Key="shift-1").json == begun.json
    assert begun.json["result"]["batch"] == batch

    def periods() -> list[Any]:
        found = mes.get(f"/batches/{batch}").json["reconciliation"]
        return [p for p in found["periods"] if p["why"] == "reset: shift"] if found else []

    assert wait_for(periods, 30)
    (period,) = periods()
    assert (period["first"], period["principal"]) == (begun.json["result"]["from"], "olga")
    found = mes.get(f"/batches/{batch}").json
    assert sum(p["triggers"] for p in found["reconciliation"]["periods"][:-1]) > 0


def test_a_running_batch_that_is_rejected_is_stopped_and_isolated(trial: Trial, mes: Any) -> None:
    assert mes.post("/batches", {"id": "BAD"}).status == 201
    begun = newest(mes)
    assert wait_for(lambda: newest(mes) > begun + 6, 20)
    assert wait_for(lambda: mes.get("/status").json["batch"] == "BAD", 5)
    reply = mes.post("/rejects", {"batch": "BAD", **WHY})
    assert reply.status == 202, reply.body
    assert reply.json["paused"] is True and reply.json["gate"] == "pending"
    assert wait_for(lambda: mes.get("/status").json["paused"] is True, 5)
    assert mes.get("/status").json["ready"] is False
    assert mes.get("/batches/BAD").json["disposition"]["disposition"] == "hold"
    part = mes.get("/parts?limit=1&batch=BAD").json["items"][0]
    assert part["disposition"]["batch"] == "BAD"
    assert "on hold" in resume(trial).error
    assert mes.post("/batches/BAD/release", WHY).status == 201
    assert mes.get("/status").json["paused"] is True
    assert resume(trial).ok


def test_a_defect_that_comes_too_often_switches_the_plcs_output(trial: Trial, mes: Any) -> None:
    """S10: three dark pictures in 50 parts, and the PLC acts by itself."""
    events = Stream(mes)
    assert events.next()[0] == "begin"
    assert mes.post("/changeover", {"recipe": "dark-line"}).status == 200
    fired = events.until(lambda name, data: name == "rule.fired", 30)[-1][1]
    events.close()
    assert fired["rule"] == "dark" and len(fired["parts"]) == 3
    assert fired["did"] == {"output": "3"}
    assert fired["maintenance"]["text"] == "clean the light"
    assert mes.post("/changeover", {"recipe": "bottle-line"}).status == 200
    assert wait_for(lambda: trial.report().get("outputs", {}).get("3", 0) >= 1, 15)
    with History(trial.data) as history:
        (switched, *_) = [e for e in history.events("command", 200)
                          if e.body["command"] == "set_output"]  # fmt: skip
    assert switched.principal == "rule-dark" and switched.body["args"]["output"] == 3


def test_events_are_taken_up_again_without_a_gap(mes: Any) -> None:
    whole = Stream(mes, "-1.-1")
    seen = [whole.next() for _ in range(12)]
    whole.close()
    found, place = [], "-1.-1"
    while len(found) < 11:
        stream = Stream(mes, place)
        assert stream.next()[0] == "begin"
        found += [stream.next(), stream.next(), stream.next()]
        place = stream.place
        stream.close()
    assert found[:11] == seen[1:]


def test_the_documents_examples_work(trial: Trial, mes: Any) -> None:
    if shutil.which("curl") is None:
        pytest.skip("NO CURL: the examples of docs/mes.md are not executed")
    text = (Path(__file__).parents[2] / "docs" / "mes.md").read_text()
    examples = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 6
    users = Users(trial.data)
    users.add_user("erika", [Role.ENGINEER], principal=SYSTEM)
    engineer = users.add_key("erika", principal=SYSTEM)
    part = mes.get("/parts?limit=1").json["items"][0]["id"]
    names = {"STATION": mes.url.rstrip("/"), "KEY": mes.key, "PART": part, "ENGINEER": engineer}
    for example in examples:
        ran = subprocess.run(
            ["bash", "-euc", example], env=os.environ | names, capture_output=True, timeout=60
        )
        assert ran.returncode == 0, f"{example}\n{ran.stdout.decode()}\n{ran.stderr.decode()}"
    assert b"event: part." in ran.stdout or b"event: batch.begin" in ran.stdout
    assert mes.post("/batches", {"id": "AFTER"}).status == 201
    assert resume(trial).ok


def test_the_ledger_of_all_this_verifies(trial: Trial, mes: Any) -> None:
    report = verify(trial.data)
    assert report.ok, str(report)
    with History(trial.data) as history:
        commands = history.events("command", 100)
    assert {event.principal for event in commands} <= {
        "mes",
        "qa",
        "rule-dark",
        "erika",
        "olga",
        "plant",
    }


def resume(trial: Trial) -> Answer:
    """A person looks, and resumes."""
    client = CommandClient(run_dir(trial.data))
    try:
        return client.send(Action.RESUME, {}, QA, 10.0)
    finally:
        client.close()
