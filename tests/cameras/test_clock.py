"""When a picture was exposed, by the camera's clock and by ours."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from genicam.genapi import EAccessMode, EInterfaceType, GenericException
from genicam.gentl import InvalidParameterException, NotAvailableException

from inspector.cameras.clock import CameraClock

SECOND = 1_000_000_000


class Node:
    """One feature of a node map, by what reads, writes or runs it."""

    def __init__(self, mode: Any, value: Any = None, run: Any = None) -> None:
        self.node = SimpleNamespace(
            get_access_mode=lambda: mode, principal_interface_type=EInterfaceType.intfIInteger
        )
        self._value, self._run = value, run

    def execute(self) -> None:
        self._run()

    def get_value(self, verify: bool = False, ignore_cache: bool = False) -> Any:
        return self._value()


class OldCamera:
    """A GigE Vision camera of before SFNC 2: ticks of 8 ns that began some time ago."""

    TICKS_PER_S = 125_000_000

    def __init__(self) -> None:
        self.began_ns = time.monotonic_ns() - 77 * SECOND
        self.latched = 0
        self.gone = False
        self._nodes = {
            "GevTimestampControlLatch": Node(EAccessMode.WO, run=self._latch),
            "GevTimestampValue": Node(EAccessMode.RO, lambda: self.latched),
            "GevTimestampTickFrequency": Node(EAccessMode.RO, lambda: self.TICKS_PER_S),
        }

    def ticks(self, at_ns: int) -> int:
        return (at_ns - self.began_ns) * self.TICKS_PER_S // SECOND

    def has_node(self, name: str) -> bool:
        return name in self._nodes

    def get_node(self, name: str) -> Node:
        return self._nodes[name]

    def _latch(self) -> None:
        if self.gone:
            raise GenericException("no answer")
        self.latched = self.ticks(time.monotonic_ns())


class Buffer:
    """A picture of a producer that tells ticks and no ns."""

    def __init__(self, ticks: int, refusal: type[Exception] = NotAvailableException) -> None:
        self.timestamp = ticks
        self._refusal = refusal

    @property
    def timestamp_ns(self) -> int:
        raise self._refusal("ticks only")


DEVICE = SimpleNamespace(timestamp_frequency=OldCamera.TICKS_PER_S)


@pytest.mark.parametrize("refusal", [NotAvailableException, InvalidParameterException])
def test_ticks_of_an_older_camera_become_ns_of_ours(refusal: type[Exception]) -> None:
    camera = OldCamera()
    clock = CameraClock(camera, DEVICE)
    exposed_ns = time.monotonic_ns() - 40_000_000
    camera_ns = clock.ns(Buffer(camera.ticks(exposed_ns), refusal))
    assert abs(camera_ns - (exposed_ns - camera.began_ns)) <= 8
    began_ns = time.monotonic_ns()
    clock.look()
    length_ns = time.monotonic_ns() - began_ns
    assert -16 <= clock.here(camera_ns) - exposed_ns <= length_ns, "late by a look, never early"


class SilentDevice:
    """As of a producer that does not say how long its ticks are."""

    @property
    def timestamp_frequency(self) -> int:
        raise NotAvailableException("no frequency")


def test_ticks_whose_length_the_producer_does_not_tell_are_those_of_the_cameras_own_clock() -> None:
    """Taken for ns, those of a camera that has just got its power were a believable time: of
    another part."""
    camera = OldCamera()
    camera.began_ns = time.monotonic_ns() - 5 * SECOND
    clock = CameraClock(camera, SilentDevice())
    exposed_ns = time.monotonic_ns() - 40_000_000
    off_ns = clock.here(clock.ns(Buffer(camera.ticks(exposed_ns)))) - exposed_ns
    assert -16 <= off_ns < 20_000_000


def test_a_time_from_another_clock_is_not_believed() -> None:
    camera = OldCamera()
    clock = CameraClock(camera, DEVICE)
    now_ns = time.monotonic_ns() - camera.began_ns
    assert clock.here(now_ns + SECOND) == 0, "no picture is from the future"
    assert clock.here(now_ns - 60 * SECOND) == 0, "none is a minute under way"
    clock._width_ns = SECOND
    now_ns = time.monotonic_ns()
    here_ns = clock.here(now_ns + SECOND // 2 - camera.began_ns)
    assert now_ns <= here_ns <= time.monotonic_ns(), "but a look is no more exact than it was long"


@pytest.mark.parametrize("by_ms", [-30, 30])
def test_a_clock_that_was_set_is_believed_as_it_is_however_good_an_older_look_was(
    by_ms: int,
) -> None:
    """PTP steps it once it is locked: until the older look was stale, each part was timed wrongly,
    and a gate that is timed by its exposure opened for its neighbour."""
    camera = OldCamera()
    clock = CameraClock(camera, DEVICE)
    clock._width_ns = 0
    camera.began_ns += by_ms * 1_000_000
    clock.look()
    exposed_ns = time.monotonic_ns() - 40_000_000
    off_ns = clock.here(exposed_ns - camera.began_ns) - exposed_ns
    assert -16 <= off_ns <= clock._width_ns < 20_000_000


def test_a_camera_that_does_not_answer_keeps_what_it_told_and_breaks_nothing() -> None:
    camera = OldCamera()
    clock = CameraClock(camera, DEVICE)
    camera.gone = True
    clock.look()
    assert clock.here(time.monotonic_ns() - camera.began_ns) > 0


def test_a_camera_without_a_clock_that_can_be_read_says_so() -> None:
    camera = OldCamera()
    camera._nodes.clear()
    clock = CameraClock(camera, DEVICE)
    assert clock.here(time.monotonic_ns()) == 0
