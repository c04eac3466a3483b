"""Five pages open for a long time: memory stays flat in the server and in the browser.

``INSPECTOR_SOAK_S=7200 pytest tests/web/test_soak.py -m slow -s`` is the two-hour run; without it
five minutes. What is printed goes into ``docs/performance.md``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import fmean
from subprocess import Popen
from typing import Any

import psutil
import pytest

SECONDS = float(os.environ.get("INSPECTOR_SOAK_S", "300"))
POINTS = 20
GROWTH_MB = 12.0
"""Of each, from the second fifth to the last: what is more would be a leak in two hours."""


@pytest.mark.slow
@pytest.mark.timeout(int(SECONDS) + 300)
def test_memory_is_flat_with_five_pages_open(
    web: Any, line: Callable[..., Popen[bytes]], browser: Any
) -> None:
    line("--rate", "25", "--reject-every", "40")
    pages = [browser.new_page(viewport={"width": 1280, "height": 800}) for _ in range(5)]
    for page in pages:
        page.goto(web.url)
        page.wait_for_selector("#verdict[data-outcome=running]")
    server = psutil.Process(web._process.pid)
    cpu, began = server.cpu_times(), time.monotonic()
    served: list[float] = []
    used: list[float] = []
    for point in range(POINTS):
        while time.monotonic() - began < (point + 1) * SECONDS / POINTS:
            pages[0].wait_for_timeout(500)
        served.append(server.memory_full_info().uss / 2**20)
        heaps = []
        for page in pages:
            session = page.context.new_cdp_session(page)
            session.send("HeapProfiler.collectGarbage")
            heaps.append(session.send("Runtime.getHeapUsage")["usedSize"] / 2**20)
            session.detach()
        used.append(sum(heaps))
    now = server.cpu_times()
    spent = (now.user + now.system - cpu.user - cpu.system) / (time.monotonic() - began)
    print(f"\nweb process, MB: {[round(mb, 1) for mb in served]}")
    print(f"five pages' heaps, MB: {[round(mb, 1) for mb in used]}")
    print(f"web process, share of a core: {spent:.3f}")
    for page in pages:
        assert page.locator("#verdict").get_attribute("data-outcome") in ("running", "reject")
        page.close()
    fifth = POINTS // 5
    for memory in (served, used):
        assert fmean(memory[-fifth:]) - fmean(memory[fifth : 2 * fifth]) < GROWTH_MB
