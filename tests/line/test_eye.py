"""The first camera as the trigger eye of a station without a PLC. (I1, I2)"""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.cameras.messages import CameraEvent, EventKind
from inspector.config import Camera, Travel
from inspector.line.eye import Eye
from inspector.part import Frame

MS = 1_000_000
TRAVEL = Travel(gate_mm=500, speed_mm_s=500, pitch_min_mm=20, lead_ms=50)
"""20 mm are 40 ms, the gate is a second away."""


def eye(**changes: object) -> Eye:
    return Eye(Camera.model_validate({"name": "side"} | changes), TRAVEL, gated=True)


def frame(exposed_ms: int, came_ms: int = 0) -> Frame:
    return Frame("side", 0, 0, 0, (came_ms or exposed_ms + 3) * MS, exposed_ms * MS)


def test_the_way_to_the_gate_begins_when_the_picture_is_exposed_and_not_when_it_comes() -> None:
    """A picture of 5 megapixels needs 45 ms for its cable, which is more than the gate's window."""
    counted = eye().see(1, frame(1000, came_ms=1045))
    assert list(counted.numbers) == [1]
    assert (counted.trigger_ns, counted.deadline_ns) == (1000 * MS, 1950 * MS)


def test_a_camera_that_cannot_tell_its_time_exposes_when_its_picture_comes() -> None:
    counted = eye().see(1, Frame("side", 0, 0, 0, 7 * MS))
    assert counted.trigger_ns == 7 * MS


def test_a_part_whose_exposure_is_not_told_as_that_of_others_is_refused() -> None:
    """It would be timed by when its picture came, which is not how far it has gone."""
    side = eye()
    assert not side.see(1, frame(1000)).refused
    counted = side.see(2, Frame("side", 0, 0, 0, 1145 * MS))
    assert (list(counted.refused), "part 2" in counted.why) == ([2], True)
    assert not side.see(3, frame(1200)).refused
    side.told(CameraEvent("side", EventKind.CONNECTED))
    assert not side.see(4, Frame("side", 0, 0, 0, 1300 * MS)).refused, "this one never tells"


def test_a_part_whose_picture_was_under_way_while_the_belt_stood_is_refused() -> None:
    """The line heard of it when the belt ran again, and timed the gate as if it had never stood."""
    side = eye()
    side.stood_ns = 1500 * MS
    counted = side.see(1, frame(1000, came_ms=1510))
    assert (list(counted.refused), "part 1" in counted.why) == ([1], True)
    assert not side.see(2, frame(1600)).refused


def test_parts_at_a_legal_pitch_pass() -> None:
    side = eye()
    assert [side.see(n, frame(1000 + 40 * n)).refused for n in range(1, 20)] == [()] * 19


@pytest.mark.parametrize("apart_ms", [0, 1, 20, 37])
def test_a_double_trigger_and_touching_parts_are_all_refused(apart_ms: int) -> None:
    side = eye()
    side.see(1, frame(1000))
    side.see(2, frame(1100))
    counted = side.see(3, frame(1100 + apart_ms))
    assert list(counted.refused) == [2, 3]
    assert "2 and 3" in counted.why
    assert not side.see(4, frame(1200)).refused


def test_an_edge_that_the_camera_ignored_takes_its_neighbours_with_it() -> None:
    side = eye()
    side.see(1, frame(1000))
    counted = side.see(3, frame(1100))
    assert list(counted.numbers) == [2, 3]
    assert list(counted.refused) == [1, 2, 3]


def test_a_part_that_was_counted_is_not_counted_again() -> None:
    side = eye()
    side.see(2, frame(1000))
    assert not side.see(2, frame(1001)).numbers
    assert side.newest == 2


@pytest.mark.parametrize(
    "free", [{"trigger": "free"}, {"source": "folder", "folder": "x", "trigger": "free"}]
)
def test_a_camera_that_runs_free_has_no_double_edges(free: dict[str, object]) -> None:
    side = eye(**free)
    side.see(1, frame(1000))
    assert not side.see(2, frame(1001)).refused
    assert not side.see(5, frame(1002)).refused


@pytest.mark.parametrize(
    ("eyes", "others"),
    [("hardware", ("code", "top")), ("encoder", ("code", "top")), ("free", ("top",))],
)
def test_pictures_that_follow_the_eyes_are_compared_with_them(
    eyes: str, others: tuple[str, ...]
) -> None:
    """A picture that was asked for and did not come gave each part after it its neighbour's."""
    cameras = [
        Camera.model_validate(
            {"name": "side", "trigger": eyes, "every_counts": 9 if eyes == "encoder" else None}
        ),
        Camera(name="code"),
        Camera(name="top", trigger="software"),
        Camera(name="back", trigger="free"),
        Camera(name="lid", source="folder", folder=Path("lids"), trigger="software"),
    ]
    assert Eye(cameras[0], TRAVEL, gated=True).timed(cameras) == others


def test_who_only_watches_is_in_no_hurry() -> None:
    side = Eye(Camera(name="side"), TRAVEL, gated=False)
    assert side.see(1, frame(1000)).deadline_ns == 61_000 * MS
