"""The virtual product: one bottle, as a side camera and a code camera see it, and the truth of it.

Enters a seed and what the part should be; leaves two pictures and what is really on them. Imported
by the films, the training scripts and tests; never by a room of the station.

Between the worst good part and the mildest defect there is always a margin; the pairs of numbers
that make it are the constants below, good first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Box, Pixels, Severity
from inspector.virtual import geometry as g
from inspector.virtual import label, materials, optics
from inspector.virtual import print as printing
from inspector.virtual.materials import Layer, Liquid, Tint
from inspector.virtual.print import Font, Split

Floats = NDArray[np.float32]

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
    """Keys of DEFECTS."""
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


class RenderedPart(NamedTuple):
    """One part, seen."""

    side: Pixels
    """``(480, 640, 3)`` BGR, already through a Bayer sensor: sampling it again as BayerRG8 and
    demosaicing gives the same picture but for its outermost pixels."""
    code: Pixels
    """``(240, 320)`` grey."""
    truth: dict[str, Any]
    """JSON-ready: ``product, lot, date`` (what the batch wants), ``printed`` (what is on the label),
    ``defects`` [{label, severity, view, box}], ``objects`` (normal things only: bottle, cap, label;
    cap with its colour), ``lines`` [{name, text, view, box, legible}]."""


def render_part(seed: int | np.random.Generator, spec: PartSpec | None = None) -> RenderedPart:
    """Make one part and take its two pictures. The same seed and spec give the same bytes.

    Raises ValueError for an unknown defect or for two that exclude each other.
    """
    spec = spec or PartSpec()
    _check(spec.defects)
    root = int(seed.integers(1 << 62)) if isinstance(seed, np.random.Generator) else seed
    # one stream for each thing, so that a defect in one leaves the others as they would have been
    streams = np.random.SeedSequence(root).spawn(8)
    batch, paper, level, crumb, lid, dirt, stand, close = map(np.random.default_rng, streams)
    setup = spec.setup or draw_setup(batch, spec.product, spec.split)
    textures = TEXTURES_TRAIN if spec.split == "train" else TEXTURES_HELD_OUT
    has = set(spec.defects)
    note = _Note(spec, has)

    texture, skew = _labelled(paper, spec, setup, has, note)
    fill = _fill_level(level, has)
    bottle = _filled_body(setup, spec.product, fill)
    if "foreign_particle" in has:
        bottle = _particle(bottle, crumb, fill, setup, note)
    bottle = _with_label(bottle, texture, skew)
    bottle = _with_cap(bottle, lid, spec, setup, has, note)
    specks = materials.droplets(int(dirt.choice(textures.droplets)))
    if dirt.random() < 0.5:
        specks = specks[:, ::-1]
    bottle.light[:] += specks * np.float32(dirt.uniform(0.2, 1.0)) * (1 - bottle.through * 0.2)

    turn = float(stand.uniform(-g.ROTATION_DEG, g.ROTATION_DEG))
    place = cv2.getRotationMatrix2D((g.AXIS_X, g.BASE_BOTTOM), turn, 1.0)
    place[:, 2] += stand.uniform(-1, 1, 2) * g.SIDE_JITTER_PX
    side = _side_picture(bottle, setup, place, stand)
    note.side(place, skew, fill)
    code = _code_picture(texture, skew, spec, close, note)
    return RenderedPart(side, code, note.truth())


def _check(defects: tuple[str, ...]) -> None:
    for name in defects:
        if name not in DEFECTS:
            raise ValueError(f"unknown defect {name!r}; there are {', '.join(DEFECTS)}")
    for group in CONFLICTS:
        both = group.intersection(defects)
        if len(both) > 1:
            raise ValueError(f"one part cannot have both {' and '.join(sorted(both))}")


class _Note:
    """What is known about a part, gathered while it is made: places in label and local points."""

    def __init__(self, spec: PartSpec, has: set[str]) -> None:
        self.spec, self.has = spec, has
        self.printed = {"lot": spec.lot, "date": spec.date}
        self.lines: dict[str, Box] = {}
        self.scratch: Floats | None = None
        self.local: dict[str, Floats] = {}
        self.cap_colour = spec.product.cap
        self._defects: list[dict[str, Any]] = []
        self._objects: list[dict[str, Any]] = []
        self._lines: list[dict[str, Any]] = []

    def _defect(self, name: str, view: str, box: Box) -> None:
        self._defects.append(
            {"label": name, "severity": DEFECTS[name].value, "view": view, "box": list(box)}
        )

    def side(self, place: NDArray[np.float64], skew: NDArray[np.float64], fill: float) -> None:
        def seen(points: Floats) -> Box:
            return g.bounds(g.transform(place, points), g.SIDE_SIZE)

        def wrapped(box: Box) -> Box:
            return seen(g.project(g.transform(skew, g.outline(box))))

        whole: Box = (g.AXIS_X - g.RADIUS, g.CAP_TOP - 3, g.AXIS_X + g.RADIUS, 453.0)
        if "cap_missing" in self.has:
            whole = (whole[0], materials.CAPLESS_TOP - 1, whole[2], whole[3])
        self._objects.append(
            {"label": "bottle", "view": "side", "box": list(seen(g.outline(whole)))}
        )
        reach = g.RADIUS * np.pi / 2
        paper = wrapped((-reach, g.LABEL_TOP, reach, g.LABEL_BOTTOM))
        if "label_skewed" in self.has:
            self._defect("label_skewed", "side", paper)
        else:
            self._objects.append({"label": "label", "view": "side", "box": list(paper)})
        cap = seen(self.local["cap"])
        faulty = self.has & {"cap_missing", "cap_tilted", "cap_wrong"}
        for name in faulty:
            self._defect(name, "side", cap)
        if not faulty:
            self._objects.append(
                {"label": "cap", "colour": self.cap_colour, "view": "side", "box": list(cap)}
            )
        if "low_fill" in self.has:
            half = float(materials.half_width(np.float32([fill]))[0])
            gap = (g.AXIS_X - half, g.FILL_Y - 8.0, g.AXIS_X + half, fill + 3)
            self._defect("low_fill", "side", seen(g.outline(gap)))
        if "particle" in self.local:
            self._defect("foreign_particle", "side", seen(self.local["particle"]))
        self._label_things("side", lambda points: seen(g.project(g.transform(skew, points))))

    def code(self, place: NDArray[np.float64], skew: NDArray[np.float64]) -> None:
        def seen(points: Floats) -> Box:
            on_label = g.transform(skew, points)
            return g.bounds(g.transform(place, g.project_code(on_label)), g.CODE_SIZE)

        if "label_skewed" in self.has:
            whole = (-75.0, 250.0, 75.0, g.LABEL_BOTTOM)
            self._defect("label_skewed", "code", seen(g.outline(whole)))
        self._label_things("code", seen)

    def _label_things(self, view: str, seen: Any) -> None:
        if self.scratch is not None:
            box = seen(self.scratch)
            if box[2] - box[0] > 10 and box[3] - box[1] > 4:
                self._defect("label_scratched", view, box)
        for name, line in self.lines.items():
            box = seen(g.outline(line))
            for kind in ("wrong", "missing"):
                if f"{name}_{kind}" in self.has:
                    self._defect(f"{name}_{kind}", view, box)
            if "print_smeared" in self.has:
                self._defect("print_smeared", view, box)
            self._lines.append(
                {
                    "name": name,
                    "text": self.printed[name],
                    "view": view,
                    "box": list(box),
                    "legible": bool(self.printed[name]) and "print_smeared" not in self.has,
                }
            )

    def truth(self) -> dict[str, Any]:
        order = list(Severity)
        return {
            "product": self.spec.product.name,
            "lot": self.spec.lot,
            "date": self.spec.date,
            "printed": self.printed,
            "defects": sorted(self._defects, key=lambda d: order.index(Severity(d["severity"]))),
            "objects": self._objects,
            "lines": self._lines,
        }


def _wrong(text: str, name: str, rng: np.random.Generator) -> str:
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


def _labelled(
    rng: np.random.Generator, spec: PartSpec, setup: Setup, has: set[str], note: _Note
) -> tuple[Pixels, NDArray[np.float64]]:
    """The printed label's texture, and the affine by which it was stuck on askew."""
    texture = label.field_texture(setup.art, rng)
    if "label_scratched" in has:
        note.scratch = _scratch(texture, rng)
    scale = g.LABEL_SCALE
    off = rng.uniform(-1, 1, 2) * g.PRINT_JITTER
    if "print_smeared" in has:
        length = rng.uniform(*printing.SMEAR_PX)
    for name in ("lot", "date"):
        text = spec.lot if name == "lot" else spec.date
        if f"{name}_wrong" in has:
            text = _wrong(text, name, rng)
        x1, y1, x2, y2 = g.line_box(name, len(text))
        note.lines[name] = (x1 + off[0], y1 + off[1], x2 + off[0], y2 + off[1])
        if f"{name}_missing" in has:
            text = ""
        note.printed[name] = text
        if not text:
            continue
        mask = printing.ink(text, setup.font, rng, g.ADVANCE * scale, g.PRINT_HEIGHT * scale)
        if "print_smeared" in has:
            mask = printing.drag(mask, length, rng)
        x, y = label.texture_point(x1 + off[0], y1 + off[1])
        printing.stamp(texture, mask, x, y, setup.ink)
    mild, low, high = LABEL_SKEW_DEG
    angle = rng.uniform(-mild, mild)
    if "label_skewed" in has:
        angle = rng.uniform(low, high) * rng.choice([-1, 1])
    middle = (0.0, (g.LABEL_TOP + g.LABEL_BOTTOM) / 2)
    return texture, cv2.getRotationMatrix2D(middle, float(angle), 1.0)


def _scratch(texture: Pixels, rng: np.random.Generator) -> Floats:
    """Tear the label's print off along a jagged line; its outline in label points comes back."""
    length = rng.uniform(*SCRATCH_PX[1:])
    direction = rng.uniform(-0.9, 0.9) + (np.pi if rng.random() < 0.5 else 0)
    start = np.array([rng.uniform(-55, 55), rng.uniform(g.LABEL_TOP + 30, g.LABEL_BOTTOM - 30)])
    steps = np.linspace(0, 1, 14)[:, None] - 0.5
    path = start + steps * length * np.array([np.cos(direction), np.sin(direction)])
    path += rng.normal(0, 1.1, path.shape)
    path[:, 0] = np.clip(path[:, 0], -75, 75)
    path[:, 1] = np.clip(path[:, 1], g.LABEL_TOP + 4, g.LABEL_BOTTOM - 4)
    points = np.array([label.texture_point(x, y) for x, y in path])
    columns, rows = np.clip(points.round().astype(int), 0, None).T
    pale = texture[rows, columns, :3].mean() > 150
    # torn through to the bottle on pale paper, down to white fibre where it was printed dark
    paper, rim = ((62, 66, 70), (214, 216, 218)) if pale else ((250, 252, 252), (90, 94, 98))
    places = np.round(points * 16).astype(np.int32)
    wide = int(rng.integers(5, 9))
    for first, last in zip(places[:-1].tolist(), places[1:].tolist(), strict=True):
        thick = max(3, wide + int(rng.integers(-2, 3)))
        cv2.line(texture, first, last, (*rim, 255), thick + 3, cv2.LINE_AA, 4)
    for first, last in zip(places[:-1].tolist(), places[1:].tolist(), strict=True):
        thick = max(2, wide + int(rng.integers(-2, 2)))
        cv2.line(texture, first, last, (*paper, 255), thick, cv2.LINE_AA, 4)
    edge = 3.0
    x1, y1, x2, y2 = *(path.min(0) - edge), *(path.max(0) + edge)
    return g.outline((x1, y1, x2, y2))


def _fill_level(rng: np.random.Generator, has: set[str]) -> float:
    good, low, high = FILL_PX
    if "low_fill" in has:
        return float(g.FILL_Y + rng.uniform(low, high))
    return float(g.FILL_Y + np.clip(rng.normal(0, good / 2.2), -good, good))


def _filled_body(setup: Setup, product: Product, fill: float) -> Layer:
    """The bottle with its liquid up to ``fill``, on the canvas."""
    empty, full = materials.body(setup.body, product.tint, product.liquid)
    through, light = full.through.copy(), full.light.copy()
    half = float(materials.half_width(np.float32([fill]))[0])
    x = np.arange(g.CANVAS[0], g.CANVAS[2], dtype=np.float32) + np.float32(0.5)
    facing = np.sqrt(np.clip(1 - ((x - g.AXIS_X) / half) ** 2, 0, 1))
    arc = (g.EYE_Y - fill) * g.PERSPECTIVE * half / g.RADIUS * facing
    top, bottom = int(fill - arc.max() - 5), int(fill + arc.max() + 6)
    through[:top], light[:top] = empty.through[:top], empty.light[:top]
    rows = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5)
    front, back = fill - arc, fill + arc
    # capillarity: the liquid climbs the wall at its edge
    climb = 3.0 * np.clip(1 - facing / 0.35, 0, 1) ** 2
    wet = np.clip(rows - (front - climb) + 0.5, 0, 1)[..., None]
    inside = (np.abs(x - g.AXIS_X) < half - 0.5).astype(np.float32)[:, None]
    under = (np.clip(rows - front, 0, 1) * np.clip(back - rows, 0, 1))[..., None] * inside
    line = (np.exp(-(((rows - front) / 1.25) ** 2)))[..., None] * inside
    far = (np.exp(-(((rows - back) / 1.2) ** 2)))[..., None] * inside
    bright = (np.exp(-(((rows - front - 2.8) / 1.2) ** 2)))[..., None] * inside
    cut = slice(top, bottom)
    t = empty.through[cut] + (full.through[cut] - empty.through[cut]) * wet
    t *= (1 - 0.62 * line) * (1 - 0.20 * under) * (1 - 0.30 * far)
    through[cut] = t
    glow = empty.light[cut] + (full.light[cut] - empty.light[cut]) * wet
    light[cut] = glow * (1 - 0.45 * line) + 26 * bright + 14 * under
    return Layer(through, light)


def _particle(
    bottle: Layer, rng: np.random.Generator, fill: float, setup: Setup, note: _Note
) -> Layer:
    """Something in the liquid that does not belong there: a dark crumb, a splinter, an insect."""
    size = float(rng.uniform(*PARTICLE_PX[1:]))
    if rng.random() < 0.62 and fill < 168:
        y = rng.uniform(fill + 14, g.LABEL_TOP - 16)
    else:
        y = rng.uniform(g.LABEL_BOTTOM + 26, g.BASE_BOTTOM - 10)
    half = float(materials.half_width(np.float32([y]))[0])
    x = g.AXIS_X + rng.uniform(-0.66, 0.66) * half
    long = size * rng.uniform(1.0, 1.5)
    angle = rng.uniform(0, np.pi)
    corners = np.linspace(0, 2 * np.pi, int(rng.integers(7, 12)), endpoint=False)
    corners += rng.normal(0, 0.1, corners.size)
    reach = rng.uniform(0.82, 1.15, (corners.size, 1))
    shape = np.stack([np.cos(corners) * long / 2, np.sin(corners) * size / 2], 1) * reach
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shape = shape @ turn.T + (x, y)
    mask = np.zeros(bottle.through.shape[:2], np.uint8)
    on_canvas = shape - g.CANVAS[:2]
    cv2.fillPoly(mask, [np.round(on_canvas * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    if rng.random() < 0.35:  # legs, fibres
        for corner in on_canvas[:: max(1, len(on_canvas) // 4)]:
            middle = on_canvas.mean(0)
            end = middle + (corner - middle) * rng.uniform(1.3, 1.7)
            ends = np.round(np.stack([middle, end]) * 16).astype(int).tolist()
            cv2.line(mask, ends[0], ends[1], 200, 1, cv2.LINE_AA, 4)
    x1, y1 = np.maximum(on_canvas.min(0).astype(int) - 12, 0)
    x2, y2 = on_canvas.max(0).astype(int) + 13
    alpha = cv2.GaussianBlur(mask[y1:y2, x1:x2], (3, 3), 0.6)[..., None] * np.float32(1 / 255)
    cut = (slice(y1, y2), slice(x1, x2))
    behind = materials.cell(setup.cell)[y1 + g.CANVAS[1] : y2 + g.CANVAS[1], x1 + g.CANVAS[0] :]
    around = behind[:, : x2 - x1] * bottle.through[cut] + bottle.light[cut]
    dark = around.mean((0, 1)).max() > PARTICLE_CONTRAST[1] + 45  # else it is a pale one
    colours = (
        [(30, 30, 34), (22, 34, 52), (38, 30, 26)] if dark else [(214, 226, 232), (232, 230, 224)]
    )
    colour = np.array(colours[rng.integers(len(colours))], np.float32)
    bottle.through[cut] *= 1 - alpha * np.float32(0.97)
    bottle.light[cut] += (colour * np.float32(0.8) - bottle.light[cut]) * alpha
    note.local["particle"] = (shape + np.sign(shape - (x, y)) * 0.8).astype(np.float32)
    return bottle


LABEL_ROWS = (176, 424)
"""Rows of the canvas that a label can reach, a skewed one included."""


def _with_label(bottle: Layer, texture: Pixels, skew: NDArray[np.float64]) -> Layer:
    maps = _label_maps()
    inverse = cv2.invertAffineTransform(skew).astype(np.float32)
    s = inverse[0, 0] * maps[0] + inverse[0, 1] * maps[1] + inverse[0, 2]
    v = inverse[1, 0] * maps[0] + inverse[1, 1] * maps[1] + inverse[1, 2]
    paper = label.sample(texture, s, v).astype(np.float32)
    alpha = paper[..., 3:] * np.float32(1 / 255) * maps[3]
    lit = paper[..., :3] * maps[2]
    top, bottom = LABEL_ROWS
    left = int(g.AXIS_X - g.RADIUS) - g.CANVAS[0]
    cut = (slice(top, bottom), slice(left, left + lit.shape[1]))
    bare = 1 - alpha
    bottle.through[cut] *= bare
    bottle.light[cut] *= bare
    bottle.light[cut] += lit * alpha
    edge = cv2.blur(alpha, (1, 5))[..., None] * bare  # the shadow of the paper's edge
    bottle.through[cut] *= 1 - 0.35 * edge
    return bottle


_maps: tuple[Floats, Floats, Floats, Floats] | None = None


def _label_maps() -> tuple[Floats, Floats, Floats, Floats]:
    """Label point x, y, shading and coverage of each canvas pixel that a label can reach."""
    global _maps
    if _maps is None:
        top, bottom = LABEL_ROWS
        y, x = np.mgrid[top:bottom, int(g.AXIS_X - g.RADIUS) : int(g.AXIS_X + g.RADIUS)]
        x, y = x.astype(np.float32) + np.float32(0.5), y.astype(np.float32) + np.float32(0.5)
        s, v = label.side_maps(x, y)
        shade = label.shading(s / g.RADIUS)[..., None]
        cover = np.clip(g.RADIUS - np.abs(x - g.AXIS_X), 0, 1)[..., None]
        _maps = (s, v, shade, cover)
    return _maps


def _with_cap(
    bottle: Layer,
    rng: np.random.Generator,
    spec: PartSpec,
    setup: Setup,
    has: set[str],
    note: _Note,
) -> Layer:
    colour = spec.product.cap
    if "cap_wrong" in has:
        others = [name for name in CAP_COLOURS if name not in _alike(colour)]
        colour = others[rng.integers(len(others))]
    note.cap_colour = colour
    batch = np.array(CAP_COLOURS[colour], np.float32)
    tone = np.clip(batch * rng.uniform(0.94, 1.05) + rng.normal(0, 2, 3), 0, 250)
    pigment = (float(tone[0]), float(tone[1]), float(tone[2]))
    shell, ring = materials.cap(setup.cap)
    x1, y1, x2, y2 = materials.CAP_BOX
    cut = (slice(y1, y2), slice(x1 - g.CANVAS[0], x2 - g.CANVAS[0]))
    base = Layer(bottle.through[cut], bottle.light[cut])
    missing = "cap_missing" in has
    if not missing or rng.random() < 0.6:
        base = materials.over(materials.coloured(ring, pigment), base)
    box = (g.AXIS_X - g.CAP_RADIUS, g.CAP_TOP - 2.0, g.AXIS_X + g.CAP_RADIUS, g.CAP_BOTTOM + 1.0)
    if missing:
        bare = (
            g.AXIS_X - g.RING_RADIUS,
            materials.CAPLESS_TOP - 2,
            g.AXIS_X + g.RING_RADIUS,
            g.RING_BOTTOM,
        )
        note.local["cap"] = g.outline(bare)
    else:
        good, low, high = CAP_TILT_DEG
        tilt, lift = rng.uniform(-good, good), rng.uniform(-0.5, 0.5)
        if "cap_tilted" in has:
            tilt = rng.uniform(low, high) * rng.choice([-1, 1])
            lift = -abs(tilt) * 0.45
        pivot = (g.AXIS_X, (g.CAP_TOP + g.CAP_BOTTOM) / 2)
        turn = cv2.getRotationMatrix2D(pivot, float(tilt), 1.0)
        turn[1, 2] += lift
        top = materials.coloured(shell, pigment)
        # the same turn about the box's own corner
        here = turn.copy()
        here[:, 2] += turn[:, :2] @ (x1, y1) - (x1, y1)
        size = (x2 - x1, y2 - y1)
        top = Layer(
            cv2.warpAffine(top.through, here, size, borderValue=(1, 1, 1)),
            cv2.warpAffine(top.light, here, size),
        )
        base = materials.over(top, base)
        note.local["cap"] = g.transform(turn, g.outline(box))
    bottle.through[cut], bottle.light[cut] = base.through, base.light
    return bottle


def _alike(colour: str) -> set[str]:
    """Cap colours that a wrong cap is not drawn from: nobody could tell yellow from orange by eye."""
    return {"yellow", "orange"} if colour in ("yellow", "orange") else {colour}


def _side_picture(
    bottle: Layer, setup: Setup, place: NDArray[np.float64], rng: np.random.Generator
) -> Pixels:
    x1, y1, x2, y2 = g.CANVAS
    here = place.copy()
    here[:, 2] += place[:, :2] @ (x1, y1) - (x1, y1)
    size = (x2 - x1, y2 - y1)
    through = cv2.warpAffine(bottle.through, here, size, borderMode=cv2.BORDER_REPLICATE)
    light = cv2.warpAffine(bottle.light, here, size)
    scene = materials.cell(setup.cell).copy()
    part = scene[y1:y2, x1:x2]
    part *= through
    part += light
    clean = cv2.convertScaleAbs(scene)
    return optics.colour_camera(clean, optics.draw_light(rng), rng)


def _code_picture(
    texture: Pixels,
    skew: NDArray[np.float64],
    spec: PartSpec,
    rng: np.random.Generator,
    note: _Note,
) -> Pixels:
    width, height = g.CODE_SIZE
    turn = float(rng.uniform(-g.ROTATION_DEG, g.ROTATION_DEG))
    place = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1.0)
    place[:, 2] += rng.uniform(-1, 1, 2) * g.CODE_JITTER_PX
    s, v = label.code_maps(width, height, cv2.invertAffineTransform(place))
    inverse = cv2.invertAffineTransform(skew).astype(np.float32)
    on_s = inverse[0, 0] * s + inverse[0, 1] * v + inverse[0, 2]
    on_v = inverse[1, 0] * s + inverse[1, 1] * v + inverse[1, 2]
    paper = label.sample(texture, on_s, on_v)
    alpha = paper[..., 3] * np.float32(1 / 255)
    grey = cv2.cvtColor(paper[..., :3], cv2.COLOR_BGR2GRAY).astype(np.float32)
    bare = 74 + 50 * np.cos(s / 19) ** 2 + np.float32(sum(spec.product.liquid.glow) * 0.12)
    bare -= 34 * np.exp(-(((on_v - g.LABEL_BOTTOM - 8) / 2.2) ** 2))
    lit = (bare + (grey - bare) * alpha) * label.shading(s / g.RADIUS) * np.float32(1.04)
    clean = np.clip(lit, 0, 255).astype(np.uint8)
    x1, y1, x2, y2 = (int(value) for value in g.REFERENCE_PATCH["code"])
    clean[: y2 + 4, : x2 + 4] = 30
    clean[y1 - 2 : y2 + 2, x1 - 2 : x2 + 2] = 150
    note.code(place, skew)
    return optics.grey_camera(clean, optics.draw_light(rng), rng, g.CODE_ZOOM)
