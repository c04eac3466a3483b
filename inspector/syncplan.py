"""The station file's ``sync:``: which centre, when, how much of the network, which samples.

Imports nothing of ours but ``yamlfile.py``; ``config`` makes it a part of the station's file.
"""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from inspector.yamlfile import Settings

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class Samples(Settings):
    """Which parts' pictures go to the centre to learn from. Budgets are per hour and class: a class
    is ``pass``, ``error``, or the first thing that was wrong with the part."""

    per_hour: int = Field(20, ge=0, le=10_000)
    """Parts per hour and class; 0 sends none but those that a person asks for."""
    random_share: float = Field(0.25, ge=0, le=1)
    """How much of it is drawn at random, so that estimates stay unbiased; the rest goes to what
    is near its threshold, in disagreement, new or rare."""
    near: float = Field(0.15, gt=0, le=1)
    """A finding whose score is this close to its threshold is near it."""
    rare_parts: int = Field(100, ge=1)
    """A class of which fewer parts were ever seen here is rare."""
    novelty: bool = True
    """Whether pictures unlike those before count as new: 15 ms of a core for each candidate."""


class Sync(Settings):
    """The centre that this station reports to."""

    hub: str
    """Its address, such as ``https://centre.plant.example:8443``. Plain ``http://`` is for a centre
    on this very machine."""
    ca: Path | None = None
    """PEM file of the authority that signed the centre's certificate, or of that certificate
    itself; without one, those that this machine trusts."""
    certificate: Path | None = None
    """PEM file of a certificate that this station shows, where the centre asks for one (mTLS)."""
    private_key: Path | None = None
    """PEM file of its key."""
    kbit_s: float = Field(0.0, ge=0)
    """How much of the network sync may take, in 1000 bit/s; 0 is no limit."""
    hours: tuple[str, ...] = ()
    """When pictures may travel, in the machine's local time, such as ``22:00-05:30``; none: always.
    Records travel at any time: they are small, and other people wait for them."""
    every_s: float = Field(5.0, gt=0, le=3600)
    """How long sync waits when it owes nothing …"""
    retry_s: float = Field(60.0, gt=0, le=3600)
    """… and at the most when the centre does not answer."""
    cpu_share: float = Field(0.2, gt=0, le=1)
    """The most of one core that sync takes, over time."""
    acknowledge_s: float = Field(600.0, gt=0)
    """How often the desk's ledger notes how far the centre has come, for retention."""
    retain_every_s: float = Field(3600.0, ge=0)
    """How often images are let go by ``store.retention``; 0: only by ``inspector retain``."""
    samples: Samples = Samples()

    @field_validator("hub")
    @classmethod
    def _is_an_address(cls, hub: str) -> str:
        try:
            parts = urlsplit(hub)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # half an address, or a port that is no number
            known = False
        if not known:
            raise ValueError("`hub` is an address such as https://centre.example:8443")
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError(
                "plain http:// is for a centre on this machine; elsewhere it is https://"
            )
        return hub.rstrip("/")

    @model_validator(mode="after")
    def _certificate_is_complete(self) -> Sync:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("a certificate needs both `certificate` and `private_key`")
        return self

    @field_validator("hours")
    @classmethod
    def _are_windows(cls, hours: tuple[str, ...]) -> tuple[str, ...]:
        for window in hours:
            if not _WINDOW.fullmatch(window):
                raise ValueError(f"{window!r} is no window such as 22:00-05:30")
        return hours

    def pictures_may_travel(self, now: time) -> bool:
        """Whether this time of day is in one of ``hours``; a window may span midnight."""
        if not self.hours:
            return True
        for window in self.hours:
            start, end = (time.fromisoformat(text) for text in window.split("-"))
            if (start <= now < end) if start <= end else (now >= start or now < end):
                return True
        return False
