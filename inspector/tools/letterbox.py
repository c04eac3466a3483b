"""A picture goes in, a model's input buffer is filled: scaled to fit, the rest left grey.

Nothing is allocated per picture: the scaled picture is written straight into the bound buffer (or,
for float models, into one scratch picture). Imported by the tools.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Box, Pixels
from inspector.tools.card import Card


class Letterbox:
    """One model input, ready to be filled with pictures of any size.

    ``buffer`` is [1,H,W,C] or [1,C,H,W] after the card's layout; the first picture of the batch is
    filled. The geometry is worked out again only when the picture's size changes.
    """

    def __init__(self, card: Card, buffer: NDArray[Any]) -> None:
        self._box = card.letterbox
        self._grey = card.input.colour == "grey"
        self._rgb = card.input.colour == "RGB"
        image = buffer[0] if card.input.layout == "NHWC" else buffer[0].transpose(1, 2, 0)
        self._direct = buffer.dtype == np.uint8 and card.input.layout == "NHWC" and not self._rgb
        self._float = buffer.dtype != np.uint8
        if self._float:
            std = np.asarray(card.input.std, np.float32)
            mean = np.asarray(card.input.mean, np.float32)
            self._gain = np.float32(card.input.scale) / std
            self._offset = -mean / std
            self._fill = self._box.pad * self._gain + self._offset
        else:
            self._fill = np.asarray(self._box.pad, np.float32)
        image[...] = self._fill
        self._image = image
        self.width = int(image.shape[1])
        """Of the input, in pixels."""
        self._source: tuple[int, ...] = ()
        self.scale = 1.0
        """Input pixels per picture pixel."""
        self.left = self.top = 0
        """Where the picture begins in the input, in input pixels."""

    def fill(self, pixels: Pixels) -> None:
        """Writes ``pixels``, (h, w) or (h, w, 3) BGR, into the buffer."""
        if pixels.shape != self._source:
            self._place(pixels)
        if pixels.ndim == 3 and self._grey:
            # Fewer bytes to scale when the colour goes first.
            cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY, dst=self._other)
            pixels = self._other
        for half in self._halves:
            size = half.shape[1], half.shape[0]
            cv2.resize(pixels, size, dst=half, interpolation=cv2.INTER_AREA)
            pixels = half
        target = self._other if pixels.ndim == 2 and not self._grey else self._scaled
        if pixels.shape[:2] == target.shape[:2]:
            np.copyto(target, pixels)
        else:
            size = target.shape[1], target.shape[0]
            cv2.resize(pixels, size, dst=target, interpolation=self._way)
        if target is not self._scaled:
            cv2.cvtColor(target, cv2.COLOR_GRAY2BGR, dst=self._scaled)
        if not self._direct:
            self._convert()

    def back(self, box: Sequence[float], corner: tuple[int, int] = (0, 0)) -> Box:
        """A box in input pixels → in the picture's, clipped to it, ``corner`` added."""
        height, width = self._source[:2]
        x1, y1, x2, y2 = box
        dx, dy, scale = corner[0], corner[1], self.scale
        return (
            min(max((x1 - self.left) / scale, 0.0), width) + dx,
            min(max((y1 - self.top) / scale, 0.0), height) + dy,
            min(max((x2 - self.left) / scale, 0.0), width) + dx,
            min(max((y2 - self.top) / scale, 0.0), height) + dy,
        )

    def _place(self, pixels: Pixels) -> None:
        height, width = pixels.shape[:2]
        rows, columns = self._image.shape[:2]
        scale = min(rows / height, columns / width)
        if not self._box.upscale:
            scale = min(scale, 1.0)
        h, w = max(1, round(height * scale)), max(1, round(width * scale))
        self.top = self.left = 0
        if self._box.align == "centre":
            self.top, self.left = (rows - h) // 2, (columns - w) // 2
        if self._source:  # an earlier picture of another size has left its mark
            self._image[...] = self._fill
        self._area = self._image[self.top : self.top + h, self.left : self.left + w]
        channels = () if self._grey else (3,)
        if self._direct:
            self._scaled = self._area[:, :, 0] if self._grey else self._area
        else:
            self._scaled = np.empty((h, w, *channels), np.uint8)
        if (pixels.ndim == 2) != self._grey:
            size = (height, width) if self._grey else (h, w)
            self._other = np.empty(size, np.uint8)
        halves, self._way = shrinking((height, width), (h, w))
        if halves and halves[-1] == (h, w):
            halves.pop()
        depth = () if self._grey or pixels.ndim == 2 else (3,)
        self._halves: list[Pixels] = [np.empty((*size, *depth), np.uint8) for size in halves]
        self.scale = scale
        self._source = pixels.shape

    def _convert(self) -> None:
        scaled = self._scaled if self._scaled.ndim == 3 else self._scaled[:, :, None]
        if self._rgb:
            scaled = scaled[:, :, ::-1]
        if self._float:
            np.multiply(scaled, self._gain, out=self._area, casting="unsafe")
            if self._offset.any():
                self._area += self._offset
        else:
            self._area[...] = scaled


def shrinking(size: tuple[int, int], target: tuple[int, int]) -> tuple[list[tuple[int, int]], int]:
    """By which halvings a picture of ``size``, rows and columns, comes near ``target``, and
    OpenCV's way for the last step.

    Area averaging does not alias. OpenCV is fast at it for 1:2 only: 1280x1024 to a quarter takes
    0.4 ms in two halvings, 1.4 ms at once.
    """
    (height, width), (h, w) = size, target
    halves = []
    while height % 2 == 0 and width % 2 == 0 and height >= 2 * h and width >= 2 * w:
        height, width = height // 2, width // 2
        halves.append((height, width))
    return halves, cv2.INTER_AREA if height >= 2 * h else cv2.INTER_LINEAR
