"""What a difference does to a pattern of conductors: pixels go in, the fault's name comes out.

Named by what is joined and what is cut, as an electrician would: copper that touches nothing is
``copper``, one conductor a ``spur``, two a ``short``; a gap inside a conductor is a ``pin-hole``,
at its rim a ``mousebite``, right across an ``open``: so is one that cuts a corner off. The second
three are the first three with copper and gap exchanged. Imported by ``compare``.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

TOO_MUCH = ("copper", "spur", "short")
TOO_LITTLE = ("pin-hole", "mousebite", "open")
TRACES = (*TOO_LITTLE, *TOO_MUCH)
CONNECTING = (TOO_LITTLE[2], TOO_MUCH[2])
"""Faults that change what is connected with what."""
CRUMB_PX = 50
"""A smaller piece that is cut off is a crumb in a bite and no conductor's end. Of 132 pairs of
boards, corners that opens cut off have 70 px and more, crumbs in mousebites 44 and fewer."""


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
