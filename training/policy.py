"""What a line camera can really do to a picture, stated per product: a picture enters, a varied one
leaves.

Each policy is a list of albumentations transforms with the reason for each; nothing is in it that a
fixed camera over a conveyor does not do (no flip of a label, no rotation by 90°, no cut-out).
Imported by ``teach`` and the command line; drawn from the given generator alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator

from training.pictures import PAD, Picture, letterbox


@dataclass(frozen=True, slots=True)
class Policy:
    """How pictures of one product may be varied."""

    name: str
    reasons: tuple[str, ...]
    """One for each transform, for the card."""
    make: Callable[[], list[Any]]
    """The transforms, made when they are needed: albumentations takes a second to import."""
    plain: float = 0.2
    """Share of the pictures that stay as they are."""
    _moving: list[Any] = field(default_factory=list, repr=False, compare=False)
    """Pipelines at rest: examples are made on several threads, and two that draw from one pipeline
    draw from each other's seed."""
    _still: list[Any] = field(default_factory=list, repr=False, compare=False)

    def __call__(self, picture: Picture, height: int, width: int, rng: Generator) -> Picture:
        """One variation, letterboxed into ``height`` × ``width`` pixels."""
        whole = letterbox(picture, height, width)
        if rng.random() < self.plain:
            return whole
        compose = _rested(self._moving, self._compose)
        compose.set_random_seed(int(rng.integers(1 << 31)))
        done = compose(image=whole.pixels, bboxes=whole.boxes, labels=whole.labels)
        self._moving.append(compose)
        boxes = np.asarray(done["bboxes"], np.float32).reshape(-1, 4)
        labels = np.asarray(done["labels"], np.int64).reshape(-1)
        return Picture(
            np.ascontiguousarray(done["image"]), boxes, labels, picture.group, picture.name
        )

    def still(self, picture: Picture, height: int, width: int, rng: Generator) -> Picture:
        """One variation of light, lens and noise alone: nothing moves, so a mask still fits."""
        whole = letterbox(picture, height, width)
        if rng.random() < self.plain:
            return whole
        compose = _rested(self._still, self._compose_still)
        compose.set_random_seed(int(rng.integers(1 << 31)))
        pixels = np.ascontiguousarray(compose(image=whole.pixels)["image"])
        self._still.append(compose)
        return Picture(pixels, whole.boxes, whole.labels, picture.group, picture.name)

    def as_dict(self) -> dict[str, Any]:
        """For a card."""
        return {"policy": self.name, "varied_by": list(self.reasons), "unvaried": self.plain}

    def _compose(self) -> Any:
        import albumentations as A

        return A.Compose(
            self.make(),
            bbox_params=A.BboxParams(
                format="pascal_voc",
                label_fields=["labels"],
                min_visibility=0.75,
                clip=True,
                filter_invalid_bboxes=True,
            ),
        )

    def _compose_still(self) -> Any:
        import albumentations as A

        return A.Compose(self.make()[1:])


def _rested(rest: list[Any], make: Callable[[], Any]) -> Any:
    """A pipeline that no other thread draws from."""
    try:
        return rest.pop()
    except IndexError:
        return make()


def _line_camera() -> list[Any]:
    import albumentations as A

    return [
        A.Affine(
            scale=(0.96, 1.04),
            translate_percent=(-0.02, 0.02),
            rotate=(-1.5, 1.5),
            fill=PAD,
            border_mode=cv2.BORDER_CONSTANT,
            p=0.7,
        ),
        A.RandomBrightnessContrast(brightness_limit=0.12, contrast_limit=0.15, p=0.6),
        A.RandomGamma(gamma_limit=(85, 118), p=0.3),
        A.HueSaturationValue(hue_shift_limit=2, sat_shift_limit=10, val_shift_limit=0, p=0.3),
        A.MotionBlur(blur_limit=(3, 5), p=0.08),
        A.GaussianBlur(blur_limit=(3, 5), p=0.08),
        A.GaussNoise(std_range=(0.004, 0.02), p=0.4),
        A.ImageCompression(quality_range=(70, 98), p=0.2),
    ]


_REASONS = (
    "guides have play: the part stands up to 2 % aside, 1.5° askew, 4 % nearer or farther",
    "the lamp ages and is cleaned: ±12 % of brightness, ±15 % of contrast",
    "exposure is set again after maintenance: gamma 0.85 to 1.18",
    "white balance drifts: hue ±2°, saturation ±4 %",
    "the belt runs faster than the exposure was set for: 3 to 5 px along it",
    "the lens is touched: out of focus by 3 to 5 px",
    "gain is raised: noise of 1 to 5 grey levels",
    "the archive is JPEG of quality 70 to 98",
)


def _bottle() -> list[Any]:
    import albumentations as A

    return [
        A.Affine(
            scale=(0.98, 1.02),
            translate_percent=(-0.015, 0.015),
            rotate=(-0.8, 0.8),
            fill=PAD,
            border_mode=cv2.BORDER_CONSTANT,
            p=0.7,
        ),
        *_line_camera()[1:],
    ]


LINE_CAMERA = Policy("line-camera", _REASONS, _line_camera)
POLICIES: dict[str, Policy] = {
    "line-camera": LINE_CAMERA,
    "bottle-line": Policy(
        "bottle-line",
        (
            "bottles stand in a star wheel: up to 1.5 % aside, 0.8° askew, 2 % nearer or farther",
            *_REASONS[1:],
        ),
        _bottle,
        plain=0.3,
    ),
}
"""By product; a product of its own gets a row here. ``line-camera`` is for all others."""


def policy_of(name: str) -> Policy:
    """The policy of that name. Raises ``ValueError`` with those there are."""
    if name not in POLICIES:
        raise ValueError(f"no policy {name!r}; there are {', '.join(POLICIES)}")
    return POLICIES[name]
