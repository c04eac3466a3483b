"""The plant process: ``python -m inspector.plant.process STATION RUN``. A station file enters, the
MES is answered until SIGTERM. Started by ``inspector/processes.py``; imports nothing of the line.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from pathlib import Path

import structlog
import uvicorn

from inspector.beat import Beat
from inspector.bus import run_dir
from inspector.config import Plant, Station, load_station
from inspector.logs import configure
from inspector.logs import run as run_process
from inspector.plant.app import create_app
from inspector.plant.desk import publish

log = structlog.get_logger()

KEEP_ALIVE_S = 75
"""An MES asks a few times a minute, and must not find its connection gone when it does."""
CONNECTIONS_MAX = 512
"""Half of the files that a process may open; what is over is told 503 at once."""
SWITCH_S = 1e-3
"""A thread that reads a page of parts must not keep a reject waiting for Python's lock; the
default is 5 ms."""


def main(station_path: Path, run: Path | None = None) -> None:
    """Answer the MES for the station in ``station_path``; its sockets are in ``run``.

    The address is logged and written to ``<run>/plant.url``: with ``port: 0`` it is known only
    then. Raises ``ConfigError``, ``StoreError``, or ``OSError`` when the port is taken.
    """
    configure("plant")
    station = load_station(station_path)
    run = run or run_dir(station.data)
    if station.plant is None:
        return
    sys.setswitchinterval(SWITCH_S)
    asyncio.run(serve(station, station.plant, run))


async def serve(station: Station, plant: Plant, run: Path) -> None:
    """Serve until cancelled or told to end by a signal."""
    listening = _listen(plant.host, plant.port)
    host, port = listening.getsockname()[:2]
    scheme = "https" if plant.certificate else "http"
    url = f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(station, run),
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_graceful_shutdown=1,
            ssl_certfile=plant.certificate,
            ssl_keyfile=plant.private_key,
        )
    )
    # What is loaded by now stays: a full collection would walk all of it, for 30 ms.
    gc.collect()
    gc.freeze()
    publish(run / "plant.url", url)
    beating = asyncio.create_task(_beat(Beat(run / "plant.beat")))
    log.info("serving the MES", url=url)
    try:
        await server.serve(sockets=[listening])
    finally:
        beating.cancel()
        listening.close()


async def _beat(beat: Beat) -> None:
    while True:
        beat.beat()
        await asyncio.sleep(0.5)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, because asyncio turns Nagle's algorithm off for such sockets only: with it an
    # answer's second packet waits 40 ms for the client to acknowledge the first.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise OSError(
            error.errno, f"{host}:{port} cannot be listened on: {error.strerror}"
        ) from None
    return listening


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    run_process("plant", lambda: main(*given))
