"""The web process: ``python -m inspector.web.process STATION RUN``. A station file enters, pages
are served until SIGTERM. Started by ``inspector/processes.py``; imports nothing of the line.
"""

from __future__ import annotations

import asyncio
import ipaddress
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from inspector import logs
from inspector.bus import run_dir
from inspector.config import Station, Web, load_station
from inspector.serving import serve
from inspector.web.app import create_app


def main(station_path: Path, run: Path | None = None) -> None:
    """Serve the pages of the station in ``station_path``; its sockets are in ``run``.

    The address is logged and written to ``<run>/web.url``: with ``port: 0`` it is known only then.
    Raises ``ConfigError``, or ``OSError`` when the port is taken.
    """
    station = load_station(station_path)
    run = run or run_dir(station.data)
    if station.web is None:
        return
    asyncio.run(serve_pages(station, station.web, run, station_path))


async def serve_pages(station: Station, web: Web, run: Path, file: Path) -> None:
    """Serve until cancelled or told to end by a signal."""
    app = create_app(station, run, file)
    await serve(
        app, "web", web, run,
        ws="websockets-sansio",
        ws_per_message_deflate=False,  # deflating JPEGs costs four times the CPU and gains nothing
        ws_max_size=4096,
        proxy_headers=bool(web.proxies),
        forwarded_allow_ips=[*_both_ways(web.proxies)],
    )  # fmt: skip


def _both_ways(networks: Iterable[str]) -> Iterator[str]:
    """Networks as a socket for IPv4 names them, and one for both internets."""
    for network in map(ipaddress.ip_network, networks):
        yield str(network)
        if network.version == 4:
            yield f"::ffff:{network.network_address}/{96 + network.prefixlen}"


if __name__ == "__main__":
    run = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    logs.run("web", lambda: main(Path(sys.argv[1]), run))
