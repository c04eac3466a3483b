"""Strangers, forgers and floods: every one is answered with a problem, and none gets in."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any
from urllib.parse import quote

import pytest

from inspector.identity import Role

WHY = {"reason": "overfilled", "requester": "MES"}
PART = "018f0000-0000-7000-8000-000000000000"


def problem(reply: Any, status: int, name: str = "") -> None:
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    body = reply.json
    assert body["status"] == status and body["detail"] and body["title"]
    assert body["type"].startswith("urn:inspector:problem:")
    assert not name or body["type"].endswith(f":{name}")
    assert "Traceback" not in reply.body.decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer insp_" + "A" * 43},
        {"Authorization": "Bearer " + "x" * 5000},
        {"Authorization": "Basic bWVzOm1lcw=="},
        {"Authorization": "Bearer ' OR 1=1 --"},
        {"Authorization": "", "X-API-Key": "*"},
        {"X-API-Key": "another than in Authorization"},
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/nothing", "/01/1/10/1/21/1", "/"])
def test_a_forged_key_sees_nothing(plant: Any, mes: Any, headers: Any, path: str) -> None:
    client = plant.client("" if headers.get("Authorization") == "" else mes.key)
    sent = {name: value for name, value in headers.items() if value}
    reply = client("GET", path, **sent)
    while reply.status == 429:  # wrong keys are slowed down
        reply = client("GET", path, **sent)
    problem(reply, 401, "unauthenticated")
    assert reply.headers["www-authenticate"] == "Bearer"


def test_both_ways_to_send_a_key_work(plant: Any, mes: Any) -> None:
    assert mes.get("/status").status == 200
    assert plant.client("").get("/status", X_API_Key=mes.key).status == 200


def test_a_revoked_key_is_refused_at_once(plant: Any) -> None:
    client = plant.client(plant.key("leaver", Role.MACHINE))
    assert client.get("/status").status == 200
    plant.revoke("leaver")
    reply = client.get("/status")
    while reply.status == 429:  # wrong keys are slowed down
        reply = client.get("/status")
    problem(reply, 401)


def test_a_stream_of_events_ends_with_its_key(plant: Any) -> None:
    """It is one request, and might go on for months."""
    key = plant.key("listener", Role.MACHINE)
    connection = http.client.HTTPConnection(plant.url.split("//")[1].rstrip("/"), timeout=10)
    connection.request("GET", "/api/v1/events", headers={"X-API-Key": key})
    stream = connection.getresponse()
    assert stream.status == 200 and stream.readline().startswith(b"retry:")
    plant.revoke("listener")
    assert stream.read().endswith(b"\n\n")  # to its end
    connection.close()


def test_a_place_behind_the_ledgers_end_is_its_end(plant: Any) -> None:
    """A station that came back from a back-up is behind what its clients have heard of it."""
    key = plant.key("reader", Role.MACHINE)
    connection = http.client.HTTPConnection(plant.url.split("//")[1].rstrip("/"), timeout=10)
    headers = {"X-API-Key": key, "Last-Event-ID": "999999.999999"}
    connection.request("GET", "/api/v1/events", headers=headers)
    stream = connection.getresponse()
    assert stream.readline().startswith(b"retry:")
    line, _, desk = stream.readline().decode().removeprefix("id: ").strip().partition(".")
    assert int(line) < 999_999 and int(desk) < 999_999
    connection.close()


WRITES = {
    "POST /rejects": {"batch": "A", **WHY},
    "POST /dispositions": {"part": PART, "disposition": "scrap", **WHY},
    "POST /reviews": {"part": PART, "decision": "confirm", "outcome": "pass"},
    "POST /batches": {"id": "C"},
    "POST /batches/{id}/start": None,
    "POST /batches/{id}/close": None,
    "POST /batches/{id}/hold": WHY,
    "POST /batches/{id}/release": WHY,
    "POST /batches/{id}/reject": WHY,
    "POST /changeover": {"recipe": "bottle"},
    "POST /periods": WHY,
    "POST /links": {"relation": "consumed", "batch": "A", "material": "m", "lot": "l"},
    "POST /recalls": {"criteria": {"batches": ["A"]}, **WHY},
    "POST /recalls/{id}/lift": WHY,
    "POST /tags": {"samples": [{"tag": "t", "value": 1.0}]},
    "POST /webhooks": {"name": "x", "url": "http://127.0.0.1:9/", "events": ["*"]},
    "DELETE /webhooks/{name}": None,
}
"""Every write there is, with a body that is one."""


def test_who_may_read_may_write_nothing(plant: Any, auditor: Any) -> None:
    """I9: every write asks the one role table; a new route is not forgotten here."""
    from inspector.store import History

    paths = plant.client("").get("/openapi.json").json["paths"]
    known = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, operations in paths.items()
        for method in operations
        if method != "get"
    }
    assert known == set(WRITES)
    with History(plant.data) as history:
        size = len(history.desk(limit=100_000))
        admin = plant.client(plant.key("nobody", Role.ADMIN))
        for write, body in WRITES.items():
            method, path = write.split()
            path = path.replace("{id}", "A" if "batches" in path else PART).replace("{name}", "x")
            problem(auditor(method, f"/api/v1{path}", body), 403, "forbidden")
            if "webhooks" not in path:
                problem(admin(method, f"/api/v1{path}", body), 403, "forbidden")
            nobody = plant.client("")
            while (reply := nobody(method, f"/api/v1{path}", body)).status == 429:
                time.sleep(0.1)  # wrong keys are slowed down
            problem(reply, 401)
        assert len(history.desk(limit=100_000)) == size


def test_an_operator_rejects_but_does_not_release(plant: Any) -> None:
    operator = plant.client(plant.key("op", Role.OPERATOR))
    assert operator.post("/rejects", {"sequence": {"number": 3}, **WHY}).status == 200
    problem(operator.post("/batches/A/release", WHY), 403)
    release = {"sequence": {"number": 3}, "disposition": "release", **WHY}
    problem(operator.post("/dispositions", release), 403)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/parts/", 404),
        ("PUT", "/parts", 405),
        ("DELETE", f"/parts/{PART}", 405),
        ("TRACE", "/status", 405),
        ("GET", f"/parts/{PART}", 404),
        ("GET", "/parts/1", 422),
        ("GET", "/parts?limit=0", 422),
        ("GET", "/parts?limit=99999999999999999999999", 422),
        ("GET", "/parts?outcome=good", 422),
        ("GET", "/parts?outcom=reject", 422),
        ("GET", "/parts?batch=A&batch=B", 422),
        ("GET", "/parts?cursor=' OR 1=1", 422),
        ("GET", "/parts?cursor=cDk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", 422),
        ("GET", "/parts?serial=" + "x" * 200, 422),
        ("GET", "/parts?batch=%00", 422),
        ("GET", "/batches/never", 404),
        ("GET", "/batches/%00", 422),
        ("GET", f"/rejects/{PART}", 404),
        ("GET", "/events?after=now", 422),
        ("POST", "/rejects", 422),
    ],
)
def test_every_mistake_is_a_problem(mes: Any, method: str, path: str, status: int) -> None:
    reply = mes(method, "/api/v1" + quote(path, safe="/?=&%"))
    problem(reply, status)
    if status == 405:
        assert reply.headers["allow"]


def test_a_switch_is_no_part_number(mes: Any) -> None:
    """``true`` counts as 1 in many a language: part 1 was put on hold for it."""
    for selected in ({"sequence": {"number": True}}, {"sequences": {"first": True, "last": 2}}):
        reply = mes.post("/rejects", {**selected, **WHY})
        problem(reply, 422)
        assert "expected a number" in reply.json["detail"]


@pytest.mark.parametrize("view", ["../../../users.db", "..%2f..%2fusers.db", "%2e%2e", "side/../x",
                                  "side%00", "Side", "a" * 100])  # fmt: skip
def test_no_path_leads_out_of_the_archive(mes: Any, view: str) -> None:
    part = mes.get("/parts?outcome=reject&limit=1").json["items"][0]["id"]
    for path in (f"/api/v1/parts/{part}/images/{view}", f"/api/v1/parts/{view}/images/side"):
        reply = mes("GET", path)
        assert reply.status in (404, 422)
        problem(reply, reply.status)


def test_a_ledger_that_points_elsewhere_is_not_followed(plant: Any) -> None:
    from inspector.part import PartId, new_part_id
    from inspector.plant.parts import read_image
    from inspector.plant.problems import Problem
    from inspector.store import ImageRecord

    for path in ("users.db", "images/../users.db", "/etc/passwd"):
        image = ImageRecord(PartId(new_part_id()), "side", "0" * 64, path, 10)
        with pytest.raises(Problem, match="not the one in the ledger"):
            read_image(plant.data, image)


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE record; --", '" OR ""="', "%", "_", "\\", "💥", "'"]
)
def test_sql_in_a_text_is_a_text(mes: Any, text: str) -> None:
    found = mes.get(f"/parts?serial={quote(text)}")
    assert found.status == 200 and found.json["items"] == []
    assert mes.get(f"/parts?batch={quote(text)}").json["items"] == []
    problem(mes.post("/rejects", {"serial": text, **WHY}), 404, "unknown-part")
    problem(mes.get(f"/batches/{quote(text)}"), 404)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b'{"part": "018f"',
        b"\xff\xfe",
        b"[" * 20_000,
        b'{"reason": "\\ud800", "requester": "x", "batch": "A"}',
        b'{"reason": "x", "requester": "x", "batch": "A\\u0000"}',
        b'{"reason": "x", "requester": "x", "batch": "../A"}',
        b'{"reason": "x", "requester": "x"}',
        b'{"reason": " ", "requester": "x", "batch": "A"}',
        b'{"reason": "x", "requester": "x", "batch": "A", "serial": "S10"}',
        b'{"reason": "x", "requester": "x", "batch": "A", "Serial": "S10"}',
        b'{"reason": "x", "requester": "x", "sequence": {"number": 1e400}}',
        b'{"reason": "x", "requester": "x", "sequence": {"number": NaN}}',
        b'{"reason": "x", "requester": "x", "sequence": {"number": 4294967296}}',
        b'{"reason": "x", "requester": "x", "sequences": {"first": 9, "last": 1}}',
        b'{"reason": "x", "requester": "x", "time": {"from": "2026-01-01", "to": "2026-01-02"}}',
        b'{"reason": "x", "requester": "x", "time": {"from": "2026-01-01T00:00:00",'
        b' "to": "2026-01-02T00:00:00"}}',
    ],
    ids=lambda body: body[:40].decode("latin-1"),
)
def test_a_body_that_is_no_request_is_refused(mes: Any, body: bytes) -> None:
    reply = mes.post("/rejects", body)
    assert reply.status in (400, 422)
    problem(reply, reply.status)


def test_an_oversized_body_is_not_read(mes: Any) -> None:
    problem(mes.post("/rejects", b" " * 70_000), 413)
    assert mes.get("/status").status == 200


def test_a_chunked_body_is_counted_too(plant: Any, mes: Any) -> None:
    connection = http.client.HTTPConnection(mes.url.split("//")[1].rstrip("/"), timeout=10)
    chunks = (b" " * 10_000 for _ in range(20))
    headers = {"X-API-Key": mes.key, "Content-Type": "application/json"}
    connection.request("POST", "/api/v1/rejects", chunks, headers, encode_chunked=True)
    response = connection.getresponse()
    said = json.loads(response.read())
    assert response.status == said["status"] == 413 and said["type"].endswith(":too-large")
    connection.close()


def test_a_request_that_never_ends_holds_nobody_up(plant: Any, mes: Any) -> None:
    host, port = mes.url.split("//")[1].rstrip("/").split(":")
    stuck = [socket.create_connection((host, int(port))) for _ in range(40)]
    for one in stuck:
        one.sendall(b"POST /api/v1/rejects HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n")
    assert mes.get("/status").status == 200
    for one in stuck:
        one.close()
