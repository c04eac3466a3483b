"""The OPC UA server: the station as a vision system after OPC 40100-1, to those who may.

Enters: the line's heartbeat, its verdicts, calls of clients. Leaves: states, results, events; what
clients ask goes over the bus in their own name. ``scada.py`` runs it. Signed and encrypted
endpoints only; a client application is trusted by its certificate, a person or machine by user and
password (or API key) of the station.
"""

from __future__ import annotations

import json
import math
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.permission_rules import SimpleRoleRuleset
from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from inspector import __version__
from inspector.config import OpcUa, Station
from inspector.part import Finding, Mode, Outcome, Verdict
from inspector.plant.vision import Facts, State, Vision
from inspector.plant.visionjobs import Jobs
from inspector.plant.visionpeople import Core, People
from inspector.plant.visionspace import Space, build, find

log = structlog.get_logger()

POLICIES = [
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]
REJECTED_MAX = 100
"""Certificates of clients that nobody trusts which are kept."""
COMPLETED, ABORTED, FAILED = 1, 3, 4
"""ResultStateDataType, OPC 40100-1 table 113."""
RESULT_STATE = {
    Outcome.PASS: COMPLETED,
    Outcome.REJECT: COMPLETED,
    Outcome.ERROR: FAILED,
    Outcome.NOT_INSPECTED: ABORTED,
}
PRODUCTION, STANDBY, ENGINEERING, SCHEDULED, UNSCHEDULED = 1, 2, 3, 4, 5
"""SystemStateDataType, after SEMI E10."""


class VisionServer:
    """One station's OPC UA server."""

    def __init__(self, station: Station, config: OpcUa) -> None:
        self.station, self._config = station, config
        self.vision = Vision()
        self.jobs = Jobs()
        self.status: Mapping[str, Any] = {}
        self._folder = station.data / "opcua"
        self._shown: State | None = None
        self._values: dict[str, Any] = {}
        self.url = ""

    async def start(self) -> Space:
        """Listen. Raises ``OSError`` when the port is taken, ``ValueError`` for a bad NodeSet."""
        host, port = self._config.host, self._config.port or _free_port(self._config.host)
        uri = f"urn:inspector:{self.station.station}"
        self._core = Core(user_manager=People(self.station.data))
        server = self._server = Server(iserver=self._core)
        server.disable_clock()
        await server.init()
        server.allow_remote_admin(False)
        self.url = f"opc.tcp://{host}:{port}/inspector"
        server.set_endpoint(self.url)
        server.set_server_name(f"Inspector {self.station.station}")
        await server.set_application_uri(uri)
        await server.set_build_info(
            uri, "Inspector", "Inspector", __version__, "", datetime.now(UTC)
        )
        await self._keys(uri, host)
        server.set_security_policy(POLICIES, permission_ruleset=SimpleRoleRuleset())
        server.set_identity_tokens([ua.UserNameIdentityToken])
        server.set_certificate_validator(self._is_trusted)
        nodeset = self._config.nodeset
        if nodeset is not None and not nodeset.is_file():
            raise ValueError(f"scada.opcua.nodeset: {nodeset}: there is no such file")
        self.space = await build(server, uri, self.station.station, nodeset)
        await self._variables()
        await server.start()
        log.info("OPC UA is served", url=self.url, official=self.space.official)
        return self.space

    async def stop(self) -> None:
        """Listen no more."""
        await self._server.stop()

    async def see_out(self) -> None:
        """Close the sessions of whoever is no user any more."""
        await self._core.see_out()

    async def heard(self, status: Mapping[str, Any], alive: bool) -> None:
        """The line's newest heartbeat, or that it has none."""
        self.status = status
        stops = next((a["code"] for a in status.get("alarms", ()) if a.get("stops")), "")
        mode = status.get("mode")
        if mode == Mode.CLEANING:
            stops = stops or "cleaning"
        self.vision.heard(Facts(alive, bool(status.get("paused")), str(stops)))
        await self.show()
        counts = status.get("counts", {})
        await self._say(
            Ready=bool(alive and status.get("ready")),
            Mode=str(mode or ""),
            Batch=str(status.get("batch", "")),
            Product=str(status.get("product", "")),
            Recipe=str(status.get("recipe", "")),
            Passed=int(counts.get("passed", 0)),
            Rejected=int(counts.get("rejected", 0)),
            Errors=int(counts.get("errors", 0)),
            PartsPerSecond=round(float(status.get("parts_per_s", 0.0)), 2),
            Alarms=[str(a["code"]) for a in status.get("alarms", ())],
        )

    async def show(self) -> None:
        """The state, where it is another one."""
        state = self.vision.state
        if state is self._shown:
            return
        before, self._shown = self._shown, state
        space = self.space
        inner = str(state) if state.outer == "Operational" else ""
        for machine, name in ((space.machine, state.outer), (space.automatic, inner)):
            current = await find(machine, "CurrentState")
            await current.write_value(ua.LocalizedText(name))
            id = space.states.get(name, ua.NodeId())
            await (await find(current, "Id")).write_value(ua.Variant(id, ua.VariantType.NodeId))
        await self._system_state(state)
        await self.tell("StateChangedEventType", f"{before or 'start'} → {state}")
        if state is State.READY:
            await self.tell("ReadyEventType", "ready", JobId=space.id("JobId", self.job))

    async def verdict(self, verdict: Verdict) -> None:
        """A part was judged: its result is an event."""
        fields = self.result(verdict)
        text = f"part {verdict.sequence}: {verdict.outcome}"
        if self.space.official:
            fields.pop("HasTransferableDataOnFile", None)
        else:
            fields = {k: v for k, v in fields.items() if isinstance(v, str)}
        await self.tell("ResultReadyEventType", text, **fields)

    async def tell(self, kind: str, message: str, **fields: Any) -> None:
        """An event of this type."""
        generator = self.space.events[kind]
        for name, value in fields.items():
            setattr(generator.event, name, value)
            generator.event.data_types[name] = _kind(value)
        await generator.trigger(message=message)

    @property
    def job(self) -> str:
        """The job that was started last; empty before the first."""
        return self.jobs.now.id if self.jobs.now else ""

    def result(self, verdict: Verdict, product: str = "") -> dict[str, Any]:
        """A verdict as the fields of ResultDataType; its batch made ``product``."""
        space = self.space
        name, _, revision = verdict.recipe.partition("@")
        job, measurement = self.jobs.of(verdict)
        if self.status.get("batch") == verdict.batch:
            product = product or str(self.status.get("product") or "")
        at = datetime.fromtimestamp(verdict.times.utc_ns / 1e9, UTC)
        times = verdict.times
        # a part that went by unseen has no trigger, and took no time
        taken = (times.verdict_ns - times.trigger_ns) / 1e9 if times.trigger_ns else 0.0
        content = json.dumps(content_of(verdict), ensure_ascii=False)
        part = verdict.serial or str(verdict.part_id)
        fields = {
            "ResultId": space.id("ResultId", str(verdict.part_id)),
            "JobId": space.id("JobId", job),
            "PartId": space.id("PartId", part),
            "MeasId": space.id("MeasId", measurement),
            "ExternalRecipeId": space.id("RecipeIdExternal", name),
            "InternalRecipeId": self.recipe_id(name, revision, verdict.recipe_digest),
            "ProductId": space.id("ProductId", product or name),
        }
        if not space.official:
            return fields | {"ResultContent": content}
        return fields | {
            "InternalConfigurationId": self.configuration_id(),
            "HasTransferableDataOnFile": False,
            "IsPartial": False,
            "IsSimulated": False,
            "ResultState": RESULT_STATE[verdict.outcome],
            "CreationTime": at,
            "ProcessingTimes": space.structure(
                "ProcessingTimesDataType",
                StartTime=datetime.fromtimestamp(verdict.times.utc_ns / 1e9 - taken, UTC),
                EndTime=at,
            ),
            "ResultContent": [ua.Variant(content, ua.VariantType.String)],
        }

    def recipe_id(self, name: str, revision: str = "", digest: str = "") -> Any:
        """RecipeIdInternalDataType of a recipe."""
        if not digest:
            return self.space.id("RecipeIdInternal", name)
        return self.space.id(
            "RecipeIdInternal", name, Version=revision, Hash=bytes.fromhex(digest),
            HashAlgorithm="SHA-256",
        )  # fmt: skip

    def configuration_id(self) -> Any:
        """ConfigurationIdDataType of the station's only configuration, its station file."""
        return self.space.id("ConfigurationId", self.station.station)

    async def _keys(self, uri: str, host: str) -> None:
        for name in ("trusted", "rejected"):
            (self._folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        key, certificate = self._folder / "key.pem", self._folder / "certificate.der"
        before = os.umask(0o077)
        try:
            await setup_self_signed_certificate(
                key, certificate, uri, socket.gethostname(),
                [ExtendedKeyUsageOID.SERVER_AUTH], {"commonName": f"Inspector {host}"},
            )  # fmt: skip
        finally:
            os.umask(before)
        await self._server.load_certificate(str(certificate))
        await self._server.load_private_key(str(key))

    async def _is_trusted(self, certificate: x509.Certificate, application: Any) -> None:
        """Raises ``ServiceError`` for a client whose certificate nobody has trusted."""
        options = CertificateValidatorOptions.BASIC_VALIDATION
        await CertificateValidator(options).validate(certificate, application)
        name = f"{certificate.fingerprint(hashes.SHA256()).hex()[:32]}.der"
        der = certificate.public_bytes(Encoding.DER)
        trusted = (self._folder / "trusted").glob("*.der")
        if self._config.any_client or any(path.read_bytes() == der for path in trusted):
            return
        keep_rejected(self._folder / "rejected", name, der)
        log.warning(
            "an OPC UA client is not trusted", rejected=name, uri=application.ApplicationUri
        )
        raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    async def _variables(self) -> None:
        space = self.space
        folder = await space.root.add_object(space.index, "Station")
        kinds: dict[str, Any] = {
            "Ready": False, "Mode": "", "Batch": "", "Product": "", "Recipe": "", "Passed": 0,
            "Rejected": 0, "Errors": 0, "PartsPerSecond": 0.0,
        }  # fmt: skip
        self._nodes = {
            name: await folder.add_variable(space.index, name, value)
            for name, value in kinds.items()
        }
        empty = ua.Variant([], ua.VariantType.String, is_array=True)
        self._nodes["Alarms"] = await folder.add_variable(space.index, "Alarms", empty)

    async def _say(self, **values: Any) -> None:
        for name, value in values.items():
            if self._values.get(name) == value:
                continue
            self._values[name] = value
            if isinstance(value, list):
                value = ua.Variant(value, ua.VariantType.String, is_array=True)
            await self._nodes[name].write_value(value)

    async def _system_state(self, state: State) -> None:
        node = await find(self.space.root, "SystemState")
        code = {
            State.CONTINUOUS: PRODUCTION, State.SINGLE: PRODUCTION, State.ERROR: UNSCHEDULED,
            State.HALTED: SCHEDULED, State.PREOPERATIONAL: ENGINEERING,
        }.get(state, STANDBY)  # fmt: skip
        if not self.space.official:
            await node.write_value(f"{code}")
            return
        made = self.space.structure(
            "SystemStateDescriptionDataType",
            State=ua.SystemStateDataType(code),
            StateDescription=str(state),
        )
        await node.write_value(ua.Variant(made, ua.VariantType.ExtensionObject))


def keep_rejected(folder: Path, name: str, der: bytes) -> None:
    """Put a certificate where a person may trust it; of very many only the newest stay, because
    anybody may come with a new one each time."""
    (folder / name).write_bytes(der)
    known = sorted(folder.glob("*.der"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in known[REJECTED_MAX:]:
        path.unlink(missing_ok=True)


def content_of(verdict: Verdict) -> dict[str, Any]:
    """What a result says about its part, JSON-able; places in pixels, units in UCUM."""
    return {
        "outcome": str(verdict.outcome),
        "reasons": list(verdict.reasons),
        "mode": str(verdict.mode),
        "batch": verdict.batch,
        "stream": verdict.stream,
        "sequence": verdict.sequence,
        "serial": verdict.serial,
        "findings": [_told(finding) for finding in verdict.findings],
    }


def _told(finding: Finding) -> dict[str, Any]:
    value = finding.value
    told = {
        "tool": finding.tool,
        "kind": finding.kind,
        "label": finding.label,
        "ok": finding.ok,
        # JSON has no NaN and no infinity: what is no number is left out
        "score": round(finding.score, 4) if math.isfinite(finding.score) else None,
        "box": finding.box and [round(v, 1) for v in finding.box],
        "text": finding.text,
        "value": value if value is not None and math.isfinite(value) else None,
        "unit": finding.unit,
        "reason": finding.reason,
    }
    return {name: value for name, value in told.items() if value not in (None, "")}


def _kind(value: Any) -> Any:
    """The type that ``value`` travels as; asyncua knows none for the fields of an imported type."""
    kinds = {
        str: ua.VariantType.String, bool: ua.VariantType.Boolean, int: ua.VariantType.Int32,
        datetime: ua.VariantType.DateTime, list: ua.VariantType.Variant,
    }  # fmt: skip
    return kinds.get(type(value), ua.VariantType.ExtensionObject)


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
