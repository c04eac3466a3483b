"""Tasks that are tried again for ever, that end, and that end together.

Enters: coroutines, or a step that is taken again and again. Leaves: they run until cancelled, and
what goes wrong is in the log. The plant's modules import it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio.to_thread
import structlog

from inspector.bus import BusError
from inspector.plant.problems import Problem
from inspector.store import StoreError

log = structlog.get_logger()

BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Waits before a service that failed is tried again; the last one repeats."""
LIVED_S = 30.0
"""A service that ran for so long was well: what it fails of is a failure of its own."""
TROUBLE_S = 1.0
"""How long a step waits that failed."""
END_S = 2.0
"""How long a task may take to end in order before it is cancelled once more."""


async def for_ever(service: Callable[[], Awaitable[None]]) -> None:
    """Run a service; when it fails, say why if it had lived or that is new, and try again."""
    failures, last = 0, ""
    while True:
        began = asyncio.get_running_loop().time()
        try:
            await service()
        except Exception as error:
            if asyncio.get_running_loop().time() - began > LIVED_S:
                failures, last = 0, ""
            why = f"{type(error).__name__}: {error}"
            if why != last:
                log.error("a service failed, it is tried again", why=why)
                last = why
        failures += 1
        await asyncio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S)) - 1])


async def look(step: Callable[[], object], troubled: str, look_s: float) -> None:
    """Take a step in a thread, and the next one ``look_s`` later: at once where it says that there
    may be more. One that fails is said to be ``troubled``, and taken again."""
    while True:
        try:
            wait_s = 0.0 if await anyio.to_thread.run_sync(step) else look_s
        except Exception as error:
            known = isinstance(error, StoreError | BusError | Problem)
            log.error(troubled, why=str(error), exc_info=None if known else error)
            wait_s = TROUBLE_S
        await asyncio.sleep(wait_s)


async def together(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them side by side until the first one ends, and then none of them; raises what one of
    them failed of. A `TaskGroup` would wait for ever for one that misses its end (`end`)."""
    tasks = [asyncio.create_task(one) for one in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(*tasks)
        failures = [task.exception() for task in tasks if not task.cancelled()]
    for failure in filter(None, failures):
        raise failure


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel ``tasks`` until they have ended: `asyncio.wait_for` of Python 3.11 forgets that it was
    cancelled where what it waited for came at that moment, as a broker's answer does."""
    left, cancelled = set(tasks), False
    while left:
        for task in left:
            task.cancel()
        try:
            _, left = await asyncio.wait(left, timeout=END_S)
        except asyncio.CancelledError:  # theirs is the end that is waited for first
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
