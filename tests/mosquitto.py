"""A real broker of another make than the station's client; a listener that keeps everything."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from waiting import until

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
NEEDED = pytest.mark.skipif(MOSQUITTO is None, reason="MOSQUITTO MISSING: apt install mosquitto")
"""Of tests that talk to it."""


class Ear:
    """A listener that keeps everything."""

    def __init__(self, port: int, *topics: str) -> None:
        self.heard: list[paho.MQTTMessage] = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda client, data, message: self.heard.append(message)
        self._client.connect("127.0.0.1", port)
        for topic in topics:
            self._client.subscribe(topic, qos=1)
        self._client.loop_start()

    def on(self, topic: str) -> list[Any]:
        """JSON bodies heard on a topic."""
        return [json.loads(m.payload) for m in list(self.heard) if m.topic == topic]

    def raw(self, topic: str) -> list[bytes]:
        return [bytes(m.payload) for m in list(self.heard) if m.topic == topic]

    def say(self, topic: str, payload: bytes | str, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(5)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """The broker's port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    file = folder / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen([str(MOSQUITTO), "-c", str(file)], stderr=subprocess.DEVNULL)

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(listens)
    yield port
    process.terminate()
    process.wait(10)
