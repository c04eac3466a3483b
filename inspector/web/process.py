"""The web process: ``python -m inspector.web.process STATION RUN``. A station file enters, pages
are served until SIGTERM. Started by ``inspector/processes.py``; imports nothing of the line.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import structlog
import uvicorn

from inspector import logs
from inspector.beat import Beat
from inspector.bus import run_dir
from inspector.config import Station, load_station
from inspector.web.app import create_app

log = structlog.get_logger()


def main(station_path: Path, run: Path | None = None) -> None:
    """Serve the pages of the station in ``station_path``; its sockets are in ``run``.

    The address is logged and written to ``<run>/web.url``: with ``port: 0`` it is known only then.
    Raises ``ConfigError``, or ``OSError`` when the port is taken.
    """
    station = load_station(station_path)
    run = run or run_dir(station.data)
    if station.web is None:
        return
    asyncio.run(serve(station, run, station_path))


async def serve(station: Station, run: Path, file: Path | None = None) -> None:
    """Serve until cancelled or told to end by a signal."""
    assert station.web is not None
    listening = _listen(station.web.host, station.web.port)
    host, port = listening.getsockname()[:2]
    scheme = "https" if station.web.certificate else "http"
    url = f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(station, run, file),
            ws="websockets-sansio",
            # Deflating JPEGs costs four times the CPU and gains nothing.
            ws_per_message_deflate=False,
            ws_max_size=4096,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
            ssl_certfile=station.web.certificate,
            ssl_keyfile=station.web.private_key,
        )
    )
    draft = run / "web.url.new"
    draft.write_text(url)
    draft.rename(run / "web.url")
    beating = asyncio.create_task(_beat(Beat(run / "web.beat")))
    log.info("serving", url=url)
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
    # named as TCP: asyncio turns Nagle's algorithm (40 ms per answer) off for such sockets only
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
    run = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    logs.run("web", lambda: main(Path(sys.argv[1]), run))
