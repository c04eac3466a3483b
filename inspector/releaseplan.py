"""What a station file says under ``releases``: where they come from, and when they must go again.

``config.py`` shows this model to every room; imports nothing of ours but ``yamlfile.py``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from inspector.yamlfile import Settings


class Releases(Settings):
    """Releases: models and recipes that the centre has signed."""

    source: str = ""
    """Where channels are looked up: ``centre`` (the one under ``sync``), a folder, or the address
    of a web server that serves one; empty: releases come by hand."""
    key: str = ""
    """Name of the environment variable that holds a key for that web server."""
    channel: str = Field("stable", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    """Which releases are meant for this station; a few stations on ``canary`` get them first."""
    poll_s: float = Field(60.0, ge=0.2, le=86_400)
    """How often the source is asked."""
    shadow_share: float = Field(0.25, ge=0, le=1)
    """Of the parts that a newer release judges beside the champion, when the machine has time."""
    shadow_parts: int = Field(500, ge=1)
    """Parts that it has to judge so before it may take over by itself …"""
    promote: Literal["hand", "auto"] = "hand"
    """… which it does at the next batch with ``auto``; with ``hand`` a person orders it."""
    disagreement_max: float = Field(0.02, gt=0, le=1)
    """Share of parts judged otherwise than by the champion: more is no release that takes over by
    itself, and one in service that is surely above it against its forerunner goes back …"""
    error_rate_max: float = Field(0.01, gt=0, le=1)
    """… as does one under which surely more parts than this could not be judged …"""
    latency_ms_max: float = Field(0.0, ge=0)
    """… or whose p99 from picture to verdict is above this; 0 is no limit but the line's own."""
    probation_parts: int = Field(1000, ge=20)
    """For so many parts a release that has taken over is watched, its forerunner beside it."""
    planned_disagreement: bool = False
    """Set where the new release is meant to judge otherwise: disagreement alone never undoes it."""
