"""Sparkplug B 3.0: the station as an edge node, its vision system as a device.

Enters: the line's heartbeat and its ledger's tail. Leaves: births, data of each part (historical
where the broker was away when it happened), deaths; *Rebirth*, and commands in the name of the
user that the station file has obeyed. Payloads by pysparkplug. ``mqtt.py`` runs it.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiomqtt
import anyio.to_thread
import structlog
from pysparkplug import DataType, DBirth, DCmd, DData, Metric, NBirth, NCmd, NDeath

from inspector.config import Mqtt, Station
from inspector.identity import Action
from inspector.part import Verdict
from inspector.plant.broker import Cursor, ask, connect, take_leave
from inspector.plant.desk import Line
from inspector.plant.places import SPARKPLUG
from inspector.plant.tasks import together

log = structlog.get_logger()

DEVICE = "vision"
HISTORICAL_MS = 5000
"""A part that was judged longer ago, or before this birth, is history: it must not replace a host's
live values."""
STATUS = {
    "Station/Alive": DataType.BOOLEAN,
    "Station/Ready": DataType.BOOLEAN,
    "Station/Paused": DataType.BOOLEAN,
    "Station/Mode": DataType.STRING,
    "Station/Batch": DataType.STRING,
    "Station/Recipe": DataType.STRING,
    "Station/Alarms": DataType.STRING,
    "Counts/Passed": DataType.INT64,
    "Counts/Rejected": DataType.INT64,
    "Counts/Errors": DataType.INT64,
    "Counts/PartsPerSecond": DataType.DOUBLE,
}
PART = {
    "Part/Position": DataType.INT64,
    "Part/Id": DataType.STRING,
    "Part/Sequence": DataType.INT64,
    "Part/Outcome": DataType.STRING,
    "Part/Reasons": DataType.STRING,
    "Part/Serial": DataType.STRING,
    "Part/Batch": DataType.STRING,
}
CONTROLS = {"Control/Pause": DataType.BOOLEAN, "Control/ChangeOver": DataType.STRING}
ALIAS = {name: number for number, name in enumerate([*STATUS, *PART, *CONTROLS], start=1)}
REBIRTH = "Node Control/Rebirth"


class _Node:
    """One connection's sequence numbers and births."""

    def __init__(self, client: aiomqtt.Client, config: Mqtt, station: Station, birth: int) -> None:
        self.client = client
        self._prefix, self._edge = f"spBv1.0/{config.sparkplug_group}", station.station
        self._birth, self._sequence = birth, 0
        self.born_ms = 0
        self.told: dict[str, Any] = {}
        """The status as hosts have it."""
        self.device: DBirth
        """As it was born last: commands may name its metrics by their aliases."""
        self.lock = asyncio.Lock()
        """Of whoever sends: nothing comes between two births."""

    def topic(self, kind: str, device: str = "") -> str:
        return f"{self._prefix}/{kind}/{self._edge}{'/' + device if device else ''}"

    def next(self) -> int:
        """The next message's number: 0 is the birth's, then around after 255."""
        self._sequence = (self._sequence + 1) % 256
        return self._sequence

    async def born(self, status: dict[str, Any]) -> None:
        """Both births, with every metric that will ever come."""
        now = self.born_ms = _now_ms()
        self._sequence = 0
        self.told = dict(status)
        node = NBirth(
            now, 0, (_born_of(self._birth, now), Metric(now, REBIRTH, DataType.BOOLEAN, False))
        )
        await self.client.publish(self.topic("NBIRTH"), node.encode(), qos=0)
        kinds = STATUS | PART | CONTROLS
        metrics = tuple(
            Metric(now, name, kind, status.get(name), alias=ALIAS[name])
            for name, kind in kinds.items()
        )
        self.device = DBirth(now, self.next(), metrics)
        await self.client.publish(self.topic("DBIRTH", DEVICE), self.device.encode(), qos=0)

    async def data(self, values: dict[str, Any], at_ms: int, historical: bool = False) -> None:
        """What changed, or one part."""
        kinds = STATUS | PART
        metrics = tuple(
            Metric(at_ms, None, kinds[name], value, alias=ALIAS[name], is_historical=historical)
            for name, value in values.items()
        )
        data = DData(_now_ms(), self.next(), metrics)
        await self.client.publish(
            self.topic("DDATA", DEVICE), data.encode(include_dtypes=True), qos=0
        )

    async def arrived(self) -> None:
        """The broker has all that was sent: nobody acknowledges QoS 0, but a broker takes what
        comes in its order, and answers this. Raises ``aiomqtt.MqttError`` where it does not."""
        await self.client.unsubscribe(self.topic("DDATA", DEVICE))


async def serve_sparkplug(station: Station, config: Mqtt, line: Line) -> None:
    """One edge node, until the connection is lost. Raises ``aiomqtt.MqttError`` then."""
    birth = _next_birth(station.data / "sparkplug.birth")
    now = _now_ms()
    prefix = f"spBv1.0/{config.sparkplug_group}"
    death = NDeath(now, _born_of(birth, now)).encode()
    will = aiomqtt.Will(f"{prefix}/NDEATH/{station.station}", death, qos=1)
    async with connect(config, f"inspector-{station.station}-spb", will) as client:
        node = _Node(client, config, station, birth)
        await client.subscribe(node.topic("NCMD"), qos=1)
        await client.subscribe(node.topic("DCMD", DEVICE), qos=1)
        await node.born(status_of(line))
        log.info("Sparkplug is spoken", group=config.sparkplug_group, birth=birth)
        try:
            await together(_hear(node, station, config, line), _tell(node, station, line))
        finally:  # Sparkplug 3.0: who disconnects on purpose publishes his death before
            await take_leave(client, node.topic("NDEATH"), death)


async def _hear(node: _Node, station: Station, config: Mqtt, line: Line) -> None:
    async for message in node.client.messages:
        if "/NCMD/" in str(message.topic):
            if _wants_rebirth(bytes(message.payload)):
                async with node.lock:
                    await node.born(status_of(line))
        elif not message.retain:  # one that was kept is old: it came before this birth
            await _obey(station, config, line, node, bytes(message.payload))


async def _tell(node: _Node, station: Station, line: Line) -> None:
    async for news in Cursor(station.data / SPARKPLUG).follow(line):
        parts = [(p, record) for p, record in news if isinstance(record, Verdict)]
        async with node.lock:
            status = status_of(line)
            changed = {name: value for name, value in status.items() if node.told[name] != value}
            if changed:
                await node.data(changed, _now_ms())
                node.told |= changed
            for position, verdict in parts:
                at_ms = verdict.times.utc_ns // 1_000_000
                past = at_ms < node.born_ms or _now_ms() - at_ms > HISTORICAL_MS
                await node.data(part_of(position, verdict), at_ms, past)
        if parts:
            await node.arrived()


def part_of(position: int, verdict: Verdict) -> dict[str, Any]:
    """A verdict as metrics."""
    return {
        "Part/Position": position,
        "Part/Id": str(verdict.part_id),
        "Part/Sequence": verdict.sequence,
        "Part/Outcome": str(verdict.outcome),
        "Part/Reasons": "; ".join(verdict.reasons),
        "Part/Serial": verdict.serial or "",
        "Part/Batch": verdict.batch,
    }


def status_of(line: Line) -> dict[str, Any]:
    """The heartbeat as metrics."""
    body = line.heartbeat.body
    counts = body.get("counts", {})
    return {
        "Station/Alive": line.heartbeat.alive,
        "Station/Ready": bool(line.heartbeat.alive and body.get("ready")),
        "Station/Paused": bool(body.get("paused")),
        "Station/Mode": str(body.get("mode", "")),
        "Station/Batch": str(body.get("batch", "")),
        "Station/Recipe": str(body.get("recipe", "")),
        "Station/Alarms": json.dumps([a["code"] for a in body.get("alarms", ())]),
        "Counts/Passed": int(counts.get("passed", 0)),
        "Counts/Rejected": int(counts.get("rejected", 0)),
        "Counts/Errors": int(counts.get("errors", 0)),
        "Counts/PartsPerSecond": round(float(body.get("parts_per_s", 0.0)), 1),
    }


def _wants_rebirth(payload: bytes) -> bool:
    try:
        return any(m.name == REBIRTH and m.value for m in NCmd.decode(payload).metrics)
    except Exception as error:  # whatever a stranger publishes, protobuf's errors are many
        log.warning("a node command is not understood", why=str(error)[:200])
        return False


async def _obey(station: Station, config: Mqtt, line: Line, node: _Node, payload: bytes) -> None:
    try:
        wanted = {m.name: m.value for m in DCmd.decode(payload, birth=node.device).metrics}
    except Exception as error:
        log.warning("a device command is not understood", why=str(error)[:200])
        return
    asked: list[tuple[Action, dict[str, Any]]] = []
    match wanted.get("Control/Pause"):
        case bool(pause):
            asked.append((Action.PAUSE if pause else Action.RESUME, {}))
        case None:  # not named, or null: no line starts because somebody says nothing
            pass
        case other:
            log.warning("Control/Pause is a Boolean", given=repr(other)[:80])
    if wanted.get("Control/ChangeOver"):
        asked.append((Action.CHANGE_OVER, {"recipe": str(wanted["Control/ChangeOver"])}))
    for action, args in asked:
        answer = await anyio.to_thread.run_sync(ask, station, config, line, action, args)
        if "error" in answer:
            log.warning("a device command is refused", action=str(action), why=answer["error"])


def _born_of(birth: int, now: int) -> Metric:
    return Metric(now, "bdSeq", DataType.INT64, birth)


def _next_birth(path: Path) -> int:
    """The birth's number, 0 to 255, another one for each connection (Sparkplug 3.0, 6.4.17)."""
    try:
        birth = (int(path.read_text()) + 1) % 256
    except (OSError, ValueError):
        birth = 0
    try:
        path.write_text(str(birth))
    except OSError as error:  # a full disk: the next one would be the same again
        log.error("the birth's number is not kept", file=str(path), why=str(error))
        return int(time.time()) % 256
    return birth


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
