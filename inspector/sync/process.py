"""The sync process: ``python -m inspector.sync.process STATION RUN``. A station file enters, the
centre is kept up to date until SIGTERM. Started by ``inspector/processes.py``; it runs with the
lowest priority and within a share of a core, so that the line does not notice.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from inspector import __version__
from inspector.beat import Beat, Ending
from inspector.bus import BusError, give, run_dir
from inspector.config import ConfigError, Station, Sync, load_station, read_yaml
from inspector.display import AlarmCode
from inspector.identity import Action, Principal, Role
from inspector.logs import run as run_process
from inspector.store import StoreError, retain, signing_key
from inspector.sync.centre import Link
from inspector.sync.choose import Chooser, Novelty
from inspector.sync.classes import Threshold
from inspector.sync.enrol import Away, SyncError, enrolled, shown_by
from inspector.sync.memory import Memory
from inspector.sync.pace import Pace
from inspector.sync.rounds import PRINCIPAL, Rounds

log = structlog.get_logger()

NICE = 15
SYSTEM = Principal(PRINCIPAL, frozenset({Role.SYSTEM}))


def main(station_path: Path, run: Path | None = None) -> None:
    """Keep the centre up to date for the station in ``station_path``.

    Raises ``ConfigError``, ``StoreError`` or ``SyncError`` when that cannot begin.
    """
    station = load_station(station_path)
    plan = station.sync
    if plan is None:
        return
    run = run or run_dir(station.data)
    with suppress(OSError):
        os.nice(NICE)
    ending = Ending()
    beat = Beat(run / "sync.beat")
    told = _Told(run)
    with sole(run):
        loop(station, plan, ending, beat.beat, told.announce)


@contextmanager
def sole(run: Path) -> Iterator[None]:
    """One sync at a time on one station.

    Raises:
        SyncError: another one runs.
    """
    lock = os.open(run / "sync.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SyncError("the station's sync process runs and sends by itself") from error
        yield
    finally:
        os.close(lock)


def loop(
    station: Station,
    plan: Sync,
    ending: Ending | threading.Event,
    beat: Callable[[], None],
    announce: Callable[[str], None],
) -> None:
    """Rounds until ``ending``; what goes wrong is tried again, later and later."""
    pace = Pace(plan.kbit_s, plan.cpu_share, beat=beat, sleep=ending.wait)
    failures = 0
    retained = float("-inf")
    rounds: Rounds | None = None
    link: Link | None = None
    try:
        while not ending.is_set():
            beat()
            wait = plan.every_s
            try:
                if rounds is None or link is None:
                    rounds, link = open_rounds(station, plan, pace, announce)
                done = rounds.round(ending.is_set)
                announce("; ".join(done.troubles))
                failures = 0
                if done.owes and not done.troubles:
                    wait = 0.0
            except (SyncError, StoreError) as error:
                wait = min(plan.retry_s, plan.every_s * 2.0 ** min(failures, 16))
                failures += 1
                log.warning("not synchronised", why=str(error), again_in_s=wait)
                if rounds is not None:
                    rounds.away(str(error))
                if not isinstance(error, Away):
                    announce(str(error))
                    if rounds and link and _enrolled_anew(station, link):
                        rounds.close()
                        link.close()
                        rounds = link = None
            if plan.retain_every_s and time.monotonic() - retained >= plan.retain_every_s:
                retained = time.monotonic()
                _retain(station, beat)
            pace.wait(wait)
            if ending.is_set():
                break
    finally:
        if rounds is not None:
            rounds.close()
        if link is not None:
            link.close()


def open_rounds(
    station: Station, plan: Sync, pace: Pace, announce: Callable[[str], None]
) -> tuple[Rounds, Link]:
    """What the rounds of a station need.

    Raises:
        SyncError: it has not enrolled, or with another centre than the station file names.
    """
    centre = enrolled(station.data)
    if centre is None:
        raise SyncError(
            f"station {station.station} has not enrolled with a centre; run: inspector enrol"
            " STATION --hub URL --token TOKEN"
        )
    if centre.hub != plan.hub:
        # another address of the same centre: its key is what counts
        centre = type(centre)(plan.hub, centre.key)
    key = signing_key(station.data)
    link = Link(centre, station.station, key, plan.ca, pace, shown_by(plan))
    memory = Memory(station.data)
    chooser = Chooser(
        station.data,
        station.station,
        plan.samples,
        memory,
        thresholds(station.recipes),
        _novelty(station, plan),
    )
    rounds = Rounds(
        station.data,
        station.station,
        plan,
        centre,
        link,
        key,
        memory=memory,
        pace=pace,
        chooser=chooser,
        announce=announce,
        report=lambda: {"software": __version__, "site": station.site, "line": station.line},
        zone=station.calendar.zone,
    )
    return rounds, link


def _enrolled_anew(station: Station, link: Link) -> bool:
    """Whether the station has become another centre's since, at the same address too."""
    try:
        known = enrolled(station.data)
    except SyncError:
        return False
    return known is not None and known.key != link.centre.key


def _novelty(station: Station, plan: Sync) -> Novelty | None:
    if not plan.samples.novelty or not plan.samples.per_hour:
        return None
    from inspector.sync.novelty import Novelties  # a network and its runtime: 90 MB of memory

    return Novelties(station.models)


def thresholds(recipes: list[Path]) -> Threshold:
    """The thresholds of these recipes' tools, by tool and label."""
    known: dict[tuple[str, str], float] = {}
    for path in recipes:
        try:
            document: Any = read_yaml(path)
        except (ConfigError, OSError):
            continue
        document = document if isinstance(document, dict) else {}
        for tool in document.get("tools") or ():
            params = tool.get("params") if isinstance(tool, dict) else None
            if not isinstance(params, dict):
                continue
            name = str(tool.get("name"))
            if isinstance(params.get("threshold"), int | float):
                known[name, ""] = float(params["threshold"])
            if isinstance(params.get("thresholds"), dict):
                for label, limit in params["thresholds"].items():
                    if isinstance(limit, int | float):
                        known[name, str(label)] = float(limit)
    return lambda tool, label: known.get((tool, label), known.get((tool, "")))


def _retain(station: Station, beat: Callable[[], None]) -> None:
    """Images go by the station's rules; in a thread, so that the sign of life goes on."""

    def work() -> None:
        try:
            done = retain(station.data, station.store.retention, PRINCIPAL)
            if done.files:
                log.info("images let go", files=done.files, bytes=done.bytes)
        except StoreError as error:
            log.warning("images not let go", why=str(error))

    thread = threading.Thread(target=work, name="retention")
    thread.start()
    while thread.is_alive():
        beat()
        thread.join(0.5)


class _Told:
    """What the line's screen was told; it is told again when that changes."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._shown = ""

    def announce(self, detail: str) -> None:
        if detail == self._shown:
            return
        try:
            args = {"code": AlarmCode.CENTRE, "on": bool(detail), "detail": detail[:200]}
            if give(self._run, Action.ANNOUNCE, args, SYSTEM).ok:
                self._shown = detail
        except (BusError, OSError) as error:  # no line now: it is told with the next round
            log.warning("the line was not told", why=str(error))


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    run_process("sync", lambda: main(*given))
