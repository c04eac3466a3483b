"""Figures of the whole line and of its verdicts, measured on this machine.

``bench_line`` starts world and station as the demo does and asks the operating system what they
cost; ``bench_quality`` judges unseen virtual parts with the line's own recipe. Each prints its
bound beside it, from the same run. Only the command line imports this.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np

from inspector import recipe as recipes
from inspector.cameras import pixels
from inspector.cameras.formats import BY_NAME
from inspector.part import Batch, Outcome, Pixels
from inspector.tools.bench import bare
from inspector.trial import CONFIGS, Plan, Trial, TrialError, running, wait_for
from inspector.virtual import batch as batches
from inspector.virtual import bottle
from inspector.virtual.film import FilmSet, render_set
from inspector.virtual.product import DEFECTS
from inspector.virtual.world import control

WARM_S = 3.0
"""Not counted at the start of a run: start-up costs are not the line's."""
RATIOS = (1.0, 0.97, 0.94, 0.92, 0.9, 0.87, 0.84, 0.8, 0.75, 0.7, 0.6, 0.5)
"""Of bare onnxruntime's rate; the highest that the line sustains without an error is reported."""
SWIFT = {"machine.switch_ms": 0.5, "program.scan_ms": 1.0, "machine.accel_mm_s2": 1e5}
"""A flap and a belt that keep up with any model."""


def bench_line(
    *, rate: float, seconds: float, recipe: str, throughput: bool, models: Path
) -> dict[str, Any]:
    """The line at ``rate`` parts a second for ``seconds``, after a warm-up.

    ``station_cpu_ms`` is processor time of all the station's processes per part, less what the
    bare models take for the same tensors; ``latency_ms`` runs from the trigger to the decision
    that the PLC acknowledged, by the world's clock.
    """
    path = CONFIGS / "recipes" / f"{recipe}.yaml"
    with tempfile.TemporaryDirectory(prefix="inspector-bench-") as name:
        folder = Path(name)
        films = render_set("bottle-line", 11, 100, folder / "films", workers=_cores())
        views = recipes.read(path).views
        ready = recipes.load(path, models=models, threads=2)
        alone = bare(ready, _frames(films, views), rate=rate)
        report = {
            "machine": _machine(folder),
            "recipe": recipe,
            "bare_models": alone,
            **_steady(folder / "steady", films, path, views, rate, seconds, alone["cpu_ms"]),
        }
        if throughput:
            detect = CONFIGS / "recipes" / "bench-detect.yaml"
            side = recipes.read(detect).views
            lone = bare(recipes.load(detect, models=models, threads=2), _frames(films, side))
            report |= _throughput(folder, films, detect, side, lone["per_s"])
    return report


def _steady(
    folder: Path, films: FilmSet, path: Path, views: tuple[str, ...],
    rate: float, seconds: float, model_cpu_ms: float,
) -> dict[str, Any]:  # fmt: skip
    plan = Plan(
        films, folder, rate, round(rate * (seconds + WARM_S)), (path,), order="shuffled",
        views=views, station={"clock": "trusted", "stop.rejects_in_a_row": 0},
    )  # fmt: skip
    began = time.monotonic()
    with running(plan) as trial:
        ready_s = _first_part(trial) - began
        time.sleep(WARM_S)
        cpu_from, parts_from, memory_from = trial.cpu_s(), _triggers(trial), trial.memory_mb()
        until = time.monotonic() + seconds - 0.5
        wait_for(trial.done, until - time.monotonic(), lambda: trial.station is not None)
        cpu_to, parts_to, memory_to = trial.cpu_s(), _triggers(trial), trial.memory_mb()
        load = os.getloadavg()[0]
        if not wait_for(trial.done, 60.0):
            raise TrialError(f"the line did not end; read {folder}/station.log")
        trial.stop_station()
        ledger, world = trial.ledger(), trial.stop()
    parts = max(1, parts_to - parts_from)
    by_process = {name: (cpu_to[name] - cpu_from.get(name, 0.0)) * 1e3 / parts for name in cpu_to}
    return {
        "rate": rate,
        "parts": world["triggers"],
        "verdicts": ledger["verdicts"],
        "errors": ledger["errors"],
        "latency_ms": world["latency_ms"],
        "cpu_ms": {name: round(cpu, 3) for name, cpu in by_process.items()},
        "station_cpu_ms": round(sum(by_process.values()) - model_cpu_ms, 3),
        "pss_mb": round(memory_to["pss"], 1),
        "anonymous_growth_mb": round(memory_to["anonymous"] - memory_from["anonymous"], 2),
        "ready_s": round(ready_s, 2),
        "world_cpu_ms": round(world["cpu_s"] * 1e3 / max(1, world["triggers"]), 3),
        "load": round(load, 2),
    }


def _throughput(
    folder: Path, films: FilmSet, path: Path, views: tuple[str, ...], bare_per_s: float
) -> dict[str, Any]:
    """The share of bare onnxruntime's rate that the detector alone sustains without an error."""
    for ratio in RATIOS:
        rate = bare_per_s * ratio
        plan = Plan(
            films, folder / f"at-{ratio}", rate, round(rate * 6), (path,), views=views,
            order="shuffled", world=SWIFT,
            station={"clock": "trusted", "stop.rejects_in_a_row": 0},
        )  # fmt: skip
        with running(plan) as trial:
            _first_part(trial)
            wait_for(trial.done, 60.0)
            trial.stop_station()
            ledger = trial.ledger()
            world = trial.stop()
        if ledger["errors"] == 0 and ledger["verdicts"] == world["triggers"]:
            return {"ort_ratio": ratio, "max_per_s": round(rate, 1), "bare_per_s": bare_per_s}
    return {"ort_ratio": 0.0, "max_per_s": 0.0, "bare_per_s": bare_per_s}


def _first_part(trial: Trial) -> float:
    """Waits for the first decision that the PLC accepted; the instant it was seen."""
    if not wait_for(lambda: _decided(trial), 60.0):
        raise TrialError(f"the line did not start; read {trial.plan.folder}/station.log")
    return time.monotonic()


def _decided(trial: Trial) -> int:
    return int(control(trial.world_run, "report")["report"]["decided"])


def _triggers(trial: Trial) -> int:
    return int(control(trial.world_run, "report")["report"]["triggers"])


def _frames(films: FilmSet, views: tuple[str, ...]) -> list[dict[str, Pixels]]:
    """The films' pictures as the line's tools get them."""
    opened = {view: films.film(view, verify=False) for view in views}
    return [{v: f.picture(i) for v, f in opened.items()} for i in range(min(50, films.count))]


def bench_quality(
    *, defective: int, seed: int, models: Path, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Escapes and false rejects of ``bottle-line`` on parts of unseen seeds, fonts and textures.

    Rows ``{what, severity, parts, wrong, rate, low, high}`` with Wilson's 95 % interval; ``wrong``
    counts escapes, for good parts false rejects. Half of the parts are defective.
    """
    judge = recipes.load(CONFIGS / "recipes" / "bottle-line.yaml", models=models, threads=1)
    judge.warm_up()
    parts, wrong, severity = (
        Counter[str](),
        Counter[str](),
        {n: s.value for n, s in DEFECTS.items()},
    )
    missed: list[dict[str, Any]] = []
    stretch = 8
    orders = []
    for i in range(-(-defective * 2 // stretch)):
        rng = np.random.default_rng([seed, i])
        lot, day = bottle.draw_lot(rng), bottle.draw_date(rng)
        orders.append(
            batches.Stretch(
                "bottle-line", seed + i, 0, stretch, lot, day, 0.5, "held_out", mixed=True
            )
        )
    form = BY_NAME["BayerRG8"]
    done = 0
    for order, rendered in zip(orders, batches.render_stretches(orders, 1), strict=True):
        expected = Batch("quality", "bottle-line", texts={"lot": order.lot, "date": order.date})
        for side, code, truth in rendered:
            height, width = side.shape
            picture = pixels.convert(
                side.reshape(-1), form, width, height, pixels.empty(form, width, height)
            )
            frames = {"side": picture, "code": code}
            verdict = judge.judge(frames, expected, date(2026, 1, 1), clock_synced=True)
            labels = [d["label"] for d in truth["defects"]]
            passed = verdict.outcome is Outcome.PASS
            for label in labels or ["good"]:
                parts[label] += 1
                wrong[label] += passed if labels else not passed
            if passed == bool(labels):
                missed.append(
                    {"seed": order.seed, "index": truth["index"], "labels": labels,
                     "reasons": list(verdict.reasons)}
                )  # fmt: skip
        done += len(rendered)
        progress(done, len(orders) * stretch)
    rows = [_row(name, severity.get(name, ""), parts[name], wrong[name]) for name in sorted(parts)]
    for group in ("critical", "major"):
        names = [n for n in parts if severity.get(n) == group]
        total, bad = sum(parts[n] for n in names), sum(wrong[n] for n in names)
        rows.append(_row(f"all {group}", group, total, bad))
    return {"machine": platform.machine(), "seed": seed, "rows": rows, "wrong": missed[:50]}


def _row(what: str, severity: str, parts: int, wrong: int) -> dict[str, Any]:
    low, high = wilson(wrong, parts)
    return {
        "what": what,
        "severity": severity,
        "parts": parts,
        "wrong": wrong,
        "rate": round(wrong / parts, 5) if parts else 0.0,
        "low": round(low, 5),
        "high": round(high, 5),
    }


def wilson(hits: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a proportion (E. B. Wilson, JASA 22, 1927), by default 95 %."""
    if total == 0:
        return 0.0, 1.0
    share = hits / total
    centre = share + z * z / (2 * total)
    spread = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


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
