"""Each kind of tool goes to work on one rendered frame; what a look costs comes out.

A step of each kind, its parameters such as a recipe has, on a 640×480 frame: what ``inspector bench
models`` prints below the models. Kinds that need a model of one's own are benched by that model's
row. Imported by the command line.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import cv2
import numpy as np

from inspector.part import Batch, Pixels
from inspector.tools import TOOLS
from inspector.tools.bank import Bank, TaughtBank
from inspector.tools.card import ModelError
from inspector.tools.golden import Golden
from inspector.tools.likeness import Way, fit_member
from inspector.tools.onnx import Shelf
from inspector.tools.place import Place
from inspector.tools.step import Context, crop
from inspector.tools.texture import Source, Texture

LOOKS = 30
WARM = 3
ROI = (200, 120, 440, 360)
NETWORK = "texture-features/1"


def bench_kinds(shelf: Shelf) -> list[dict[str, Any]]:
    """Rows ``{tool, on, ms, ms_p95, cpu_ms}``: medians over looks at a frame with noise."""
    rows = []
    frames = [scene(seed) for seed in range(4)]
    for name, step in {**steps(), **surfaces(shelf)}.items():
        kind = step["kind"]
        tool = TOOLS[kind](TOOLS[kind].Step.model_validate(step), shelf)
        tool.warm_up()
        context = Context(Batch("bench"), date(2026, 1, 1))
        context.places["part"] = Place(np.eye(2, 3))
        wall = []
        cpu = 0.0
        for turn in range(-WARM, LOOKS):
            frame = frames[turn % len(frames)]
            began, used = time.perf_counter(), time.process_time()
            tool.look(frame, context)
            if turn >= 0:
                wall.append((time.perf_counter() - began) * 1e3)
                cpu += (time.process_time() - used) * 1e3 / LOOKS
        rows.append(
            {
                "tool": name,
                "on": _on(step.get("roi")),
                "ms": round(statistics.median(wall), 2),
                "ms_p95": round(float(np.percentile(wall, 95)), 2),
                "cpu_ms": round(cpu, 2),
            }
        )
    return rows


def surfaces(shelf: Shelf) -> Mapping[str, dict[str, Any]]:
    """Steps of ``anomaly``, taught from the frames: all layers of the shipped network and the
    filters; none where ``shelf`` has not that network."""
    made = {}
    for side in (128, 256):
        layers = [Source(NETWORK, (0, 64)), Source(NETWORK, (64, 144))]
        halves = [replace(layer, half=True) for layer in layers] if side > 128 else []
        judges: list[tuple[Source, Way]] = [
            *((s, "placed") for s in (*layers, *halves)), (Source(""), "nearest"),
            (Source(""), "placed"),
        ]  # fmt: skip
        try:
            texture = Texture(tuple(dict.fromkeys(s for s, _ in judges)), shelf, True)
        except ModelError:
            return {}
        roi = (200, 120, 200 + side, 120 + side)
        seen = [texture.describe(crop(scene(n), roi), (side, side)) for n in range(10, 16)]
        members = tuple(fit_member(s, way, [g[s.name] for g in seen]) for s, way in judges)
        bank = TaughtBank.of(Bank((side, side), True, True, members))
        params = {"bank": bank}
        made[f"anomaly, {side} px"] = {
            "name": "bench", "kind": "anomaly", "roi": roi, "params": params,
        }  # fmt: skip
    return made


def _on(roi: tuple[int, int, int, int] | None) -> str:
    return f"ROI {roi[2] - roi[0]}x{roi[3] - roi[1]}" if roi else "frame 640x480"


def steps() -> Mapping[str, dict[str, Any]]:
    """A step of each kind that needs no model of one's own, by the name of its row."""
    golden = Golden.of(scene(9))
    line = {"name": "l", "kind": "line", "start": (240, 330), "end": (240, 150)}
    circle = {"name": "c", "kind": "circle", "centre": (320, 240), "radius": 40}
    text = {"name": "text", "roi": (250, 370, 400, 410)}
    made: dict[str, dict[str, Any]] = {
        "illumination": {"kind": "illumination", "roi": (8, 8, 60, 60), "params": {}},
        "align": {"kind": "align", "params": {"golden": golden, "part": (220, 130, 420, 350)}},
        "compare": {"kind": "compare", "roi": ROI, "params": {"golden": (golden,)}},
        "measure": {
            "kind": "measure",
            "params": {
                "features": (line, circle),
                "measures": ({"name": "gap", "distance": ("l", "c")},),
            },
        },
        "count": {"kind": "count", "roi": ROI, "params": {"size_px": 80, "at_least": 1}},
        "colour": {
            "kind": "colour",
            "roi": ROI,
            "params": {"targets": ({"name": "paint", "lab": (50, 0, 0)},)},
        },
        "blob": {"kind": "blob", "roi": ROI, "params": {"at_most": None}},
        "code": {"kind": "code", "params": {}},
        "code, persistent and in vain": {
            "kind": "code", "roi": ROI, "params": {"persistent": True, "formats": ("Aztec",)},
        },
        "read": {"kind": "read", "params": {"lines": ({**text},), "script": "ascii"}},
        "read, dot matrix": {
            "kind": "read", "params": {"lines": ({**text},), "script": "ascii", "dot_matrix": True},
        },
        "read, found anywhere": {
            "kind": "read",
            "params": {
                "find": "pp-ocrv6/find", "side": 416, "lines": ({"name": "date", "date": {}},),
            },
        },
    }  # fmt: skip
    return {name: {"name": "bench", **step} for name, step in made.items()}


def scene(seed: int) -> Pixels:
    """A plate with a hole and a date on it, in a sensor's noise."""
    frame = np.full((480, 640, 3), (150, 155, 160), np.uint8)
    cv2.rectangle(frame, (240, 150), (400, 330), (60, 70, 90), -1)
    cv2.circle(frame, (320, 240), 40, (190, 190, 185), -1, cv2.LINE_AA)
    cv2.rectangle(frame, (255, 165), (275, 185), (200, 120, 40), -1)
    cv2.putText(frame, "16 NOV 26", (255, 402), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (20, 20, 20), 2)
    noise = np.random.default_rng(seed).normal(0, 3, frame.shape)
    return np.ascontiguousarray(np.clip(frame + noise, 0, 255).astype(np.uint8))
