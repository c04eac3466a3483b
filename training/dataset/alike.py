"""Pictures that repeat one another: pixels enter, groups of near-duplicates leave.

On a line all good parts look alike, so a coarse hash alone would call them all duplicates. A
64-bit hash of low frequencies (after Zauner 2010's pHash) finds candidates, and a thumbnail
decides: two pictures of one part differ by noise and compression, two parts by where they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.step import grey_of

SIDE, LOW = 64, 9
BITS = 10
"""Candidates differ in at most so many of 64 bits."""
RMS = 2.5
"""Grey levels between two thumbnails of one picture, saved as JPEG of quality 60 and 95."""


@dataclass(frozen=True, slots=True)
class Print:
    """What a picture is compared by."""

    bits: NDArray[np.uint64]
    thumbnail: NDArray[np.float32]


def print_of(pixels: Pixels) -> Print:
    """A picture's fingerprint."""
    small = cv2.resize(grey_of(pixels), (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    low = cv2.dct(small)[1:LOW, 1:LOW].ravel()
    bits = np.packbits(low > np.median(low)).view(np.uint64)
    return Print(bits, small)


def alike(prints: Sequence[Print]) -> list[int]:
    """For each picture the index of the first that it repeats; its own where there is none."""
    first = list(range(len(prints)))
    if not prints:
        return first
    bits = np.stack([p.bits for p in prints])
    for i in range(1, len(prints)):
        apart = np.bitwise_count(bits[:i] ^ bits[i]).sum(1)
        for j in np.flatnonzero(apart <= BITS):
            gap = prints[int(j)].thumbnail - prints[i].thumbnail
            if float(np.sqrt(np.mean(np.square(gap)))) <= RMS:
                first[i] = first[int(j)]
                break
    return first
