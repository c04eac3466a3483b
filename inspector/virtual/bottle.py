"""The virtual product: one bottle, as a side camera and a code camera see it, and the truth of it.

Enters a seed and what the part should be; leaves two pictures and what is really on them. Imported
by the films, the training scripts and tests; never by a room of the station. What parts there are
and what can be wrong with them is in `product`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from inspector.part import Pixels
from inspector.virtual import geometry as g
from inspector.virtual import label, materials, optics
from inspector.virtual import print as printing
from inspector.virtual.geometry import DATE_ROI, LOT_ROI, REFERENCE_PATCH
from inspector.virtual.materials import Layer
from inspector.virtual.optics import Mat
from inspector.virtual.print import render_line
from inspector.virtual.product import (
    BOTTLE_LINE,
    CAP_COLOURS,
    CAP_TILT_DEG,
    CONFLICTS,
    DEFECTS,
    FILL_PX,
    JUICE_LINE,
    LABEL_SKEW_DEG,
    NOVELTIES,
    PARTICLE_CONTRAST,
    PARTICLE_PX,
    PRODUCTS,
    SCRATCH_PX,
    TEAR_PX,
    TEXTURES_HELD_OUT,
    TEXTURES_TRAIN,
    PartSpec,
    Product,
    Setup,
    alike,
    check_defects,
    draw_date,
    draw_defects,
    draw_lot,
    draw_setup,
    wrong_text,
)
from inspector.virtual.truth import Notes

__all__ = [
    "BOTTLE_LINE", "CAP_COLOURS", "CONFLICTS", "DATE_ROI", "DEFECTS", "JUICE_LINE", "LOT_ROI",
    "NOVELTIES", "PRODUCTS", "REFERENCE_PATCH", "TEXTURES_HELD_OUT", "TEXTURES_TRAIN", "PartSpec",
    "Product", "RenderedPart", "Setup", "draw_date", "draw_defects", "draw_lot", "draw_setup",
    "render_line", "render_part",
]  # fmt: skip

Floats = NDArray[Any]
"""float32; OpenCV's stubs do not say so."""


class RenderedPart(NamedTuple):
    """One part, seen."""

    side: Pixels
    """``(480, 640, 3)`` BGR, already through a Bayer sensor: sampling it again as BayerRG8 and
    demosaicing gives the same picture but for its outermost pixels."""
    code: Pixels
    """``(240, 320)`` grey."""
    truth: dict[str, Any]
    """JSON-ready: ``product, lot, date`` (what the batch wants), ``printed`` (what the label has),
    ``defects`` [{label, severity, view, box}], ``objects`` (normal things only: bottle, label, cap
    with its colour), ``lines`` [{name, text, view, box, legible}]."""


def render_part(
    seed: int | np.random.Generator, spec: PartSpec | None = None, take: int = 0
) -> RenderedPart:
    """Make one part and take its two pictures. The same seed, spec and take give the same bytes.

    Another ``take`` is the very same part once more: it stands elsewhere, under other light, and
    the sensors count other photons, as a gauge study wants it.

    Raises ValueError for an unknown defect or for two that exclude each other.
    """
    spec = spec or PartSpec()
    check_defects(spec.defects)
    root = int(seed.integers(1 << 62)) if isinstance(seed, np.random.Generator) else seed
    # one stream for each thing, so that a defect in one leaves the others as they would have been
    streams = np.random.SeedSequence(root).spawn(9)
    batch, paper, level, crumb, lid, dirt, stand, close, harm = map(np.random.default_rng, streams)
    if take:
        stand, close = map(np.random.default_rng, np.random.SeedSequence((root, take)).spawn(2))
    setup = spec.setup or draw_setup(batch, spec.product, spec.split)
    textures = TEXTURES_TRAIN if spec.split == "train" else TEXTURES_HELD_OUT
    has = set(spec.defects)
    note = Notes(spec, has)

    texture, skew = _labelled(paper, harm, spec, setup, has, note)
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
    place: Mat = cv2.getRotationMatrix2D((g.AXIS_X, g.BASE_BOTTOM), turn, 1.0)
    place[:, 2] += stand.uniform(-1, 1, 2) * g.SIDE_JITTER_PX
    side = _side_picture(bottle, setup, place, stand)
    note.side(place, skew, fill)
    code = _code_picture(texture, skew, spec, close, note)
    return RenderedPart(side, code, note.truth())


def _labelled(
    rng: np.random.Generator,
    harm: np.random.Generator,
    spec: PartSpec,
    setup: Setup,
    has: set[str],
    note: Notes,
) -> tuple[Mat, NDArray[Any]]:
    """The printed label's texture, and the affine by which it was stuck on askew."""
    texture = label.field_texture(setup.art, rng)
    if "label_scratched" in has:
        note.scratch = label.scratch(texture, harm, harm.uniform(*SCRATCH_PX[1:]))
    if "label_torn" in has:
        note.tear = label.tear(texture, harm, harm.uniform(*TEAR_PX[1:]))
    scale = g.LABEL_SCALE
    off = rng.uniform(-1, 1, 2) * g.PRINT_JITTER
    if "print_smeared" in has:
        length = harm.uniform(*printing.SMEAR_PX)
    for name in ("lot", "date"):
        text = spec.lot if name == "lot" else spec.date
        if f"{name}_wrong" in has:
            text = wrong_text(text, name, harm)
        x1, y1, x2, y2 = g.line_box(name, len(text))
        note.lines[name] = (x1 + off[0], y1 + off[1], x2 + off[0], y2 + off[1])
        if f"{name}_missing" in has:
            text = ""
        note.printed[name] = text
        if not text:
            continue
        mask = printing.ink(text, setup.font, rng, g.ADVANCE * scale, g.PRINT_HEIGHT * scale)
        if "print_smeared" in has:
            mask = printing.drag(mask, length, harm)
        x, y = label.texture_point(x1 + off[0], y1 + off[1])
        printing.stamp(texture, mask, x, y, setup.ink)
    mild, low, high = LABEL_SKEW_DEG
    angle = rng.uniform(-mild, mild)
    if "label_skewed" in has:
        angle = harm.uniform(low, high) * harm.choice([-1, 1])
    middle = (0.0, (g.LABEL_TOP + g.LABEL_BOTTOM) / 2)
    return texture, cv2.getRotationMatrix2D(middle, float(angle), 1.0)


def _fill_level(rng: np.random.Generator, has: set[str]) -> float:
    good, low, high = FILL_PX
    if "low_fill" in has:
        return float(g.FILL_Y + rng.uniform(low, high))
    return float(g.FILL_Y + np.clip(rng.normal(0, good / 2.2), -good, good))


def _filled_body(setup: Setup, product: Product, fill: float) -> Layer:
    """The bottle with its liquid up to ``fill``, on the canvas."""
    empty, full = materials.body(setup.body, product.tint, product.liquid)
    through, light = full.through.copy(), full.light.copy()
    half = float(materials.half_width(np.array([fill], np.float32))[0])
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
    bottle: Layer, rng: np.random.Generator, fill: float, setup: Setup, note: Notes
) -> Layer:
    """Something in the liquid that does not belong there: a dark crumb, a splinter, an insect."""
    size = float(rng.uniform(*PARTICLE_PX[1:]))
    if rng.random() < 0.62 and fill < 168:
        y = rng.uniform(fill + 14, g.LABEL_TOP - 16)
    else:
        y = rng.uniform(g.LABEL_BOTTOM + 26, g.BASE_BOTTOM - 10)
    half = float(materials.half_width(np.array([y], np.float32))[0])
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


def _with_label(bottle: Layer, texture: Mat, skew: NDArray[Any]) -> Layer:
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
    note: Notes,
) -> Layer:
    colour = spec.product.cap
    if "cap_wrong" in has:
        others = [name for name in CAP_COLOURS if name not in alike(colour)]
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
        here: Mat = turn.copy()
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


def _side_picture(
    bottle: Layer, setup: Setup, place: NDArray[Any], rng: np.random.Generator
) -> Mat:
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
    texture: Mat,
    skew: NDArray[Any],
    spec: PartSpec,
    rng: np.random.Generator,
    note: Notes,
) -> Mat:
    width, height = g.CODE_SIZE
    turn = float(rng.uniform(-g.ROTATION_DEG, g.ROTATION_DEG))
    place: Mat = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1.0)
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
