"""What a station file says about PLC and SCADA systems that watch it: OPC UA, MQTT, Modbus, tags.

``config.py`` shows these models to every room; imports nothing of ours but ``yamlfile.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from inspector.yamlfile import Settings

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class OpcUa(Settings):
    """The OPC UA server, after OPC 40100-1 Machine Vision. Signed and encrypted only, by users."""

    host: str = "127.0.0.1"
    port: int = Field(4840, ge=0, le=65535)
    """0 takes any free port."""
    nodeset: Path | None = None
    """The official ``Opc.Ua.MachineVision.NodeSet2.xml``; without it the same browse names stand
    in the station's own namespace."""
    any_client: bool = False
    """Accept any client's certificate. Otherwise only those in ``<data>/opcua/trusted``; a
    refused one is put into ``<data>/opcua/rejected``, from where a person may move it."""


class Mqtt(Settings):
    """The broker that hears what the station does."""

    host: str = "127.0.0.1"
    port: int = Field(1883, ge=1, le=65535)
    user: str = ""
    """Name at the broker."""
    password_file: Path | None = None
    ca: Path | None = None
    """PEM file of the authority that signed the broker's certificate; TLS where it is given."""
    topic: str = Field("inspector", pattern=r"^[^+#\x00]{1,128}$")
    """What every plain topic begins with: ``<topic>/<station>/…``."""
    plain: bool = True
    """Plain JSON topics."""
    sparkplug_group: Name | None = None
    """Group id of Sparkplug B; without it none is spoken."""
    obeys: Name | None = None
    """The station's user in whose name commands that come from the broker are given; who may
    publish them is the broker's business. Without it none is obeyed."""

    @model_validator(mode="after")
    def _says_something(self) -> Mqtt:
        if not self.plain and self.sparkplug_group is None:
            raise ValueError("either `plain` is true, or `sparkplug_group` is given")
        return self


class Poll(Settings):
    """The Modbus TCP server for PLCs that poll; it can be read, never written."""

    host: str = "127.0.0.1"
    port: int = Field(1502, ge=0, le=65535)
    """0 takes any free port."""


class Tag(Settings):
    """One process value that is kept beside the verdicts."""

    name: Name
    unit: str = Field("1", pattern=r"^[!-~]{1,16}$")
    """UCUM, such as ``Cel``, ``bar``, ``mm/s``."""
    change: float = Field(0.0, ge=0)
    """A value that has moved by less than this since the one that was kept last is not kept, for
    ten minutes; 0 keeps each. A sample takes 56 bytes, and none is ever deleted."""
    node: str = ""
    """OPC UA: the node, such as ``ns=2;s=Filler.Temperature`` …"""
    server: str = ""
    """… and its server, such as ``opc.tcp://filler:4840``."""
    topic: str = Field("", pattern=r"^[^+#\x00]{0,256}$")
    """MQTT: the topic, no filter of several, at the station's broker …"""
    field: str = ""
    """… and the field of its JSON, dotted; left out where the payload is a bare number."""

    @model_validator(mode="after")
    def _has_one_source(self) -> Tag:
        if bool(self.topic) == bool(self.node) or bool(self.node) != bool(self.server):
            raise ValueError("a tag has `server` and `node` (OPC UA), or a `topic` (MQTT)")
        return self


class Scada(Settings):
    """Who else in the plant listens, and what the station listens to."""

    opcua: OpcUa | None = None
    mqtt: Mqtt | None = None
    poll: Poll | None = None
    tags: tuple[Tag, ...] = ()

    @model_validator(mode="after")
    def _hangs_together(self) -> Scada:
        names = [tag.name for tag in self.tags]
        if twice := next((n for n in names if names.count(n) > 1), None):
            raise ValueError(f"two tags are named `{twice}`")
        if any(tag.topic for tag in self.tags) and self.mqtt is None:
            raise ValueError(
                "tags with a `topic` need an `mqtt` section, the broker they come from"
            )
        return self
