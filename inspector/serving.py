"""An application behind a socket, until a signal: the pages and the MES's interface.

Enters: an ASGI application, where it is to listen, the run directory. Leaves: its address in
``<run>/<name>.url`` (with ``port: 0`` it is known only then), signs of life, answers. Web, plant
and the centre import this.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from inspector.beat import Beat
from inspector.bus import publish
from inspector.config import Served

log = structlog.get_logger()


async def serve(app: ASGIApp, name: str, plan: Served, run: Path, **more: Any) -> None:
    """Serve until cancelled or told to end by a signal; ``more`` is uvicorn's. Raises ``OSError``
    when the port is taken."""
    listening = listen(plan.host, plan.port)
    host, port = listening.getsockname()[:2]
    scheme = "https" if plan.certificate else "http"
    url = f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            ssl_certfile=plan.certificate,
            ssl_keyfile=plan.private_key,
            **{"proxy_headers": False} | more,
        )
    )
    publish(run / f"{name}.url", url)
    beating = asyncio.create_task(Beat(run / f"{name}.beat").go_on())
    log.info("serving", url=url)
    try:
        await server.serve(sockets=[listening])
    finally:
        beating.cancel()
        listening.close()


def listen(host: str, port: int, *, backlog: int = 128, shared: bool = False) -> socket.socket:
    """A socket that listens there; ``shared``: with those of other processes of ours.

    Raises:
        OSError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, because asyncio turns Nagle's algorithm off for such sockets only: with it an
    # answer's second packet waits 40 ms for the client to acknowledge the first.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listening.bind((host, port))
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        raise OSError(
            error.errno, f"{host}:{port} cannot be listened on: {error.strerror}"
        ) from None
    return listening
