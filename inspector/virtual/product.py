"""What the virtual line makes, what can be wrong with it, and what parts are drawn from.

Enters a random generator; leaves products, set-ups, lots, dates and the description of one part to
be. Imported by the renderer, the films, the training scripts and tests.

Between the worst good part and the mildest defect there is always a margin; the tuples of numbers
that make it are the constants below, good first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inspector.part import Severity
from inspector.virtual import label, materials
from inspector.virtual import print as printing
from inspector.virtual.materials import Liquid, Tint
from inspector.virtual.print import Font, Split

CAP_COLOURS: dict[str, Tint] = {
    "blue": (196, 92, 22),
    "green": (72, 158, 40),
    "red": (44, 40, 205),
    "yellow": (48, 205, 240),
    "white": (232, 234, 232),
    "black": (52, 50, 50),
    "orange": (30, 120, 240),
}
"""BGR of the caps that exist on the line."""

DEFECTS: dict[str, Severity] = {
    "cap_missing": Severity.CRITICAL,
    "foreign_particle": Severity.CRITICAL,
    "lot_wrong": Severity.CRITICAL,
    "date_wrong": Severity.CRITICAL,
    "lot_missing": Severity.CRITICAL,
    "date_missing": Severity.CRITICAL,
    "cap_tilted": Severity.MAJOR,
    "cap_wrong": Severity.MAJOR,
    "low_fill": Severity.MAJOR,
    "label_scratched": Severity.MAJOR,
    "label_skewed": Severity.MAJOR,
    "print_smeared": Severity.MAJOR,
}
"""Every defect and how bad it is."""

NOVELTIES: dict[str, Severity] = {"label_torn": Severity.MAJOR}
"""Defects that no shipped model was ever shown: they come only where they are asked for by name,
as a fault that begins one day on a real line does."""
KNOWN: dict[str, Severity] = DEFECTS | NOVELTIES

CONFLICTS = (
    {"cap_missing", "cap_tilted", "cap_wrong"},
    {"lot_wrong", "lot_missing"},
    {"date_wrong", "date_missing"},
    {"lot_missing", "print_smeared"},
    {"date_missing", "print_smeared"},
)
"""Defects that one part cannot have together."""

CAP_TILT_DEG = (0.9, 5.0, 12.0)
"""A good cap leans at most the first; a tilted one between the others."""
FILL_PX = (5.0, 22.0, 62.0)
"""A good level is off the nominal by at most the first; a low one is this much below."""
LABEL_SKEW_DEG = (0.5, 4.0, 8.0)
PARTICLE_PX = (materials.DROPLET_MAX_PX, 7.5, 15.0)
"""The largest droplet or dust; the smallest and largest foreign particle, in side view pixels."""
PARTICLE_CONTRAST = (materials.DROPLET_CONTRAST, 85.0)
SCRATCH_PX = (0.0, 38.0, 110.0)
"""A good label has none; length of a scratch."""
TEAR_PX = (0.0, 26.0, 52.0)
"""A good label's edges are whole; depth of a tear from the upper or lower edge."""
SMEAR_TEXTURE_PX = (printing.GOOD_SMEAR_PX, *printing.SMEAR_PX)


@dataclass(frozen=True, slots=True)
class Product:
    """What the line makes in one batch."""

    name: str
    cap: str
    """A key of CAP_COLOURS."""
    liquid: Liquid
    tint: Tint
    """What the bottle's wall lets through."""


BOTTLE_LINE = Product(
    "bottle-line", "blue", Liquid((0.99, 0.985, 0.975), (0, 0, 0)), (0.985, 0.975, 0.965)
)
"""Still water in clear PET with a blue cap."""
JUICE_LINE = Product(
    "juice-line", "green", Liquid((0.05, 0.22, 0.34), (14, 78, 138)), (0.96, 0.97, 0.97)
)
"""Cloudy orange juice in clear PET with a green cap."""
PRODUCTS = {product.name: product for product in (BOTTLE_LINE, JUICE_LINE)}


@dataclass(frozen=True, slots=True)
class Textures:
    """What a split's parts can be made of: seeds of `materials`."""

    cells: tuple[int, ...]
    bodies: tuple[int, ...]
    caps: tuple[int, ...]
    droplets: tuple[int, ...]


TEXTURES_TRAIN = Textures(
    tuple(range(1, 11)), tuple(range(1, 6)), tuple(range(1, 8)), tuple(range(1, 7))
)
TEXTURES_HELD_OUT = Textures(
    tuple(range(101, 105)), tuple(range(101, 104)), tuple(range(101, 105)), tuple(range(101, 104))
)


@dataclass(frozen=True, slots=True)
class Setup:
    """What stays the same over a batch: the cell, the mould, the printer, the artwork."""

    cell: int
    body: int
    cap: int
    art: label.Art
    font: Font
    ink: tuple[float, float, float]


def draw_setup(rng: np.random.Generator, product: Product, split: Split) -> Setup:
    """A batch's set-up, from the textures, fonts and artworks of a split."""
    textures = TEXTURES_TRAIN if split == "train" else TEXTURES_HELD_OUT
    arts, fonts = label.arts(split, product.name), printing.fonts(split)
    return Setup(
        cell=int(rng.choice(textures.cells)),
        body=int(rng.choice(textures.bodies)),
        cap=int(rng.choice(textures.caps)),
        art=arts[rng.integers(len(arts))],
        font=fonts[rng.integers(len(fonts))],
        ink=printing.INKS[rng.integers(len(printing.INKS))],
    )


MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
LOT_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
"""Without I, O and Q, as real lot codes are."""


def draw_lot(rng: np.random.Generator) -> str:
    """A lot such as ``L2417A``."""
    return f"L{rng.integers(10000):04d}{LOT_LETTERS[rng.integers(len(LOT_LETTERS))]}"


def draw_date(rng: np.random.Generator) -> str:
    """A date such as ``16 NOV 26``, in the years 27 to 29."""
    return f"{rng.integers(1, 29):02d} {MONTHS[rng.integers(12)]} {rng.integers(27, 30)}"


@dataclass(frozen=True, slots=True)
class PartSpec:
    """What one part is to be."""

    product: Product = BOTTLE_LINE
    lot: str = "L2417A"
    date: str = "16 NOV 26"
    """The batch's texts: what a good part carries."""
    defects: tuple[str, ...] = ()
    """Keys of KNOWN."""
    split: Split = "train"
    setup: Setup | None = None
    """None draws one for this part alone, as training wants it."""


def draw_defects(rng: np.random.Generator, defect_rate: float) -> tuple[str, ...]:
    """No defect, one, or (one defective part in seven) two that can occur together."""
    if rng.random() >= defect_rate:
        return ()
    names = list(DEFECTS)
    first = names[rng.integers(len(names))]
    if rng.random() < 0.85:
        return (first,)
    barred = {first}.union(*(group for group in CONFLICTS if first in group))
    others = [name for name in names if name not in barred]
    return (first, others[rng.integers(len(others))])


def check_defects(defects: tuple[str, ...]) -> None:
    """Raises ValueError for an unknown defect or for two that exclude each other."""
    for name in defects:
        if name not in KNOWN:
            raise ValueError(f"unknown defect {name!r}; there are {', '.join(KNOWN)}")
    for group in CONFLICTS:
        both = group.intersection(defects)
        if len(both) > 1:
            raise ValueError(f"one part cannot have both {' and '.join(sorted(both))}")


def wrong_text(text: str, name: str, rng: np.random.Generator) -> str:
    """A text that differs: by one character, or altogether (another batch's)."""
    while True:
        if rng.random() < 0.4:
            other = draw_lot(rng) if name == "lot" else draw_date(rng)
        else:
            digits = [i for i, c in enumerate(text) if c.isdigit()]
            at = digits[rng.integers(len(digits))]
            other = text[:at] + str(rng.integers(10)) + text[at + 1 :]
        if other != text:
            return other


def alike(colour: str) -> set[str]:
    """Cap colours that a wrong cap is not drawn from: yellow and orange look alike."""
    return {"yellow", "orange"} if colour in ("yellow", "orange") else {colour}
