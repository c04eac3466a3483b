"""The main job on a virtual bottling line, shown on the terminal and on a page.

Parts, a rate and a seed enter; a report leaves whose ``defective``, ``escapes``, ``false_rejects``
and ``gate_rejects`` the world process counted at its gate. Only the command line imports this.
"""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
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
from inspector.trial import Plan, Trial, TrialError, failed, running, wait_for
from inspector.virtual.film import FilmError
from inspector.virtual.filmset import FilmSet, render_set

ENDLESS_FILM = 400
"""Different parts of an endless demo; they come shuffled anew each round."""
TRAVEL_S = 1.0
"""From eye to gate, so that a noisy machine does not decide the result."""
VIEWS = ("side", "code")

console = Console(stderr=True)


def demo(*, parts: int, rate: float, seed: int, page: bool, quiet: bool) -> dict[str, Any]:
    """Run ``parts`` parts (0: until Ctrl-C) at ``rate`` a second and report.

    Raises ``TrialError`` when the line does not come up.
    """
    films = films_of(_cache() / "films", parts or ENDLESS_FILM, seed, quiet)
    with home() as folder:
        try:
            virtual_producer()
        except ProducerError as error:
            console.print(
                f"{error}\nWithout it pictures are replayed from a folder, and a file is the gate.",
                markup=False,
            )
            return folder_demo(films, folder, parts or ENDLESS_FILM, rate)
        port = 8000 if page and _free(8000) else 0 if page else None
        plan = plan_of(films, folder, parts=parts, rate=rate, seed=seed, page=port)
        with running(plan) as trial:
            _watch(trial, quiet)
            memory = trial.memory_mb()
            trial.stop_station()
            ledger = trial.ledger()
            world = trial.stop()
        return _report(world, ledger, memory, trial)


def plan_of(
    films: FilmSet, folder: Path, *, parts: int, rate: float, seed: int, page: int | None
) -> Plan:
    """What the demo runs. A counted run goes on over rejects and reports them, where an endless one
    stops for ten in a row as a plant would: somebody sees that on its page and resumes."""
    return Plan(
        films=films,
        folder=folder,
        rate=rate,
        parts=parts,
        travel_s=TRAVEL_S,
        order="film" if parts else "shuffled",
        seed=seed,
        page=page,
        station={"clock": "trusted"} | ({"stop.rejects_in_a_row": 0} if parts else {}),
    )


@contextmanager
def home() -> Iterator[Path]:
    """A folder that no other demo of this user has now, empty; the last run's otherwise stays."""
    for number in count(1):
        folder = _cache() / ("demo" if number == 1 else f"demo-{number}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True)
            yield folder
            return


def gave_up(trial: Trial, what: str) -> TrialError:
    """``what`` went wrong, with the alarms that the line raised, the newest first."""
    from inspector.store.query import History

    said: list[str] = []
    with suppress(Exception), History(trial.data) as history:
        told = [event.body for event in history.events("alarm", 5)]
        said = [" ".join(filter(None, (a["code"], a["detail"]))) for a in told]
    alarms = f" (alarms: {'; '.join(said)})" if said else ""
    return failed(f"{what}{alarms}", trial.plan.folder / "station.log")


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
        raise gave_up(trial, "the station did not get ready")
    if quiet and not trial.plan.parts:
        with suppress(KeyboardInterrupt):
            wait_for(lambda: False, math.inf, alive)
            raise gave_up(trial, "the station ended")
        _run_out(trial, alive)
        return
    if quiet:
        limit = trial.plan.parts / trial.plan.rate * 3 + 60
        if not wait_for(trial.done, limit, alive):
            raise gave_up(trial, "the line did not end")
        return
    if trial.plan.page is not None and wait_for(trial.page, 10.0, alive):
        url = trial.page()
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
        raise gave_up(trial, "the station ended")
    _run_out(trial, alive)


def _run_out(trial: Trial, alive: Callable[[], bool]) -> None:
    """What lies on the belt still passes the gate, unless the line has stopped: a gate whose
    station is gone rejects it all, and the report would call that false rejects."""
    if not trial.done():
        trial.act("feed", count=0)
        wait_for(trial.done, 4.0 + 10.0 / trial.plan.rate, alive)


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


def films_of(folder: Path, parts: int, seed: int, quiet: bool) -> FilmSet:
    """The film set of this seed, rendered once; one that was spoilt since is rendered again."""
    place = folder / f"bottle-line-{seed}-{parts}"
    with suppress(FilmError, OSError):
        found = FilmSet.open(place)
        for view in VIEWS:
            found.film(view)
        return found
    with Progress(console=console, disable=quiet, transient=True) as progress:
        task = progress.add_task("drawing the bottles (once)", total=parts)
        return render_set(
            "bottle-line",
            seed,
            parts,
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
