"""The SCADA process: ``python -m inspector.plant.scada STATION RUN``. A station file enters; OPC
UA, MQTT and Modbus clients are served until SIGTERM. ``inspector/processes.py`` starts it.

A process of its own, so that no subscription of a SCADA system makes the MES wait. Every service is
tried again for ever, with bounded back-off, while the others go on.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio.to_thread
import structlog

from inspector import logs
from inspector.beat import Beat
from inspector.bus import publish, run_dir
from inspector.config import Scada, Station, load_station
from inspector.part import Verdict
from inspector.plant.desk import LOOK_S, Line
from inspector.plant.tasks import end, for_ever

log = structlog.get_logger()

SEE_OUT_S = 2.0
"""How often it is looked whether the user of an OPC UA session is still one."""


def main(station_path: Path, run: Path | None = None) -> None:
    """Serve the station in ``station_path``; its sockets are in ``run``. Raises ``ConfigError``."""
    station = load_station(station_path)
    run = run or run_dir(station.data)
    if station.scada is None:
        return
    asyncio.run(serve(station, station.scada, run))


async def serve(station: Station, scada: Scada, run: Path) -> None:
    """Serve until a signal, or until cancelled."""
    line = Line(station, run)
    line.heartbeat.start()
    services: list[Callable[[], Awaitable[None]]] = []
    if scada.opcua is not None:
        services.append(partial(serve_opcua, station, scada, line, run))
    if scada.mqtt is not None:
        from inspector.plant.mqtt import dialects

        services += dialects(station, scada, line)
    if scada.poll is not None:
        from inspector.plant.poll import serve_poll

        services.append(partial(serve_poll, station, scada, line, run))
    if any(tag.node for tag in scada.tags):
        from inspector.plant.tagclient import by_server, serve_opcua_tags

        # One service each: a server that is away takes the values of no other with it.
        for url, tags in by_server(scada):
            services.append(partial(serve_opcua_tags, station, url, tags))
    tasks = [asyncio.create_task(for_ever(service)) for service in services]
    tasks.append(asyncio.create_task(Beat(run / "scada.beat").go_on()))
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    try:
        await ending.wait()
    finally:
        await end(*tasks)
        await line.heartbeat.stop()
        line.close()


async def serve_opcua(station: Station, scada: Scada, line: Line, run: Path) -> None:
    """One OPC UA server, until cancelled. Raises what keeps it from listening."""
    from inspector.plant.opcua import VisionServer
    from inspector.plant.visionmethods import VisionMethods

    assert scada.opcua is not None
    server = VisionServer(station, scada.opcua)
    methods = VisionMethods(server, line)
    await server.start()
    try:
        await methods.link()
        publish(run / "opcua.url", server.url)
        at: int | None = None
        seen_out = time.monotonic()
        while True:
            if time.monotonic() - seen_out > SEE_OUT_S:
                await server.see_out()
                seen_out = time.monotonic()
            await server.heard(line.heartbeat.body, line.heartbeat.alive)
            records, at = await anyio.to_thread.run_sync(line.recorded, at)
            for _, record in records:
                if isinstance(record, Verdict):
                    await server.verdict(record)
                    await methods.judged(record)
            if not records:
                await asyncio.sleep(LOOK_S)
    finally:
        await server.stop()


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    logs.run("scada", lambda: main(*given))
