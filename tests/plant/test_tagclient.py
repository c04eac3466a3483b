"""Process values from an OPC UA server: kept with unit and time, and bad when the server is lost.
(S1, S5, S22)"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import Server

from inspector.config import Scada, Tag
from inspector.plant.tagclient import serve_opcua_tags, value_of
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
    ],
)
def test_a_payload_gives_its_number_or_none(payload: bytes, field: str, value: Any) -> None:
    assert value_of(payload, field) == value


def test_a_server_is_heard_and_its_loss_is_a_bad_sample(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        url = f"opc.tcp://127.0.0.1:{probe.getsockname()[1]}/filler"

    def samples() -> list[Any]:
        with Tags(tmp_path) as tags:
            return list(tags.series("filler.temperature", 0, time.time_ns()))

    async def until(condition: Callable[[], Any]) -> Any:
        end = time.monotonic() + 15
        while not (value := condition()):
            assert time.monotonic() < end, samples()
            await asyncio.sleep(0.05)
        return value

    async def story() -> None:
        server = Server()
        await server.init()
        server.set_endpoint(url)
        index = await server.register_namespace("urn:filler")
        node = await server.nodes.objects.add_variable(index, "Temp", 20.5)
        tag = Tag(name="filler.temperature", unit="Cel", server=url, node=node.nodeid.to_string())
        station: Any = SimpleNamespace(data=tmp_path)
        await server.start()
        listening = asyncio.create_task(serve_opcua_tags(station, Scada(tags=(tag,))))
        try:
            await until(lambda: [s.value for s in samples()] == [20.5])
            await node.write_value(21.25)
            await until(lambda: [s.value for s in samples()] == [20.5, 21.25])
            await server.stop()
            lost = await until(lambda: samples()[2:])
            assert lost[0].quality is Quality.BAD and lost[0].value == 21.25
            with pytest.raises(ExceptionGroup):
                await listening
        finally:
            listening.cancel()
            with contextlib.suppress(BaseException):
                await listening

    asyncio.run(story())
    assert {s.unit for s in samples()} == {"Cel"}
