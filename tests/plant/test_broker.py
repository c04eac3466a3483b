"""A station beside a real broker, without a line: what is said on leaving, what is obeyed, what is
told before and after a birth. (S1, I5, I9)"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mosquitto import NEEDED, Ear, mosquitto
from obeying_line import Obeying
from pysparkplug import DataType, DBirth, DCmd, DData, Metric
from waiting import until_here

from inspector.bus import run_dir
from inspector.config import Mqtt, Scada
from inspector.identity import Principal, Role, Users
from inspector.plant.broker import Cursor
from inspector.plant.desk import Line
from inspector.plant.mqtt import dialects, status_of
from inspector.plant.opcua import content_of
from inspector.plant.places import PLAIN, SPARKPLUG, forget
from inspector.plant.tasks import end
from inspector.store import LineLedger, StoreDamaged
from inspector.store.bench import sample_verdict

pytestmark = NEEDED
ROOT, GROUP = "inspector/ST-01", "spBv1.0/Hamburg"
DCMD = f"{GROUP}/DCMD/ST-01/vision"


class Station:
    """A station's SCADA side, whose line obeys and says nothing of itself but what a test does."""

    def __init__(self, data: Path, port: int) -> None:
        Users(data).add_user(
            "mqtt", [Role.OPERATOR], principal=Principal("test", frozenset({Role.SYSTEM}))
        )
        self.file: Any = SimpleNamespace(station="ST-01", data=data)
        self.scada = Scada(mqtt=Mqtt(port=port, sparkplug_group="Hamburg", obeys="mqtt"))
        self.line = Line(self.file, run_dir(data))
        self.obeying = Obeying(run_dir(data))

    @property
    def commands(self) -> list[str]:
        return [str(command.command) for command in self.obeying.commands]

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        spoken = dialects(self.file, self.scada, self.line)
        tasks = [asyncio.ensure_future(speak()) for speak in spoken]
        try:
            yield
        finally:
            await end(*tasks)
        assert all(task.cancelled() for task in tasks), tasks

    def close(self) -> None:
        self.obeying.close()
        self.line.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with mosquitto(tmp_path_factory.mktemp("broker")) as port:
        yield port


@pytest.fixture
def station(broker: int, tmp_path: Path) -> Iterator[Station]:
    station = Station(tmp_path, broker)
    yield station
    station.close()


@pytest.fixture
def ear(broker: int) -> Iterator[Ear]:
    ear = Ear(broker, f"{ROOT}/#", f"{GROUP}/#")
    yield ear
    ear.close()


def metrics(raw: bytes) -> dict[str, Any]:
    return {metric.name: metric.value for metric in DBirth.decode(raw).metrics}


def test_who_leaves_in_order_says_so_on_both_sides(station: Station, ear: Ear) -> None:
    """A broker forgets the will of whoever disconnects: `online` would stay true, and Sparkplug's
    hosts would show a station's last values as its present ones."""

    async def story() -> None:
        async with station.serving():
            await until_here(lambda: ear.raw(f"{ROOT}/online")[-1:] == [b"true"])
            await until_here(lambda: ear.raw(f"{GROUP}/DBIRTH/ST-01/vision"))
        await until_here(lambda: ear.raw(f"{ROOT}/online")[-1:] == [b"false"])
        await until_here(lambda: len(ear.raw(f"{GROUP}/NDEATH/ST-01")) == 1)

    asyncio.run(story())


def test_a_device_command_is_obeyed_where_it_is_new_and_says_something(
    station: Station, ear: Ear
) -> None:
    """One that the broker kept would start the line at each new connection; null is no word."""
    resume, null, text, pause = (
        DCmd(1, (Metric(1, "Control/Pause", kind, value),)).encode()
        for kind, value in (
            (DataType.BOOLEAN, False), (DataType.BOOLEAN, None), (DataType.STRING, "no"),
            (DataType.BOOLEAN, True),
        )
    )  # fmt: skip

    async def story() -> None:
        ear.say(DCMD, resume, retain=True)
        async with station.serving():
            await until_here(lambda: ear.raw(f"{GROUP}/DBIRTH/ST-01/vision"))
            for payload in (null, text, pause):
                ear.say(DCMD, payload)
            await until_here(lambda: station.commands)
            assert station.commands == ["pause"]
        ear.say(DCMD, b"", retain=True)

    asyncio.run(story())


def test_what_changes_while_a_node_is_born_is_told_after_its_birth(
    station: Station, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a host would show the station as dead for as long as it lives."""
    heartbeat: Any = station.line.heartbeat
    heartbeat.body = {"ready": True, "recipe": "bottle@1"}
    monkeypatch.setattr(type(heartbeat), "alive", property(lambda self: self.is_alive))
    heartbeat.is_alive = False
    born = DBirth.encode

    def lives_meanwhile(birth: DBirth, **how: Any) -> bytes:
        heartbeat.is_alive = True
        return born(birth, **how)

    monkeypatch.setattr(DBirth, "encode", lives_meanwhile)

    async def story() -> None:
        async with station.serving():
            (raw,) = await until_here(lambda: ear.raw(f"{GROUP}/DBIRTH/ST-01/vision"))
            assert metrics(raw)["Station/Alive"] is False
            (told,) = await until_here(lambda: ear.raw(f"{GROUP}/DDATA/ST-01/vision"))
            changed = DData.decode(told, birth=DBirth.decode(raw)).metrics
            assert {m.name: m.value for m in changed} == {
                "Station/Alive": True, "Station/Ready": True,
            }  # fmt: skip

    asyncio.run(story())


@pytest.mark.parametrize(
    "payload",
    [
        b'{"id": "x", "command": "pause", "args": ' + b"[" * 100_000,
        b'{"id": "x", "command": "pause", "args": {"reason": NaN}}',
        b'{"id": "x", "command": "pause", "args": {"reason": "\\ud800"}}',
        b'{"id": "\\ud800", "command": "fly"}',
        json.dumps({"id": "x" * 200, "command": "pause"}).encode(),
    ],
)
def test_whatever_a_stranger_orders_the_connection_holds(
    station: Station, ear: Ear, payload: bytes
) -> None:
    async def story() -> None:
        async with station.serving():
            await until_here(lambda: ear.raw(f"{ROOT}/online")[-1:] == [b"true"])
            await until_here(lambda: ear.raw(f"{GROUP}/NBIRTH/ST-01"))
            ear.say(f"{ROOT}/command", payload)
            (refused,) = await until_here(lambda: ear.on(f"{ROOT}/answer"))
            assert not refused["ok"] and "a command is" in refused["error"]
            ear.say(f"{ROOT}/command", json.dumps({"id": "y", "command": "pause"}))
            await until_here(lambda: station.commands == ["pause"])
        assert len(ear.raw(f"{GROUP}/NBIRTH/ST-01")) == 1

    asyncio.run(story())


def test_what_comes_after_a_back_up_was_brought_back_is_told(station: Station, ear: Ear) -> None:
    """(I5) Its ledger is shorter than what was told: the parts up to there were never told."""
    data = station.file.data
    with LineLedger.open(data, station="ST-01") as ledger:
        ledger.add_verdict(sample_verdict(1))
    for name in ("mqtt.cursor", "sparkplug.cursor"):
        (data / name).write_text('{"line": 5000}')

    async def story() -> None:
        async with station.serving():
            await until_here(lambda: (data / "mqtt.cursor").read_text() != '{"line": 5000}')
            await until_here(lambda: (data / "sparkplug.cursor").read_text() != '{"line": 5000}')
            with LineLedger.open(data, station="ST-01") as ledger:
                ledger.add_verdict(sample_verdict(2))
            await until_here(lambda: ear.on(f"{ROOT}/part"))
            await until_here(lambda: ear.raw(f"{GROUP}/DDATA/ST-01/vision"))
        assert [part["sequence"] for part in ear.on(f"{ROOT}/part")] == [2]

    asyncio.run(story())


def test_a_disk_that_takes_nothing_ends_no_telling(station: Station, ear: Ear) -> None:
    """(I5) The connection was lost and made anew for ever, and told the same parts each time."""
    data = station.file.data
    for name in ("mqtt.cursor.new", "sparkplug.cursor.new", "sparkplug.birth"):
        (data / name).mkdir()
    for name in ("mqtt.cursor", "sparkplug.cursor"):
        (data / name).write_text('{"line": -1}')

    async def parts(number: int) -> None:
        await until_here(lambda: len(ear.on(f"{ROOT}/part")) == number)

    async def story() -> None:
        async with station.serving():
            await until_here(lambda: ear.raw(f"{GROUP}/DBIRTH/ST-01/vision"))
            for number in (1, 2):
                with LineLedger.open(data, station="ST-01") as ledger:
                    ledger.add_verdict(sample_verdict(number))
                await parts(number)
            await until_here(lambda: len(ear.raw(f"{GROUP}/DDATA/ST-01/vision")) == 2)
        assert len(ear.raw(f"{GROUP}/NBIRTH/ST-01")) == 1

    asyncio.run(story())


def test_a_lost_line_is_not_ready_whatever_it_said_last(station: Station) -> None:
    """As by REST, OPC UA, Sparkplug and Modbus."""
    station.line.heartbeat.body = {"ready": True, "running": True, "batch": "L1"}
    status = status_of(station.line)
    assert (status["alive"], status["ready"], status["running"]) == (False, False, False)
    assert status["batch"] == "L1"


def test_a_finding_that_is_no_number_is_json_all_the_same() -> None:
    verdict = sample_verdict(1, batch="L1")
    odd = replace(verdict.findings[0], value=math.nan, score=math.inf)
    (told,) = content_of(replace(verdict, findings=(odd,)))["findings"]
    assert "value" not in told and "score" not in told
    json.dumps(told, allow_nan=False)


def test_a_ledger_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    """The MES heard that the line had never run here, and a broker that was new was told all of the
    ledger once it could be read again."""
    file: Any = SimpleNamespace(station="ST-01", data=tmp_path)
    line = Line(file, run_dir(tmp_path))
    assert line.recorded(None) == ([], -1)
    (tmp_path / "line.db").write_bytes(b"a disk that fails" * 300)
    with pytest.raises(StoreDamaged):
        line.recorded(None)
    line.close()


def test_a_dialect_that_was_not_spoken_for_a_time_is_told_nothing_of_that_time(
    tmp_path: Path,
) -> None:
    """All parts of the months between came first, and those of today hours later."""
    for name in (PLAIN, SPARKPLUG):
        (tmp_path / name).write_text('{"line": 17}')
    forget(tmp_path, Mqtt(plain=False, sparkplug_group="Hamburg"))
    assert [Cursor(tmp_path / name).told for name in (PLAIN, SPARKPLUG)] == [None, 17]
    forget(tmp_path, None)
    assert Cursor(tmp_path / SPARKPLUG).told is None
