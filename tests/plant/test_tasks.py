"""Tasks that are tried again, and that end though they miss that they are to. (I5)"""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from structlog.testing import capture_logs

from inspector.plant import tasks
from inspector.plant.tasks import end, for_ever, look, together
from inspector.store import StoreError


def test_a_service_that_has_lived_is_soon_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says why: each restart of a broker was a station dead for ten seconds, the second one
    without a word in the log."""
    lives, waits, clock = [40.0, 0.1, 0.1, 60.0, 0.1], list[float](), [0.0]

    async def service() -> None:
        clock[0] += lives.pop(0)
        raise OSError("it is gone")

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if not lives:
            raise asyncio.CancelledError

    async def story() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock[0])
        monkeypatch.setattr(asyncio, "sleep", sleep)
        with contextlib.suppress(asyncio.CancelledError):
            await for_ever(service)

    with capture_logs() as logs:
        asyncio.run(story())
    assert waits == [0.5, 1.0, 2.0, 0.5, 1.0] and len(logs) == 2


async def misses_its_end() -> None:
    """As where the broker's answer comes at that moment."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)
    await asyncio.sleep(60)


def test_a_service_ends_though_it_misses_that_it_was_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process lived on until it was killed."""
    monkeypatch.setattr(tasks, "END_S", 0.01)

    async def story() -> None:
        task = asyncio.create_task(for_ever(lambda: together(misses_its_end(), misses_its_end())))
        await asyncio.sleep(0.01)
        await end(task)
        assert task.cancelled() and len(asyncio.all_tasks()) == 1

    asyncio.run(story())


def test_what_fails_takes_with_it_what_misses_that_it_was_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The broker was gone, and the station spoke to it no more until the next part came."""
    monkeypatch.setattr(tasks, "END_S", 0.01)

    async def fails() -> None:
        await asyncio.sleep(0)
        raise OSError("the broker is gone")

    with pytest.raises(OSError, match="the broker is gone"):
        asyncio.run(together(misses_its_end(), fails()))


def test_a_step_that_fails_of_whatever_it_is_is_said_and_taken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of what nobody had foreseen rules and webhooks ended, without a word until the process was
    started anew."""
    waits: list[float] = []
    troubles: list[Exception] = [StoreError("the disk is full"), KeyError("batch")]

    def step() -> bool:
        if troubles:
            raise troubles.pop(0)
        return len(waits) < 3

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 4:
            raise asyncio.CancelledError

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with capture_logs() as logs, contextlib.suppress(asyncio.CancelledError):
        asyncio.run(look(step, "rules wait", 0.1))
    assert waits == [tasks.TROUBLE_S, tasks.TROUBLE_S, 0.0, 0.1]
    assert [(one["event"], bool(one["exc_info"])) for one in logs] == [
        ("rules wait", False), ("rules wait", True),
    ]  # fmt: skip
