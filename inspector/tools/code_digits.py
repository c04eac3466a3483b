"""A profile across bars goes in, the EAN or UPC number that explains it best comes out.

Where bars are so blurred that they run together, no threshold tells one from the next, but a digit
still looks like no other: the profile is compared with what each digit would look like through the
same blur, between guards that every such code has (after O. Gallo, R. Manduchi, "Reading 1D
barcodes with mobile phones using deformable templates", PAMI 2011). Where the code begins and ends,
how it is bent, how wide ink ran and how strong the blur is are found by what explains the whole
best. Patterns are of ISO/IEC 15420. Imported by ``tools/code_search.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]

ODD = (
    "0001101", "0011001", "0010011", "0111101", "0100011",
    "0110001", "0101111", "0111011", "0110111", "0001011",
)  # fmt: skip
"""Digits in the left half, 1 is ink: number set A."""
RIGHT = tuple("".join("10"[int(m)] for m in digit) for digit in ODD)
"""Set C."""
EVEN = tuple(digit[::-1] for digit in RIGHT)
"""Set B."""
FIRST = (
    "AAAAAA", "AABABB", "AABBAB", "AABBBA", "ABAABB",
    "ABBAAB", "ABBBAA", "ABABAB", "ABABBA", "ABBABA",
)  # fmt: skip
"""An EAN-13's first digit is told by the sets of the next six."""
EDGE, MIDDLE = "101", "01010"
FINE = 16
"""Steps a module in which ink and blur are drawn …"""
SAMPLES = 4
"""… and samples a module that are compared."""
BLURS = (
    ("soft", 0.15), ("soft", 0.4), ("soft", 0.65), ("soft", 0.9),
    ("disk", 0.8), ("disk", 1.1), ("disk", 1.4),
    ("moved", 1.2), ("moved", 1.7), ("moved", 2.2),
)  # fmt: skip
"""Standard deviation; radius of what is out of focus, beyond 1.2 of which thin bars and gaps change
places; way moved: in modules."""
REST = 0.2
"""Standard deviation of what blurs those that are out of focus, or moved, besides."""
INKS = (-2, 0, 2)
"""By how many fine steps ink runs beyond each edge."""
LOOKS = tuple((*blur, ink) for blur in BLURS for ink in INKS)
COARSE = tuple(i for i, look in enumerate(LOOKS) if look[0] == "soft" and look[2] == 0)
"""Looks that tell where a code lies; all tell what it says."""
PAPER = 0.75
"""A profile above is surely paper: 1 is paper, 0 ink."""
ENDS = 4
"""Edges that may be the code's first, and its last."""
BENDS = (-0.02, 0.0, 0.02)
"""By what share of its width a code's middle may be off, as it is when it stands aslant …"""
WRAPS = (0.0, 0.5, 0.8, 1.0)
"""… and half the angle, in radians, by which it may be wrapped around a bottle."""
TRIED = 2
"""Best of the rough fits that are made fine …"""
HOPELESS = 0.08
"""… unless they are worse than this. Of what was read, the worst rough fit had 0.057."""
POOR = 0.03
"""A fine fit that is worse holds no number."""


@dataclass(frozen=True, slots=True)
class Number:
    """An EAN-13 (which UPC-A is, with a 0 before it) or EAN-8 number whose check digit is right."""

    symbology: str
    """zxing-cpp's name."""
    text: str
    ends: tuple[float, float]
    """Where its first and last bar end, in steps of the profile; the other way round where it
    stands upside down."""
    misfit: float
    """Mean squared difference from what the number would look like."""
    margin: float
    """By how much the least certain digit is likelier than any other, as a natural logarithm."""


class _Place(NamedTuple):
    """Where a code may lie in a profile."""

    start: float
    end: float
    bend: float = 0.0
    wrap: float = 0.0


@dataclass(frozen=True, slots=True)
class _Looks:
    """What the parts of a code look like, for each (blur, ink)."""

    left: Floats
    """[looks, 20, 7 · SAMPLES]: sets A and B."""
    right: Floats
    """[looks, 10, 7 · SAMPLES]."""
    edges: tuple[Floats, Floats, Floats]
    """[looks, …]: first guard, middle one, last."""


def read_number(profile: Floats) -> Number | None:
    """The number that explains a profile, (w,) between ink (0) and paper (1), best; None where none
    does that has a right check digit. A caller asks how well: ``misfit``, ``margin``."""
    rough: list[tuple[float, int, _Place]] = []
    for half in (6, 4):
        for places in _rough(profile, half):
            misfits = _misfits(_sampled(profile, places, half), half, COARSE).min(1)
            best = np.argsort(misfits, kind="stable")[:TRIED]
            rough += [(float(misfits[i]), half, places[i]) for i in best]
    rough.sort(key=lambda one: one[0])
    fine = [
        (*_fitted(profile, place, half), half)
        for misfit, half, place in rough[:TRIED]
        if misfit < HOPELESS
    ]
    if not fine:
        return None
    misfit, place, half = min(fine, key=lambda one: one[0])
    if misfit > POOR:
        return None
    return _number(_sampled(profile, [place], half), half, place)


def _modules(half: int) -> int:
    return 14 * half + 11


def _rough(profile: Floats, half: int) -> Iterator[list[_Place]]:
    """Places between any of the first and any of the last edges, both ways round."""
    ink = np.concatenate([[False], profile < PAPER, [False]])
    starts = np.flatnonzero(ink[1:-1] & ~ink[:-2])
    ends = np.flatnonzero(ink[1:-1] & ~ink[2:]) + 1
    width = len(profile)
    starts = starts[starts < 0.45 * width][:ENDS]
    ends = ends[ends > 0.55 * width][-ENDS:]
    places = []
    for start in starts.tolist():
        for end in ends.tolist():
            module = (end - start) / _modules(half)
            if module > 1:
                places += [
                    _Place(start + a * module, end - b * module, bend)
                    for a in (-0.1, 0.5)
                    for b in (-0.1, 0.5)
                    for bend in BENDS
                ]
    if places:
        yield places
        yield [p._replace(start=p.end, end=p.start) for p in places]


def _fitted(profile: Floats, place: _Place, half: int) -> tuple[float, _Place]:
    """The place near a rough one that fits best, and how badly it does."""
    least = np.inf
    for step in (1.0, 0.5, 0.25):
        bends = [place.bend + k * step * BENDS[-1] / 2 for k in (-1, 0, 1)]
        turned = [place._replace(bend=bend, wrap=wrap) for bend in bends for wrap in WRAPS]
        least, place = _best(profile, turned, half)
        module = (place.end - place.start) / _modules(half)
        offs = [k * step * module / 2 for k in (-2, -1, 0, 1, 2)]
        moved = [
            place._replace(start=place.start + one, end=place.end + other)
            for one in offs
            for other in offs
        ]
        least, place = _best(profile, moved, half)
    return least, place


def _best(profile: Floats, places: list[_Place], half: int) -> tuple[float, _Place]:
    misfits = _misfits(_sampled(profile, places, half), half, COARSE).min(1)
    return float(misfits.min()), places[int(misfits.argmin())]


def _sampled(profile: Floats, places: list[_Place], half: int) -> Floats:
    """[places, modules · SAMPLES]: the profile at each place."""
    count = _modules(half) * SAMPLES
    t = (np.arange(count) + 0.5) / count
    at = np.empty((len(places), count))
    for row, place in zip(at, places, strict=True):
        way = t if not place.wrap else _wrapped(place.wrap, count)
        way = way + 4 * place.bend * t * (1 - t)
        row[:] = place.start + (place.end - place.start) * way
    # A pixel's middle is at a half.
    return np.interp(at - 0.5, np.arange(len(profile)), profile).astype(np.float32)


@lru_cache(16)
def _wrapped(reach: float, count: int) -> Floats:
    t = (np.arange(count) + 0.5) / count
    return np.asarray((np.sin((2 * t - 1) * reach) / np.sin(reach) + 1) / 2)


def _misfits(seen: Floats, half: int, which: tuple[int, ...]) -> Floats:
    """[places, looks]: mean squared difference, each digit taken for what it is most like."""
    looks, (first, left, middle, right, last) = _looks(), _split(seen, half)
    at = list(which)
    total = np.zeros((len(seen), len(at)))
    for part, look in zip((first, middle, last), looks.edges, strict=True):
        total += ((part[:, None] - look[at]) ** 2).sum(2)
    for digits, known in ((left, looks.left), (right, looks.right)):
        total += _distances(digits, known[at]).min(3).sum(1)
    return np.asarray(total / seen.shape[1])


def _distances(digits: Floats, known: Floats) -> Floats:
    """[places, digits, looks, patterns]: squared differences of [places, digits, samples]."""
    flat = known.reshape(-1, known.shape[-1])
    shared = digits @ flat.T
    squares = (digits**2).sum(2)[..., None] + (flat**2).sum(1)
    return np.asarray(squares - 2 * shared).reshape(*digits.shape[:2], *known.shape[:2])


def _split(seen: Floats, half: int) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    edge, digit = 3 * SAMPLES, 7 * SAMPLES
    bounds = np.cumsum([edge, half * digit, 5 * SAMPLES, half * digit])
    first, left, middle, right, last = np.split(seen, bounds, axis=1)
    shape = (len(seen), half, digit)
    return first, left.reshape(shape), middle, right.reshape(shape), last


def _number(seen: Floats, half: int, place: _Place) -> Number | None:
    """The number at a place, (1, samples)."""
    look = int(_misfits(seen, half, tuple(range(len(LOOKS))))[0].argmin())
    known = _looks()
    _, left, _, right, _ = _split(seen, half)
    sets = (*ODD, *EVEN)
    chosen = [
        *_distances(left, known.left[look][None])[0, :, 0].argmin(1).tolist(),
        *_distances(right, known.right[look][None])[0, :, 0].argmin(1).tolist(),
    ]
    costs = np.full((2 * half, 20), np.inf)
    for _ in range(2):  # again, now that each digit's neighbours are known
        drawn = [sets[c] if i < half else RIGHT[c] for i, c in enumerate(chosen)]
        for i in range(2 * half):
            options = sets if i < half else RIGHT
            costs[i, : len(options)] = _costs(seen[0], drawn, i, options, half, look)
        chosen = costs.argmin(1).tolist()
    drawn = [sets[c] if i < half else RIGHT[c] for i, c in enumerate(chosen)]
    misfit = float(((seen[0] - _drawn(drawn, half, look)) ** 2).mean())
    ordered = np.sort(costs, 1)
    # Neighbouring samples of a blurred profile say nearly the same: a module counts once.
    margin = float((ordered[:, 1] - ordered[:, 0]).min()) / SAMPLES / (2 * max(misfit, 1e-3))
    digits = "".join(str(c % 10) for c in chosen)
    if half == 6:
        parity = "".join("AB"[c // 10] for c in chosen[:6])
        if parity not in FIRST:
            return None
        digits = str(FIRST.index(parity)) + digits
    elif any(c >= 10 for c in chosen[:4]):
        return None
    total = sum(int(c) * (1, 3)[i % 2] for i, c in enumerate(reversed(digits)))
    if total % 10:
        return None
    symbology = "EAN13" if half == 6 else "EAN8"
    return Number(symbology, digits, (place.start, place.end), misfit, margin)


def _costs(
    seen: Floats, drawn: list[str], index: int, options: tuple[str, ...], half: int, look: int
) -> Floats:
    """Squared differences over a digit and a module on each side, by what it may be."""
    before = 3 + 7 * index + (5 if index >= half else 0)
    cut = slice((before - 1) * SAMPLES, (before + 8) * SAMPLES)
    whole = _bars(drawn, half)
    around = "0" * 4 + whole[:before] + "{}" + whole[before + 7 :] + "0" * 4
    rows = [around.format(option)[before : before + 15] for option in options]
    middle = _shape(rows, look)[:, 3 * SAMPLES : 12 * SAMPLES]
    return np.asarray(((seen[cut] - middle) ** 2).sum(1))


def _bars(digits: list[str], half: int) -> str:
    return EDGE + "".join(digits[:half]) + MIDDLE + "".join(digits[half:]) + EDGE


def _drawn(digits: list[str], half: int, look: int) -> Floats:
    quiet = "0" * 4
    whole = _shape([quiet + _bars(digits, half) + quiet], look)
    return np.asarray(whole[0, 4 * SAMPLES : -4 * SAMPLES])


def _shape(rows: Sequence[Sequence[str | float]], look: int) -> Floats:
    """What rows of modules look like, SAMPLES of each; 1 is ink."""
    ink = [[float(module) for module in row] for row in rows]
    return _blurred(np.repeat(np.array(ink, np.float32), FINE, axis=1), *LOOKS[look])


def _blurred(ink: Floats, way: str, blur: float, run: int) -> Floats:
    """Rows of ink at FINE steps a module as they are seen: paper 1, SAMPLES a module."""
    rows, around = ink, cv2.BORDER_REPLICATE
    if run:
        reach = np.ones((1, 2 * abs(run) + 1), np.uint8)
        rows = np.asarray((cv2.dilate if run > 0 else cv2.erode)(rows, reach))
    if way != "soft":
        far = blur if way == "disk" else blur / 2
        at = np.arange(-math.ceil(far * FINE), math.ceil(far * FINE) + 1) / FINE
        inside = np.clip(1 - (at / far) ** 2, 0, 1)
        kernel = (np.sqrt(inside) if way == "disk" else np.ceil(inside))[None]
        rows = np.asarray(cv2.filter2D(rows, -1, kernel / kernel.sum(), borderType=around))
        blur = REST
    # One row's blur is no other's.
    size = (2 * math.ceil(4 * blur * FINE) + 1, 1)
    rows = np.asarray(cv2.GaussianBlur(rows, size, blur * FINE, borderType=around))
    return np.asarray(1 - rows.reshape(len(rows), -1, FINE // SAMPLES).mean(2))


@lru_cache(1)
def _looks() -> _Looks:
    """Digits between the modules that every neighbour has there, and further grey; guards between
    what is known of theirs."""

    def seen(before: list[float], patterns: Sequence[str], after: list[float], look: int) -> Floats:
        rows = [[*before, *pattern, *after] for pattern in patterns]
        return _shape(rows, look)[:, len(before) * SAMPLES : -len(after) * SAMPLES]

    count = range(len(LOOKS))
    left = [seen([0.5, 0.5, 1], (*ODD, *EVEN), [0, 0.5, 0.5], k) for k in count]
    right = [seen([0.5, 0.5, 0], RIGHT, [1, 0.5, 0.5], k) for k in count]
    guards = (
        [seen([0, 0, 0], [EDGE], [0, 0.5, 0.5], k)[0] for k in count],
        [seen([0.5, 0.5, 1], [MIDDLE], [1, 0.5, 0.5], k)[0] for k in count],
        [seen([0.5, 0.5, 0], [EDGE], [0, 0, 0], k)[0] for k in count],
    )
    first, middle, last = (np.array(g, np.float32) for g in guards)
    return _Looks(np.array(left, np.float32), np.array(right, np.float32), (first, middle, last))
