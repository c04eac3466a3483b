"""The ring between a camera's process and the line."""

from __future__ import annotations

import resource
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.cameras.messages import CameraEvent, frames_endpoint
from inspector.cameras.outbox import Outbox
from inspector.cameras.process import watch
from inspector.cameras.receiver import FrameReceiver
from inspector.cameras.ring import BUFFERS, Place, RingReader, RingWriter, slots_for
from inspector.config import Camera


def picture(value: int, size: int = 100) -> np.ndarray:
    return np.full(size, value, np.uint8)


@pytest.fixture
def ends(tmp_path: Path) -> tuple[RingWriter, RingReader]:
    writer = RingWriter(tmp_path / "ring", slots=3, slot_bytes=100)
    return writer, RingReader(tmp_path / "ring")


def test_the_reader_sees_what_was_written_without_a_copy(
    ends: tuple[RingWriter, RingReader],
) -> None:
    writer, reader = ends
    place = writer.write(picture(7))
    view = reader.view(place, 100)
    assert view is not None
    np.testing.assert_array_equal(view, picture(7))
    assert reader.holds(place)
    for value in (8, 9, 10):
        writer.write(picture(value))
    np.testing.assert_array_equal(view, picture(10))  # a view, and the reader is told:
    assert not reader.holds(place)
    assert reader.view(place, 100) is None


def test_a_slot_that_is_being_written_is_nobodys(ends: tuple[RingWriter, RingReader]) -> None:
    writer, reader = ends
    place = writer.write(picture(1))
    writer._generation[place.slot] += 1
    assert not reader.holds(place)
    assert reader.view(place, 100) is None


def test_a_picture_may_be_smaller_than_its_slot_and_never_larger(
    ends: tuple[RingWriter, RingReader],
) -> None:
    writer, reader = ends
    place = writer.write(picture(5, 10))
    view = reader.view(place, 10)
    assert view is not None and view.size == 10
    assert reader.view(place, 101) is None
    assert reader.view(Place(9, 2), 10) is None
    with pytest.raises(ValueError):
        writer.write(picture(5, 101))


def test_a_new_ring_replaces_the_old_one_whose_views_stay(
    tmp_path: Path, ends: tuple[RingWriter, RingReader]
) -> None:
    writer, reader = ends
    view = reader.view(writer.write(picture(3)), 100)
    other = RingWriter(tmp_path / "ring", slots=2, slot_bytes=50)
    other.write(picture(4, 50))
    reader.close()
    writer.close()
    assert view is not None
    np.testing.assert_array_equal(view, picture(3))
    assert RingReader(tmp_path / "ring").id == other.id != writer.id


def test_only_its_user_may_read_it(tmp_path: Path, ends: tuple[RingWriter, RingReader]) -> None:
    assert stat.S_IMODE((tmp_path / "ring").stat().st_mode) == 0o600


def test_what_is_no_ring_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(4096))
    with pytest.raises(ValueError, match="not a ring"):
        RingReader(tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        RingReader(tmp_path / "y")


def test_a_repeated_picture_is_recognised_byte_by_byte(
    ends: tuple[RingWriter, RingReader],
) -> None:
    writer, _ = ends
    first = picture(1)
    assert not writer.repeats(first)
    writer.write(first)
    almost = first.copy()
    almost[50] = 2  # not among the samples
    assert not writer.repeats(almost)
    writer.write(almost)
    assert writer.repeats(almost.copy())


def test_a_removed_ring_leaves_no_file(tmp_path: Path, ends: tuple[RingWriter, RingReader]) -> None:
    ends[0].remove()
    assert not (tmp_path / "ring").exists()


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond a megabyte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_camera_whose_ring_has_no_room_says_so_once_and_tries_on(
    small_files: None, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos/0.png"), np.zeros((480, 640, 3), np.uint8))
    endpoint, heard, asked = frames_endpoint(tmp_path), [], 0
    receiver, outbox = FrameReceiver(endpoint, ["side"]), Outbox(endpoint, "side", 0)

    def ending() -> bool:
        nonlocal asked
        asked += 1  # by each attempt once, and by the waits between them
        while (message := receiver.receive()) is not None:
            heard.append(message)
        return time.monotonic() > until

    until = time.monotonic() + 1.0
    try:
        watch(Camera(name="side", source="folder", folder=tmp_path / "photos"), outbox, ending)
    finally:
        outbox.close()
        receiver.close()
    (told,) = heard
    assert isinstance(told, CameraEvent) and told.kind == "refused" and asked > 3
    assert "no room for 16 pictures of 921600 bytes" in told.message
    assert "lower `buffers`" in told.message


@pytest.mark.parametrize("parts", [0, 1, 50, 100_000])
@pytest.mark.parametrize("slot_bytes", [1, 307_200, 1_310_720, 20_000_000])
@pytest.mark.parametrize(
    "free_bytes, most_bytes", [(0, 16 << 20), (128 << 20, 32 << 20), (1 << 40, 40 << 20)]
)
def test_a_ring_holds_what_is_on_its_way_and_takes_a_quarter_of_the_free_memory(
    parts: int, slot_bytes: int, free_bytes: int, most_bytes: int
) -> None:
    slots = slots_for(parts, slot_bytes, free_bytes)
    assert BUFFERS <= slots <= 256
    assert slots == BUFFERS or slots * slot_bytes <= most_bytes
    if (parts + BUFFERS) * slot_bytes <= most_bytes and parts <= 200:
        assert slots == parts + BUFFERS
