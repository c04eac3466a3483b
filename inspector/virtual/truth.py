"""The truth of one virtual part, gathered while it is made: what is where, and what is wrong.

Enters places on the label and on the bottle; leaves boxes in the pictures of both views. Imported
by the renderer alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inspector.part import Box, Severity
from inspector.virtual import geometry as g
from inspector.virtual import materials
from inspector.virtual.geometry import Points
from inspector.virtual.product import KNOWN, PartSpec


class Notes:
    """What is known about a part, gathered while it is made: places in label and local points."""

    def __init__(self, spec: PartSpec, has: set[str]) -> None:
        self.spec, self.has = spec, has
        self.printed = {"lot": spec.lot, "date": spec.date}
        self.lines: dict[str, Box] = {}
        self.scratch: Points | None = None
        self.tear: Points | None = None
        self.local: dict[str, Points] = {}
        self.cap_colour = spec.product.cap
        self._defects: list[dict[str, Any]] = []
        self._objects: list[dict[str, Any]] = []
        self._lines: list[dict[str, Any]] = []

    def _defect(self, name: str, view: str, box: Box) -> None:
        self._defects.append(
            {"label": name, "severity": KNOWN[name].value, "view": view, "box": list(box)}
        )

    def side(self, place: NDArray[Any], skew: NDArray[Any], fill: float) -> None:
        def seen(points: Points) -> Box:
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
            half = float(materials.half_width(np.array([fill], np.float32))[0])
            gap = (g.AXIS_X - half, g.FILL_Y - 8.0, g.AXIS_X + half, fill + 3)
            self._defect("low_fill", "side", seen(g.outline(gap)))
        if "particle" in self.local:
            self._defect("foreign_particle", "side", seen(self.local["particle"]))
        self._label_things("side", lambda points: seen(g.project(g.transform(skew, points))))

    def code(self, place: NDArray[Any], skew: NDArray[Any]) -> None:
        def seen(points: Points) -> Box:
            on_label = g.transform(skew, points)
            return g.bounds(g.transform(place, g.project_code(on_label)), g.CODE_SIZE)

        if "label_skewed" in self.has:
            whole = (-75.0, 250.0, 75.0, g.LABEL_BOTTOM)
            self._defect("label_skewed", "code", seen(g.outline(whole)))
        self._label_things("code", seen)

    def _label_things(self, view: str, seen: Callable[[Points], Box]) -> None:
        if self.scratch is not None:
            box = seen(self.scratch)
            if box[2] - box[0] > 10 and box[3] - box[1] > 4:
                self._defect("label_scratched", view, box)
        if self.tear is not None:
            box = seen(self.tear)
            if box[2] - box[0] > 10 and box[3] - box[1] > 4:
                self._defect("label_torn", view, box)
        for name, line in self.lines.items():
            box = seen(g.outline(line))
            legible = bool(self.printed[name]) and "print_smeared" not in self.has
            if self.scratch is not None:
                low, high = self.scratch.min(0), self.scratch.max(0)
                apart = (
                    low[0] > line[2] or high[0] < line[0] or low[1] > line[3] or high[1] < line[1]
                )
                legible = legible and bool(apart)
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
                    "legible": legible,
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
