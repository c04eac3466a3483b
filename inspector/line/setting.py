"""How the line was set when it ended, so that a restart goes on with it (I5).

Enters: the line, after each command. Leaves: an event in the ledger, and what the newest one says.
A station file that names another batch or another first recipe than at the time begins anew: then
somebody has meant it. A by-pass ends with the process that was told of it. Imports part, config
and store; the line imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inspector.config import Station
from inspector.line.changeover import Job
from inspector.line.modes import Modes
from inspector.part import Batch, Mode
from inspector.store import History, LineLedger

KIND = "setting"


@dataclass(frozen=True, slots=True)
class Setting:
    """What people have set."""

    recipe: str
    """The recipe's name."""
    batch: Batch
    mode: Mode
    paused: bool
    awaits: str = ""
    needs: tuple[str, ...] = ()


def keep(
    ledger: LineLedger, station: Station, job: Job, modes: Modes, paused: bool, principal: str
) -> None:
    """Record how the line is set from now on."""
    batch = job.batch
    ledger.add_event(
        KIND, principal, recipe=job.recipe.name, batch=batch.id, product=batch.product,
        texts=dict(batch.texts), mode=str(modes.lasting), paused=paused, file=_meant(station),
        awaits=job.awaits, needs=list(job.needs),
    )  # fmt: skip


def last(station: Station) -> Setting | None:
    """The newest setting in the station's ledger; None where there is none, or the station file
    has been given another batch or first recipe since."""
    with History(station.data) as history:
        kept = history.events(KIND, 1)
    if not kept or kept[0].body.get("file") != _meant(station):
        return None
    body: Mapping[str, Any] = kept[0].body
    batch = Batch(body["batch"], body["product"], body["recipe"], dict(body["texts"]))
    return Setting(
        body["recipe"], batch, Mode(body["mode"]), bool(body["paused"]),
        str(body.get("awaits", "")), tuple(body.get("needs", ())),
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
