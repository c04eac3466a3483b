"""A fleet of many stations against one hub on this machine: how much of it a core carries.

Enters: how many stations, how many parts each. Leaves: figures. Every simulated station has its own
key, ledger, token and session, and sends signed segments through a real socket; they are packed
before the clock starts, so that what is measured is the centre. ``training hub simulate`` and
``scripts/fleet`` import this.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from inspector.store.bench import sample_gate, sample_verdict
from inspector.store.checkpoint import FIRST, Checkpoint, digest_of, sign
from inspector.store.entries import Entries
from inspector.store.keys import key_id
from inspector.store.merkle import EMPTY_ROOT, Tree, leaf_hash
from inspector.store.resume import State
from inspector.sync import segment
from inspector.sync.centre import Link, post
from inspector.sync.enrol import Centre, raw_key, sign_enrolment
from training.hub.database import HubError, reading
from training.hub.enrolment import make_token
from training.hub.fleet import fleet
from training.hub.hub import Hub, open_hub

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Simulated:
    """One station: its key, what it will send."""

    name: str
    key: Ed25519PrivateKey
    segments: list[bytes]
    link: Link | None = None


def simulate(
    folder: Path,
    stations: int = 1000,
    parts: int = 200,
    *,
    segments: int = 2,
    senders: int = 8,
    database: str = "",
    progress: Progress = lambda what, done, total: None,
) -> dict[str, Any]:
    """So many stations send so many parts each, in so many segments.

    Returns:
        ``verdicts_per_s``, ``verdicts_per_core_s`` (of the hubs' processor time alone),
        ``hub_memory_mb`` before and after, ``memory_per_station_kb``, ``index_bytes_per_verdict``,
        ``segment_bytes_per_verdict``, ``fleet_page_ms``.
    """
    home = folder / "hub"
    address = folder / "hub.url"
    hub = open_hub(home, database)
    child = _serve(home, database, address)
    try:
        url = _address(child, address)
        before = _memory_kb(child.pid)
        fleet_of = _enrol(hub, url, stations, parts, segments, progress)
        cpu = _cpu_s(child.pid)
        start = time.perf_counter()
        _send(fleet_of, segments, senders, progress)
        seconds = time.perf_counter() - start
        cpu = _cpu_s(child.pid) - cpu
        after = _memory_kb(child.pid)
        for one in fleet_of:
            if one.link is not None:
                one.link.close()
        with reading(hub.engine) as connection:
            asked = time.perf_counter()
            rows = fleet(connection, hub.utc_ns())
            page_ms = 1000 * (time.perf_counter() - asked)
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()
        hub.close()
    total = sum(row.parts for row in rows)
    if total != stations * parts:
        raise HubError(f"{stations * parts} verdicts were sent, {total} are counted")
    sent = sum(len(content) for one in fleet_of for content in one.segments)
    index = home / "hub.db"
    return {
        "stations": stations,
        "verdicts": total,
        "database": hub.engine.dialect.name,
        "seconds": round(seconds, 2),
        "verdicts_per_s": round(total / seconds),
        "verdicts_per_core_s": round(total / cpu),
        "hub_cpu_us": round(cpu / total * 1e6, 1),
        "hub_memory_mb": [round(before / 1024), round(after / 1024)],
        "memory_per_station_kb": round((after - before) / stations, 1),
        "segment_bytes_per_verdict": round(sent / total, 1),
        "index_bytes_per_verdict": round(index.stat().st_size / total) if index.exists() else None,
        "fleet_page_ms": round(page_ms, 1),
    }


def _enrol(
    hub: Hub, url: str, stations: int, parts: int, segments: int, progress: Progress
) -> list[Simulated]:
    made = []
    known = Centre(url, Ed25519PublicKey.from_public_bytes(raw_key(hub.key.public_key())))
    for number in range(stations):
        name, key = f"SIM-{number:05d}", Ed25519PrivateKey.generate()
        with hub.engine.begin() as connection:
            token = make_token(connection, hub.key, "simulate", hub.utc_ns())
        post(
            url,
            None,
            "/api/v1/enrol",
            {
                "token": token,
                "station": name,
                "site": f"site-{number % 10}",
                "line": f"line-{number % 100}",
                "public_key": raw_key(key.public_key()).hex(),
                "signature": sign_enrolment(token, name, key),
            },
        )
        one = Simulated(name, key, _packed(name, key, parts, segments), Link(known, name, key))
        assert one.link is not None
        one.link.state()  # its session is open before the clock starts
        made.append(one)
        progress("enrolling", number + 1, stations)
    return made


def _packed(name: str, key: Ed25519PrivateKey, parts: int, segments: int) -> list[bytes]:
    """A ledger of parts, each with its gate decision, in segments with their checkpoints."""
    entries, tree, packed = Entries(State()), Tree(), []
    previous, sequence = FIRST, 0
    for number in range(segments):
        share = parts // segments + (number < parts % segments)
        for _ in range(share):
            sequence += 1
            verdict = sample_verdict(sequence)
            entries.verdict(verdict)
            entries.gate(sample_gate(verdict))
        records = [body for _, body in entries.take().records]
        first, before = tree.size, tree.root()
        for record in records:
            tree.append(leaf_hash(record))
        signed = sign(
            Checkpoint(
                number=number,
                station=name,
                line_size=tree.size,
                line_root=tree.root(),
                desk_size=0,
                desk_root=EMPTY_ROOT,
                utc_ns=time.time_ns(),
                previous=previous,
                marks_digest=bytes(32),
                key=key_id(key.public_key()),
            ),
            key,
        )
        previous = digest_of(signed.body)
        roots = (before, tree.root())
        packed.append(segment.pack(name, "line", first, records, roots, [signed], key))
    return packed


def _send(fleet_of: list[Simulated], segments: int, senders: int, progress: Progress) -> None:
    done, lock = 0, threading.Lock()

    def send(one: Simulated) -> None:
        nonlocal done
        assert one.link is not None
        for content in one.segments:
            one.link.segment(content)
        with lock:
            done += 1
            progress("sending", done, len(fleet_of))

    with ThreadPoolExecutor(senders) as pool:
        for _ in pool.map(send, fleet_of):
            pass


def _serve(home: Path, database: str, address: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "training.cli", "hub", "serve", f"--home={home}", "--port=0"]
    command += [f"--address-file={address}"]
    command += [f"--database={database}"] if database else []
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})


def _address(child: subprocess.Popen[bytes], path: Path) -> str:
    end = time.monotonic() + 60
    while not path.exists():
        if child.poll() is not None or time.monotonic() > end:
            raise HubError("the hub does not start")
        time.sleep(0.02)
    return path.read_text()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
