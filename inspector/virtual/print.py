"""Ink on a label: fonts of ink-jet printers, and single printed lines to teach a recogniser with.

Enters a text and a random generator; leaves a mask of ink, or the picture of one line as either
camera would see it. Imported by the renderer and by the training scripts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from inspector.part import Pixels
from inspector.virtual import geometry, glyphs, optics
from inspector.virtual.optics import Mat

Split = Literal["train", "held_out"]
"""Models are trained on the one and measured on the other: no font or texture is in both."""


@dataclass(frozen=True, slots=True)
class Font:
    """How a printer forms its characters."""

    name: str
    alphabet: Literal["matrix", "other matrix", "head", "stroke"]
    columns: int = 5
    rows: int = 7
    dot: float = 0.95
    """The diameter of a dot by the pitch of the dots; above 1 the dots run into each other."""
    gap: float = 1.0
    """Empty columns between characters."""
    slant: float = 0.0
    """Shift to the right by height."""
    weight: float = 0.12
    """The width of a stroke by the height of a character."""


FONTS_TRAIN = (
    Font("dots", "matrix"),
    Font("dots fine", "matrix", dot=0.72),
    Font("dots bold", "matrix", dot=1.3),
    Font("dots wide", "matrix", dot=0.9, gap=1.6),
    Font("dots italic", "matrix", dot=0.95, slant=0.16),
    Font("other dots", "other matrix", dot=1.05, gap=0.8),
    Font("head 7x9", "head", 7, 9, dot=1.1, gap=1.4),
    Font("head 7x9 fine", "head", 7, 9, dot=0.8, gap=1.2),
    Font("head 9x12", "head", 9, 12, dot=1.15, gap=2.2),
    Font("stroke thin", "stroke", weight=0.09, gap=1.2),
    Font("stroke bold", "stroke", weight=0.17, gap=1.4),
    Font("stroke italic", "stroke", weight=0.12, gap=1.2, slant=0.14),
)
FONTS_HELD_OUT = (
    Font("other dots fine", "other matrix", dot=0.8),
    Font("dots medium", "matrix", dot=1.12, gap=1.3, slant=-0.04),
    Font("head 6x8", "head", 6, 8, dot=1.0, gap=1.3),
    Font("head 8x10 bold", "head", 8, 10, dot=1.4, gap=1.8, slant=0.06),
    Font("stroke medium", "stroke", weight=0.13, gap=1.0),
)


def fonts(split: Split) -> tuple[Font, ...]:
    """The fonts of a split."""
    return FONTS_TRAIN if split == "train" else FONTS_HELD_OUT


SMEAR_PX = (9.0, 16.0)
"""A smeared print is dragged this far, in texture pixels (half a side pixel)."""
GOOD_SMEAR_PX = 1.2
"""A good print's ink has run by this much at most."""
PAD = 24
"""Clear texture pixels around the ink of a line."""
_SHIFT = 4


def ink(text: str, font: Font, rng: np.random.Generator, advance: float, height: float) -> Mat:
    """A mask of ink: 0 is bare paper, 255 full ink.

    ``advance`` and ``height`` in pixels. The text's box begins at ``(PAD, PAD)``. Raises KeyError
    for a character that no font has: see :data:`glyphs.CHARACTERS`.
    """
    mask = np.zeros((int(height) + 2 * PAD, int(len(text) * advance) + 2 * PAD), np.uint8)
    wobble = rng.normal(0, 0.02) * height
    density = rng.uniform(0.82, 1.0)
    for index, character in enumerate(text):
        left = PAD + index * advance
        drift = wobble * np.sin(index * 0.9)
        if font.alphabet == "stroke":
            _strokes(mask, character, font, left, PAD + drift, advance, height, density)
        else:
            _dots(mask, character, font, rng, left, PAD + drift, advance, height, density)
    return mask


def _dots(
    mask: Mat,
    character: str,
    font: Font,
    rng: np.random.Generator,
    left: float,
    top: float,
    advance: float,
    height: float,
    density: float,
) -> None:
    if font.alphabet == "head":
        dots = glyphs.stroke_dots(character, font.columns, font.rows)
    else:
        dots = glyphs.matrix_dots(character, font.alphabet == "other matrix")
    if not len(dots):
        return
    pitch_x = advance / (font.columns + font.gap)
    pitch_y = height / font.rows
    x = left + (dots[:, 0] + 0.5) * pitch_x + (font.rows / 2 - dots[:, 1]) * pitch_y * font.slant
    y = top + (dots[:, 1] + 0.5) * pitch_y
    jitter = rng.normal(0, 0.055, (len(dots), 2)) * (pitch_x, pitch_y)
    radius = font.dot * (pitch_x + pitch_y) / 4 * rng.uniform(0.88, 1.12, len(dots))
    level = density * 255 * rng.uniform(0.85, 1.0, len(dots))
    places = np.round((np.stack([x, y], 1) + jitter) * (1 << _SHIFT)).astype(int).tolist()
    radii = np.round(radius * (1 << _SHIFT)).astype(int).tolist()
    for place, size, value in zip(places, radii, level.tolist(), strict=True):
        cv2.circle(mask, place, size, value, -1, cv2.LINE_AA, _SHIFT)


def _strokes(
    mask: Mat,
    character: str,
    font: Font,
    left: float,
    top: float,
    advance: float,
    height: float,
    density: float,
) -> None:
    thick = max(1, round(font.weight * height))
    width = advance * 5 / (5 + font.gap) - thick
    for line in glyphs.polylines(character):
        x = left + thick / 2 + line[:, 0] * width + (0.5 - line[:, 1]) * height * font.slant
        y = top + thick / 2 + line[:, 1] * (height - thick)
        points = np.round(np.stack([x, y], 1) * (1 << _SHIFT)).astype(np.int32)
        cv2.polylines(mask, [points], False, density * 255, thick, cv2.LINE_AA, _SHIFT)


def drag(mask: Mat, length: float, rng: np.random.Generator) -> Mat:
    """The mask as a finger or a roller has wiped it, ``length`` pixels to one side."""
    size = max(3, int(length) | 1)
    kernel = np.zeros((size, size), np.float32)
    angle = rng.uniform(-0.25, 0.25)
    reach = size // 2
    end = (round(reach + reach * np.cos(angle)), round(reach + reach * np.sin(angle)))
    cv2.line(kernel, (reach, reach), end, 1.0, 1, cv2.LINE_AA)
    kernel /= kernel.sum()
    if rng.random() < 0.5:
        kernel = kernel[:, ::-1]
    wiped = cv2.filter2D(mask, cv2.CV_32F, kernel)
    wiped = cv2.GaussianBlur(wiped, (0, 0), 1.4)
    return np.clip(wiped * 0.75 + mask * 0.12, 0, 255).astype(np.uint8)


def stamp(texture: Mat, mask: Mat, x: float, y: float, colour: tuple[float, float, float]) -> None:
    """Print a mask, whose text begins at texture pixel (x, y), onto a BGR texture in place."""
    left, top = round(x) - PAD, round(y) - PAD
    x1, y1 = max(left, 0), max(top, 0)
    x2 = min(left + mask.shape[1], texture.shape[1])
    y2 = min(top + mask.shape[0], texture.shape[0])
    part = texture[y1:y2, x1:x2, :3].astype(np.float32)
    alpha = mask[y1 - top : y2 - top, x1 - left : x2 - left, None] * np.float32(1 / 255)
    part += (np.array(colour, np.float32) - part) * alpha
    texture[y1:y2, x1:x2, :3] = part + 0.5


INKS = ((34, 28, 26), (48, 36, 30), (60, 40, 28), (28, 26, 40))
"""BGR of black, grey-black, blue-black and brown-black ink."""


def render_line(
    text: str,
    rng: np.random.Generator,
    split: Split = "train",
    view: str | None = None,
    font: Font | None = None,
) -> Pixels:
    """One printed line as a recipe's ROI would cut it out of either camera's picture.

    Grey, 24 to 48 pixels high, as wide as the text needs (about 15 pixels a character in the side
    view, 24 in the code view) with the slack that a moving bottle needs; now and then a part of the
    other line or of the label's artwork is in it. ``text`` may be empty: then nothing is printed.
    ``font`` is one of the split's, unless another is given.
    """
    from inspector.virtual import label  # the label's field is printed on with this module

    font = font or fonts(split)[rng.integers(len(fonts(split)))]
    view = view or ("side" if rng.random() < 0.4 else "code")
    scale = geometry.LABEL_SCALE
    art = label.arts(split)[rng.integers(len(label.arts(split)))]
    texture = label.field_texture(art, rng)
    advance = min(geometry.ADVANCE, 140 / max(len(text), 1))
    colour = INKS[rng.integers(len(INKS))]
    name = "lot" if rng.random() < 0.5 else "date"
    other = "".join(rng.choice(list("0123456789LBCNV "), rng.integers(5, 10)))
    for line, printed in ((name, text), ("date" if name == "lot" else "lot", other)):
        if not printed or (line != name and rng.random() < 0.25):
            continue
        step = advance if line == name else geometry.ADVANCE
        mask = ink(printed, font, rng, step * scale, geometry.PRINT_HEIGHT * scale)
        if rng.random() < 0.3:
            mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.4, GOOD_SMEAR_PX))
        x, y = label.texture_point(
            geometry.PRINT_X, geometry.PRINT_Y[line] - geometry.PRINT_HEIGHT / 2
        )
        x += rng.uniform(-1, 1) * geometry.PRINT_JITTER * scale
        stamp(texture, mask, x, y, colour)
    length = max(len(text), 1) if text else int(rng.integers(5, 10))
    x1, y1, x2, y2 = geometry.line_box(name, length)
    x2 = x1 + length * advance - 2.6
    return label.photograph(texture, (x1, y1, x2, y2), view, rng, optics.draw_light(rng))
