"""MQTT of a running line against mosquitto: what is told, what is obeyed, a broker that was away.
(S1, I5, I9)"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from mosquitto import NEEDED, Ear, mosquitto
from patch_cable import PatchCable
from scada_line import SYSTEM, ScadaProcess
from waiting import until

from inspector.identity import Role, Users
from inspector.store import History
from inspector.store.tags import Quality, Tags
from inspector.trial import Trial

pytestmark = NEEDED
ROOT = "inspector/ST-01"
GROUP = "spBv1.0/Hamburg"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """mosquitto on a port of its own."""
    with mosquitto(tmp_path_factory.mktemp("broker")) as port:
        yield port


@pytest.fixture(scope="module")
def cable(broker: int) -> Iterator[PatchCable]:
    with PatchCable(broker) as cable:
        yield cable


@pytest.fixture(scope="module")
def scada(
    tmp_path_factory: pytest.TempPathFactory, scada_trial: Trial, cable: PatchCable
) -> Iterator[ScadaProcess]:
    """The station behind a cable that can be cut; the tests' own ears are not behind it."""
    section = {
        "mqtt": {"port": cable.port, "sparkplug_group": "Hamburg", "obeys": "mqtt"},
        "tags": [
            {"name": "cap.torque", "unit": "N.m", "topic": "plant/capper", "field": "now.torque"}
        ],
    }
    process = ScadaProcess(scada_trial, tmp_path_factory.mktemp("scada"), section)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def ear(broker: int, scada: ScadaProcess) -> Iterator[Ear]:
    ear = Ear(broker, f"{ROOT}/#", f"{GROUP}/#")
    until(lambda: ear.on(f"{ROOT}/online"))
    yield ear
    ear.close()


def test_parts_and_status_are_told_as_they_happen(ear: Ear, scada_trial: Trial) -> None:
    parts = until(lambda: len(ear.on(f"{ROOT}/part")) >= 3 and ear.on(f"{ROOT}/part"))
    status = until(lambda: [s for s in ear.on(f"{ROOT}/status") if s["alive"]])[-1]
    assert status["recipe"].startswith("bottle-line@")
    assert {"outcome", "findings", "sequence", "batch", "position"} <= parts[0].keys()
    with History(scada_trial.data) as history:
        known = {str(p.verdict.part_id): p for p in history.last(200)}
    assert all(known[p["part"]].verdict.outcome == p["outcome"] for p in parts)


@pytest.mark.skipif(
    shutil.which("mosquitto_sub") is None, reason="MOSQUITTO_SUB MISSING: no foreign client"
)
def test_a_client_of_another_make_hears_the_same(broker: int, ear: Ear) -> None:
    command = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(broker), "-C", "2", "-W", "20",
               "-t", f"{ROOT}/part"]  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    heard = [json.loads(line) for line in told.stdout.splitlines()]
    positions = {p["position"] for p in heard}
    until(lambda: positions <= {p["position"] for p in ear.on(f"{ROOT}/part")})


def test_a_command_is_obeyed_once_in_the_users_name(ear: Ear, scada_trial: Trial) -> None:
    """(I9) A machine pauses and changes over; it does not resume, and nobody else is obeyed."""
    pause = json.dumps({"id": "c-1", "command": "pause", "args": {"reason": "a test"}})
    ear.say(f"{ROOT}/command", pause)
    until(lambda: [a for a in ear.on(f"{ROOT}/answer") if a["id"] == "c-1" and a["ok"]])
    ear.say(f"{ROOT}/command", pause)
    ear.say(f"{ROOT}/command", json.dumps({"id": "c-2", "command": "resume"}))
    (refused,) = until(lambda: [a for a in ear.on(f"{ROOT}/answer") if a["id"] == "c-2"])
    assert not refused["ok"] and "may not resume" in refused["error"]
    with History(scada_trial.data) as history:
        paused = [e for e in history.events("command", 50) if e.body["command"] == "pause"]
    assert [e.principal for e in paused].count("mqtt") == 1, "others pause this line too"
    Users(scada_trial.data).set_roles("mqtt", [Role.OPERATOR], principal=SYSTEM)
    ear.say(f"{ROOT}/command", json.dumps({"id": "c-3", "command": "resume"}))
    until(lambda: [a for a in ear.on(f"{ROOT}/answer") if a["id"] == "c-3" and a["ok"]])


@pytest.mark.parametrize(
    "payload", [b"", b"\xff\xfe", b"[]", b'{"id":1}', b'{"id":"x","command":"fly"}']
)
def test_what_is_no_command_is_told_what_one_is(ear: Ear, payload: bytes) -> None:
    before = len(ear.on(f"{ROOT}/answer"))
    ear.say(f"{ROOT}/command", payload)
    answers = until(lambda: ear.on(f"{ROOT}/answer")[before:])
    assert not answers[-1]["ok"] and "a command is" in answers[-1]["error"]


def test_process_values_are_kept_with_their_unit(ear: Ear, scada_trial: Trial) -> None:
    """(S1, S5, S22)"""
    for text in ('{"now": {"torque": 1.25}}', "nonsense", '{"now": {"torque": 1.5}}'):
        ear.say("plant/capper", text)

    def samples() -> list[Any]:
        with Tags(scada_trial.data) as tags:
            return list(tags.series("cap.torque", 0, time.time_ns()))

    until(lambda: len(samples()) == 3)
    good = [s.value for s in samples() if s.quality is Quality.GOOD]
    assert good == [1.25, 1.5] and {s.unit for s in samples()} == {"N.m"}


def test_sparkplug_is_born_speaks_and_is_born_again(ear: Ear) -> None:
    ear.say(f"{GROUP}/NCMD/ST-01", encoded("Node Control/Rebirth", True))
    node = until(lambda: ear.raw(f"{GROUP}/NBIRTH/ST-01"))[-1]
    device = until(lambda: ear.raw(f"{GROUP}/DBIRTH/ST-01/vision"))[-1]
    assert decoded(node)["sequence"] == 0
    names = {m["name"]: m["alias"] for m in decoded(device)["metrics"]}
    assert {"Part/Outcome", "Station/Ready", "Control/Pause"} <= names.keys()

    def outcomes() -> list[Any]:
        data = [decoded(raw) for raw in ear.raw(f"{GROUP}/DDATA/ST-01/vision")]
        return [m for d in data for m in d["metrics"] if m["alias"] == names["Part/Outcome"]]

    assert until(outcomes)[0]["value"] in (b"pass", b"reject", b"error")
    told = [m for m in ear.heard if "BIRTH/" in m.topic or "DDATA/" in m.topic]
    assert {m.qos for m in told} == {0}, "as the specification has it"


def newest(scada_trial: Trial) -> int:
    with History(scada_trial.data) as history:
        return history.last(1)[0].position


def judged_since(scada_trial: Trial, position: int, count: int) -> set[str]:
    """The ids of the parts behind a position, once there are so many."""

    def behind() -> list[str]:
        with History(scada_trial.data) as history:
            return [str(p.verdict.part_id) for p in history.last(50) if p.position > position]

    return set(until(lambda: len(behind()) >= count and behind()))


@pytest.mark.slow
def test_what_happened_while_the_broker_was_away_is_told_when_it_is_back(
    ear: Ear, cable: PatchCable, scada_trial: Trial
) -> None:
    """(I5) Nothing is missed, and what is late is marked as history."""
    until(lambda: ear.on(f"{ROOT}/part"))
    cable.cut()

    def gone() -> bool:
        # mosquitto may keep a will for a listener until something else goes on at his connection
        ear.say("tests/awake", b"")
        return ear.raw(f"{ROOT}/online")[-1:] == [b"false"] and bool(
            ear.raw(f"{GROUP}/NDEATH/ST-01")
        )

    until(gone, 40)
    away = judged_since(scada_trial, newest(scada_trial), 5)
    cable.mend()
    until(lambda: ear.raw(f"{ROOT}/online")[-1:] == [b"true"], 40)
    until(lambda: away <= {p["part"] for p in ear.on(f"{ROOT}/part")}, 40)
    with History(scada_trial.data) as history:
        told = [p["position"] for p in ear.on(f"{ROOT}/part")]
        first, last = min(told), max(told)
        known = {p.position for p in history.last(2000) if first <= p.position <= last}
    assert known <= set(told)

    def late() -> bool:
        data = [decoded(raw) for raw in ear.raw(f"{GROUP}/DDATA/ST-01/vision")]
        return any(m["historical"] for d in data for m in d["metrics"])

    until(late)


# Sparkplug's protobuf, by hand: the station's library is not at both ends.


def fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field of a protobuf message."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(raw):
        tag = varint()
        match tag & 7:
            case 0:
                yield tag >> 3, varint()
            case 1:
                yield tag >> 3, struct.unpack_from("<d", raw, at)[0]
                at += 8
            case 2:
                size = varint()
                yield tag >> 3, raw[at : at + size]
                at += size
            case 5:
                yield tag >> 3, struct.unpack_from("<f", raw, at)[0]
                at += 4


def decoded(raw: bytes) -> dict[str, Any]:
    """A payload: 2 is a metric, 3 the sequence; of a metric 1 name, 2 alias, 5 historical."""
    metrics, sequence = [], None
    for number, value in fields(raw):
        if number == 3:
            sequence = value
        elif number == 2:
            metric = dict(fields(value))
            metrics.append({
                "name": metric.get(1, b"").decode(), "alias": metric.get(2),
                "historical": bool(metric.get(5)),
                "value": next((metric[n] for n in (15, 14, 13, 11, 10) if n in metric), None),
            })  # fmt: skip
    return {"metrics": metrics, "sequence": sequence}


def encoded(name: str, value: bool | str) -> bytes:
    """A command with one metric: a Boolean (datatype 11, field 14) or a text (12, 15)."""
    metric = bytes([0x0A, len(name)]) + name.encode()
    if isinstance(value, bool):
        metric += bytes([0x20, 11, 0x70, int(value)])
    else:
        metric += bytes([0x20, 12, 0x7A, len(value)]) + value.encode()
    return bytes([0x08, 1, 0x12, len(metric)]) + metric
