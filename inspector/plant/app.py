"""The MES interface: a station and its run directory enter, an ASGI application leaves.

A new group of routes joins with one line in `create_app`. Imported by ``plant/process.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import anyio.to_thread
from fastapi import APIRouter, Depends, FastAPI
from starlette.types import ASGIApp

from inspector import __version__
from inspector.config import Plant, Station
from inspector.identity import Users
from inspector.plant import (
    batches,
    events,
    genealogy,
    parts,
    periods,
    problems,
    recalls,
    rejects,
    reports,
    reviews,
    tags,
    webhooks,
)
from inspector.plant.access import PROBLEMS, Viewer, only_known
from inspector.plant.desk import Desk
from inspector.plant.door import Door, Keys
from inspector.plant.etag import Etag
from inspector.plant.holding import Holding
from inspector.plant.outbox import Outbox
from inspector.plant.packing import READER as PACKING
from inspector.plant.packing import Packing
from inspector.plant.rules import READER as RULES
from inspector.plant.rules import Rules
from inspector.plant.tasks import end, for_ever
from inspector.plant.times import now
from inspector.plant.webhooks import Webhooks
from inspector.plant.words import StatusSaid

THREADS = 16
"""Requests that are worked on at once; each may wait for the line or the disk, none computes."""


def create_app(station: Station, run: Path) -> ASGIApp:
    """The interface of ``station``, whose line listens in run directory ``run``.

    Raises ``StoreError`` where the data folder cannot be used.
    """
    assert station.plant is not None
    desk, outbox = Desk(station, run), Outbox(station.data)
    hooks, rules, packs = Webhooks(desk, outbox), station.plant.rules, station.plant.packs
    leave_idle(outbox, station.plant)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        desk.heartbeat.start()
        works = [hooks.run, Holding(desk).run]
        works += [Rules(desk, rules, outbox).run] if rules else []
        works += [Packing(desk, packs, outbox).run] if packs else []
        at_work = [asyncio.create_task(for_ever(work)) for work in works]
        yield
        await end(*at_work)
        await desk.heartbeat.stop()
        outbox.close()
        desk.close()

    app = FastAPI(
        title=f"inspector: station {station.station}",
        version=__version__,
        description="The reject API and the history of one inspection station. Every request "
        "needs an API key; every write is recorded with its principal and may be repeated with "
        "its Idempotency-Key.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    problems.install(app)
    rooms = (rejects, parts, reviews, batches, periods, reports, genealogy, recalls, tags, events)
    groups = [*(room.router(desk) for room in rooms), webhooks.router(desk, hooks), _status(desk)]
    for group in groups:
        app.include_router(group, prefix="/api/v1", dependencies=[Depends(only_known)])
    app.include_router(parts.links(desk))
    app.include_router(batches.links(desk))
    limits, keys = station.plant, Keys(station.data, Users(station.data))
    return Door(Etag(app), keys, limits.rate_per_s, limits.burst)


def leave_idle(outbox: Outbox, plant: Plant) -> None:
    """Rules and packing that stand in the station file no more begin with what is new, should they
    come again: nobody is to mend what went wrong in the months between."""
    for reader, at_work in ((RULES, plant.rules), (PACKING, plant.packs)):
        if not at_work:
            outbox.leave(reader)


def _status(desk: Desk) -> APIRouter:
    routes = APIRouter(tags=["status"], responses=PROBLEMS)

    @routes.get("/status")
    async def get_status(who: Viewer) -> StatusSaid:
        """The line's heartbeat. 200 also when it is lost: `line` and `ready` say so."""
        beat, station = desk.heartbeat, desk.station
        alive, age = beat.alive, beat.age_s
        known = {name: beat.body[name] for name in LIVE if name in beat.body} if alive else {}
        return StatusSaid(
            station=station.station,
            site=station.site,
            at=now(),
            software=__version__,
            line="alive" if alive else "lost",
            ready=bool(alive and beat.body.get("ready")),
            heartbeat_age_ms=None if age == float("inf") else round(age * 1000, 1),
            **known,
        )

    return routes


LIVE = (
    "mode", "running", "paused", "batch", "product", "recipe", "parts_per_s", "counts",
    "latency_ms", "alarms", "health",
)  # fmt: skip
"""Fields of the heartbeat that the status passes on while it is fresh."""
