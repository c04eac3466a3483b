"""How fast a station's backlog drains into a centre on this machine.

Enters: a folder, a database URL. Leaves: figures. The hub runs in this process, the station's sync
in another, a real socket between them; the ledger is written before the clock starts. ``training
hub bench`` and tests import this.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvicorn

from inspector.config import Sync
from inspector.store import LineLedger, signing_key
from inspector.store.bench import sample_gate, sample_verdict
from inspector.sync.centre import Link
from inspector.sync.enrol import enrol, enrolled
from inspector.sync.rounds import Rounds
from training.hub.app import create_app
from training.hub.enrolment import make_token
from training.hub.hub import Hub, open_hub


def bench_ingest(folder: Path, parts: int = 100_000, database: str = "") -> dict[str, Any]:
    """Drains so many verdicts and their gate decisions into a new centre.

    Returns:
        ``verdicts_per_s`` and ``records_per_s`` from the first request to the last receipt,
        ``hub_cpu_us`` and ``station_cpu_us`` per verdict, ``bytes_per_verdict`` on the wire,
        ``index_bytes_per_verdict`` (SQLite).
    """
    data = folder / "station"
    fill(data, "bench", parts)
    hub = open_hub(folder / "hub", database)
    try:
        with listening(hub) as url:
            with hub.engine.begin() as connection:
                token = make_token(connection, hub.key, "bench", hub.utc_ns())
            station: Any = SimpleNamespace(data=data, station="bench", site="", line="")
            enrol(station, url, token, None)
            cpu = time.process_time()
            done = json.loads(
                subprocess.run(
                    [sys.executable, "-m", "training.hub.bench", str(data), url],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            )
            cpu = time.process_time() - cpu
    finally:
        hub.close()
    seconds = done["seconds"]
    segments = sum(
        path.stat().st_size for path in (folder / "hub" / "blobs").rglob("*") if path.is_file()
    )
    index = folder / "hub" / "hub.db"
    return {
        "parts": parts,
        "database": hub.engine.dialect.name,
        "seconds": round(seconds, 3),
        "verdicts_per_s": round(parts / seconds),
        "records_per_s": round(done["records"] / seconds),
        "hub_cpu_us": round(cpu / parts * 1e6, 1),
        "station_cpu_us": round(done["cpu"] / parts * 1e6, 1),
        "bytes_per_verdict": round(segments / parts, 1),
        "index_bytes_per_verdict": round(index.stat().st_size / parts) if index.exists() else None,
    }


def fill(data: Path, station: str, parts: int) -> None:
    """A ledger of so many parts with their gate decisions, one in 50 a reject."""
    with LineLedger.open(data, station=station) as ledger:
        for number in range(1, parts + 1):
            verdict = sample_verdict(number)
            ledger.add_verdict(verdict)
            ledger.add_gate(sample_gate(verdict))
            if number % 500 == 0:
                ledger.commit()


@contextmanager
def listening(hub: Hub) -> Iterator[str]:
    """The hub behind a socket of this machine, in a thread; gives its address."""
    server = uvicorn.Server(
        uvicorn.Config(create_app(hub), port=0, log_config=None, access_log=False, ws="none")
    )
    thread = threading.Thread(target=server.run, name="hub")
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def drain(data: Path, url: str) -> dict[str, float]:
    """One station's rounds until it owes nothing."""
    centre = enrolled(data)
    assert centre is not None
    key = signing_key(data)
    link = Link(centre, "bench", key)
    plan = Sync.model_validate({"hub": url, "cpu_share": 1.0})
    rounds = Rounds(data, "bench", plan, centre, link, key)
    cpu, start, records = time.process_time(), time.perf_counter(), 0
    while True:
        done = rounds.round()
        records += done.sent["line"]
        if not any(done.behind.values()) or done.troubles:
            break
    seconds = time.perf_counter() - start
    rounds.close()
    link.close()
    return {"seconds": seconds, "records": records, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    print(json.dumps(drain(Path(sys.argv[1]), sys.argv[2])))
