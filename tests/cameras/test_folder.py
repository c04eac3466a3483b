"""A folder of images as a camera: a station without any hardware to buy (S17)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inspector.cameras.folder import FolderCamera
from inspector.cameras.messages import EventKind
from inspector.cameras.shot import Bad, CameraRefused, Shot
from inspector.config import Camera


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for value in range(3):
        picture = np.random.default_rng(value).integers(0, 256, (10, 12, 3), np.uint8)
        cv2.imwrite(str(folder / f"{value}.png"), picture)
    return folder


def camera(folder: Path, **settings: Any) -> FolderCamera:
    base: dict[str, Any] = {"name": "side", "source": "folder", "folder": folder, "rate": 1000}
    return FolderCamera(Camera(**base | settings))


def test_images_come_in_the_order_of_their_names_again_and_again(images: Path) -> None:
    with camera(images, trigger="free") as source:
        for count in range(7):
            shot = source.grab(1000)
            assert isinstance(shot, Shot)
            expected = cv2.imread(str(images / f"{count % 3}.png"))
            np.testing.assert_array_equal(shot.data.reshape(10, 12, 3), expected)
            assert shot.frame_id == count + 1


def test_the_rate_is_kept(images: Path) -> None:
    with camera(images, rate=50) as source:
        begin = time.monotonic()
        shots = [source.grab(1000) for _ in range(10)]
        assert all(isinstance(s, Shot) for s in shots)
        assert time.monotonic() - begin >= 0.17
        assert source.grab(1) is None


def test_a_software_trigger_plays_one(images: Path) -> None:
    with camera(images, trigger="software") as source:
        assert source.grab(1) is None
        source.trigger()
        assert isinstance(source.grab(100), Shot)
        assert source.grab(1) is None


def test_grey_images_stay_grey(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.arange(120, dtype=np.uint8).reshape(10, 12))
    with camera(tmp_path) as source:
        shot = source.grab(1000)
        assert isinstance(shot, Shot)
        assert shot.pixel_format == 0x01080001


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_files_of_twelve_bits_are_seen_with_their_high_eight(tmp_path: Path, suffix: str) -> None:
    values = np.random.default_rng(1).integers(0, 4096, (3, 10, 12), np.uint16)
    values[0] >>= 5  # a dark picture stays darker than a bright one
    for number, picture in enumerate(values):
        cv2.imwrite(str(tmp_path / f"{number}.{suffix}"), picture)
    with camera(tmp_path) as source:
        assert source.identity.device["bits"] == 12
        for picture in values:
            shot = source.grab(1000)
            assert isinstance(shot, Shot) and shot.pixel_format == 0x01080001
            np.testing.assert_array_equal(shot.data.reshape(10, 12), picture >> 4)


def test_an_image_that_cannot_be_used_is_a_bad_shot(images: Path) -> None:
    (images / "1.png").write_bytes(b"no image")
    cv2.imwrite(str(images / "2.png"), np.zeros((5, 5, 3), np.uint8))
    with camera(images) as source:
        kinds = [s.kind if isinstance(s, Bad) else "" for s in (source.grab(1000) for _ in "123")]
    assert kinds == ["", "incomplete", "wrong_size"]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CameraRefused, match="no image in"):
        camera(tmp_path)
    with pytest.raises(CameraRefused, match="is no folder"):
        camera(tmp_path / "nowhere")


def test_its_process_delivers_frames_to_the_line(
    run_camera: Callable[..., Any], images: Path
) -> None:
    line = run_camera(f"name: side, source: folder, folder: {images}, rate: 20, trigger: free")
    frames = [line.frame() for _ in range(4)]
    ids = [frame.frame_id for frame in frames]
    assert ids == list(range(ids[0], ids[0] + 4))
    for frame in frames:
        expected = cv2.imread(str(images / f"{(frame.frame_id - 1) % 3}.png"))
        np.testing.assert_array_equal(line.receiver.pixels(frame), expected)
    assert not [e for e in line.events if e.kind is not EventKind.STATISTICS]
