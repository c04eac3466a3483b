"""A picture goes in, a model's input buffer is filled: scaled to fit, the rest left grey.

Nothing is allocated per picture: the scaled picture is written straight into the bound buffer (or,
for float models, into one scratch picture). Imported by the tools.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
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
        self._source: tuple[int, ...] = ()
        self.scale = 1.0
        """Input pixels per picture pixel."""
        self.left = self.top = 0
        """Where the picture begins in the input, in input pixels."""

    def fill(self, pixels: Pixels) -> None:
        """Writes ``pixels``, (h, w) or (h, w, 3) BGR, into the buffer."""
        if pixels.shape != self._source:
            self._place(pixels)
        height, width = self._area.shape[:2]
        same = pixels.shape[0] == height and pixels.shape[1] == width
        if (pixels.ndim == 2) == self._grey:
            target = self._scaled
            if same:
                np.copyto(target, pixels)
            else:
                cv2.resize(pixels, (width, height), dst=target, interpolation=self._way)
        elif self._grey:
            # Fewer bytes to scale when the colour goes first.
            cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY, dst=self._other)
            cv2.resize(self._other, (width, height), dst=self._scaled, interpolation=self._way)
        else:
            cv2.resize(pixels, (width, height), dst=self._other, interpolation=self._way)
            cv2.cvtColor(self._other, cv2.COLOR_GRAY2BGR, dst=self._scaled)
        if not self._direct:
            self._convert()

    def back(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """``boxes`` [n,4] in input pixels → in the picture's pixels, clipped to it; in place."""
        height, width = self._source[:2]
        boxes -= (self.left, self.top, self.left, self.top)
        boxes /= self.scale
        return np.clip(boxes, 0, (width, height, width, height), out=boxes)

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
        self.scale = scale
        # Area averaging does not alias, and at 1:2 it costs no more than bilinear.
        self._way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
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
