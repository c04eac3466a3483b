"""A folder of images as a camera, for installations without a producer.

Enters: image files, in the order of their names, again and again. Leaves: ``Shot``s. Imports
config and pictures; ``process.py`` uses it. ``trigger: free`` plays ``rate`` images a second;
``software`` plays one per trigger; there is no line to trigger it by, so ``hardware`` plays at the
rate, too.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Self

import cv2

from inspector.cameras.formats import BY_NAME
from inspector.cameras.shot import Bad, CameraLost, CameraRefused, Counters, Identity, Shot
from inspector.config import Camera
from inspector.pictures import DEPTHS, bits_of, image_of, is_picture

_ASKED = 64
"""Files of sixteen bits that are asked, at most, how many their values have."""
_CACHE_BYTES = 256 << 20
"""Decoded images up to this are kept: decoding costs more than all else."""


class FolderCamera:
    """Plays the images of ``config.folder``; the first one's size is every one's."""

    def __init__(self, config: Camera) -> None:
        """``CameraRefused`` when there is no readable image."""
        folder = config.folder or Path()
        self._config = config
        if not folder.is_dir():
            raise CameraRefused(f"{config.name}: {folder} is no folder")
        try:
            self._files = sorted(filter(is_picture, folder.iterdir()))
        except OSError as error:
            what = f"{folder} cannot be read: {error.strerror}"
            raise CameraRefused(f"{config.name}: {what}") from None
        if not self._files:
            raise CameraRefused(f"{config.name}: no image in {folder}")
        self._cache: dict[int, Any] = {}
        self._counters = Counters()
        deep = bits_of(self._files[:: -(-len(self._files) // _ASKED)])
        self._bits = deep or DEPTHS[-1]
        first = _load(self._files[0], self._bits)
        if first is None:
            raise CameraRefused(f"{config.name}: {self._files[0]} is no readable image")
        self._height, self._width = first.shape[:2]
        self._form = BY_NAME["Mono8" if first.ndim == 2 else "BGR8"]
        self._grey = first.ndim == 2
        self.slot_bytes = first.size
        self._frame_id = 0
        self._pending = 0
        self._due_ns = time.monotonic_ns()
        self.identity = Identity(
            {"folder": str(folder), "images": len(self._files)} | ({"bits": deep} if deep else {}),
            (),
            {"Width": self._width, "Height": self._height, "PixelFormat": self._form.name},
        )

    def grab(self, timeout_ms: int) -> Shot | Bad | None:
        """The next image when its time has come, or None after ``timeout_ms``."""
        now = time.monotonic_ns()
        if self._config.trigger == "software":
            if not self._pending:
                time.sleep(timeout_ms / 1000)
                return None
            self._pending -= 1
        else:
            wait_ns = self._due_ns - now
            if wait_ns > timeout_ms * 1_000_000:
                time.sleep(timeout_ms / 1000)
                return None
            if wait_ns > 0:
                time.sleep(wait_ns / 1e9)
            late = max(self._due_ns, now - 1_000_000_000)  # after a stall no burst to catch up
            self._due_ns = late + int(1e9 / self._config.rate)
        self._frame_id += 1
        image = self._image((self._frame_id - 1) % len(self._files))
        if image is None:
            self._counters.incomplete += 1
            return Bad("incomplete", "not a readable image", self._frame_id, -1)
        if image.shape[:2] != (self._height, self._width):
            self._counters.wrong_size += 1
            message = f"{image.shape[1]}×{image.shape[0]} instead of {self._width}×{self._height}"
            return Bad("wrong_size", message, self._frame_id, -1)
        self._counters.frames += 1
        return Shot(
            image.reshape(-1),
            self._width,
            self._height,
            self._form.code,
            self._frame_id,
            -1,
            time.monotonic_ns(),
        )

    def _image(self, index: int) -> Any:
        if index in self._cache:
            return self._cache[index]
        try:
            image = _load(self._files[index], self._bits, grey=self._grey)
        except OSError as error:
            raise CameraLost(f"{self._files[index]}: {error.strerror}") from error
        if image is not None and len(self._cache) * self.slot_bytes < _CACHE_BYTES:
            self._cache[index] = image
        return image

    def give_back(self) -> None:
        """Nothing is borrowed."""

    def trigger(self) -> None:
        """Play one image; only where ``trigger: software`` is set."""
        if self._config.trigger != "software":
            raise CameraRefused(f"{self._config.name}: not on software trigger")
        self._pending += 1

    @property
    def counters(self) -> Counters:
        """Since the folder was opened."""
        return self._counters

    def statistics(self) -> dict[str, Any]:
        """Counters. ``CameraLost`` when the folder is gone."""
        if not self._files[0].parent.is_dir():
            raise CameraLost(f"{self._files[0].parent} is gone")
        c = self._counters
        return {"frames": c.frames, "incomplete": c.incomplete, "wrong_size": c.wrong_size}

    def signals(self) -> dict[str, bool]:
        """A folder has no lines."""
        return {}

    def close(self) -> None:
        """Forget the images."""
        self._cache.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _load(path: Path, bits: int, grey: bool | None = None) -> Any:
    """Grey stays grey, all else becomes BGR; None if it is no image. ``OSError`` if unreadable."""
    image, _ = image_of(path, path.read_bytes(), bits)
    if image is None or grey is None or (image.ndim == 2) is grey:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if grey else cv2.COLOR_GRAY2BGR)
