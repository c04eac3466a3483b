"""The MES's interface with peers of another make, and its cable cut in the middle (S1, I5).

curl asks, listens and repeats; what a webhook's message says is checked by openssl. OPC UA has its
own in ``test_opcua_foreign.py``, MQTT and Sparkplug in ``test_mqtt.py``, the Modbus server in
``test_poll.py``, the Modbus master in ``tests/trial/test_peers.py``.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from patch_cable import PatchCable
from plant.test_webhooks import SECRET, Receiver
from waiting import until

from inspector.identity import Role
from inspector.store import History

pytestmark = [
    pytest.mark.skipif(shutil.which("curl") is None, reason="NO CURL: no foreign client"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="NO OPENSSL: no foreign receiver"),
]
CUTS = 6


def curl(*words: str) -> list[str]:
    return ["curl", "-sS", "--fail-with-body", "--max-time", "30", *words]


@pytest.fixture(scope="module")
def cable(plant: Any) -> Iterator[PatchCable]:
    with PatchCable(int(plant.url.rstrip("/").rpartition(":")[2])) as cable:
        yield cable


def test_a_request_that_was_cut_off_is_repeated_and_done_once(
    plant: Any, mes: Any, cable: PatchCable
) -> None:
    """Wherever the cut falls: before the request has come, while it is done, after its answer."""
    url = f"http://127.0.0.1:{cable.port}/api/v1/rejects"
    for attempt in range(CUTS):
        body = {"sequence": {"number": 20 + attempt}, "reason": "cut", "requester": "MES"}
        order = curl(
            url, "-H", f"X-API-Key: {mes.key}", "-H", "Content-Type: application/json",
            "-H", f"Idempotency-Key: cut-{attempt}", "-d", json.dumps(body),
        )  # fmt: skip
        carried = cable.carried
        with subprocess.Popen(order, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asking:
            until(lambda before=carried: cable.carried > before)  # type: ignore[misc]
            time.sleep(attempt * 0.002)  # where the cut falls: any place will do
            cable.cut()
            asking.communicate()
        cable.mend()
        again = subprocess.run(order, capture_output=True, timeout=60, check=True)
        assert json.loads(again.stdout)["runs"][0]["first"] == 20 + attempt
    with History(plant.data) as history:
        done = [r.body for r in history.desk("disposition", 1000) if r.body["reason"] == "cut"]
    assert sorted(body["runs"][0][1] for body in done) == list(range(20, 20 + CUTS))


def test_half_a_request_does_nothing(plant: Any, mes: Any, cable: PatchCable) -> None:
    body = json.dumps({"sequence": {"number": 60}, "reason": "half", "requester": "MES"})
    head = (
        f"POST /api/v1/rejects HTTP/1.1\r\nHost: x\r\nX-API-Key: {mes.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", cable.port), 5) as half:
        half.sendall((head + body[: len(body) // 2]).encode())
        cable.cut()
        with contextlib.suppress(ConnectionResetError):  # so ends what had not been read yet
            assert half.recv(100) == b""
    cable.mend()
    assert mes.get("/status").status == 200
    with History(plant.data) as history:
        assert "half" not in {r.body["reason"] for r in history.desk("disposition", 1000)}


class Listener:
    """curl on the event stream, read as the bytes come."""

    def __init__(self, port: int, key: str, after: str) -> None:
        words = ["-N", f"http://127.0.0.1:{port}/api/v1/events", "-H", f"X-API-Key: {key}",
                 "-H", f"Last-Event-ID: {after}"]  # fmt: skip
        self._curl = subprocess.Popen(curl(*words), stdout=subprocess.PIPE, text=True,
                                      stderr=subprocess.DEVNULL)  # fmt: skip

    def events(self) -> Iterator[tuple[str, str]]:
        """Id and name of each whole event, until the connection ends; the stream's own left out."""
        assert self._curl.stdout is not None
        id = name = ""
        for line in self._curl.stdout:
            field, _, value = line.rstrip("\n").partition(": ")
            if field == "id":
                id = value
            elif field == "event":
                name = value
            elif not field:
                if name and name != "begin":
                    yield id, name
                name = ""

    def close(self) -> None:
        self._curl.kill()
        self._curl.communicate()


def test_a_listener_that_was_cut_off_goes_on_without_a_gap(mes: Any, cable: PatchCable) -> None:
    whole = Listener(int(mes.url.rstrip("/").rpartition(":")[2]), mes.key, "-1.-1")
    told = whole.events()
    expected = [next(told) for _ in range(8)]
    whole.close()
    heard: list[tuple[str, str]] = []
    place = "-1.-1"
    while len(heard) < len(expected):
        listener = Listener(cable.port, mes.key, place)
        for event in listener.events():
            heard.append(event)
            place = event[0]
            if len(heard) % 3 == 0 or len(heard) >= len(expected):
                cable.cut()
                break
        listener.close()
        cable.mend()
    assert heard[: len(expected)] == expected


@pytest.mark.slow
def test_webhooks_over_a_cable_that_is_cut_arrive_all_of_them_signed_and_in_order(
    tmp_path: Path, full_plant: Any
) -> None:
    hook = Receiver()

    def told() -> list[str]:
        return [body["data"]["answer"]["id"] for body in hook.bodies("desk.reject")]

    (tmp_path / "hook.secret").write_text(SECRET)
    with PatchCable(hook.port) as cable:
        target = f"{{name: mes, url: 'http://127.0.0.1:{cable.port}/in', secret: hook.secret}}"
        plant = full_plant(tmp_path, f", webhooks: [{target}]")
        mes = plant.client(plant.key("mes", Role.MACHINE))

        def ask(number: int) -> str:
            why = {"reason": "overfilled", "requester": "MES"}
            return str(mes.post("/rejects", {"sequence": {"number": number}, **why}).json["id"])

        asked = [ask(1)]
        until(lambda: told() == asked)
        cable.cut()
        asked += [ask(2), ask(3)]
        until(lambda: mes.get("/webhooks").json["items"][0]["error"])
        cable.mend()
        asked.append(ask(4))
        until(lambda: len(told()) >= 4)
    hook.go()
    assert told() == asked
    for headers, body in hook.got:
        said = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        mac = subprocess.run(
            ["openssl", "dgst", "-sha256", "-hmac", SECRET, "-binary"], input=said,
            capture_output=True, check=True,
        ).stdout  # fmt: skip
        assert headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"
