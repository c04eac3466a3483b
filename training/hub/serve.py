"""A hub on its socket: ``training hub serve``.

Enters: a `Hub`, an address, perhaps a certificate. Leaves: a service until SIGTERM. Several may
run side by side: on several machines behind a balancer, or ``--workers`` here.
"""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from inspector.serving import listen
from training.hub.app import create_app
from training.hub.database import HubError
from training.hub.hub import Hub

log = structlog.get_logger()

KEEP_ALIVE_S = 75
CONNECTIONS_MAX = 4096


def serve(
    hub: Hub,
    host: str,
    port: int,
    *,
    certificate: Path | None = None,
    private_key: Path | None = None,
    client_ca: Path | None = None,
    address_file: Path | None = None,
) -> None:
    """Serves until a signal ends it. ``address_file`` gets the address, for port 0; with
    ``client_ca`` nobody connects without a certificate under it, before a word is exchanged.

    Raises:
        HubError: the address is taken, a certificate is of no use, or plain HTTP would leave this
            machine.
    """
    check(host, certificate, private_key, client_ca)
    try:
        listening = listen(host, port, backlog=512, shared=bool(port))
    except OSError as error:
        raise HubError(error.strerror) from error
    scheme = "https" if certificate else "http"
    bound = listening.getsockname()[1]
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{bound}"
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(hub),
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_graceful_shutdown=5,
            ssl_certfile=certificate,
            ssl_keyfile=private_key,
            ssl_ca_certs=str(client_ca) if client_ca else None,
            ssl_cert_reqs=ssl.CERT_REQUIRED if client_ca else ssl.CERT_NONE,
        )
    )
    if address_file is not None:
        fresh = address_file.with_name(f".{address_file.name}.new")
        fresh.write_text(url)
        fresh.replace(address_file)
    log.info("serving", url=url, database=hub.engine.dialect.name)
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
        if address_file is not None:
            with suppress(OSError):
                address_file.unlink()


def check(
    host: str, certificate: Path | None, private_key: Path | None, client_ca: Path | None
) -> None:
    """Returns if a hub may serve so. Raises ``HubError``."""
    if certificate is None:
        if private_key is not None or client_ca is not None:
            raise HubError("--private-key and --client-ca need --certificate: there is no TLS")
        if host not in ("127.0.0.1", "localhost", "::1"):
            raise HubError(
                f"{host}: without --certificate and --private-key the centre listens on 127.0.0.1"
                " only, such as behind a proxy that does TLS"
            )
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, private_key)
    except OSError as error:
        raise HubError(
            f"{certificate} and {private_key or 'the same file'}: no certificate in PEM and its"
            f" key ({error.strerror or error})"
        ) from error
    try:
        if client_ca is not None:
            context.load_verify_locations(client_ca)
    except OSError as error:
        raise HubError(
            f"{client_ca}: no certificate in PEM to know others by ({error.strerror or error})"
        ) from error


def serve_many(workers: int, arguments: list[str], address_file: Path | None = None) -> int:
    """So many hubs of the same arguments, each a process of its own; ends when one does. The first
    of them says the address, which is that of all."""
    children: list[subprocess.Popen[Any]] = []

    def end(*_: object) -> None:
        for child in children:
            child.terminate()

    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, end)
    for number in range(workers):
        tells = [f"--address-file={address_file}"] if address_file and not number else []
        command = [sys.executable, "-m", "training.cli", "hub", "serve", *arguments, *tells]
        children.append(subprocess.Popen(command))
    pid, status = os.wait()
    end()
    for child in children:
        if child.pid != pid:
            child.wait()
    return os.waitstatus_to_exitcode(status)
