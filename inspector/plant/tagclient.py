"""Process values that the station listens to: OPC UA nodes and MQTT topics become samples.

Enters: the station file's ``tags``. Leaves: samples in `inspector.store.tags`, with their units, in
the name of ``scada``. ``scada.py`` and ``mqtt.py`` run it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import aiomqtt
import anyio.to_thread
import structlog
from asyncua import Client, ua

from inspector.config import Scada, Station, Tag
from inspector.store.tags import Quality, Sample, Tags

log = structlog.get_logger()

PRINCIPAL = "scada"
PUBLISHING_MS = 200
ASK_S = 2.0
"""How often a server is asked whether it is there: a dead one sends no change."""
FLUSH_S = 0.2
"""Samples are kept together for so long: one commit takes them all."""


class MqttTags:
    """The tags that come by MQTT."""

    def __init__(self, station: Station, scada: Scada) -> None:
        self._by_topic: dict[str, list[Tag]] = {}
        for tag in scada.tags:
            if tag.topic:
                self._by_topic.setdefault(tag.topic, []).append(tag)
        self._tags = Tags(station.data) if self._by_topic else None

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return tuple(self._by_topic)

    async def heard(self, message: aiomqtt.Message) -> None:
        """Keep what ``message`` says."""
        if self._tags is None:
            return
        now = time.time_ns()
        samples = [
            Sample(tag.name, value, tag.unit, now, Quality.BAD if value is None else Quality.GOOD)
            for tag in self._by_topic.get(str(message.topic), ())
            for value in [value_of(bytes(message.payload), tag.field)]
        ]
        if samples:
            await anyio.to_thread.run_sync(self._tags.add, samples, PRINCIPAL)

    def close(self) -> None:
        """Let go of the store."""
        if self._tags is not None:
            self._tags.close()


def value_of(payload: bytes, field: str) -> float | None:
    """The number in a payload: bare, or at a dotted ``field`` of its JSON; else None."""
    try:
        value = json.loads(payload)
        for name in field.split(".") if field else ():
            value = value[name]
        return float(value)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


async def serve_opcua_tags(station: Station, scada: Scada) -> None:
    """Subscribe to every server that the station file names. Raises when one is lost."""
    wanted = sorted((tag for tag in scada.tags if tag.node), key=lambda tag: tag.server)
    with _samples(station) as kept:
        async with asyncio.TaskGroup() as group:
            group.create_task(_keep(kept))
            for url, tags in groupby(wanted, key=lambda tag: tag.server):
                group.create_task(_listen(url, list(tags), kept))


class _Kept:
    """Samples on their way to the disk."""

    def __init__(self, store: Tags) -> None:
        self.store = store
        self.waiting: list[Sample] = []


@contextlib.contextmanager
def _samples(station: Station) -> Iterator[_Kept]:
    with Tags(station.data) as store:
        yield _Kept(store)


async def _keep(kept: _Kept) -> None:
    while True:
        await asyncio.sleep(FLUSH_S)
        waiting, kept.waiting = kept.waiting, []
        if waiting:
            await anyio.to_thread.run_sync(kept.store.add, waiting, PRINCIPAL)


async def _listen(url: str, tags: list[Tag], kept: _Kept) -> None:
    last: dict[str, float | None] = {}
    by_node = {tag.node: tag for tag in tags}

    class Changes:
        def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
            tag = by_node[node.nodeid.to_string()]
            told = data.monitored_item.Value
            good = told.StatusCode is None or told.StatusCode.is_good()
            number = _number(value)
            last[tag.name] = number
            at = told.SourceTimestamp or datetime.now(UTC)
            if at.tzinfo is None:
                at = at.replace(tzinfo=UTC)
            quality = Quality.GOOD if good and number is not None else Quality.BAD
            utc_ns = int(at.timestamp() * 1e9)
            kept.waiting.append(Sample(tag.name, number, tag.unit, utc_ns, quality))

    try:
        async with Client(url, timeout=4) as client:
            subscription = await client.create_subscription(PUBLISHING_MS, Changes())
            await subscription.subscribe_data_change([client.get_node(node) for node in by_node])
            log.info("process values are heard", server=url, tags=len(tags))
            while True:
                await client.check_connection()
                await client.nodes.server_state.read_value()
                await asyncio.sleep(ASK_S)
    except (OSError, TimeoutError, ua.UaError) as error:
        now = time.time_ns()
        for tag in tags:
            sample = Sample(tag.name, last.get(tag.name), tag.unit, now, Quality.BAD)
            kept.waiting.append(sample)
        waiting, kept.waiting = kept.waiting, []
        await anyio.to_thread.run_sync(kept.store.add, waiting, PRINCIPAL)
        raise ConnectionError(f"{url}: {error or type(error).__name__}") from None


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
