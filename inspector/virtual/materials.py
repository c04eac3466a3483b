"""What a virtual bottle and its cell are made of: PET, liquid, caps, steel, belt, diffuser.

Enters a seed of a texture; leaves layers of the side view, drawn once at three times the resolution
and kept. A layer is a pair of BGR arrays in grey levels: what is behind it times ``through``, plus
``light``. So layers compose by one multiplication and one addition, tinted glass included. Imported
by the renderer alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.virtual import geometry as g

Floats = NDArray[Any]
"""float32; OpenCV's stubs do not say so."""
Tint = tuple[float, float, float]
"""Per channel, BGR."""

SUPERSAMPLING = 3


@dataclass(frozen=True, slots=True)
class Layer:
    """``out = behind * through + light``, both ``(height, width, 3)`` float32."""

    through: Floats
    light: Floats


@dataclass(frozen=True, slots=True)
class Liquid:
    """What is in the bottle."""

    through: Tint
    glow: Tint
    """Light that a cloudy liquid scatters towards the camera, in grey levels."""


def over(top: Layer, bottom: Layer) -> Layer:
    """One layer in front of another."""
    return Layer(top.through * bottom.through, bottom.light * top.through + top.light)


def half_width(y: Floats) -> Floats:
    """The bottle's radius by height, neck finish to base, in side view pixels."""
    t = np.clip((y - g.SHOULDER_TOP) / (g.SHOULDER_BOTTOM - g.SHOULDER_TOP), 0, 1)
    swing = t * t * (3 - 2 * t)
    body = g.NECK_RADIUS + (g.RADIUS - g.NECK_RADIUS) * (
        0.62 * swing + 0.38 * np.sin(t * np.pi / 2)
    )
    b = np.clip((y - g.BASE_TOP) / (g.BASE_BOTTOM + 4 - g.BASE_TOP), 0, 1)
    base = g.RADIUS * (0.80 + 0.20 * np.sqrt(np.clip(1 - b**2, 0, 1)))
    collar = (y > g.COLLAR_TOP) & (y < g.COLLAR_BOTTOM)
    lip = np.where(y < CAPLESS_TOP + 5, g.NECK_RADIUS - 1.5, g.NECK_RADIUS)
    radius = np.where(y < g.SHOULDER_TOP, lip, np.where(y > g.BASE_TOP, base, body))
    return np.where(collar, g.COLLAR_RADIUS, radius).astype(np.float32)


CAPLESS_TOP = 33.0
"""The mouth of the bottle, seen when the cap is missing."""


def _fine(x1: float, y1: float, x2: float, y2: float) -> tuple[Floats, Floats]:
    n = SUPERSAMPLING
    ys = (np.arange(int((y2 - y1) * n), dtype=np.float32) + 0.5) / n + np.float32(y1)
    xs = (np.arange(int((x2 - x1) * n), dtype=np.float32) + 0.5) / n + np.float32(x1)
    x, y = np.meshgrid(xs, ys)
    return x, y


def _coarse(array: Floats) -> Floats:
    height, width = array.shape[:2]
    size = (width // SUPERSAMPLING, height // SUPERSAMPLING)
    return cv2.resize(array, size, interpolation=cv2.INTER_AREA)


def _bell(x: Floats, centre: float, width: float) -> Floats:
    return np.exp(-(((x - centre) / width) ** 2)).astype(np.float32)


def _step(x: Floats, low: float, high: float) -> Floats:
    t = np.clip((x - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _smooth_line(
    rng: np.random.Generator, x: Floats, knots: int, low: float, high: float
) -> Floats:
    """A smooth random function of x in −1..1 between ``low`` and ``high``."""
    values = cv2.GaussianBlur(rng.normal(0, 1, (1, knots)).astype(np.float32), (0, 0), 0.8)[0]
    values /= np.abs(values).max()
    at = np.linspace(low, high, knots)
    dense = np.interp(np.linspace(low, high, knots * 16), at, values)
    dense = np.convolve(
        np.pad(dense, 12, mode="edge"), np.hanning(25) / np.hanning(25).sum(), "valid"
    )
    return np.interp(x, np.linspace(low, high, knots * 16), dense).astype(np.float32)


_EDGE = np.array([0, 0.55, 0.75, 0.86, 0.92, 0.96, 0.985, 1.0])
_EMPTY = np.array([0.98, 0.97, 0.94, 0.85, 0.66, 0.50, 0.72, 0.26])
_FULL = np.array([0.985, 0.975, 0.93, 0.76, 0.36, 0.20, 0.50, 0.16])


@lru_cache(maxsize=32)
def body(seed: int, tint: Tint, liquid: Liquid) -> tuple[Layer, Layer]:
    """A bottle on the canvas, empty and full: walls, ribs, base, highlights, shadow on the belt."""
    rng = np.random.default_rng(seed)
    x, y = _fine(*g.CANVAS)
    height = y.copy()
    for _ in range(4):  # a lathed shape seen in perspective: solve for the height that is seen
        radius = half_width(height)
        u = (x - g.AXIS_X) / radius
        facing = np.sqrt(np.clip(1 - u * u, 0, 1))
        height = g.EYE_Y + (y - g.EYE_Y) / (1 + g.PERSPECTIVE * facing * radius / g.RADIUS)
    inside = ((np.abs(u) <= 1) & (height >= CAPLESS_TOP) & (height <= g.BASE_BOTTOM)).astype(
        np.float32
    )
    edge = np.abs(u)
    angle = np.arcsin(np.clip(u, -1, 1))
    sway = u + 0.03 * np.sin(height / 41 + rng.uniform(0, 6)) * _step(height, 90, 160)
    streaks = (
        _smooth_line(rng, sway, 46, -1.1, 1.1) * 0.05
        + _smooth_line(rng, sway, 14, -1.1, 1.1) * 0.04
    )
    slope = _bell(height, 142, 34) * edge**1.5

    common = 1 - 0.26 * slope
    for rib in (g.LABEL_TOP - 9, g.LABEL_BOTTOM + 8, g.LABEL_BOTTOM + 22 + rng.uniform(-3, 3)):
        d = (height - rib) / 2.0
        common *= 1 - 0.34 * np.exp(-(d**2)) + 0.10 * np.exp(-((d - 1.9) ** 2))
    foot = _step(height, g.BASE_TOP - 8, g.BASE_BOTTOM)
    lobes = np.cos(angle * 5 + rng.uniform(0, 6))
    common *= (
        1 - foot * (0.30 + 0.22 * lobes) - 0.28 * _step(height, g.BASE_BOTTOM - 5, g.BASE_BOTTOM)
    )
    neck = 1 - _step(height, g.SHOULDER_TOP - 2, g.SHOULDER_TOP + 6)
    thread = np.sin((height + angle * 3.2) / 9.5 * 2 * np.pi)
    threads = neck * (height < g.RING_BOTTOM)
    common *= 1 - threads * (0.18 + 0.22 * np.clip(thread, 0, 1) ** 2)
    collar = ((height > g.COLLAR_TOP) & (height < g.COLLAR_BOTTOM)).astype(np.float32)
    common *= 1 - 0.38 * collar

    fade = _step(height, 118, 190) * (1 - _step(height, 402, 432))
    place = -0.60 + rng.uniform(-0.04, 0.04)
    shine = 62 * _bell(u, place, 0.035) * fade + 26 * _bell(u, place + 0.10, 0.018) * fade
    shine += 34 * _bell(u, 0.66, 0.028) * fade
    shine += 55 * _bell(u, -0.48, 0.10) * _bell(height, 128, 20) + 26 * _bell(u, 0.5, 0.08) * _bell(
        height, 132, 22
    )
    shine += collar * (60 * _bell(height, g.COLLAR_TOP + 1.4, 1.0) + 14)
    shine += threads * 26 * np.clip(thread, 0, 1) ** 6 + neck * 24 * _bell(u, -0.5, 0.12)
    for rib in (g.LABEL_TOP - 9, g.LABEL_BOTTOM + 8):
        shine += 30 * _bell(height, rib + 3.2, 1.3) * (1 - edge**4)
    shine += 16 * _bell(height, g.BASE_BOTTOM - 9, 3.0) * np.clip(lobes, 0, 1)

    shadow = np.exp(-((np.hypot((x - g.AXIS_X) / 112, (y - 452) / 9.5)) ** 4)).astype(np.float32)
    shadow = np.maximum(
        shadow, 0.5 * np.exp(-((np.hypot((x - g.AXIS_X - 12) / 128, (y - 458) / 15)) ** 4))
    )
    ground = 1 - 0.62 * shadow
    wall = np.array(tint, np.float32)
    layers = []
    for profile, filled in ((_EMPTY, False), (_FULL, True)):
        pass_ = np.interp(edge, _EDGE, profile).astype(np.float32) * (common + streaks)
        light = shine + (6.0 if filled else 9.0) * (1 - facing)
        through = np.clip(pass_, 0.03, 1)[..., None] * wall
        glow = np.zeros(3, np.float32)
        if filled:
            through = through * np.array(liquid.through, np.float32)
            glow = np.array(liquid.glow, np.float32)
            # below the label the liquid is a lens: the diffuser shines in and hides the belt behind
            lens = _step(height, g.LABEL_BOTTOM - 4, g.LABEL_BOTTOM + 10)
            through = through * (1 - 0.62 * lens[..., None])
            caustic = 0.62 + 0.38 * np.cos(angle * 3.1 + 0.4) ** 2 + 0.16 * lobes * foot
            clear = (
                lens * caustic * (1 - edge**5) * (66 + 30 * _bell(height, g.BASE_BOTTOM - 16, 12))
            )
            light = light + clear * common * float(np.mean(liquid.through))
        milk = glow * (facing**0.7 * (0.75 + 0.25 * common))[..., None]
        full = inside[..., None]
        layers.append(
            Layer(
                _coarse((full * through + (1 - full) * ground[..., None]).astype(np.float32)),
                _coarse((full * (light[..., None] + milk)).astype(np.float32)),
            )
        )
    return layers[0], layers[1]


@dataclass(frozen=True, slots=True)
class CapShape:
    """A cap's surface, to be coloured part by part. Arrays ``(height, width, 1)`` float32."""

    shade: Floats
    gloss: Floats
    alpha: Floats


CAP_BOX = (255, 8, 385, 96)
"""The part of the side view that caps and rings are drawn in, at the nominal place."""


@lru_cache(maxsize=32)
def cap(style: int) -> tuple[CapShape, CapShape]:
    """A screw cap and its tamper ring: knurls, bevel, highlights. ``style`` is a texture's seed."""
    rng = np.random.default_rng(style)
    x, y = _fine(*CAP_BOX)
    knurls = int(rng.choice([54, 72, 90, 120]))
    depth = rng.uniform(0.10, 0.22)
    bevel = rng.uniform(3.5, 8.0)
    skirt = rng.uniform(3.0, 7.0)
    shapes = []
    for top, bottom, radius in (
        (g.CAP_TOP, g.CAP_BOTTOM, g.CAP_RADIUS),
        (g.CAP_BOTTOM + 2.5, g.RING_BOTTOM, g.RING_RADIUS),
    ):
        ring = top > g.CAP_TOP
        height = y.copy()
        for _ in range(3):
            round_ = np.clip((top + bevel - height) / bevel, 0, 1) if not ring else np.zeros_like(y)
            wide = radius - 4.5 * (1 - np.sqrt(np.clip(1 - round_**2, 0, 1)))
            u = (x - g.AXIS_X) / wide
            facing = np.sqrt(np.clip(1 - u * u, 0, 1))
            height = g.EYE_Y + (y - g.EYE_Y) / (1 + g.PERSPECTIVE * facing * radius / g.RADIUS)
        inside = (np.abs(u) <= 1) & (height >= top) & (height <= bottom)
        angle = np.arcsin(np.clip(u, -1, 1))
        shade = (
            0.30
            + 0.42 * np.clip(np.cos(angle + 0.45), 0, 1)
            + 0.24 * np.clip(np.cos(angle - 0.7), 0, 1)
        )
        gloss = 46 * _bell(angle, -0.52, 0.10) + 20 * _bell(angle, 0.62, 0.08)
        if ring:
            bridges = (np.cos(angle * 18) > 0.86) | (height > top + 1.2)
            inside &= bridges
            shade *= 0.86 + 0.12 * _step(height, top, bottom) - 0.25 * _bell(height, bottom, 1.0)
            gloss *= 0.5
        else:
            ridges = np.cos(angle * knurls + rng.uniform(0, 6))
            on = _step(height, top + bevel, top + bevel + 3) * (
                1 - _step(height, bottom - skirt - 1, bottom - skirt)
            )
            shade *= 1 + on * depth * ridges * (0.35 + 0.65 * facing)
            gloss *= 1 - 0.55 * on * (0.5 - 0.5 * ridges)
            shade *= 1 + 0.22 * _bell(height, top + bevel * 0.75, 2.0)
            shade *= 1 - 0.30 * _bell(height, top, 1.6) - 0.35 * _bell(height, bottom, 1.4)
            shade *= 1 - 0.16 * _bell(height, bottom - skirt, 1.1)
            gloss += 26 * _bell(height, top + bevel * 0.7, 1.6) * facing
        shade *= 1 - 0.42 * np.abs(u) ** 8
        shapes.append(
            CapShape(
                *(_coarse(part.astype(np.float32))[..., None] for part in (shade, gloss, inside))
            )
        )
    return shapes[0], shapes[1]


def coloured(shape: CapShape, colour: Tint) -> Layer:
    """A cap's surface in a colour (BGR, grey levels), as a layer of CAP_BOX."""
    light = shape.shade * np.array(colour, np.float32) + shape.gloss
    return Layer(np.repeat(1 - shape.alpha, 3, 2), light * shape.alpha)


@lru_cache(maxsize=16)
def cell(seed: int) -> Floats:
    """An inspection cell without a bottle: wall, diffuser, rails, belt, grey card. 640×480 BGR."""
    rng = np.random.default_rng(seed)
    width, height = g.SIDE_SIZE
    y, x = np.mgrid[:height, :width].astype(np.float32)
    tone = rng.uniform(46, 74)
    cast = np.array([1 + rng.uniform(0, 0.08), 1.0, 1 - rng.uniform(0, 0.06)], np.float32)
    grey = tone * (1.05 - 0.25 * np.abs(x / width - 0.5)) + 6 * _smooth_line(rng, x, 20, 0, width)
    picture = grey[..., None] * cast

    left, right = 66 + rng.uniform(-8, 8), 574 + rng.uniform(-8, 8)
    top, bottom = 10 + rng.uniform(-4, 4), 396.0
    level = rng.uniform(226, 240)
    panel = level * (1 - 0.10 * (((x - 320) / 260) ** 2) - 0.07 * (((y - 190) / 200) ** 2))
    leds = np.cos((x - left) / rng.uniform(20, 28) * 2 * np.pi) * np.cos((y - top) / 24 * 2 * np.pi)
    panel = panel + leds * rng.uniform(0.3, 1.2) + 2.0 * _smooth_line(rng, y, 12, 0, height)
    mask = _step(x, left - 0.8, left + 0.8) * (1 - _step(x, right - 0.8, right + 0.8))
    mask *= _step(y, top - 0.8, top + 0.8) * (1 - _step(y, bottom - 0.8, bottom + 0.8))
    white = np.array([1.01, 1.0, 0.985], np.float32)
    picture += (panel[..., None] * white - picture) * mask[..., None]
    halo = np.exp(-np.maximum(np.maximum(left - x, x - right), 0) / 22) * (1 - mask) * 22
    picture += (halo * (y < bottom))[..., None]

    for side, inner in ((0, left), (1, right)):  # the aluminium profiles that hold the diffuser
        near, far = (inner - 26, inner - 3) if side == 0 else (inner + 3, inner + 26)
        t = (x - near) / (far - near)
        bar = (
            128
            + 34 * np.cos((t - 0.3) * 3.2)
            - 52 * _bell(t, 0.5, 0.09)
            + 2.2 * rng.standard_normal((height, 1))
        )
        on = (
            _step(x, near - 0.7, near + 0.7)
            * (1 - _step(x, far - 0.7, far + 0.7))
            * (y < bottom + 6)
        )
        picture += (bar[..., None] * 0.82 * cast - picture) * on[..., None]
        for hole in (70.0, 300.0):
            spot = np.hypot(x - (near + far) / 2, y - hole)
            disc = 1 - _step(spot, 5.2, 6.6)
            metal = 92 + 40 * np.clip((x - near) / 26, 0, 1) - 60 * (1 - _step(spot, 1.6, 2.6))
            picture += (metal[..., None] - picture) * disc[..., None]

    rail = rng.uniform(392, 398)  # a guide rail behind the bottles, and its lower twin
    for centre, half, gain in ((rail, 6.0, 1.0), (rail + 17, 3.2, 0.7)):
        t = (y - centre) / half
        steel = (70 + 105 * _bell(t, -0.42, 0.28) + 38 * _bell(t, 0.55, 0.3)) * gain
        brushed = (
            cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (41, 1), 9)
            * 9
        )
        on = (1 - _step(np.abs(t), 0.88, 1.08))[..., None]
        picture += ((steel + brushed)[..., None] * cast - picture) * on
    for post in (left + 34, right - 34):
        t = (x - post) / 7
        on = (1 - _step(np.abs(t), 0.9, 1.05)) * _step(y, rail + 4, rail + 6)
        picture += ((58 + 60 * _bell(t, -0.3, 0.4))[..., None] - picture) * on[..., None]

    belt_top = 416.0  # a modular plastic belt, seen a little from above
    depth = np.clip((y - belt_top) / (height - belt_top), 0, 1)
    tone = rng.uniform(52, 84)
    belt = tone * (0.72 + 0.5 * depth) + 26 * np.exp(-(((y - 424) / 7) ** 2))
    pitch = rng.uniform(40, 58)
    skew = (x - 320) / (0.86 + 0.14 * depth) + 320
    links = np.abs(((skew / pitch + rng.uniform(0, 1)) % 1) - 0.5) * pitch
    belt -= 30 * (1 - _step(links, 0.8, 2.4)) - 12 * _bell(links, 3.6, 1.2)
    rough = rng.standard_normal((height, width)).astype(np.float32)
    belt += cv2.GaussianBlur(rough, (0, 0), 1.1) * 5 + cv2.GaussianBlur(rough, (31, 3), 7) * 14
    glow = 30 * np.exp(-(((x - 320) / 210) ** 2)) * (1 - depth) ** 2  # the diffuser's mirror image
    on = _step(y, belt_top - 0.8, belt_top + 0.8)[..., None]
    bluish = np.array([1.06, 1.0, 0.95], np.float32) if rng.random() < 0.5 else cast
    picture += ((belt + glow)[..., None] * bluish - picture) * on
    lip = _bell(y, belt_top, 1.4) * 30
    picture -= lip[..., None]

    _card(picture, g.REFERENCE_PATCH["side"], 150.0)
    picture += rng.standard_normal(picture.shape).astype(np.float32) * 0.5
    lit: Floats = np.clip(picture, 2, 250).astype(np.float32)
    return lit


def _card(picture: Floats, box: tuple[float, float, float, float], level: float) -> None:
    x1, y1, x2, y2 = (int(v) for v in box)
    picture[y1 - 6 : y2 + 6, x1 - 6 : x2 + 6] = 34
    picture[y1 - 6, x1 - 6 : x2 + 6] = 78
    picture[y1 - 3 : y2 + 3, x1 - 3 : x2 + 3] = level


@lru_cache(maxsize=8)
def droplets(seed: int) -> Floats:
    """Condensation and dust on the canvas: a field of small signed specks, in grey levels × 1."""
    rng = np.random.default_rng(seed)
    x1, y1, x2, y2 = g.CANVAS
    n = 2
    field = np.zeros(((y2 - y1) * n, (x2 - x1) * n), np.float32)
    for _ in range(int(rng.integers(60, 420))):
        px, py = rng.uniform(0, field.shape[1]), rng.uniform(90 * n, 430 * n)
        size = rng.uniform(0.8, DROPLET_MAX_PX) * n / 2
        level = rng.uniform(0.3, 1.0) * DROPLET_CONTRAST
        place = (round(px * 16), round(py * 16))
        cv2.circle(field, place, round(size * 16), -level, -1, cv2.LINE_AA, 4)
        light = (place[0] - round(size * 5), place[1] - round(size * 5))
        cv2.circle(field, light, round(size * 7), level * 0.9, -1, cv2.LINE_AA, 4)
    small = cv2.resize(field, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
    return small[..., None]


DROPLET_MAX_PX = 2.4
"""Diameter of the largest harmless speck: a foreign particle is at least PARTICLE_PX across."""
DROPLET_CONTRAST = 20.0
"""How much darker than its surroundings a harmless speck can be, in grey levels."""
