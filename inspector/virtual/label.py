"""The paper label of a virtual bottle: artwork, clear field for the print, wrap and close-up.

Enters a seed of an artwork; leaves a BGRA texture of the unrolled label, and its pictures around
the bottle. Artworks of the two splits differ in brand, layout and palette. Imported by the renderer
and by `print.render_line`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Box
from inspector.virtual import geometry, optics
from inspector.virtual.geometry import (
    LABEL_BOTTOM,
    LABEL_HALF,
    LABEL_MARGIN,
    LABEL_SCALE,
    LABEL_TOP,
)
from inspector.virtual.optics import Mat

Floats = NDArray[Any]
"""float32; OpenCV's stubs do not say so."""
Colour = tuple[int, int, int]
"""BGR."""


@dataclass(frozen=True, slots=True)
class Art:
    """One printed design. Everything not named here follows from the seed."""

    product: str
    brand: str
    seed: int
    motif: str
    """``peaks``, ``drop``, ``waves`` for water; ``slice``, ``leaf``, ``sun`` for juice."""


ARTS_TRAIN = (
    Art("bottle-line", "ALPINA", 11, "peaks"),
    Art("bottle-line", "Fontara", 12, "drop"),
    Art("bottle-line", "NEVO", 13, "waves"),
    Art("bottle-line", "Clarel", 14, "drop"),
    Art("bottle-line", "RIVUS", 15, "peaks"),
    Art("juice-line", "Solea", 21, "slice"),
    Art("juice-line", "VERDI", 22, "leaf"),
    Art("juice-line", "Naranja", 23, "sun"),
    Art("juice-line", "POMO", 24, "slice"),
    Art("juice-line", "Cituro", 25, "leaf"),
)
ARTS_HELD_OUT = (
    Art("bottle-line", "Valdoro", 31, "peaks"),
    Art("bottle-line", "MAREN", 32, "waves"),
    Art("bottle-line", "Silva", 33, "drop"),
    Art("juice-line", "Gioia", 41, "slice"),
    Art("juice-line", "TAMARO", 42, "sun"),
    Art("juice-line", "Olivet", 43, "leaf"),
)


def arts(split: str, product: str | None = None) -> tuple[Art, ...]:
    """The artworks of a split, of one product or of all."""
    every = ARTS_TRAIN if split == "train" else ARTS_HELD_OUT
    return tuple(art for art in every if product in (None, art.product))


def texture_point(x: float, y: float) -> tuple[float, float]:
    """A label point as texture pixel."""
    return (x + LABEL_HALF) * LABEL_SCALE, (y - LABEL_TOP + LABEL_MARGIN) * LABEL_SCALE


def _shade(colour: Colour, factor: float) -> Colour:
    blue, green, red = (int(np.clip(channel * factor, 0, 255)) for channel in colour)
    return blue, green, red


def _centred(
    picture: Mat,
    text: str,
    x: float,
    y: float,
    colour: Colour,
    size: int,
    weight: int,
    face: str = "sans",
) -> None:
    font = cv2.FontFace(face)
    (_, _, width, _) = cv2.getTextSize((9999, 9999), text, (0, 0), font, size, weight)
    cv2.putText(picture, text, (round(x - width / 2), round(y)), colour, font, size, weight)


def _motif(
    picture: Mat, motif: str, x: int, y: int, size: int, main: Colour, second: Colour
) -> None:
    aa, white = cv2.LINE_AA, (250, 250, 250)
    if motif == "peaks":
        for dx, dy, scale, colour in (
            (-26, 4, 0.8, second),
            (22, 0, 0.9, second),
            (0, -8, 1.15, main),
        ):
            half, high = size * 0.62 * scale, size * scale
            top = (x + dx * size / 50, y + dy - high)
            triangle = [top, (top[0] - half, y + 6), (top[0] + half, y + 6)]
            cv2.fillPoly(picture, [np.array(triangle).round().astype(np.int32)], colour, aa)
            snow = [
                top,
                (top[0] - half * 0.34, top[1] + high * 0.36),
                (top[0] - half * 0.1, top[1] + high * 0.28),
                (top[0] + half * 0.1, top[1] + high * 0.42),
                (top[0] + half * 0.34, top[1] + high * 0.36),
            ]
            cv2.fillPoly(picture, [np.array(snow).round().astype(np.int32)], white, aa)
    elif motif == "drop":
        t = np.linspace(0, 2 * np.pi, 60)
        px = x + size * 0.55 * np.sin(t) * np.sin(t / 2) ** 1.4
        py = y - size * 0.45 - size * 0.65 * np.cos(t)
        cv2.fillPoly(picture, [np.stack([px, py], 1).round().astype(np.int32)], main, aa)
        cv2.ellipse(
            picture,
            (x - size // 6, y - size // 4),
            (size // 10, size // 4),
            20,
            0,
            360,
            second,
            -1,
            aa,
        )
        cv2.ellipse(picture, (x, y + size // 3), (size, size // 8), 0, 0, 360, second, 2, aa)
    elif motif == "waves":
        t = np.linspace(-size * 1.5, size * 1.5, 80)
        for row, colour in enumerate((main, second, main)):
            py = y - size * 0.7 + row * size * 0.32 + np.sin(t / size * 5 + row) * size * 0.13
            points = np.stack([x + t, py], 1).round().astype(np.int32)
            cv2.polylines(picture, [points], False, colour, max(3, size // 9), aa)
    elif motif == "slice":
        centre = (x, y - size // 3)
        cv2.circle(picture, centre, int(size * 0.72), main, -1, aa)
        cv2.circle(picture, centre, int(size * 0.62), (225, 245, 255), -1, aa)
        for angle in range(0, 360, 45):
            cv2.ellipse(picture, centre, (int(size * 0.57),) * 2, angle, 4, 41, main, -1, aa)
    elif motif == "leaf":
        t = np.linspace(0, np.pi, 40)
        for flip in (1, -1):
            px = x + flip * (size * 0.1 + size * 0.95 * t / np.pi)
            py = y - size * 0.2 - size * 0.5 * t / np.pi
            bend = np.sin(t) * size * 0.3
            shape = np.concatenate(
                [np.stack([px, py - bend], 1), np.stack([px, py + bend], 1)[::-1]]
            )
            cv2.fillPoly(
                picture,
                [np.array(shape).round().astype(np.int32)],
                main if flip == 1 else second,
                aa,
            )
        cv2.circle(picture, (x, y - size // 8), size // 4, second, -1, aa)
    else:
        centre = (x, y - size // 3)
        for ray in np.arange(0, 2 * np.pi, np.pi / 9):
            end = (
                round(x + np.cos(ray) * size),
                round(y - size // 3 + np.sin(ray) * size * 0.85),
            )
            cv2.line(picture, centre, end, second, 4, aa)
        cv2.circle(picture, centre, int(size * 0.55), main, -1, aa)


def _barcode(picture: Mat, rng: np.random.Generator, x: int, y: int, height: int) -> None:
    cv2.rectangle(picture, (x - 8, y - 6), (x + 124, y + height + 16), (250, 250, 250), -1)
    left = x
    while left < x + 112:
        width = int(rng.integers(1, 4))
        cv2.rectangle(picture, (left, y), (left + width - 1, y + height), (30, 30, 30), -1)
        left += width + int(rng.integers(1, 4))


def _band(picture: Mat, top: Floats, bottom: Floats, first: Colour, last: Colour) -> None:
    """Fill between two curves (texture rows by column) with a gradient."""
    rows = np.arange(picture.shape[0], dtype=np.float32)[:, None]
    inside = np.clip(rows - top + 0.5, 0, 1) * np.clip(bottom - rows + 0.5, 0, 1)
    t = np.clip((rows - top) / np.maximum(bottom - top, 1), 0, 1)[..., None]
    colour = np.array(first, np.float32) * (1 - t) + np.array(last, np.float32) * t
    picture[:] = (picture + (colour - picture) * inside[..., None] + 0.5).astype(np.uint8)


_SMALL_PRINT = [
    "bottled", "at", "source", "keep", "cool", "and", "dry", "calcium", "42", "mg/l", "after",
    "opening", "consume", "within", "three", "days", "please", "recycle", "no", "added",
    "sugar", "store", "away", "from", "light", "best", "before", "see", "print", "net",
    "contents"
]  # fmt: skip


@lru_cache(maxsize=32)
def _texture(art: Art) -> Mat:
    rng = np.random.default_rng(art.seed)
    width = int(2 * LABEL_HALF * LABEL_SCALE)
    height = int((LABEL_BOTTOM - LABEL_TOP + 2 * LABEL_MARGIN) * LABEL_SCALE)
    margin = LABEL_MARGIN * LABEL_SCALE
    water = art.product == "bottle-line"
    hue = rng.uniform(98, 116) if water else rng.uniform(8, 19)
    other = rng.uniform(85, 98) if water else rng.uniform(38, 62)

    def colour(h: float, saturation: float, value: float) -> Colour:
        pixel = cv2.cvtColor(
            np.array([[[h, saturation, value]]]).astype(np.uint8), cv2.COLOR_HSV2BGR
        )[0, 0]
        return int(pixel[0]), int(pixel[1]), int(pixel[2])

    main = colour(
        hue, rng.uniform(170, 225), rng.uniform(130, 180) if water else rng.uniform(215, 240)
    )
    second = colour(other, rng.uniform(90, 170), rng.uniform(150, 215))
    paper = colour(hue, rng.uniform(2, 22), rng.uniform(232, 246))
    picture = np.full((height, width, 3), paper, np.uint8)
    x = np.arange(width, dtype=np.float32)
    middle = width // 2
    wave = np.sin(x / rng.uniform(60, 120) + rng.uniform(0, 6)) * rng.uniform(3, 12)
    top = np.full_like(x, margin)
    deep = rng.uniform(26, 58)
    _band(picture, top, top + deep + wave, main, _shade(main, 0.72))
    _band(picture, top + deep + wave + 5, top + deep + wave + 10, second, second)
    foot = np.full_like(x, height - margin)
    _band(picture, foot - rng.uniform(26, 34), foot, _shade(main, 0.8), main)
    if rng.random() < 0.6:  # a soft cloud of the second colour behind the brand
        cloud = np.exp(-(((x - middle) / 170) ** 2))[None, :, None]
        rows = np.exp(-(((np.arange(height) - margin - 110) / 60) ** 2))[:, None, None]
        mix = (cloud * rows * rng.uniform(0.12, 0.3)).astype(np.float32)
        picture = (picture + (np.array(second, np.float32) - picture) * mix).astype(np.uint8)
    badge = (middle + int(rng.integers(-12, 13)), margin + 60)
    ring = int(rng.integers(40, 46))
    cv2.circle(picture, badge, ring + 4, second, -1, cv2.LINE_AA)
    cv2.circle(picture, badge, ring, (248, 249, 250), -1, cv2.LINE_AA)
    _motif(picture, art.motif, badge[0], badge[1] + 14, ring - 12, main, second)
    _centred(
        picture, art.brand, middle, margin + 152, _shade(main, 0.55), int(rng.integers(48, 56)), 800
    )
    kind = "natural spring water" if water else "pure pressed juice"
    _centred(picture, kind, middle, margin + 175, _shade(main, 0.6), 17, 500, "italic")
    for side in (-1, 1):
        for row in range(9):
            words = " ".join(rng.choice(_SMALL_PRINT, 4))
            _centred(
                picture, words, middle + side * 242, margin + 96 + row * 13, (96, 92, 90), 11, 500
            )
    _barcode(picture, rng, middle + 176, margin + 222, 70)
    volume = "500 ml" if water else "400 ml"
    _centred(picture, volume, middle - 232, margin + 268, _shade(main, 0.5), 26, 700)
    x1, y1 = (round(v) for v in texture_point(*geometry.FIELD[:2]))
    x2, y2 = (round(v) for v in texture_point(*geometry.FIELD[2:]))
    cv2.rectangle(picture, (x1, y1), (x2, y2), (246, 247, 247), -1)
    cv2.rectangle(picture, (x1, y1), (x2, y2), _shade(second, 0.9), 1)
    grain = rng.standard_normal((height, width, 1)).astype(np.float32) * rng.uniform(1.0, 2.4)
    fibres = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 4)
    picture = np.clip(picture + grain + fibres[..., None] * rng.uniform(6, 14), 0, 255)
    alpha = np.zeros((height, width, 1), np.float32)
    alpha[margin : height - margin] = 255
    return np.concatenate([picture, alpha], 2).astype(np.uint8)


def field_texture(art: Art, rng: np.random.Generator) -> Mat:
    """A copy of the label's BGRA texture, its paper a little lighter or darker by chance."""
    ramp = np.arange(256, dtype=np.uint8)
    paper = (ramp * rng.uniform(0.95, 1.0)).astype(np.uint8)
    lookup = np.stack([paper, paper, paper, ramp], 1)[:, None]
    return cv2.LUT(_texture(art), lookup)


def scratch(texture: Mat, rng: np.random.Generator, length: float) -> geometry.Points:
    """Tear the label's print off along a jagged line; its outline in label points comes back."""
    direction = rng.uniform(-0.9, 0.9) + (np.pi if rng.random() < 0.5 else 0)
    start = np.array([rng.uniform(-55, 55), rng.uniform(LABEL_TOP + 30, LABEL_BOTTOM - 30)])
    steps = np.linspace(0, 1, 14)[:, None] - 0.5
    path = start + steps * length * np.array([np.cos(direction), np.sin(direction)])
    path += rng.normal(0, 1.1, path.shape)
    path[:, 0] = np.clip(path[:, 0], -75, 75)
    path[:, 1] = np.clip(path[:, 1], LABEL_TOP + 4, LABEL_BOTTOM - 4)
    points = np.array([texture_point(x, y) for x, y in path])
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
    (x1, y1), (x2, y2) = (path.min(0) - edge).tolist(), (path.max(0) + edge).tolist()
    return geometry.outline((x1, y1, x2, y2))


def tear(texture: Mat, rng: np.random.Generator, depth: float) -> geometry.Points:
    """Tear a notch out of the label, from its upper or lower edge; the notch's outline in label
    points comes back. What was torn off is gone, and the paper's pale fibre shows at the rim."""
    upper = rng.random() < 0.5
    edge, inward = (LABEL_TOP, 1.0) if upper else (LABEL_BOTTOM, -1.0)
    middle, half = rng.uniform(-58, 58), depth * rng.uniform(0.7, 1.15)
    across = np.linspace(-1, 1, 15)
    profile = np.clip(1 - np.abs(across - rng.uniform(-0.35, 0.35)), 0, 1)
    deep = depth * (profile / profile.max()) ** rng.uniform(0.8, 1.4)
    deep[1:-1] += rng.normal(0, 1.0, 13)
    deep[[0, -1]] = 0.0
    rim = np.stack([middle + across * half, edge + inward * np.clip(deep, 0, None)], 1)
    beyond = edge - inward * LABEL_MARGIN / 2
    whole = np.concatenate([rim, [[rim[-1, 0], beyond], [rim[0, 0], beyond]]])
    notch, torn = (
        np.round(np.array([texture_point(x, y) for x, y in points]) * 16).astype(np.int32)
        for points in (whole, rim)
    )
    cv2.polylines(texture, [torn], False, (236, 238, 240, 255), 7, cv2.LINE_AA, 4)
    gone = np.zeros(texture.shape[:2], np.uint8)
    cv2.fillPoly(gone, [notch], 255, cv2.LINE_AA, 4)
    texture[..., 3] = np.minimum(texture[..., 3], 255 - gone)
    (x1, y1), (x2, y2) = (rim.min(0) - 2).tolist(), (rim.max(0) + 2).tolist()
    return geometry.outline((x1, y1, x2, y2))


def shading(angle: Floats) -> Floats:
    """How much of the front light the label returns by its angle around the bottle."""
    facing = np.clip(np.cos(angle), 0, 1)
    gloss = 0.07 * np.exp(-(((angle + 0.62) / 0.10) ** 2)) + 0.04 * np.exp(
        -(((angle - 0.72) / 0.07) ** 2)
    )
    return (0.34 + 0.60 * facing**0.9 + gloss).astype(np.float32)


def code_maps(width: int, height: int, inverse: NDArray[Any]) -> tuple[Floats, Floats]:
    """For each pixel of a code picture, the label point it shows; NaN-free, cut at the silhouette.

    ``inverse`` (2×3) maps the pixels of the picture to those of the code view at nominal place.
    """
    y, x = np.mgrid[:height, :width].astype(np.float32)
    px = np.float32(inverse[0, 0]) * x + np.float32(inverse[0, 1]) * y + np.float32(inverse[0, 2])
    py = np.float32(inverse[1, 0]) * x + np.float32(inverse[1, 1]) * y + np.float32(inverse[1, 2])
    u = (px - geometry.CODE_SIZE[0] / 2) / np.float32(geometry.CODE_ZOOM * geometry.RADIUS)
    s = np.arcsin(np.clip(u, -1, 1)) * np.float32(geometry.RADIUS)
    zoom = np.float32(geometry.CODE_ZOOM * (1 + geometry.PERSPECTIVE))
    v = (py - geometry.CODE_SIZE[1] / 2) / zoom + np.float32(geometry.CODE_CENTRE[1])
    return s, v


def side_maps(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """For points of the side view with the bottle at its nominal place, the label point there."""
    angle = np.arcsin(np.clip((x - geometry.AXIS_X) / geometry.RADIUS, -1, 1))
    v = geometry.EYE_Y + (y - geometry.EYE_Y) / (1 + geometry.PERSPECTIVE * np.cos(angle))
    return (angle * geometry.RADIUS).astype(np.float32), v.astype(np.float32)


def sample(texture: Mat, s: Floats, v: Floats) -> Mat:
    """The texture's BGRA at label points; clear outside."""
    map_x = (s + np.float32(LABEL_HALF)) * LABEL_SCALE - np.float32(0.5)
    map_y = (v - np.float32(LABEL_TOP - LABEL_MARGIN)) * LABEL_SCALE - np.float32(0.5)
    return cv2.remap(texture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def photograph(
    texture: Mat, box: Box, view: str, rng: np.random.Generator, light: optics.Light
) -> Mat:
    """The part of a view around a label box, grey, with the slack of a moving bottle around it."""
    points = geometry.outline(box)
    side = view == "side"
    placed = geometry.project(points) if side else geometry.project_code(points)
    low, high = placed.min(0), placed.max(0)
    slack = np.array((11.0, 5.5) if side else (10.0, 8.0))
    width, height = (np.ceil(high - low + 2 * slack)).astype(int)
    height = int(np.clip(height, 24, 48))
    middle = (low + high) / 2
    reach = slack * rng.uniform(-0.85, 0.85, 2)
    turn = cv2.getRotationMatrix2D((0.0, 0.0), rng.uniform(-1.4, 1.4), rng.uniform(0.97, 1.03))
    turn[:, 2] = middle - turn[:, :2] @ (np.array([width, height]) / 2 + reach)
    if side:
        y, x = np.mgrid[:height, :width].astype(np.float32)
        px = (turn[0, 0] * x + turn[0, 1] * y + turn[0, 2]).astype(np.float32)
        py = (turn[1, 0] * x + turn[1, 1] * y + turn[1, 2]).astype(np.float32)
        s, v = side_maps(px, py)
    else:
        s, v = code_maps(int(width), height, turn)
    picture = sample(texture, s, v)[..., :3]
    lit = picture * (shading(s / geometry.RADIUS) * np.float32(rng.uniform(0.85, 1.1)))[..., None]
    clean = np.clip(lit, 0, 255).astype(np.uint8)
    if not side:
        grey = cv2.cvtColor(clean, cv2.COLOR_BGR2GRAY)
        return optics.grey_camera(grey, light, rng, geometry.CODE_ZOOM)
    even = cv2.copyMakeBorder(clean, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return cv2.cvtColor(optics.colour_camera(even, light, rng), cv2.COLOR_BGR2GRAY)[:height, :width]
