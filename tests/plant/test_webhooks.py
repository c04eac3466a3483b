"""Webhooks over real sockets: signed, retried, in order, across a kill; rules (S10, I5)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from waiting import until

from inspector.bus import run_dir
from inspector.config import Plant as PlantSection
from inspector.config import Rule
from inspector.identity import Role
from inspector.part import Finding, Mode, Outcome, Severity, Verdict
from inspector.plant import rules
from inspector.plant.app import leave_idle
from inspector.plant.desk import Desk
from inspector.plant.outbox import Message, Outbox
from inspector.plant.rules import Rules, Watch
from inspector.plant.webhooks import Webhooks
from inspector.store import LineLedger, StoreError, verify
from inspector.store.bench import sample_verdict

WHY = {"reason": "overfilled", "requester": "MES"}
SECRET = "a secret of this plant alone"


class Receiver:
    """A server that keeps what it is sent; it may refuse, and it may be away."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.port = 0
        self._server: ThreadingHTTPServer | None = None
        self.come()

    def come(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.status == 200:
                    receiver.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def go(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def bodies(self, kind: str) -> list[Any]:
        # What was sent just before a kill is sent again, under the id that it had.
        once = {headers["webhook-id"]: body for headers, body in self.got}
        found = [json.loads(body) for body in once.values()]
        return [body for body in found if body["type"] == kind]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.go()


@pytest.fixture
def plant(tmp_path: Path, full_plant: Any, receiver: Receiver) -> Any:
    (tmp_path / "hook.secret").write_text(SECRET)
    hook = f"{{name: mes, url: 'http://127.0.0.1:{receiver.port}/in', secret: hook.secret}}"
    rule = (
        "{name: smeared, label: 'smear*', count: 3, within_parts: 50, output: 2,"
        " maintenance: clean the print head}"
    )
    torn = "{name: torn, label: torn, severity: major, count: 1, within_s: 60, act: hold}"
    return full_plant(tmp_path, f", webhooks: [{hook}], rules: [{rule}, {torn}]")


def smeared(number: int, mode: Mode = Mode.AUTO, label: str = "smeared") -> Verdict:
    finding = Finding("date", "read", label, ok=False, severity=Severity.MAJOR, reason="smeared")
    return replace(
        sample_verdict(number), outcome=Outcome.REJECT, findings=(finding,), mode=mode,
        reasons=("date: smeared",),
    )  # fmt: skip


def test_what_happens_is_told_signed_and_once(plant: Any, receiver: Receiver) -> None:
    mes = plant.client(plant.key("mes", Role.MACHINE))
    replies = [mes.post("/rejects", {"sequence": {"number": n}, **WHY}).json for n in (1, 2, 3)]
    told = until(lambda: len(receiver.bodies("desk.reject")) == 3 and receiver.got)
    assert [b["data"]["answer"]["id"] for b in receiver.bodies("desk.reject")] == [
        reply["id"] for reply in replies
    ]
    headers, body = told[0]
    said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = base64.b64encode(hmac.new(SECRET.encode(), said, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == len(receiver.got)


def test_a_receiver_that_never_answers_delays_no_other(tmp_path: Path, receiver: Receiver) -> None:
    """It costs its own time-outs; and nobody waits between one message of a batch and the next."""
    (tmp_path / "hook.secret").write_text(SECRET)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ports = {"qms": silent.getsockname()[1], "mes": receiver.port}
        hooks = [
            {"name": name, "url": f"http://127.0.0.1:{port}/in", "secret": tmp_path / "hook.secret"}
            for name, port in ports.items()
        ]
        station = SimpleNamespace(plant=PlantSection.model_validate({"webhooks": hooks}))
        desk: Any = SimpleNamespace(station=station, data=tmp_path)
        outbox = Outbox(tmp_path)
        told = [
            Message(name, batch, f"{batch}-{n}", "part.reject", {"type": "part.reject", "n": n})
            for name in ports
            for n in range(20)
            for batch in ("A", "B")
        ]
        outbox.read("webhooks", 1, 1, told, time.time())
        courier: Any = Webhooks(desk, outbox)
        courier.step = lambda: False

        async def story() -> None:
            running = asyncio.create_task(courier.run())
            end = asyncio.get_running_loop().time() + 6.0
            while outbox.owed("mes").waiting and asyncio.get_running_loop().time() < end:
                await asyncio.sleep(0.02)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        asyncio.run(story())
        assert outbox.owed("mes").waiting == 0 and outbox.owed("qms").waiting == 40
        outbox.close()
    heard = [headers["webhook-id"] for headers, _ in receiver.got]
    assert [id for id in heard if id[0] == "A"] == [f"A-{n}" for n in range(20)]


def test_who_is_put_into_the_file_after_a_time_without_any_hears_nothing_of_that_time(
    tmp_path: Path,
) -> None:
    """The last one left in January; in March another is not told of all that happened since."""
    hook = {"name": "mes", "url": "http://127.0.0.1:9/in", "secret": tmp_path / "hook.secret"}
    outbox = Outbox(tmp_path)
    outbox.read("webhooks", 0, -1)

    def step_with(hooks: list[Any]) -> None:
        station: Any = SimpleNamespace(
            station="ST-01", site="", data=tmp_path,
            plant=PlantSection.model_validate({"webhooks": hooks}),
        )  # fmt: skip
        desk = Desk(station, run_dir(tmp_path))
        Webhooks(desk, outbox).step()
        desk.close()

    step_with([])
    with LineLedger.open(tmp_path, station="ST-01") as line:
        for number in (1, 2, 3):
            line.add_verdict(smeared(number))
    step_with([hook])
    assert outbox.owed("mes").waiting == 0
    with LineLedger.open(tmp_path, station="ST-01") as line:
        line.add_verdict(smeared(4))
    step_with([hook])
    assert outbox.owed("mes").waiting == 1
    outbox.close()


def test_what_comes_after_a_back_up_was_brought_back_is_told_under_a_new_id(tmp_path: Path) -> None:
    """(I5) The outbox was copied after the ledger, so its place lies behind the ledger's end; and
    a part that takes another's position is another message."""
    hook = {"name": "mes", "url": "http://127.0.0.1:9/in", "secret": tmp_path / "hook.secret"}

    def ids_after(data: Path) -> list[str]:
        with LineLedger.open(data, station="ST-01") as line:
            line.add_verdict(sample_verdict(1))
        outbox = Outbox(data)
        outbox.read("webhooks", 5000, 70)
        station: Any = SimpleNamespace(
            station="ST-01", site="", data=data,
            plant=PlantSection.model_validate({"webhooks": [hook]}),
        )  # fmt: skip
        desk = Desk(station, run_dir(data))
        hooks = Webhooks(desk, outbox)
        hooks.step()
        with LineLedger.open(data, station="ST-01") as line:
            line.add_verdict(smeared(2))
        hooks.step()
        desk.close()
        ids = [message.id for message in outbox.due(time.time())[0]]
        outbox.close()
        return ids

    (one,), (other,) = ids_after(tmp_path / "before"), ids_after(tmp_path / "after")
    assert one.rpartition("-")[0] == other.rpartition("-")[0] and one != other


@pytest.mark.slow
def test_a_receiver_that_was_away_hears_all_of_it_in_order_after_a_kill(
    plant: Any, receiver: Receiver
) -> None:
    mes = plant.client(plant.key("mes", Role.MACHINE))
    receiver.status = 503
    asked = []
    for n in range(1, 6):
        asked.append(mes.post("/rejects", {"sequence": {"number": n}, **WHY}).json["id"])
    until(lambda: mes.get("/webhooks").json["items"][0]["error"] == "HTTP 503")
    receiver.go()
    plant.kill()
    receiver.status = 200
    plant.start()
    mes = plant.client(mes.key)
    asked.append(mes.post("/rejects", {"sequence": {"number": 7}, **WHY}).json["id"])
    until(lambda: mes.get("/webhooks").json["items"][0]["waiting"] >= 6)
    receiver.come()
    until(lambda: len(receiver.bodies("desk.reject")) >= 6, 20)
    assert [b["data"]["answer"]["id"] for b in receiver.bodies("desk.reject")] == asked
    until(lambda: mes.get("/webhooks").json["items"][0]["waiting"] == 0)


def test_who_may_configure_subscribes_and_leaves(plant: Any, receiver: Receiver) -> None:
    engineer = plant.client(plant.key("eng", Role.ENGINEER))
    mes = plant.client(plant.key("mes", Role.MACHINE))
    hook = {"name": "qms", "url": f"http://127.0.0.1:{receiver.port}/q", "events": ["desk.*"]}
    assert mes.post("/webhooks", hook).status == 403
    assert mes("DELETE", "/api/v1/webhooks/mes").status == 403
    made = engineer.post("/webhooks", hook, Idempotency_Key="hook-1")
    assert made.status == 201 and made.json["secret"].startswith("whsec_")
    again = engineer.post("/webhooks", hook, Idempotency_Key="hook-1")
    assert again.status == 201 and again.json["secret"] is None
    assert engineer.post("/webhooks", hook).status == 409
    key = base64.b64decode(made.json["secret"].removeprefix("whsec_"))
    mes.post("/rejects", {"sequence": {"number": 9}, **WHY})
    until(lambda: sum(b"desk.reject" in body for _, body in receiver.got) == 2)
    for headers, body in receiver.got:
        said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        macs = [hmac.new(k, said, hashlib.sha256).digest() for k in (key, SECRET.encode())]
        assert headers["webhook-signature"] in [f"v1,{base64.b64encode(m).decode()}" for m in macs]
    assert engineer("DELETE", "/api/v1/webhooks/mes").json["detail"].endswith("own")
    assert engineer("DELETE", "/api/v1/webhooks/qms").status == 200
    assert engineer("DELETE", "/api/v1/webhooks/qms").status == 404
    assert [item["name"] for item in mes.get("/webhooks").json["items"]] == ["mes"]
    ledger = b"".join(path.read_bytes() for path in plant.data.glob("desk.db*"))
    assert made.json["secret"].encode() not in ledger


@pytest.mark.slow
def test_three_smeared_dates_fire_their_rule_once(plant: Any, receiver: Receiver) -> None:
    outbox = Outbox(plant.data)
    until(lambda: outbox.place("rules") and outbox.place("webhooks"))
    outbox.close()
    with LineLedger.open(plant.data, station="BOT-L3-01") as line:
        for number in range(181, 232):
            bad = number in (185, 200, 230)
            line.add_verdict(smeared(number) if bad else sample_verdict(number))
    (fired,) = until(lambda: receiver.bodies("rule.fired"))
    data = fired["data"]
    assert data["rule"] == "smeared" and data["why"] == "3 smear* in 50 parts"
    assert [part["sequence"] for part in data["parts"]] == [185, 200, 230]
    assert data["maintenance"]["text"] == "clean the print head" and data["maintenance"]["order"]
    assert data["did"]["output"].startswith("not done")  # there is no line here
    plant.kill()
    plant.start()
    with LineLedger.open(plant.data, station="BOT-L3-01") as line:
        line.add_verdict(smeared(232))
        line.add_verdict(smeared(233))
    until(lambda: len(receiver.bodies("part.reject")) >= 5)
    assert len(receiver.bodies("rule.fired")) == 1
    with LineLedger.open(plant.data, station="BOT-L3-01") as line:
        line.add_verdict(smeared(234))
    until(lambda: len(receiver.bodies("rule.fired")) == 2)
    assert verify(plant.data).ok


def test_a_rule_may_hold_the_batch_but_for_what_happened_long_ago(
    plant: Any, receiver: Receiver
) -> None:
    """That is recorded, and switches and stops nothing."""
    mes = plant.client(plant.key("mes", Role.MACHINE))
    outbox = Outbox(plant.data)
    until(lambda: outbox.place("rules") and outbox.place("webhooks"))
    outbox.close()
    torn = replace(smeared(181, label="torn"), batch="B")
    before = replace(torn.times, utc_ns=torn.times.utc_ns - 60 * 10**9)
    with LineLedger.open(plant.data, station="BOT-L3-01") as line:
        line.add_verdict(replace(torn, times=before))
        line.add_verdict(replace(smeared(182, label="torn"), batch="B"))
    until(lambda: len(receiver.bodies("rule.fired")) == 2)
    late, fired = (body["data"] for body in receiver.bodies("rule.fired"))
    assert set(late["did"]) == {"late"}
    assert fired["rule"] == "torn" and "was not paused" in fired["did"]["hold"]
    said = mes.get("/batches/B").json
    assert said["state"] == "on_hold" and said["disposition"]["principal"] == "rule-torn"


RULE = Rule(name="r", label="smear*", count=3, within_parts=50)


def fire(rule: Rule, *verdicts: Verdict) -> list[tuple[int, ...]]:
    watch = Watch(rule)
    fired = [watch.take(n, verdict) for n, verdict in enumerate(verdicts)]
    return [tuple(v.sequence for v in one.parts) for one in fired if one is not None]


def test_a_part_is_counted_once_though_a_rule_could_not_be_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another rule stops the line for three faults that are two."""
    monkeypatch.setattr(rules, "TRIES_S", ())
    station: Any = SimpleNamespace(station="ST-01", line="L3", data=tmp_path)
    with LineLedger.open(tmp_path, station="ST-01") as line:
        line.add_verdict(sample_verdict(1))
    desk, outbox = Desk(station, run_dir(tmp_path)), Outbox(tmp_path)
    once = desk.requests.once
    watching = Rules(desk, [Rule(name="torn", label="torn", count=1, within_parts=50),
                            Rule(name="smeared", label="smeared", count=3, within_parts=50)],
                     outbox)  # fmt: skip
    assert watching.step() == 0
    with LineLedger.open(tmp_path, station="ST-01") as line:
        line.add_verdict(smeared(2))
        line.add_verdict(smeared(3, label="torn"))

    def full(*_: Any) -> Any:
        raise StoreError("the disk is full")

    monkeypatch.setattr(desk.requests, "once", full)
    with pytest.raises(StoreError):
        watching.step()
    monkeypatch.setattr(desk.requests, "once", once)
    assert watching.step() == 1
    with LineLedger.open(tmp_path, station="ST-01") as line:
        line.add_verdict(smeared(4))
    assert watching.step() == 0, "two faults, of three"
    with LineLedger.open(tmp_path, station="ST-01") as line:
        line.add_verdict(smeared(5))
    assert watching.step() == 1
    desk.close()
    outbox.close()


def test_rules_that_come_again_look_at_nothing_of_the_time_between(tmp_path: Path) -> None:
    """The MES got a maintenance order for each time that the printer had smeared since March."""
    outbox = Outbox(tmp_path)
    for reader in ("rules", "packing", "webhooks"):
        outbox.read(reader, 5, -1)
    leave_idle(outbox, PlantSection(rules=(RULE,)))
    assert outbox.place("rules") and not outbox.place("packing") and outbox.place("webhooks")
    leave_idle(outbox, PlantSection())
    assert outbox.place("rules") is None
    outbox.close()


def test_a_rule_counts_within_its_parts() -> None:
    assert fire(RULE, *map(smeared, (1, 2, 50))) == [(1, 2, 50)]
    assert fire(RULE, *map(smeared, (1, 2, 51))) == []
    assert fire(RULE, *map(smeared, (1, 20, 51, 52))) == [(20, 51, 52)]
    assert fire(RULE, *map(smeared, (1, 2, 3, 4, 5, 6))) == [(1, 2, 3), (4, 5, 6)]


def test_a_rule_counts_only_what_it_is_about() -> None:
    other, passed = smeared(3, label="torn"), replace(smeared(3), outcome=Outcome.PASS)
    challenge = smeared(3, Mode.CHALLENGE)
    foreign = replace(smeared(3), stream="plc-2")
    for odd in (other, passed, challenge, foreign):
        assert fire(RULE, smeared(1), smeared(2), odd) == []
    error = replace(smeared(3), outcome=Outcome.ERROR, findings=())
    assert fire(Rule(name="any", count=3, within_parts=9), smeared(1), smeared(2), error)
    critical = Rule(name="c", severity=Severity.CRITICAL, count=1, within_parts=1)
    assert fire(critical, smeared(1)) == []
    assert fire(Rule(name="t", tool="date", count=1, within_parts=1), smeared(1)) == [(1,)]


def test_a_rule_counts_within_its_seconds() -> None:
    rule = Rule(name="s", label="smear*", count=2, within_s=10)

    def at(number: int, second: int) -> Verdict:
        verdict = smeared(number)
        return replace(verdict, times=replace(verdict.times, utc_ns=second * 10**9))

    assert fire(rule, at(1, 100), at(2, 110)) == [(1, 2)]
    assert fire(rule, at(1, 100), at(2, 111)) == []
    assert fire(rule, at(1, 4000), at(2, 400)) == []  # the clock was set back by an hour
