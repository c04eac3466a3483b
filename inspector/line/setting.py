"""How the line was set when it ended, so that a restart goes on with it (I5).

Enters: the line, after each command, and what it is stopped for. Leaves: events in the ledger, and
what the newest ones say.
A station file that names another batch or another first recipe than at the time begins anew: then
somebody has meant it. A by-pass ends with the process that was told of it. Imports part, config,
display and store; the line imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inspector.config import Station
from inspector.display import AlarmCode
from inspector.line.alarms import Stop
from inspector.line.changeover import Job, Plan
from inspector.line.modes import Modes
from inspector.part import Batch, Mode
from inspector.store import History, LineLedger

KIND = "setting"
STOP = "stop"


@dataclass(frozen=True, slots=True)
class Kept:
    """A job, as it is kept."""

    recipe: str
    """The recipe's name."""
    batch: Batch
    awaits: str = ""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """What people have set."""

    job: Kept
    """What they want to be made …"""
    mode: Mode
    paused: bool
    earlier: tuple[tuple[int, Kept], ...] = ()
    """… and what is made until its first part comes, each with its own first part, …"""
    stream: str = ""
    first: int = 0
    """… which is this one."""


def keep(
    ledger: LineLedger, station: Station, plan: Plan, stream: str, modes: Modes, paused: bool,
    principal: str,
) -> None:  # fmt: skip
    """Record how the line is set from now on."""
    more: dict[str, Any] = {}
    *earlier, (first, _) = plan.jobs
    if earlier:
        written = [{"from": at, **_written(planned)} for at, planned in earlier]
        more = {"earlier": written, "stream": stream, "first": first}
    ledger.add_event(
        KIND, principal, mode=str(modes.lasting), paused=paused, file=_meant(station),
        **_written(plan.newest), **more,
    )  # fmt: skip


def last(station: Station) -> Setting | None:
    """The newest setting in the station's ledger; None where there is none, or the station file
    has been given another batch or first recipe since."""
    with History(station.data) as history:
        kept = history.events(KIND, 1)
    if not kept or kept[0].body.get("file") != _meant(station):
        return None
    body: Mapping[str, Any] = kept[0].body
    written = body.get("earlier", ())
    if before := body.get("before"):  # by a version that kept one alone
        written = ({"from": 0, **before},)
    earlier = tuple((int(entry["from"]), _read(entry)) for entry in written)
    return Setting(
        _read(body), Mode(body["mode"]), bool(body["paused"]), earlier,
        str(body.get("stream", "")), int(body.get("first", 0)),
    )  # fmt: skip


def keep_stop(ledger: LineLedger, stop: Stop) -> None:
    """Record what the line is stopped for, where that has changed."""
    if stop.why.keys() != stop.kept:
        stop.kept = frozenset(stop.why)
        ledger.add_event(STOP, "line", why={str(code): why for code, why in stop.why.items()})


def stopped(station: Station) -> dict[AlarmCode, str]:
    """What the line was stopped for when it ended: no restart is a person who has looked."""
    with History(station.data) as history:
        kept = history.events(STOP, 1)
    why: Mapping[str, Any] = kept[0].body["why"] if kept else {}
    return {AlarmCode(code): str(text) for code, text in why.items() if code in tuple(AlarmCode)}


def _written(job: Job) -> dict[str, Any]:
    batch = job.batch
    return {
        "recipe": job.recipe.name,
        "batch": batch.id,
        "product": batch.product,
        "texts": dict(batch.texts),
        "awaits": job.awaits,
        "needs": list(job.needs),
    }


def _read(body: Mapping[str, Any]) -> Kept:
    batch = Batch(body["batch"], body["product"], body["recipe"], dict(body["texts"]))
    return Kept(
        body["recipe"], batch, str(body.get("awaits", "")), tuple(body.get("needs", ()))
    )  # fmt: skip


def _meant(station: Station) -> dict[str, Any]:
    lot = station.batch
    return {
        "batch": lot.id,
        "product": lot.product,
        "texts": dict(lot.texts),
        "recipe": station.recipes[0].stem,
        "mode": str(station.mode),
    }
