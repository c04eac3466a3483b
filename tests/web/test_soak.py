"""A line at work with five pages open, for a long time: memory stays flat in all of them.

``INSPECTOR_SOAK_S=7200 pytest tests/web/test_soak.py -m slow -s`` is the two-hour run; without it
five minutes. What is printed goes into ``docs/performance.md``. (S8, S10)
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import psutil
import pytest
from trial.conftest import LENIENT

from inspector.config import Web
from inspector.identity import Principal, Role, Users
from inspector.trial import Plan, Trial, memory_mb, running, wait_for
from inspector.virtual.filmset import render_set
from inspector.web.sessions import How, Sessions

SECONDS = float(os.environ.get("INSPECTOR_SOAK_S", "300"))
RATE = 25.0
POINTS = 20
GROWTH_MB = 12.0
"""Of each, from the second fifth to the last: what is more would be a leak in two hours."""
DAY = {"web.idle_s": 86_400, "web.longest_s": 86_400}
PATHS = ("", "", "", "desk/wall?period=shift", "desk/dashboards?period=shift")
"""Three operators, the big screen, and somebody of QA."""


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """The demo's bottles at 25 a second, judged by the shipped models."""
    folder = tmp_path_factory.mktemp("soak")
    films = render_set("bottle-line", 11, 100, folder / "films")
    settings = LENIENT | DAY
    plan = Plan(films, folder, RATE, order="shuffled", page=0, station=settings)
    with running(plan) as trial:
        assert wait_for(trial.page, 60.0), trial.log()
        assert wait_for(lambda: trial.report().get("triggers", 0) > 3, 60.0), trial.log()
        yield trial


def _signed_in(trial: Trial) -> str:
    users, setup = Users(trial.data), Principal("setup", frozenset({Role.ADMIN}))
    users.add_user("qin", [Role.QA], pin="3690", principal=setup)
    sessions = Sessions(trial.data, users, Web(idle_s=86_400, longest_s=86_400))
    return sessions.begin(Principal("qin", frozenset({Role.QA})), How.OIDC, "127.0.0.1")


def _heap_mb(page: Any) -> float:
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = float(session.send("Runtime.getHeapUsage")["usedSize"]) / 2**20
    session.detach()
    return used


@pytest.mark.slow
@pytest.mark.timeout(int(SECONDS) + 300)
def test_memory_is_flat_with_five_pages_open(station: Trial, browser: Any, tmp_path: Path) -> None:
    base, token = station.page(), _signed_in(station)
    pages = []
    for path in PATHS:
        context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
        context.add_cookies([{"name": "inspector", "value": token, "url": base}])
        pages.append(context.new_page())
        pages[-1].goto(base + path)
    for page in pages[:3]:
        page.wait_for_selector("body[data-link=live]")
    pids = station.pids()
    web = psutil.Process(pids["web"])
    cpu, began, first = web.cpu_times(), time.monotonic(), station.now()["triggers"]
    used: dict[str, list[float]] = {name: [] for name in ("web", "pages", "line", "station")}
    for point in range(POINTS):
        while time.monotonic() - began < (point + 1) * SECONDS / POINTS:
            pages[0].wait_for_timeout(500)
        used["web"].append(memory_mb(pids["web"])["anonymous"])
        used["line"].append(memory_mb(pids["line"])["anonymous"])
        used["station"].append(station.memory_mb()["anonymous"])
        used["pages"].append(sum(_heap_mb(page) for page in pages))
        seen = station.now()["triggers"] - first
        print(f"{seen} parts, MB:", {n: round(mb[-1], 1) for n, mb in used.items()}, flush=True)
    now = web.cpu_times()
    spent = (now.user + now.system - cpu.user - cpu.system) / (time.monotonic() - began)
    ledger = station.ledger()
    print(f"web process, share of a core: {spent:.3f}; ledger: {ledger}")
    for page, path in zip(pages, PATHS, strict=True):
        if not path:
            # on a busy machine a part may have come too late to be judged: that is a verdict too
            shown = page.locator("#verdict").get_attribute("data-outcome")
            assert shown in ("running", "reject", "error")
        assert page.url.endswith(path)
        page.context.close()
    assert station.pids() == pids, "a process was started anew"
    fifth = POINTS // 5
    growth = {n: fmean(mb[-fifth:]) - fmean(mb[fifth : 2 * fifth]) for n, mb in used.items()}
    print("growth from the second fifth to the last, MB:", growth)
    for name in ("web", "line", "pages"):
        assert growth[name] < GROWTH_MB, name
