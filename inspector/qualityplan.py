"""What a station file says under ``quality``: first article, challenge tests, charts, limits.

``config.py`` shows these models to every room; imports nothing of ours but ``yamlfile.py``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from inspector.yamlfile import Settings


class Seeded(Settings):
    """A part with a known defect, kept to try the line with."""

    name: str = Field(min_length=1, max_length=64)
    """What is written on it."""
    label: str = ""
    """The label that the line must find on it; empty: any reject will do."""


class FirstArticle(Settings):
    """What a change-over is signed for; until then everything is rejected."""

    golden_parts: int = Field(3, ge=1, le=50)
    """Good parts that must pass, one after the other."""
    seeded: list[Seeded] = Field(default_factory=list, max_length=20)
    """Parts that must be rejected, in this order, after the good ones."""
    each_batch: bool = True
    """Also for a new batch of the same recipe."""
    focus_ratio: float = Field(0.8, gt=0, le=1)
    """Least sharpness, as a share of that at the recipe's last signed first article."""
    light_levels: float = Field(12.0, gt=0, le=128)
    """Greatest difference of the mean brightness from then, in grey levels of 0..255."""


class Challenge(Settings):
    """Seeded defects that are fed to the running line at intervals."""

    seeded: list[Seeded] = Field(min_length=1, max_length=20)
    """In the order in which they are fed."""
    every_parts: int = Field(0, ge=0)
    """Due after so many parts since the last one; 0 is never …"""
    every_minutes: float = Field(0.0, ge=0)
    """… or so long after the first of these parts; 0 is never."""
    at_batch_end: bool = True
    grace_minutes: float = Field(10.0, gt=0)
    """A challenge that is overdue for so long counts as one that failed."""


class Quality(Settings):
    """Quality that looks ahead: first article, challenge tests, control charts, drift, health."""

    language: Literal["en", "zh"] = "en"
    """Of the sheets that are printed by themselves."""
    line_clearance: bool = False
    """A signed line clearance is needed before a new batch may pass anything."""
    first_article: FirstArticle | None = None
    challenge: Challenge | None = None
    subgroup: int = Field(100, ge=20, le=100_000)
    """Parts in a subgroup of the p- and u-charts."""
    measured: int = Field(5, ge=2, le=10)
    """Consecutive parts in a subgroup of the X̄-R charts …"""
    measured_every: int = Field(25, ge=2, le=100_000)
    """… of which one begins after so many parts."""
    phase_one: int = Field(20, ge=8, le=200)
    """Subgroups that set a chart's limits, once they are in control."""
    temperature_c: float = Field(65.0, gt=0, le=120)
    """A camera that is warmer wants maintenance."""
    lost_packets_per_hour: float = Field(60.0, gt=0)
    jitter_ms: float = Field(5.0, gt=0)
    """Spread (p95 - p50) of the time from trigger to picture that is still healthy …"""
    gate_ms: float = Field(60.0, gt=0)
    """… and of the gate's answer, at p95."""
