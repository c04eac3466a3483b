"""What open pages cost: the line with nobody looking, then with several live pages open.

A rate, a number of clients and a time enter; the line's latency in both phases, the web process's
share of a core and its memory over time leave. The clients read the very WebSocket that a browser
reads, acknowledge each picture as a page does, and are processes of nobody's station. Only the
command line imports this.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

from websockets.asyncio.client import connect

from inspector.display import Topic, unpack
from inspector.store.query import History
from inspector.trial import CONFIGS, Plan, Trial, cpu_s, failed, memory_mb, running, wait_for
from inspector.virtual.filmset import render_set

SETTLE_S = 3.0
"""Left out at the beginning of each phase."""
MEMORY_POINTS = 20

Progress = Callable[[str, float], None]


def bench_pages(
    *, rate: float, clients: int, seconds: float, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Measure ``seconds`` without a page, then ``seconds`` with ``clients`` pages.

    Raises ``TrialError`` when the line does not come up.
    """
    progress("rendering the film", 0.0)
    films = render_set("bottle-line", 7, 120, folder / "films", defect_rate=0.02)
    plan = Plan(
        films,
        folder / "trial",
        rate=rate,
        recipes=(CONFIGS / "recipes" / "bench-detect.yaml",),
        order="shuffled",
        page=0,
        station={"clock": "trusted", "stop.rejects_in_a_row": 0},
    )
    with running(plan) as trial:
        if not wait_for(trial.page, 60.0) or not wait_for(
            lambda: trial.report().get("triggers", 0) > 3 * rate, 60.0
        ):
            raise failed("the line did not come up", plan.folder / "station.log")
        progress("nobody looks", 0.1)
        alone = _phase(trial, seconds, lambda done: progress("nobody looks", 0.1 + 0.4 * done))
        looking = asyncio.run(
            _looked_at(
                trial, clients, seconds, lambda done: progress("pages are open", 0.5 + 0.5 * done)
            )
        )
    p99, before = looking["latency_ms"]["p99"], alone["latency_ms"]["p99"]
    return {
        "rate": rate,
        "clients": clients,
        "seconds": seconds,
        "load": round(os.getloadavg()[0], 1),
        "alone": alone,
        "looked_at": looking,
        "web_core_share": looking["web_core_share"],
        "p99_growth": round(p99 / before - 1, 3) if before else None,
    }


def _phase(trial: Trial, seconds: float, done: Callable[[float], None]) -> dict[str, Any]:
    time.sleep(SETTLE_S)
    figures = _Figures(trial)
    began = time.monotonic()
    while (gone := time.monotonic() - began) < seconds:
        done(gone / seconds)
        figures.look(gone, seconds)
        time.sleep(min(0.5, seconds - gone))
    return figures.report()


async def _looked_at(
    trial: Trial, clients: int, seconds: float, done: Callable[[float], None]
) -> dict[str, Any]:
    address = trial.page().replace("http", "ws", 1) + "ws/live"
    pictures = [0] * clients
    pages = [asyncio.create_task(_page(address, pictures, n)) for n in range(clients)]
    await asyncio.sleep(SETTLE_S)
    figures, before = _Figures(trial), sum(pictures)
    began = time.monotonic()
    while (gone := time.monotonic() - began) < seconds:
        done(gone / seconds)
        figures.look(gone, seconds)
        await asyncio.sleep(min(0.5, seconds - gone))
    report = figures.report()
    drawn = (sum(pictures) - before) / clients / (time.monotonic() - began) if clients else 0.0
    for page in pages:
        page.cancel()
    await asyncio.gather(*pages, return_exceptions=True)
    return report | {"pictures_per_s": round(drawn, 1)}


async def _page(address: str, pictures: list[int], number: int) -> None:
    async with connect(address, compression=None, max_size=1 << 24) as socket:
        async for message in socket:
            assert isinstance(message, bytes)
            topic = unpack(message).topic if message[:2] != Topic.DESK.encode() else Topic.DESK
            if topic in (Topic.PASS, Topic.REJECT, Topic.HISTORY):
                pictures[number] += topic is not Topic.HISTORY
                await socket.send("drawn")


class _Figures:
    """What a stretch of time has cost."""

    def __init__(self, trial: Trial) -> None:
        self._trial, self._web = trial, trial.pids()["web"]
        self._cpu, self._began = cpu_s(self._web), time.monotonic()
        self._began_ns = time.monotonic_ns()
        self._memory: list[float] = []

    def look(self, gone: float, seconds: float) -> None:
        """Note the memory, a few times over the stretch."""
        if gone >= len(self._memory) * seconds / MEMORY_POINTS:
            self._memory.append(round(memory_mb(self._web)["pss"], 1))

    def report(self) -> dict[str, Any]:
        """The stretch ends here."""
        wall = time.monotonic() - self._began
        latencies = self._latencies()
        cuts = quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
        return {
            "parts": len(latencies),
            "latency_ms": {
                "p50": round(cuts[49], 2),
                "p99": round(cuts[98], 2),
                "max": round(max(latencies, default=0.0), 1),
            },
            "web_core_share": round((cpu_s(self._web) - self._cpu) / wall, 3),
            "web_mb": self._memory,
        }

    def _latencies(self) -> list[float]:
        """Trigger to acknowledged decision of the parts of this stretch, in ms."""
        found: list[float] = []
        before: int | None = None
        with History(self._trial.data, bound_s=30.0) as history:
            while parts := history.last(500, before=before):
                for part in parts:
                    if part.verdict.times.trigger_ns < self._began_ns:
                        return found
                    heard = [g.acknowledged_ns for g in part.gates if g.acknowledged_ns]
                    if heard:
                        found.append((heard[0] - part.verdict.times.trigger_ns) / 1e6)
                before = parts[-1].position
        return found
