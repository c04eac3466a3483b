"""What a difference does to a pattern of conductors: pixels go in, the fault's name comes out.

Named by what is joined and what is cut, as an electrician would: copper that touches nothing is
``copper``, one conductor a ``spur``, two a ``short``; a gap inside a conductor is a ``pin-hole``,
at its rim a ``mousebite``, right across an ``open``: so is one that cuts a corner off. The second
three are the first three with copper and gap exchanged. Imported by ``compare``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.tools.step import grey_of

Mask = NDArray[np.bool_]

TOO_MUCH = ("copper", "spur", "short")
TOO_LITTLE = ("pin-hole", "mousebite", "open")
TRACES = (*TOO_LITTLE, *TOO_MUCH)
CONNECTING = (TOO_LITTLE[2], TOO_MUCH[2])
"""Faults that change what is connected with what."""
CRUMB_PX = 50
"""A smaller piece that is cut off is a crumb in a bite and no conductor's end. Of 132 pairs of
boards, corners that opens cut off have 70 px and more, crumbs in mousebites 44 and fewer."""


DOUBT = (0.3, 0.7)
"""Where between the tones of copper and gap the bound may lie as well: what is half etched is an
open with one bound and a mousebite with another."""


class Conductors:
    """Names the differences on one part's conductors."""

    def __init__(
        self, seen: Pixels, golden: Pixels, dark: bool, around_px: int, least_px: int
    ) -> None:
        """The part brought onto its golden picture, and that; ``dark``: so is copper. Conductors
        are followed ``around_px`` about a difference, see ``trace_fault`` for ``least_px``."""
        self._seen, grey = grey_of(seen), grey_of(golden)
        self._dark, self._bounds = dark, _bounds(self._seen)
        self._golden = self._copper(grey, _bounds(grey)[1])
        self._around, self._least = around_px, least_px

    def name(self, x: int, y: int, spot: Mask) -> str:
        """The name of the difference ``spot``, whose corner is at x, y."""
        return self._named(x, y, spot, self._bounds[1:2])[0]

    def votes(self, x: int, y: int, spot: Mask) -> dict[str, float]:
        """The share of each name that it has if copper begins a little darker or brighter."""
        said = self._named(x, y, spot, self._bounds)
        return {name: said.count(name) / len(said) for name in said}

    def _named(self, x: int, y: int, spot: Mask, bounds: Sequence[float]) -> list[str]:
        around = self._around
        top, left = max(0, y - around), max(0, x - around)
        cut = (slice(top, y + spot.shape[0] + around), slice(left, x + spot.shape[1] + around))
        seen, golden = self._seen[cut], self._golden[cut]
        wide = np.zeros(golden.shape, bool)
        wide[y - top : y - top + spot.shape[0], x - left : x - left + spot.shape[1]] = spot
        return [trace_fault(self._copper(seen, b), golden, wide, self._least) for b in bounds]

    def _copper(self, grey: Pixels, bound: float) -> Mask:
        return np.asarray(grey <= bound if self._dark else grey > bound)


def _bounds(grey: Pixels) -> tuple[float, float, float]:
    """Where copper and gap part, and a little to either side of it."""
    bound, above = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    low, high = cv2.mean(grey, cv2.bitwise_not(above))[0], cv2.mean(grey, above)[0]
    least, most = (low + share * (high - low) for share in DOUBT)
    return (least, bound, most)


def trace_fault(seen: Mask, golden: Mask, spot: Mask, least_px: int) -> str:
    """The name of one difference: ``seen`` and ``golden`` are true on copper, ``spot`` where they
    differ; all (h, w), the difference with some surroundings. Fewer shared pixels than ``least_px``
    are a rough edge and no contact."""
    extra = int((spot & seen).sum())
    if 2 * extra < int(spot.sum()):
        seen, golden, names = ~seen, ~golden, TOO_LITTLE
    else:
        names = TOO_MUCH
    now, then = _numbered(seen), _numbered(golden)
    parts = int(then.max()) + 1
    touched = 0
    for region in np.unique(now[spot & seen]):
        shared = np.bincount(then[(now == region) & golden], minlength=parts)
        touched = max(touched, int((shared[1:] >= least_px).sum()))
    if touched == 1 and _parted(golden, seen):
        touched = 2
    return names[min(touched, 2)]


def _parted(golden: Mask, seen: Mask) -> bool:
    """Whether one piece of what ``golden`` does not cover is several in ``seen``, none a crumb."""
    then, now = _numbered(~golden), _numbered(~seen & ~golden)
    sizes = np.bincount(now.reshape(-1))
    sizes[0] = 0
    whole = [int(then[now == piece][0]) for piece in np.flatnonzero(sizes >= CRUMB_PX)]
    return len(whole) > len(set(whole))


def _numbered(mask: Mask) -> NDArray[Any]:
    # Copper that meets at a corner only does not conduct: 4 neighbours, for gaps as for copper.
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1])
