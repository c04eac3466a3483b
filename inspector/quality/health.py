"""The equipment's health: what is watched, where it heads, and when someone should come (S19).

Enters: the line's heartbeat figures once a minute, and focus and light of pictures. Leaves: for
each indicator value, limit and trend, and *maintenance orders*: now, where a limit is passed, and
ahead, where the trend meets it within a day. No I/O: ``process.py`` feeds it.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

import numpy as np

from inspector.config import Quality

KIND, ORDER = "health", "maintenance"
"""Kinds of the desk's records."""
KEPT = 1440
"""Samples of each indicator: a day."""
AHEAD_S = 86_400.0
LOOKS = 15
"""Pictures whose median is a sample of focus and light."""
TREND_MIN = 60
TREND_SURE = 5.0
"""A trend is one if its slope is so many standard errors from 0."""
SLOWS_SURE = 2.0
"""A rise slows down if what two thirds of it rose by differs by so many standard errors: of a line
that is so once in 44 times, of an exponential without noise they are 3.7. With `TREND_MIN`, of 300
cameras that were switched on (time constants of 8 to 70 minutes, noise of 0 to 0.3 K) none is
ordered for; one that later grows warmer by 3 K an hour is, after 2 h, 14 K below its limit."""
BACK = 0.9
"""An order is over when the indicator has come back to this share of its way to the limit."""
STANDS = 1.5
"""An order ahead is over where a rise slows down so much more surely, or the limit lies so much
further ahead, than it takes to give none: at the edge noise would give it again and again, of a
rise of 0.5 K an hour behind a warm-up 17 times."""
_LABELLED = re.compile(r'^(\w+)\{view="(\w+)"\}$')
_BUCKET = re.compile(r'^stage_ms_bucket\{stage="(\w+)",le="([^"]+)"\}$')
LOST = (
    "camera_incomplete", "camera_lost_frames", "camera_underruns", "camera_lost_packets",
)  # fmt: skip
ADVICE = {
    "temperature": "Clean the camera's vents and check the air of its housing.",
    "lost_frames": "Check cable, connectors and switch of the camera.",
    "trigger_jitter": "Check the trigger wiring and the load of the station.",
    "gate_response": "Check the PLC's cycle time and its network.",
    "unconfirmed_rejects": "Check the reject's pneumatics and the sensor behind the gate.",
    "focus": "Clean the lens and check its lock ring.",
    "light": "Clean the light; replace it if its output stays low.",
}


@dataclass(slots=True)
class Indicator:
    """One thing that is watched. Higher is worse, up from ``normal`` to ``limit``."""

    limit: float
    normal: float = 0.0
    unit: str = ""
    samples: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=KEPT))
    """Seconds and value."""
    ordered: str = ""
    """``now`` or ``ahead`` while an order stands."""

    @property
    def value(self) -> float:
        return self.samples[-1][1] if self.samples else self.normal

    def trend(self) -> tuple[float, float] | None:
        """Slope per hour and its standard error, of the samples kept; None if too few."""
        if len(self.samples) < TREND_MIN:
            return None
        t = np.array([at for at, _ in self.samples]) / 3600
        y = np.array([value for _, value in self.samples])
        t = t - t.mean()
        square = float((t * t).sum())
        if square <= 0:
            return None
        slope = float((t * y).sum() / square)
        rest = y - y.mean() - slope * t
        error = float(np.sqrt((rest @ rest) / (len(y) - 2) / square))
        return slope, max(error, 1e-12)

    @property
    def back(self) -> float:
        """Where an order is over."""
        return self.normal + BACK * (self.limit - self.normal)

    def settles_at(self, error: float, sure: float = SLOWS_SURE) -> float:
        """Where a rise that slows down comes to rest, as of a camera that was switched on: three
        means in a row tell an exponential's end (Aitken). Infinite where it does not slow down for
        certain; ``error`` is the trend's."""
        third = len(self.samples) // 3
        values = [value for _, value in self.samples][-3 * third :]
        first, second, newest = (fmean(values[i * third : (i + 1) * third]) for i in range(3))
        before, now = second - first, newest - second
        hours = (self.samples[-1][0] - self.samples[0][0]) / 3600
        if before - now <= sure * math.sqrt(1.5) * error * hours:
            return math.inf
        return newest + (now * now / (before - now) if now > 0 else 0.0)

    def meets_limit_in_s(self) -> float | None:
        """When a sure trend meets the limit; None if it does not."""
        trend = self.trend()
        if trend is None or trend[0] <= 0 or trend[0] < TREND_SURE * trend[1]:
            return None
        if self.ordered:
            rests = self.settles_at(trend[1], STANDS * SLOWS_SURE) < self.back
        else:
            rests = self.settles_at(trend[1]) < self.limit
        return None if rests else max(0.0, (self.limit - self.value) / trend[0] * 3600)

    def told(self) -> dict[str, Any]:
        """Where it is and where it heads, for pages and records."""
        trend, meets = self.trend(), self.meets_limit_in_s()
        return {
            "value": self.value, "limit": self.limit, "unit": self.unit,
            "trend_per_h": trend[0] if trend else None,
            "trend_error": trend[1] if trend else None,
            "limit_in_h": meets / 3600 if meets is not None else None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """Someone should come."""

    indicator: str
    body: dict[str, Any]


class Health:
    """One station's."""

    def __init__(self, plan: Quality) -> None:
        self._plan = plan
        self.indicators: dict[str, Indicator] = {}
        self._looks: dict[str, deque[tuple[float, float]]] = {}
        self._before: dict[str, float] = {}
        self._lost: dict[str, deque[tuple[float, float]]] = {}
        """Pictures lost by view in the last hour."""
        self._at_s: float | None = None

    def figures(self, at_s: float, figures: Mapping[str, float]) -> list[Order]:
        """The line's figures (`display.Status.figures`) at ``at_s``. Counters are compared with
        those of the last time."""
        plan, hours = self._plan, 0.0
        if self._at_s is not None:
            hours = (at_s - self._at_s) / 3600
        for name, value in figures.items():
            match = _LABELLED.match(name)
            if match is None:
                continue
            figure, view = match.groups()
            if figure == "camera_temperature_c":
                self._sample(f"temperature {view}", at_s, value, plan.temperature_c, 25.0, "Cel")
        if hours > 0:
            lost: dict[str, float] = {}
            for name in figures:
                match = _LABELLED.match(name)
                if match and match[1] in LOST:
                    more = max(0.0, figures[name] - self._before.get(name, figures[name]))
                    lost[match[2]] = lost.get(match[2], 0.0) + more
            for view, more in lost.items():
                hour = self._lost.setdefault(view, deque())
                hour.append((at_s, more))
                while hour[0][0] <= at_s - 3600:
                    hour.popleft()
                self._sample(f"lost_frames {view}", at_s, sum(n for _, n in hour),
                             plan.lost_packets_per_hour, 0.0, "/h")  # fmt: skip
            frame = self._percentiles("frame", figures)
            if frame:
                self._sample("trigger_jitter", at_s, frame[1] - frame[0], plan.jitter_ms, 0.0, "ms")
            gate = self._percentiles("gate", figures)
            if gate:
                self._sample("gate_response", at_s, gate[1], plan.gate_ms, 0.0, "ms")
            told = self._grown("gate_rejects_commanded_total", figures)
            seen = self._grown("gate_rejects_confirmed_total", figures)
            if told >= 10:
                missing = max(0.0, told - seen - 3) / told  # three may be on their way
                self._sample("unconfirmed_rejects", at_s, 100 * missing, 5.0, 0.0, "%")
        self._before, self._at_s = dict(figures), at_s
        return self._orders(at_s)

    def look(self, at_s: float, view: str, focus: float, light: float,
             reference: tuple[float, float]) -> None:  # fmt: skip
        """Focus and light of a view, against those at the last signed first article or, without
        one, at the start."""
        least = self._plan.first_article.focus_ratio if self._plan.first_article else 0.8
        levels = self._plan.first_article.light_levels if self._plan.first_article else 12.0
        seen = self._looks.setdefault(view, deque(maxlen=LOOKS))
        seen.append((focus, light))
        if len(seen) < LOOKS:
            return
        # One picture says as much of its product as of the lens; the median of some does not.
        focus, light = median(f for f, _ in seen), median(level for _, level in seen)
        if reference[0] > 0:
            lost = max(0.0, 100 * (1 - focus / reference[0]))
            self._sample(f"focus {view}", at_s, lost, 100 * (1 - least), 0.0, "% lost")
        self._sample(f"light {view}", at_s, abs(light - reference[1]), levels, 0.0, "levels off")

    def state(self) -> dict[str, Any]:
        """Each indicator, for pages and for the hourly record."""
        return {n: i.told() | {"order": i.ordered} for n, i in sorted(self.indicators.items())}

    def _sample(
        self, name: str, at_s: float, value: float, limit: float, normal: float, unit: str
    ) -> None:
        known = self.indicators.setdefault(name, Indicator(limit, normal, unit))
        known.samples.append((at_s, float(value)))

    def _orders(self, at_s: float) -> list[Order]:
        found = []
        for name, known in self.indicators.items():
            if not known.samples:
                continue
            meets = known.meets_limit_in_s()
            state = known.ordered
            if known.value >= known.limit:
                state = "now"
            elif meets is not None and meets <= AHEAD_S and state != "now":
                state = "ahead"
            elif known.value <= known.back:
                state = "" if meets is None or meets > STANDS * AHEAD_S else state
            if state and state != known.ordered:
                equipment, _, view = name.partition(" ")
                found.append(Order(name, {
                    "indicator": equipment, "equipment": view or equipment, "when": state,
                    **known.told(), "advice": ADVICE[equipment],
                }))  # fmt: skip
            known.ordered = state
        return found

    def _grown(self, name: str, figures: Mapping[str, float]) -> float:
        return max(0.0, figures.get(name, 0.0) - self._before.get(name, figures.get(name, 0.0)))

    def _percentiles(self, stage: str, figures: Mapping[str, float]) -> tuple[float, float] | None:
        """p50 and p95 of a stage since the last time, in ms, from its histogram's buckets."""
        so_far, below = [], 0.0
        for name in figures:
            match = _BUCKET.match(name)
            if match and match[1] == stage:
                so_far.append((float(match[2].replace("+Inf", "inf")), self._grown(name, figures)))
        so_far.sort()
        if not so_far or so_far[-1][1] < 20:
            return None
        total, answers = so_far[-1][1], []
        for share in (0.5, 0.95):
            low, below = 0.0, 0.0
            for bound, count in so_far:
                if count >= share * total:
                    if bound == float("inf"):
                        answers.append(low)
                    else:
                        inside = (share * total - below) / max(count - below, 1e-9)
                        answers.append(low + inside * (bound - low))
                    break
                low, below = bound, count
        return answers[0], answers[1]
