"""What the plain and the Sparkplug side of MQTT share: the broker, and a place in the ledger.

Enters: the station file's ``mqtt`` section. Leaves: a client, and a cursor that outlives a restart,
so that what happened while the broker was away is told when it is back. ``mqtt.py`` and
``sparkplug.py`` use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiomqtt
import anyio.to_thread
import structlog

from inspector.bus import BusError, publish
from inspector.config import Mqtt, Station
from inspector.identity import Action, IdentityError, Users
from inspector.plant.desk import LOOK_S, Line
from inspector.store.records import Record

log = structlog.get_logger()

KEEPALIVE_S = 10
"""A broker that says nothing for half as long again is gone."""
LEAVE_S = 1.0
"""How long the broker may take to hear that somebody goes."""


class Cursor:
    """How far one listener has been told of the line's ledger."""

    def __init__(self, path: Path) -> None:
        self._path, self._why = path, ""
        self.told: int | None = None
        """None before the first: it begins with what is new."""
        try:
            self.told = int(json.loads(path.read_text())["line"])
        except (OSError, ValueError, KeyError, TypeError):
            self.told = None

    async def follow(self, line: Line) -> AsyncIterator[list[tuple[int, Record]]]:
        """What is recorded from there on, by positions: a portion at a time, none where nothing is
        new. It counts as told once the next is asked for; a crash before tells some of it twice."""
        while True:
            records, upto = await anyio.to_thread.run_sync(line.recorded, self.told)
            yield records
            if upto != self.told:
                self._keep(upto)
            if not records:
                await asyncio.sleep(LOOK_S)

    def _keep(self, position: int) -> None:
        self.told = position
        try:
            publish(self._path, json.dumps({"line": position}))
            self._why = ""
        except OSError as error:  # a full disk is told too: it must not end the telling
            if str(error) != self._why:
                self._why = str(error)
                log.error("how far was told is not kept", file=str(self._path), why=self._why)


def connect(config: Mqtt, name: str, will: aiomqtt.Will) -> aiomqtt.Client:
    """A client of the broker, to be entered. ``ValueError`` for a file that cannot be read."""
    more: dict[str, Any] = {}
    if config.user:
        more["username"] = config.user
    if config.password_file is not None:
        try:
            more["password"] = config.password_file.read_text().strip()
        except OSError as error:
            raise ValueError(
                f"scada.mqtt.password_file: {config.password_file}: {error.strerror}"
            ) from None
    if config.ca is not None:
        try:
            more["tls_context"] = ssl.create_default_context(cafile=str(config.ca))
        except OSError as error:
            raise ValueError(f"scada.mqtt.ca: {config.ca}: {error}") from None
    return aiomqtt.Client(
        config.host, config.port, identifier=name, will=will, keepalive=KEEPALIVE_S, **more
    )


async def take_leave(
    client: aiomqtt.Client, topic: str, payload: bytes, *, retain: bool = False
) -> None:
    """Say what the will would have said: a broker forgets the will of whoever leaves in order."""
    with contextlib.suppress(aiomqtt.MqttError):  # it is gone: then the will is told
        await client.publish(topic, payload, qos=1, retain=retain, timeout=LEAVE_S)


def ask(
    station: Station, config: Mqtt, line: Line, action: Action, args: Mapping[str, Any]
) -> dict[str, Any]:
    """What the line says to a command from the broker."""
    try:
        who = Users(station.data).find(config.obeys) if config.obeys else None
        if who is None:
            return {"error": f"the station has no user {config.obeys!r} to obey in the name of"}
        answer = line.ask(action, args, who)
    except (IdentityError, BusError) as error:
        return {"error": str(error)}
    return {"result": dict(answer.body)} if answer.ok else {"error": answer.error}
