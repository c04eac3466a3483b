"""Plain MQTT: what happens at the station as JSON, and commands from those whom the broker lets.

Enters: the line's heartbeat and its ledger's tail. Leaves, below ``<topic>/<station>/``: ``online``
and ``status`` (retained), ``part``, ``event/<kind>``; where the station file names a user that is
obeyed, ``command`` is heard and ``answer`` tells how it went. Messages have QoS 1 and their ledger
position, so what a restart tells twice can be told apart. ``scada.py`` runs it.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiomqtt
import anyio.to_thread
import structlog

from inspector.config import Mqtt, Scada, Station
from inspector.identity import Action
from inspector.part import Verdict
from inspector.plant.broker import Cursor, ask, connect, take_leave
from inspector.plant.desk import Line
from inspector.plant.events import line_event
from inspector.plant.opcua import content_of
from inspector.plant.places import PLAIN
from inspector.plant.sparkplug import serve_sparkplug
from inspector.plant.tagclient import MqttTags
from inspector.plant.tasks import together
from inspector.store.records import Record

log = structlog.get_logger()

STATUS_S = 1.0
REMEMBERED, ID_MAX = 1000, 128
"""Ids of commands, and their length: the broker may deliver one twice."""
SHOWN = (
    "ready", "running", "paused", "mode", "batch", "product", "recipe", "counts", "parts_per_s",
    "alarms",
)  # fmt: skip
"""Of the heartbeat, what `status` tells."""


def dialects(station: Station, scada: Scada, line: Line) -> list[Callable[[], Awaitable[None]]]:
    """What is spoken, each dialect as a service of its own: a connection has one will, and one that
    is lost takes the other with it no more."""
    config = scada.mqtt
    assert config is not None
    spoken: list[Callable[[], Awaitable[None]]] = []
    if config.plain or any(tag.topic for tag in scada.tags):
        # They outlive the connection: a broker that comes back may deliver a command again.
        orders = Orders(station, config, line)
        spoken.append(partial(_serve_plain, station, scada, config, line, orders))
    if config.sparkplug_group is not None:
        spoken.append(partial(serve_sparkplug, station, config, line))
    return spoken


async def _serve_plain(
    station: Station, scada: Scada, config: Mqtt, line: Line, orders: Orders
) -> None:
    root = f"{config.topic}/{station.station}"
    will = aiomqtt.Will(f"{root}/online", b"false", qos=1, retain=True)
    tags = MqttTags(station, scada)

    async def hear() -> None:
        async for message in client.messages:
            if str(message.topic) == f"{root}/command":
                await orders.heard(client, root, message)
            else:
                await tags.heard(message)

    try:
        async with connect(config, f"inspector-{station.station}", will) as client:
            for topic in tags.topics:
                await client.subscribe(topic, qos=1)
            if config.plain and config.obeys:
                await client.subscribe(f"{root}/command", qos=1)
            log.info("MQTT is spoken", broker=f"{config.host}:{config.port}")
            if not config.plain:
                await hear()
                return
            await client.publish(f"{root}/online", b"true", qos=1, retain=True)
            try:
                telling = (
                    _tell_status(client, root, line),
                    _tell_ledger(client, root, station, line),
                )
                await together(hear(), *telling)
            finally:
                await take_leave(client, f"{root}/online", b"false", retain=True)
    except Exception:
        await tags.lost()
        raise
    finally:
        tags.close()


async def _tell_status(client: aiomqtt.Client, root: str, line: Line) -> None:
    before: dict[str, Any] = {}
    while True:
        status = status_of(line)
        if status != before:
            before = status
            text = json.dumps(status, ensure_ascii=False, default=str)
            await client.publish(f"{root}/status", text, qos=1, retain=True)
        await asyncio.sleep(STATUS_S)


def status_of(line: Line) -> dict[str, Any]:
    """The newest heartbeat; a line that is lost is not ready, whatever it said last."""
    body, alive = line.heartbeat.body, line.heartbeat.alive
    lives = {name: bool(alive and body.get(name)) for name in ("ready", "running")}
    return {name: body.get(name) for name in SHOWN} | lives | {"alive": alive}


async def _tell_ledger(client: aiomqtt.Client, root: str, station: Station, line: Line) -> None:
    async for news in Cursor(station.data / PLAIN).follow(line):
        told = [_message(position, record) for position, record in news]
        await asyncio.gather(*(client.publish(f"{root}/{k}", text, qos=1) for k, text in told))


def _message(position: int, record: Record) -> tuple[str, str]:
    kind, body = line_event(record)
    if isinstance(record, Verdict):
        body |= content_of(record) | {"recipe": record.recipe}
        kind = "part"
    else:
        kind = f"event/{kind}"
    return kind, json.dumps(body | {"position": position}, ensure_ascii=False, default=str)


class Orders:
    """Commands that come by the broker, each obeyed once: it may deliver one twice, also over two
    connections."""

    def __init__(self, station: Station, config: Mqtt, line: Line) -> None:
        self._station, self._config, self._line = station, config, line
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def heard(self, client: aiomqtt.Client, root: str, message: aiomqtt.Message) -> None:
        """One command. A retained one is old, one that was seen is not obeyed again."""
        if message.retain:
            return
        id, answer = "", {}
        try:
            asked = json.loads(bytes(message.payload))
            id = str(asked["id"])[:ID_MAX]
            if id != str(asked["id"]):
                raise ValueError("two ids that differ behind their beginning would be one")
            action, args = Action(asked["command"]), dict(asked.get("args") or {})
            # NaN and half a character are no words that the bus carries.
            json.dumps(args, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, KeyError, TypeError, RecursionError):
            answer = {"error": 'a command is {"id": "…", "command": "pause", "args": {}}'}
        if not answer:
            if not self._is_new(id):
                return
            answer = await anyio.to_thread.run_sync(
                ask, self._station, self._config, self._line, action, args
            )
        body = {"id": id, "ok": "error" not in answer} | answer
        text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        await client.publish(f"{root}/answer", text, qos=1)

    def _is_new(self, id: str) -> bool:
        if id in self._seen:
            return False
        self._seen[id] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return True
