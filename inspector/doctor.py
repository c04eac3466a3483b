"""What this machine has and lacks for a station: each finding with how to mend it.

Only the command line imports this.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement


class Finding(NamedTuple):
    """One row of the examination."""

    what: str
    ok: bool
    needed: bool
    """Whether a station cannot run without it."""
    found: str
    mend: str


def examine() -> list[dict[str, object]]:
    """Every finding, as JSON-able rows ``{what, ok, needed, found, mend}``."""
    return [finding._asdict() for check in _CHECKS for finding in check()]


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= (3, 11)
    yield Finding("python", ok, True, version, "" if ok else "install Python 3.11+")


def _packages() -> Iterator[Finding]:
    for asked in map(Requirement, importlib.metadata.requires("inspector") or ()):
        if asked.marker is not None and not asked.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(asked.name)
            ok = asked.specifier.contains(found, prereleases=True)
        except importlib.metadata.PackageNotFoundError:
            found, ok = "missing", False
        yield Finding(asked.name, ok, True, found, "" if ok else f"pip install '{asked}'")


def _producer() -> Iterator[Finding]:
    from inspector.cameras.producers import ProducerError, virtual_producer

    try:
        found, mend = str(virtual_producer()), ""
    except ProducerError as error:
        found, mend = "not built", f"{error}; until then the demo uses the folder camera"
    yield Finding("virtual GenTL producer", not mend, False, found, mend)


def _gentl_path() -> Iterator[Finding]:
    folders = [f for f in os.environ.get("GENICAM_GENTL64_PATH", "").split(os.pathsep) if f]
    found = [str(p) for folder in folders for p in sorted(Path(folder).glob("*.cti"))]
    mend = "install your camera maker's GenTL producer, or name it in the station file"
    yield Finding(
        "GenTL producers of cameras", bool(found), False,
        ", ".join(found) or "none on GENICAM_GENTL64_PATH", "" if found else mend,
    )  # fmt: skip


def _clock() -> Iterator[Finding]:
    from inspector.line.clock import UtcClock

    synced = UtcClock(trusted=False).synced(0)
    mend = "" if synced else "run chrony or ptp4l; until then rules about dates give errors"
    yield Finding("UTC synchronised", synced, False, "yes" if synced else "no", mend)


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(Path.cwd()).free // 2**20
    mend = "" if free > 2048 else "2 GiB or more: pictures and the ledger grow"
    yield Finding("free disk here", not mend, False, f"{free} MiB", mend)


def _shared_memory() -> Iterator[Finding]:
    shm = Path("/dev/shm")
    free = shutil.disk_usage(shm).free // 2**20 if shm.is_dir() else 0
    mend = "" if free > 128 else "mount /dev/shm with 128 MiB or more: the frame rings live there"
    yield Finding("shared memory", free > 128, True, f"{free} MiB", mend)


def _cores() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    mend = "" if cores >= 2 else "2 or more: models and the line share them"
    yield Finding("processor cores", not mend, False, str(cores), mend)


_CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python,
    _packages,
    _producer,
    _gentl_path,
    _clock,
    _disk,
    _shared_memory,
    _cores,
)
