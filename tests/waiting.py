"""Until something has happened, or a limit is over: for tests of what other processes do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

LIMIT_S = 40.0
"""On a machine that does much else besides."""


def until(condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """What ``condition`` says as soon as it is something."""
    end = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return value


async def until_here(condition: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """The same, of what happens in the running event loop."""
    end = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)
    return value
