"""The clock that times come from is on record: its boot, its state, its jumps (I3, I5)."""

from __future__ import annotations

import time

import pytest

from inspector.line.clock import UtcClock
from inspector.line.timekeeper import EVERY_NS, Timekeeper, words_of
from inspector.part import boot_id

S = 1_000_000_000


class Kernel(UtcClock):
    """A clock whose discipline comes and goes as a test says."""

    def __init__(self) -> None:
        super().__init__(trusted=False)
        self.disciplined = True
        self.offset_us, self.error_us = -120, 850

    def synced(self, now_ns: int) -> bool:
        return self.disciplined


class Times:
    """Both clocks; an hour of monotonic time has passed when it begins."""

    def __init__(self) -> None:
        self.utc_ns, self.monotonic_ns = 1_800_000_000 * S, 3600 * S

    def passes(self, seconds: float, jump_s: float = 0.0) -> None:
        self.monotonic_ns += int(seconds * S)
        self.utc_ns += int((seconds + jump_s) * S)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def keeper(kernel: Kernel, times: Times) -> Timekeeper:
    return Timekeeper(kernel, lambda: times.utc_ns, lambda: times.monotonic_ns)


def test_boot_state_and_offset_are_told_at_the_start_and_every_ten_minutes(
    keeper: Timekeeper, times: Times
) -> None:
    told = keeper.look()
    assert told == {
        "boot": boot_id(), "synchronised": True, "offset_us": -120, "error_us": 850, "jumped_us": 0,
    }  # fmt: skip
    for _ in range(EVERY_NS // S - 1):
        times.passes(1)
        assert keeper.look() is None
    times.passes(1)
    assert keeper.look() == told


def test_a_clock_that_is_no_longer_disciplined_is_told_at_once_and_is_an_alarm(
    keeper: Timekeeper, kernel: Kernel, times: Times
) -> None:
    keeper.look()
    kernel.disciplined = False
    times.passes(1)
    told = keeper.look()
    assert told is not None and told["synchronised"] is False and keeper.lost
    times.passes(EVERY_NS / S)
    assert keeper.look() is not None and keeper.lost, "it stays lost"
    kernel.disciplined = True
    times.passes(1)
    told = keeper.look()
    assert told is not None and told["synchronised"] is True and not keeper.lost


def test_a_clock_that_never_was_disciplined_is_told_and_lost_nothing(
    keeper: Timekeeper, kernel: Kernel
) -> None:
    kernel.disciplined = False
    told = keeper.look()
    assert told is not None and told["synchronised"] is False and not keeper.lost


@pytest.mark.parametrize(
    ("jump_s", "words"),
    [(-3600.0, "UTC went back by 3600.0 s"), (0.7, "UTC went forwards by 0.7 s")],
)
def test_a_jump_of_utc_is_told_once(
    keeper: Timekeeper, times: Times, jump_s: float, words: str
) -> None:
    keeper.look()
    times.passes(1, jump_s)
    told = keeper.look()
    assert told is not None and words_of(told["jumped_us"]) == words
    times.passes(1)
    assert keeper.look() is None


def test_what_ntp_slews_is_no_jump_and_neither_is_a_look_that_was_interrupted(
    kernel: Kernel, times: Times
) -> None:
    interrupted = [False]

    def utc_ns() -> int:
        if interrupted[0]:
            times.monotonic_ns += 2 * S  # between the two readings of monotonic time
        return times.utc_ns

    keeper = Timekeeper(kernel, utc_ns, lambda: times.monotonic_ns)
    keeper.look()
    for _ in range(20):
        times.passes(1, 0.083)
        assert keeper.look() is None
    interrupted[0] = True
    assert keeper.look() is None
    interrupted[0] = False
    times.utc_ns += 2 * S
    assert keeper.look() is None


def test_the_kernel_is_asked_for_its_offset() -> None:
    clock = UtcClock(trusted=True)
    assert clock.synced(time.monotonic_ns()) and clock.known_synced
    assert isinstance(clock.offset_us, int) and clock.error_us >= 0
