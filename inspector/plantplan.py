"""What a station file says about the plant around it: shifts, and the interface for the MES.

``config.py`` shows these models to every room; imports nothing of ours but ``yamlfile.py`` and the
nouns.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from inspector.part import Severity
from inspector.yamlfile import Settings

Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
"""A time of day, such as ``06:00``, in quotes: YAML takes it for a number else."""


DAY_NS = 86_400_000_000_000
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


def machines_zone() -> str:
    """The IANA name of this machine's time zone (localtime(5)); empty where it has none, as with
    ``TZ=CST-8`` or an /etc/localtime that was copied."""
    named = os.environ.get("TZ")
    if named is None:
        named = os.path.realpath("/etc/localtime").partition("/zoneinfo/")[2]
    with suppress(OSError, ValueError, KeyError):
        return ZoneInfo(named.removeprefix(":")).key
    return ""


class Calendar(Settings):
    """When a shift and a production day begin, by the plant's own clock."""

    timezone: str = Field(default_factory=machines_zone)
    """An IANA name, such as ``Europe/Berlin`` or ``Asia/Shanghai``; else the machine's own zone,
    empty where that has no name."""
    day_starts: Clock = "00:00"
    """A production day has the date on which it began: with ``06:00`` the night of the 16th to the
    17th belongs to the 16th."""
    shifts: dict[Annotated[str, Field(min_length=1, max_length=32)], Clock] = Field(
        default_factory=dict, max_length=12
    )
    """Each shift's name and its start; it lasts until the next one's."""

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError, KeyError):
            raise ValueError(f"no time zone is called {name!r}") from None
        return name

    def day_of(self, utc_ns: int) -> date:
        """The production day of a moment."""
        local = self._local(utc_ns)
        early = local.time() < time.fromisoformat(self.day_starts)
        return local.date() - timedelta(days=1) if early else local.date()

    def shift_of(self, utc_ns: int) -> str:
        """The shift of a moment; empty where none is configured."""
        if not self.shifts:
            return ""
        now = self._local(utc_ns).time()
        begun = [name for at, name in self._starts if at <= now]
        return begun[-1] if begun else self._starts[-1][1]

    def day_began(self, utc_ns: int) -> int:
        """When the production day of a moment began, UTC ns: up to 25 hours ago, where clocks are
        put back."""
        return self._at(self.day_of(utc_ns), time.fromisoformat(self.day_starts))

    def shift_began(self, utc_ns: int) -> int:
        """When the shift of a moment began, UTC ns, be it the day before; where none is configured,
        the day."""
        if not self.shifts:
            return self.day_began(utc_ns)
        return self.stretches(self.shift_of(utc_ns), utc_ns - 2 * DAY_NS, utc_ns + 1)[-1][0]

    def stretches(self, shift: str, from_ns: int, to_ns: int) -> list[tuple[int, int]]:
        """When ``shift`` ran between two moments, UTC ns, oldest first; never, where it is none."""
        found, starts = [], self._starts
        day = self._local(from_ns).date() - timedelta(days=1)
        while starts and day <= self._local(to_ns).date():
            begins = [self._at(day, at) for at, _ in starts]
            begins.append(self._at(day + timedelta(days=1), starts[0][0]))
            for begin, end, (_, name) in zip(begins, begins[1:], starts, strict=False):
                if name == shift and begin < to_ns and end > from_ns:
                    found.append((max(begin, from_ns), min(end, to_ns)))
            day += timedelta(days=1)
        return found

    def _at(self, day: date, at: time) -> int:
        """A time of day, UTC ns."""
        return int(datetime.combine(day, at, self.zone).timestamp()) * 1_000_000_000

    def _local(self, utc_ns: int) -> datetime:
        moment = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC)
        return moment.astimezone(self.zone)

    @property
    def _starts(self) -> list[tuple[time, str]]:
        return sorted((time.fromisoformat(at), name) for name, at in self.shifts.items())

    @property
    def zone(self) -> ZoneInfo | None:
        """None is the machine's, as everywhere in `datetime`."""
        return ZoneInfo(self.timezone) if self.timezone else None


class Rule(Settings):
    """What happens by itself when a defect comes too often, such as three smeared dates in 50
    parts. Only parts in production count."""

    name: Name
    label: str = Field("*", max_length=64)
    """What was found, as a pattern: ``smeared``, ``date_*``; ``*`` is anything …"""
    tool: str = Field("*", max_length=64)
    """… by which step of the recipe …"""
    severity: Severity | None = None
    """… how bad; any if none is given."""
    count: int = Field(ge=1, le=1000)
    """So many parts …"""
    within_parts: int | None = Field(None, ge=1, le=100_000)
    """… among so many, one after the other …"""
    within_s: float | None = Field(None, gt=0, le=86_400)
    """… or in so many seconds."""
    output: int | None = Field(None, ge=1, le=8)
    """Switches this process output of the PLC on …"""
    output_s: float = Field(5.0, gt=0, le=3600)
    """… for so many seconds."""
    maintenance: str = Field("", max_length=500)
    """Opens a maintenance order with this text, carried by the webhook ``rule.fired``."""
    act: Literal["none", "pause", "hold"] = "none"
    """``pause`` the line; ``hold`` the batch, which pauses the line too."""

    @model_validator(mode="after")
    def _is_a_rule(self) -> Rule:
        if (self.within_parts is None) == (self.within_s is None):
            raise ValueError("a rule needs `within_parts` or `within_s`, one of them")
        if self.within_parts is not None and self.count > self.within_parts:
            raise ValueError(f"{self.count} parts are never among {self.within_parts}")
        return self


class Webhook(Settings):
    """Who is told of what happens, by HTTP."""

    name: Name
    url: str = Field(pattern=r"^https?://[^\s/?#]+[^\s]*$", max_length=1000)
    events: tuple[str, ...] = ("*",)
    """Patterns of event names, such as ``part.reject`` or ``batch.*``."""
    secret: Path
    """File that holds the secret which signs each message."""


class Packs(Settings):
    """A station that made the parts which are packed here, and is told what is in which case."""

    name: Name
    url: str = Field(pattern=r"^https?://[^\s/?#]+[^\s]*$", max_length=1000)
    """Its interface, such as ``https://bot-l3-01:8100``."""
    key: Path
    """File that holds an API key of that station, of a user with the role ``machine``."""
    serials: str = Field("*", max_length=64)
    """Its parts among those of a case, as a pattern of their serials."""
    level: str = Field("case", min_length=1, max_length=32)
    """What is packed here: ``case``, ``pallet`` …"""


class Served(Settings):
    """What answers by HTTP."""

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535)
    """0 takes any free port."""
    certificate: Path | None = None
    """PEM file of a TLS certificate; without one all of it travels readable, keys and passwords
    too: then listen on 127.0.0.1 only, or behind a proxy that does TLS."""
    private_key: Path | None = None
    """PEM file of the certificate's key."""

    @model_validator(mode="after")
    def _tls_is_complete(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("TLS needs both `certificate` and `private_key`")
        return self


class Plant(Served):
    """The interface for the MES: REST under ``/api/v1``."""

    port: int = Field(8100, ge=0, le=65535)
    rate_per_s: float = Field(400.0, gt=0, le=1e6)
    """Requests per second that one API key may make over time …"""
    burst: int = Field(400, ge=1, le=1_000_000)
    """… and how many at once."""
    rules: tuple[Rule, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    packs: tuple[Packs, ...] = ()
    """At a packing station: who is told what its cameras saw packed."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Plant:
        told = [hook.name for hook in self.webhooks] + [one.name for one in self.packs]
        rules = [rule.name for rule in self.rules]
        for kind, names in (("rules", rules), ("webhooks or packs", told)):
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise ValueError(f"two {kind} are named `{twice}`")
        return self
