"""The station's file: in comes YAML, out comes a validated, frozen model, or every mistake in it.

Recipes are read through the same door. Imports nothing of ours but the nouns and
``yamlfile.py``; every room may import it.
"""

from __future__ import annotations

import ipaddress
import math
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field, field_validator, model_validator

from inspector.part import Mode
from inspector.plantplan import Calendar, Packs, Plant, Rule, Served, Webhook
from inspector.qualityplan import Challenge, FirstArticle, Quality, Seeded
from inspector.releaseplan import Releases
from inspector.scadaplan import Mqtt, OpcUa, Poll, Scada, Tag
from inspector.syncplan import Samples, Sync
from inspector.yamlfile import (
    ConfigError,
    Problem,
    Settings,
    first_problem,
    load_yaml,
    nearest,
    read_yaml,
)  # fmt: skip

__all__ = [
    "Calendar", "Camera", "Challenge", "ConfigError", "Features", "FirstArticle", "Lot", "Mqtt",
    "Oidc", "OpcUa", "Output", "Packs", "Plant", "Plc", "Poll", "Problem", "Quality", "Releases",
    "Retention", "Rule", "Samples", "Scada", "Seeded", "Served", "Settings", "Station", "StopRules",
    "Store", "Sync", "Tag", "Travel", "Web", "Webhook", "first_problem", "load_station",
    "load_yaml", "nearest", "read_yaml",
]  # fmt: skip

Features = dict[str, bool | int | float | str]
"""SFNC feature name → value, set in the order given."""

SignalName = Literal[
    "line_running", "estop_clear", "air_ok", "bin_full", "light_ok", "jam", "confirmation_fault"
]
"""What a station wants to know of its surroundings, named as in ``registers.Signal``."""


class Camera(Settings):
    """One camera of the station; its name is the name of the view that it gives."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    source: Literal["genicam", "folder"] = "genicam"
    producer: Literal["virtual", "path"] | Path = "virtual"
    """Path of the GenTL producer (``.cti``); ``virtual`` is our own; ``path`` takes every one
    that ``GENICAM_GENTL64_PATH`` lists."""
    serial: str = ""
    """Which device, by serial number …"""
    user_id: str = ""
    """… or by the user's own name in the device …"""
    ip: str = ""
    """… or by IP address. Exactly one device must match all that is given."""
    folder: Path | None = None
    """Source ``folder``: where the images are."""
    rate: float = Field(10.0, gt=0, le=1000)
    """Source ``folder``: images per second."""
    trigger: Literal["hardware", "software", "free", "encoder"] = "hardware"
    """What exposes: an edge on an input line, the station, the camera's own rate, or the belt's
    encoder, wired to the camera, each time that the belt has gone ``every_counts`` further."""
    every_counts: int | None = Field(None, ge=1)
    """``trigger: encoder``: from one picture to the next, in the encoder's counts
    (``EncoderDivider``)."""
    features: Features = Field(default_factory=dict)
    """SFNC features set, in this order, when the camera is opened."""
    signals: dict[SignalName, Annotated[str, Field(pattern=r"^!?[A-Za-z]\w*$")]] = Field(
        default_factory=dict
    )
    """Signals wired to this camera's input lines, such as ``bin_full: Line2``; ``!Line2`` where a
    low level means yes. Together with a PLC's own, the worse of the two counts."""
    buffers: int | None = Field(None, ge=3, le=256)
    """Buffers announced to the producer, and slots of the shared-memory ring. Left out: 16, and in
    the ring as many more as there can be parts between eye and gate, within 16 MB."""
    frame_timeout_ms: int = Field(200, ge=5, le=60_000)
    """A part whose frame has not come this long after its trigger is an ``error``."""

    @model_validator(mode="after")
    def _source_is_complete(self) -> Camera:
        if self.source == "folder" and self.folder is None:
            raise ValueError("a folder camera needs `folder`, the directory of its images")
        if self.source == "folder" and self.signals:
            raise ValueError("a folder has no input lines: remove `signals`")
        if self.source == "folder" and self.trigger == "encoder":
            raise ValueError("a folder has no encoder: use `trigger: free` with a `rate`")
        return self

    @model_validator(mode="after")
    def _way_is_known(self) -> Camera:
        named = "EncoderDivider" in self.features
        if self.trigger != "encoder" and self.every_counts is not None:
            raise ValueError("`every_counts` needs `trigger: encoder`")
        if self.trigger == "encoder" and self.every_counts is None and not named:
            raise ValueError(
                "`trigger: encoder` needs `every_counts`, the encoder's counts from one picture"
                " to the next"
            )
        if self.every_counts is not None and named:
            raise ValueError("`every_counts` sets EncoderDivider: remove it from `features`")
        return self


class Travel(Settings):
    """How a part gets from the trigger eye to the gate."""

    tracking: Literal["encoder", "time"] = "encoder"
    gate_mm: float = Field(500.0, gt=0)
    """Distance from the trigger eye to the gate, in mm."""
    speed_mm_s: float = Field(500.0, gt=0)
    """The line's nominal speed in mm/s; with ``tracking: time`` the only one it may run at."""
    mm_per_count: float = Field(0.1, gt=0)
    """Encoder resolution, in mm of belt per count."""
    pitch_min_mm: float = Field(20.0, gt=0)
    """Triggers closer than this are a double trigger or touching parts: all are rejected."""
    slip_mm: float = Field(5.0, gt=0)
    """Reverse movement beyond this loses the parts between eye and gate."""
    lead_ms: float = Field(50.0, ge=0)
    """How long before a part's arrival its gate decision must be acknowledged."""

    @property
    def most_parts(self) -> int:
        """As many as there can be between eye and gate."""
        return math.ceil(self.gate_mm / self.pitch_min_mm)


class Plc(Settings):
    """The PLC that owns the gate, the part counter and the signals, over Modbus TCP."""

    host: str = "127.0.0.1"
    port: int = Field(502, ge=1, le=65535)
    unit: int = Field(1, ge=0, le=255)
    poll_ms: int = Field(20, ge=2, le=100)
    """How often the blocks are exchanged while no decision is due."""
    timeout_ms: int = Field(150, ge=10, le=5000)
    """An exchange that takes longer is given up and the link is opened anew."""


class Output(Settings):
    """A gate on one digital output, for a station without a PLC. High lets a part through; low,
    the resting level, rejects. Parts are tracked by time, at ``travel.speed_mm_s``."""

    path: Path | None = None
    """A file that takes ``1`` and ``0``, such as a GPIO line's ``value`` …"""
    driver: Path | None = None
    """… or a Python file that knows the output: ``docs/outputs.md``."""
    options: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """For the driver, which knows what they mean."""
    conveyor: Path | None = None
    """With ``path``: one that takes ``1`` while the conveyor may run, ``0`` to stop it …"""
    beacon: Path | None = None
    """… and one that is ``1`` during a by-pass."""
    window_ms: float = Field(40.0, gt=0, le=10_000)
    """How long a part takes to pass the gate."""

    @model_validator(mode="after")
    def _is_one(self) -> Output:
        if (self.path is None) == (self.driver is None):
            raise ValueError("an output is a `path`, or has a `driver`")
        if self.driver is None and self.options:
            raise ValueError("`options` are for a `driver`")
        if self.driver is not None and (self.conveyor or self.beacon):
            raise ValueError("a `driver` has its own conveyor and beacon: remove the paths")
        return self


class StopRules(Settings):
    """When the station asks the PLC to stop the conveyor."""

    rejects_in_a_row: int = Field(10, ge=0)
    """0 is never."""
    bin_full: bool = True
    air_low: bool = True
    confirmation_failed: bool = True
    light_fault: bool = True


class Retention(Settings):
    """How long images are kept; records are never deleted. What is on hold is kept for ever."""

    pass_days: float = Field(30.0, ge=1)
    """Days that the sampled images of passed parts are kept …"""
    error_days: float = Field(90.0, ge=1)
    """… those of parts that could not be judged …"""
    reject_days: float = Field(730.0, ge=1)
    """… those of rejects …"""
    reviewed_days: float = Field(1825.0, ge=1)
    """… and those that a person has reviewed."""
    budget_gb: float | None = Field(None, gt=0)
    """Room for images, in 10⁹ bytes. Beyond it the oldest go before their days are over, at least
    a day old: passes first, then errors, rejects, reviewed ones."""
    unacknowledged: Literal["keep", "delete"] = "keep"
    """What the centre has not acknowledged is kept whatever its age. ``delete`` is for a station
    that has no centre: the rules above then hold for everything."""

    @model_validator(mode="after")
    def _evidence_outlives(self) -> Retention:
        if not self.pass_days <= self.error_days <= self.reject_days <= self.reviewed_days:
            raise ValueError(
                "evidence outlives samples: `pass_days` ≤ `error_days` ≤ `reject_days` ≤"
                " `reviewed_days`"
            )
        return self


class Store(Settings):
    """What is kept, and how much room it has."""

    pass_image_every: int = Field(100, ge=0)
    """One passed part in this many keeps its images; 0 is none. Rejects and errors always do."""
    image_queue: int = Field(64, ge=1, le=4096)
    """Parts whose images may wait for the disk; what is over is counted and dropped."""
    jpeg_quality: int = Field(92, ge=50, le=100)
    reserve_mb: int = Field(512, ge=0)
    """Free space on the data disk below which images are no longer written."""
    stop_mb: int = Field(64, ge=0)
    """Free space below which the station drops *ready*."""
    retention: Retention = Retention()

    @model_validator(mode="after")
    def _images_go_first(self) -> Store:
        if self.stop_mb > self.reserve_mb:
            raise ValueError("`stop_mb` must not exceed `reserve_mb`: images go before verdicts")
        return self


class Oidc(Settings):
    """A provider of identities (OpenID Connect), where people sign in."""

    issuer: str = Field(pattern=r"^https?://[^\s?#]+$")
    """Its address, exactly as it stands in its tokens' ``iss``."""
    client_id: str = Field(min_length=1)
    client_secret: Path | None = None
    """File that holds the client's secret; without one PKCE alone protects the code."""
    name: str = "Single sign-on"
    """What the button says."""
    user_claim: str = "preferred_username"
    """Which claim is the user's name here …"""
    role_claim: str = "groups"
    """… and which one lists what ``roles`` translates."""
    roles: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Value of ``role_claim`` → our roles. Who has none of these values does not come in."""


class Web(Served):
    """People's pages and the metrics."""

    port: int = Field(8000, ge=0, le=65535)
    address: str = ""
    """The pages' address as people type it, such as ``https://st-01.plant.example``. Needed with
    ``oidc`` where a proxy stands before the station."""
    open: bool = True
    """Whether the live page shows to those who have not signed in, so that a verdict is on the
    screen whoever has left. Acting needs a person in any case."""
    touchscreens: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks from which a PIN is accepted; from all others, and from what a proxy hands on with
    ``X-Forwarded-For`` or the like, it takes a password or ``oidc``."""
    proxies: tuple[str, ...] = ()
    """Networks of the proxies before the station, which write into ``X-Forwarded-For`` whose a
    request is. Where none is named, all people behind one have one address, and its few tries to
    sign in."""
    pin_idle_s: float = Field(180.0, gt=0, le=3600)
    """A person who signed in with a PIN is signed out after so long without a touch …"""
    idle_s: float = Field(1800.0, gt=0, le=86_400)
    """… and one who came with a password or ``oidc`` after this …"""
    longest_s: float = Field(43_200.0, gt=0, le=86_400)
    """… or, however busy, after this."""
    oidc: Oidc | None = None

    @property
    def secure(self) -> bool:
        """Whether people reach the pages by TLS."""
        return self.certificate is not None or self.address.startswith("https:")

    @field_validator("touchscreens", "proxies")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            ipaddress.ip_network(network)
        return networks


class Lot(Settings):
    """The batch that the station starts with."""

    id: str = Field(min_length=1, max_length=64)
    product: str = ""
    texts: dict[str, str] = Field(default_factory=dict)
    """Expected print by name, such as ``lot`` and ``date``."""


class Station(Settings):
    """One station: its cameras, its gate, its recipes, its store."""

    station: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$")
    """The station's unique identifier in the plant."""
    line: str = ""
    """The production line it stands at (ISA-95 work centre)."""
    site: str = ""
    """The site of the line (ISA-95)."""
    data: Path = Path("data")
    """Where ledger, images and keys live. Relative paths start at the station file."""
    models: Path = Path("../models")
    recipes: list[Path] = Field(min_length=1)
    """Recipes that are preloaded; the first one runs. Change-over chooses among them."""
    require_approval: bool = False
    """Refuse recipes that no one has approved with ``inspector recipe approve``."""
    judges: int = Field(2, ge=1, le=16)
    """Parts that are judged side by side. ``judges`` times ``threads`` is best the number of
    cores: many small models want judges, a large one threads."""
    threads: int = Field(1, ge=1, le=64)
    """Threads that one model's run is spread over."""
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    """onnxruntime execution providers, in order of preference."""
    cameras: list[Camera] = Field(min_length=1)
    travel: Travel = Travel()
    plc: Plc | None = None
    """Without a PLC there is no gate but ``output``: the station counts pictures, not parts."""
    output: Output | None = None
    """With neither, the station watches and records only."""
    stop: StopRules = StopRules()
    store: Store = Store()
    web: Web | None = Web()
    plant: Plant | None = None
    """Without it no MES interface runs."""
    scada: Scada | None = None
    """Without it no OPC UA, MQTT or Modbus server runs."""
    quality: Quality | None = None
    """Without it no quality process runs."""
    releases: Releases | None = None
    """Without it nothing judges in shadow, and releases come and go by hand only."""
    sync: Sync | None = None
    """The centre; without it nothing is sent, and no sync process runs."""
    batch: Lot
    calendar: Calendar = Calendar()
    mode: Mode = Mode.AUTO
    clock: Literal["system", "trusted"] = "system"
    """``system`` asks the kernel whether UTC is synchronised; ``trusted`` takes it as such."""
    seed: int = 0

    @model_validator(mode="after")
    def _views_are_unique(self) -> Station:
        names = [camera.name for camera in self.cameras]
        if len(set(names)) < len(names):
            raise ValueError("two cameras have the same name; each view needs its own")
        if self.plc is not None and self.output is not None:
            raise ValueError("a station has one gate: `plc` or `output`, not both")
        if self.plc is None and self.cameras[0].trigger == "software":
            raise ValueError(
                f"nobody triggers {names[0]}: without a PLC the first camera counts the parts; it"
                " has `trigger: hardware`, `encoder` or `free`"
            )
        return self

    @property
    def gated(self) -> bool:
        """Whether the station has a gate, behind a PLC or on an output."""
        return self.plc is not None or self.output is not None


def load_station(path: Path) -> Station:
    """The station of a file, its relative paths resolved from the file's folder."""
    return cast("Station", _placed(load_yaml(path, Station), path.resolve().parent))


def _placed(value: Any, base: Path) -> Any:
    """``value`` with each path in it taken from ``base``; itself where there is none."""
    if isinstance(value, Path):
        return base / value
    if isinstance(value, Settings):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        moved = {n: there for n, was in fields.items() if (there := _placed(was, base)) is not was}
        return value.model_copy(update=moved) if moved else value
    if isinstance(value, list | tuple):
        placed = type(value)(_placed(one, base) for one in value)
        return value if placed == value else placed
    return value
