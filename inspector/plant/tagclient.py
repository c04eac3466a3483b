"""Process values that the station listens to: OPC UA nodes and MQTT topics become samples.

Enters: the station file's ``tags``. Leaves: samples in `inspector.store.tags`, with their units, in
the name of ``scada``. What is no number is a ``bad`` sample: one sensor that is broken silences no
other. ``scada.py`` and ``mqtt.py`` run it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import aiomqtt
import anyio.to_thread
import structlog
from asyncua import Client, ua

from inspector.config import Scada, Station, Tag
from inspector.plant.tasks import look, together
from inspector.store import StoreError
from inspector.store.tags import Quality, Sample, Tags

log = structlog.get_logger()

PRINCIPAL = "scada"
PUBLISHING_MS = 200
ASK_S = 2.0
"""How often a server is asked whether it is there: a dead one sends no change."""
REPEAT_S = 600.0
"""A value that rests is told again: no change comes of it, and after an hour it would count as none
(`inspector.store.tags.FRESH_S`)."""
FLUSH_S = 0.2
"""Samples are kept together for so long: one commit takes them all."""
WAITING_MAX = 100_000
"""Samples that wait while the disk does not take them; the oldest go then."""
APART_NS = 60_000_000_000
"""A source's time that lies further back is not believed: its clock is wrong, keeps local time for
UTC, or says 1601 for none; or it is that of a value that rests, and is so now."""


class MqttTags:
    """The tags that come by MQTT."""

    def __init__(self, station: Station, scada: Scada) -> None:
        self._by_topic: dict[str, list[Tag]] = {}
        for tag in scada.tags:
            if tag.topic:
                self._by_topic.setdefault(tag.topic, []).append(tag)
        self._tags = Tags(station.data) if self._by_topic else None
        self._last: dict[str, Last] = {}

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return tuple(self._by_topic)

    async def heard(self, message: aiomqtt.Message) -> None:
        """Keep what ``message`` says. Of one that the broker had kept nobody knows how old it is:
        it is the last known value, and uncertain."""
        told = Quality.UNCERTAIN if message.retain else Quality.GOOD
        samples = []
        for tag in self._by_topic.get(str(message.topic), ()):
            value = value_of(bytes(message.payload), tag.field)
            quality = Quality.BAD if value is None else told
            if _is_news(tag, value, quality, self._last.get(tag.name)):
                samples.append(_now(tag, value, quality))
        await self._add(samples)

    async def lost(self) -> None:
        """The broker is gone: what was heard last may not be so any more."""
        if self._tags is None:
            return
        known = await anyio.to_thread.run_sync(_bad, self._tags)
        lost = [tag for tags in self._by_topic.values() for tag in tags
                if tag.name in self._last or tag.name not in known]  # fmt: skip
        last = [self._last.get(tag.name, (None,))[0] for tag in lost]
        bad = [_now(tag, value, Quality.BAD) for tag, value in zip(lost, last, strict=True)]
        await self._add(bad)

    async def _add(self, samples: list[Sample]) -> None:
        if self._tags is None or not samples:
            return
        try:
            await anyio.to_thread.run_sync(self._tags.add, samples, PRINCIPAL)
        except StoreError as error:  # a full disk is no reason to leave the broker
            log.error("process values were not kept", why=str(error))
            return
        now = time.monotonic()
        self._last |= {sample.tag: (sample.value, sample.quality, now) for sample in samples}

    def close(self) -> None:
        """Let go of the store."""
        if self._tags is not None:
            self._tags.close()


def _now(tag: Tag, value: float | None, quality: Quality) -> Sample:
    return Sample(tag.name, value, tag.unit, time.time_ns(), quality)


Last = tuple[float | None, Quality, float]
"""What was kept last of a tag, and when on the monotonic clock."""


def _is_news(tag: Tag, value: float | None, quality: Quality, last: Last | None) -> bool:
    """Whether a value is kept beside the last one: for those that follow, it moved too little."""
    if last is None or value is None or last[0] is None or quality is not last[1]:
        return True
    return abs(value - last[0]) >= tag.change or time.monotonic() - last[2] > REPEAT_S


def value_of(payload: bytes, field: str) -> float | None:
    """The number in a payload: bare, or at a dotted ``field`` of its JSON; else None."""
    try:
        value = json.loads(payload)
        for name in field.split(".") if field else ():
            value = value[name]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return _number(value)


def by_server(scada: Scada) -> list[tuple[str, list[Tag]]]:
    """The OPC UA servers that the station file names, each with its tags."""
    wanted = sorted((tag for tag in scada.tags if tag.node), key=lambda tag: tag.server)
    return [(url, list(tags)) for url, tags in groupby(wanted, key=lambda tag: tag.server)]


async def serve_opcua_tags(station: Station, url: str, tags: Sequence[Tag]) -> None:
    """Subscribe to one server. Raises when it is lost, after a bad sample of each tag."""
    with _samples(station) as kept:
        keeping = look(kept.write, "process values wait for the disk", FLUSH_S)
        await together(keeping, _listen(url, tags, kept))


class _Kept:
    """Samples on their way to the disk."""

    def __init__(self, store: Tags) -> None:
        self.store = store
        self.waiting: list[Sample] = []

    def write(self) -> None:
        """Have them on the disk. Raises ``StoreError``; they wait on then."""
        del self.waiting[:-WAITING_MAX]
        now = self.waiting[:WAITING_MAX]
        if now:
            self.store.add(now, PRINCIPAL)
            del self.waiting[: len(now)]


@contextlib.contextmanager
def _samples(station: Station) -> Iterator[_Kept]:
    with Tags(station.data) as store:
        kept = _Kept(store)
        try:
            yield kept
        finally:
            with contextlib.suppress(StoreError):  # it has been said, or will be
                kept.write()


async def _listen(url: str, tags: Sequence[Tag], kept: _Kept) -> None:
    last: dict[str, Last] = {}
    by_node: dict[ua.NodeId, list[Tag]] = {}

    def tell(tag: Tag, value: float | None, quality: Quality, utc_ns: int) -> None:
        last[tag.name] = value, quality, time.monotonic()
        kept.waiting.append(Sample(tag.name, value, tag.unit, utc_ns, quality))

    def lost(tag: Tag) -> None:
        value, *_ = last.get(tag.name, (None,))
        tell(tag, value, Quality.BAD, time.time_ns())

    class Changes:
        def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
            told = data.monitored_item.Value
            number = _number(value)
            for tag in by_node[node.nodeid]:
                quality = _quality(told.StatusCode, number)
                if not _is_news(tag, number, quality, last.get(tag.name)):
                    continue
                tell(tag, number, quality, source_ns(told.SourceTimestamp, time.time_ns()))

    try:
        async with Client(url, timeout=4) as client:
            for tag in tags:
                by_node.setdefault(client.get_node(tag.node).nodeid, []).append(tag)
            subscription = await client.create_subscription(PUBLISHING_MS, Changes())
            made = await subscription.subscribe_data_change([client.get_node(n) for n in by_node])
            for node, item in zip(by_node, made, strict=True):
                if isinstance(item, ua.StatusCode):
                    log.error("a process value cannot be heard", server=url,
                              node=node.to_string(), why=item.name)  # fmt: skip
                    for tag in by_node[node]:
                        lost(tag)
            log.info("process values are heard", server=url, tags=len(tags))
            while True:
                await client.check_connection()
                await client.nodes.server_state.read_value()
                for tag in tags:
                    value, quality, at = last.get(tag.name, (None, Quality.BAD, time.monotonic()))
                    if time.monotonic() - at > REPEAT_S:
                        tell(tag, value, quality, time.time_ns())
                await asyncio.sleep(ASK_S)
    except (OSError, TimeoutError, ua.UaError) as error:
        known = await anyio.to_thread.run_sync(_bad, kept.store)
        for tag in tags:
            if tag.name in last or tag.name not in known:
                lost(tag)
        raise ConnectionError(f"{url}: {error or type(error).__name__}") from None


def _bad(store: Tags) -> frozenset[str]:
    """Tags whose newest value, of the last hour, is known to be none: a source that stays away says
    it once an hour, and not each time that it is tried again."""
    try:
        return frozenset(s.tag for s in store.at(time.time_ns()) if s.quality is Quality.BAD)
    except StoreError:
        return frozenset()


def _number(value: Any) -> float | None:
    """``value`` where it is a finite number, else None."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _quality(status: ua.StatusCode | None, number: float | None) -> Quality:
    if number is None or (status is not None and status.is_bad()):
        return Quality.BAD
    return Quality.GOOD if status is None or status.is_good() else Quality.UNCERTAIN


def source_ns(at: datetime | None, now_ns: int) -> int:
    """When the source says it was so, UTC; ``now_ns`` where it says nothing or cannot be right: a
    value of two hours ago would join no part, and one of the future none yet."""
    if at is None:
        return now_ns
    source = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1e9)
    return source if 0 <= now_ns - source <= APART_NS else now_ns
