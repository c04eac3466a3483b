"""A station on the virtual line for a while: what the demo, the benches and the fault tests start.

A film set and a rate enter; the world's report, the ledger's counts and what the processes cost
leave. The world process judges; nothing here does. Only the command line and tests import this.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from inspector.bus import Answer, give, run_dir
from inspector.config import load_station
from inspector.identity import Action, Principal
from inspector.part import Outcome
from inspector.processes import end_with_parent
from inspector.virtual.filmset import FilmSet
from inspector.virtual.world import control

CONFIGS = Path(__file__).parent.parent / "station_configs"
PITCH_MM = 50.0
LEAST_GATE_MM = 150.0
AUTOGROUP = Path("/proc/self/autogroup")
"""How nice a session is to others (``man 7 sched``); to be less than nice needs the right to."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class TrialError(Exception):
    """The virtual line did not come up or did not end; ``str()`` names the log and says its end."""


def failed(what: str, log: Path) -> TrialError:
    """``what`` went wrong, with the last line of ``log``, whose folder may be gone in a moment."""
    try:
        last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
    except OSError:
        last = ""
    return TrialError(f"{what}; {log} ends with: {last[:400]}" if last else f"{what}; see {log}")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    films: FilmSet
    folder: Path
    """Made if need be; everything of the trial is in it."""
    rate: float = 20.0
    """Parts per second."""
    parts: int = 0
    """0 is without end."""
    recipes: tuple[Path, ...] = (CONFIGS / "recipes" / "bottle-line.yaml",)
    travel_s: float = 1.0
    """From the trigger eye to the gate."""
    order: str = "film"
    """``film`` or ``shuffled``."""
    seed: int = 1
    page: int | None = None
    """Port of the live page; 0 is any, None is no page."""
    station: dict[str, Any] = field(default_factory=dict)
    """Fields of the station file to replace, by dotted name."""
    world: dict[str, Any] = field(default_factory=dict)
    """Fields of the world file to replace, by dotted name."""
    views: tuple[str, ...] = ("side", "code")

    @property
    def gate_mm(self) -> float:
        """From the trigger eye to the gate: on a slow belt further than ``travel_s``, because the
        gate's own eye stands between them."""
        return max(self.rate * PITCH_MM * self.travel_s, LEAST_GATE_MM)


class Trial:
    """A running pair of world and station, each a process group of its own."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        folder = plan.folder
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self.world_run = folder / "world"
        self.world_run.mkdir(mode=0o700, exist_ok=True)
        self.world: subprocess.Popen[bytes] | None = None
        self.station: subprocess.Popen[bytes] | None = None
        self.station_file = folder / "station.yaml"

    def start(self) -> None:
        """World first, then the station. Raises ``TrialError``."""
        self.start_world()
        self.start_station()

    def start_world(self) -> None:
        """The world alone; its PLC listens when this returns."""
        world_file = self.plan.folder / "world.yaml"
        _write_yaml(world_file, self._world_settings())
        command = [sys.executable, "-m", "inspector.virtual.world", str(world_file), "--json"]
        facts = self.world_run / "world.json"
        facts.unlink(missing_ok=True)
        self.world = self._spawn(command, "world")
        if not wait_for(
            facts.exists, 20.0, lambda: self.world is None or self.world.poll() is None
        ):
            raise failed("the world did not start", self.plan.folder / "world.log")
        self.port = int(json.loads(facts.read_text())["port"])
        _write_yaml(self.station_file, self.station_settings())

    def start_station(self) -> None:
        """The station, by the very command a plant would use."""
        from inspector.virtual.producer import Device, write_devices

        films = self.plan.films.folder
        devices = [
            Device(
                camera.serial, camera.name, films / f"{camera.name}.film", self.world_run / "wire"
            )
            for camera in load_station(self.station_file).cameras
        ]
        listed = write_devices(self.plan.folder / "devices.txt", devices)
        command = [sys.executable, "-m", "inspector", "run", str(self.station_file)]
        self.station = self._spawn(command, "station", {"INSPECTOR_VIRTUAL_DEVICES": str(listed)})

    def report(self) -> dict[str, Any]:
        """The world's newest report; empty before its first."""
        try:
            report: dict[str, Any] = json.loads((self.world_run / "report.json").read_text())
        except (OSError, ValueError):
            return {}
        return report

    def page(self) -> str:
        """Address of the live page, once it is served; else empty."""
        try:
            return (run_dir(self.data) / "web.url").read_text()
        except OSError:
            return ""

    def done(self) -> bool:
        """Whether the last part has left the gate."""
        return bool(self.report().get("state") == "done")

    def act(self, do: str, **arguments: Any) -> None:
        """Something befalls the virtual line now. Raises ``TrialError`` if the world refuses."""
        answer = control(self.world_run, do, **arguments)
        if not answer["ok"]:
            raise TrialError(f"the world does not {do}: {answer['error']}")

    def now(self) -> dict[str, Any]:
        """The world's report as of this moment, where ``report`` may be half a second old."""
        report: dict[str, Any] = control(self.world_run, "report")["report"]
        return report

    def tell(self, action: Action, principal: Principal, **arguments: Any) -> Answer:
        """Give the line a command. Raises ``NoAnswer``."""
        return give(run_dir(self.data), action, arguments, principal, 10.0)

    def log(self) -> str:
        """What the station's processes have said."""
        return (self.plan.folder / "station.log").read_text()

    def stop_station(self) -> None:
        """End the station as a person would (SIGTERM) and wait."""
        _end(self.station)
        self.station = None

    def stop(self) -> dict[str, Any]:
        """End both; the world's final report."""
        self.stop_station()
        _end(self.world)
        self.world = None
        return self.report()

    def pids(self) -> dict[str, int]:
        """The station's processes: ``station`` is the supervisor, the others by module."""
        if self.station is None:
            return {}
        found = {"station": self.station.pid}
        for pid in _children(self.station.pid):
            words = _cmdline(pid)
            name = words[words.index("-m") + 1] if "-m" in words[:-1] else str(pid)
            if name == "inspector":
                continue  # a copy of the supervisor, about to become one of them
            name = name.split(".")[1] if "." in name else name
            found[f"{name}-{words[-1]}" if name == "cameras" else name] = pid
        return found

    def cpu_s(self) -> dict[str, float]:
        """Processor seconds that each of the station's processes has used so far."""
        return {name: cpu_s(pid) for name, pid in self.pids().items()}

    def memory_mb(self) -> dict[str, float]:
        """``{rss, pss, anonymous}`` of the station's processes in MiB, the films left out."""
        return memory_of_tree(self.station.pid) if self.station else dict.fromkeys(_MEMORY, 0.0)

    def ledger(self) -> dict[str, int]:
        """What the ledger holds: ``verdicts, passed, rejected, errors, gate_decisions …``."""
        from inspector.store.query import History

        with History(self.data, bound_s=30.0) as history:
            counts = history.counts()
            told, unheard = history.gated()
        return {
            "verdicts": sum(counts.values()),
            "passed": counts[Outcome.PASS],
            "rejected": counts[Outcome.REJECT],
            "errors": counts[Outcome.ERROR],
            "gate_decisions": told,
            "unacknowledged": unheard,
        }

    def _spawn(
        self, command: list[str], name: str, env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self.plan.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                env=os.environ | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_begin,
            )

    def _world_settings(self) -> dict[str, Any]:
        plan = self.plan
        settings = {
            "film": str(plan.films.folder.resolve()),
            "run": str(self.world_run.resolve()),
            "port": 0,
            "rate": plan.rate,
            "seed": plan.seed,
            "feed": {"pitch_mm": PITCH_MM, "count": plan.parts, "order": plan.order},
            "machine": {"gate_mm": plan.gate_mm},
        }
        return _replaced(settings, plan.world)

    def station_settings(self) -> dict[str, Any]:
        """What is written into the station file, once the world's port is known."""
        plan = self.plan
        settings = YAML(typ="safe").load((CONFIGS / "bottle-line.yaml").read_text())
        speed = plan.rate * PITCH_MM
        settings |= {
            "data": str(self.data.resolve()),
            "models": str((CONFIGS.parent / "models").resolve()),
            "recipes": [str(path.resolve()) for path in plan.recipes],
            "cameras": [c for c in settings["cameras"] if c["name"] in plan.views],
            "plc": settings["plc"] | {"port": self.port},
            "travel": settings["travel"] | {"gate_mm": plan.gate_mm, "speed_mm_s": speed},
            "web": None if plan.page is None else settings["web"] | {"port": plan.page},
            "batch": {
                "id": f"{plan.films.product}-{plan.films.lot}",
                "product": plan.films.product,
                "texts": {"lot": plan.films.lot, "date": plan.films.date},
            },
        }
        return _replaced(settings, plan.station)


def _begin() -> None:
    """In the new session of a world or a station, before its program."""
    # whoever is killed in the middle of a trial leaves no line running for ever
    end_with_parent(signal.SIGTERM)
    # Linux shares processors among sessions first: nice alone is heard within one
    with suppress(OSError):
        AUTOGROUP.write_text("-10")


@contextmanager
def running(plan: Plan) -> Iterator[Trial]:
    """A trial that is ended whatever happens."""
    trial = Trial(plan)
    try:
        trial.start()
        yield trial
    finally:
        trial.stop()


def wait_for(
    condition: Callable[[], object], seconds: float, alive: Callable[[], bool] = lambda: True
) -> bool:
    """Whether ``condition`` came true within ``seconds``, while ``alive``."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and alive():
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def cpu_s(pid: int) -> float:
    """User and system seconds of one process; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


_MEMORY = ("rss", "pss", "anonymous")


def memory_of_tree(pid: int) -> dict[str, float]:
    """``{rss, pss, anonymous}`` of a process and its children in MiB, films left out."""
    each = [memory_mb(p) for p in (pid, *_children(pid))]
    return {name: sum(one[name] for one in each) for name in _MEMORY}


def memory_mb(pid: int) -> dict[str, float]:
    """``{rss, pss, anonymous}`` of one process in MiB, mappings of films left out."""
    total = dict.fromkeys(_MEMORY, 0.0)
    names = {f"{name.capitalize()}:": name for name in _MEMORY}
    film = False
    try:
        lines = Path(f"/proc/{pid}/smaps").read_text().splitlines()
    except OSError:
        return total
    for line in lines:
        word, _, rest = line.partition(" ")
        if not word.endswith(":"):
            film = line.endswith(".film")
        elif word in names and not film:
            total[names[word]] += int(rest.split()[0]) / 1024
    return total


def _children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _cmdline(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
    except OSError:
        return []


def _end(process: subprocess.Popen[bytes] | None) -> None:
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(20.0)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _replaced(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    for dotted, value in changes.items():
        node = settings
        *path, last = dotted.split(".")
        for name in path:
            node = node.setdefault(name, {})
        node[last] = value
    return settings


def _write_yaml(path: Path, settings: dict[str, Any]) -> None:
    stream = io.StringIO()
    YAML(typ="safe").dump(settings, stream)
    path.write_text(stream.getvalue())
