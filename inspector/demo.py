"""The main job on a virtual bottling line, shown on the terminal and on a page.

Parts, a rate and a seed enter; a report leaves whose ``defective``, ``escapes``, ``false_rejects``
and ``gate_rejects`` the world process counted at its gate. Only the command line imports this.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import Progress
from rich.table import Table

from inspector import store
from inspector.cameras.producers import ProducerError, virtual_producer
from inspector.demo_folder import folder_demo
from inspector.part import Outcome
from inspector.trial import Plan, Trial, TrialError, running, wait_for
from inspector.virtual.film import FilmError
from inspector.virtual.filmset import FilmSet, render_set

ENDLESS_FILM = 400
"""Different parts of an endless demo; they come shuffled anew each round."""
TRAVEL_S = 1.0
"""From eye to gate, so that a noisy machine does not decide the result."""

console = Console(stderr=True)


def demo(*, parts: int, rate: float, seed: int, page: bool, quiet: bool) -> dict[str, Any]:
    """Run ``parts`` parts (0: until Ctrl-C) at ``rate`` a second and report.

    Raises ``TrialError`` when the line does not come up.
    """
    home = _cache() / "demo"
    films = _films(_cache() / "films", parts or ENDLESS_FILM, seed, quiet)
    shutil.rmtree(home, ignore_errors=True)
    try:
        virtual_producer()
    except ProducerError as error:
        console.print(
            f"{error}\nWithout it pictures are replayed from a folder, and a file is the gate."
        )
        return folder_demo(films, home, parts or ENDLESS_FILM, rate)
    plan = Plan(
        films=films,
        folder=home,
        rate=rate,
        parts=parts,
        travel_s=TRAVEL_S,
        order="film" if parts else "shuffled",
        seed=seed,
        page=8000 if page and _free(8000) else 0 if page else None,
        station={"clock": "trusted"},
    )
    with running(plan) as trial:
        _watch(trial, quiet)
        memory = trial.memory_mb()
        trial.stop_station()
        ledger = trial.ledger()
        world = trial.stop()
    return _report(world, ledger, memory, trial)


def _report(
    world: Mapping[str, Any], ledger: Mapping[str, int], memory: Mapping[str, float], trial: Trial
) -> dict[str, Any]:
    walked = store.verify(trial.data)
    if not walked.ok:
        raise TrialError(str(walked))
    return {
        "triggers": world["triggers"],
        "verdicts": ledger["verdicts"],
        "gate_decisions": ledger["gate_decisions"],
        "passed": ledger["passed"],
        "rejected": ledger["rejected"],
        "errors": ledger["errors"],
        "gate_rejects": world["gate_rejects"],
        "defective": world["defective"],
        "escapes": world["escapes"],
        "false_rejects": world["false_rejects"],
        "parts_per_s": world["parts_per_s"],
        "latency_ms": world["latency_ms"],
        "rss_mb": round(memory["rss"], 1),
        "pss_mb": round(memory["pss"], 1),
        "camera": "genicam",
        "ledger": str(trial.data),
    }


def _watch(trial: Trial, quiet: bool) -> None:
    """Until the last part has left, or Ctrl-C."""
    from inspector.store.query import History

    def alive() -> bool:
        return trial.station is not None and trial.station.poll() is None

    ready = wait_for(lambda: trial.report().get("triggers", 0) > 0, 60.0, alive)
    if not ready:
        raise TrialError(f"the station did not get ready; read {trial.plan.folder}/station.log")
    if quiet:
        limit = trial.plan.parts / trial.plan.rate * 3 + 60
        if not wait_for(trial.done, limit, alive):
            raise TrialError(f"the line did not end; read {trial.plan.folder}/station.log")
        return
    if url := (wait_for(trial.page, 10.0, alive) and trial.page()):
        console.print(f"\n  The live page: [bold]{url}[/bold]   (Ctrl-C ends the demo)\n")
    with (
        suppress(KeyboardInterrupt),
        History(trial.data) as history,
        Live(console=console, refresh_per_second=4) as live,
    ):
        while alive() and not trial.done():
            live.update(_table(trial.report(), history.counts()))
            time.sleep(0.5)
        live.update(_table(trial.report(), history.counts()))
    if not alive():
        raise TrialError(f"the station ended; read {trial.plan.folder}/station.log")


def _table(world: Mapping[str, Any], counts: Mapping[Outcome, int]) -> Table:
    latency = world.get("latency_ms") or {}
    table = Table(title="Virtual bottling line")
    for name in ("parts", "pass", "reject", "error", "parts/s", "latency p50", "p99", "escapes"):
        table.add_column(name, justify="right")
    table.add_row(
        str(world.get("triggers", 0)),
        f"[green]{counts[Outcome.PASS]}[/green]",
        f"[yellow]{counts[Outcome.REJECT]}[/yellow]",
        f"[red]{counts[Outcome.ERROR]}[/red]",
        f"{world.get('parts_per_s', 0.0):.1f}",
        f"{latency.get('p50', 0.0):.1f} ms",
        f"{latency.get('p99', 0.0):.1f} ms",
        str(world.get("escapes", 0)),
    )
    return table


def _films(folder: Path, count: int, seed: int, quiet: bool) -> FilmSet:
    """The film set of this seed, rendered once."""
    place = folder / f"bottle-line-{seed}-{count}"
    with suppress(FilmError):
        return FilmSet.open(place)
    with Progress(console=console, disable=quiet, transient=True) as progress:
        task = progress.add_task("drawing the bottles (once)", total=count)
        return render_set(
            "bottle-line",
            seed,
            count,
            place,
            progress=lambda done, _: progress.update(task, completed=done),
            workers=len(os.sched_getaffinity(0)),
        )


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "inspector"


def _free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
