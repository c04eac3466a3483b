"""The running station: one table of processes, and the supervisor that keeps them alive.

A station file enters; cameras, line and web run until a signal ends them. Only the command line
imports this. Each process is a program of its own (``python -m MODULE STATION RUN …``): what dies
is started again after a bounded back-off, what stops beating is killed and started again, and
while the line is away its heartbeat is, so the PLC rejects (I2). Files that a station cannot run
with are refused before anything starts; what goes wrong later is tried again for ever.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from inspector import logs
from inspector.beat import Beat
from inspector.bus import run_dir
from inspector.config import Station, load_station
from inspector.line.output import let_fall
from inspector.logs import REFUSED
from inspector.plant.places import forget
from inspector.store import StoreError, shorten_wal
from inspector.store.files import refuse_stranger

log = structlog.get_logger()

BACK_OFF_S = (0.0, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits before the 1st, 2nd … restart; the last one repeats. Thirty good seconds start anew."""
GOOD_S = 30.0
REFUSED_S = 1.0
"""The least wait before a process is tried again that said why it cannot run."""
START_S = 60.0
"""A process must beat for the first time within this; model loading on a slow disk is in it. On
two cores at load 20 a start took more than 20 s, and killing it only made the next one later."""
AWAY_S = 1.0
"""A supervisor that comes round so much later than it meant to blames nobody for it."""
ROUND_S = 1.0
"""How often it comes round where nothing ends and nothing is due. A process that ends wakes it."""
LEAST_S = 0.05
STOP_S = 5.0
ZONES = Path("/usr/share/zoneinfo")
"""Of the system's own library: it takes a zone that it does not know for UTC."""
SHORTEN_S = 2.0
"""How often the ledger's WAL is moved into its database: at 50 parts/s it grows by 0.9 MB/s."""


class CannotRun(Exception):
    """The station's files are not fit to run; ``str()`` says which, where, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Process:
    """One row of the table."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    beat_limit_s: float = 3.0
    """Killed and started again when its loop has not come round for this long."""
    lets_fall: Path | None = None
    """An output of it that would stay high when it is killed."""


def table(station: Station) -> tuple[Process, ...]:
    """Every process of a station, in starting order; they are stopped in the reverse order."""
    output = station.output.path if station.output is not None else None
    # (whether it must run, the process)
    rows: list[tuple[object, Process]] = [
        # ten seconds, because a vendor's producer may search its network that long for a camera
        *(
            (True, Process(f"camera-{c.name}", "inspector.cameras.process", (c.name,), 10.0))
            for c in station.cameras
        ),
        (True, Process("line", "inspector.line.process", beat_limit_s=5.0, lets_fall=output)),
        (station.plant, Process("plant", "inspector.plant.process", beat_limit_s=10.0)),
        # a release that is being proven here judges its parity set between two beats
        (station.releases, Process("releases", "inspector.release.process", beat_limit_s=60.0)),
        (station.scada, Process("scada", "inspector.plant.scada", beat_limit_s=10.0)),
        # a request to the centre may take half a minute and is asked twice at the most
        (station.sync, Process("sync", "inspector.sync.process", beat_limit_s=90.0)),
        # it may read a night's ledger again, in portions, and wait for the line's answers
        (station.quality, Process("quality", "inspector.quality.process", beat_limit_s=30.0)),
        (station.web, Process("web", "inspector.web.process", beat_limit_s=10.0)),
    ]
    return tuple(process for runs, process in rows if runs)


@dataclass(slots=True)
class _Child:
    process: Process
    beat: Beat
    zone: str = ""
    """The time zone by which it knows what day it is; the machine's, where there is none."""
    popen: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    failures: int = 0
    restarts: int = 0


def run(path: Path) -> int:
    """Run the station of ``path`` until SIGINT or SIGTERM.

    Returns the number of restarts that were needed. Raises ``ConfigError`` or ``CannotRun`` before
    anything starts.
    """
    station = load_station(path)
    if refusal := _in_a_child(lambda: _check(station)):
        raise CannotRun(refusal)
    runs = run_dir(station.data)
    alone = sole(station.data)
    logs.keep(logs.folder(runs), "station")
    with contextlib.suppress(OSError):  # a disk that takes nothing keeps it
        forget(station.data, station.scada.mqtt if station.scada else None)
    ending, word = False, os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def hear(number: int, _: object) -> None:
        nonlocal ending
        ending = ending or number != signal.SIGCHLD
        os.eventfd_write(word, 1)

    heard = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
    before = {number: signal.signal(number, hear) for number in heard}
    zone = zone_of(station)
    children = [_Child(p, Beat(runs / f"{p.name}.beat"), zone) for p in table(station)]
    heirs = [heir(c.process.lets_fall) for c in children if c.process.lets_fall is not None]
    # In a thread, and not waited for: a stalled disk must not hold up the watch over the line.
    over = threading.Event()
    threading.Thread(target=_shorten_wal, args=(station.data, over), daemon=True).start()
    due = awake = time.monotonic()
    try:
        while not ending:
            now = time.monotonic()
            awake = awake if now - due < AWAY_S else now
            for child in children:
                _tend(child, path, runs, awake)
            rest_s = _rest_s(children, now, awake)
            due = now + rest_s
            if select.select([word], [], [], rest_s)[0]:
                os.eventfd_read(word)
    finally:
        over.set()
        for child in reversed(children):
            _stop(child)
        for last in heirs:
            with contextlib.suppress(subprocess.TimeoutExpired):
                last.communicate(timeout=STOP_S)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(word)
        os.close(alone)
    return sum(child.restarts for child in children)


def zone_of(station: Station) -> str:
    """The time zone of the station's calendar, where its file names one that this machine knows:
    a machine that counts in UTC would judge dates in Shanghai by yesterday until eight."""
    zone = station.calendar.timezone
    named = "timezone" in station.calendar.model_fields_set
    return zone if named and (ZONES / zone).is_file() else ""


def sole(data: Path) -> int:
    """The lock of a data folder's one station, an open file. A second station would take the
    first one's sockets and signs of life away. Raises ``CannotRun``, or ``StoreError`` where the
    administrator would run another account's station."""
    refuse_stranger(data)
    lock = os.open(run_dir(data) / "station.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise CannotRun(f"{data}: a station already runs on this data; stop it first") from None
    return lock


def _check(station: Station) -> None:
    from inspector.check import check

    check(station)


def _in_a_child(work: Callable[[], None]) -> str:
    """What a room of ours has against ``work``; empty when nothing. In a child of its own, because
    the supervisor stays for months and needs neither models nor what reads them in its memory."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        refusal = b""
        try:
            work()
        except Exception as error:
            ours = type(error).__module__.startswith("inspector.") or isinstance(error, OSError)
            refusal = (str(error) if ours else f"{type(error).__name__}: {error}").encode()
        finally:
            with contextlib.suppress(BaseException):
                os.write(writing, refusal)
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        refusal = pipe.read()
    os.waitpid(child, 0)
    return refusal.decode("utf-8", "replace")


def _shorten_wal(data: Path, over: threading.Event) -> None:
    while not over.wait(SHORTEN_S):
        with contextlib.suppress(StoreError):  # not begun yet, or a disk that fails: the line tells
            shorten_wal(data)


def _tend(child: _Child, path: Path, runs: Path, awake: float) -> None:
    """Start, watch or bury one process. ``awake``: since when we have come round ourselves."""
    now = time.monotonic()
    name = child.process.name
    if child.popen is None:
        if now >= child.due:
            _start(child, path, runs)
        return
    status = child.popen.poll()
    if status is None:
        if _hangs(child, now, awake):
            age = child.beat.age_s()
            log.error("process hangs, killing it", process=name, beat_age_s=age)
            child.popen.kill()
        elif child.failures and now - child.started > GOOD_S:
            child.failures = 0
        return
    _let_fall(child.process)
    wait = BACK_OFF_S[min(child.failures, len(BACK_OFF_S) - 1)]
    if status == REFUSED:
        wait = max(wait, REFUSED_S)
    child.failures += 1
    child.restarts += 1
    child.popen, child.due = None, now + wait
    log.error("process ended, starting it again", process=name, status=status, in_s=wait)


def _hangs(child: _Child, now: float, awake: float) -> bool:
    """Whether a process has been silent for too long, and not only because nobody on this machine
    came round: a virtual machine that is moved, a laptop that slept."""
    return _left_s(child, now, awake) < 0


def _left_s(child: _Child, now: float, awake: float) -> float:
    """How much longer a process may be silent."""
    age = child.beat.age_s()
    if age is None:
        return START_S - (now - child.started)
    return child.process.beat_limit_s - min(age, now - awake)


def _rest_s(children: Iterable[_Child], now: float, awake: float) -> float:
    """How long nothing is to be done, unless a process ends: each time that the supervisor wakes
    costs 0.1 ms, and it used to do so twenty times a second."""
    dues = [c.due - now if c.popen is None else _left_s(c, now, awake) for c in children]
    return min(ROUND_S, max(LEAST_S, min(dues, default=ROUND_S)))


def _start(child: _Child, path: Path, runs: Path) -> None:
    child.beat.clear()
    child.started = time.monotonic()
    process = child.process
    child.popen = subprocess.Popen(
        [sys.executable, "-m", process.module, str(path), str(runs), *process.arguments],
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", logs.KEEP: str(logs.folder(runs))}
        | ({"TZ": child.zone} if child.zone else {}),
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,
    )
    log.info("process started", process=process.name, pid=child.popen.pid)


def _stop(child: _Child) -> None:
    if child.popen is None or child.popen.poll() is not None:
        return
    child.popen.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.popen.wait(STOP_S)
        return
    log.error("process does not end, killing it", process=child.process.name)
    child.popen.kill()
    child.popen.wait()
    _let_fall(child.process)


def _let_fall(process: Process) -> None:
    """A gate that it held open is closed behind it (I2)."""
    if process.lets_fall is not None:
        let_fall(process.lets_fall)


def heir(output: Path) -> subprocess.Popen[bytes]:
    """Who outlives this process, however it ends, and lets ``output`` fall then: whoever kills the
    supervisor kills the line with it, and the gate would stay as open as it was (I2)."""
    # Again and again, because the line may have been about to write when both were killed.
    will = 'trap "" INT TERM; read -r word; for turn in 1 2 3 4; do echo 0 >"$1"; sleep 0.05; done'
    return subprocess.Popen(
        ["sh", "-c", will, "sh", str(output)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def end_with_parent(word: signal.Signals) -> None:
    """Between fork and exec: have the kernel send ``word`` to this process once its parent dies."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, word)


def _die_with_parent() -> None:
    """A killed supervisor must not leave a line behind that writes the ledger beside the next one.

    The terminal's Ctrl-C goes to the supervisor alone, which ends its children in order.
    """
    os.setpgid(0, 0)
    end_with_parent(signal.SIGKILL)
