"""``compare``: pixels and golden pictures go in, what is there too much, too little or elsewhere
comes out, without any training.

Every pixel has a range: the darkest and brightest that any golden picture has within
``edge_px`` of it, widened by ``tolerance``. The other way round, what all golden pictures have must
be seen within ``edge_px``, or a break of a thin line would lie in the range of its own edges. What
is out of range over ``area_px`` and more rejects the part. Several golden pictures make the range
that good parts differ by. Where a rule cannot tell a fault from a rough edge, ``model`` is asked.
Imported by ``tools`` alone.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator, model_validator

from inspector.config import Settings, nearest
from inspector.part import Box, Finding, Pixels, Severity
from inspector.tools.card import ModelError, card_in
from inspector.tools.difference import GOOD, Difference, Namer
from inspector.tools.golden import GoldenPicture
from inspector.tools.onnx import Shelf
from inspector.tools.place import Place
from inspector.tools.shape import Shape
from inspector.tools.step import (
    Context,
    Roi,
    Step,
    Unjudged,
    bgr_of,
    corner_of,
    crop,
    grey_of,
    is_left_out,
)
from inspector.tools.traces import TRACES, Conductors

EXTRA, MISSING, CHANGED = "foreign", "missing", "changed"
"""Labels: something where the golden picture is plain, nothing where it has something, else."""
WORDS = {EXTRA: "something foreign", MISSING: "something missing", CHANGED: "a difference"}
LABELS = (EXTRA, MISSING, CHANGED, *TRACES)

NOT_SURE = 0.5
"""What ``good_from`` is where a recipe says nothing."""

RIM_MOST = 0.1
"""Share of what is compared from which differences at its rim are judged all the same: another
product, or an empty belt. Of 110 real boards those at the rim are 0.0025 at most."""

Margin = Annotated[int, Field(ge=0, le=64)]

MOST_BOXES = 100
"""Findings of one part; beyond, it is another product and a hundred boxes say so."""


class Params(Settings):
    """What good parts look like, and what may differ."""

    golden: tuple[GoldenPicture, ...] = Field(min_length=1)
    """Good parts, all of one size, as one picture or several that show how good ones differ."""
    settle_px: int = Field(4, ge=0, le=32)
    """The part may stand this many pixels off (beyond what ``follow`` has made good): it is brought
    onto the golden picture by its edges. 0 leaves it as it stands."""
    tolerance: int = Field(40, ge=1, le=255)
    """Grey levels by which a pixel may differ."""
    edge_px: int = Field(2, ge=0, le=16)
    """Edges may be off by this much."""
    area_px: int = Field(12, ge=1)
    """Smaller differences are noise."""
    thick_px: int = Field(1, ge=1, le=32)
    """Differences that are thinner than this everywhere are the play of edges; so is what is
    thinner of others, but within ``join_px`` of where they are thick."""
    join_px: int = Field(3, ge=0, le=64)
    """Differences nearer to each other than this are one."""
    margin_px: Margin = 0
    """How far a finding's box reaches beyond what differs."""
    light: bool = True
    """Makes good for lighter or dimmer light, over the whole picture."""
    rim_px: int = Field(0, ge=0, le=64, exclude_if=is_left_out)
    """Differences that come nearer than this to the rim of what is compared are none: what goes on
    beyond it is not seen. 0 judges them too; so is a tenth of the picture and more."""
    ignore: tuple[Roi, ...] = ()
    """Places of the golden picture that may differ: print, a date."""
    traces: Literal["dark", "bright"] | None = None
    """For patterns of conductors of this tone: differences are named ``open``, ``short``, ``spur``,
    ``mousebite``, ``copper``, ``pin-hole`` instead of ``foreign``, ``missing``, ``changed``."""
    trace_px: int = Field(8, ge=1, le=64)
    """How far around a difference conductors are followed to name it."""
    model: str = Field("", exclude_if=is_left_out)
    """``name/version`` of a classifier of differences: it names each one, or says that it is good
    and then it is none. Make the other limits sensitive: it sees only what they let through. With
    ``traces``, what that rule calls it counts beside what the model sees."""
    good_from: float = Field(NOT_SURE, gt=0, le=1, exclude_if=lambda share: share == NOT_SURE)
    """A difference is none from this score of the model's class ``good`` on. 1 dismisses hardly
    any."""
    severities: dict[str, Severity] = Field({})
    """By label, where it differs from the step's."""
    margins: dict[str, Margin] = Field({}, exclude_if=is_left_out)
    """By label, where that differs from ``margin_px``: what grows onto a conductor, or bites into
    one, goes on where the two pictures are the same."""

    @field_validator("severities", "margins")
    @classmethod
    def _are_labels(cls, by_label: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        ref = info.data.get("model", "")
        card = card_in(info, ref)
        if ref and card is None:  # which labels a model has, only its card tells
            return by_label
        known = [c for c in card.classes if c != GOOD] if card else LABELS
        for label in by_label:
            if label not in known:
                raise ValueError(f"no label `{label}`; {nearest(label, known)}")
        return by_label

    @model_validator(mode="after")
    def _fit_together(self) -> Params:
        known = [g.pixels.shape for g in self.golden if g.known]
        if len({shape[:2] for shape in known}) > 1:
            raise ValueError("golden pictures of one step have one size")
        return self


class CompareStep(Step):
    """A ``compare`` step of a recipe; its ROI is what is compared, on the golden picture too."""

    leads: ClassVar[bool] = False  # a difference is never in order

    kind: Literal["compare"]
    params: Params


class Compare:
    """Compares parts with golden pictures."""

    Step: ClassVar[type[CompareStep]] = CompareStep

    def __init__(self, step: CompareStep, shelf: Shelf) -> None:
        """Raises ``ModelError`` when the golden pictures do not fit the ROI."""
        self._step, params = step, step.params
        self._namer = Namer(params.model, shelf) if params.model else None
        self.model_digests: tuple[str, ...] = (self._namer.digest,) if self._namer else ()
        first = params.golden[0].pixels
        self._size = first.shape[:2]
        self._colour = all(g.pixels.ndim == 3 for g in params.golden)
        self._shape: Shape | None = None
        try:
            goldens = [_plain(crop(g.pixels, step.roi), self._colour) for g in params.golden]
        except Unjudged as error:
            raise ModelError(f"golden/{params.golden[0].digest[:12]}", str(error)) from None
        if params.settle_px:
            # A picture without edges, such as plain film, has nothing to be settled by.
            try:
                self._shape = Shape(crop(first, step.roi), None, turn_deg=2, scale=0.02)
            except ValueError:
                self._shape = None
        self._golden = goldens[0]
        side = 2 * params.edge_px + 1
        self._reach = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        wide = np.full_like(goldens[0], params.tolerance)
        dark, bright = np.minimum.reduce(goldens), np.maximum.reduce(goldens)
        self._low = cv2.subtract(cv2.erode(dark, self._reach), wide)
        self._high = cv2.add(cv2.dilate(bright, self._reach), wide)
        # What each pixel has in all golden pictures at least, and at most.
        self._always = cv2.subtract(dark, wide), cv2.add(bright, wide)
        self._judged = np.full(goldens[0].shape[:2], 255, np.uint8)
        x, y = corner_of(step.roi)
        for x1, y1, x2, y2 in params.ignore:
            self._judged[max(0, y1 - y) : max(0, y2 - y), max(0, x1 - x) : max(0, x2 - x)] = 0
        join = 2 * params.join_px + 1
        self._join = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (join, join))
        near = 2 * (params.join_px + params.thick_px // 2) + 1
        self._near = np.ones((near, near), np.uint8)
        self._busy = _busy(goldens[0], params.tolerance)

    def warm_up(self) -> None:
        """Compares the golden picture with itself once."""
        golden = crop(self._step.params.golden[0].pixels, self._step.roi)
        self.differences(golden)
        if self._namer:
            one = Difference(0, 0, np.ones((1, 1), bool), 1, 1.0)
            self._namer(self._golden, self._golden, one, {})

    def look(self, pixels: Pixels, context: Context) -> list[Finding]:
        """One finding per difference, largest first; its value is its area in pixels."""
        height, width = self._size
        if pixels.shape[:2] != (height, width):
            got = f"{pixels.shape[1]}x{pixels.shape[0]}"
            raise Unjudged(f"the picture has {got} pixels, its golden one {width}x{height}")
        area = crop(pixels, self._step.roi)
        found = []
        for one, place, likely in self.named(area):
            if likely.pop(GOOD, 0.0) >= self._step.params.good_from:
                continue
            label, score = max(likely.items(), key=lambda fault: fault[1])
            box = self.box(one, place, area.shape, label)
            found.append(
                self._step.finding(
                    label,
                    f"{WORDS.get(label, label)} of {one.area} px",
                    score=score,
                    box=box,
                    severity=self._step.params.severities.get(label),
                    value=float(one.area),
                    unit="{px}2",
                )
            )
        return found

    def named(self, area: Pixels) -> list[tuple[Difference, Place | None, dict[str, float]]]:
        """Each difference of the part under the ROI, how the part stood, and what the difference
        may be, with a score: of a model each of its classes, ``good`` too, else the one label.

        Raises ``Unjudged`` where there are more than are named, and a model finds all those good:
        of the others nobody knows."""
        seen, place, differences = self.differences(area)
        params = self._step.params
        traces = None
        if params.traces:
            least = max(4, params.area_px // 2)
            both = (seen, self._golden)
            traces = Conductors(*both, params.traces == "dark", params.trace_px, least)
        busy = _busy(seen, params.tolerance)
        found = []
        for one in differences[:MOST_BOXES]:
            if self._namer:
                said = traces.votes(one.x, one.y, one.spot) if traces else {}
                found.append((one, place, self._namer(seen, self._golden, one, said)))
                continue
            # Thick ones are surely there, of thin ones area tells which.
            score = (one.thick + one.area / (one.area + 100)) / (one.thick + 2)
            if traces:
                label = traces.name(one.x, one.y, one.spot)
            else:
                h, w = one.spot.shape
                cut = (slice(one.y, one.y + h), slice(one.x, one.x + w))
                label = _label(one.spot, busy[cut], self._busy[cut])
            found.append((one, place, {label: score}))
        surely = params.good_from
        if len(differences) > len(found) and all(x.get(GOOD, 0.0) >= surely for _, _, x in found):
            raise Unjudged(
                f"{len(differences)} differences, of which {len(found)} were named, all of them "
                "good; raise `tolerance` or `area_px`"
            )
        return found

    @property
    def golden(self) -> Pixels:
        """What ``differences`` compares with, smoothed as the part is."""
        return np.asarray(self._golden)

    def differences(self, area: Pixels) -> tuple[Pixels, Place | None, list[Difference]]:
        """The part brought onto the golden picture, how it stood, and where it differs, largest
        first: what a classifier of differences learns from."""
        params = self._step.params
        seen = _plain(area, self._colour)
        place = self._settled(seen)
        judged = self._judged
        if place is not None:
            size = (seen.shape[1], seen.shape[0])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            # What lies beyond the picture is not black: that would be conductors, or a gap.
            seen = cv2.warpAffine(
                seen, place.matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
            inside = np.full(area.shape[:2], 255, np.uint8)
            judged = judged & cv2.warpAffine(
                inside, place.matrix, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
            )
        if params.light:
            seen = _relit(seen, self._golden)
        off: Any = cv2.bitwise_not(cv2.inRange(seen, self._low, self._high))
        off |= _exceeds(self._always[0], cv2.dilate(seen, self._reach))
        off |= _exceeds(cv2.erode(seen, self._reach), self._always[1])
        off &= judged
        if not cv2.countNonZero(off):
            return seen, place, []
        if params.traces is None:
            return seen, place, self._pieces(off)
        # A conductor's fault adds copper or takes some: the two beside each other are two faults.
        darker = _exceeds(self._golden, seen)
        found = [*self._pieces(off & darker), *self._pieces(off & ~darker)]
        return seen, place, sorted(found, key=lambda one: -one.area)

    def _pieces(self, off: Any) -> list[Difference]:
        """What is out of range (255), piece by piece, largest first."""
        params = self._step.params
        depth: Any = cv2.distanceTransform(off, cv2.DIST_C, 3)
        if float(depth.max()) > max(off.shape):  # all is out of range, and so far from nothing
            depth = np.full_like(depth, (min(off.shape) + 1) / 2)
        if params.thick_px > 1:
            # A rough edge that happens to meet a fault would stretch its box.
            core = (2 * depth - 1 >= params.thick_px).astype(np.uint8) * 255
            off = off & cv2.dilate(core, self._near)
        joined = cv2.morphologyEx(off, cv2.MORPH_CLOSE, self._join) if params.join_px else off
        count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
        areas = np.bincount(labels[off > 0], minlength=count)
        areas[0] = 0
        thick = np.zeros(count, np.float32)
        np.maximum.at(thick, labels[off > 0], 2 * depth[off > 0] - 1)
        rim, (height, width) = params.rim_px, off.shape
        found: list[Difference] = []
        at_rim: list[Difference] = []
        for n in np.argsort(-areas, kind="stable"):
            if areas[n] >= params.area_px and thick[n] >= params.thick_px:
                x, y, w, h = (int(v) for v in stats[n, :4])
                cut = (slice(y, y + h), slice(x, x + w))
                spot = ((labels[cut] == n) & (off[cut] > 0)).astype(np.uint8)
                # Joining fills what is near the rim up to it.
                left, top, w, h = (int(v) for v in cv2.boundingRect(spot))
                x, y, spot = x + left, y + top, spot[top : top + h, left : left + w]
                near = min(x, y, width - x - w, height - y - h) < rim
                one = Difference(x, y, spot > 0, int(areas[n]), float(thick[n]))
                (at_rim if near else found).append(one)
        if sum(one.area for one in at_rim) < RIM_MOST * off.size:
            return found
        return sorted((*found, *at_rim), key=lambda one: -one.area)

    def _settled(self, seen: Pixels) -> Place | None:
        """Where the golden picture lies in the part's; None where it need not be moved."""
        limit = self._step.params.settle_px
        if not limit or self._shape is None:
            return None
        match = self._shape.settle(seen, Place(np.eye(2, 3)))
        if match is None:
            return None
        # Where there is no edge, how far it moved is not known and does not matter.
        edges = self._shape.edges
        moved = np.abs(match.place.points(edges) - edges).max()
        # One that seems further off than it can be is no such part: it is compared as it stands.
        return match.place if 0.05 < moved <= 2 * limit else None

    def box(
        self, one: Difference, place: Place | None, size: tuple[int, ...], label: str = ""
    ) -> Box:
        """Where a difference lies in the frame, for a part of (height, width) ``size``, with the
        margin of its label if it has one already."""
        params, (h, w) = self._step.params, one.spot.shape
        margin = params.margins.get(label, params.margin_px)
        x1, y1 = float(one.x - margin), float(one.y - margin)
        box = (x1, y1, float(one.x + w + margin), float(one.y + h + margin))
        if place is not None:
            box = place.around(box)
        left, top = corner_of(self._step.roi)
        x1, x2 = (left + min(max(v, 0.0), size[1]) for v in (box[0], box[2]))
        y1, y2 = (top + min(max(v, 0.0), size[0]) for v in (box[1], box[3]))
        return (x1, y1, x2, y2)


def _exceeds(one: Any, other: Any) -> Any:
    """255 where ``one`` is above ``other``, in any colour."""
    above = cv2.compare(one, other, cv2.CMP_GT)
    return above if above.ndim == 2 else above.max(2)


def _label(spot: NDArray[Any], seen: NDArray[Any], golden: NDArray[Any]) -> str:
    now, then = int(seen[spot].sum()), int(golden[spot].sum())
    if now > 2 * then:
        return EXTRA
    return MISSING if then > 2 * now else CHANGED


def _plain(pixels: Pixels, colour: bool) -> Any:
    """Smoothed by a pixel, since sensor noise is no difference; grey unless both have colour."""
    return cv2.blur(bgr_of(pixels) if colour else grey_of(pixels), (3, 3))


def _busy(picture: Any, tolerance: int) -> NDArray[Any]:
    """Where something stands out from what is around it."""
    grey = grey_of(picture)
    side = 2 * (min(31, *grey.shape) // 2) + 1
    around = cv2.blur(grey, (side, side))
    return np.asarray(cv2.absdiff(grey, around) > tolerance // 2)


def _relit(seen: Any, golden: Any) -> Any:
    """``seen`` in the light of ``golden``: one gain and offset, fitted to the pixels that agree."""
    x = seen[::4, ::4].reshape(-1).astype(np.float32)
    y = golden[::4, ::4].reshape(-1).astype(np.float32)
    gain, offset = 1.0, 0.0
    keep = np.abs(x - y) <= 80
    for _ in range(3):
        if keep.sum() < 16:
            return seen
        u, v = x[keep], y[keep]
        spread = float(u.var())
        # Two plain pictures fix an offset only.
        gain = float(((u - u.mean()) * (v - v.mean())).mean()) / spread if spread > 25 else 1.0
        gain = min(max(gain, 0.5), 2.0)
        offset = float(v.mean() - gain * u.mean())
        left = np.abs(gain * x + offset - y)
        keep = left <= max(8.0, 2.5 * float(np.median(left)))
    table = np.clip(np.arange(256) * gain + offset, 0, 255).round().astype(np.uint8)
    return cv2.LUT(seen, table)
