"""What the whole line costs and how fast it is, measured on this machine.

World and station run as the demo starts them; the operating system tells what they used. Enters:
a rate, a time, a picture size. Leaves: one report with the bare models' figures from the same run
beside it. Only the command line imports this.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ruamel.yaml import YAML

from inspector import recipe as recipes
from inspector.beat import Beat
from inspector.bus import run_dir
from inspector.config import Plc
from inspector.display import DisplayReader, Topic
from inspector.line.plcgate import PlcGate
from inspector.part import Pixels
from inspector.registers import StationBit
from inspector.tools.bench import Bare, bare
from inspector.trial import CONFIGS, TICKS_PER_S, Plan, Trial, failed, running, wait_for
from inspector.virtual.film import PixelFormat, write_film
from inspector.virtual.filmset import FilmSet, render_set
from inspector.virtual.world import control

WARM_S = 3.0
"""Not counted at the start of a run: start-up costs are not the line's."""
REST_S = 5.0
"""The other processes of the station may take this long to come up after the line."""
SETTLED = 5000
"""Parts after which memory is compared: what remembers the last 4,096 parts is full by then. Of a
short run, the last two thirds."""
RATIOS = (0.97, 0.95, 0.93, 0.91, 0.9, 0.88, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5)
"""Of bare onnxruntime's rate; the highest that the line sustains without an error is reported."""
ORDINARY_PER_S = 60.0
"""What the virtual line's ordinary flap and PLC cycle can follow."""
STATION = {"clock": "trusted", "stop.rejects_in_a_row": 0}
Progress = Callable[[str, float], None]
"""What is being measured, and how much of it is done, 0 to 1."""


def bench_line(
    *,
    rate: float,
    seconds: float,
    recipe: str,
    size: tuple[int, int],
    throughput: bool,
    models: Path,
    progress: Progress = lambda what, done: None,
) -> dict[str, Any]:
    """The line at ``rate`` parts a second for ``seconds``, after a warm-up.

    ``station_cpu_ms`` is processor time of all the station's processes per part, less the models'
    runs in it; ``threads`` says where it goes. ``latency_ms`` runs from the trigger to the decision
    that the PLC acknowledged, by the world's clock. ``ort_ratio`` see `_throughput`.
    """
    path = CONFIGS / "recipes" / f"{recipe}.yaml"
    views = recipes.read(path).views
    with tempfile.TemporaryDirectory(prefix="inspector-bench-") as name:
        folder = Path(name)
        progress("rendering", 0.0)
        drawn = render_set("bottle-line", 11, 100, folder / "films", workers=_cores())
        films, path = _sized(drawn, path, size, folder / "scaled")
        progress("bare models", 0.0)
        loaded = recipes.load(path, models=models, threads=2)
        report: dict[str, Any] = {
            "machine": _machine(folder),
            "recipe": recipe,
            "size": f"{size[0]}x{size[1]}",
            "bare_models": bare(loaded, _frames(films, views), rate=rate),
        }
        plan = Plan(
            films, folder / "steady", rate, round(rate * (seconds + WARM_S + REST_S)), (path,),
            order="shuffled", views=views, station=STATION,
            world=swift_world(rate) if rate > ORDINARY_PER_S else {},
        )  # fmt: skip
        report |= _steady(plan, seconds, progress)
        if throughput:
            path = CONFIGS / "recipes" / "bench-detect.yaml"
            films, path = _sized(drawn, path, size, folder / "alone")
            report |= _throughput(folder, films, path, models, progress)
    return report


def _steady(plan: Plan, seconds: float, progress: Progress) -> dict[str, Any]:
    began = time.monotonic()
    memory: list[tuple[int, float]] = []
    with running(plan) as trial:
        ready_s = _first_part(trial) - began
        # What else a station runs starts after its line; its imports are not a part's cost.
        wait_for(lambda: _all_alive(trial), REST_S)
        time.sleep(WARM_S)
        before, parts_from = _spent(trial), _triggers(trial)
        start = time.monotonic()
        until = start + seconds - 0.5
        pace_s = max(2.0, seconds / 60)
        while (now := time.monotonic()) < until and not trial.done():
            progress(f"{plan.rate:g} parts/s", (now - start) / seconds)
            time.sleep(min(pace_s, until - now))
            if (seen := _triggers(trial)) > min(SETTLED, plan.parts / 3):
                memory.append((seen, trial.memory_mb()["anonymous"]))
        after, parts_to = _spent(trial), _triggers(trial)
        used, load = trial.memory_mb(), os.getloadavg()[0]
        if not wait_for(trial.done, 60.0):
            raise failed("the line did not end", plan.folder / "station.log")
        trial.stop_station()
        ledger, world = trial.ledger(), trial.stop()
    parts = max(1, parts_to - parts_from)
    threads = {t: (s - before.get(t, 0.0)) * 1e3 / parts for t, s in after.items()}
    models = sum(ms for (_, thread), ms in threads.items() if thread == MODELS)
    return {
        "rate": plan.rate,
        "parts": world["triggers"],
        "verdicts": ledger["verdicts"],
        "errors": ledger["errors"],
        "latency_ms": world["latency_ms"],
        "threads": [
            {"process": process, "thread": thread, "cpu_ms": round(ms, 3)}
            for (process, thread), ms in sorted(threads.items())
            if ms >= 0.0005
        ],
        "model_cpu_ms": round(models, 3),
        "station_cpu_ms": round(sum(threads.values()) - models, 3),
        "pss_mb": round(used["pss"], 1),
        "anonymous_growth_mb": _growth(memory, 0),
        "anonymous_growth_mb_per_100k": _growth(memory, 100_000),
        "ready_s": round(ready_s, 2),
        "world_cpu_ms": round(world["cpu_s"] * 1e3 / max(1, world["triggers"]), 3),
        "load": round(load, 2),
    }


MODELS = "models"


def _spent(trial: Trial) -> dict[tuple[str, str], float]:
    """Processor seconds by process and thread. The models' runs are a thread of their own here:
    onnxruntime's threads, and what the line's judges say they have spent in them."""
    spent: dict[tuple[str, str], float] = {}
    for process, pid in trial.pids().items():
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                stat = (task / "stat").read_text()
            except OSError:
                continue
            name = stat[stat.index("(") + 1 : stat.rindex(")")]
            fields = stat.rpartition(")")[2].split()
            if int(task.name) == pid:
                name = "loop"
            elif process == "line" and name == "line":
                name = MODELS  # threads without a name of their own
            key = (process, name)
            ticks = int(fields[11]) + int(fields[12])
            spent[key] = spent.get(key, 0.0) + ticks / TICKS_PER_S
    runs_s = _figure(trial, "model_cpu_seconds_total")
    spent["line", "judge"] -= runs_s
    spent["line", MODELS] = spent.get(("line", MODELS), 0.0) + runs_s
    return spent


def _figure(trial: Trial, name: str) -> float:
    """A figure of the line's newest heartbeat."""
    reader = DisplayReader(run_dir(trial.data), Topic.STATUS)
    try:
        message = reader.receive(5.0)
    finally:
        reader.close()
    if message is None:
        raise failed("the line says nothing", trial.plan.folder / "station.log")
    return float(message.body["figures"][name])


def _growth(memory: list[tuple[int, float]], per: int) -> float | None:
    """MiB that a straight line through the samples rises over ``per`` parts; 0 is all of them."""
    if len(memory) < 3:
        return None
    parts, mb = np.array(memory).T
    slope = float(np.polyfit(parts, mb, 1)[0])
    return round(slope * (per or parts[-1] - parts[0]), 2)


def _throughput(
    folder: Path, films: FilmSet, path: Path, models: Path, progress: Progress
) -> dict[str, Any]:
    """The share of bare onnxruntime's rate that the detector alone sustains without an error.

    Both have the world beside them, which on two cores takes its part of what the model would have:
    before and after each attempt the bare session runs while the world's belt runs at the same
    rate, so that a noisy machine is noisy for both. The ratios are searched by halves, each with a
    second attempt: what fails at one is taken to fail above it.
    """
    views = recipes.read(path).views
    alone = Bare(recipes.load(path, models=models, threads=2), _frames(films, views))
    per_s = _beside_world(_swift(films, folder / "first", path, views, 100.0), alone)
    best: dict[str, Any] = {"ort_ratio": 0.0, "max_per_s": 0.0, "bare_per_s": round(per_s, 1)}
    low, high = 0, len(RATIOS)  # those from `high` on hold, those before `low` do not
    while low < high:
        middle = (low + high) // 2
        held = False
        for attempt in range(2):
            ratio = RATIOS[middle]
            progress(f"detector alone at {ratio:.0%} of bare", 1 - (high - low) / len(RATIOS))
            rate = per_s * ratio
            plan = _swift(films, folder / f"at-{ratio}-{attempt}", path, views, rate)
            whole, cost_ms = _sustained(plan)
            before = per_s
            per_s = _beside_world(_swift(films, plan.folder / "bare", path, views, rate), alone)
            if held := whole:
                fair = (before + per_s) / 2
                best = {
                    "ort_ratio": round(rate / fair, 3),
                    "max_per_s": round(rate, 1),
                    "bare_per_s": round(fair, 1),
                    "station_cpu_ms_at_max": cost_ms,
                }
                break
        low, high = (low, middle) if held else (middle + 1, high)
    return best


def _sustained(plan: Plan) -> tuple[bool, float]:
    """Whether every part of the plan got a verdict that is no error, and the station's cost of
    one in CPU-ms. The belt starts once all that a station runs is up."""
    with running(plan) as trial:
        wait_for(lambda: _listening(trial) and _all_alive(trial), 30.0)
        trial.act("start")
        if not wait_for(lambda: _triggers(trial) > plan.parts / 6, 30.0):
            raise failed("the line did not start", plan.folder / "station.log")
        before, parts_from = _spent(trial), _triggers(trial)
        wait_for(lambda: _triggers(trial) > plan.parts * 5 / 6, 30.0)
        after, parts_to = _spent(trial), _triggers(trial)
        done = wait_for(trial.done, 20.0)
        trial.stop_station()
        ledger, world = trial.ledger(), trial.stop()
    spent_s = sum(s - before.get(t, 0.0) for t, s in after.items() if t[1] != MODELS)
    whole = done and ledger["errors"] == 0 and ledger["verdicts"] == world["triggers"]
    return whole, round(spent_s * 1e3 / max(1, parts_to - parts_from), 3)


def _swift(films: FilmSet, folder: Path, path: Path, views: tuple[str, ...], rate: float) -> Plan:
    return Plan(
        films, folder, rate, round(rate * 9), (path,), views=views, order="shuffled",
        world=swift_world(rate) | {"start": "hand"}, station=STATION,
    )  # fmt: skip


def swift_world(rate: float) -> dict[str, Any]:
    """A flap, a belt and a PLC that keep up with any model: one that is faster than 250 parts a
    second has as much faster ones."""
    slower = min(1.0, 250.0 / rate)
    return {
        "machine.switch_ms": 0.5 * slower,
        "program.scan_ms": max(0.5, slower),
        "machine.accel_mm_s2": 1e5,
    }


def _beside_world(plan: Plan, alone: Bare) -> float:
    """Runs a second of the bare session while the world's belt runs and its PLC is asked."""
    trial = Trial(plan)
    try:
        trial.start_world()
        with _asking(trial.port) as ask:
            wait_for(lambda: ask() or _listening(trial), 10.0)
            trial.act("start")
            wait_for(lambda: ask() or _triggers(trial), 10.0)
            return alone.per_s(3.0, between=ask)
    finally:
        trial.stop()


@contextmanager
def _asking(port: int) -> Iterator[Callable[[], None]]:
    """A station that is ready and decides nothing: the belt runs for it."""
    gate = PlcGate(Plc(port=port))
    gate.show(StationBit.READY, 0)

    def ask() -> None:
        gate.alive(time.monotonic_ns())
        gate.take()

    try:
        yield ask
    finally:
        gate.close()


def _first_part(trial: Trial) -> float:
    """Waits for the first decision that the PLC accepted; the instant it was seen."""
    if not wait_for(lambda: _decided(trial), 60.0):
        raise failed("the line did not start", trial.plan.folder / "station.log")
    return time.monotonic()


def _all_alive(trial: Trial) -> bool:
    return all(Beat(beat).age_s() is not None for beat in run_dir(trial.data).glob("*.beat"))


def _decided(trial: Trial) -> int:
    return int(control(trial.world_run, "report")["report"]["decided"])


def _listening(trial: Trial) -> bool:
    return bool(control(trial.world_run, "report")["report"]["station_ready"])


def _triggers(trial: Trial) -> int:
    return int(control(trial.world_run, "report")["report"]["triggers"])


def _frames(films: FilmSet, views: tuple[str, ...]) -> list[dict[str, Pixels]]:
    """The films' pictures as the line's tools get them."""
    opened = {view: films.film(view, verify=False) for view in views}
    return [{v: f.picture(i) for v, f in opened.items()} for i in range(min(50, films.count))]


def _sized(films: FilmSet, path: Path, size: tuple[int, int], folder: Path) -> tuple[FilmSet, Path]:
    """Films and recipe as they are where pictures have that size, else `_scaled`."""
    return (films, path) if size == (640, 480) else _scaled(films, path, size, folder)


def _scaled(
    films: FilmSet, path: Path, size: tuple[int, int], folder: Path
) -> tuple[FilmSet, Path]:
    """The side view as a camera of another size would give it, and the recipe with its places."""
    width, height = size
    scale = min(width / 640, height / 480)
    w, h = round(640 * scale), round(480 * scale)
    left, top = (width - w) // 2, (height - h) // 2
    folder.mkdir()
    shutil.copytree(films.folder, folder / "films")
    side = films.film("side", verify=False)

    def frames() -> Iterator[Pixels]:
        for index in range(films.count):
            whole = np.full((height, width, 3), 114, np.uint8)
            whole[top : top + h, left : left + w] = cv2.resize(side.picture(index), (w, h))
            raw = np.empty((height, width), np.uint8)
            raw[0::2, 0::2], raw[0::2, 1::2] = whole[0::2, 0::2, 2], whole[0::2, 1::2, 1]
            raw[1::2, 0::2], raw[1::2, 1::2] = whole[1::2, 0::2, 1], whole[1::2, 1::2, 0]
            yield raw

    write_film(folder / "films" / "side.film", frames(), width, height, PixelFormat.BayerRG8.name)
    written = YAML(typ="safe").load(path.read_text())

    def place(node: Any) -> None:
        for value in node.values() if isinstance(node, dict) else node:
            if isinstance(value, dict | list):
                place(value)
        if isinstance(node, dict) and "roi" in node:
            x1, y1, x2, y2 = (round(side * scale) for side in node["roi"])
            node["roi"] = [x1 + left, y1 + top, x2 + left, y2 + top]

    place(written)
    (folder / "recipes").mkdir()
    target = folder / "recipes" / path.name
    target.write_text(json.dumps(written))
    return FilmSet.open(folder / "films"), target


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _machine(folder: Path) -> Mapping[str, Any]:
    """What the figures hold for."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    at = max((m for m in mounts if str(folder).startswith(m[1])), key=lambda m: len(m[1]))
    return {
        "processor": model,
        "cores": _cores(),
        "filesystem": at[2],
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }
