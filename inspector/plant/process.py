"""The plant process: ``python -m inspector.plant.process STATION RUN``. A station file enters, the
MES is answered until SIGTERM. Started by ``inspector/processes.py``; imports nothing of the line.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path

from inspector import logs
from inspector.bus import run_dir
from inspector.config import Plant, Station, load_station
from inspector.plant.app import create_app
from inspector.serving import serve

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
    station = load_station(station_path)
    run = run or run_dir(station.data)
    if station.plant is None:
        return
    sys.setswitchinterval(SWITCH_S)
    asyncio.run(serve_mes(station, station.plant, run))


async def serve_mes(station: Station, plant: Plant, run: Path) -> None:
    """Serve until cancelled or told to end by a signal."""
    app = create_app(station, run)
    # What is loaded by now stays: a full collection would walk all of it, for 30 ms.
    gc.collect()
    gc.freeze()
    await serve(
        app, "plant", plant, run,
        ws="none", timeout_keep_alive=KEEP_ALIVE_S, limit_concurrency=CONNECTIONS_MAX,
    )  # fmt: skip


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    logs.run("plant", lambda: main(*given))
