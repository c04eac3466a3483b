"""What camera input lines make of a PLC's signals, and of a station that has none. (I2)"""

from __future__ import annotations

import pytest

from inspector.config import Camera
from inspector.line.inputs import FINE, Inputs
from inspector.registers import Signal


def inputs(*views: str) -> Inputs:
    wired = {"bin_full": "Line2", "air_ok": "Line3"}
    return Inputs([Camera(name=v, serial=v, signals=wired) for v in views])


@pytest.mark.parametrize(
    ("told", "gone", "come"),
    [
        ({"bin_full": False, "air_ok": True}, Signal(0), Signal(0)),
        ({"bin_full": True}, Signal(0), Signal.BIN_FULL),
        ({"air_ok": False}, Signal.AIR_OK, Signal(0)),
        ({"estop_clear": False, "jam": True}, Signal.ESTOP_CLEAR, Signal.JAM),
    ],
)
def test_a_line_can_only_make_it_worse(told: dict[str, bool], gone: Signal, come: Signal) -> None:
    lines = inputs("side")
    lines.told("side", told)

    assert lines.worse(FINE) == FINE & ~gone | come


def test_what_the_plc_says_is_wrong_stays_wrong() -> None:
    lines = inputs("side")
    lines.told("side", {"bin_full": False, "air_ok": True})

    assert lines.worse(Signal.BIN_FULL) == Signal.BIN_FULL


def test_the_worst_of_several_cameras_counts() -> None:
    lines = inputs("side", "code")
    lines.told("side", {"bin_full": True})
    lines.told("code", {"bin_full": False})

    assert Signal.BIN_FULL in lines.worse(FINE)


def test_lines_are_unknown_until_they_are_heard_and_after_their_camera_is_lost() -> None:
    lines = inputs("side")
    assert lines.unknown == {"side"}
    lines.told("side", {"bin_full": True})
    assert not lines.unknown
    lines.forget("side")
    assert lines.unknown == {"side"}
    assert lines.worse(FINE) == FINE


def test_a_station_without_wires_is_never_kept_waiting() -> None:
    lines = Inputs([Camera(name="side", serial="V1")])

    assert not lines.wired and not lines.unknown
