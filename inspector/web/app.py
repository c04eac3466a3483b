"""The web application: a station and its run directory enter, an ASGI application leaves.

A new room of pages joins with one line in `create_app`: Jinja pages by ``include_router``, NiceGUI
pages by `frame.page`. ``masthead.html`` is their frame, ``tokens.css`` their look, `door` and
`access` their guard. Imported by ``web/process.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp

from inspector.config import Station, Web
from inspector.web import access, heat, history, live, login, operator, pictures, steps
from inspector.web.desk import Desk
from inspector.web.door import DESK, Door
from inspector.web.feed import Feed
from inspector.web.news import News
from inspector.web.sessions import Sessions
from inspector.web.templates_of import HERE


def create_app(station: Station, run: Path, file: Path | None = None) -> ASGIApp:
    """The pages of ``station``, as ``file`` says, whose line shows itself in directory ``run``.

    Raises ``StoreError`` where the data folder cannot be used.
    """
    web = station.web or Web()
    return Door(*guarded(station, run, file), secure=web.secure, live_open=web.open)


def guarded(station: Station, run: Path, file: Path | None = None) -> tuple[FastAPI, Sessions]:
    """The application behind the door, and the door's sessions."""
    # NiceGUI writes what it is asked to keep beside its caller unless told otherwise.
    os.environ.setdefault("NICEGUI_STORAGE_PATH", str(run / "nicegui"))
    import nicegui
    from nicegui import ui

    from inspector.web import (
        audit,
        cameras,
        dashboards,
        gate,
        lot,
        models,
        recipes,
        review,
        system,
        teach,
    )

    feed = Feed(run)
    desk = Desk(station, run, lambda: feed.alive, file)
    sessions = Sessions(station.data, desk.users, desk.web)
    news = News(desk, feed, run)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        feed.start()
        saying = asyncio.create_task(news.run())
        yield
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)
        news.close()
        await feed.stop()
        desk.close()

    # FastAPI's own documentation pages load scripts from elsewhere.
    app = FastAPI(title="inspector", openapi_url=None, lifespan=lifespan)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    for one in (app, nicegui.app):
        access.install(one)
    app.include_router(login.router(desk, sessions))
    app.include_router(live.router(desk, feed))
    app.include_router(operator.router(desk, feed, news))
    app.include_router(steps.router(desk, run))
    app.include_router(pictures.router(desk))
    app.include_router(history.router(desk))
    app.include_router(review.build(desk, sessions))
    app.include_router(heat.router(desk))
    dashboards.build(desk, sessions)
    app.include_router(lot.build(desk, sessions, feed))
    app.include_router(audit.build(desk, sessions))
    app.include_router(recipes.build(desk, sessions))
    app.include_router(teach.build(desk, sessions))
    app.include_router(cameras.build(desk, sessions))
    app.include_router(models.build(desk, sessions, feed))
    gate.build(desk, sessions, feed)
    system.build(desk, sessions, feed)
    # the frame says which language the page is in
    nicegui.app.config.quasar_config["lang"] = {"noHtmlAttrs": True}
    ui.run_with(
        app,
        mount_path=DESK,
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=5.0,
        favicon=HERE / "static" / "icon.svg",
    )
    return app, sessions
