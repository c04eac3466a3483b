"""Process values from an OPC UA server: kept with unit and time, and bad when the server is lost.
(S1, S5, S22)"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import Node, Server, ua
from waiting import until_here

from inspector.config import Scada, Tag
from inspector.plant import tagclient
from inspector.plant.tagclient import (
    MqttTags,
    by_server,
    serve_opcua_tags,
    source_ns,
    value_of,
)
from inspector.plant.tasks import end, for_ever
from inspector.store import StoreError
from inspector.store.tags import Quality, Tags


@pytest.mark.parametrize(
    ("payload", "field", "value"),
    [
        (b"21.5", "", 21.5),
        (b"true", "", 1.0),
        (b'{"a": {"b": 3}}', "a.b", 3.0),
        (b'{"a": {"b": "4.5"}}', "a.b", 4.5),
        (b'{"a": 1}', "a.b", None),
        (b"[1]", "a", None),
        (b"\xff", "", None),
        (b"", "", None),
        (b"[" * 100_000, "", None),
        (b"NaN", "", None),
        (b'{"a": -Infinity}', "a", None),
        (b'"nan"', "", None),
        (b"1e999", "", None),
        (b"1" * 400, "", None),
    ],
)
def test_a_payload_gives_its_number_or_none(payload: bytes, field: str, value: Any) -> None:
    assert value_of(payload, field) == value


def free_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"opc.tcp://127.0.0.1:{probe.getsockname()[1]}/filler"


def kept(data: Path, tag: str) -> list[tuple[float | None, Quality]]:
    with Tags(data) as tags:
        return [(s.value, s.quality) for s in tags.series(tag, 0, 1 << 62)]


@contextlib.asynccontextmanager
async def filler(url: str, **values: Any) -> AsyncIterator[dict[str, Node]]:
    """An OPC UA server with these nodes."""
    server = Server()
    await server.init()
    server.set_endpoint(url)
    index = await server.register_namespace("urn:filler")
    nodes = {}
    for name, value in values.items():
        nodes[name] = await server.nodes.objects.add_variable(index, name, 0.0)
        await nodes[name].write_value(value)
    async with server:
        yield nodes


@contextlib.asynccontextmanager
async def heard(data: Path, tags: Sequence[Tag]) -> AsyncIterator[None]:
    """The services of these tags, as the SCADA process runs them."""
    station: Any = SimpleNamespace(data=data)
    tasks = [
        asyncio.create_task(for_ever(partial(serve_opcua_tags, station, url, each)))
        for url, each in by_server(Scada(tags=tuple(tags)))
    ]
    try:
        yield
    finally:
        await end(*tasks)


@pytest.mark.slow
def test_a_server_that_is_away_takes_the_values_of_no_other_with_it(tmp_path: Path) -> None:
    """(I5) Each is a service of its own."""

    async def story() -> None:
        url, away = free_url(), free_url()
        async with filler(url, temperature=20.5) as nodes:
            here = Tag(name="a", server=url, node=nodes["temperature"].nodeid.to_string())
            async with heard(tmp_path, [Tag(name="b", server=away, node="ns=2;i=1"), here]):
                await until_here(lambda: kept(tmp_path, "b"))
                await nodes["temperature"].write_value(21.5)
                await until_here(lambda: (21.5, Quality.GOOD) in kept(tmp_path, "a"))
        assert {quality for _, quality in kept(tmp_path, "b")} == {Quality.BAD}
        assert [value for value, quality in kept(tmp_path, "a") if quality is Quality.BAD] == []

    asyncio.run(story())


@pytest.mark.slow
def test_a_broken_sensor_silences_no_other(tmp_path: Path) -> None:
    """A value that is no number is bad; a time before the epoch is none; a doubtful one is so."""
    no_time = ua.DataValue(ua.Variant(4.0), SourceTimestamp=datetime(1601, 1, 2))
    doubtful = ua.DataValue(
        ua.Variant(5.0), ua.StatusCode(ua.StatusCodes.UncertainSensorNotAccurate),
        SourceTimestamp=datetime(2026, 11, 27),
    )  # fmt: skip

    async def story() -> None:
        url = free_url()
        values = {"broken": math.nan, "timeless": no_time, "doubtful": doubtful, "sound": 20.5}
        async with filler(url, **values) as nodes:
            tags = [Tag(name=name, server=url, node=node.nodeid.to_string())
                    for name, node in nodes.items()]  # fmt: skip
            async with heard(tmp_path, tags):
                await until_here(lambda: all(kept(tmp_path, name) for name in values))

    asyncio.run(story())
    names = ("broken", "timeless", "doubtful", "sound")
    assert [kept(tmp_path, name)[0] for name in names] == [
        (None, Quality.BAD),
        (4.0, Quality.GOOD),
        (5.0, Quality.UNCERTAIN),
        (20.5, Quality.GOOD),
    ]


@pytest.mark.slow
def test_a_node_that_is_not_there_is_a_bad_sample_and_two_tags_may_have_one(tmp_path: Path) -> None:
    """However the node's id is written, and in whatever namespace."""

    async def story() -> None:
        url = free_url()
        async with filler(url, temperature=20.5) as nodes:
            node = nodes["temperature"].nodeid.to_string()
            told = {"gone": "ns=2;i=999", "level": "ns=0;i=2267", "one": node, "two": node}
            tags = [Tag(name=name, server=url, node=each) for name, each in told.items()]
            async with heard(tmp_path, tags):
                await until_here(lambda: all(kept(tmp_path, tag.name) for tag in tags))

    asyncio.run(story())
    assert kept(tmp_path, "gone") == [(None, Quality.BAD)]
    assert kept(tmp_path, "one") == kept(tmp_path, "two") == [(20.5, Quality.GOOD)]
    assert kept(tmp_path, "level")[0][1] is Quality.GOOD


@pytest.mark.slow
def test_a_value_that_rests_is_told_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server tells changes only; after an hour without one it would count as no value."""
    monkeypatch.setattr(tagclient, "ASK_S", 0.05)
    monkeypatch.setattr(tagclient, "REPEAT_S", 0.1)

    async def story() -> None:
        url = free_url()
        async with filler(url, speed=600.0) as nodes:
            tag = Tag(name="speed", server=url, node=nodes["speed"].nodeid.to_string())
            async with heard(tmp_path, [tag]):
                await until_here(lambda: len(kept(tmp_path, "speed")) > 2)

    asyncio.run(story())
    assert set(kept(tmp_path, "speed")) == {(600.0, Quality.GOOD)}


@pytest.mark.parametrize(
    ("told", "kept_s"),
    [
        (datetime(2026, 11, 27, 11, 59, 59), -1),
        (datetime(2026, 11, 27, 14, 0, 0), 0),  # a PLC that tells local time as UTC
        (datetime(2026, 11, 27, 9, 30, 0), 0),  # a value that has rested since, or a clock behind
        (datetime(1601, 1, 1), 0),
        (None, 0),
    ],
)
def test_a_value_is_of_when_its_source_says_unless_that_is_another_clock(
    told: datetime | None, kept_s: int
) -> None:
    """It joined no part at all, or those of two hours later."""
    now_ns = int(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp()) * 10**9
    assert source_ns(told, now_ns) == now_ns + kept_s * 10**9


def test_what_the_broker_had_kept_is_uncertain_and_a_lost_broker_is_bad(tmp_path: Path) -> None:
    """A retained message may be of last week; silence is no value. It is said once, and not each
    ten seconds for as long as nobody is there."""
    tag = Tag(name="torque", unit="N.m", topic="line3/capper")
    section = Scada.model_validate({"mqtt": {"plain": True}, "tags": [tag]})
    station: Any = SimpleNamespace(data=tmp_path)
    tags = MqttTags(station, section)

    def message(payload: bytes, retain: bool) -> Any:
        return SimpleNamespace(topic="line3/capper", payload=payload, retain=retain)

    async def story() -> None:
        await tags.heard(message(b"1.25", True))
        await tags.heard(message(b"1.5", False))
        await tags.heard(message(b"NaN", False))
        await tags.heard(message(b"1.75", False))
        await tags.lost()
        again = MqttTags(station, section)  # each time that the broker is tried
        await again.lost()
        again.close()

    asyncio.run(story())
    tags.close()
    assert kept(tmp_path, "torque") == [
        (1.25, Quality.UNCERTAIN), (1.5, Quality.GOOD), (None, Quality.BAD), (1.75, Quality.GOOD),
        (1.75, Quality.BAD),
    ]  # fmt: skip


def test_of_a_value_that_trembles_one_is_kept_in_ten_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sensor's noise filled the disk: five samples a second are 9 GB a year."""
    tag = Tag(name="oven", unit="Cel", topic="oven", change=0.5)
    section = Scada.model_validate({"mqtt": {"plain": True}, "tags": [tag]})
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(tagclient, "time", SimpleNamespace(
        monotonic=lambda: clock.now, time_ns=time.time_ns))  # fmt: skip
    station: Any = SimpleNamespace(data=tmp_path)
    tags = MqttTags(station, section)

    async def heard(*values: float) -> None:
        for value in values:
            clock.now += 1.0
            payload = str(value).encode()
            message: Any = SimpleNamespace(topic="oven", payload=payload, retain=False)
            await tags.heard(message)

    async def story() -> None:
        await heard(180.0, 180.4, 179.7, 180.5, 180.1)
        clock.now += 600.0
        await heard(180.2, 180.3)
        await tags.lost()
        await heard(180.2, 180.4)

    asyncio.run(story())
    tags.close()
    assert kept(tmp_path, "oven") == [
        (180.0, Quality.GOOD), (180.5, Quality.GOOD), (180.2, Quality.GOOD), (180.2, Quality.BAD),
        (180.2, Quality.GOOD),
    ]  # fmt: skip


def test_a_value_that_the_disk_did_not_take_is_kept_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counted as kept: for ten minutes the parts were judged at what had been before."""
    tag = Tag(name="oven", topic="oven", change=0.5)
    station: Any = SimpleNamespace(data=tmp_path)
    tags = MqttTags(station, Scada.model_validate({"mqtt": {"plain": True}, "tags": [tag]}))

    async def heard(value: bytes) -> None:
        message: Any = SimpleNamespace(topic="oven", payload=value, retain=False)
        await tags.heard(message)

    def full(*_: object) -> int:
        raise StoreError("the disk is full")

    async def story() -> None:
        await heard(b"180")
        with monkeypatch.context() as disk:
            disk.setattr(Tags, "add", full)
            await heard(b"190")
        await heard(b"190.1")

    asyncio.run(story())
    tags.close()
    assert [value for value, _ in kept(tmp_path, "oven")] == [180.0, 190.1]


@pytest.mark.parametrize("tag", [{"unit": "°C"}, {"topic": "line3/+/torque"}, {"topic": "a/#"}])
def test_a_tag_that_could_never_be_kept_is_refused_with_its_file(tag: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="pattern"):
        Tag.model_validate({"name": "torque", "topic": "line3/capper"} | tag)


def test_a_server_is_heard_and_its_loss_is_a_bad_sample(tmp_path: Path) -> None:
    url = free_url()

    def samples() -> list[Any]:
        with Tags(tmp_path) as tags:
            return list(tags.series("filler.temperature", 0, time.time_ns()))

    async def story() -> None:
        server = Server()
        await server.init()
        server.set_endpoint(url)
        index = await server.register_namespace("urn:filler")
        node = await server.nodes.objects.add_variable(index, "Temp", 20.5)
        tag = Tag(name="filler.temperature", unit="Cel", server=url, node=node.nodeid.to_string())
        station: Any = SimpleNamespace(data=tmp_path)
        await server.start()
        listening = asyncio.create_task(serve_opcua_tags(station, url, [tag]))
        try:
            await until_here(lambda: [s.value for s in samples()] == [20.5])
            await node.write_value(21.25)
            await until_here(lambda: [s.value for s in samples()] == [20.5, 21.25])
            await server.stop()
            lost = await until_here(lambda: samples()[2:])
            assert lost[0].quality is Quality.BAD and lost[0].value == 21.25
            with pytest.raises(ConnectionError, match=url):
                await listening
        finally:
            listening.cancel()
            with contextlib.suppress(BaseException):
                await listening

    asyncio.run(story())
    assert {s.unit for s in samples()} == {"Cel"}
